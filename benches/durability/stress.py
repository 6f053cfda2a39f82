#!/usr/bin/env python3
"""Checks that nothing is lost and nothing is paid for twice: kills judge-run in every possible way, and counts.

    cargo build --release
    python3 benches/durability/stress.py                 # everything, a few minutes
    python3 benches/durability/stress.py kill9 --kills 20
    python3 benches/durability/stress.py --binary target/debug/judge-run --keep

Needs only Python 3.9 on Unix. The endpoint is `judge-run simulate`, whose /stats reports the number of requests.
As root, it mounts a small tmpfs as the disk that fills up, and tests write-protected files as another user; else it skips these.
Exits with 1 if a promise is broken.
"""

import argparse
import contextlib
import json
import os
import random
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

LOG = "out.feedback.jsonl"
MANIFEST = "out.feedback.run.json"
JUDGE = "safety"
NOBODY = 65534  # the user id of `nobody`


class Broken(Exception):
    """A broken promise."""


def check(condition, *what):
    if not condition:
        raise Broken(" ".join(str(part) for part in what))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """`judge-run simulate`, which can be killed and restarted on the same port."""

    def __init__(self, binary, latency="20ms"):
        self.binary, self.latency, self.port = binary, latency, free_port()
        self.process = None
        self.start()

    def start(self):
        command = [self.binary, "simulate", "--port", str(self.port), "--latency", self.latency]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        check(self.process.stdout.readline().startswith(b"http"), "the simulator did not start")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def requests(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/stats") as answer:
            return json.load(answer)["requests"]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/v1"


class Workspace:
    """A folder with a dataset, and the runs in it."""

    def __init__(self, binary, folder, server, traces, concurrency):
        self.binary, self.folder, self.server = binary, Path(folder), server
        self.traces, self.concurrency = traces, concurrency
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / "traces.jsonl", "w", encoding="utf-8") as file:
            for n in range(traces):
                trace = {"trace_id": f"t-{n}", "inputs": f"Question number {n}?", "outputs": f"Answer number {n}."}
                file.write(json.dumps(trace) + "\n")

    def command(self, *more, output=LOG):
        run = [self.binary, "-d", "traces.jsonl", "-J", JUDGE, "--base-url", self.server.url, "-o", output]
        return [*run, "-j", str(self.concurrency), *more]

    def start(self, command, **options):
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, **options}
        return subprocess.Popen(command, cwd=self.folder, text=True, **options)

    def run(self, *more, code=0, **options):
        """Runs the command to its end."""
        return self.finish(self.start(self.command(*more), **options), code)

    def finish(self, process, code=None):
        out, err = process.communicate(timeout=180)
        if code is not None:
            check(process.returncode == code, f"exit code {process.returncode}, expected {code}:\n{out}\n{err}")
        return (out or "") + (err or "")

    def path(self, name):
        return self.folder / name

    def lines(self, name=LOG):
        path = self.path(name)
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def wait_for_lines(self, n, process, name=LOG):
        while self.lines(name) < n:
            check(process.poll() is None, f"the run ended before {name} had {n} lines")
            time.sleep(0.002)

    def records(self, name=LOG):
        """Every line, read by a JSON parser other than ours."""
        data = self.path(name).read_bytes()
        check(not data or data.endswith(b"\n"), f"{name} ends in the middle of a line")
        return [json.loads(line) for line in data.splitlines()]

    def all_judged_once(self, name=LOG):
        records = self.records(name)
        ids = [record["assessment_id"] for record in records]
        judged = {record["trace_id"] for record in records if "value" in record}
        check(len(set(ids)) == len(ids), f"{len(ids) - len(set(ids))} judgments are recorded twice")
        missing = self.traces - len(judged)
        check(missing == 0 and len(records) == self.traces, f"{missing} of {self.traces} judgments are missing")

    def clear(self):
        for path in self.folder.iterdir():
            if path.name != "traces.jsonl":
                shutil.rmtree(path) if path.is_dir() else path.unlink()


class Bench:
    def __init__(self, args, root):
        self.args, self.root, self.binary = args, root, str(Path(args.binary).resolve())
        self.figures = {}
        self.servers = []

    def server(self, latency="20ms"):
        self.servers.append(Server(self.binary, latency))
        return self.servers[-1]

    def place(self, name, traces=2000, concurrency=16, latency="20ms", folder=None):
        return Workspace(self.binary, folder or self.root / name, self.server(latency), traces, concurrency)

    def report(self, **figures):
        print("   ", ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in figures.items()), flush=True)

    def kill_at_random(self, name, kill, kills, traces=2000, max_seconds=1.2):
        """Ends runs at random moments, `kills` times in total. A run that finishes is checked, and a new one starts."""
        place = self.place(name, traces)
        done, runs, repeated, asked, damaged = 0, 0, 0, 0, 0
        while done < kills:
            process = place.start(place.command("-q"))
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(random.uniform(0.02, max_seconds))
            if process.poll() is None:
                kill(process)
                process.communicate(timeout=60)
                done += 1
                if done < kills:
                    continue
            # It finished, or was killed for the last time: judge the rest, then count everything.
            place.run("-q")
            place.all_judged_once()
            runs += 1
            now = place.server.requests()
            repeated += now - asked - traces
            asked = now
            torn = place.path(LOG + ".damaged")
            damaged += len(torn.read_bytes().splitlines()) if torn.exists() else 0
            place.clear()
        self.report(ended=done, runs=runs, judgments=runs * traces, repeated_calls=repeated, torn_lines=damaged)
        return repeated, done * place.concurrency

    # The scenarios, in the order they run.

    def kill9(self):
        """kill -9 at random moments: at most the requests in flight are repeated"""
        repeated, limit = self.kill_at_random("kill9", lambda process: process.kill(), self.args.kills)
        check(0 <= repeated <= limit, f"{repeated} calls were repeated, at most {limit} were in flight")

    def term(self):
        """SIGTERM at random moments: no request is repeated"""
        repeated, _ = self.kill_at_random("term", lambda process: process.terminate(), max(self.args.kills // 5, 5))
        check(repeated == 0, f"{repeated} calls were repeated")

    def int_twice(self):
        """SIGINT twice: ends immediately, and at most the requests in flight are repeated"""

        def twice(process):
            process.send_signal(signal.SIGINT)
            time.sleep(0.005)
            process.send_signal(signal.SIGINT)

        repeated, limit = self.kill_at_random("int", twice, max(self.args.kills // 10, 5))
        check(0 <= repeated <= limit, f"{repeated} calls were repeated, at most {limit} were in flight")

    def two_at_once(self):
        """Two runs on one output: one is rejected with the other's process id, and nothing is lost"""
        place = self.place("two", traces=300)
        named = 0
        for _ in range(10):
            pair = [place.start(place.command()) for _ in range(2)]
            texts = [place.finish(process) for process in pair]
            codes = [process.returncode for process in pair]
            check(sorted(codes) == [0, 2], f"exit codes {codes}:\n{texts}")
            loser = codes.index(2)
            check(LOG in texts[loser], texts[loser])
            named += bool(re.search(rf"\b{pair[1 - loser].pid}\b", texts[loser]))
            place.all_judged_once()
            place.clear()
        self.report(pairs=10, named_the_process=named)
        check(named == 10 or sys.platform != "linux", "the message does not name the process")
        check(place.server.requests() == 3000, f"{place.server.requests()} requests for 3000 judgments")

    def server_restart(self):
        """The server dies and comes back: the run waits and continues"""
        place = self.place("restart", traces=2000)
        process = place.start(place.command())
        for n in (300, 900, 1500):
            place.wait_for_lines(n, process)
            place.server.kill()
            time.sleep(1)
            place.server.start()
        place.finish(process, code=0)
        place.all_judged_once()
        self.report(restarts=3, judgments=place.traces)

    def full_disk(self):
        """The disk fills up: the run waits for room; judgments that could not be saved are reported, and repeated later"""
        if os.geteuid() != 0:
            return print("    skipped: mounting a tmpfs requires root")
        folder = self.root / "disk"
        folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=True)
        try:
            self.on_small_disk(folder)
        finally:
            subprocess.run(["umount", folder], check=True)

    def on_small_disk(self, folder):
        ballast = folder / "ballast"

        def fill(leave):
            ballast.write_bytes(b"")
            free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
            ballast.write_bytes(b"x" * max(free - leave, 0))

        # Space is freed in time: the run continues.
        place = self.place("disk", traces=400, folder=folder)
        fill(leave=64 << 10)
        process = place.start(place.command())
        place.wait_for_lines(40, process)
        while os.statvfs(folder).f_bavail > 0:
            time.sleep(0.01)
        time.sleep(3)
        check(process.poll() is None, "the run did not wait for room")
        in_flight = place.server.requests() - place.lines()
        ballast.unlink()
        place.finish(process, code=0)
        place.all_judged_once()
        check(place.server.requests() == 400, f"{place.server.requests()} requests for 400 judgments")
        self.report(freed="in time", asked_but_unsaved_while_full=in_flight, repeated_calls=0)
        place.clear()

        # Space is not freed: the run reports what it could not save, and the next run asks it again.
        before = place.server.requests()
        fill(leave=64 << 10)
        process = place.start(place.command())
        text = place.finish(process, code=4)
        saved, asked = len(place.records()), place.server.requests() - before
        unsaved = re.search(r"(\d+) judgments? could not be saved", text)
        check(unsaved, f"the number of unsaved judgments is not reported:\n{text}")
        check("No space left on device" in text, text)
        # Starting on a full disk: the log stays as it is, and the message says why nothing was saved.
        text = place.finish(place.start(place.command("--grace", "1s")))
        check("No space left on device" in text, text)
        place.records()
        ballast.unlink()
        place.run()
        place.all_judged_once()
        repeated = place.server.requests() - before - 400
        self.report(freed="never", saved=saved, asked=asked, reported_as_unsaved=unsaved[1], repeated_calls=repeated)
        check(repeated <= 2 * place.concurrency, f"{repeated} calls were repeated")

        # A torn line and no room to copy it: it is not removed until it is saved elsewhere.
        with open(place.path(LOG), "ab") as log:
            log.write(b'{"assessment_id": "a-torn, ' + b"x" * 9000)
        torn = place.path(LOG).read_bytes()
        fill(leave=0)
        text = place.finish(place.start(place.command()), code=2)
        check("No space left on device" in text, text)
        check(place.path(LOG).read_bytes() == torn, "the torn line is lost")
        ballast.unlink()
        place.run()
        kept = place.path(LOG + ".damaged").read_bytes().splitlines()
        check(len(kept) == 1 and torn.endswith(kept[0]), f"{len(kept)} lines in .damaged")
        place.all_judged_once()

        # Lines that are not traces, and no room to set them aside.
        place.clear()
        (folder / "traces.jsonl").write_text("not a trace\n" * 200 + (folder / "traces.jsonl").read_text())
        fill(leave=8 << 10)
        text = place.finish(place.start(place.command("--grace", "1s")), code=4)
        check("No space left on device" in text, text)
        ballast.unlink()
        place.run(code=3)
        place.all_judged_once()
        check(place.lines("out.feedback.rejects.jsonl") == 200, "rejected lines are missing")

        # compact and merge on a full disk: the old files stay as they are.
        log = place.path(LOG).read_bytes()
        place.path(LOG).write_bytes(self.with_superseded(log))
        before = place.path(LOG).read_bytes()
        fill(leave=4096)
        text = place.finish(place.start([self.binary, "compact", LOG]), code=4)
        check("No space left on device" in text and place.path(LOG).read_bytes() == before, text)
        text = place.finish(place.start([self.binary, "merge", LOG, "-o", "all.jsonl"]))
        check("No space left on device" in text and not place.path("all.jsonl").exists(), text)
        left = [path.name for path in folder.iterdir() if path.suffix in (".compacting", ".merging", ".writing")]
        check(not left, f"left behind: {left}")
        self.report(torn_line="kept", rejects="kept", compact_and_merge="left the logs as they were")

    @staticmethod
    def with_superseded(log):
        """The log, with a failure of every judgment before its verdict."""
        failed = []
        for line in log.splitlines():
            record = json.loads(line)
            record.pop("value", None)
            failed.append(json.dumps({**record, "error": {"error_code": "TIMEOUT"}}).encode())
        return b"".join(line + b"\n" for line in failed) + log

    def log_tampered(self):
        """The log is deleted, moved, replaced or cut during the run: reported, and nothing is lost"""

        def delete(place):
            place.path(LOG).unlink()

        def move(place):
            place.path(LOG).rename(place.path("moved.jsonl"))

        def replace(place):
            place.path("new").write_text("another program's\n")
            place.path("new").replace(place.path(LOG))

        def truncate(place):
            os.truncate(place.path(LOG), 0)

        place = self.place("tampered", traces=600)
        for tamper, rescued in ((delete, LOG), (move, "moved.jsonl"), (replace, LOG + ".rescued")):
            before = place.server.requests()
            process = place.start(place.command())
            place.wait_for_lines(100, process)
            tamper(place)
            # What can be restored is no reason to stop.
            text = place.finish(process, code=0 if tamper is delete else 4)
            check(place.path(rescued).exists(), f"{rescued} does not exist:\n{text}")
            if tamper is replace:
                check(rescued in text, f"{rescued} is not named:\n{text}")
                check(place.path(LOG).read_text() == "another program's\n", "another program's file was changed")
            place.path(rescued).replace(place.path(LOG))
            place.run()
            place.all_judged_once()
            repeated = place.server.requests() - before - place.traces
            check(repeated <= place.concurrency, f"{tamper.__name__}: {repeated} calls were repeated")
            self.report(log=tamper.__name__ + "d", repeated_calls=repeated)
            place.clear()

        # The log is cut in place: its records are put back, and the run continues.
        before = place.server.requests()
        process = place.start(place.command())
        place.wait_for_lines(100, process)
        truncate(place)
        place.finish(process, code=0)
        place.all_judged_once()
        check(place.server.requests() - before == place.traces, "calls were repeated, or left out")

    def not_a_log(self):
        """An output that cannot be a log is rejected before anything is sent"""
        place = self.place("refused", traces=5)
        place.path("folder").mkdir()
        os.mkfifo(place.path("pipe"))
        place.path("notes.txt").write_text("my notes\n")
        for output, hint in (
            ("folder", "-o folder/feedback.jsonl"),
            ("pipe", "-o - > pipe"),
            ("/dev/full", "/dev/full"),
            ("/dev/stdout", "/dev/stdout"),
            ("notes.txt/out.jsonl", "notes.txt"),
            ("notes.txt", "notes.txt"),
        ):
            text = place.finish(place.start(place.command(output=output)), code=2)
            check(hint in text, f"{output}: {text}")
        check(place.server.requests() == 0, "something was sent")
        with open("/dev/full", "w") as full:
            # Every judgment is saved; only printing the summary fails.
            process = place.start(place.command(), stdout=full)
            place.finish(process)
            place.all_judged_once()
        if os.geteuid() == 0:
            os.chmod(self.root, 0o755)
            place.path(LOG).chmod(0o644)
            before = place.path(LOG).read_bytes()
            as_nobody = {"user": NOBODY, "group": NOBODY}
            text = place.finish(place.start(place.command(), **as_nobody), code=2)
            check("Permission denied" in text, text)
            text = place.finish(place.start(place.command(output="new.jsonl"), **as_nobody), code=2)
            check("Permission denied" in text, text)
            check(place.path(LOG).read_bytes() == before, "a write-protected log was changed")
        self.report(rejected=6, sent=0)

    def hangup_and_pipes(self):
        """SIGHUP, a reader that closes the pipe, closed streams: nothing is lost"""
        place = self.place("hangup", traces=600)
        # The terminal is closed: requests in flight are saved. (This script itself may run under nohup.)
        default_hangup = {"preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL)}
        process = place.start(place.command(), **default_hangup)
        place.wait_for_lines(100, process)
        process.send_signal(signal.SIGHUP)
        if sys.platform == "linux":
            place.finish(process, code=130)
            place.run()
            check(place.server.requests() == 600, f"{place.server.requests()} requests for 600 judgments")
        else:
            place.finish(process)
            place.run()
        place.all_judged_once()
        place.clear()
        # Under nohup the run continues.
        process = place.start(["nohup", *place.command()])
        place.wait_for_lines(100, process)
        process.send_signal(signal.SIGHUP)
        place.finish(process, code=0)
        place.all_judged_once()
        place.clear()
        # The reader closes the pipe.
        before = place.server.requests()
        pipe = " ".join(place.command(output="-")) + " | head -1"
        text = place.finish(place.start(["bash", "-o", "pipefail", "-c", pipe]), code=0)
        asked = place.server.requests() - before
        check("panicked" not in text, text)
        check(asked < 600, "the run asked everything although its output was closed")
        # Closed streams.
        for closed in ("2>&-", "<&-", "2>&- <&-", ">&-", ">&- 2>&- <&-"):
            text = place.finish(place.start(["bash", "-c", " ".join(place.command()) + " " + closed]), code=0)
            check("panicked" not in text, text)
            place.all_judged_once()
            place.clear()
        self.report(hangup="saved", nohup="continued", asked_for_head_1=asked, closed_streams=5)

    def rewriting(self):
        """compact, merge and --overwrite killed at random moments: the old file or the new one is left whole"""
        place = self.place("rewriting", traces=3000)
        place.run("-q")
        whole = place.path(LOG).read_bytes()
        place.path(LOG).write_bytes(self.with_superseded(whole) * 3)
        before = place.path(LOG).read_bytes()
        took = self.time_of(place, [self.binary, "compact", LOG])
        after = place.path(LOG).read_bytes()
        killed, old, new = 0, 0, 0
        while killed < self.args.kills // 4:
            place.path(LOG).write_bytes(before)
            process = place.start([self.binary, "compact", LOG])
            time.sleep(random.uniform(0, took))
            killed += process.poll() is None
            process.kill()
            process.communicate()
            now = place.path(LOG).read_bytes()
            check(now in (before, after), "the log is neither the old one nor the new one")
            old, new = old + (now == before), new + (now == after)
        self.report(compactions_killed=killed, left_the_old_log=old, left_the_new_log=new)

        place.path(LOG).write_bytes(whole)
        merge = [self.binary, "merge", LOG, LOG, "-o", "all.jsonl"]
        took = self.time_of(place, merge)
        merged, killed = place.path("all.jsonl").read_bytes(), 0
        for overwrite in ([], ["--overwrite"]):
            for _ in range(self.args.kills // 8):
                for name in ("all.jsonl", "all.jsonl.bak"):
                    place.path(name).unlink(missing_ok=True)
                if overwrite:
                    place.path("all.jsonl").write_bytes(whole)
                process = place.start([*merge, *overwrite])
                time.sleep(random.uniform(0, took))
                killed += process.poll() is None
                process.kill()
                process.communicate()
                names = [name for name in ("all.jsonl", "all.jsonl.bak") if place.path(name).exists()]
                there = {name: place.path(name).read_bytes() for name in names}
                check(there.get("all.jsonl", b"") in (b"", merged, whole), "the merged log is incomplete")
                check(not overwrite or whole in there.values() or merged in there.values(), "the old log is lost")
                # The same command again succeeds.
                again = place.finish(place.start([*merge, "--overwrite"]), code=0)
                check(place.path("all.jsonl").read_bytes() == merged, again)
        self.report(merges_killed=killed)

        overwritten = 0
        for _ in range(self.args.kills // 8):
            place.clear()
            place.path(LOG).write_bytes(whole)
            process = place.start(place.command("--overwrite", "-q"))
            time.sleep(random.uniform(0, 0.4))
            process.kill()
            process.communicate()
            kept = [name for name in (LOG, LOG + ".bak") if place.path(name).exists()]
            check(any(place.path(name).read_bytes() == whole for name in kept), "the overwritten log is lost")
            overwritten += LOG + ".bak" in kept
        self.report(overwrites_killed=self.args.kills // 8, after_the_old_log_was_moved=overwritten)

    @staticmethod
    def time_of(place, command):
        """The time an undisturbed command takes, plus 10 %."""
        started = time.monotonic()
        place.finish(place.start(command), code=0)
        return 1.1 * (time.monotonic() - started)


SCENARIOS = [
    "kill9", "term", "int_twice", "two_at_once", "server_restart", "full_disk", "log_tampered", "not_a_log",
    "hangup_and_pipes", "rewriting",
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenario", nargs="*", choices=[[], *SCENARIOS], help="scenarios to run (default: all)")
    parser.add_argument("--binary", default="target/release/judge-run")
    parser.add_argument("--kills", type=int, default=200, help="number of kills; other scenarios scale with it (default: 200)")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--keep", action="store_true", help="keep the files, and print where they are")
    args = parser.parse_args()
    if not Path(args.binary).is_file():
        sys.exit(f"{args.binary} not found; build it with `cargo build --release`")
    random.seed(args.seed)
    root = Path(tempfile.mkdtemp(prefix="durability-"))
    print(f"seed {args.seed}" + (f", files in {root}" if args.keep else ""))
    bench, broken = Bench(args, root), []
    try:
        for name in args.scenario or SCENARIOS:
            scenario = getattr(bench, name)
            print(f"{name}: {scenario.__doc__}", flush=True)
            started = time.monotonic()
            try:
                scenario()
                print(f"    ok in {time.monotonic() - started:.0f} s", flush=True)
            except (Broken, json.JSONDecodeError, subprocess.TimeoutExpired) as error:
                broken.append(name)
                print(f"    BROKEN: {error}", flush=True)
    finally:
        for server in bench.servers:
            server.kill()
        if not args.keep:
            shutil.rmtree(root, ignore_errors=True)
    print("all promises kept" if not broken else f"broken: {', '.join(broken)}")
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
