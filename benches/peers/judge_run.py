"""Prints the verdicts in judge-run's log for the driver."""

import json
from pathlib import Path

from work import print_verdict

for line in Path("feedback.jsonl").read_text(encoding="utf-8").splitlines():
    record = json.loads(line)
    print_verdict(record["trace_id"], record.get("value"), record.get("rationale"))
