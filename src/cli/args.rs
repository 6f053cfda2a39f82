//! The main command: its flags, and how the command line is read.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::{BoolishValueParser, PossibleValuesParser, Resettable, TypedValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueHint};
use judge_run::dataset::{Format, Mapping};
use judge_run::endpoint::ModelUri;
use judge_run::feedback::forms::Form;
use judge_run::run::{MaxErrors, SampleSize, Shard};

use super::duration;
use super::subcommands::{
    CheckArgs, CompactArgs, CompletionsArgs, ConvertArgs, JudgesArgs, ManArgs, MergeArgs, ReplayArgs, SimulateArgs,
    StatusArgs,
};

const EXAMPLES: &str = r#"A trace is a line of JSON, an object in a list, or a row of a table:
  {"trace_id": "t1", "inputs": {"question": "Capital of France?"}, "outputs": "Paris",
   "expectations": {"expected_response": "Paris"}}
  Of these only the inputs are required. What MLflow's Trace.to_json() writes is read as well.

Examples:
  Try it without any model; the verdicts are made up:
    judge-run --dataset traces.jsonl --judge factual_accuracy --simulate

  See what would be asked, and the first prompt of each judge:
    judge-run -d traces.jsonl -J factual_accuracy --dry-run -v

  Ask OpenAI, with two judges, within a quota of 500 requests a minute:
    export OPENAI_API_KEY=sk-...
    judge-run -d traces.jsonl -J factual_accuracy -J safety -m openai:/gpt-4.1-mini --rpm 500

  Judge a part: what a condition selects, the same traces every night, or some by their ids:
    judge-run -d traces.jsonl -J safety --filter "trace.tags.env == 'prod' and outputs"
    judge-run -d traces.jsonl -J safety --sample 100 --stratify trace.tags.env
    judge-run -d traces.jsonl -J safety --trace-id @ids.txt

  Judge a table whose columns have other names:
    judge-run -d answers.csv --map inputs.question=Frage --map outputs=Antwort -J relevance

  Ask a model on your own machine:
    judge-run -d traces.jsonl -J groundedness -m ollama:/llama3.2

  Write a judge of your own, beginning with one that is there:
    judge-run judges relevance > politeness.toml
    judge-run -d traces.jsonl -J politeness.toml

  Go on where a run stopped, and ask again what failed: the same command. Failures alone:
    judge-run replay traces.feedback.jsonl

  How far is it?
    judge-run status traces.feedback.jsonl

judge-run.toml, if there is one in the current directory:
  model = "openai:/gpt-4.1-mini"

  [endpoints.openai]
  rpm = 500
  tpm = 200000

  [endpoints.openai.prices."gpt-4.1-mini"]  # for a million tokens
  input = 0.40
  cached_input = 0.10
  output = 1.60

Environment:
  Each option can also be set as a variable: --max-retries is JUDGE_RUN_MAX_RETRIES, --quiet is
  JUDGE_RUN_QUIET=1. Flags win over variables, and both over judge-run.toml.
  OPENAI_API_KEY and OPENAI_BASE_URL are OpenAI's own; other providers' keys are read by their
  usual names.

Exit codes:
  0    everything was judged
  2    wrong usage, configuration or judge file, or nothing to judge; nothing was sent
  3    finished, but some judgments failed, some lines are no traces, or a filter failed
  4    stopped early: key, quota, budget, address, or nothing but failures
  130  interrupted, after answers in flight were saved"#;

/// Judge recorded traces of GenAI applications with LLM judges: one Feedback record per judgment
#[derive(Debug, Parser)]
#[command(name = "judge-run", version, after_long_help = EXAMPLES, args_conflicts_with_subcommands = true)]
#[command(after_help = "Try it: judge-run -d traces.jsonl -J safety --simulate\n\
                        See --help for examples, environment variables and exit codes.")]
#[command(override_usage = "judge-run --dataset <FILE> --judge <NAME> [OPTIONS]\n       judge-run <COMMAND>")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,

    #[command(flatten)]
    pub run: RunArgs,
}

impl Cli {
    /// Reads the command line of this process and the variables that stand for flags. What is typed wins over a variable that says
    /// the opposite; only two typed options can conflict.
    ///
    /// # Errors
    /// What is wrong with it; help and version count as errors, as everywhere in clap.
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
        Ok(cli)
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve a simulated OpenAI-compatible endpoint, with quotas and faults as wished
    Simulate(SimulateArgs),
    /// Ask an endpoint one small question: does it answer, what does it take, what is its quota
    Check(Box<CheckArgs>),
    /// Make one log of several: of the shards of a run, or of several nights
    Merge(MergeArgs),
    /// Shorten a log: leave out failures that were asked again, and keep every verdict
    Compact(CompactArgs),
    /// Write feedback in another form: JSON lines, MLflow's assessments, or a table
    Convert(ConvertArgs),
    /// Ask again what failed, as the run's manifest says; nothing else
    Replay(Box<ReplayArgs>),
    /// Tell how far a run is, also while it goes on elsewhere
    Status(StatusArgs),
    /// List the judges, or print one as a file to start your own from
    Judges(JudgesArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Print the manual page
    Man(ManArgs),
}

#[derive(Debug, Args)]
#[command(next_help_heading = "What is judged")]
pub(crate) struct RunArgs {
    /// The traces: a file of JSON lines, JSON or CSV, also as .gz or .zst; a folder of them, a pattern such as 'logs/*.jsonl.gz', or
    /// `-` for standard input. May be given several times
    #[arg(short, long, value_name = "FILE", env = "JUDGE_RUN_DATASET", value_hint = ValueHint::FilePath)]
    pub dataset: Vec<PathBuf>,

    /// Take a field from a column or key of another name, such as inputs.question=Frage or outputs=completion.text. May be given
    /// several times
    #[arg(long, value_name = "FIELD=NAME", env = "JUDGE_RUN_MAP")]
    pub map: Vec<Mapping>,

    /// What the dataset is, where its content does not tell: a form of file, of trace, or both, such as csv,plain
    #[arg(long, value_name = "NAME", env = "JUDGE_RUN_DATASET_FORMAT", long_help = format_help())]
    pub dataset_format: Option<Format>,

    /// What is asked: a judge's name (`judge-run judges` lists them) or its TOML file. May be given several times
    #[arg(short = 'J', long, value_name = "NAME|FILE", env = "JUDGE_RUN_JUDGE", value_delimiter = ',')]
    pub judge: Vec<String>,

    #[command(flatten)]
    pub selection: SelectionArgs,

    /// Stop at the first line that is no trace, instead of setting it aside
    #[arg(long, env = "JUDGE_RUN_STRICT")]
    pub strict: bool,

    /// Set lines, rows and objects aside that are longer than this
    #[arg(long, value_name = "BYTES", env = "JUDGE_RUN_MAX_LINE_BYTES",
          default_value_t = judge_run::dataset::DEFAULT_MAX_LINE_BYTES)]
    pub max_line_bytes: usize,

    #[command(flatten)]
    pub endpoint: EndpointArgs,

    /// Where the feedback goes: .jsonl (a log that the next run resumes), .csv (made from a log), or `-` for standard output
    /// [default: <dataset>.feedback.jsonl in the current directory]
    #[arg(short, long, value_name = "FILE", env = "JUDGE_RUN_OUTPUT", value_hint = ValueHint::FilePath,
          help_heading = "What comes out")]
    pub output: Option<PathBuf>,

    /// The form of the output, whatever its name; what is not the log is made beside it, at the end [default: what the name tells]
    #[arg(long, value_name = "FORM", env = "JUDGE_RUN_OUTPUT_FORMAT", value_parser = form(),
          help_heading = "What comes out")]
    pub output_format: Option<Form>,

    /// Start anew instead of resuming; what the log holds goes to <log>.bak
    #[arg(long, env = "JUDGE_RUN_OVERWRITE", help_heading = "What comes out")]
    pub overwrite: bool,

    /// Take over verdicts on the same question from other runs' logs, at no cost. May be given several times; *.jsonl works too
    #[arg(long, value_name = "LOG", env = "JUDGE_RUN_REUSE", num_args = 1.., value_hint = ValueHint::FilePath,
          help_heading = "What comes out")]
    pub reuse: Vec<PathBuf>,

    #[command(flatten)]
    pub conduct: ConductArgs,
}

/// Which traces of the dataset.
#[derive(Debug, Default, Args)]
pub(crate) struct SelectionArgs {
    /// Judge only the first N traces of those that are selected; judges of sessions the first N sessions
    #[arg(short = 'n', long, value_name = "N", env = "JUDGE_RUN_LIMIT")]
    pub limit: Option<u64>,

    /// Judge only the K-th of N parts of the dataset, such as 3/16: which trace is in which part hangs on its id alone
    #[arg(long, value_name = "K/N", env = "JUDGE_RUN_SHARD")]
    pub shard: Option<Shard>,

    /// Judge only traces of which this holds, such as "trace.tags.env == 'prod'": an expression with the names of prompts
    #[arg(long, value_name = "EXPRESSION", env = "JUDGE_RUN_FILTER")]
    pub filter: Option<String>,

    /// Judge only so many traces, or such a share of them; always the same ones, whatever their order
    #[arg(long, value_name = "N|P%", env = "JUDGE_RUN_SAMPLE")]
    pub sample: Option<SampleSize>,

    /// Draw another sample [default: 0]
    #[arg(long, value_name = "N", env = "JUDGE_RUN_SEED", requires = "sample")]
    pub seed: Option<u64>,

    /// Draw so many of each kind, such as trace.tags.env; of a share, at least one of each
    #[arg(long, value_name = "EXPRESSION", env = "JUDGE_RUN_STRATIFY", requires = "sample")]
    pub stratify: Option<String>,

    /// Judge only the trace with this id, or those in a file with one id a line. May be given several times
    #[arg(long, value_name = "ID|@FILE", env = "JUDGE_RUN_TRACE_ID")]
    pub trace_id: Vec<String>,
}

/// How a run goes about it: what a run and a replay have in common, beside the endpoint.
#[derive(Debug, Args)]
pub(crate) struct ConductArgs {
    /// Show what would be asked, how long it would take and what it would cost, and send nothing
    #[arg(long, env = "JUDGE_RUN_DRY_RUN", help_heading = "What comes out")]
    pub dry_run: bool,

    /// Requests a day at most: stop when this run has sent so many
    #[arg(long, value_name = "N", env = "JUDGE_RUN_RPD", help_heading = "How fast")]
    pub rpd: Option<u64>,

    /// Wait for one answer of each judge before sending the others, so that they find the judge's prompt in the provider's cache
    #[arg(long, env = "JUDGE_RUN_WARM_UP", help_heading = "How fast")]
    pub warm_up: bool,

    /// Ask again so many times before a judgment counts as failed [default: 6]
    #[arg(long, value_name = "N", env = "JUDGE_RUN_MAX_RETRIES", help_heading = "When something fails")]
    pub max_retries: Option<u32>,

    /// Ask again so many times where an answer holds no verdict, or none that is allowed [default: 1]
    #[arg(long, value_name = "N", env = "JUDGE_RUN_RE_ASK", help_heading = "When something fails")]
    pub re_ask: Option<u8>,

    /// Stop when an endpoint asks for a longer pause than this [default: 5m]
    #[arg(long, value_name = "DURATION", env = "JUDGE_RUN_MAX_RETRY_AFTER", value_parser = duration::parse,
          help_heading = "When something fails")]
    pub max_retry_after: Option<Duration>,

    /// Stop when more judgments than this fail: a number, or a share such as 5%
    #[arg(long, value_name = "N|P%", env = "JUDGE_RUN_MAX_ERRORS", help_heading = "When something fails")]
    pub max_errors: Option<MaxErrors>,

    /// Stop when this much money is spent, by the prices in judge-run.toml
    #[arg(long, value_name = "AMOUNT", env = "JUDGE_RUN_MAX_COST", value_parser = amount,
          help_heading = "When to stop")]
    pub max_cost: Option<f64>,

    /// Stop when this many tokens are used, prompts and answers together
    #[arg(long, value_name = "N", env = "JUDGE_RUN_MAX_TOKENS_TOTAL", help_heading = "When to stop")]
    pub max_tokens_total: Option<u64>,

    /// Stop after this long, such as 30m or 8h
    #[arg(long, value_name = "DURATION", env = "JUDGE_RUN_TIME_LIMIT", value_parser = duration::parse,
          help_heading = "When to stop")]
    pub time_limit: Option<Duration>,

    /// After Ctrl-C, wait this long for answers in flight; a second Ctrl-C waits no longer [default: 30s]
    #[arg(long, value_name = "DURATION", env = "JUDGE_RUN_GRACE", value_parser = duration::parse,
          help_heading = "When to stop")]
    pub grace: Option<Duration>,

    /// Print only what went wrong
    #[arg(short, long, env = "JUDGE_RUN_QUIET", help_heading = "Configuration and messages")]
    pub quiet: bool,

    /// Tell every failure and retry; twice for more. With --dry-run, show the first prompt of each judge
    #[arg(short, long, action = ArgAction::Count, env = "JUDGE_RUN_VERBOSE",
          help_heading = "Configuration and messages")]
    pub verbose: u8,
}

/// Who is asked and how fast: what a run and a check have in common.
#[derive(Debug, Args)]
pub(crate) struct EndpointArgs {
    /// The model, as ENDPOINT:/MODEL: openai:/gpt-4.1-mini, ollama:/llama3.2, azure:/my-deployment
    /// [default: that of judge-run.toml or of the judge, or openai:/gpt-4.1-mini]
    #[arg(short, long, value_name = "ENDPOINT:/MODEL", env = "JUDGE_RUN_MODEL", help_heading = "Who is asked")]
    pub model: Option<ModelUri>,

    /// The address of an OpenAI-compatible API, up to and including /v1 [env also: OPENAI_BASE_URL]
    #[arg(long, value_name = "URL", env = "JUDGE_RUN_BASE_URL", value_hint = ValueHint::Url,
          help_heading = "Who is asked")]
    pub base_url: Option<String>,

    /// The environment variable that holds the API key [default: the provider's own, such as OPENAI_API_KEY]
    #[arg(long, value_name = "NAME", env = "JUDGE_RUN_API_KEY_ENV", help_heading = "Who is asked")]
    pub api_key_env: Option<String>,

    /// Ask a simulated endpoint inside this process: no key, no cost, made-up verdicts
    #[arg(long, env = "JUDGE_RUN_SIMULATE", help_heading = "Who is asked")]
    pub simulate: bool,

    /// Send a header with every request; ${NAME} in it stands for an environment variable. May be given several times
    #[arg(short = 'H', long, value_name = "NAME: VALUE", env = "JUDGE_RUN_HEADER", help_heading = "Who is asked")]
    pub header: Vec<String>,

    /// Add to the body of every request: a JSON object such as '{"top_k": 1}'
    #[arg(long, value_name = "JSON", env = "JUDGE_RUN_EXTRA_BODY", help_heading = "Who is asked")]
    pub extra_body: Option<String>,

    /// The provider's service tier, such as flex
    #[arg(long, value_name = "TIER", env = "JUDGE_RUN_SERVICE_TIER", help_heading = "Who is asked")]
    pub service_tier: Option<String>,

    /// A key by which the provider finds the same prompt cache again
    #[arg(long, value_name = "KEY", env = "JUDGE_RUN_PROMPT_CACHE_KEY", help_heading = "Who is asked")]
    pub prompt_cache_key: Option<String>,

    /// Trust the certificate authorities in this PEM file too
    #[arg(long, visible_alias = "cacert", value_name = "FILE", env = "JUDGE_RUN_CA_CERT",
          value_hint = ValueHint::FilePath, help_heading = "Who is asked")]
    pub ca_cert: Option<PathBuf>,

    /// Requests in flight at most [default: 16]
    #[arg(short = 'j', long, value_name = "N", env = "JUDGE_RUN_CONCURRENCY", help_heading = "How fast")]
    pub concurrency: Option<NonZeroU32>,

    /// Requests a minute at most [default: what the endpoint tells]
    #[arg(long, value_name = "N", env = "JUDGE_RUN_RPM", help_heading = "How fast")]
    pub rpm: Option<NonZeroU32>,

    /// Tokens a minute at most, prompts and answers together [default: what the endpoint tells]
    #[arg(long, value_name = "N", env = "JUDGE_RUN_TPM", help_heading = "How fast")]
    pub tpm: Option<NonZeroU32>,

    /// How much of the quota may be spent at once: what it allows in this time [default: 0.9s]
    #[arg(long, value_name = "DURATION", env = "JUDGE_RUN_BURST", value_parser = duration::parse,
          help_heading = "How fast")]
    pub burst: Option<Duration>,

    /// Give up on an answer after this long, such as 90, 90s or 2m [default: 10m]
    #[arg(long, value_name = "DURATION", env = "JUDGE_RUN_TIMEOUT", value_parser = duration::parse_positive,
          help_heading = "When something fails")]
    pub timeout: Option<Duration>,

    /// The configuration file [default: judge-run.toml if there is one]
    #[arg(long, value_name = "FILE", env = "JUDGE_RUN_CONFIG", value_hint = ValueHint::FilePath,
          help_heading = "Configuration and messages")]
    pub config: Option<PathBuf>,

    /// Read environment variables from a file; those already set win
    #[arg(long, value_name = "FILE", env = "JUDGE_RUN_ENV_FILE", value_hint = ValueHint::FilePath,
          help_heading = "Configuration and messages")]
    pub env_file: Option<PathBuf>,
}

fn format_help() -> String {
    let names = Format::names().join(", ");
    format!(
        "What the dataset is, where its content does not tell: a form of file, of trace, or both, such as csv,plain\n\nThere are {names}"
    )
}

/// Money to spend.
fn amount(text: &str) -> Result<f64, String> {
    let amount = text.trim().parse().ok().filter(|amount: &f64| amount.is_finite() && *amount >= 0.0);
    amount.ok_or_else(|| format!("`{text}` is no amount of money; write a number such as 2.50"))
}

pub(super) fn form() -> impl TypedValueParser<Value = Form> {
    PossibleValuesParser::new(Form::ALL.map(Form::as_str)).try_map(|name| name.parse::<Form>())
}

/// All that clap knows of the command line: as it is parsed, and as help, completions and manual page describe it.
///
/// A variable that is empty counts as not set: that is how CI systems pass on an input that nobody gave. Switches take `1` and
/// `yes` as well as `true`. The names of the variables follow from those of the flags, so help says the rule once.
pub(crate) fn command() -> clap::Command {
    let help = Arg::new("help").short('h').long("help").action(ArgAction::Help);
    let version = Arg::new("version").short('V').long("version").action(ArgAction::Version).help("Print the version");
    let last = |arg: Arg| arg.help_heading("Configuration and messages");
    // Where the main command's own is replaced, clap gives none to the others either.
    let with_help = |command: clap::Command| command.arg(help.clone().help("Print this"));
    let command = Cli::command().disable_help_flag(true).disable_version_flag(true).mut_subcommands(with_help);
    let help = help.help("Print a summary of the options with -h; with --help, examples and exit codes too");
    command.args([last(help), last(version)]).mut_args(variables).mut_subcommands(|command| command.mut_args(variables))
}

/// The rules for variables, which are told once, in the main command's help.
fn variables(arg: Arg) -> Arg {
    let Some(name) = arg.get_env() else { return arg };
    let is_empty = std::env::var_os(name).is_some_and(|value| value.is_empty());
    let is_switch = matches!(arg.get_action(), ArgAction::SetTrue);
    let arg = if is_switch { arg.value_parser(BoolishValueParser::new()) } else { arg };
    if is_empty { arg.env(Resettable::Reset) } else { arg.hide_env(true) }
}

/// Other tools take the file as an argument.
fn with_hint(mut error: clap::Error) -> clap::Error {
    if let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) {
        let path = Path::new(word);
        let is_a =
            |kinds: &[&str]| path.extension().is_some_and(|e| kinds.iter().any(|kind| e.eq_ignore_ascii_case(kind)));
        let hint = if is_a(&["toml"]) {
            Some(format!("to ask a judge: --judge {word}"))
        } else if is_a(&["jsonl", "json", "ndjson", "csv", "tsv", "gz", "zst"]) || path.is_file() {
            Some(format!("to judge a dataset: --dataset {word}"))
        } else {
            None
        };
        if let Some(hint) = hint {
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![hint.into()]));
        }
    }
    error
}

/// The number of requests in flight as the library wants it.
pub(crate) fn concurrency(n: NonZeroU32) -> usize {
    NonZeroUsize::try_from(n).map_or(1, NonZeroUsize::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_are_consistent() {
        command().debug_assert();
    }

    #[test]
    fn money_is_a_number() {
        assert_eq!(amount(" 2.50 "), Ok(2.5));
        for text in ["nan", "inf", "-1", "2 EUR", ""] {
            assert!(amount(text).is_err(), "{text}");
        }
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
