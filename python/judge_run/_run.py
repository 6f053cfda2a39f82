"""Runs the program over some traces, and reads the feedback that it writes."""

from __future__ import annotations

import contextlib
import csv
import datetime
import hashlib
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Any, Iterable, Iterator, Mapping, Sequence, Union

Row = Mapping[str, Any]
Judges = Union[str, Sequence[str], None]

#: The columns of feedback, and the type of their values; any of them may be missing.
COLUMNS: Mapping[str, type] = {
    "trace_id": str,
    "span_id": str,
    "name": str,
    "value": str,
    "value_type": str,
    "score": float,
    "passed": bool,
    "rationale": str,
    "error_code": str,
    "error_message": str,
    "stack_trace": str,
    "source_type": str,
    "source_id": str,
    "metadata": str,
    "create_time_ms": int,
    "last_update_time_ms": int,
    "assessment_id": str,
    "overrides": str,
    "valid": bool,
}

_FINISHED, _GATE, _SOME_FAILED, _STOPPED = 0, 1, 3, 4
_USAGE = 2
_LOCKED = "another judge-run is writing to"
_TRY_AGAIN_SECONDS = 0.5


class JudgeRunError(RuntimeError):
    """The run did not finish. Answers so far are in the log, if there is one; the same call asks what is missing."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def binary() -> str:
    """The path of the program: the one installed with this package, or else the one on PATH."""
    name = "judge-run" + (".exe" if os.name == "nt" else "")
    user = {"nt": "nt_user", "posix": "posix_user"}.get(os.name, "posix_user")
    folders = [sysconfig.get_path("scripts"), sysconfig.get_path("scripts", scheme=user), str(Path(sys.executable).parent)]
    for folder in folders:
        if os.path.isfile(os.path.join(folder, name)):
            return os.path.join(folder, name)
    found = shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"no {name} in {', '.join(folders)}, nor on PATH")
    return found


def arguments(judges: Judges, options: Mapping[str, Any]) -> list[str]:
    """The command line for the options: `rpm=500` is `--rpm 500`, a list repeats the option for each item, and True is a flag."""
    named = [judges] if isinstance(judges, str) else list(judges or [])
    args = [word for judge in named for word in ("--judge", judge)]
    for name, value in options.items():
        flag = "--" + name.rstrip("_").replace("_", "-")
        if value is None or value is False:
            continue
        if isinstance(value, Mapping):
            value = [f"{key}={item}" for key, item in value.items()]
        for item in value if isinstance(value, (list, tuple)) else [value]:
            args += [flag] if item is True else [f"{flag}={item}"]
    return args


def feedback(
    traces: Iterable[Row],
    judges: Judges = None,
    *,
    log: str | os.PathLike[str] | None = None,
    log_dir: str | os.PathLike[str] | None = None,
    program: str | None = None,
    env: Mapping[str, str] | None = None,
    **options: Any,
) -> Iterator[dict[str, Any]]:
    """Judges traces, and returns their feedback row by row: the state of the log at the end.

    With a `log`, the same call asks only what is missing or failed. With a `log_dir`, the log is named after the traces themselves: a task
    that is retried finds what it has already paid for, whichever worker it runs on.

    Raises JudgeRunError if the run stopped before everything was asked. Failed judgments are rows.
    """
    with tempfile.TemporaryDirectory(prefix="judge-run-") as folder:
        lines = Path(folder) / "traces.jsonl"
        name = _write(traces, lines)
        if lines.stat().st_size == 0:
            return
        if log is None:
            log = Path(log_dir or folder) / f"{name}.feedback.jsonl"
        Path(log).parent.mkdir(parents=True, exist_ok=True)
        command = [program or binary(), "--dataset=-", f"--output={os.fspath(log)}", "--quiet", *arguments(judges, options)]
        environment = {**os.environ, **(env or {})}
        _run(command, lines, Path(log), environment)
        if not Path(log).exists():
            return
        table = Path(folder) / "feedback.csv"
        converted = subprocess.run([command[0], "convert", os.fspath(log), table], capture_output=True, text=True, env=environment)
        if converted.returncode not in (_FINISHED, _SOME_FAILED):
            raise JudgeRunError(converted.stderr.strip(), converted.returncode)
        with open(table, encoding="utf-8", newline="") as rows:
            csv.field_size_limit(2**31 - 1)
            for row in csv.DictReader(rows):
                yield {column: _cell(row[column], kind) for column, kind in COLUMNS.items()}


def _run(command: list[str], lines: Path, log: Path, env: Mapping[str, str]) -> None:
    """Runs it to its end. If another process has the log, such as that of an abandoned task, waits for it: it does the same work."""
    while True:
        code, messages = _feed(command, lines, env)
        if code != _USAGE or _LOCKED not in messages:
            break
        time.sleep(_TRY_AGAIN_SECONDS)
    if code in (_FINISHED, _GATE, _SOME_FAILED) or (code == _STOPPED and _all_asked(log)):
        return
    raise JudgeRunError(messages.strip() or f"judge-run ended with exit code {code}", code)


def _feed(command: list[str], lines: Path, env: Mapping[str, str]) -> tuple[int, str]:
    """Passes the traces through a pipe: if this process dies, the pipe closes, and the program finishes what it has begun and exits."""
    with tempfile.TemporaryFile() as messages, open(lines, "rb") as source:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=messages, env=dict(env))
        assert process.stdin is not None
        feeder = threading.Thread(target=_pump, args=(source, process.stdin), daemon=True)
        feeder.start()
        try:
            code = process.wait()
        except BaseException:
            # Ctrl-C in a notebook reaches this process alone. What is in flight is paid for, and kept.
            process.send_signal(signal.SIGINT) if os.name != "nt" else process.terminate()
            process.wait()
            raise
        finally:
            feeder.join()
        messages.seek(0)
        return code, messages.read().decode("utf-8", "replace")


def _pump(source: IO[bytes], pipe: IO[bytes]) -> None:
    # A program that has ended early reads no more.
    with contextlib.suppress(OSError), pipe:
        shutil.copyfileobj(source, pipe, 64 * 1024)


def _all_asked(log: Path) -> bool:
    """Whether a run that stopped has a record of every judgment, for example because all of them failed."""
    manifest = log.with_name(log.name[: -len(".jsonl")] + ".run.json") if log.name.endswith(".jsonl") else None
    try:
        counts = json.loads(manifest.read_text(encoding="utf-8"))["counts"] if manifest else {}
    except (OSError, ValueError, KeyError):
        return False
    if not counts.get("read_to_end") or counts.get("unsaved"):
        return False
    return all(judge.get("unjudged") == 0 for judge in counts.get("judges", [])) and bool(counts.get("judges"))


def _write(traces: Iterable[Row], path: Path) -> str:
    """Writes JSON lines, and returns a name for them that does not depend on their order."""
    total = 0
    with open(path, "w", encoding="utf-8") as file:
        for trace in traces:
            line = json.dumps({name: item for name, value in trace.items() if (item := plain(value)) is not None})
            file.write(line + "\n")
            total += int.from_bytes(hashlib.sha256(line.encode()).digest()[:16], "big")
    return f"{total % 2**128:032x}"


def plain(value: Any) -> Any:
    """A value as JSON. What data frames treat as missing is None."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        # Spark's Row is a tuple that knows its field names.
        return plain(value.asDict()) if hasattr(value, "asDict") else [plain(item) for item in value]
    if isinstance(value, (datetime.datetime, datetime.date)):
        # NaT is a datetime that equals nothing.
        return value.isoformat() if value == value else None
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    for method in ("tolist", "item"):  # numpy's arrays and scalars
        if hasattr(value, method):
            return plain(getattr(value, method)())
    text = str(value)
    return None if text in ("<NA>", "NaT") else text


#: Text that a reader of tables would take for a formula or a missing value is preceded by `'`: see docs/results.md.
_MISSING = {
    "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA", "NULL",
    "NaN", "None", "n/a", "nan", "null",
}  # fmt: skip


def _cell(text: str, kind: type) -> Any:
    if text == "":
        return None
    if kind is bool:
        return text == "true"
    if kind is not str:
        return kind(text)
    rest = text[1:].lstrip("'")
    if text[0] == "'" and (rest == "" or rest[0] in "=+-@\t\r" or rest in _MISSING):
        return text[1:]
    return text
