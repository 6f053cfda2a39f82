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


LABELS = ["None", "N/A", "null", "good", "true", "1", 'the "best"']


def labels_survive(run, one):
    """Labels that readers of tables take for something else come back as they are, as docs/results.md shows."""
    source = {"source_type": "LLM_JUDGE", "source_id": "x:/m"}
    with open("labels.jsonl", "w", encoding="utf-8") as log:
        for n, label in enumerate(LABELS):
            log.write(json.dumps({"name": "tone", "trace_id": f"t{n}", "value": label, "source": source}) + "\n")
    run("convert", "labels.jsonl", "labels.csv", "--bom")
    table = pandas.read_csv("labels.csv")
    label = table.value.map(lambda text: json.loads(text) if text.startswith('"') else text)
    assert label.tolist() == LABELS, label.tolist()
    assert table.value_type.eq("string").all() and table.score.isna().all()
    of_duckdb = """select list(case when value[1] = '"' then value::json ->> '$' else value end order by trace_id)
                   from 'labels.csv'"""
    assert one(of_duckdb) == LABELS, one(of_duckdb)


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

        simulated = "factual_accuracy__simulated_judge"
        table = pandas.read_csv("results.csv")
        assert len(table) == len(log) == 50
        means = table.groupby("name").score.mean()
        assert abs(means["factual_accuracy"] - mean) < 1e-9
        safe = [record["value"] for record in log if record["name"] == "safety"]
        assert abs(means["safety"] - sum(safe) / len(safe)) < 1e-9
        assert table[table.name == "safety"].passed.tolist() == table[table.name == "safety"].value.eq("true").tolist()
        wide = pandas.read_csv("results.wide.csv")
        assert len(wide) == 25 and abs(wide[simulated].mean() - mean) < 1e-9, list(wide)
        lines = pandas.read_json("results.feedback.jsonl", lines=True)
        assert set(lines.name) == {"factual_accuracy", "safety"} and len(lines) == 50

        connection = duckdb.connect()
        one = lambda query: connection.execute(query).fetchall()[0][0]
        assert one("select count(*) from 'results.feedback.jsonl'") == 50
        assert one("select count(*) from 'results.mlflow.jsonl'") == 50
        of_csv = "select avg(score) from 'results.csv' where name = 'factual_accuracy'"
        assert abs(one(of_csv) - mean) < 1e-9
        assert abs(one(f"select avg({simulated}) from 'results.wide.csv'") - mean) < 1e-9
        labels_survive(run, one)
        print(f"pandas {pandas.__version__} and DuckDB {duckdb.__version__}: 50 records, mean {mean:.3f} in every format")


main()
