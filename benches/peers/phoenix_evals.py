"""Phoenix (arize-phoenix-evals): a ClassificationEvaluator over a data frame. Its verdict is a label, yes or no."""

import asyncio
import json
import os
import sys

import pandas as pd
from work import CONCURRENCY, MODEL, SYSTEM, USER, VERDICTS, base_url, print_verdict, traces


async def judge():
    from phoenix.evals import LLM, ClassificationEvaluator, async_evaluate_dataframe

    relevance = ClassificationEvaluator(
        name="relevance",
        # Its limiter starts at 5 requests per second by default. Here: the quota, or a rate that never waits.
        llm=LLM(
            provider="openai",
            model=MODEL,
            base_url=base_url(),
            api_key="none",
            initial_per_second_request_rate=int(os.environ["QUOTA"]) / 60 or 1000,
        ),
        prompt_template=[
            # Phoenix templates treat every brace as a variable.
            {"role": "system", "content": SYSTEM.replace("{", "(").replace("}", ")")},
            {"role": "user", "content": USER.replace("{{ inputs }}", "{inputs}").replace("{{ outputs }}", "{outputs}")},
        ],
        choices={"yes": 1, "no": 0},
        temperature=0,
    )
    # Default retries: ten per row.
    scored = await async_evaluate_dataframe(
        dataframe=pd.DataFrame(traces()),
        evaluators=[relevance],
        concurrency=CONCURRENCY,
        exit_on_error=False,
        hide_tqdm_bar=True,
    )
    scored[["trace_id", "relevance_score"]].to_json(VERDICTS, orient="records", lines=True)


if sys.argv[1] == "judge":
    asyncio.run(judge())
elif VERDICTS.exists():
    for row in map(json.loads, VERDICTS.read_text(encoding="utf-8").splitlines()):
        score = row["relevance_score"]
        score = json.loads(score) if isinstance(score, str) else score
        print_verdict(row["trace_id"], score and score["label"] == "yes", score and score["explanation"])
