"""Reads every output format with pandas and DuckDB, and compares counts and means with the log."""
import json
import os
import pathlib
import subprocess
import tempfile

import duckdb
import pandas

ROOT = pathlib.Path(__file__).resolve().parents[2]
JUDGE_RUN = os.environ.get("JUDGE_RUN", str(ROOT / "target/release/judge-run"))


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        run = lambda *args: subprocess.run([JUDGE_RUN, *args], check=True, capture_output=True, text=True)
        dataset = str(ROOT / "datasets/quickstart.jsonl")
        run("-d", dataset, "-J", "factual_accuracy", "-J", "safety", "--simulate", "-o", "results.csv", "-q")
        for name in ["results.wide.csv", "results.mlflow.jsonl"]:
            run("convert", "results.feedback.jsonl", name)
        log = [json.loads(line) for line in open("results.feedback.jsonl", encoding="utf-8")]
        values = [record["value"] for record in log if record["name"] == "factual_accuracy"]
        mean = sum(values) / len(values)

        table = pandas.read_csv("results.csv")
        assert len(table) == len(log) == 50
        accuracy = pandas.to_numeric(table[table.name == "factual_accuracy"].value)
        assert abs(accuracy.mean() - mean) < 1e-9
        wide = pandas.read_csv("results.wide.csv")
        assert len(wide) == 25 and abs(wide["factual_accuracy"].mean() - mean) < 1e-9, list(wide)
        lines = pandas.read_json("results.feedback.jsonl", lines=True)
        assert set(lines.name) == {"factual_accuracy", "safety"} and len(lines) == 50

        connection = duckdb.connect()
        one = lambda query: connection.execute(query).fetchall()[0][0]
        assert one("select count(*) from 'results.feedback.jsonl'") == 50
        assert one("select count(*) from 'results.mlflow.jsonl'") == 50
        of_csv = "select avg(value::double) from read_csv('results.csv', all_varchar = true) where name = 'factual_accuracy'"
        assert abs(one(of_csv) - mean) < 1e-9
        assert abs(one("select avg(factual_accuracy) from 'results.wide.csv'") - mean) < 1e-9
        print(f"pandas {pandas.__version__} and DuckDB {duckdb.__version__}: 50 records, mean {mean:.3f} in every format")


main()
