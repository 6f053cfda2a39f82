#!/usr/bin/env python3
"""Checks that batches are never paid for twice: kills judge-run while it submits, looks and collects, and counts.

    cargo build --release
    python3 benches/durability/batches.py                       # 200 kills
    python3 benches/durability/batches.py --binary target/debug/judge-run --kills 20
    python3 benches/durability/batches.py --lines 50000 --kills 0    # memory and processor time of one run

Needs only Python 3.9 on Unix. The endpoint is `judge-run simulate`, whose /stats counts the lines that were submitted again.
Exits with 1 if a promise is broken.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from pathlib import Path

LOG = "traces.feedback.jsonl"
LEDGER = "traces.feedback.batches.jsonl"


def stats(url):
    with urllib.request.urlopen(url.removesuffix("/v1") + "/stats") as answer:
        return json.load(answer)


def write_traces(folder, n):
    with open(folder / "traces.jsonl", "w", encoding="utf-8") as file:
        for i in range(n):
            file.write(json.dumps({"trace_id": f"t-{i}", "inputs": f"Question number {i}?", "outputs": f"Answer number {i}."}) + "\n")


def command(binary, url, *more):
    run = [binary, "-d", "traces.jsonl", "-J", "safety", "--base-url", url, "--batch", "--poll-every", "20ms", "-q"]
    return [*run, *more]


def check(folder, url, n):
    records = [json.loads(line) for line in (folder / LOG).read_bytes().splitlines()]
    ids = [record["assessment_id"] for record in records]
    values = {record["trace_id"] for record in records if "value" in record}
    again = stats(url)["batch_lines_again"]
    problems = []
    if len(values) != n or len(records) != n or len(set(ids)) != n:
        problems.append(f"{len(records)} records, {len(set(ids))} ids, {len(values)} verdicts of {n}")
    if again:
        problems.append(f"{again} lines were submitted twice")
    return problems


def size(folder):
    """Bytes of the ledger and the log, which grow by a step or a record."""
    def bytes_of(name):
        try:
            return (folder / name).stat().st_size
        except FileNotFoundError:
            return 0

    return bytes_of(LOG) + bytes_of(LEDGER)


def last_step(folder):
    """What the ledger said last when the process died."""
    lines = (folder / LEDGER).read_bytes().splitlines() if (folder / LEDGER).exists() else []
    if not lines:
        return "before a batch"
    try:
        return json.loads(lines[-1])["event"]
    except ValueError:
        return "half a line"


def round_of_kills(binary, url, folder, n, kills, seconds, steps):
    """Kills until `kills` were made or the run came to its end: at random moments, and as often just after some step or record was written."""
    made = 0
    while made < kills:
        process = subprocess.Popen(command(binary, url, "--batch-max-requests", str(max(n // 4, 1))), cwd=folder,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + random.uniform(0.005, seconds)
        written, left = size(folder), random.choice([None, random.randint(1, 16)])
        while process.poll() is None and time.monotonic() < until and left != 0:
            now = size(folder)
            if left and now != written:
                written, left = now, left - 1
            time.sleep(0.0002)
        if process.poll() is not None:
            break
        process.kill()
        process.wait()
        steps[last_step(folder)] += 1
        made += 1
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="target/release/judge-run")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--traces", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=0.4, help="the longest life of a run")
    parser.add_argument("--lines", type=int, help="instead: one run with so many requests, measured")
    parser.add_argument("--faults", default="disorder,slow")
    args = parser.parse_args()
    binary = os.path.abspath(args.binary)
    simulator = subprocess.Popen([binary, "simulate", "--port", "0", "--latency", "1ms", "--fail-batches", args.faults],
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    url = simulator.stdout.readline().strip()
    problems, made, rounds, steps = [], 0, 0, Counter()
    try:
        with tempfile.TemporaryDirectory() as root:
            if args.lines:
                folder = Path(root)
                write_traces(folder, args.lines)
                started = time.time()
                process = subprocess.Popen(command(binary, url), cwd=folder)
                _, status, usage = os.wait4(process.pid, 0)
                cpu = usage.ru_utime + usage.ru_stime
                print(f"{args.lines} lines: exit {os.waitstatus_to_exitcode(status)}, {time.time() - started:.1f} s, "
                      f"{cpu / args.lines * 1000:.3f} ms of CPU a line, {usage.ru_maxrss / 1024:.0f} MB at most")
                problems += check(folder, url, args.lines)
            while made < args.kills:
                folder = Path(root) / str(rounds)
                folder.mkdir()
                # Other texts each time: an id that an earlier round submitted would count as submitted again.
                write_traces(folder, args.traces)
                text = (folder / "traces.jsonl").read_text().replace("Question", f"Round {rounds}, question")
                (folder / "traces.jsonl").write_text(text)
                made += round_of_kills(binary, url, folder, args.traces, args.kills - made, args.seconds, steps)
                done = subprocess.run(command(binary, url), cwd=folder, capture_output=True, text=True, timeout=300)
                if done.returncode:
                    problems.append(f"exit code {done.returncode}: {done.stderr[-500:]}")
                problems += check(folder, url, args.traces)
                rounds += 1
            if args.kills:
                counted = stats(url)
                print(f"{made} kills in {rounds} rounds of {args.traces}: {counted['batches']} batches, "
                      f"{counted['batch_lines']} lines, {counted['batch_lines_again']} submitted again")
                print("killed after " + ", ".join(f"{step} {times}" for step, times in steps.most_common()))
    finally:
        simulator.kill()
    for problem in problems:
        print(f"BROKEN: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
