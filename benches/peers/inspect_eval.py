"""Inspect (inspect-ai): the recorded answer is the sample, the judge its scorer. An eval set can be resumed."""

import json
import sys

from inspect_ai import Task, eval_set, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.log import list_eval_logs, read_eval_log
from inspect_ai.model import ChatMessageSystem, ChatMessageUser, GenerateConfig, ResponseSchema, get_model
from inspect_ai.scorer import Score, mean, scorer
from inspect_ai.solver import solver
from inspect_ai.util import json_schema
from pydantic import BaseModel, ConfigDict
from work import CONCURRENCY, MODEL, SYSTEM, base_url, print_verdict, traces, user_prompt


class Verdict(BaseModel):
    model_config = ConfigDict(extra="forbid")
    rationale: str
    value: bool


VERDICT = ResponseSchema(name="verdict", json_schema=json_schema(Verdict), strict=True)


@solver
def recorded():
    """The application has already run: there is nothing to generate."""

    async def solve(state, generate):
        return state

    return solve


@scorer(metrics=[mean()])
def relevance():
    async def score(state, target):
        answer = await get_model().generate(
            [ChatMessageSystem(content=SYSTEM), ChatMessageUser(content=state.input_text)],
            config=GenerateConfig(response_schema=VERDICT),
        )
        verdict = Verdict.model_validate_json(answer.completion)
        return Score(value=verdict.value, explanation=verdict.rationale)

    return score


@task
def judge():
    samples = [Sample(id=trace["trace_id"], input=user_prompt(trace)) for trace in traces()]
    return Task(dataset=MemoryDataset(samples), solver=recorded(), scorer=relevance())


if sys.argv[1] == "judge":
    # Default retries: requests without limit, the eval set up to ten times. A failed sample does not fail the rest.
    success, _ = eval_set(
        judge(),
        log_dir="logs",
        model=f"openai/{MODEL}",
        model_base_url=base_url(),
        temperature=0,
        max_connections=CONCURRENCY,
        max_samples=CONCURRENCY,
        fail_on_error=False,
        display="none",
    )
    sys.exit(0 if success else 1)
for log in list_eval_logs("logs"):
    for sample in read_eval_log(log).samples or []:
        score = (sample.scores or {}).get("relevance")
        print_verdict(sample.id, score and score.value, score and score.explanation)
