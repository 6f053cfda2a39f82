"""LiteLLM: batch_completion, a thread pool. It holds all answers until the last one arrives, so it cannot resume."""

import json
import sys

from litellm import batch_completion
from work import CONCURRENCY, MODEL, RESPONSE_FORMAT, VERDICTS, base_url, messages, print_verdict, traces

if sys.argv[1] == "judge":
    rows = traces()
    # There are no retries by default; 5 is our choice, with LiteLLM's exponential backoff.
    answers = batch_completion(
        model=f"openai/{MODEL}",
        base_url=base_url(),
        api_key="none",
        messages=[messages(trace) for trace in rows],
        response_format=RESPONSE_FORMAT,
        temperature=0,
        max_workers=CONCURRENCY,
        num_retries=5,
        retry_strategy="exponential_backoff_retry",
    )
    with open(VERDICTS, "w", encoding="utf-8") as file:
        for trace, answer in zip(rows, answers):
            if isinstance(answer, Exception):
                print(f"{trace['trace_id']}: {answer}", file=sys.stderr)
                continue
            file.write(json.dumps({"id": trace["trace_id"], **json.loads(answer.choices[0].message.content)}) + "\n")
elif VERDICTS.exists():
    for line in map(json.loads, VERDICTS.read_text(encoding="utf-8").splitlines()):
        print_verdict(line["id"], line["value"], line["rationale"])
