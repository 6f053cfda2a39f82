"""`judge_run.spark` on a real cluster of two workers on this machine, one of which is killed; and by Spark Connect. Needs a Java
runtime."""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time

from pyspark.sql import SparkSession

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "python"))
from judge_run import spark as judges  # noqa: E402
from simulated import Simulator  # noqa: E402

os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
os.environ["PYSPARK_PYTHON"] = sys.executable
PROGRAM = os.environ.get("JUDGE_RUN", str(ROOT / "target/release/judge-run"))
TRACES, PARTITIONS, IN_FLIGHT = 240, 6, 4


def executors():
    """The processes of Spark's workers that run tasks."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"org.apache.spark.executor.CoarseGrainedExecutorBackend" in command and str(os.getpid()).encode() in b" ".join(command):
            found.append(int(process.name))
    return found


def kill_one(simulator, killed):
    """Once some are answered, and more are on their way."""
    while simulator.stats()["answered"] < TRACES // 4:
        time.sleep(0.05)
    victim = executors()[0]
    os.kill(victim, signal.SIGKILL)
    killed.append(victim)


def connect():
    """The same by Spark Connect, which has no RDDs."""
    session = SparkSession.builder.remote("local[2]").getOrCreate()
    rows = [(f"t{n}", f"question {n}", f"answer {n}") for n in range(20)]
    traces = session.createDataFrame(rows, "trace_id string, inputs string, outputs string").repartition(3)
    found = judges.judge(traces, "safety", simulate=True, program=PROGRAM).collect()
    assert type(traces).__module__.startswith("pyspark.sql.connect") and len(found) == 20, found
    session.stop()


if sys.argv[1:] == ["connect"]:
    connect()
    sys.exit()

with tempfile.TemporaryDirectory() as folder, Simulator(PROGRAM, "--latency", "300ms") as simulator:
    session = (
        SparkSession.builder.master("local-cluster[2,1,1024]")
        .config("spark.executorEnv.PYTHONPATH", str(ROOT / "python"))
        .config("spark.executor.extraJavaOptions", f"-Djudge.run.test={os.getpid()}")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.shuffle.partitions", str(PARTITIONS))
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("OFF")
    rows = [(f"t{n}", f"question {n}", f"answer {n}") for n in range(TRACES)]
    traces = session.createDataFrame(rows, "trace_id string, inputs string, outputs string").repartition(PARTITIONS, "trace_id")
    options = {"base_url": simulator.url, "program": PROGRAM, "concurrency": IN_FLIGHT}
    feedback = judges.judge(traces, "safety", log_dir=f"{folder}/logs", **options)
    killed = []
    killer = threading.Thread(target=kill_one, args=(simulator, killed), daemon=True)
    killer.start()
    found = feedback.collect()
    killer.join()
    assert killed, "no worker was killed"
    assert sorted(row.trace_id for row in found) == sorted(row[0] for row in rows), len(found)
    assert len({row.assessment_id for row in found}) == TRACES and all(row.valid and row.error_code is None for row in found)
    again = simulator.stats()["answered_again"]
    # One task ran on the worker.
    assert again <= IN_FLIGHT, again
    before = simulator.stats()["requests"]
    # Spark computes it anew, and nothing is asked.
    means = feedback.groupBy("name").avg("score").collect()
    assert len(means) == 1 and means[0][1] is not None
    assert simulator.stats()["requests"] == before
    failed = judges.judge(traces.limit(3), "safety", base_url="http://127.0.0.1:9/v1", program=PROGRAM, max_retries=0).collect()
    assert len(failed) == 3 and all(row.error_code and row.value is None for row in failed), failed
    session.stop()
env = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
subprocess.run([sys.executable, __file__, "connect"], check=True, env=env, stdout=subprocess.DEVNULL, timeout=300)
print(f"spark: {TRACES} judgments on two workers, one killed: each is there once, {again} were asked again")
