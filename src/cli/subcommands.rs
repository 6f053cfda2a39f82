//! The arguments of the subcommands.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueHint};
use judge_run::feedback::ErrorCode;
use judge_run::feedback::forms::Form;
use judge_run_simulator::{Dialect, FaultPlan};

use super::args::{ConductArgs, EndpointArgs, form};
use super::duration;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  Does the key work, and what does the account allow?
    judge-run check -m openai:/gpt-4.1-mini
  Does my own server answer in JSON?
    judge-run check --base-url http://localhost:8000/v1 -m Qwen/Qwen3-8B")]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub endpoint: EndpointArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  Ask again what failed and may succeed now, with the run's own dataset, judges and model:
    judge-run replay traces.feedback.jsonl
  Only what failed for these reasons, more slowly:
    judge-run replay traces.feedback.jsonl --only RATE_LIMIT_EXCEEDED,TIMEOUT --rpm 100
  What the model could not do, with another one; its verdicts stand beside the failures:
    judge-run replay traces.feedback.jsonl --only REFUSED,CONTEXT_LENGTH_EXCEEDED -m openai:/gpt-4.1
  Also the verdicts that somebody marked invalid, and make the log shorter at the end:
    judge-run replay traces.feedback.jsonl --include-invalid --compact

What is not said here is as it was in the run.")]
pub(crate) struct ReplayArgs {
    /// The log of the run
    #[arg(value_hint = ValueHint::FilePath)]
    pub log: PathBuf,

    /// Only failures with these codes, even those that the same request may only repeat
    #[arg(long, value_name = "CODE,...", value_delimiter = ',', help_heading = "What is judged")]
    pub only: Vec<ErrorCode>,

    /// Also ask again where the verdict was marked invalid: its last record in the log has `"valid": false`
    #[arg(long, help_heading = "What is judged")]
    pub include_invalid: bool,

    /// Compact the log afterwards, if the replay ran to its end: leave out failures that now have a verdict
    #[arg(long, conflicts_with = "dry_run", help_heading = "What comes out")]
    pub compact: bool,

    /// The traces, if they are not where they were. May be given several times
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "What is judged")]
    pub dataset: Vec<PathBuf>,

    #[command(flatten)]
    pub endpoint: EndpointArgs,

    #[command(flatten)]
    pub conduct: ConductArgs,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The log of the run [default: the only .feedback.jsonl in the current directory]
    #[arg(value_hint = ValueHint::FilePath)]
    pub log: Option<PathBuf>,

    /// Print the run's manifest as JSON, with what the log says now
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  A quota and some trouble, as a provider has them:
    judge-run simulate --rpm 500 --latency 400ms --fail 429=5%,500=2%,reset=1%
  A run against it, in another terminal:
    judge-run -d traces.jsonl -J safety --base-url http://127.0.0.1:8080/v1
  What it has seen so far:
    curl http://127.0.0.1:8080/stats")]
pub(crate) struct SimulateArgs {
    /// The address to listen on; only this machine's own by default
    #[arg(long, default_value = "127.0.0.1")]
    pub host: std::net::IpAddr,

    /// The port; 0 takes a free one
    #[arg(short, long, default_value_t = 8080)]
    pub port: u16,

    /// How long an answer takes on average; a single one takes half as long to one and a half times
    #[arg(long, value_name = "DURATION", default_value = "20ms", value_parser = duration::parse)]
    pub latency: Duration,

    /// Let every answer take exactly the latency
    #[arg(long)]
    pub no_jitter: bool,

    /// Requests a minute; beyond that 429
    #[arg(long, value_name = "N")]
    pub rpm: Option<NonZeroU32>,

    /// Tokens a minute; beyond that 429
    #[arg(long, value_name = "N")]
    pub tpm: Option<NonZeroU32>,

    /// How much of the quota may be spent at once: what flows in during this time
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration::parse)]
    pub burst: Duration,

    /// Give tokens back that a request reserved and did not use
    #[arg(long)]
    pub refund: bool,

    /// Whose headers and refusals tell of the quota
    #[arg(long, value_name = "WHOSE", default_value_t, value_parser = dialect())]
    pub headers: Dialect,

    /// Cut longer prompts off, and say nothing, as Ollama does: `usage` tells N tokens at most
    #[arg(long, value_name = "N")]
    pub context: Option<u64>,

    /// Faults and their shares, such as 429=5%,500=2%,reset=1%,hang=1%,malformed=1%
    #[arg(long, value_name = "FAULT=SHARE,...", long_help = fault_help())]
    pub fail: Option<FaultPlan>,

    /// A request that meets a fault fails this many times, then succeeds; 0 means for ever
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub clear_after: u32,
}

fn dialect() -> impl TypedValueParser<Value = Dialect> {
    PossibleValuesParser::new(Dialect::names()).try_map(|name| name.parse::<Dialect>())
}

fn fault_help() -> String {
    let mut help = "Faults and their shares, such as 429=5%,500=2%,reset=1%,hang=1%,malformed=1%\n\nFaults:".to_owned();
    for (name, meaning) in FaultPlan::names() {
        help.push_str(&format!("\n  {name:<12} {meaning}"));
    }
    help.push_str("\n  400 to 599   this HTTP status");
    help.push_str(
        "\n\nThe shares add up to 100% at most. Faults that are there \"while\" a request has something have 100% each \
         and never clear.",
    );
    help
}

#[derive(Debug, Args)]
#[command(after_help = "\
Of records with the same id the latest stays, and a verdict rather than a failure. Records of people and
programs all stay. Verdicts of the same id and time that differ are an error, and nothing is written.

Examples:
  The shards of a run:
    judge-run merge shard-1.jsonl shard-2.jsonl shard-3.jsonl -o all.jsonl")]
pub(crate) struct MergeArgs {
    /// The logs
    #[arg(required = true, value_name = "LOG", value_hint = ValueHint::FilePath)]
    pub logs: Vec<PathBuf>,

    /// The log to be made
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: PathBuf,

    /// Replace the output if there is one; what it holds goes to <output>.bak
    #[arg(long)]
    pub overwrite: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CompactArgs {
    /// The log; it is replaced as a whole, at once
    #[arg(value_name = "LOG", value_hint = ValueHint::FilePath)]
    pub log: PathBuf,

    /// Only tell what would be left out
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
#[command(after_help = FORMS)]
pub(crate) struct ConvertArgs {
    /// The feedback, in any form, or `-` for standard input. It is not changed
    #[arg(value_name = "IN", value_hint = ValueHint::FilePath)]
    pub input: PathBuf,

    /// The file to be made, or `-` for standard output
    #[arg(value_name = "OUT", value_hint = ValueHint::FilePath)]
    pub output: PathBuf,

    /// The form of IN [default: what its first line tells]
    #[arg(long, value_name = "FORM", value_parser = form())]
    pub from: Option<Form>,

    /// The form of OUT [default: .jsonl, .mlflow.jsonl, .csv and .wide.csv tell it]
    #[arg(long, value_name = "FORM", value_parser = form())]
    pub to: Option<Form>,

    /// Leave history out of JSON lines too: only the last record of each id, and `valid` as it is now
    #[arg(long)]
    pub present: bool,

    /// Replace OUT if it is there; what it holds goes to <OUT>.bak
    #[arg(long)]
    pub overwrite: bool,
}

pub(super) const FORMS: &str = "\
Forms:
  jsonl     flat JSON, one record a line: the form of the log
  mlflow    what MLflow's REST API and Assessment.from_dictionary() take, one assessment a line
  csv       one row a record
  csv-wide  one row a trace, and for each judge its value, error code and rationale

Of jsonl, mlflow and csv each can be made from each other without loss, save that a table holds
the present state and no history. What a form has no place for is told. Lines that are no feedback
are named and left out; the exit code is then 3.

Examples:
  A table of a log:
    judge-run convert traces.feedback.jsonl feedback.csv
  For MLflow:
    judge-run convert traces.feedback.jsonl traces.mlflow.jsonl
  A table that people have worked on, as a log again:
    judge-run convert reviewed.csv reviewed.jsonl
  The judges of a run side by side, with no log in between:
    judge-run -d traces.jsonl -J safety,relevance -o - | judge-run convert - x.wide.csv";

#[derive(Debug, Args)]
pub(crate) struct JudgesArgs {
    /// Print this judge's file
    pub name: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Of this command, such as simulate
    pub command: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub shell: clap_complete::Shell,
}
