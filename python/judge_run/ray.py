"""Judges a Ray Data dataset, batch by batch.

    from judge_run import ray
    feedback = ray.judge(traces, "safety", model="openai:/gpt-4.1-mini", log_dir="/mnt/shared/logs", quota_server="redis://quota:6379", rpm=6000)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._run import Judges, feedback
from ._tables import records, to_arrow

if TYPE_CHECKING:
    from ray.data import Dataset


def judge(
    traces: Dataset,
    judges: Judges = None,
    *,
    log_dir: str | None = None,
    batch_size: int | None = 4096,
    ray_options: dict[str, Any] | None = None,
    **options: Any,
) -> Dataset:
    """The feedback on a dataset of traces. Each task runs the program over one batch; options are those of `judge_run.judge`, and
    `ray_options` those of `Dataset.map_batches` (`num_cpus`, `concurrency`, ...).

    With `log_dir`, a folder that all workers share, each batch keeps a log there: a task that Ray retries asks only what is missing.

    Every task has its own quota: give it `rpm` divided by the number of concurrent tasks, or a `quota_server`.
    """

    def batch(traces: Any) -> Any:
        return to_arrow(list(feedback(records(traces), judges, log_dir=log_dir, **options)))

    return traces.map_batches(batch, batch_format="pyarrow", batch_size=batch_size, **(ray_options or {}))
