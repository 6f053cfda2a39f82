#!/usr/bin/env bash
# Counts the instructions per judgment, which do not depend on the load of the machine. Needs valgrind.
#
#   benches/instructions.sh           measures, and compares with benches/instructions.txt
#   benches/instructions.sh --write   measures, and updates that file; explain a change of more than 5 % in the commit message
#
# BINARY=path measures that binary instead of building one. TRACES=n sets the size of the dataset (2000).
#
# Each figure is the difference between two runs of the release binary, over all traces and over half of them, which removes
# the cost of starting up. A run asks `judge-run simulate`, in another process, one request at a time.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
recorded=benches/instructions.txt
# A separate judge, so that a change of a built-in prompt is not mistaken for a change of the code.
judge=$PWD/benches/instructions.toml
traces=${TRACES:-2000}
binary=$(realpath "${BINARY:-target/release/judge-run}")

[ -n "${BINARY:-}" ] || cargo build --release --locked --quiet
place=$(mktemp -d)
simulator=
clean_up() {
    [ -z "$simulator" ] || kill "$simulator"
    rm -rf "$place"
}
trap clean_up EXIT

# Traces of 1.5 kB, identical on every machine.
awk -v n=$traces 'BEGIN {
    split("account annual answer billing calendar claim contract customer delivery employee handbook invoice leave", word, " ")
    for (i = 1; i <= n; i++) {
        long = ""
        for (k = 0; k < 45; k++) long = long word[(i * 7 + k * k) % 13 + 1] " "
        half = substr(long, 1, 200)
        printf "{\"trace_id\":\"tr-%06d\",\"inputs\":{\"question\":\"%s\"},\"outputs\":{\"response\":\"%s\"},", i, half, half
        printf "\"expectations\":{\"expected_response\":\"%s\"},\"spans\":[{\"span_id\":\"%016d\",", substr(half, 1, 100), i
        printf "\"name\":\"search\",\"span_type\":\"RETRIEVER\",\"inputs\":{\"query\":\"%s\"},", half
        printf "\"outputs\":[{\"page_content\":\"%s\"}]}]}\n", long
    }
}' >"$place/traces.jsonl"

"$binary" simulate --port 0 --latency 0ms >"$place/url" 2>/dev/null &
simulator=$!
until [ -s "$place/url" ]; do
    kill -0 "$simulator" || { echo "error: \`$binary simulate\` does not run" >&2; exit 1; }
    sleep 0.1
done
url=$(head -n 1 "$place/url")

# Instructions of one run, over all threads.
count() {
    (
        cd "$place"
        rm -f log.jsonl log.run.json
        env -i valgrind --tool=callgrind --callgrind-out-file=/dev/null "$binary" -q -d traces.jsonl \
            -J "$judge" -m simulated:/judge --base-url "$url" -o log.jsonl --concurrency 1 "$@" 2>&1
    ) | awk '/Collected/ { print $4 }'
}

per_judgment() {
    local half=$((traces / 2)) all part
    all=$(count "$@")
    part=$(count "$@" --limit "$half")
    echo $(((all - part) / half))
}

measured=$(
    echo "planned $(per_judgment --dry-run)"
    echo "judged $(per_judgment)"
)

if [ "${1:-}" = --write ]; then
    {
        echo '# Instructions per judgment, measured by benches/instructions.sh. `planned`: --dry-run, from the line to the judgment id.'
        echo '# `judged`: from the line to the record. Both vary by at most 1 % between runs.'
        echo "$measured"
    } >"$recorded"
fi
echo "$measured" | while read -r what now; do
    before=$(awk -v what="$what" '$1 == what { print $2 }' "$recorded")
    awk -v what="$what" -v now="$now" -v before="$before" 'BEGIN {
        change = 100 * (now - before) / before
        printf "%-8s %8d  recorded %8d  %+.1f %%%s\n", what, now, before, change, (change > 5 || change < -5) ? "  explain this change" : ""
    }'
done
