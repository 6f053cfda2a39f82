//! The command line: its commands, and how it is read.

use std::path::Path;

use clap::builder::{BoolishValueParser, Resettable};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, CommandFactory, FromArgMatches, Parser, Subcommand};
use judge_run::judge::library;

use super::batch_args::CollectArgs;
use super::doctor::args::DoctorArgs;
use super::exchange_args::ExchangeArgs;
use super::flags::GENERAL;
use super::judges::args::JudgesArgs;
use super::mlflow::args::MlflowArgs;
use super::neighbours::{LangfuseArgs, PhoenixArgs};
use super::people_args::{AggregateArgs, AgreementArgs, CalibrateArgs, FeedbackArgs, HistoryArgs, LabelPlanArgs};
use super::run_args::RunArgs;
use super::servers::{ReviewArgs, ServeFeedbackArgs};
use super::subcommands::{
    AnchorsArgs, CheckArgs, CompactArgs, CompareArgs, CompletionsArgs, ConvertArgs, InitArgs, ManArgs, MergeArgs,
    PlanArgs, ReplayArgs, ReportArgs, ShowArgs, SimulateArgs, StatusArgs,
};
use super::suggest;

const EXAMPLES: &str = r#"A trace is a line of JSON, an object in a list, or a row of a table; only `inputs` is required:
  {"trace_id": "t1", "inputs": {"question": "Capital of France?"}, "outputs": "Paris",
   "expectations": {"expected_response": "Paris"}}
MLflow, OpenTelemetry, Langfuse and other formats are recognized.

Examples:
  Try it without a model, on a built-in dataset; the verdicts are made up:
    judge-run -d quickstart -J factual_accuracy --simulate

  Show what would be sent, and the first prompt of each judge:
    judge-run -d traces.jsonl -J factual_accuracy --dry-run -v

  Ask OpenAI with two judges, within a quota of 500 requests a minute:
    export OPENAI_API_KEY=sk-...
    judge-run -d traces.jsonl -J factual_accuracy,safety -m openai:/gpt-4.1-mini --rpm 500

  Ask a model on your own machine:
    judge-run -d traces.jsonl -J groundedness -m ollama:/llama3.2

  Judge a part of the dataset: by a condition, the same sample every night, or given traces:
    judge-run -d traces.jsonl -J safety --filter "trace.tags.env == 'prod' and outputs"
    judge-run -d traces.jsonl -J safety --sample 100 --stratify trace.tags.env
    judge-run -d traces.jsonl -J safety --trace-id @ids.txt

  Judge a table whose columns have other names:
    judge-run -d answers.csv --map inputs.question=Frage --map outputs=Antwort -J relevance

  Compare two versions of an application, pair by pair:
    judge-run --side old.jsonl --side new.jsonl -J preference

  Write your own judge, starting from a built-in one:
    judge-run judges relevance > politeness.toml
    judge-run -d traces.jsonl -J politeness.toml

  Resume an interrupted run and retry its failures: run the same command again. Only the failures:
    judge-run replay traces.feedback.jsonl

  Ask at half the price, through the provider's batch API; submit now, collect later:
    judge-run -d traces.jsonl -J safety -m openai:/gpt-4.1-mini --batch --detach
    judge-run collect traces.feedback.jsonl

  Show the progress of a run:
    judge-run status traces.feedback.jsonl

  Report on the verdicts, compare two nights, and fail a job unless enough pass:
    judge-run report traces.feedback.jsonl --by trace.tags.env
    judge-run compare last-night.jsonl tonight.jsonl
    judge-run -d traces.jsonl -J safety --gate 'safety.pass >= 0.99' --gate 'errors <= 1%'

Configuration, read from judge-run.toml in the current directory (`judge-run init` writes one):
  dataset = "traces.jsonl"
  judges = ["factual_accuracy", "safety"]
  model = "openai:/gpt-4.1-mini"

  [endpoints.openai]
  rpm = 500
  tpm = 200000

  [endpoints.openai.prices."gpt-4.1-mini"]  # per million tokens
  input = 0.40
  cached_input = 0.10
  output = 1.60

Environment:
  Every option has a variable: --max-retries is JUDGE_RUN_MAX_RETRIES, --quiet is
  JUDGE_RUN_QUIET=1. Flags override variables, and both override judge-run.toml.
  API keys are read from the providers' own variables, such as OPENAI_API_KEY.

Exit codes:
  0    everything was judged, and all gates hold
  1    a gate failed
  2    wrong usage, configuration or judge file, or nothing to judge; nothing was sent
  3    finished, but some judgments failed, some lines are not traces, or a filter failed
  4    stopped early (key, quota, budget, address or log), or every judgment failed
  5    batches are pending: `judge-run collect LOG` or the same command continues
  130  interrupted, after saving the answers in flight"#;

/// Judge recorded traces of GenAI applications with LLM judges: one Feedback record per judgment
#[derive(Debug, Parser)]
#[command(name = "judge-run", version, after_long_help = EXAMPLES, args_conflicts_with_subcommands = true)]
#[command(after_help = "Try it: judge-run -d quickstart -J factual_accuracy --simulate\n\
                        More: `judge-run --help` has examples, environment variables and exit codes.")]
#[command(override_usage = "judge-run --dataset <FILE> --judge <NAME> [OPTIONS]\n       judge-run <COMMAND>")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,

    #[command(flatten)]
    pub run: RunArgs,
}

impl Cli {
    /// Reads the command line of this process and the variables for flags. What is typed overrides a variable that means
    /// the opposite; only two typed options can conflict.
    ///
    /// # Errors
    /// What is wrong with it; help and version count as errors, as always in clap.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        let mut command = command();
        let matches = command.try_get_matches_from_mut(std::env::args_os()).map_err(with_hint)?;
        let mut cli = Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
        let typed = |id| matches.value_source(id) == Some(ValueSource::CommandLine);
        let mut conflict = |a, b| command.error(ErrorKind::ArgumentConflict, format!("{a} cannot be used with {b}"));
        match (typed("simulate"), typed("base_url")) {
            (true, true) => return Err(conflict("--simulate", "--base-url")),
            (false, true) => cli.run.endpoint.simulate = false,
            _ if cli.run.endpoint.simulate => cli.run.endpoint.base_url = None,
            _ => {}
        }
        match (typed("quiet"), typed("verbose")) {
            (true, true) => return Err(conflict("--quiet", "--verbose")),
            (false, true) => cli.run.conduct.quiet = false,
            _ if cli.run.conduct.quiet => cli.run.conduct.verbose = 0,
            _ => {}
        }
        let overrides = match cli.command {
            Some(Command::Replay(_)) => Some("replay"),
            Some(Command::Collect(_)) => Some("collect"),
            _ => None,
        };
        if let Some(name) = overrides {
            let without_variables = |command: clap::Command| command.mut_args(|arg| arg.env(Resettable::Reset));
            let mut command = self::command().mut_subcommand(name, without_variables);
            let matches = command.try_get_matches_from_mut(std::env::args_os())?;
            let typed = Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
            match (&mut cli.command, typed.command) {
                (Some(Command::Replay(replay)), Some(Command::Replay(typed))) => replay.keep_typed(*typed),
                (Some(Command::Collect(collect)), Some(Command::Collect(typed))) => {
                    collect.overrides.keep_typed(typed.overrides);
                }
                _ => {}
            }
        }
        Ok(cli)
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Retry the failures in a log, each as its run was set up
    Replay(Box<ReplayArgs>),
    /// Collect the results of batches that were submitted with --batch
    Collect(Box<CollectArgs>),
    /// Write requests to files for a service that runs batches, and import its results
    Batch(ExchangeArgs),
    /// Show the progress of a run, even while another process runs it
    Status(StatusArgs),
    /// Report on a log's feedback: pass rates, means, intervals, failures; and whether gates hold
    Report(Box<ReportArgs>),
    /// Compare the feedback of two logs, trace by trace: better, worse, equivalent or inconclusive
    Compare(CompareArgs),
    /// Show a trace with its feedback, or list a log's traces
    Show(ShowArgs),
    /// Estimate how many traces a margin or a detectable drop needs, from the verdicts so far, and what they cost
    Plan(PlanArgs),
    /// Add people's feedback to a log, reject or correct a verdict, import labels
    Feedback(Box<FeedbackArgs>),
    /// Show who said what about a trace, and what replaced it
    History(HistoryArgs),
    /// Aggregate several annotators' labels: majority, mean, median, Dawid-Skene
    Aggregate(AggregateArgs),
    /// Measure how well a judge agrees with people, and people with each other
    Agreement(AgreementArgs),
    /// Draw which judgments people should label, and write a sheet to fill in
    LabelPlan(LabelPlanArgs),
    /// Correct a judge's pass rate with people's labels
    Calibrate(CalibrateArgs),
    /// Write a judge-run.toml, so that `judge-run` alone runs it
    Init(InitArgs),
    /// List the judges; show, write, check, preview and test them
    Judges(Box<JudgesArgs>),
    /// Send one small request to an endpoint: does it answer, what does it support, what are its limits
    Check(Box<CheckArgs>),
    /// Check what is configured: does each endpoint and server answer, and what would be sent where
    Doctor(Box<DoctorArgs>),
    /// Choose anchors: traces kept with their texts, which show nightly runs whether the judge changed
    Anchors(AnchorsArgs),
    /// Convert feedback: JSON lines, MLflow assessments, or a table
    Convert(ConvertArgs),
    /// Pull traces from an MLflow server, push feedback to it
    Mlflow(MlflowArgs),
    /// Push feedback to Arize Phoenix, pull people's annotations from it
    Phoenix(PhoenixArgs),
    /// Push feedback to Langfuse, pull people's scores from it
    Langfuse(LangfuseArgs),
    /// Merge logs into one, such as those of shards or of several nights
    Merge(MergeArgs),
    /// Drop superseded records from a log; every verdict is kept
    Compact(CompactArgs),
    /// Review traces on a page in a browser: label them, and reject or correct verdicts
    Review(Box<ReviewArgs>),
    /// Accept feedback from applications and their users into a log, through MLflow's API
    ServeFeedback(ServeFeedbackArgs),
    /// Serve a simulated OpenAI-compatible endpoint, with quotas and faults
    Simulate(SimulateArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Print the manual page
    Man(ManArgs),
}

/// The command line as clap knows it: for parsing, help, completions and the manual page.
///
/// An empty variable counts as not set: that is how CI systems pass on an input without a value. Switches accept `1` and
/// `yes` as well as `true`. The names of the variables follow from those of the flags, so the help states the rule once.
pub(crate) fn command() -> clap::Command {
    let help = Arg::new("help").short('h').long("help").action(ArgAction::Help);
    let version = Arg::new("version").short('V').long("version").action(ArgAction::Version).help("Print the version");
    let last = |arg: Arg| arg.help_heading(GENERAL);
    let command = Cli::command().disable_help_flag(true).disable_version_flag(true);
    let command = command.mut_subcommands(|command| with_help(command, &help));
    let help = help.help("Print help; -h is short, --help has examples and exit codes");
    with_variables(command.args([last(help), last(version)]))
}

/// Where the main command's own is replaced, clap gives none to the others either.
fn with_help(command: clap::Command, help: &Arg) -> clap::Command {
    command.mut_subcommands(|command| with_help(command, help)).arg(help.clone().help("Print help"))
}

fn with_variables(command: clap::Command) -> clap::Command {
    command.mut_args(variables).mut_subcommands(with_variables)
}

/// The rules for variables, which are stated once, in the main command's help.
fn variables(arg: Arg) -> Arg {
    let Some(name) = arg.get_env() else { return arg };
    let is_empty = std::env::var_os(name).is_some_and(|value| value.is_empty());
    let is_switch = matches!(arg.get_action(), ArgAction::SetTrue);
    let arg = if is_switch { arg.value_parser(BoolishValueParser::new()) } else { arg };
    if is_empty { arg.env(Resettable::Reset) } else { arg.hide_env(true) }
}

/// What the options of other tools are called here.
const ELSEWHERE: [(&[&str], &str); 12] = [
    (&["--input", "--file", "--data", "--traces"], "--dataset"),
    (
        &["--key", "--api-key", "--token"],
        "an environment variable such as OPENAI_API_KEY, or one that `--api-key-env` names",
    ),
    (&["--url", "--endpoint", "--host", "--api-base", "--api-url"], "--base-url"),
    (&["--provider"], "`--model PROVIDER:/MODEL`"),
    (&["--threads", "--workers", "--parallel", "--jobs", "--max-concurrency"], "--concurrency"),
    (&["--retries"], "--max-retries"),
    (&["--format"], "--dataset-format or --output-format"),
    (
        &["--temperature", "--max-tokens", "--top-p"],
        "[params] in the judge's file: `judge-run judges NAME > mine.toml`",
    ),
    (&["--resume", "--continue"], "the same command: it resumes"),
    (&["--force"], "--overwrite"),
    (&["--out", "--output-file"], "--output"),
    (&["--debug"], "-vv"),
];

/// Clap guesses by the letters that words share, and knows no other tool.
fn with_hint(mut error: clap::Error) -> clap::Error {
    let text = |error: &clap::Error, kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    let mut hint = None;
    if let Some(word) = text(&error, ContextKind::InvalidSubcommand) {
        hint = of_word(&word);
    }
    if let Some(flag) = text(&error, ContextKind::InvalidArg) {
        let name = flag.split('=').next().unwrap_or_default();
        let here = ELSEWHERE.iter().find(|(names, _)| names.contains(&name)).map(|(_, here)| *here);
        let guess = text(&error, ContextKind::SuggestedArg);
        let is_far = guess.as_deref().is_some_and(|guess| suggest::nearest(name, [guess]).is_none());
        if error.kind() == ErrorKind::UnknownArgument && (here.is_some() || is_far) {
            error.remove(ContextKind::SuggestedArg);
        }
        hint = here.filter(|_| error.kind() == ErrorKind::UnknownArgument).map(|here| format!("use {here}"));
    }
    if let Some(hint) = hint {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![hint.into()]));
    }
    error
}

/// A word where a command could be. Other tools take the file as an argument.
fn of_word(word: &str) -> Option<String> {
    let path = Path::new(word);
    let is_a = |kinds: &[&str]| path.extension().is_some_and(|e| kinds.iter().any(|kind| e.eq_ignore_ascii_case(kind)));
    if is_a(&["toml"]) {
        Some(format!("to ask a judge: --judge {word}"))
    } else if is_a(&["jsonl", "json", "ndjson", "csv", "tsv", "gz", "zst"]) || path.is_file() {
        Some(format!("to judge a dataset: --dataset {word}"))
    } else if library::names().iter().any(|(name, _)| name == word) {
        Some(format!("to ask several judges, separate them with commas: --judge safety,{word}"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_are_consistent() {
        command().debug_assert();
    }

    #[test]
    fn every_line_of_an_example_fits_a_terminal() {
        for line in EXAMPLES.lines().chain(crate::cli::subcommands::FORMS.lines()) {
            assert!(line.len() <= 100, "{line}");
        }
    }

    #[test]
    fn every_flag_has_the_variable_of_its_name() {
        for arg in command().get_arguments() {
            let Some(long) = arg.get_long().filter(|long| !["help", "version"].contains(long)) else { continue };
            let variable = format!("JUDGE_RUN_{}", long.replace('-', "_").to_uppercase());
            assert_eq!(arg.get_env().and_then(|env| env.to_str()), Some(variable.as_str()), "--{long}");
            assert!(arg.is_hide_env_set(), "--{long}");
        }
    }
}
