//! The arguments of the commands about people's feedback.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use super::flags::{GATES, INPUT, OUTPUT, share};
use super::subcommands::level;

/// A share that is neither 0 nor 1.
fn part(text: &str) -> Result<f64, String> {
    let part = share(text)?;
    if part > 0.0 && part < 1.0 { Ok(part) } else { Err("expected a share above 0 and below 1, such as 5%".to_owned()) }
}

#[derive(Debug, Args)]
#[command(after_help = "\
Nothing in a log is changed: each command adds a line, even while a run writes to the same log.

Examples:
  Add feedback on a trace, or on a span of it:
    judge-run feedback add traces.feedback.jsonl --trace tr-1 --name helpful --value true --as anna@example.com
  Reject a verdict, by a prefix of its id or by what it is about:
    judge-run feedback reject traces.feedback.jsonl a-2002 --because 'the answer is in the document'
    judge-run feedback reject traces.feedback.jsonl --trace tr-1 --name safety
  Correct it:
    judge-run feedback override traces.feedback.jsonl a-2002 --value false --as anna@example.com
  Read labels from a table:
    judge-run feedback import labels.csv --log traces.feedback.jsonl")]
pub(crate) struct FeedbackArgs {
    #[command(subcommand)]
    pub command: FeedbackCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum FeedbackCommand {
    /// Add a person's feedback on a trace or a span
    Add(AddArgs),
    /// Reject feedback: it does not count, and no run asks for it again
    Reject(MarkArgs),
    /// Accept rejected or deleted feedback again
    Accept(MarkArgs),
    /// Replace a verdict with another value
    Override(OverrideArgs),
    /// Delete a person's or a program's feedback; what it overrode is in force again
    Delete(MarkArgs),
    /// Add feedback from a table, JSON lines or another tool's results; existing feedback is not added again
    Import(ImportArgs),
}

#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// The log; created if it does not exist
    #[arg(value_name = "LOG", value_hint = ValueHint::FilePath)]
    pub log: PathBuf,

    /// Trace that it is about
    #[arg(long, value_name = "ID", required = true)]
    pub trace: String,

    /// Span of the trace that it is about
    #[arg(long, value_name = "ID")]
    pub span: Option<String>,

    /// Document of the span that it is about, from 0: the `document_index` of records
    #[arg(long, value_name = "INDEX", requires = "span")]
    pub document: Option<u32>,

    /// What is judged, such as helpful; or the name of a judge, to answer the same question
    #[arg(long, value_name = "NAME", required = true)]
    pub name: String,

    /// The verdict: true, false, a number, a label or other JSON
    #[arg(long, value_name = "VALUE", required = true, allow_hyphen_values = true)]
    pub value: String,

    /// Why
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub rationale: Option<String>,

    /// Who says it [default: the user of this machine]
    #[arg(long = "as", value_name = "WHO")]
    pub author: Option<String>,
}

/// Which record.
#[derive(Debug, Args)]
pub(crate) struct WhichArgs {
    /// The log
    #[arg(value_name = "LOG", value_hint = ValueHint::FilePath)]
    pub log: PathBuf,

    /// Record: its id, or a prefix of it
    #[arg(value_name = "ID")]
    pub id: Option<String>,

    /// Trace that it is about
    #[arg(long, value_name = "ID")]
    pub trace: Option<String>,

    /// Span that it is about
    #[arg(long, value_name = "ID")]
    pub span: Option<String>,

    /// Its name, which is that of the judge
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,

    /// Its source: a model such as openai:/gpt-4.1-mini, or a person
    #[arg(long, value_name = "SOURCE")]
    pub source: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct MarkArgs {
    #[command(flatten)]
    pub which: WhichArgs,

    /// Why
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub because: Option<String>,

    /// Who does it [default: the user of this machine]
    #[arg(long = "as", value_name = "WHO")]
    pub author: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct OverrideArgs {
    #[command(flatten)]
    pub which: WhichArgs,

    /// The verdict in its place: true, false, a number, a label or other JSON
    #[arg(long, value_name = "VALUE", required = true, allow_hyphen_values = true)]
    pub value: String,

    /// Why
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub rationale: Option<String>,

    /// Who says it [default: the user of this machine]
    #[arg(long = "as", value_name = "WHO")]
    pub author: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
A table (CSV, TSV) or JSON lines may have these fields: trace_id, value, and optionally name,
rationale, source_id (who says it), span_id, document_index, create_time. Records of judge-run and MLflow are
also read, as are results of promptfoo, Inspect and DeepEval, scores of Langfuse, annotations of Phoenix, and exports of
Label Studio. A person's later feedback on the same question replaces their earlier feedback.

Examples:
  A table with a column for each field:
    judge-run feedback import labels.csv --log traces.feedback.jsonl
  Columns with other names, all from one person and about one question:
    judge-run feedback import sheet.csv --log traces.feedback.jsonl --name helpful --as anna@example.com \\
      --map ID=trace_id --map 'Was it helpful?=value'")]
pub(crate) struct ImportArgs {
    /// Labels: a CSV, TSV, JSON Lines or JSON file, or `-` for standard input
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,

    /// The log that they are added to; created if it does not exist
    #[arg(long, value_name = "LOG", required = true, value_hint = ValueHint::FilePath)]
    pub log: PathBuf,

    /// What is judged, where the file does not say
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,

    /// Who says it, where the file does not say
    #[arg(long = "as", value_name = "WHO")]
    pub author: Option<String>,

    /// Read a field from a column or key with another name, such as 'Was it helpful?=value'. Repeatable
    #[arg(long, value_name = "COLUMN=FIELD", help_heading = INPUT)]
    pub map: Vec<String>,

    /// Show what would be added; add nothing
    #[arg(long, help_heading = OUTPUT)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  Who said what about a trace, and what replaced it:
    judge-run history traces.feedback.jsonl --trace tr-quickstart-07")]
pub(crate) struct HistoryArgs {
    /// The log
    #[arg(value_name = "LOG", value_hint = ValueHint::FilePath)]
    pub log: PathBuf,

    /// Trace: its id, or a prefix of it
    #[arg(long, value_name = "ID", required = true)]
    pub trace: String,

    /// Only feedback with this name
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,

    /// Form of the output
    #[arg(long, value_name = "FORM", default_value = "text", value_parser = ["text", "json"], help_heading = OUTPUT)]
    pub format: String,
}

/// Who is compared.
#[derive(Debug, Args)]
pub(crate) struct RatersArgs {
    /// The logs; several are read as one
    #[arg(required = true, value_name = "LOG", value_hint = ValueHint::FilePath)]
    pub logs: Vec<PathBuf>,

    /// What is judged: the name of a judge
    #[arg(long, value_name = "NAME", required = true)]
    pub name: String,

    /// Judge: its model, such as openai:/gpt-4.1-mini [default: the only one]
    #[arg(long = "judge", id = "judge_source", value_name = "SOURCE", help_heading = INPUT)]
    pub judge: Option<String>,

    /// People, separated by commas; also a program such as aggregate:dawid_skene [default: all people]
    #[arg(long, value_name = "WHO,...", value_delimiter = ',', help_heading = INPUT)]
    pub people: Vec<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
With a tie, or fewer votes than the quorum, an item is undecided; nothing is written for it.

Examples:
  What most annotators say, and how often each of them says so:
    judge-run aggregate traces.feedback.jsonl --name helpful --method majority
  Weighted by how often each is right, added to the log as feedback by aggregate:dawid_skene:
    judge-run aggregate traces.feedback.jsonl --name helpful --method dawid-skene --write")]
pub(crate) struct AggregateArgs {
    /// The log
    #[arg(value_name = "LOG", value_hint = ValueHint::FilePath)]
    pub log: PathBuf,

    /// What is judged
    #[arg(long, value_name = "NAME", required = true)]
    pub name: String,

    /// How votes become one
    #[arg(long, value_name = "METHOD", default_value = "majority", value_parser = ["majority", "mean", "median", "dawid-skene"])]
    pub method: String,

    /// Who votes, separated by commas; judges too [default: all people]
    #[arg(long, value_name = "WHO,...", value_delimiter = ',', help_heading = INPUT)]
    pub people: Vec<String>,

    /// Leave items with fewer votes undecided
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = INPUT)]
    pub quorum: u64,

    /// What the Dawid-Skene model adds to each count: more makes it less certain
    #[arg(long, value_name = "COUNT", default_value_t = 0.01, help_heading = INPUT)]
    pub smoothing: f64,

    /// Add the decisions to the log; existing ones are not added again
    #[arg(long, help_heading = OUTPUT)]
    pub write: bool,

    /// Form of the output
    #[arg(long, value_name = "FORM", default_value = "text", value_parser = ["text", "json"], help_heading = OUTPUT)]
    pub format: String,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Gates: accuracy, kappa, weighted_kappa, fleiss, alpha, ac1, ac2, or an end of an interval such as
kappa.lower.

Examples:
  How well does the judge agree with people, and people with each other?
    judge-run agreement traces.feedback.jsonl --name helpful
  And two people, without the judge?
    judge-run agreement traces.feedback.jsonl --name helpful --people anna,bea
  For a program, with exit code 1 if the judge does not agree enough:
    judge-run agreement traces.feedback.jsonl --name helpful --format json --gate 'kappa.lower >= 0.6'")]
pub(crate) struct AgreementArgs {
    #[command(flatten)]
    pub raters: RatersArgs,

    /// How far values are apart [default: what fits them]
    #[arg(long, value_name = "METRIC", value_parser = ["nominal", "ordinal", "interval", "ratio"], help_heading = INPUT)]
    pub metric: Option<String>,

    /// How much more a person costs than the judge, in the alternative annotator test: 0.2 for experts, 0.1 for crowds
    #[arg(long, value_name = "SHARE", default_value = "0.2", value_parser = share, help_heading = INPUT)]
    pub epsilon: f64,

    /// Exit with code 1 unless this holds, such as 'kappa.lower >= 0.6'. Repeatable
    #[arg(long, value_name = "CONDITION", help_heading = GATES)]
    pub gate: Vec<String>,

    /// List at most this many disagreements, the most certain first
    #[arg(long, value_name = "N", default_value_t = 20, help_heading = OUTPUT)]
    pub disagreements: usize,

    /// Level of the confidence intervals, such as 0.95 or 95%
    #[arg(long, value_name = "LEVEL", default_value = "0.95", value_parser = level, help_heading = OUTPUT)]
    pub level: f64,

    /// Form of the output
    #[arg(long, value_name = "FORM", default_value = "text", value_parser = ["text", "json"], help_heading = OUTPUT)]
    pub format: String,
}

#[derive(Debug, Args)]
#[command(after_help = "\
The sheet has no verdicts, so that they cannot influence annotators. The plan is saved next to the log,
as LOG.label-plan.json; it tells `judge-run calibrate` how the labels were drawn.

Examples:
  Draw 100 items to label, label them in a spreadsheet, and read the labels:
    judge-run label-plan traces.feedback.jsonl --name helpful --n 100 -o sheet.csv
    judge-run feedback import sheet.csv --log traces.feedback.jsonl --as anna@example.com
    judge-run calibrate traces.feedback.jsonl --name helpful")]
pub(crate) struct LabelPlanArgs {
    /// The log
    #[arg(value_name = "LOG", value_hint = ValueHint::FilePath)]
    pub log: PathBuf,

    /// What is judged: the name of a judge
    #[arg(long, value_name = "NAME", required = true)]
    pub name: String,

    /// How many items to label
    #[arg(long = "n", value_name = "N", default_value_t = 100)]
    pub labels: u64,

    /// Judge: its model, such as openai:/gpt-4.1-mini [default: the only one]
    #[arg(long = "judge", id = "judge_source", value_name = "SOURCE", help_heading = INPUT)]
    pub judge: Option<String>,

    /// Draw other items; the same seed with a larger N adds to those drawn before
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = INPUT)]
    pub seed: u64,

    /// Which verdicts are good, if the log does not say, such as true or '>= 4'
    #[arg(long, value_name = "VALUE", help_heading = INPUT)]
    pub good: Option<String>,

    /// Traces, to show their inputs and outputs [default: those of the log's manifest]. Repeatable
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = INPUT)]
    pub dataset: Vec<PathBuf>,

    /// Sheet to fill in: .csv or .jsonl, or `-` for standard output
    #[arg(short, long, value_name = "FILE", default_value = "-", value_hint = ValueHint::FilePath, help_heading = OUTPUT)]
    pub output: PathBuf,

    /// Replace the sheet if it exists
    #[arg(long, help_heading = OUTPUT)]
    pub overwrite: bool,

    /// Show the judge's verdict and reasoning next to each item
    #[arg(long, help_heading = OUTPUT)]
    pub show_verdicts: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Methods:
  jeffreys      labels are a random sample of these items, such as one from `judge-run label-plan`
  ppi++         the same, also for numbers
  rogan-gladen  labels of other items (--labels LOG): only the judge's error rates carry over

The judge is refused, with exit code 1, if it cannot be told from chance or has changed since; the rate
is then that of people's labels alone.

Examples:
  What share would people pass?
    judge-run calibrate traces.feedback.jsonl --name helpful
  With labels of another log, and without the traces that are examples in the judge's prompt:
    judge-run calibrate tonight.jsonl --name helpful --method rogan-gladen --labels gold.jsonl \\
      --examples @examples.txt")]
pub(crate) struct CalibrateArgs {
    #[command(flatten)]
    pub raters: RatersArgs,

    /// How to correct the rate
    #[arg(long, value_name = "METHOD", default_value = "jeffreys", value_parser = ["jeffreys", "ppi++", "rogan-gladen"])]
    pub method: String,

    /// Log with people's labels and the judge's verdicts on other items, for rogan-gladen
    #[arg(long, value_name = "LOG", value_hint = ValueHint::FilePath, help_heading = INPUT)]
    pub labels: Option<PathBuf>,

    /// Trace that the judge was written with, or a file of such ids, one per line: its label does not count. Repeatable
    #[arg(long, value_name = "ID|@FILE", help_heading = INPUT)]
    pub examples: Vec<String>,

    /// Which verdicts are good, if the log does not say, such as true or '>= 4'
    #[arg(long, value_name = "VALUE", help_heading = INPUT)]
    pub good: Option<String>,

    /// Also count labels that the plan next to the log did not draw
    #[arg(long, help_heading = INPUT)]
    pub ignore_plan: bool,

    /// Also find the lowest confidence, for --escalate-below, at which at most this share of verdicts differs from people's, by --level
    #[arg(long, value_name = "SHARE", value_parser = part, conflicts_with = "labels", help_heading = OUTPUT)]
    pub max_disagreement: Option<f64>,

    /// Width that the interval should have: reports how many labels it needs
    #[arg(long, value_name = "SHARE", default_value = "0.1", value_parser = share, help_heading = OUTPUT)]
    pub width: f64,

    /// Level of the confidence intervals, such as 0.95 or 95%
    #[arg(long, value_name = "LEVEL", default_value = "0.95", value_parser = level, help_heading = OUTPUT)]
    pub level: f64,

    /// Form of the output
    #[arg(long, value_name = "FORM", default_value = "text", value_parser = ["text", "json"], help_heading = OUTPUT)]
    pub format: String,
}
