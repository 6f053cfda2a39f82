#!/usr/bin/env python3
"""Posts feedback from many clients to `judge-run serve-feedback`, kills it again and again, and counts: nothing lost, nothing twice.

    python3 benches/durability/intake.py                         # 10,000 posts from 16 clients, 20 kills
    python3 benches/durability/intake.py --posts 1000 --kills 5 --binary target/debug/judge-run

Every client repeats a request until it is answered, as MLflow's does: half of them with an id of their own, half with only the time. Needs only Python
3.9. Exits with 1 if something is missing, doubled, or was answered and is not there.
"""

import argparse
import http.client
import json
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    def __init__(self, binary, log):
        self.command = [binary, "serve-feedback", str(log), "--listen", f"127.0.0.1:{free_port()}"]
        self.port = int(self.command[-1].rsplit(":", 1)[1])
        self.start()

    def start(self):
        for _ in range(100):
            self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            if self.process.stdout.readline().startswith(b"http"):
                return
            self.process.wait()
            time.sleep(0.05)
        raise SystemExit("the server does not start")

    def kill(self):
        self.process.kill()
        self.process.wait()


def body_of(client, number):
    assessment = {"assessment_name": "helpful", "feedback": {"value": number % 2 == 0}, "rationale": f"{client}/{number} " + "x" * (number % 300),
                  "source": {"source_type": "HUMAN", "source_id": f"user-{client}"}}
    if number % 2:
        assessment["assessment_id"] = f"a-{client}-{number}"
    else:
        assessment["create_time"] = "2026-11-23T12:49:56.378Z"
    return json.dumps({"assessment": assessment})


def post_all(client, numbers, port, answered, latencies):
    connection = None
    for number in numbers:
        body = body_of(client, number)
        while True:
            try:
                connection = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=10)
                begun = time.monotonic()
                connection.request("POST", f"/api/3.0/mlflow/traces/tr-{number % 50}/assessments", body, {"content-type": "application/json"})
                answer = connection.getresponse()
                text = answer.read()
                if answer.status == 200:
                    latencies.append(time.monotonic() - begun)
                    answered[(client, number)] = json.loads(text)["assessment"]["assessment_id"]
                    break
                if answer.status not in (429, 503):
                    raise SystemExit(f"{answer.status}: {text[:300]}")
                time.sleep(0.02)
            except (OSError, http.client.HTTPException, ValueError):
                connection = None
                time.sleep(0.01)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="target/release/judge-run")
    parser.add_argument("--posts", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--kills", type=int, default=20)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "f.jsonl"
        server = Server(str(Path(args.binary).resolve()), log)
        answered, latencies = {}, []
        begun = time.monotonic()
        threads = [threading.Thread(target=post_all, args=(client, range(client, args.posts, args.clients), server.port, answered, latencies)) for client in range(args.clients)]
        for thread in threads:
            thread.start()
        for kill in range(args.kills):
            target = args.posts * (kill + 1) // (args.kills + 1)
            while len(answered) < target and any(thread.is_alive() for thread in threads):
                time.sleep(0.002)
            time.sleep(random.random() * 0.01)
            server.kill()
            server.start()
        for thread in threads:
            thread.join()
        took = time.monotonic() - begun
        server.process.terminate()
        server.process.wait()
        records, torn = [], 0
        for line in log.read_bytes().split(b"\n"):
            try:
                records += [json.loads(line)] if line.strip() else []
            except ValueError:
                torn += 1
        ids = [record["assessment_id"] for record in records]
        said = [record["rationale"].split()[0] for record in records]
        latencies.sort()
        print(f"{len(answered)} posts from {args.clients} clients, {args.kills} kills: {len(records)} records, {len(set(ids))} ids, {torn} torn lines, "
              f"{len(answered) / took:.0f} a second, p50 {1e3 * latencies[len(latencies) // 2]:.1f} ms, p99 {1e3 * latencies[len(latencies) * 99 // 100]:.1f} ms")
        lost = set(answered.values()) - set(ids)
        if lost or len(answered) != args.posts or len(set(said)) != args.posts or len(records) != args.posts:
            print(f"broken: {len(lost)} lost, {len(records) - len(set(said))} doubled")
            return 1
    return 0


sys.exit(main())
