//! The arguments of `judge-run judges`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, ValueHint};

use crate::cli::flags::{ConductArgs, EndpointArgs, GATES, INPUT, OUTPUT, share};
use crate::cli::mlflow::args::ServerArgs;
use crate::cli::setting::Setting;

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  For a program: names, verdicts, which are good, and what each judge needs:
    judge-run judges --format json
  Start your own judge, and check it:
    judge-run judges new politeness --type category
    judge-run judges check judges/politeness.toml
  See the exact request about the first trace:
    judge-run judges preview politeness -d traces.jsonl -m openai:/gpt-4.1-mini"
)]
pub(crate) struct JudgesArgs {
    #[command(subcommand)]
    pub command: Option<JudgesCommand>,

    /// Judge to print as a file, as `show` does
    pub name: Option<String>,

    /// Form of the list
    #[arg(long, value_name = "FORM", default_value = "text", value_parser = ["text", "json"])]
    pub format: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum JudgesCommand {
    /// Print a judge as a file
    Show(ShowArgs),
    /// Write a judge file to start from
    New(NewArgs),
    /// Check judge files for errors, and for what makes verdicts worse
    Check(CheckArgs),
    /// Print the exact request about one trace; nothing is sent
    Preview(Box<PreviewArgs>),
    /// Test a judge on a model: with minimal pairs, and with people's labels
    Test(Box<TestArgs>),
    /// Attack a judge with injection patterns in traces that it finds bad
    Attack(Box<AttackArgs>),
    /// Make judge files from MLflow's scorers and prompts
    Import(ImportArgs),
    /// Print the JSON Schema of judge files, for editors
    Schema,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Records name what was asked as `judge_prompt`, such as prompts:/safety/2: that version of a judge here, of one that a
run took from an MLflow server (mlflow-judges), or of the server's registry, in this order. Whether the file is still
what was asked is what `judge_digest` says, which is printed for a judge named so.

Examples:
  A built-in judge, to start from:
    judge-run judges show safety
  What a record's `judge_prompt` refers to:
    judge-run judges show prompts:/safety/2
  A judge on an MLflow server:
    judge-run judges show mlflow:/scorers/quality --tracking-uri http://127.0.0.1:5000")]
pub(crate) struct ShowArgs {
    /// Judge: its name, its file, or what a record names as `judge_prompt`
    #[arg(value_name = "NAME|FILE|URI")]
    pub name: String,

    #[command(flatten)]
    pub server: ServerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    /// Name of the judge; the file is judges/NAME.toml
    pub name: String,

    /// What it answers
    #[arg(long = "type", value_name = "TYPE", value_enum, default_value_t)]
    pub kind: Kind,

    /// What it judges
    #[arg(long, value_name = "UNIT", value_enum, default_value_t)]
    pub unit: UnitOfNew,
}

/// What a new judge answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    #[default]
    Boolean,
    Category,
    Integer,
    Number,
    /// Several criteria, each with its own verdict
    Rubric,
}

/// What a new judge judges.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum UnitOfNew {
    #[default]
    Trace,
    Span,
    /// Each document that a retriever found
    Document,
    Session,
    /// Which of two outputs is better; ignores --type
    Pair,
}

#[derive(Debug, Args)]
#[command(after_help = "\
One line a finding: PATH:LINE:COLUMN: error or warning: what is wrong. Errors make the exit code 2:
the file cannot be used, labels that answers cannot tell apart, text of the application outside a
fence. Warnings do not, unless --strict.")]
pub(crate) struct CheckArgs {
    /// Files, or names of judges
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub files: Vec<String>,

    /// Treat warnings as errors
    #[arg(long)]
    pub strict: bool,

    /// Warn about instructions longer than this, in tokens
    #[arg(long, value_name = "N", default_value_t = judge_run::judge::lint::DEFAULT_MAX_TOKENS)]
    pub max_tokens: u64,
}

#[derive(Debug, Args)]
pub(crate) struct PreviewArgs {
    /// The judge: a name or a TOML file
    pub judge: String,

    /// Traces
    #[arg(short, long, required = true, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = INPUT)]
    pub dataset: Vec<PathBuf>,

    /// The trace, by its id [default: the first that the judge applies to]
    #[arg(long, value_name = "ID", help_heading = INPUT)]
    pub trace: Option<String>,

    /// Set a parameter of the judge, as in a run. Repeatable
    #[arg(long, value_name = "JUDGE.NAME=VALUE", help_heading = INPUT)]
    pub set: Vec<Setting>,

    /// Print the texts of the messages instead of the JSON that is sent
    #[arg(long, help_heading = OUTPUT)]
    pub text: bool,

    #[command(flatten)]
    pub endpoint: EndpointArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
The pairs are traces that differ in one thing, with the verdicts that are right: built in, or in
tests/NAME.jsonl beside the judge's file. Each trace is asked about again as it is (placebo), and with
what should change nothing: the documents, or the criteria of a rubric, in another order, a courtesy, a
heading.

Examples:
  Is this model good enough for this judge?
    judge-run judges test groundedness -m openai:/gpt-4.1-mini --fail-under 0.9
  Does it agree with people? Certified if both lower bounds reach the bar:
    judge-run judges test safety -m openai:/gpt-4.1-mini -d traces.jsonl --labels labels.csv --bar 0.8")]
pub(crate) struct TestArgs {
    /// The judge: a name, a TOML file, or RUBRIC.CRITERION
    pub judge: String,

    /// People's labels: a CSV with the columns trace_id and label (a verdict of the judge, or good and bad); of a rubric
    /// with a column for each criterion
    #[arg(long, value_name = "CSV", requires = "dataset", value_hint = ValueHint::FilePath, help_heading = INPUT)]
    pub labels: Option<PathBuf>,

    /// The traces that the labels are about. Repeatable
    #[arg(short, long, value_name = "FILE", requires = "labels", value_hint = ValueHint::FilePath, help_heading = INPUT)]
    pub dataset: Vec<PathBuf>,

    /// Set a parameter of the judge, as in a run. Repeatable
    #[arg(long, value_name = "JUDGE.NAME=VALUE", help_heading = INPUT)]
    pub set: Vec<Setting>,

    /// Ask about each trace only once: no flips
    #[arg(long, help_heading = INPUT)]
    pub once: bool,

    /// Exit with code 1 if the accuracy over the pairs is below this, such as 0.9 or 90%
    #[arg(long, value_name = "SHARE", value_parser = share, help_heading = GATES)]
    pub fail_under: Option<f64>,

    /// Value that the lower bounds of sensitivity and specificity have to reach; exit code 1 if they do not
    #[arg(long, value_name = "SHARE", value_parser = share, default_value = "0.8", help_heading = GATES)]
    pub bar: f64,

    /// Form of the result on standard output
    #[arg(long, value_name = "FORM", default_value = "text", value_parser = ["text", "json"], help_heading = OUTPUT)]
    pub format: String,

    /// The log of the test, which the same command resumes [default: NAME.test.feedback.jsonl]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = OUTPUT)]
    pub output: Option<PathBuf>,

    #[command(flatten)]
    pub endpoint: EndpointArgs,

    #[command(flatten)]
    pub conduct: ConductArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Each trace is asked about twice as it is; those that the judge finds bad are asked about again with a
published injection pattern of each family in the answer. Reported is how often the verdict turns good,
and how much more often than without a pattern. The family `control` orders nothing.

Examples:
  With the traces of the judge's own minimal pairs:
    judge-run judges attack relevance -m openai:/gpt-4.1-mini --fail-over 0.05
  With traces that people labelled bad, and your own patterns:
    judge-run judges attack safety -m openai:/gpt-4.1-mini -d traces.jsonl --labels labels.csv \\
      --patterns patterns.jsonl")]
pub(crate) struct AttackArgs {
    /// The judge: a name, a TOML file, or RUBRIC.CRITERION
    pub judge: String,

    /// Traces to attack [default: those of the judge's minimal pairs that are bad]. Repeatable
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = INPUT)]
    pub dataset: Vec<PathBuf>,

    /// Attack only what people labelled bad: a CSV with the columns trace_id and label
    #[arg(long, value_name = "CSV", requires = "dataset", value_hint = ValueHint::FilePath, help_heading = INPUT)]
    pub labels: Option<PathBuf>,

    /// Patterns instead of the built-in ones: a JSONL file of {"family", "text", "place": "before" or "after"}, where
    /// {value} and {json} stand for a good verdict
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = INPUT)]
    pub patterns: Option<PathBuf>,

    /// Attack at most this many traces
    #[arg(long, value_name = "N", default_value = "20", help_heading = INPUT)]
    pub limit: NonZeroUsize,

    /// Set a parameter of the judge, as in a run. Repeatable
    #[arg(long, value_name = "JUDGE.NAME=VALUE", help_heading = INPUT)]
    pub set: Vec<Setting>,

    /// Exit with code 1 if a family turns a larger share of verdicts than this, such as 0.05 or 5%
    #[arg(long, value_name = "SHARE", value_parser = share, help_heading = GATES)]
    pub fail_over: Option<f64>,

    /// Form of the result on standard output
    #[arg(long, value_name = "FORM", default_value = "text", value_parser = ["text", "json"], help_heading = OUTPUT)]
    pub format: String,

    /// The log of the attack, which the same command resumes [default: NAME.attack.feedback.jsonl]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = OUTPUT)]
    pub output: Option<PathBuf>,

    #[command(flatten)]
    pub endpoint: EndpointArgs,

    #[command(flatten)]
    pub conduct: ConductArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
A file contains a response of MLflow's REST API: scorers/get, scorers/list or model-versions/get. Each judge
becomes judges/NAME.toml; what cannot be imported is reported. A scorer that cannot be a judge, such as
Python code, is named, and the exit code is 3.

Examples:
  All judges of an experiment, or one of them, or a prompt:
    judge-run judges import --from-server --experiment support-bot
    judge-run judges import mlflow:/scorers/quality --experiment support-bot
    judge-run judges import prompts:/accuracy@latest
  Without a connection:
    curl \"$MLFLOW_TRACKING_URI/api/3.0/mlflow/scorers/get?experiment_id=1&name=quality\" > quality.json
    judge-run judges import quality.json")]
pub(crate) struct ImportArgs {
    /// Files of JSON, or judges on the server: mlflow:/scorers/NAME, prompts:/NAME/VERSION, prompts:/NAME@ALIAS
    #[arg(required_unless_present = "from_server", value_name = "FILE|URI", value_hint = ValueHint::FilePath)]
    pub from: Vec<String>,

    /// All scorers of the experiment on the server
    #[arg(long)]
    pub from_server: bool,

    /// The experiment that the scorers belong to: its name or id [default: MLFLOW_EXPERIMENT_ID, MLFLOW_EXPERIMENT_NAME]
    #[arg(long, value_name = "NAME|ID")]
    pub experiment: Option<String>,

    #[command(flatten)]
    pub server: ServerArgs,
}
