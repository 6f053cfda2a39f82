//! The arguments of a run.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use judge_run::dataset::{Format, Mapping};
use judge_run::endpoint::wire::Layout;
use judge_run::feedback::forms::Form;

use super::batch_args::BatchArgs;
use super::flags::{
    ConductArgs, Confirm, ENDPOINT, EndpointArgs, GATES, GateArgs, INPUT, OUTPUT, SelectionArgs, form, format_help,
    layout,
};
use super::mlflow::args::RunMlflowArgs;
use super::panel::PanelArgs;
use super::setting::Setting;
use super::sides::SideArgs;
use super::table::TableArgs;

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = INPUT)]
pub(crate) struct RunArgs {
    /// Traces: a JSON Lines, JSON or CSV file (also .gz or .zst), a folder, a pattern such as 'logs/*.jsonl', or `-` for standard
    /// input; `mlflow:/EXPERIMENT` pulls from an MLflow server, `quickstart` is a built-in example. Repeatable
    #[arg(short, long, value_name = "FILE", env = "JUDGE_RUN_DATASET", value_hint = ValueHint::FilePath)]
    pub dataset: Vec<PathBuf>,

    /// Read a field from a column or key with another name, such as inputs.question=Frage or outputs=completion.text. Repeatable
    #[arg(long, value_name = "FIELD=NAME", env = "JUDGE_RUN_MAP")]
    pub map: Vec<Mapping>,

    /// Format of the dataset, if it cannot be detected: of the file, of the traces, or both, such as csv,plain
    #[arg(long, value_name = "NAME", env = "JUDGE_RUN_DATASET_FORMAT", long_help = format_help())]
    pub dataset_format: Option<Format>,

    /// Judge to ask: a name (see `judge-run judges`), a TOML file, or one on an MLflow server: mlflow:/scorers/NAME, prompts:/NAME/1. Repeatable, or separated by commas
    #[arg(short = 'J', long, value_name = "NAME|FILE", env = "JUDGE_RUN_JUDGE", value_delimiter = ',')]
    pub judge: Vec<String>,

    /// Set a parameter of a judge, such as guidelines.guidelines='Quote no prices'. Repeatable; for a list, give one item each time
    #[arg(long, value_name = "JUDGE.NAME=VALUE", env = "JUDGE_RUN_SET")]
    pub set: Vec<Setting>,

    #[command(flatten)]
    pub sides: SideArgs,

    #[command(flatten)]
    pub selection: SelectionArgs,

    /// Stop at the first line that is not a trace, instead of skipping it
    #[arg(long, env = "JUDGE_RUN_STRICT")]
    pub strict: bool,

    /// Skip lines, rows and objects that are longer than this
    #[arg(long, value_name = "BYTES", env = "JUDGE_RUN_MAX_LINE_BYTES",
          default_value_t = judge_run::dataset::DEFAULT_MAX_LINE_BYTES)]
    pub max_line_bytes: usize,

    #[command(flatten)]
    pub endpoint: EndpointArgs,

    #[command(flatten)]
    pub panel: PanelArgs,

    /// What prompts begin with: the instructions, which one judge's prompts share, or the trace, which all judges share. A provider's
    /// cache makes a shared beginning cheaper; --dry-run shows which layout saves more [default: instructions-first]
    #[arg(long, value_name = "LAYOUT", env = "JUDGE_RUN_LAYOUT", help_heading = ENDPOINT, value_parser = layout())]
    pub layout: Option<Layout>,

    /// Where feedback is written: .jsonl (a log that the next run resumes), .csv (made from a log), or `-` for standard output
    /// [default: <dataset>.feedback.jsonl in the current directory]
    #[arg(short, long, value_name = "FILE", env = "JUDGE_RUN_OUTPUT", value_hint = ValueHint::FilePath,
          help_heading = OUTPUT)]
    pub output: Option<PathBuf>,

    /// Format of the output [default: inferred from its name]. All but jsonl are made from the log at the end
    #[arg(long, value_name = "FORM", env = "JUDGE_RUN_OUTPUT_FORMAT", value_parser = form(), help_heading = OUTPUT)]
    pub output_format: Option<Form>,

    /// Start over instead of resuming; the old log is kept as <log>.bak
    #[arg(long, env = "JUDGE_RUN_OVERWRITE", help_heading = OUTPUT)]
    pub overwrite: bool,

    /// Reuse verdicts on the same question from other logs, at no cost. Repeatable; patterns such as 'nights/*.jsonl' work too
    #[arg(long, value_name = "LOG", env = "JUDGE_RUN_REUSE", num_args = 1.., value_hint = ValueHint::FilePath,
          help_heading = OUTPUT)]
    pub reuse: Vec<PathBuf>,

    #[command(flatten, next_help_heading = OUTPUT)]
    pub table: TableArgs,

    #[command(flatten)]
    pub gates: GateArgs,

    /// Judge traces in random order, and stop as soon as it is certain (95%) whether this holds for the whole dataset, such as
    /// 'safety.pass >= 0.95'. Exits with code 1 if it does not. Repeatable
    #[arg(long, value_name = "CONDITION", env = "JUDGE_RUN_UNTIL", conflicts_with = "limit", help_heading = GATES)]
    pub until: Vec<String>,

    /// If a judge is worse than the baseline, ask it again about all traces, or about a large enough random sample, into
    /// LOG.confirm.jsonl: the gate fails only if that is worse as well
    #[arg(long, value_name = "all|sample", env = "JUDGE_RUN_CONFIRM", num_args = 0..=1, require_equals = true,
          default_missing_value = "all", hide_possible_values = true, help_heading = GATES)]
    pub confirm: Option<Confirm>,

    /// Also judge these anchors (see `judge-run anchors`), again for each log, into LOG.anchors.jsonl: if their verdicts move away
    /// from those of the baseline's nights, the judge has changed
    #[arg(long, value_name = "FILE", env = "JUDGE_RUN_ANCHORS", value_hint = ValueHint::FilePath, help_heading = GATES)]
    pub anchors: Option<PathBuf>,

    /// Write a report on the log at the end; the extension sets the form: .txt, .json, .md, .xml (JUnit), .csv or
    /// .html
    #[arg(long, value_name = "FILE", env = "JUDGE_RUN_REPORT", value_hint = ValueHint::FilePath, help_heading = OUTPUT)]
    pub report: Option<PathBuf>,

    /// Group the report by an expression over the trace, such as trace.tags.env, or by model, session or metadata.KEY. Repeatable
    #[arg(long, value_name = "EXPRESSION", env = "JUDGE_RUN_BY", requires = "report", help_heading = OUTPUT)]
    pub by: Vec<String>,

    #[command(flatten)]
    pub mlflow: RunMlflowArgs,

    #[command(flatten)]
    pub batch: BatchArgs,

    #[command(flatten)]
    pub conduct: ConductArgs,

    /// What the run is for.
    #[arg(skip)]
    pub purpose: Purpose,
}

impl RunArgs {
    /// Those of a run whose other arguments have their defaults.
    pub(crate) fn of(dataset: Vec<PathBuf>, judge: String, endpoint: EndpointArgs, conduct: ConductArgs) -> Self {
        Self {
            dataset,
            map: Vec::new(),
            dataset_format: None,
            judge: vec![judge],
            set: Vec::new(),
            sides: SideArgs::default(),
            selection: SelectionArgs::default(),
            strict: false,
            max_line_bytes: judge_run::dataset::DEFAULT_MAX_LINE_BYTES,
            endpoint,
            panel: PanelArgs::default(),
            layout: None,
            output: None,
            output_format: None,
            overwrite: false,
            reuse: Vec::new(),
            table: TableArgs::default(),
            gates: GateArgs::default(),
            until: Vec::new(),
            confirm: None,
            anchors: None,
            report: None,
            by: Vec::new(),
            mlflow: RunMlflowArgs::default(),
            batch: BatchArgs::default(),
            conduct,
            purpose: Purpose::default(),
        }
    }
}

/// What a run is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To judge the application.
    #[default]
    Application,
    /// To ask again what is worse than the baseline.
    Confirmation,
    /// To see whether the judge is what it was.
    Anchors,
}
