"""A careful hand-written script: OpenAI's client, a semaphore, one line per verdict; written rows are skipped."""

import asyncio
import json
import os
import sys

from openai import AsyncOpenAI, OpenAIError
from work import CONCURRENCY, MODEL, RESPONSE_FORMAT, VERDICTS, messages, print_verdict, traces


async def judge():
    done = {line["id"] for line in read_verdicts()}
    # The client's own retries, 2 by default: on 408, 409, 429, 5xx and lost connections.
    client = AsyncOpenAI(max_retries=int(os.environ["MAX_RETRIES"]))
    slots = asyncio.Semaphore(CONCURRENCY)
    with open(VERDICTS, "a", encoding="utf-8") as file:

        async def ask(trace):
            async with slots:
                try:
                    answer = await client.chat.completions.create(
                        model=MODEL, messages=messages(trace), response_format=RESPONSE_FORMAT, temperature=0
                    )
                    verdict = json.loads(answer.choices[0].message.content)
                except (OpenAIError, ValueError, TypeError) as error:
                    print(f"{trace['trace_id']}: {error}", file=sys.stderr)
                    return
            file.write(json.dumps({"id": trace["trace_id"], **verdict}) + "\n")
            file.flush()

        await asyncio.gather(*(ask(trace) for trace in traces() if trace["trace_id"] not in done))


def read_verdicts():
    try:
        lines = VERDICTS.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines]


if sys.argv[1] == "judge":
    asyncio.run(judge())
else:
    for line in read_verdicts():
        print_verdict(line["id"], line["value"], line["rationale"])
