//! The arguments of the subcommands.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueHint};
use judge_run::dataset::{Format, Mapping};
use judge_run::endpoint::ModelUri;
use judge_run::feedback::ErrorCode;
use judge_run::feedback::forms::{Form, INCLUDED};
use judge_run_simulator::{BatchFaults, Dialect, FaultPlan};

use super::config_file;
use super::duration;
use super::flags::{EndpointArgs, GATES, GateArgs, INPUT, OUTPUT, amount, form, format_help, share};
use super::forms::FormArgs;
use super::override_args::OverrideArgs;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  Does the key work, and what are the account's limits?
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
  Retry failures that may succeed now, with each run's own dataset, judges and model:
    judge-run replay traces.feedback.jsonl
  Only those with these codes, more slowly:
    judge-run replay traces.feedback.jsonl --only RATE_LIMIT_EXCEEDED,TIMEOUT --rpm 100
  What the model could not do, with another model; its verdicts are added to the failures:
    judge-run replay traces.feedback.jsonl --only REFUSED,CONTEXT_LENGTH_EXCEEDED -m openai:/gpt-4.1
  Also the verdicts that were rejected, and shorten the log at the end:
    judge-run replay traces.feedback.jsonl --include-invalid --compact

Options override how the runs were set up, for this replay; JUDGE_RUN_* variables do not.")]
pub(crate) struct ReplayArgs {
    /// The log
    #[arg(value_hint = ValueHint::FilePath)]
    pub log: PathBuf,

    /// Retry only failures with these codes, including those that the same request would only repeat
    #[arg(long, value_name = "CODE,...", value_delimiter = ',', value_parser = code(), ignore_case = true,
          hide_possible_values = true, help_heading = INPUT)]
    pub only: Vec<ErrorCode>,

    /// Also ask again for rejected verdicts: those whose last record has `"valid": false`
    #[arg(long, help_heading = INPUT)]
    pub include_invalid: bool,

    /// Compact the log afterwards, unless the replay stopped early: drop failures that now have a verdict
    #[arg(long, conflicts_with = "dry_run", help_heading = OUTPUT)]
    pub compact: bool,

    #[command(flatten)]
    pub overrides: OverrideArgs,
}

impl ReplayArgs {
    /// As [`OverrideArgs::keep_typed`]; a variable may ask for a dry run.
    pub(crate) fn keep_typed(&mut self, typed: Self) {
        let dry_run = self.overrides.conduct.dry_run;
        self.overrides.keep_typed(typed.overrides);
        self.overrides.conduct.dry_run = dry_run;
    }
}

/// The codes of failures, in any case.
fn code() -> impl TypedValueParser<Value = ErrorCode> {
    let names = ErrorCode::ALL.iter().map(|code| code.as_str());
    PossibleValuesParser::new(names).try_map(|name| name.to_ascii_uppercase().parse::<ErrorCode>())
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The log [default: the only .feedback.jsonl in the current directory]
    #[arg(value_hint = ValueHint::FilePath)]
    pub log: Option<PathBuf>,

    /// Print the run's manifest as JSON, with the state of the log
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Several logs are read as one: each judgment counts once, as its latest record says. Failures are
counted, but no share or mean includes them; `bounds` shows how much they could change.

Gates:
  NAME.pass >= 0.99, NAME.mean >= 4, NAME.pass.lower >= 97%   for one judge; without NAME for each
  errors <= 1%, coverage >= 98%                               for all judgments
  NAME[trace.tags.env = prod].pass >= 0.99                    for a part of the dataset
  no worse than baseline by 0.02                              with --baseline

Examples:
  A report for each value of a tag:
    judge-run report traces.feedback.jsonl --by trace.tags.env
  For a program:
    judge-run report traces.feedback.jsonl --format json
  Whether last night was worse than the five before:
    judge-run report tonight.jsonl --baseline 'nights/*.jsonl' --gate 'no worse than baseline'")]
pub(crate) struct ReportArgs {
    /// The logs
    #[arg(required = true, value_name = "LOG", value_hint = ValueHint::FilePath)]
    pub logs: Vec<PathBuf>,

    /// Group by an expression over the trace, such as trace.tags.env, or by model, session or metadata.KEY. Repeatable
    #[arg(long, value_name = "EXPRESSION", help_heading = INPUT)]
    pub by: Vec<String>,

    /// Traces for --by and gates [default: those of the log's manifest]. Repeatable
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = INPUT)]
    pub dataset: Vec<PathBuf>,

    /// Which verdicts are good, if the log does not say: NAME=true, NAME='["good"]', NAME='>= 4', NAME=lower. Repeatable
    #[arg(long, value_name = "NAME=VALUE", help_heading = INPUT)]
    pub good: Vec<String>,

    /// Level of the confidence intervals, such as 0.95 or 95%
    #[arg(long, value_name = "LEVEL", default_value = "0.95", value_parser = level, help_heading = OUTPUT)]
    pub level: f64,

    #[command(flatten)]
    pub form: FormArgs,

    #[command(flatten)]
    pub gates: GateArgs,

    /// Configuration file with gates [default: judge-run.toml if it exists]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = GATES)]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
BASE and NEW are logs, patterns such as 'nights/*.jsonl', or several of them separated by commas: runs
over the same traces, averaged for each trace. Differences are new minus base.

Outcomes:
  better, worse   significant, corrected for the number of judges (Holm)
  equivalent      the whole interval lies within the margin
  inconclusive    neither can be shown; `detectable` is the smallest difference that would have been found
  judge changed   another prompt or model, so the difference is not due to the application alone

Examples:
  Did the new version make anything worse?
    judge-run compare main.feedback.jsonl branch.feedback.jsonl
  Against the mean of the last nights, with exit code 1 if it did:
    judge-run compare 'nights/*.jsonl' tonight.jsonl --gate 'no worse than baseline by 0.02'")]
pub(crate) struct CompareArgs {
    /// The logs to compare with
    #[arg(value_name = "BASE")]
    pub base: PathBuf,

    /// The new logs
    #[arg(value_name = "NEW")]
    pub new: PathBuf,

    /// Largest difference that does not matter: a share, or a fraction of a numeric scale [default: 0.02]
    #[arg(long, value_name = "SHARE", value_parser = share, help_heading = GATES)]
    pub margin: Option<f64>,

    /// Which verdicts are good, if the logs do not say, as in `judge-run report`. Repeatable
    #[arg(long, value_name = "NAME=VALUE", help_heading = INPUT)]
    pub good: Vec<String>,

    /// Level of the confidence intervals, such as 0.95 or 95%
    #[arg(long, value_name = "LEVEL", default_value = "0.95", value_parser = level, help_heading = OUTPUT)]
    pub level: f64,

    /// Exit with code 1 unless this holds, such as 'no worse than baseline by 0.02'. Repeatable
    #[arg(long, value_name = "CONDITION", help_heading = GATES)]
    pub gate: Vec<String>,

    #[command(flatten)]
    pub form: FormArgs,

    /// Configuration file with gates [default: judge-run.toml if it exists]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = GATES)]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Anchors are judged again each night, in addition to the dataset. Their texts never change, so if their
verdicts move, the judge changed, not the application. Choose them once, and keep the file.

Examples:
  Choose a hundred, and judge them each night:
    judge-run anchors traces.jsonl -n 100 -o anchors.jsonl
    judge-run -d traces.jsonl -J safety -o nights/2026-01-05.jsonl --anchors anchors.jsonl \\
      --baseline 'nights/*.jsonl' --gate 'no worse than baseline' --confirm
  The same number of each kind:
    judge-run anchors traces.jsonl -n 20 --stratify trace.tags.scenario -o anchors.jsonl")]
pub(crate) struct AnchorsArgs {
    /// Traces to choose from, as with --dataset of a run
    #[arg(required = true, value_name = "DATASET", value_hint = ValueHint::FilePath)]
    pub dataset: Vec<PathBuf>,

    /// How many to choose; with --stratify, for each value
    #[arg(short = 'n', long, value_name = "N", default_value_t = DEFAULT_ANCHORS, help_heading = INPUT)]
    pub number: NonZeroUsize,

    /// Choose others
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = INPUT)]
    pub seed: u64,

    /// Choose only from traces that match an expression, such as "trace.tags.env == 'prod'"
    #[arg(long, value_name = "EXPRESSION", help_heading = INPUT)]
    pub filter: Option<String>,

    /// Choose from each value of an expression, such as trace.tags.env
    #[arg(long, value_name = "EXPRESSION", help_heading = INPUT)]
    pub stratify: Option<String>,

    /// Read a field from a column or key with another name, as in a run. Repeatable
    #[arg(long, value_name = "FIELD=NAME", help_heading = INPUT)]
    pub map: Vec<Mapping>,

    /// Format of the dataset, if it cannot be detected
    #[arg(long, value_name = "NAME", long_help = format_help(), help_heading = INPUT)]
    pub dataset_format: Option<Format>,

    /// File to write: JSON lines, one trace per line
    #[arg(short, long, value_name = "FILE", default_value = "anchors.jsonl", value_hint = ValueHint::FilePath,
          help_heading = OUTPUT)]
    pub output: PathBuf,

    /// Replace anchors that were chosen before; the old file is kept as <output>.bak
    #[arg(long, help_heading = OUTPUT)]
    pub overwrite: bool,

    /// Configuration file that says how the dataset is read [default: judge-run.toml if it exists]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = INPUT)]
    pub config: Option<PathBuf>,
}

/// They show a change of about 10 points.
const DEFAULT_ANCHORS: NonZeroUsize = NonZeroUsize::new(100).unwrap();

#[derive(Debug, Args)]
#[command(after_help = "\
A few hundred verdicts, such as those of `--sample 300`, show how good the application is and how much
verdicts of one session depend on each other; the estimate follows from these.

Examples:
  How many traces for an interval of ±1 point, and to find a drop of 3 points?
    judge-run plan traces.feedback.jsonl --margin 1% --drop 3%
  Without a log: if nine of ten pass, and a judgment costs 0.2 cents (as --dry-run estimates)?
    judge-run plan --rate 90% --traces 500 --cost-per-judgment 0.002")]
pub(crate) struct PlanArgs {
    /// The logs
    #[arg(required_unless_present = "rate", value_name = "LOG", value_hint = ValueHint::FilePath)]
    pub logs: Vec<PathBuf>,

    /// Without a log: the expected pass rate
    #[arg(long, value_name = "SHARE", value_parser = share, conflicts_with_all = ["logs", "good"], help_heading = INPUT)]
    pub rate: Option<f64>,

    /// Without a log: how many traces there are
    #[arg(short = 'n', long, visible_alias = "n", value_name = "N", requires = "rate", help_heading = INPUT)]
    pub traces: Option<u64>,

    /// Without a log: how many verdicts are worth one independent verdict, if traces of a session are alike
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = design_effect, help_heading = INPUT)]
    pub design_effect: f64,

    /// Without a log: what one judgment costs
    #[arg(long, value_name = "AMOUNT", requires = "rate", value_parser = amount, help_heading = INPUT)]
    pub cost_per_judgment: Option<f64>,

    /// Half the width of the interval: a share, or a part of the range of numbers
    #[arg(long, value_name = "SHARE", default_value = "0.02", value_parser = share, help_heading = INPUT)]
    pub margin: f64,

    /// Drop that two runs over the same traces should show
    #[arg(long, value_name = "SHARE", default_value = "0.05", value_parser = share, help_heading = INPUT)]
    pub drop: f64,

    /// Share of verdicts that change from run to run without a reason
    #[arg(long, value_name = "SHARE", default_value = "0.1", value_parser = share, help_heading = INPUT)]
    pub discordance: f64,

    /// Which verdicts are good, if the log does not say, as in `judge-run report`. Repeatable
    #[arg(long, value_name = "NAME=VALUE", help_heading = INPUT)]
    pub good: Vec<String>,

    /// Level of the confidence intervals, such as 0.95 or 95%
    #[arg(long, value_name = "LEVEL", default_value = "0.95", value_parser = level, help_heading = OUTPUT)]
    pub level: f64,

    /// Form of the output
    #[arg(long, value_name = "FORM", default_value = "text", value_parser = ["text", "json"], help_heading = OUTPUT)]
    pub format: String,
}

/// At least 1.
fn design_effect(text: &str) -> Result<f64, String> {
    let factor = text.trim().parse().ok().filter(|factor: &f64| factor.is_finite() && *factor >= 1.0);
    factor.ok_or_else(|| format!("invalid design effect `{text}`, expected 1 or more"))
}

/// The level of an interval.
pub(super) fn level(text: &str) -> Result<f64, String> {
    let level = share(text).ok().filter(|level| (0.5..1.0).contains(level));
    level.ok_or_else(|| format!("invalid level `{text}`, expected 0.95 or 95%"))
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  All traces of a log, with their verdicts:
    judge-run show traces.feedback.jsonl
  One of them, with its question, answer and feedback:
    judge-run show traces.feedback.jsonl tr-quickstart-07")]
pub(crate) struct ShowArgs {
    /// The log
    #[arg(value_hint = ValueHint::FilePath)]
    pub log: PathBuf,

    /// Trace to show: its id, or a prefix of it
    pub trace: Option<String>,

    /// Traces, if the log's manifest does not say where they are. Repeatable
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub dataset: Vec<PathBuf>,

    /// Show long texts in full
    #[arg(long, requires = "trace")]
    pub full: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  A provider with a quota and some trouble:
    judge-run simulate --rpm 500 --latency 400ms --fail 429=5%,500=2%,reset=1%
  A run against it, in another terminal:
    judge-run -d traces.jsonl -J safety --base-url http://127.0.0.1:8080/v1
  What it has received so far:
    curl http://127.0.0.1:8080/stats")]
pub(crate) struct SimulateArgs {
    /// Address to listen on; the default is reachable from this machine only
    #[arg(long, default_value = "127.0.0.1")]
    pub host: std::net::IpAddr,

    /// Port to listen on; 0 picks a free one
    #[arg(short, long, default_value_t = 8080)]
    pub port: u16,

    /// Average time of an answer; each takes from 0.5 to 1.5 times as long
    #[arg(long, value_name = "DURATION", default_value = "20ms", value_parser = duration::parse)]
    pub latency: Duration,

    /// Make every answer take exactly the latency
    #[arg(long)]
    pub no_jitter: bool,

    /// Requests per minute; more get a 429
    #[arg(long, value_name = "N")]
    pub rpm: Option<NonZeroU32>,

    /// Tokens per minute; more get a 429
    #[arg(long, value_name = "N")]
    pub tpm: Option<NonZeroU32>,

    /// How much of the quota can be spent in one burst: what it allows in this time
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration::parse)]
    pub burst: Duration,

    /// Return tokens that a request reserved but did not use
    #[arg(long)]
    pub refund: bool,

    /// Provider whose rate-limit headers and errors to imitate
    #[arg(long, value_name = "WHOSE", default_value_t, value_parser = dialect())]
    pub headers: Dialect,

    /// Silently cut longer prompts, as Ollama does: `usage` reports at most N tokens
    #[arg(long, value_name = "N")]
    pub context: Option<u64>,

    /// Faults and their shares, such as 429=5%,500=2%,reset=1%,hang=1%,malformed=1%
    #[arg(long, value_name = "FAULT=SHARE,...", long_help = fault_help())]
    pub fail: Option<FaultPlan>,

    /// A faulty request fails this many times, then succeeds; 0 means always
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub clear_after: u32,

    /// Batch faults: expired=10%, missing=1% (of the lines), disorder, upper, invalid, queue, room=20 (lines), slow
    #[arg(long, value_name = "FAULT,...")]
    pub fail_batches: Option<BatchFaults>,
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
        "\n\nShares add up to 100% at most. Faults that depend on the request (\"while\") have 100% each and never clear.",
    );
    help
}

#[derive(Debug, Args)]
#[command(after_help = "\
Of records with the same id, the latest is kept, and a verdict rather than a failure. All records of people
and programs are kept. Different verdicts with the same id and time are an error; nothing is written.

Examples:
  The shards of a run:
    judge-run merge shard-1.jsonl shard-2.jsonl shard-3.jsonl -o all.jsonl")]
pub(crate) struct MergeArgs {
    /// The logs
    #[arg(required = true, value_name = "LOG", value_hint = ValueHint::FilePath)]
    pub logs: Vec<PathBuf>,

    /// The merged log
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: PathBuf,

    /// Replace the output if it exists; the old one is kept as <output>.bak
    #[arg(long)]
    pub overwrite: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CompactArgs {
    /// The log; it is replaced atomically
    #[arg(value_name = "LOG", value_hint = ValueHint::FilePath)]
    pub log: PathBuf,

    /// Show what would be dropped; change nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
#[command(after_help = FORMS)]
pub(crate) struct ConvertArgs {
    /// Feedback in any form, or `-` for standard input. It is not changed
    #[arg(value_name = "IN", value_hint = ValueHint::FilePath)]
    pub input: PathBuf,

    /// File to write, or `-` for standard output
    #[arg(value_name = "OUT", value_hint = ValueHint::FilePath)]
    pub output: PathBuf,

    /// Form of IN [default: inferred from its first line]
    #[arg(long, value_name = "FORM", value_parser = form())]
    pub from: Option<Form>,

    /// Form of OUT [default: inferred from .jsonl, .mlflow.jsonl, .csv or .wide.csv]
    #[arg(long, value_name = "FORM", value_parser = form())]
    pub to: Option<Form>,

    /// Omit history from JSON lines too: only the last record of each id, with its present `valid`
    #[arg(long)]
    pub present: bool,

    /// Replace OUT if it exists; the old one is kept as <OUT>.bak
    #[arg(long)]
    pub overwrite: bool,

    /// Fields of the traces as columns of the table, such as inputs,outputs
    #[arg(long, value_name = "FIELDS", value_delimiter = ',', value_parser = PossibleValuesParser::new(INCLUDED))]
    pub include: Vec<String>,

    /// Begin the table with a byte order mark, for spreadsheets that take UTF-8 for another encoding
    #[arg(long)]
    pub bom: bool,

    /// Where the fields of `--include` come from [default: the dataset of the log's last run]
    #[arg(short, long, value_name = "FILE", num_args = 1.., requires = "include", value_hint = ValueHint::FilePath)]
    pub dataset: Vec<PathBuf>,
}

pub(super) const FORMS: &str = "\
Forms:
  jsonl     flat JSON, one record per line: the form of the log
  mlflow    what MLflow's REST API and Assessment.from_dictionary() read, one assessment per line
  csv       one row per record
  csv-wide  one row per trace, with the value, error code and rationale of each judge and model

Conversions between jsonl, mlflow and csv lose nothing, except that a table shows the present state
without history. What a form cannot represent is reported. Lines that are not feedback are reported
and skipped; the exit code is then 3.

Examples:
  A table from a log:
    judge-run convert traces.feedback.jsonl feedback.csv
  For MLflow:
    judge-run convert traces.feedback.jsonl traces.mlflow.jsonl
  A table that people have edited, back to a log:
    judge-run convert reviewed.csv reviewed.jsonl
  The judges of a run side by side, without a log:
    judge-run -d traces.jsonl -J safety,relevance -o - | judge-run convert - x.wide.csv";

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  Try it on a built-in dataset:
    judge-run init && judge-run --simulate

  Every night the same command, `judge-run`:
    judge-run init -d 'traces/*.jsonl' -J safety,relevance -m openai:/gpt-4.1-mini --gate 'safety.pass >= 0.99'")]
pub(crate) struct InitArgs {
    /// File to write; it must not exist yet
    #[arg(value_name = "FILE", default_value = config_file::DEFAULT_PATH, value_hint = ValueHint::FilePath)]
    pub file: PathBuf,

    /// Traces to judge: a file, a folder or a pattern. Repeatable [default: quickstart, a built-in example]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub dataset: Vec<PathBuf>,

    /// Read a field from a column or key with another name, such as inputs.question=Frage. Repeatable
    #[arg(long, value_name = "FIELD=NAME")]
    pub map: Vec<Mapping>,

    /// Judge to ask: a name or a TOML file. Repeatable, or separated by commas [default: factual_accuracy]
    #[arg(short = 'J', long, value_name = "NAME|FILE", value_delimiter = ',')]
    pub judge: Vec<String>,

    /// Model to ask [default: openai:/gpt-4.1-mini]
    #[arg(short, long, value_name = "ENDPOINT:/MODEL")]
    pub model: Option<ModelUri>,

    /// Gate, such as 'safety.pass >= 0.99'. Repeatable
    #[arg(long, value_name = "CONDITION")]
    pub gate: Vec<String>,

    /// Logs to compare with. Repeatable, or separated by commas
    #[arg(long, value_name = "LOG", value_delimiter = ',', value_hint = ValueHint::FilePath)]
    pub baseline: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Command to describe, such as simulate
    pub command: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub shell: clap_complete::Shell,
}
