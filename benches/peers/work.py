"""The work for every tool: 1,000 traces, one question, one endpoint. Standard library only."""

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
# Requests per minute in the quota scenario: about what a new OpenAI account gets.
QUOTA = 600
# The verdict's schema, for OpenAI's structured outputs.
SCHEMA = {
    "type": "object",
    "properties": {"rationale": {"type": "string"}, "value": {"type": "boolean"}},
    "required": ["rationale", "value"],
    "additionalProperties": False,
}
RESPONSE_FORMAT = {"type": "json_schema", "json_schema": {"name": "verdict", "strict": True, "schema": SCHEMA}}
# What the simulated endpoint writes into every text field. A verdict with any other rationale is not from the endpoint.
RATIONALE = "Simulated: no model was asked."

# Relative to the folder that the driver starts each tool in.
TRACES = Path("traces.jsonl")
VERDICTS = Path("verdicts.jsonl")


def base_url():
    return os.environ["OPENAI_BASE_URL"]


def write_traces(path, count):
    """Writes the same traces every time, about 1.5 kB each, in judge-run's plain form."""
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
    """Prints one line for the driver to count: a row and its verdict, or None if the tool's results have none."""
    print(json.dumps({"id": trace_id, "value": value, "rationale": rationale}))
