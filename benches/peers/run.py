#!/usr/bin/env python3
"""Runs the same 1,000 judgments through judge-run and its peers, and measures them for docs/benchmarks.md.

    cargo build --release --locked
    python3 benches/peers/run.py --all --update docs/benchmarks.md     # everything, about half an hour
    python3 benches/peers/run.py --peers judge-run,Inspect --scenarios quota --markdown
    python3 benches/peers/run.py --markdown                            # the tables again, from results.json

The endpoint is `judge-run simulate` in a process of its own. Each peer is installed from its registry, at the version
in peers.py, into $PEERS_DIR (default: a temporary folder), never into the repository. A running tool can only use the
loopback address. Standard library only; Linux.
"""

import argparse
import json
import os
import platform
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from datetime import date
from pathlib import Path

sys.dont_write_bytecode = True  # Leave no __pycache__ beside these files.

import tables
import work
from peers import JUDGE_RUN, PEERS, PEERS_DIR

TIME_LIMIT = 600  # seconds; a tool that takes longer is killed, and the table says so

# The flags of `judge-run simulate`, and whether the tool is killed after half of the answers.
SCENARIOS = {
    "cpu": ("--latency 0ms", False),
    "latency": ("--latency 200ms", False),
    "quota": (f"--latency 200ms --rpm {work.QUOTA}", False),
    "faults": ("--latency 200ms --fail 429=5%,500=2%,reset=1%", False),
    "killed": ("--latency 200ms", True),
}

# No user settings, no telemetry, no update checks, and a proxy that does not exist for all other hosts.
CLEAN = {
    "PATH": os.environ["PATH"],
    "LANG": "C.UTF-8",
    "OPENAI_API_KEY": "none",
    "PYTHONDONTWRITEBYTECODE": "1",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "NO_PROXY": "127.0.0.1,localhost",
    "DO_NOT_TRACK": "1",
    "PROMPTFOO_DISABLE_TELEMETRY": "1",
    "PROMPTFOO_DISABLE_UPDATE": "1",
    "PROMPTFOO_DISABLE_REMOTE_GENERATION": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "LITELLM_TELEMETRY": "False",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
}


class Simulator:
    """The endpoint, on a free port, with fresh counts for each run."""

    def __init__(self, flags):
        self.quota = work.QUOTA if "--rpm" in flags else 0
        command = [JUDGE_RUN, "simulate", "--port", "0", *flags.split()]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.url = self.process.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        self.process.wait()
        self.process.stdout.close()

    def stats(self):
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(self.url + "/stats") as answer:
            return json.load(answer)


class Memory(threading.Thread):
    """Peak memory of all processes in a session together, in bytes, sampled ten times per second."""

    def __init__(self, session):
        super().__init__(daemon=True)
        self.session, self.peak, self.ended = session, 0, threading.Event()

    def run(self):
        page = resource.getpagesize()
        while not self.ended.wait(0.1):
            total = 0
            for entry in Path("/proc").iterdir():
                try:
                    if entry.name.isdigit() and os.getsid(int(entry.name)) == self.session:
                        total += int((entry / "statm").read_text().split()[1]) * page
                except (OSError, ValueError):
                    continue  # The process has ended.
            self.peak = max(self.peak, total)


def run_once(peer, folder, simulator, kill_at=None, resume=False):
    """Runs a tool to its end, or kills it after `kill_at` answers. Returns wall and CPU seconds, bytes, exit status."""
    environment = {**CLEAN, **peer.environment, "HOME": str(folder), "PROMPTFOO_CONFIG_DIR": str(folder / "promptfoo")}
    environment |= {"OPENAI_BASE_URL": simulator.url, "QUOTA": str(simulator.quota)}
    with open(folder / "output.log", "a") as log:
        started = time.monotonic()
        files = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
        process = subprocess.Popen(peer.argv(resume), cwd=folder, env=environment, start_new_session=True, **files)
        memory = Memory(process.pid)
        memory.start()
        done = threading.Event()

        def watch():
            """Kills the tool and all its processes at the time limit or after `kill_at` answers."""
            while not done.wait(0.02):
                late = time.monotonic() - started > TIME_LIMIT
                if late or (kill_at and simulator.stats()["answered"] >= kill_at):
                    os.killpg(process.pid, signal.SIGKILL)
                    return

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        done.set()
        memory.ended.set()
        watcher.join()
        memory.join()
    # wait4 includes all child processes that were waited for; ru_maxrss is only the largest of them.
    return {
        "wall": wall,
        "cpu": usage.ru_utime + usage.ru_stime,
        "rss": max(memory.peak, usage.ru_maxrss * 1024),
        "exit": process.returncode,
    }


def measure(peer, scenario, count):
    flags, kill = SCENARIOS[scenario]
    with tempfile.TemporaryDirectory(prefix="judge-run-peer-", dir=PEERS_DIR) as name, Simulator(flags) as simulator:
        folder = Path(name)
        work.write_traces(folder / "traces.jsonl", count)
        question = {"system": work.SYSTEM, "user": work.USER, "model": work.MODEL}
        (folder / "question.json").write_text(json.dumps(question))
        shutil.copy(work.HERE / "promptfoo.config.mjs", folder)
        if kill:
            run_once(peer, folder, simulator, kill_at=count // 2)
        run = run_once(peer, folder, simulator, resume=kill)
        stats = simulator.stats()
        environment = {**CLEAN, "HOME": name, "OPENAI_BASE_URL": simulator.url}
        rows = subprocess.run(peer.verdicts_argv(), cwd=folder, env=environment, capture_output=True, text=True)
        if rows.returncode:
            print(rows.stderr, file=sys.stderr)
        verdicts, wrong = set(), set()
        for line in rows.stdout.splitlines():
            row = json.loads(line)
            if row["value"] is not None:
                (verdicts if row["rationale"] == work.RATIONALE else wrong).add(row["id"])
        log = (folder / "output.log").read_text(errors="replace")
        (PEERS_DIR / "last-output.log").write_text(log)
    return run | {"verdicts": len(verdicts), "wrong": len(wrong - verdicts), "stats": stats}


def machine():
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, {system}"


def versions():
    own = subprocess.run([JUDGE_RUN, "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]
    packages = {package for peer in PEERS for package in peer.pip + peer.npm}
    return [f"judge-run {own}", *sorted(re.sub("==|@", " ", package) for package in packages)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="all peers in all scenarios")
    parser.add_argument("--peers", default="", help="comma-separated, from: " + ", ".join(peer.name for peer in PEERS))
    parser.add_argument("--scenarios", default="", help="comma-separated, from: " + ", ".join(SCENARIOS))
    parser.add_argument("--count", type=int, default=1000, help="number of traces (default: 1000)")
    parser.add_argument("--repeat", type=int, default=1, help="runs per row; the tables show the median (default: 1)")
    parser.add_argument("--results", type=Path, default=PEERS_DIR / "results.json", help="where to collect results")
    parser.add_argument("--markdown", action="store_true", help="print the tables of all collected results")
    parser.add_argument("--update", type=Path, metavar="FILE", help="write the tables into FILE, between its markers")
    args = parser.parse_args()

    PEERS_DIR.mkdir(parents=True, exist_ok=True)
    results = json.loads(args.results.read_text()) if args.results.exists() and not args.all else {"runs": {}}
    if args.all or args.peers or args.scenarios:
        names = [name.strip() for name in args.peers.split(",")] if args.peers else [peer.name for peer in PEERS]
        scenarios = args.scenarios.split(",") if args.scenarios else list(SCENARIOS)
        if unknown := set(names) - {peer.name for peer in PEERS} | set(scenarios) - set(SCENARIOS):
            parser.error(f"unknown: {', '.join(sorted(unknown))}")
        peers = [peer for peer in PEERS if peer.name in names]
        for peer in peers:
            peer.install()
        results |= {"machine": machine(), "date": date.today().isoformat(), "versions": versions(), "count": args.count}
        for scenario in scenarios:
            for peer in peers:
                runs = []
                for _ in range(args.repeat):
                    runs.append(measure(peer, scenario, args.count))
                    shown = {key: value for key, value in runs[-1].items() if key != "stats"}
                    print(f"{scenario}: {peer.name}: {shown}", file=sys.stderr)
                results["runs"].setdefault(scenario, {})[peer.name] = runs
                args.results.write_text(json.dumps(results, indent=1))
    markdown = tables.markdown(results, {name: flags for name, (flags, _) in SCENARIOS.items()})
    if args.markdown:
        print(markdown)
    if args.update:
        tables.update(args.update, markdown)


if __name__ == "__main__":
    main()
