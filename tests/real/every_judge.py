"""Every built-in judge over real traces of MLflow, with a real llama.cpp server and SmolLM2-135M.

Each request must end as a record that is valid: a verdict of the judge's type, or a failure with its code; and no answer may be longer
than its judge allows. What the model thinks does not matter. It takes half an hour on two cores, so `.ci/run` leaves it out: run it in
the environment of llama_cpp.py. `TRACES=N` asks about N traces for each judge; names of judges as arguments leave out the others.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from llama_cpp import JUDGE_RUN, ROOT, serve

TRACES = int(os.environ.get("TRACES", "2"))
DATASET = ROOT / "tests/fixtures/mlflow/3.17.2/traces.to_json.jsonl"
# The default of `[params] max_output_tokens`.
MAX_OUTPUT_TOKENS = 2048
FOR_GUIDELINES = ["--set", "guidelines.guidelines=Be kind. Be brief.", "--set", "conversation_guidelines.guidelines=Be kind."]


def judge_run(folder, *args):
    return subprocess.run([JUDGE_RUN, *map(str, args)], capture_output=True, text=True, cwd=folder)


def datasets(folder, judge, base):
    """The first traces that a judge applies to; all for a judge of sessions; two sides for a judge of pairs."""
    path = folder / f"{judge['name']}.traces.jsonl"
    lines = DATASET.read_text().split("\n")[:-1]
    if judge["unit"] == "session":
        # The recorded session calls no tools, so a judge of calls gets all traces as one session.
        for traces in (lines, map(in_one_session, lines)):
            path.write_text("\n".join(traces) + "\n")
            if applies(folder, judge, path, base):
                return [path]
        return []
    if judge["unit"] == "pair":
        other = folder / "other.jsonl"
        path.write_text("\n".join(lines[:TRACES]) + "\n")
        other.write_text(path.read_text().replace("the", "a"))
        return [f"--side=one={path}", f"--side=other={other}"]
    found = []
    for line in lines:
        path.write_text(line + "\n")
        if applies(folder, judge, path, base):
            found.append(line)
        if len(found) == TRACES:
            break
    path.write_text("".join(f"{line}\n" for line in found))
    return [path] if found else []


def in_one_session(line):
    trace = json.loads(line)
    trace["info"]["trace_metadata"]["mlflow.trace.session"] = "all"
    return json.dumps(trace)


def applies(folder, judge, path, base):
    # Traces that a judge does not apply to are nothing to judge.
    return judge_run(folder, "-d", path, *arguments(judge, base), "--dry-run").returncode == 0


def arguments(judge, base):
    of = [setting for setting in FOR_GUIDELINES[1::2] if setting.startswith(judge["name"] + ".")]
    more = [part for setting in of for part in ("--set", setting)]
    return ["-J", judge["name"], *more, "-m", "llamacpp:/smollm2", "--base-url", base, "-j", "2", "--timeout", "20m"]


def is_of(verdict, name, value):
    kind = verdict["type"]
    if kind == "rubric":
        return is_of(verdict["criteria"][name.rsplit(".", 1)[1]], name, value)
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "category":
        labels = verdict["labels"]
        return all(label in labels for label in value) if isinstance(value, list) else value in labels
    if kind in ("integer", "number", "claims"):
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return is_number if kind != "claims" else is_number or isinstance(value, bool)
    return kind == "preference"


def main():
    server = serve()
    base = f"{server.listening_address}/v1"
    judges = json.loads(subprocess.run([JUDGE_RUN, "judges", "--format", "json"], capture_output=True, text=True, check=True).stdout)
    started, total, failed, longest = time.monotonic(), 0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for judge in judges:
            if sys.argv[1:] and judge["name"] not in sys.argv[1:]:
                continue
            is_code = judge_run(folder, "judges", "show", judge["name"]).stdout.count('type = "code"')
            if is_code:
                continue
            data = datasets(folder, judge, base)
            if not data:
                print(f"{judge['name']:<30} applies to none of these traces")
                continue
            log = folder / f"{judge['name']}.jsonl"
            data = data if judge["unit"] == "pair" else ["-d", data[0]]
            done = judge_run(folder, *data, *arguments(judge, base), "-o", log, "-q")
            # 4: nothing was scored, since the one trace failed.
            assert done.returncode in (0, 3, 4), (judge["name"], done.returncode, done.stderr)
            records = [json.loads(line) for line in log.read_text().splitlines()]
            records = [record for record in records if record["source"]["source_type"] == "LLM_JUDGE"]
            assert records, judge["name"]
            codes, most = [], 0
            for record in records:
                metadata = record["metadata"]
                tokens = int(metadata.get("output_tokens", 0))
                # The tokens of all attempts are counted together.
                assert tokens <= MAX_OUTPUT_TOKENS * int(metadata.get("attempts", 1)), record
                most = max(most, tokens)
                if "error" in record:
                    assert record["error"]["error_code"] and record["error"]["error_message"] and "value" not in record, record
                    codes.append(record["error"]["error_code"])
                else:
                    assert is_of(judge["verdict"], record["name"], record["value"]), (judge["verdict"], record)
            print(f"{judge['name']:<30} {len(records):>3} records, {len(codes)} failed {sorted(set(codes))}, at most {most} tokens", flush=True)
            total, failed, longest = total + len(records), failed + len(codes), max(longest, most)
    print(f"every judge: {total} records, {failed} of them failures with a code; at most {longest} tokens of output "
          f"({time.monotonic() - started:.0f} s)")
    # The server's threads would keep Python alive.
    os._exit(0)


if __name__ == "__main__":
    main()
