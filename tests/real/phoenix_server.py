"""Pushes a log to a real Phoenix server, twice, and takes people's annotations from it, and reads back by its API."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.request

from served import Server, free_port
from simulated import Simulator

ROOT = pathlib.Path(__file__).resolve().parents[2]
JUDGE_RUN = os.environ.get("JUDGE_RUN", str(ROOT / "target/release/judge-run"))
TRACES = 25


def server(folder):
    port, grpc = free_port(), free_port()
    environment = {
        "PHOENIX_WORKING_DIR": folder, "PHOENIX_HOST": "127.0.0.1", "PHOENIX_PORT": str(port), "PHOENIX_GRPC_PORT": str(grpc),
        "PHOENIX_TELEMETRY_ENABLED": "false", "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
    }
    return Server([sys.executable, "-m", "phoenix.server.main", "serve"], port, "/healthz", folder, environment)


def spans():
    """Two of each trace, as OpenInference instruments write them."""
    for n in range(TRACES):
        trace_id, root = f"{n + 1:032x}", f"{2 * n + 1:016x}"
        times = {"start_time": "2026-01-05T10:00:00+00:00", "end_time": "2026-01-05T10:00:01+00:00", "status_code": "OK"}
        attributes = {"openinference.span.kind": "CHAIN", "input.value": f"Question number {n}?", "output.value": f"Answer number {n}."}
        yield {"name": "bot", "span_kind": "CHAIN", "context": {"trace_id": trace_id, "span_id": root}, "attributes": attributes, **times}
        child = {"trace_id": trace_id, "span_id": f"{2 * n + 2:016x}"}
        yield {"name": "search", "span_kind": "RETRIEVER", "context": child, "parent_id": root, **times,
               "attributes": {"openinference.span.kind": "RETRIEVER", "input.value": "query"}}


def main():
    with tempfile.TemporaryDirectory() as folder, server(folder) as address:
        test(folder, address)


def test(folder, address):
    from phoenix.client import Client

    client = Client(base_url=address)
    client.spans.log_spans(project_identifier="default", spans=list(spans()))
    deadline = time.monotonic() + 120
    while len(client.spans.get_spans(project_identifier="default", limit=1000)) < 2 * TRACES:
        assert time.monotonic() < deadline, "the spans do not arrive"
        time.sleep(0.2)
    os.chdir(folder)
    os.environ["PHOENIX_HOST"] = address

    def run(*args, code=0):
        done = subprocess.run([JUDGE_RUN, *args], capture_output=True, text=True)
        assert done.returncode == code, (args, done.returncode, done.stdout, done.stderr)
        return done.stdout

    # Phoenix's own spans, as its client gives them, are the dataset.
    client.spans.get_spans_dataframe(project_identifier="default").to_json("spans.jsonl", orient="records", lines=True)
    with Simulator(JUDGE_RUN, "--fail", "refusal=10%") as simulator:
        run("-d", "spans.jsonl", "-J", "safety,relevance", "--base-url", simulator.url, "-o", "log.jsonl", "-q", code=3)
    log = [json.loads(line) for line in open("log.jsonl")]
    assert len(log) == 2 * TRACES and any("error" in record for record in log), len(log)
    for _ in range(2):
        assert f"{len(log)}  sent" in run("phoenix", "push", "log.jsonl")

    trace_ids = [f"{n + 1:032x}" for n in range(TRACES)]
    there = pages(address, "trace_annotations", "trace_ids", trace_ids)
    assert len(there) == len(log), (len(there), len(log))
    records = {(record["trace_id"], record["name"]): record for record in log}
    for annotation in there:
        record = records.pop((annotation["trace_id"], annotation["name"]))
        result = annotation["result"]
        if "error" in record:
            assert result["label"] is None and result["score"] is None, annotation
            assert annotation["metadata"]["error_code"] == record["error"]["error_code"]
        else:
            assert result["score"] == float(record["value"]) if isinstance(record["value"], (bool, int)) else result["label"] == record["value"]
            assert (result["explanation"] or "") == record.get("rationale", "")
    assert not records

    # People's annotations of a trace and of a span come back; ours do not.
    say(address, "trace_annotations", {"trace_id": trace_ids[0], "name": "helpful", "annotator_kind": "HUMAN", "identifier": "kim", "result": {"label": "yes"}})
    say(address, "span_annotations", {"span_id": f"{2:016x}", "name": "helpful", "annotator_kind": "HUMAN", "identifier": "kim", "result": {"score": 0.5}})
    assert run("phoenix", "pull-feedback", "log.jsonl").startswith("2 records from people")
    assert run("phoenix", "pull-feedback", "log.jsonl").startswith("0 records from people")
    people = [json.loads(line) for line in open("log.jsonl")][len(log):]
    said = sorted((record["trace_id"], record.get("span_id", ""), str(record["value"]), record["source"]["source_id"]) for record in people)
    assert said == [(trace_ids[0], "", "yes", "kim"), (trace_ids[0], f"{2:016x}", "0.5", "kim")], said
    # People's records that were also pushed to Phoenix are not new.
    run("phoenix", "push", "log.jsonl")
    assert run("phoenix", "pull-feedback", "log.jsonl").startswith("0 records from people")
    findings = json.loads(run("doctor", "-d", "spans.jsonl", "-J", "safety", "-o", "log.jsonl", "--simulate", "--format", "json"))["findings"]
    assert [one["status"] for one in findings if one["part"] == "phoenix"] == ["ok"], findings

    import phoenix
    print(f"Phoenix {phoenix.__version__}: {len(log)} annotations of {TRACES} traces, each once after two pushes; 2 of people taken back")


def pages(address, what, key, ids):
    found, cursor = [], None
    while True:
        query = "&".join([f"{key}={one}" for one in ids] + ["limit=100"] + ([f"cursor={cursor}"] if cursor else []))
        with urllib.request.urlopen(f"{address}/v1/projects/default/{what}?{query}") as answer:
            page = json.load(answer)
        found += page["data"]
        cursor = page["next_cursor"]
        if not cursor:
            return found


def say(address, what, annotation):
    request = urllib.request.Request(f"{address}/v1/{what}?sync=true", json.dumps({"data": [annotation]}).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200


main()
