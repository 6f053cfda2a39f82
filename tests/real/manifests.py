"""The manifests of docs/examples: valid by their schemas, and their commands together judge every trace once."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "docs" / "examples"
BINARY = Path(os.environ["JUDGE_RUN"]).resolve()
SCRIPTS = Path(sys.executable).parent


def validate(*command):
    ended = subprocess.run([SCRIPTS / command[0], *command[1:]], capture_output=True, text=True)
    assert ended.returncode == 0, (command, ended.stdout, ended.stderr)


def manifest(name):
    return yaml.safe_load((EXAMPLES / name).read_text())


def judged(command, parts, variables):
    """Runs a command once for each part, with the variables that its scheduler sets, then merges."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(ROOT / "datasets" / "quickstart.jsonl", Path(folder) / "traces.jsonl")
        path = f"{BINARY.parent}:{os.environ['PATH']}"

        def run(command, **more):
            env = {"PATH": path, "JUDGE_RUN_SIMULATE": "1", "JUDGE_RUN_QUIET": "1", **more}
            ended = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
            assert ended.returncode == 0, (command, more, ended.stdout, ended.stderr)

        for index in range(parts):
            run(command, **variables(index))
        logs = sorted(str(log) for log in Path(folder).glob("traces.shard-*.feedback.jsonl"))
        run([BINARY, "merge", *logs, "-o", "all.jsonl"])
        lines = (Path(folder) / "all.jsonl").read_text().rstrip("\n").split("\n")
        ids = sorted(json.loads(line)["trace_id"] for line in lines)
        wanted = (Path(folder) / "traces.jsonl").read_text().rstrip("\n").split("\n")
        assert ids == sorted(json.loads(line)["trace_id"] for line in wanted), ids


validate("kubernetes-validate", "--strict", EXAMPLES / "kubernetes.yaml")
validate("check-jsonschema", "--builtin-schema", "vendor.gitlab-ci", EXAMPLES / "gitlab-ci.yml")
validate("check-jsonschema", "--builtin-schema", "vendor.github-workflows", EXAMPLES / "github.yml")
validate_shell = subprocess.run(["bash", "-n", EXAMPLES / "slurm.sh"])
assert validate_shell.returncode == 0

job = manifest("kubernetes.yaml")["spec"]
judged(
    job["template"]["spec"]["containers"][0]["command"],
    job["completions"],
    lambda index: {"JOB_COMPLETION_INDEX": str(index)},
)

array = next(line for line in (EXAMPLES / "slurm.sh").read_text().splitlines() if line.startswith("#SBATCH --array="))
first, last = map(int, array.split("=")[1].split("-"))
judged(
    ["bash", EXAMPLES / "slurm.sh"],
    last - first + 1,
    lambda index: {
        "SLURM_ARRAY_TASK_ID": str(first + index),
        "SLURM_ARRAY_TASK_MIN": str(first),
        "SLURM_ARRAY_TASK_MAX": str(last),
        "SLURM_ARRAY_TASK_STEP": "1",
        "SLURM_ARRAY_TASK_COUNT": str(last - first + 1),
    },
)

gitlab = manifest("gitlab-ci.yml")["judge"]
judged(
    shlex.split(gitlab["script"][0]),
    gitlab["parallel"],
    lambda index: {"CI_NODE_INDEX": str(index + 1), "CI_NODE_TOTAL": str(gitlab["parallel"])},
)

github = manifest("github.yml")["jobs"]["judge"]
parts = len(github["strategy"]["matrix"]["part"])
expressions = {"${{ strategy.job-index }}": lambda index: index, "${{ strategy.job-total }}": lambda index: parts}
command = next(step["run"] for step in github["steps"] if step.get("run", "").startswith("judge-run"))
judged(
    shlex.split(command),
    parts,
    lambda index: {
        name: str(expressions[value](index)) for name, value in github["env"].items() if value in expressions
    },
)

print("manifests: 4 valid, and each judges every trace once")
