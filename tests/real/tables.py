"""Reads every output format with pandas, polars, DuckDB and, where it is installed, LibreOffice; compares counts and means with the log."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import duckdb
import openpyxl
import pandas
import polars

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


HOSTILE = ["=1+1", '=HYPERLINK("http://x.invalid","click")', "@SUM(1)", "+1+1", "-1+1", "'quoted", "tab\tand, comma", "two\nlines", "grüße 你好"]


def spreadsheet(table):
    """The cells of a table as LibreOffice's import of CSV (UTF-8, comma, quoted as text where it is quoted) sees them, as text."""
    subprocess.run(
        ["soffice", "-env:UserInstallation=file://" + os.path.abspath("office"), "--headless", "--infilter=CSV:44,34,76,1",
         "--convert-to", "xlsx", "--outdir", "office-out", table],
        check=True, capture_output=True, timeout=300)
    name = pathlib.Path("office-out") / (pathlib.Path(table).stem + ".xlsx")
    book = openpyxl.load_workbook(name)
    assert not any(cell.data_type == "f" for row in book.active.iter_rows() for cell in row), "a cell became a formula"
    return pandas.read_excel(name)


def spreadsheets(run):
    """What LibreOffice imports has every row and the same figures, and nothing in it runs."""
    table = spreadsheet("results.csv")
    expected = pandas.read_csv("results.csv")
    assert list(table) == list(expected) and len(table) == len(expected), list(table)
    assert table.trace_id.tolist() == expected.trace_id.tolist()
    assert (table.score - expected.score).abs().max() < 1e-9 and table.passed.eq(True).tolist() == expected.passed.eq(True).tolist()
    wide = spreadsheet("results.wide.csv")
    assert len(wide) == 25, len(wide)
    source = {"source_type": "HUMAN", "source_id": "=cmd|' /C calc'!A0"}
    with open("hostile.jsonl", "w", encoding="utf-8") as log:
        for n, text in enumerate(HOSTILE):
            log.write(json.dumps({"name": "tone", "trace_id": f"t{n}", "value": text, "rationale": text, "source": source}) + "\n")
    run("convert", "hostile.jsonl", "hostile.csv", "--bom")
    table = spreadsheet("hostile.csv")
    assert table.trace_id.tolist() == [f"t{n}" for n in range(len(HOSTILE))]
    found = [text.removeprefix("'") if text[:2] in ("'=", "'@", "'+", "'-", "''") else text for text in table.rationale]
    assert found == HOSTILE, found


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

        frame = polars.read_csv("results.csv")
        mean_of_polars = frame.filter(polars.col("name") == "factual_accuracy")["score"].mean()
        assert len(frame) == 50 and abs(mean_of_polars - mean) < 1e-9
        assert abs(polars.read_csv("results.wide.csv")[simulated].mean() - mean) < 1e-9
        of_log = polars.read_ndjson("results.feedback.jsonl", schema_overrides={"value": polars.String})
        assert len(of_log) == 50 and of_log["value"].null_count() == 0

        readers = f"pandas {pandas.__version__}, polars {polars.__version__} and DuckDB {duckdb.__version__}"
        if shutil.which("soffice"):
            spreadsheets(run)
            readers += ", and LibreOffice"
        else:
            print("skipped: LibreOffice is not installed")
        print(f"{readers}: 50 records, mean {mean:.3f} in every format")


main()
