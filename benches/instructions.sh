#!/usr/bin/env bash
# Instructions that a judgment takes, which no other load on the machine changes. Needs valgrind.
#
#   benches/instructions.sh           measures, and says how far it is from benches/instructions.txt
#   benches/instructions.sh --write   measures, and writes that file anew: explain a change of more than 5 % in the commit
#
# BINARY=path measures that one instead of building.
#
# Each figure is the difference of two runs of the release binary, over all traces and over half of them, so that starting up is
# no part of it. A run asks `judge-run simulate`, another process, one request at a time.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
recorded=benches/instructions.txt
traces=2000
binary=$(realpath "${BINARY:-target/release/judge-run}")

[ -n "${BINARY:-}" ] || cargo build --release --locked --quiet
place=$(mktemp -d)
simulator=
clean_up() {
    [ -z "$simulator" ] || kill "$simulator"
    rm -rf "$place"
}
trap clean_up EXIT

# 1.5 kB each, the same everywhere.
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
until [ -s "$place/url" ]; do sleep 0.1; done
url=$(head -n 1 "$place/url")

# Instructions of one run, all threads together.
count() {
    (
        cd "$place"
        rm -f log.jsonl log.run.json
        env -i valgrind --tool=callgrind --callgrind-out-file=/dev/null "$binary" -q -d traces.jsonl \
            -J factual_accuracy -m simulated:/judge --base-url "$url" -o log.jsonl --concurrency 1 "$@" 2>&1
    ) | awk '/Collected/ { print $4 }'
}

each() {
    local half=$((traces / 2)) all part
    all=$(count "$@")
    part=$(count "$@" --limit "$half")
    echo $(((all - part) / half))
}

measured=$(
    echo "planned $(each --dry-run)"
    echo "judged $(each)"
)

if [ "${1:-}" = --write ]; then
    {
        echo '# Instructions a judgment, measured by benches/instructions.sh. `planned`: --dry-run, from the line to the id of the judgment.'
        echo '# `judged`: from the line to the record. From run to run both move by 1 % at most.'
        echo "$measured"
    } >"$recorded"
fi
echo "$measured" | while read -r what now; do
    before=$(awk -v what="$what" '$1 == what { print $2 }' "$recorded")
    awk -v what="$what" -v now="$now" -v before="$before" 'BEGIN {
        change = 100 * (now - before) / before
        printf "%-8s %8d  recorded %8d  %+.1f %%%s\n", what, now, before, change, (change > 5 || change < -5) ? "  explain this" : ""
    }'
done
