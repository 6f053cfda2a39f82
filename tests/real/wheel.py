"""The wheel: built by maturin, installed into an empty environment, and tried without a checkout, a Rust toolchain or a network.

    python tests/real/wheel.py [PROFILE]

With the profile that was built last, `release` if none is named, nothing is compiled again: the wheel has the program that `cargo build` has made.
"""

import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def both_outputs(*command, **more):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **more)
    assert done.returncode == 0, (command, done.stdout[-2000:], done.stderr[-4000:])
    return done.stdout, done.stderr


def run(*command, **more):
    return both_outputs(*command, **more)[0]


with tempfile.TemporaryDirectory() as folder:
    folder = Path(folder)
    maturin = Path(sys.executable).parent / "maturin"
    profile = sys.argv[1] if len(sys.argv) > 1 else "release"
    _, messages = both_outputs(maturin, "build", "--profile", profile, "--locked", "--out", folder / "wheels", cwd=ROOT)
    compiled = messages.count("Compiling ")
    (wheel,) = (folder / "wheels").glob("*.whl")
    # Of no Python in particular.
    assert "-py3-none-" in wheel.name, wheel.name

    venv.create(folder / "venv", with_pip=True)
    binaries = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    run(binaries / "python", "-m", "pip", "install", "-q", "--no-index", "--disable-pip-version-check", wheel)
    work = folder / "work"
    work.mkdir()
    alone = {"cwd": work, "env": {"PATH": str(binaries)}}
    version = run("judge-run", "--version", **alone)
    assert version.split()[1] in wheel.name, (version, wheel.name)
    run("judge-run", "--dataset", "quickstart", "--judge", "factual_accuracy", "--simulate", **alone)
    records = [json.loads(line) for line in (work / "quickstart.feedback.jsonl").read_text().splitlines()]
    assert len(records) == 25 and all("value" in record for record in records)
    script = (
        "import judge_run; "
        "rows = judge_run.judge([{'trace_id': 't', 'inputs': 'q', 'outputs': 'a'}], 'safety', simulate=True); "
        "print(judge_run.binary(), [row['trace_id'] for row in rows])"
    )
    printed = run(binaries / "python", "-c", script, **alone).split(maxsplit=1)
    assert Path(printed[0]).parent == binaries and printed[1].strip() == "['t']", printed
    assert run(binaries / "python", "-m", "judge_run", "--version", **alone) == version
    run("judge-run", "init", **alone)
    run("judge-run", "--simulate", "-q", **alone)
    size = wheel.stat().st_size / 1e6

again = f"{compiled} crates compiled" if compiled else "nothing compiled again"
print(f"wheel: {wheel.name}, {size:.1f} MB, {again}; judges the quickstart in an empty environment")
