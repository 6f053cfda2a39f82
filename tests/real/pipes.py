"""The recipes of docs/scaling.md for big inputs, word for word: DuckDB's program over Parquet, AWS's program over an object store, and resuming from both.

    python tests/real/pipes.py

The object store is moto's, on this machine.
"""

import gzip
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
JUDGE_RUN = Path(os.environ.get("JUDGE_RUN", ROOT / "target/release/judge-run")).resolve()
TRACES = 400
LOG = "traces.feedback.jsonl"


def recipes():
    """The commands of the section, by the first word of each."""
    section = (ROOT / "docs/scaling.md").read_text().split("## Big inputs")[1].split("\n## ")[0]
    blocks = re.findall(r"```text\n(.*?)```", section, re.S)
    duckdb, pipe, without_disk = (re.sub(r"^ +", "", block, flags=re.M) for block in blocks)
    assert duckdb.startswith("duckdb ") and "aws s3 cp" in pipe and "exit $code" in without_disk
    return duckdb, pipe, without_disk


def write_traces(path):
    with open(path, "w") as file:
        for n in range(TRACES):
            file.write(json.dumps({"trace_id": f"t-{n}", "inputs": f"Question number {n}?", "outputs": f"Answer number {n}."}) + "\n")


def records(folder):
    return [json.loads(line) for line in (folder / LOG).read_text().splitlines()]


def all_judged_once(folder):
    ids = [record["trace_id"] for record in records(folder) if "value" in record]
    assert len(ids) == len(set(ids)) == TRACES, (len(ids), len(set(ids)))


def judging(group):
    """The process of this group that judges."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, name, _, _, its_group = stat.read_text().split()[:5]
        except (OSError, ValueError):
            continue
        if name == "(judge-run)" and int(its_group) == group:
            return int(pid)
    raise AssertionError("judge-run has ended")


class Simulator:
    """Each request once: an answer that is given again was asked again."""

    def __init__(self, latency):
        command = [JUDGE_RUN, "simulate", "--port", "0", "--latency", latency]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.url = self.process.stdout.readline().strip()

    def stats(self):
        return json.load(urllib.request.urlopen(self.url.removesuffix("/v1") + "/stats"))

    def wait_for(self, answers):
        deadline = time.time() + 60
        while self.stats()["answered"] < answers:
            assert time.time() < deadline
            time.sleep(0.05)


def main():
    duckdb, pipe, without_disk = recipes()
    with tempfile.TemporaryDirectory() as root:
        root = Path(root)
        tools = root / "bin"
        tools.mkdir()
        (tools / "judge-run").symlink_to(JUDGE_RUN)
        port = socket.create_server(("127.0.0.1", 0)).getsockname()[1]
        binaries = Path(sys.executable).parent
        store = subprocess.Popen([binaries / "moto_server", "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        simulator = Simulator("20ms")
        env = {
            **os.environ, "PATH": f"{tools}:{binaries}:{os.environ['PATH']}", "JUDGE_RUN_BASE_URL": simulator.url,
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }  # fmt: skip

        def start(recipe, folder):
            return subprocess.Popen(["bash", "-o", "pipefail", "-c", recipe], cwd=folder, env=env, start_new_session=True,
                                    stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)  # fmt: skip

        def run(recipe, folder):
            process = start(recipe, folder)
            messages = process.communicate(timeout=300)[1]
            assert process.returncode == 0, (recipe, process.returncode, messages[-3000:])

        def folder(name):
            (root / name).mkdir()
            return root / name

        try:
            # Parquet, by DuckDB.
            here = folder("parquet")
            write_traces(here / "traces.jsonl")
            (here / "traces").mkdir()
            write = "COPY (FROM 'traces.jsonl' WHERE trace_id {} 't-2') TO 'traces/{}.parquet' (FORMAT parquet)"
            run(f'duckdb -c "{write.format("<", "a")}; {write.format(">=", "b")}"', here)
            (here / "traces.jsonl").unlink()
            run(duckdb, here)
            all_judged_once(here)
            run(duckdb, here)
            assert simulator.stats()["answered"] == TRACES, "nothing was asked again"

            # An object store, by a pipe; everything is killed in the middle, and the same line resumes.
            here = folder("pipe")
            write_traces(here / "traces.jsonl")
            with open(here / "traces.jsonl", "rb") as plain, gzip.open(here / "traces.jsonl.gz", "wb") as packed:
                shutil.copyfileobj(plain, packed)
            run("aws s3 mb s3://bucket && aws s3 cp traces.jsonl.gz s3://bucket/", here)
            before = simulator.stats()["answered"]
            killed = start(pipe, here)
            simulator.wait_for(before + 100)
            os.killpg(killed.pid, signal.SIGKILL)
            killed.wait()
            left = len(records(here))
            assert 0 < left < TRACES, left
            run(pipe, here)
            all_judged_once(here)
            again = simulator.stats()["answered"] - before - TRACES
            assert again <= 16, f"{again} were asked again, and 16 were in flight"

            # The same without a persistent disk: the machine is asked to stop, and another one continues.
            before = simulator.stats()["answered"]
            stopped = start(without_disk, folder("first"))
            simulator.wait_for(before + 100)
            os.kill(judging(stopped.pid), signal.SIGTERM)
            messages = stopped.communicate(timeout=120)[1]
            assert stopped.returncode == 130, (stopped.returncode, messages[-2000:])
            second = folder("second")
            run(without_disk, second)
            all_judged_once(second)
            assert simulator.stats()["answered"] == before + TRACES, "what the first machine had is not asked again"
            run("aws s3 cp s3://bucket/traces.feedback.jsonl - > stored.jsonl", second)
            assert (second / "stored.jsonl").read_bytes() == (second / LOG).read_bytes()
        finally:
            store.kill()
            simulator.process.kill()
    print(f"pipes: DuckDB over Parquet and AWS's program over an object store, {again} asked again after a kill, none after a stop")


main()
