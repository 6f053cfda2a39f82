"""Pulls traces from a real MLflow server, judges them with the simulator, pushes, kills a push, pushes again, and reads back with MLflow's client."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from served import Server, free_port
from simulated import Simulator

ROOT = pathlib.Path(__file__).resolve().parents[2]
JUDGE_RUN = os.environ.get("JUDGE_RUN", str(ROOT / "target/release/judge-run"))
TRACES = int(os.environ.get("TRACES", "60"))


def server(folder):
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
               "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", f"{folder}/artifacts"]
    return Server(command, port, "/health", folder)


def make_traces(uri):
    import mlflow

    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment("bot")

    @mlflow.trace
    def bot(question):
        with mlflow.start_span("search", span_type="RETRIEVER") as span:
            span.set_inputs({"query": question})
            span.set_outputs([{"page_content": "Berlin is a city.", "metadata": {"doc_uri": "b"}}])
        return f"The answer to {question}"

    for n in range(TRACES):
        bot(question=f"Question {n}?")
    mlflow.flush_trace_async_logging()
    return mlflow


def same(record, assessment):
    ours = record.get("value")
    assert assessment.name == record["name"] and assessment.source.source_id == record["source"]["source_id"]
    assert assessment.source.source_type == record["source"]["source_type"]
    assert assessment.create_time_ms == record["create_time_ms"]
    assert assessment.last_update_time_ms == record["last_update_time_ms"]
    assert assessment.span_id == record.get("span_id") and (assessment.rationale or "") == record.get("rationale", "")
    assert assessment.feedback.value == ours, (assessment.feedback.value, ours)
    error = assessment.feedback.error
    assert (error and error.error_code) == record.get("error", {}).get("error_code")
    metadata = {key: value for key, value in assessment.metadata.items() if key != "mlflow.assessment.sourceRunId"}
    assert metadata == record["metadata"], (metadata, record["metadata"])


def main():
    with tempfile.TemporaryDirectory() as folder, server(folder) as uri:
        test(folder, uri)


def test(folder, uri):
    os.environ["MLFLOW_TRACKING_URI"] = uri
    mlflow = make_traces(uri)
    os.chdir(folder)

    def run(*args, code=0):
        done = subprocess.run([JUDGE_RUN, *args], capture_output=True, text=True)
        assert done.returncode == code, (args, done.returncode, done.stdout, done.stderr)
        return done.stdout

    started = time.monotonic()
    run("mlflow", "pull", "--experiment", "bot", "-o", "traces.jsonl")
    pulled = time.monotonic() - started
    assert len(open("traces.jsonl").readlines()) == TRACES
    assert "0 new traces" in run("mlflow", "pull", "--experiment", "bot", "-o", "traces.jsonl")
    judges = "safety,relevance,retrieval_relevance"
    with Simulator(JUDGE_RUN, "--fail", "refusal=10%") as simulator:
        run("-d", "traces.jsonl", "-J", judges, "--base-url", simulator.url, "-q", code=3)
    log = [json.loads(line) for line in open("traces.feedback.jsonl")]
    assert len(log) == 3 * TRACES and any("error" in record for record in log)

    # Killed in the middle, again and again; then two at once.
    for seconds in [0.5, 1, 1.5]:
        push = subprocess.Popen([JUDGE_RUN, "mlflow", "push", "traces.feedback.jsonl"], stdout=subprocess.DEVNULL)
        time.sleep(seconds)
        push.kill()
        push.wait()
    started = time.monotonic()
    both = [subprocess.Popen([JUDGE_RUN, "mlflow", "push", "traces.feedback.jsonl"], stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [push.wait() for push in both] == [0, 0]
    pushed = time.monotonic() - started
    assert f"{len(log)}  there already" in run("mlflow", "push", "traces.feedback.jsonl")

    # Each once and equal, as MLflow's client reads them.
    records = {record["assessment_id"]: record for record in log}
    traces = mlflow.search_traces(experiment_ids=[mlflow.get_experiment_by_name("bot").experiment_id], return_type="list", max_results=10_000)
    assert len(traces) == TRACES
    found = [assessment for trace in traces for assessment in trace.search_assessments(type="feedback")]
    assert len(found) == len(records) == len({assessment.assessment_id for assessment in found})
    for assessment in found:
        same(records[assessment.assessment_id], assessment)
    runs = mlflow.search_runs(experiment_names=["bot"], output_format="list")
    runs = [one for one in runs if one.data.tags.get("mlflow.runType") == "genai_evaluate"]
    # Two that start together may each make one; feedback belongs to one of them.
    assert 1 <= len(runs) <= 2, runs
    finished = runs[-1]
    scored = sum(1 for record in log if record["name"] == "safety" and "error" not in record)
    assert finished.data.metrics["safety/scored"] == scored, finished.data.metrics
    assert finished.data.params["judge.safety"].startswith("prompts:/safety/")
    linked = mlflow.search_traces(run_id=finished.info.run_id, return_type="list", max_results=10_000)
    assert linked

    # A person's opinion comes back.
    first = found[0]
    mlflow.override_feedback(trace_id=first.trace_id, assessment_id=first.assessment_id, value=False, rationale="no", source=mlflow.entities.AssessmentSource("HUMAN", "kim"))
    assert "1  overridden by someone" in run("mlflow", "push", "traces.feedback.jsonl")
    assert run("mlflow", "pull-feedback", "traces.feedback.jsonl").startswith("1 record from people")
    assert f"{len(log) + 1}  there already" in run("mlflow", "push", "traces.feedback.jsonl")

    # A rejected verdict is not valid there.
    verdict = next(record for record in log if "error" not in record and record["assessment_id"] != first.assessment_id)
    with open("traces.feedback.jsonl", "a") as file:
        file.write(json.dumps(verdict | {"valid": False}) + "\n")
    assert "1  of these rejected" in run("mlflow", "push", "traces.feedback.jsonl")
    assert mlflow.get_assessment(verdict["trace_id"], verdict["assessment_id"]).valid is False
    print(f"MLflow {mlflow.__version__}: {TRACES} traces pulled in {pulled:.1f} s, {len(found)} assessments, each once and equal; the rest of two pushes took {pushed:.1f} s")


if __name__ == "__main__":
    main()
