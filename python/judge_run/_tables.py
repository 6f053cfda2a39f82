"""Tables on one machine: pandas, polars, PyArrow, or a list of dicts. A library is imported only if a table of its own was passed."""

from __future__ import annotations

import sys
from typing import Any, Iterable, Mapping

from ._run import COLUMNS, Judges, Row, feedback

_PANDAS = {str: "object", float: "Float64", bool: "boolean", int: "int64"}


def judge(traces: Any, judges: Judges = None, **options: Any) -> Any:
    """Judges a table of traces, and returns the feedback as a table of the same kind.

    `traces` is a pandas or polars DataFrame, a PyArrow table, or dicts, with the columns of a judge-run dataset (`trace_id`,
    `inputs`, `outputs`, ...). `judges` are names or files. Options are those of the command line: `model="openai:/gpt-4.1-mini"`, `rpm=500`,
    `simulate=True`, `map={"outputs": "answer"}`, `log="nightly.feedback.jsonl"`. See `judge_run.feedback` for `log`, `log_dir` and errors.
    """
    kind = _kind(traces)
    rows = list(feedback(records(traces), judges, **options))
    if kind == "pandas":
        return to_pandas(rows)
    if kind == "polars":
        polars = sys.modules["polars"]
        types = {str: polars.String, float: polars.Float64, bool: polars.Boolean, int: polars.Int64}
        return polars.DataFrame(rows, schema={name: types[kind] for name, kind in COLUMNS.items()})
    if kind == "pyarrow":
        return to_arrow(rows)
    return rows


def records(traces: Any) -> Iterable[Row]:
    """The rows of a table as dicts."""
    kind = _kind(traces)
    rows: Iterable[Row]
    if kind == "pandas":
        names = [str(name) for name in traces.columns]
        rows = (dict(zip(names, row)) for row in traces.itertuples(index=False, name=None))
    elif kind == "polars":
        rows = traces.iter_rows(named=True)
    elif kind == "pyarrow":
        rows = (row for batch in traces.to_batches() for row in batch.to_pylist())
    elif isinstance(traces, Mapping):
        raise TypeError("expected a table of traces, found a single dict; put it into a list")
    else:
        rows = traces
    return rows


def to_pandas(rows: list[dict[str, Any]]) -> Any:
    """As a pandas DataFrame, with nullable types."""
    import pandas

    columns = {name: pandas.Series([row[name] for row in rows], dtype=_PANDAS[kind]) for name, kind in COLUMNS.items()}
    return pandas.DataFrame(columns)


def to_arrow(rows: list[dict[str, Any]]) -> Any:
    """As a PyArrow table."""
    import pyarrow

    types = {str: pyarrow.string(), float: pyarrow.float64(), bool: pyarrow.bool_(), int: pyarrow.int64()}
    return pyarrow.Table.from_pylist(rows, schema=pyarrow.schema([(name, types[kind]) for name, kind in COLUMNS.items()]))


def _kind(traces: Any) -> str:
    return type(traces).__module__.partition(".")[0]
