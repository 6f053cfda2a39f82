"""The work that every tool here is given: 1,000 traces, one question, one endpoint. Standard library only."""

import json
import os
import random
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
QUESTION = tomllib.loads((HERE / "judge.toml").read_text())["prompt"]
SYSTEM, USER = QUESTION["system"].strip(), QUESTION["user"].strip()
MODEL = "gpt-4.1-mini"
CONCURRENCY = 32
# Requests a minute, in the scenario with a quota: about what a new account at OpenAI has.
QUOTA = 600
# What a verdict looks like, as OpenAI's structured outputs want it.
SCHEMA = {
    "type": "object",
    "properties": {"rationale": {"type": "string"}, "value": {"type": "boolean"}},
    "required": ["rationale", "value"],
    "additionalProperties": False,
}
RESPONSE_FORMAT = {"type": "json_schema", "json_schema": {"name": "verdict", "strict": True, "schema": SCHEMA}}
# What the simulated endpoint writes into every text field. A verdict with another rationale is not the endpoint's.
RATIONALE = "Simulated: no model was asked."

# Where things are when the driver has started a tool: it starts each in a folder of its own.
TRACES = Path("traces.jsonl")
VERDICTS = Path("verdicts.jsonl")


def base_url():
    return os.environ["OPENAI_BASE_URL"]


def write_traces(path, count):
    """Writes traces of about 1.5 kB, always the same ones, in judge-run's plain form."""
    rng = random.Random(20261123)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 9))) for _ in range(2000)]
    text = lambda low, high: " ".join(rng.choices(words, k=rng.randint(low, high)))
    with open(path, "w", encoding="utf-8") as file:
        for number in range(count):
            trace = {"trace_id": f"tr-{number:04}", "inputs": text(20, 50) + "?", "outputs": text(150, 250) + "."}
            file.write(json.dumps(trace) + "\n")


def traces():
    return [json.loads(line) for line in TRACES.read_text(encoding="utf-8").splitlines()]


def user_prompt(trace):
    return USER.replace("{{ inputs }}", trace["inputs"]).replace("{{ outputs }}", trace["outputs"])


def messages(trace):
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": user_prompt(trace)}]


def print_verdict(trace_id, value, rationale=RATIONALE):
    """One line of what the driver counts: a row and its verdict, None if the tool's results have none."""
    print(json.dumps({"id": trace_id, "value": value, "rationale": rationale}))
