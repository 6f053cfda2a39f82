"""The verdicts in promptfoo's results.json, for the driver."""

import json
from pathlib import Path

from work import print_verdict

results = Path("results.json")
for row in json.loads(results.read_text(encoding="utf-8"))["results"]["results"] if results.exists() else []:
    # A row without one has failed as a whole. A grader that failed has not passed the row: the error is the reason.
    for graded in (row.get("gradingResult") or {}).get("componentResults") or [{}]:
        print_verdict(row["vars"]["trace_id"], graded.get("pass"), graded.get("reason"))
