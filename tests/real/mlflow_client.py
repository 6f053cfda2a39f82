"""Posts feedback with MLflow's own Python client to `serve-feedback`: log, get, update, override, delete; and the same request twice."""
import json
import os
import pathlib
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
JUDGE_RUN = os.environ.get("JUDGE_RUN", str(ROOT / "target/release/judge-run"))
TOKEN = "0123456789abcdef"


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "tokens").write_text(f"client {TOKEN}\n")
        command = [JUDGE_RUN, "serve-feedback", "f.jsonl", "--listen", "127.0.0.1:0", "--tokens", "tokens"]
        server = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        os.environ["MLFLOW_TRACKING_URI"] = server.stdout.readline().strip()
        os.environ["MLFLOW_TRACKING_TOKEN"] = TOKEN
        os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "1"
        try:
            client(folder)
        finally:
            server.terminate()
            assert server.wait() == 0
        converted = subprocess.run([JUDGE_RUN, "convert", "f.jsonl", "f.csv"], cwd=folder, capture_output=True, text=True)
        assert converted.returncode == 0, converted.stderr


def client(folder):
    import mlflow
    from mlflow.entities import AssessmentError, AssessmentSource, Feedback
    from mlflow.exceptions import MlflowException

    anna = AssessmentSource("HUMAN", "anna@example.com")
    lines = lambda: [json.loads(line) for line in (folder / "f.jsonl").read_text(encoding="utf-8").split("\n") if line]
    values = [True, 4, 0.25, "good", ["a", "b"], {"k": 1.0, "n": None}, "\u2028 \U0001f44d", None]
    for value in values[:-1]:
        logged = mlflow.log_feedback(trace_id="tr-1", name="helpful", value=value, source=anna, rationale="So it is.", metadata={"page": "faq"})
        read = mlflow.get_assessment("tr-1", logged.assessment_id)
        assert read.feedback.value == value and read.source.source_id == "anna@example.com", read
        assert (read.rationale, read.metadata, read.valid, read.create_time_ms) == ("So it is.", {"page": "faq"}, True, logged.create_time_ms)
    first = mlflow.get_assessment("tr-1", lines()[0]["assessment_id"])

    failed = mlflow.log_feedback(trace_id="tr-1", name="safety", error=AssessmentError("RATE_LIMIT_EXCEEDED", "later"), source=AssessmentSource("CODE", "check.py"))
    assert mlflow.get_assessment("tr-1", failed.assessment_id).error.error_code == "RATE_LIMIT_EXCEEDED"
    span = mlflow.log_feedback(trace_id="tr-1", name="helpful", value=False, source=anna, span_id="01ef04d981fac227")
    assert mlflow.get_assessment("tr-1", span.assessment_id).span_id == "01ef04d981fac227"

    changed = mlflow.update_assessment("tr-1", first.assessment_id, Feedback(name="helpful", value=False, metadata={"k": "v"}))
    read = mlflow.get_assessment("tr-1", first.assessment_id)
    assert (read.feedback.value, read.metadata, changed.assessment_id) == (False, {"page": "faq", "k": "v"}, first.assessment_id)

    override = mlflow.override_feedback(trace_id="tr-1", assessment_id=first.assessment_id, value=True, rationale="No.", source=AssessmentSource("HUMAN", "ben"))
    assert override.overrides == first.assessment_id
    assert mlflow.get_assessment("tr-1", first.assessment_id).valid is False
    mlflow.delete_assessment("tr-1", override.assessment_id)
    assert mlflow.get_assessment("tr-1", first.assessment_id).valid is True
    for wrong in [lambda: mlflow.get_assessment("tr-1", override.assessment_id), lambda: mlflow.override_feedback(trace_id="tr-2", assessment_id=first.assessment_id, value=1)]:
        try:
            wrong()
        except MlflowException as error:
            assert error.error_code == "RESOURCE_DOES_NOT_EXIST", error
        else:
            raise AssertionError("it was not refused")

    # A client that repeats a request after a lost answer.
    from mlflow.tracing.client import TracingClient
    same = Feedback(name="helpful", value=True, source=anna, create_time_ms=1764321000000, last_update_time_ms=1764321000000)
    count = len(lines())
    ids = {TracingClient().log_assessment("tr-9", same).assessment_id for _ in range(3)}
    assert len(ids) == 1 and len(lines()) == count + 1
    print(f"MLflow {mlflow.__version__}: {len(lines())} records by its own client")


main()
