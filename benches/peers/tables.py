"""The results of run.py as Markdown."""

from statistics import median

from work import QUOTA

# The simulator's bucket starts with one second's worth; the rest of the 1,000 requests must wait for it to refill.
IDEAL = (1000 - QUOTA / 60) / (QUOTA / 60)
BEGIN, END = "<!-- tables: benches/peers/run.py --update -->", "<!-- end of tables -->"

# Columns: the heading, and the value for a run.
CALLS = ("calls", lambda run: run["stats"]["requests"])
WRONG = ("failures recorded as verdicts", lambda run: run["wrong"])
LOST = ("rows lost", lambda run: run["count"] - run["verdicts"] - run["wrong"])
WALL = ("wall, s", lambda run: run["wall"])
CPU = ("CPU, s", lambda run: run["cpu"])
MEMORY = ("peak memory, MiB", lambda run: run["rss"] / 2**20)
REFUSED = ("429s received", lambda run: run["stats"]["answers_by_status"].get("429", 0))
FAULTS = ("faults", lambda run: sum(run["stats"]["faults"].values()))
# Good answers that left no verdict, or whose row already had one.
WASTED = ("answers wasted", lambda run: run["stats"]["answered"] - run["verdicts"])

SCENARIOS = {
    "cpu": ("No latency, no faults", (CPU, WALL, MEMORY, CALLS, LOST)),
    "latency": ("200 ms per answer", (WALL, CPU, CALLS, LOST)),
    "quota": (f"{QUOTA} requests a minute (at best {IDEAL:.0f} s)", (REFUSED, LOST, WRONG, WALL, CPU)),
    "faults": ("429, 500 and lost connections", (FAULTS, CALLS, LOST, WRONG, WALL)),
    "killed": ("Killed halfway and restarted", (WASTED, CALLS, LOST)),
}


def number(value):
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def cell(value, runs, count):
    return number(median(value({"count": count, **run}) for run in runs))


def table(columns, rows, count):
    yield "| | " + " | ".join(name for name, _ in columns) + " |"
    yield "| --- |" + " ---: |" * len(columns)
    for peer, runs in rows.items():
        stopped = " (stopped at the time limit)" if any(run["exit"] < 0 for run in runs) else ""
        yield f"| {peer}{stopped} | " + " | ".join(cell(value, runs, count) for _, value in columns) + " |"


def markdown(results, flags):
    """All tables, in the order of `flags`: scenario names with their simulator flags."""
    lines = [f"{results['date']}; {results['machine']}; {', '.join(results['versions'])}.", ""]
    for scenario, flag in flags.items():
        if rows := results["runs"].get(scenario):
            title, columns = SCENARIOS[scenario]
            lines += [f"### {title}", "", f"`judge-run simulate {flag}`", ""]
            lines += [*table(columns, rows, results["count"]), ""]
    return "\n".join(lines).rstrip()


def update(path, text):
    """Replaces the text between the two markers in a file."""
    before, rest = path.read_text().split(BEGIN)
    _, after = rest.split(END)
    path.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")
