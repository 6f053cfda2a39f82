"""Eight processes that share one quota through a real Redis server, which is killed and started again in between.

    python tests/real/quota_server.py [SECONDS]

None may be refused, and at least 97 % of the quota must be used (LEAST_USED=0.9 asks for less, beside other programs). Without a redis-server or valkey-server, it says so and ends.
"""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
JUDGE_RUN = os.environ.get("JUDGE_RUN", str(ROOT / "target/release/judge-run"))
SECONDS = int(sys.argv[1]) if len(sys.argv) > 1 else 60
LEAST_USED = float(os.environ.get("LEAST_USED", "0.97"))
PROCESSES = 8
RPM = 6000
PASSWORD = "a secret of the test"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start_server(program, port):
    server = subprocess.Popen(
        [program, "--port", str(port), "--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--requirepass", PASSWORD],
        stdout=subprocess.DEVNULL,
    )
    deadline = time.time() + 20
    while time.time() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return server
        except OSError:
            time.sleep(0.05)
    raise AssertionError("the quota server does not start")


def main():
    program = shutil.which("valkey-server") or shutil.which("redis-server")
    if program is None:
        print("skipped: no redis-server and no valkey-server")
        return
    port = free_port()
    server = start_server(program, port)
    simulator = subprocess.Popen(
        [JUDGE_RUN, "simulate", "--port", "0", "--rpm", str(RPM), "--latency", "200ms"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    processes = []
    try:
        base_url = simulator.stdout.readline().strip()
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            traces = RPM * SECONDS // 60
            with open(folder / "traces.jsonl", "w") as file:
                for n in range(traces):
                    file.write(json.dumps({"trace_id": f"t{n}", "inputs": f"question {n}", "outputs": f"answer {n}"}) + "\n")
            env = {**os.environ, "JUDGE_RUN_QUOTA_PASSWORD": PASSWORD}
            for n in range(1, PROCESSES + 1):
                command = [JUDGE_RUN, "-d", "traces.jsonl", "-J", "safety", "--base-url", base_url, "--rpm", str(RPM),
                           "--shard", f"{n}/{PROCESSES}", "-o", f"{n}.jsonl", "-j", "64",
                           "--quota-server", f"redis://127.0.0.1:{port}"]  # fmt: skip
                messages = open(folder / f"{n}.err", "w")
                processes.append(subprocess.Popen(command, cwd=folder, env=env, stderr=messages))
            time.sleep(SECONDS * 0.4)
            server.kill()
            server.wait()
            time.sleep(SECONDS * 0.15)
            server = start_server(program, port)
            codes = [process.wait(timeout=SECONDS * 3) for process in processes]
            messages = [(folder / f"{n}.err").read_text() for n in range(1, PROCESSES + 1)]
            assert codes == [0] * PROCESSES, (codes, messages)
            records = [json.loads(line) for n in range(1, PROCESSES + 1) for line in open(folder / f"{n}.jsonl")]
            files = b"".join(path.read_bytes() for path in folder.iterdir())
            stats = json.load(urllib.request.urlopen(base_url.removesuffix("/v1") + "/stats"))
        assert len({record["trace_id"] for record in records}) == len(records) == traces
        times = [record["create_time_ms"] for record in records]
        seconds = (max(times) - min(times)) / 1000
        used = traces / (seconds * RPM / 60)
        refused = stats["rate_limited"]
        said = [text.count("is away") for text in messages], [text.count(" is back\n") for text in messages]
        print(f"{traces} requests in {seconds:.1f} s, {refused} refused; away and back were said {said}; {stats}", file=sys.stderr)
        assert PASSWORD.encode() not in files
        assert refused == 0 and used >= LEAST_USED, (refused, used)
        assert said == ([1] * PROCESSES, [1] * PROCESSES), messages
        print(f"quota server: {PROCESSES} processes on {RPM} rpm, {refused} refused, {used:.1%} of the quota used, over a kill of the server")
    finally:
        for process in [*processes, simulator, server]:
            process.kill()


main()
