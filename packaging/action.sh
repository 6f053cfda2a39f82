#!/usr/bin/env bash
# The step of action.yml that judges. Its inputs are DATASET, JUDGES, MODEL, GATES, LOG, REPORT and ARGS, one per line where there may be
# several; empty ones are left to judge-run.toml. Exits with judge-run's exit code.
set -euo pipefail

args=()
add() { # an option, and its values, one a line
    while IFS= read -r value; do
        if [ -n "$value" ]; then args+=("$1" "$value"); fi
    done <<<"$2"
}
add --dataset "${DATASET:-}"
add --judge "${JUDGES:-}"
add --model "${MODEL:-}"
add --gate "${GATES:-}"
while IFS= read -r arg; do
    if [ -n "$arg" ]; then args+=("$arg"); fi
done <<<"${ARGS:-}"
mkdir -p "$(dirname "$LOG")" "$REPORT"

code=0
judge-run "${args[@]}" --output "$LOG" --report "$REPORT/index.html" || code=$?
if [ -s "$LOG" ]; then
    judge-run report "$LOG" -o "$REPORT/junit.xml" || true
    # Also to the summary of the step.
    judge-run report "$LOG" --github -o "$REPORT/report.md" || true
fi
echo "exit-code=$code" >>"$GITHUB_OUTPUT"
exit "$code"
