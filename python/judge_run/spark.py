"""Judges a Spark DataFrame, partition by partition; also with Spark Connect.

    from judge_run import spark
    feedback = spark.judge(traces, "safety", model="openai:/gpt-4.1-mini", log_dir="/mnt/shared/logs", quota_server="redis://quota:6379", rpm=6000)
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Iterator

from ._run import COLUMNS, Judges, feedback
from ._tables import records, to_pandas

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: The schema of feedback.
SCHEMA = ", ".join(f"{name} {({str: 'string', float: 'double', bool: 'boolean', int: 'bigint'})[kind]}" for name, kind in COLUMNS.items())

_ROWS = 10_000


def judge(traces: DataFrame, judges: Judges = None, *, log_dir: str | None = None, **options: Any) -> DataFrame:
    """The feedback on a DataFrame of traces. Each task runs the program over one partition; options are those of `judge_run.judge`.

    Spark computes a DataFrame again each time it is used, and a task again when its worker is lost. With `log_dir`, a folder that all workers
    share, each partition keeps a log there, and what it has is not asked again. Without one, keep the result (`cache`, `write`).

    Every task has its own quota: give it `rpm` divided by the number of concurrent tasks, or a `quota_server`.
    """
    return traces.mapInPandas(functools.partial(_partition, judges, log_dir, options), SCHEMA)


def _partition(judges: Judges, log_dir: str | None, options: dict[str, Any], batches: Iterator[Any]) -> Iterator[Any]:
    rows: list[dict[str, Any]] = []
    traces = (row for batch in batches for row in records(batch))
    for row in feedback(traces, judges, log_dir=log_dir, **options):
        rows.append(row)
        if len(rows) == _ROWS:
            yield to_pandas(rows)
            rows = []
    if rows:
        yield to_pandas(rows)
