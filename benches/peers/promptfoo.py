"""Prints the verdicts in promptfoo's results.json for the driver."""

import json
from pathlib import Path

from work import print_verdict

results = Path("results.json")
for row in json.loads(results.read_text(encoding="utf-8"))["results"]["results"] if results.exists() else []:
    # A row without a grading result failed as a whole. If the grader failed, `pass` is false and `reason` the error.
    for graded in (row.get("gradingResult") or {}).get("componentResults") or [{}]:
        print_verdict(row["vars"]["trace_id"], graded.get("pass"), graded.get("reason"))
