//! What `judge-run` alone prints: what it is for, and the first commands.

use judge_run::judge::library;

use judge_run::results::forms::plain::wrap;

use super::print;
use super::quickstart;

/// Of a terminal, without the margin.
const COLUMNS: usize = 96;

/// Prints it.
pub(crate) fn show() {
    let judges: Vec<_> = library::BUILT_IN.iter().map(|(name, _)| *name).collect();
    print::message(format_args!(
        "judge-run judges recorded traces of GenAI applications with LLM judges.

Try it, without a model or a key; the verdicts are made up:
  {}

Judge your own traces: JSON lines, JSON or CSV, or what MLflow, OpenTelemetry or Langfuse export:
  judge-run -d traces.jsonl -J safety -m ollama:/llama3.2
  OPENAI_API_KEY=sk-... judge-run -d traces.jsonl -J safety -m openai:/gpt-4.1-mini

Built-in judges (`judge-run judges` describes them):
  {}

`judge-run -h` lists the options, `judge-run --help` has examples.",
        quickstart::COMMAND,
        wrap(&judges.join(", "), COLUMNS).join("\n  ")
    ));
}
