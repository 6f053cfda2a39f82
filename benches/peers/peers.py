"""The tools: their packages, settings and commands."""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import work

JUDGE_RUN = Path(os.environ.get("JUDGE_RUN", work.HERE.parent.parent / "target/release/judge-run"))
PEERS_DIR = Path(os.environ.get("PEERS_DIR", Path(tempfile.gettempdir()) / "judge-run-peers"))


@dataclass(frozen=True)
class Peer:
    """A tool. It runs in its own folder, which holds traces.jsonl and question.json."""

    name: str
    file: str
    pip: tuple = ()
    npm: tuple = ()
    environment: dict = field(default_factory=dict)
    # The command, if it is not `python FILE judge`.
    command: tuple = ()
    # The command after a kill, if it differs.
    resume: tuple = ()

    @property
    def home(self):
        """Peers that differ only in settings share an installation."""
        return PEERS_DIR / self.file.split(".")[0]

    def argv(self, resume=False):
        command = (resume and self.resume) or self.command or ("{home}/bin/python", f"{{here}}/{self.file}", "judge")
        places = {"home": self.home, "here": work.HERE, "judge_run": JUDGE_RUN, "concurrency": work.CONCURRENCY}
        return [part.format(**places) for part in command]

    def verdicts_argv(self):
        python = str(self.home / "bin/python") if self.pip else sys.executable
        return [python, str(work.HERE / self.file), "verdicts"]

    def install(self):
        """Installs the pinned versions, unless they are already installed."""
        wanted, stamp = " ".join(self.pip + self.npm), self.home / "installed"
        if not wanted or (stamp.exists() and stamp.read_text() == wanted):
            return
        print(f"installing {wanted} into {self.home}", file=sys.stderr)
        shutil.rmtree(self.home, ignore_errors=True)
        if self.pip:
            subprocess.run([sys.executable, "-m", "venv", self.home], check=True)
            subprocess.run([self.home / "bin/pip", "install", "--quiet", *self.pip], check=True)
        else:
            self.home.mkdir(parents=True)
            (self.home / "package.json").write_text('{"private": true}')
            command = ["npm", "install", "--no-audit", "--no-fund", "--silent", "--prefix", self.home, *self.npm]
            subprocess.run(command, check=True)
        stamp.write_text(wanted)


PROMPTFOO = (
    *("{home}/node_modules/node/bin/node", "{home}/node_modules/promptfoo/dist/src/entrypoint.js", "eval"),
    *("-c", "promptfoo.config.mjs", "-o", "results.json", "-j", "{concurrency}", "--no-table", "--no-progress-bar"),
)
# The default pool of 15 database connections is too small for MLflow's own threads: they block each other and fail.
MLFLOW = {"MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": "100"}
OPENAI = "openai==3.54.0"
PEERS = [
    Peer(
        "judge-run",
        "judge_run.py",
        command=(
            *("{judge_run}", "-d", "traces.jsonl", "-J", "{here}/judge.toml", "-m", f"openai:/{work.MODEL}", "-q"),
            *("-o", "feedback.jsonl", "--concurrency", "{concurrency}"),
        ),
    ),
    Peer("by hand (5 retries)", "by_hand.py", pip=(OPENAI,), environment={"MAX_RETRIES": "5"}),
    Peer("by hand (2 retries)", "by_hand.py", pip=(OPENAI,), environment={"MAX_RETRIES": "2"}),
    Peer("Inspect", "inspect_eval.py", pip=("inspect-ai==0.3.285", OPENAI)),
    Peer(
        "promptfoo",
        "promptfoo.py",
        npm=("promptfoo@0.123.1", "node@22.23.3"),
        command=PROMPTFOO,
        resume=(*PROMPTFOO, "--resume"),
    ),
    Peer("MLflow", "mlflow_evaluate.py", pip=("mlflow==3.17.2", OPENAI), environment=MLFLOW),
    Peer("LiteLLM", "litellm_batch.py", pip=("litellm==1.106.2",)),
    Peer("Phoenix", "phoenix_evals.py", pip=("arize-phoenix-evals==3.9.4", OPENAI, "pandas==3.1.1")),
]
