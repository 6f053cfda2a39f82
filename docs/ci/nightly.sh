#!/bin/sh
# One night: judge the dataset, compare it with the nights before, and write a report. Exits with judge-run's exit code.
#
# DATASET and JUDGES say what is judged; judge-run.toml has the model, the gates and the anchors. A night is a log in NIGHTS, named after the
# date (or NIGHT); running the same night again resumes it. What earlier nights have judged is not asked again.
set -eu

dataset=${DATASET:-traces.jsonl}
judges=${JUDGES:-safety}
nights=${NIGHTS:-nights}
report=${REPORT:-report}
keep=${KEEP:-30}
tonight=$nights/${NIGHT:-$(date -u +%Y-%m-%d)}.jsonl
mkdir -p "$nights" "$report"

# Earlier nights, the latest first.
before() {
    for log in "$nights"/*.jsonl; do
        case $log in
            "$tonight" | *.anchors.jsonl | *.confirm.jsonl | *.rejects.jsonl) ;;
            *) if [ -f "$log" ]; then echo "$log"; fi ;;
        esac
    done | sort -r
}

# Old nights are deleted, with all files next to them.
before | tail -n "+$((keep + 1))" | while read -r log; do rm -f "${log%.jsonl}".*; done

set -- -d "$dataset" -J "$judges" -o "$tonight" --confirm --report "$report/index.html"
if [ -n "$(before)" ]; then set -- "$@" --reuse "$nights/*.jsonl"; fi
code=0
judge-run "$@" || code=$?

# The same report in other forms; whether the gates hold is known already.
if [ -s "$tonight" ]; then
    for form in junit.xml report.md report.json; do
        judge-run report "$tonight" -o "$report/$form" 2>/dev/null || true
    done
    if [ -n "${GITHUB_STEP_SUMMARY:-}" ]; then judge-run report "$tonight" --github -o "$report/report.md" || true; fi
fi
exit "$code"
