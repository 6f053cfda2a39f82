"""The Python package on one machine: tables of pandas, polars and PyArrow, and what becomes of failures, kills and locked logs."""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time

import pandas
import polars
import pyarrow

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "python"))
import judge_run  # noqa: E402
from simulated import Simulator  # noqa: E402

PROGRAM = os.environ.get("JUDGE_RUN", str(ROOT / "target/release/judge-run"))
TRACES = [{"trace_id": f"t{n}", "inputs": {"question": f"question {n}"}, "outputs": f"=answer {n}\n'x'"} for n in range(20)]


def refused(call):
    try:
        call()
    except judge_run.JudgeRunError as error:
        return error
    raise AssertionError("nothing was raised")


def tables(folder):
    """Each kind comes back as what it was, with the same feedback."""
    options = {"simulate": True, "program": PROGRAM, "log": folder / "tables.jsonl"}
    frame = pandas.DataFrame(TRACES)
    frame["request_time"] = pandas.Timestamp("2026-01-05", tz="UTC")
    frame["tags"] = [None if n % 2 else {"n": n} for n in range(20)]
    of_pandas = judge_run.judge(frame, ["safety", "relevance"], **options)
    assert isinstance(of_pandas, pandas.DataFrame) and len(of_pandas) == 40
    assert list(of_pandas.columns) == list(judge_run.COLUMNS)
    assert set(of_pandas.trace_id) == {trace["trace_id"] for trace in TRACES}
    safe = of_pandas[of_pandas.name == "safety"]
    assert safe.passed.notna().all() and (safe.score == safe.passed.astype("Float64")).all()
    assert of_pandas.error_code.isna().all() and of_pandas.valid.all()
    # The log has all of it by now, so that nothing is asked.
    of_polars = judge_run.judge(polars.DataFrame(TRACES), ["safety", "relevance"], **options)
    of_arrow = judge_run.judge(pyarrow.Table.from_pylist(TRACES), ["safety", "relevance"], **options)
    of_dicts = judge_run.judge(TRACES, ["safety", "relevance"], **options)
    assert of_polars.to_dicts() == of_arrow.to_pylist() == of_dicts and len(of_dicts) == 40
    assert [row["assessment_id"] for row in of_dicts] == of_pandas.assessment_id.tolist()
    assert judge_run.judge(frame.head(0), "safety", **options).shape == (0, len(judge_run.COLUMNS))


def failures(folder):
    """Failures are rows; what was never asked is an exception."""
    with Simulator(PROGRAM, "--fail", "500=100%", "--clear-after", "0") as simulator:
        options = {"base_url": simulator.url, "program": PROGRAM, "max_retries": 0}
        rows = judge_run.judge(TRACES[:2], "safety", **options)
        assert len(rows) == 2 and all(row["error_code"] and row["value"] is None for row in rows), rows
    with Simulator(PROGRAM, "--fail", "401=100%", "--clear-after", "0") as simulator:
        options = {"base_url": simulator.url, "program": PROGRAM}
        stopped = refused(lambda: judge_run.judge(TRACES, "safety", concurrency=2, log=folder / "failed.jsonl", **options))
        assert stopped.exit_code == 4 and "AUTHENTICATION_ERROR" in str(stopped), stopped
    assert refused(lambda: judge_run.judge(TRACES, "no_such_judge", simulate=True, program=PROGRAM)).exit_code == 2


def locks(folder):
    """A log that another process holds is waited for; and then all is there."""
    with Simulator(PROGRAM, "--latency", "400ms") as simulator:
        options = {"base_url": simulator.url, "program": PROGRAM, "log_dir": folder / "logs", "concurrency": 4}
        found = []
        threads = [threading.Thread(target=lambda: found.append(judge_run.judge(TRACES, "safety", **options))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found[0] == found[1] and len(found[0]) == 20
        assert simulator.stats()["requests"] == 20, simulator.stats()
        assert len(list((folder / "logs").glob("*.feedback.jsonl"))) == 1


def kills(folder):
    """A process that is killed leaves no run behind that goes on asking, and the same call asks the rest."""
    with Simulator(PROGRAM, "--latency", "300ms", "--no-jitter") as simulator:
        traces = [{**TRACES[0], "trace_id": f"k{n}", "inputs": f"{n} " + "x" * 4000} for n in range(200)]
        options = {"base_url": simulator.url, "program": PROGRAM, "log_dir": str(folder / "killed"), "concurrency": 4}
        script = f"import sys, judge_run; judge_run.judge({traces!r}, 'safety', **{options!r})"
        file = folder / "killed.py"
        file.write_text(script)
        env = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
        process = subprocess.Popen([sys.executable, file], env=env)
        while simulator.stats()["answered"] < 8:
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
        rows = judge_run.judge(traces, "safety", **options)
        assert len(rows) == 200 and len({row["trace_id"] for row in rows}) == 200
        stats = simulator.stats()
        assert stats["answered_again"] <= 4, stats


with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    for test in (tables, failures, locks, kills):
        test(folder)
print("python tables: pandas, polars, PyArrow and dicts; failures as rows, locked logs waited for, kills resumed")
