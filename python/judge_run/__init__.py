"""Judge recorded traces of GenAI applications with LLM judges, from Python.

    import judge_run
    feedback = judge_run.judge(traces, "safety", model="openai:/gpt-4.1-mini", rpm=500)

Takes a table of traces and returns a table of feedback: one row per judgment, with the columns of judge-run's CSV form. A failed judgment is a row
with an `error_code`. The work is done by the program `judge-run`, which this package contains; `judge_run.spark` and `judge_run.ray` run it
over the partitions of a cluster.
"""

from ._run import COLUMNS, JudgeRunError, binary, feedback
from ._tables import judge

__all__ = ["COLUMNS", "JudgeRunError", "binary", "feedback", "judge"]
