"""MLflow: make_judge and mlflow.genai.evaluate, with a tracking store in a file. Unlike the others, it records a trace
for each row. Its judge wraps the instructions in its own system message."""

import sys

import mlflow
from mlflow.genai.judges import make_judge
from work import MODEL, SYSTEM, base_url, print_verdict, traces

mlflow.set_tracking_uri("sqlite:///mlflow.db")


def judge():
    relevance = make_judge(
        name="relevance",
        instructions=f"{SYSTEM}\n\nQuestion:\n{{{{ inputs }}}}\n\nAnswer:\n{{{{ outputs }}}}",
        model=f"openai:/{MODEL}",
        base_url=f"{base_url()}/chat/completions",  # MLflow expects the full address
        feedback_value_type=bool,
        inference_params={"temperature": 0},
        generate_rationale_first=True,
    )
    mlflow.set_experiment("peers")
    rows = [
        {"inputs": {"id": trace["trace_id"], "question": trace["inputs"]}, "outputs": trace["outputs"]}
        for trace in traces()
    ]
    # The default of ten workers. With 32 (MLFLOW_GENAI_EVAL_MAX_WORKERS) they lock each other out of the SQLite file.
    mlflow.genai.evaluate(data=rows, scorers=[relevance])


def verdicts():
    experiment = mlflow.get_experiment_by_name("peers").experiment_id
    for trace in mlflow.search_traces(locations=[experiment], return_type="list", max_results=10_000):
        for feedback in trace.search_assessments(name="relevance"):
            print_verdict(trace.data.spans[0].inputs["id"], feedback.value, feedback.rationale)


if sys.argv[1] == "judge":
    judge()
else:
    verdicts()
