#!/usr/bin/env python3
"""A real MLflow server: thousands of traces, three judges, kills at random, two pushes at once; then each assessment is looked for on the server,
once and equal to its record. Beside it `mlflow.genai.evaluate` on some of the same traces, with the same judges' questions and the same endpoint.

    cargo build --release --locked
    python3 -m venv venv && venv/bin/pip install -r tests/real/mlflow_server.txt openai
    venv/bin/python benches/durability/tracking_server.py              # TRACES=5000 EVALUATED=100 KILLS=5 by default; half an hour

The endpoint is `judge-run simulate`. CPU is user and system time, of the processes that were killed too, without the server's and the endpoint's.
"""
import json
import os
import pathlib
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/real"))
from mlflow_server import JUDGE_RUN, same, start_server  # noqa: E402

TRACES = int(os.environ.get("TRACES", "5000"))
EVALUATED = int(os.environ.get("EVALUATED", "100"))
KILLS = int(os.environ.get("KILLS", "5"))
JUDGES = ["safety", "relevance", "retrieval_relevance"]


def note(text):
    print(text, file=sys.stderr, flush=True)


def used(of):
    """Processor time in seconds."""
    usage = resource.getrusage(of)
    return usage.ru_utime + usage.ru_stime


def make_traces(uri):
    """As an application with MLflow's SDK makes them: a root span and a retriever."""
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
        if n % 500 == 499:
            mlflow.flush_trace_async_logging()
            note(f"{n + 1} traces made")
    mlflow.flush_trace_async_logging()
    return mlflow


class Phase:
    """One command, killed at random and repeated, with its wall and processor time."""

    def __init__(self, kills, seconds):
        self.kills, self.seconds = kills, seconds
        self.wall = self.cpu = 0.0

    def run(self, args, codes):
        started, before = time.monotonic(), used(resource.RUSAGE_CHILDREN)
        for _ in range(self.kills):
            process = subprocess.Popen([JUDGE_RUN, *args], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                process.wait(random.uniform(0.1, self.seconds))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
        done = subprocess.run([JUDGE_RUN, *args], capture_output=True, text=True)
        assert done.returncode in codes, (args, done.returncode, done.stdout, done.stderr)
        self.wall = time.monotonic() - started
        self.cpu = used(resource.RUSAGE_CHILDREN) - before
        return done.stdout


def ours(base_url):
    """Pull, judge, push: the phases by name, and the log."""
    phases = {name: Phase(KILLS, seconds) for name, seconds in [("pull", 3), ("judge", 2), ("push", 20)]}
    phases["pull"].run(["mlflow", "pull", "--experiment", "bot", "-o", "traces.jsonl"], [0])
    ids = [json.loads(line)["trace_info"]["trace_id"] for line in open("traces.jsonl")]
    assert len(ids) == len(set(ids)) == TRACES, len(ids)
    note("pulled")
    phases["judge"].run(["-d", "traces.jsonl", "-J", ",".join(JUDGES), "--base-url", base_url, "-q"], [3])
    log = [json.loads(line) for line in open("traces.feedback.jsonl")]
    records = {record["assessment_id"]: record for record in log}
    assert len(records) == len(JUDGES) * TRACES, len(records)
    assert any("error" in record for record in records.values())
    note("judged")
    # Two at once, which the same server serves; each is a push as if it were alone.
    started, before = time.monotonic(), used(resource.RUSAGE_CHILDREN)
    push = ["mlflow", "push", "traces.feedback.jsonl"]
    for _ in range(KILLS):
        process = subprocess.Popen([JUDGE_RUN, *push], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(random.uniform(0.5, 10))
        process.kill()
        process.wait()
    both = [subprocess.Popen([JUDGE_RUN, *push], stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [one.wait() for one in both] == [0, 0]
    phases["push"].wall, phases["push"].cpu = time.monotonic() - started, used(resource.RUSAGE_CHILDREN) - before
    note("pushed")
    again = Phase(0, 0)
    assert f"{len(records)}  there already" in again.run(push, [0])
    phases["push again"] = again
    return phases, records


def verify(mlflow, records):
    """Each assessment once, and equal; by MLflow's own client."""
    experiment = mlflow.get_experiment_by_name("bot").experiment_id
    traces = mlflow.search_traces(locations=[experiment], return_type="list", max_results=2 * TRACES, include_spans=False)
    assert len(traces) == TRACES, len(traces)
    found = [one for trace in traces for one in trace.search_assessments(type="feedback")]
    assert len(found) == len(records) == len({one.assessment_id for one in found}), (len(found), len(records))
    for one in found:
        same(records[one.assessment_id], one)
    return len(found)


def evaluate(mlflow, base_url):
    """Wall and processor time of `mlflow.genai.evaluate` on a part of the traces."""
    import typing

    from mlflow.genai.judges import make_judge

    os.environ["OPENAI_API_KEY"] = "none"
    question = "Answer true if the answer is good, in the sense of {name}: {{{{ inputs }}}} {{{{ outputs }}}}"
    judges = [
        make_judge(name=f"peer_{name}", instructions=question.format(name=name), model="openai:/judge", feedback_value_type=bool,
                   base_url=f"{base_url}/chat/completions")
        for name in JUDGES
    ]
    experiment = mlflow.get_experiment_by_name("bot").experiment_id
    traces = mlflow.search_traces(locations=[experiment], return_type="pandas", max_results=EVALUATED)
    started, before = time.monotonic(), used(resource.RUSAGE_SELF)
    mlflow.genai.evaluate(data=traces, scorers=typing.cast(list, judges))
    return time.monotonic() - started, used(resource.RUSAGE_SELF) - before


def simulator(*more):
    process = subprocess.Popen([JUDGE_RUN, "simulate", "--port", "0", *more], stdout=subprocess.PIPE, text=True)
    return process, next(word for word in process.stdout.readline().split() if word.startswith("http"))


def main():
    with tempfile.TemporaryDirectory() as folder:
        server, uri = start_server(folder)
        os.environ["MLFLOW_TRACKING_URI"] = uri
        endpoints = []
        try:
            mlflow = make_traces(uri)
            os.chdir(folder)
            for more in [["--fail", "refusal=2%"], []]:
                endpoints.append(simulator(*more))
            phases, records = ours(endpoints[0][1])
            found = verify(mlflow, records)
            wall, cpu = evaluate(mlflow, endpoints[1][1]) if EVALUATED else (0, 0)
        finally:
            for process, _ in endpoints:
                process.kill()
            os.killpg(server.pid, signal.SIGTERM)
            server.wait()
    print(f"{found} assessments of {TRACES} traces, each once and equal, after {3 * KILLS} kills and two pushes at once (MLflow {mlflow.__version__})\n")
    print("| | wall, s | CPU, s | CPU, ms a judgment |\n| --- | ---: | ---: | ---: |")
    rows = [(f"judge-run: {name}", phase.wall, phase.cpu) for name, phase in phases.items()]
    rows.append(("judge-run: all of it", sum(row[1] for row in rows), sum(row[2] for row in rows)))
    for name, seconds, processor in rows:
        print(f"| {name} | {seconds:.1f} | {processor:.2f} | {1000 * processor / len(records):.2f} |")
    if EVALUATED:
        judgments, scale = EVALUATED * len(JUDGES), TRACES / EVALUATED
        print(f"| `mlflow.genai.evaluate`, {EVALUATED} traces | {wall:.1f} | {cpu:.2f} | {1000 * cpu / judgments:.2f} |")
        print(f"| the same for {TRACES}, extrapolated | {wall * scale:.0f} | {cpu * scale:.0f} | {1000 * cpu / judgments:.2f} |")


main()
