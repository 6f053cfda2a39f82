"""Opens MLflow's own pages in Chromium after two pushes: the run, the comparison of both, and the traces show what was judged.

As for report_page.py, Chromium is found on the path or named by CHROMIUM, and SCREENSHOTS=FOLDER keeps pictures.
"""
import json
import os
import shutil
import subprocess
import tempfile

from playwright.sync_api import sync_playwright

import mlflow_server
from mlflow_server import JUDGE_RUN, make_traces

NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
SCREENSHOTS = os.environ.get("SCREENSHOTS")
JUDGES = ["safety", "relevance", "retrieval_relevance"]
mlflow_server.TRACES = 20


def judged_and_pushed(model):
    """The run's id on the server."""
    command = [JUDGE_RUN, "-d", "traces.jsonl", "-J", ",".join(JUDGES), "--simulate", "-m", f"openai:/{model}", "-q", "-o", f"{model}.jsonl"]
    subprocess.run(command, check=True)
    pushed = subprocess.run([JUDGE_RUN, "mlflow", "push", f"{model}.jsonl"], check=True, capture_output=True, text=True)
    return pushed.stdout.split("/runs/")[1].split()[0]


def look(browser, name, address, expected):
    """The page has all of these texts, sooner or later: MLflow asks for its data piece by piece."""
    page = browser.new_context(viewport={"width": 2400, "height": 1200}).new_page()
    page.goto(address)
    page.wait_for_function("texts => texts.every(text => document.body.innerText.includes(text))", arg=expected, timeout=120_000)
    if SCREENSHOTS:
        page.screenshot(path=f"{SCREENSHOTS}/{name}.png")
    page.context.close()


def test(folder, uri):
    os.environ["MLFLOW_TRACKING_URI"] = uri
    mlflow = make_traces(uri)
    os.chdir(folder)
    subprocess.run([JUDGE_RUN, "mlflow", "pull", "--experiment", "bot", "-o", "traces.jsonl"], check=True, stdout=subprocess.DEVNULL)
    runs = [judged_and_pushed(model) for model in ["small", "large"]]
    names = [mlflow.get_run(run).info.run_name for run in runs]
    metrics = mlflow.get_run(runs[0]).data.metrics
    experiment = f"{uri}/#/experiments/{mlflow.get_experiment_by_name('bot').experiment_id}"
    shown = [str(metrics[f"safety/pass_rate{end}"]) for end in ["", "/lower", "/upper"]]
    questions = [f"Question {n}?" for n in range(mlflow_server.TRACES)]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        look(browser, "run", f"{experiment}/runs/{runs[0]}", [names[0], "Finished", "safety/pass_rate/lower", *shown, "judge.safety.model"])
        compared = f"{experiment}/evaluation-runs?selectedRunUuid={runs[0]}&compareToRunUuid={runs[1]}"
        look(browser, "comparison", compared, ["Comparing", *names, *shown, "Safety", "Retrieval relevance", questions[-1]])
        look(browser, "traces", f"{experiment}/traces", [*JUDGES, questions[-1]])
        browser.close()


def main():
    if not CHROMIUM:
        print("skipped: no Chromium is on the path; CHROMIUM may name one")
        return
    with tempfile.TemporaryDirectory() as folder, mlflow_server.server(folder) as uri:
        test(folder, uri)
    print("MLflow's pages show the run, the comparison and the verdicts")


main()
