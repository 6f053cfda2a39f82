"""`judge_run.ray` on a real Ray on this machine, one of whose workers is killed."""

import os
import pathlib
import signal
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
os.environ["PYTHONPATH"] = str(ROOT / "python")
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
sys.path.insert(0, str(ROOT / "python"))
import ray  # noqa: E402

from judge_run import ray as judges  # noqa: E402
from simulated import Simulator  # noqa: E402

PROGRAM = os.environ.get("JUDGE_RUN", str(ROOT / "target/release/judge-run"))
TRACES, BATCH, IN_FLIGHT = 160, 40, 4


def parent(process):
    try:
        return int(pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def workers(url):
    """The processes of Ray's workers that run the program."""
    found = set()
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if f"--base-url={url}".encode() in command:
            found.add(parent(process.name))
    return [process for process in found if process and process != 1]


def kill_one(simulator, killed):
    """Once some are answered, and more are on their way."""
    while not killed:
        time.sleep(0.05)
        if simulator.stats()["answered"] >= TRACES // 4:
            for victim in workers(simulator.url)[:1]:
                os.kill(victim, signal.SIGKILL)
                killed.append(victim)


with tempfile.TemporaryDirectory() as folder, Simulator(PROGRAM, "--latency", "300ms") as simulator:
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=100 * 2**20)
    ray.data.DataContext.get_current().enable_progress_bars = False
    rows = [{"trace_id": f"t{n}", "inputs": {"question": f"question {n}"}, "outputs": f"answer {n}"} for n in range(TRACES)]
    traces = ray.data.from_items(rows, override_num_blocks=TRACES // BATCH)
    options = {"base_url": simulator.url, "program": PROGRAM, "concurrency": IN_FLIGHT}
    killed = []
    killer = threading.Thread(target=kill_one, args=(simulator, killed), daemon=True)
    killer.start()
    found = judges.judge(traces, "safety", log_dir=f"{folder}/logs", batch_size=BATCH, **options).take_all()
    killer.join()
    assert sorted(row["trace_id"] for row in found) == sorted(row["trace_id"] for row in rows), len(found)
    assert len({row["assessment_id"] for row in found}) == TRACES and all(row["error_code"] is None for row in found)
    again = simulator.stats()["answered_again"]
    # One task ran in the worker.
    assert again <= IN_FLIGHT, again
    failed = judges.judge(traces.limit(3), "safety", base_url="http://127.0.0.1:9/v1", program=PROGRAM, max_retries=0).take_all()
    assert len(failed) == 3 and all(row["error_code"] and row["value"] is None for row in failed), failed
    ray.shutdown()
print(f"ray: {TRACES} judgments, one worker killed: each is there once, {again} were asked again")
