//! Flags that several commands have: headings, groups, and how values are read.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Args, ValueEnum, ValueHint};
use judge_run::dataset::Format;
use judge_run::endpoint::ModelUri;
use judge_run::endpoint::wire::Layout;
use judge_run::feedback::forms::Form;
use judge_run::run::{MaxErrors, SampleSize};

use super::duration;
use super::shard::ShardArg;

pub(super) const INPUT: &str = "Input";
pub(super) const ENDPOINT: &str = "Model and endpoint";
pub(super) const RATES: &str = "Rate limits";
pub(super) const FAILURES: &str = "Failures and retries";
pub(super) const BUDGETS: &str = "Budgets";
pub(super) const GATES: &str = "Gates";
pub(super) const OUTPUT: &str = "Output";
pub(super) const GENERAL: &str = "General";

/// What the results must be like.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct GateArgs {
    /// Exit with code 1 unless this holds, such as 'safety.pass >= 0.99', 'errors <= 1%' or 'no worse than baseline by 0.02'.
    /// Repeatable
    #[arg(long, value_name = "CONDITION", env = "JUDGE_RUN_GATE", help_heading = GATES)]
    pub gate: Vec<String>,

    /// Exit with code 1 if the pass rate of any judge (its mean, if it has none) is below this, such as 0.9 or 90%
    #[arg(long, value_name = "SHARE", env = "JUDGE_RUN_FAIL_UNDER", value_parser = share, help_heading = GATES)]
    pub fail_under: Option<f64>,

    /// Compare with these logs; several runs over the same traces are averaged. Repeatable, or separated by commas
    #[arg(long, value_name = "LOG", env = "JUDGE_RUN_BASELINE", value_delimiter = ',', value_hint = ValueHint::FilePath,
          help_heading = GATES)]
    pub baseline: Vec<PathBuf>,

    /// Largest difference from the baseline that does not matter: a share, or a fraction of a numeric scale [default: 0.02]
    #[arg(long, value_name = "SHARE", env = "JUDGE_RUN_MARGIN", value_parser = share, help_heading = GATES)]
    pub margin: Option<f64>,
}

/// Which traces of the dataset.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SelectionArgs {
    /// Judge at most N traces, the first that match; for judges of sessions, N sessions
    #[arg(short = 'n', long, value_name = "N", env = "JUDGE_RUN_LIMIT")]
    pub limit: Option<u64>,

    /// Judge one of N parts, such as 3/16; `auto` takes K and N from Kubernetes, SLURM or CI, `auto/16` only K. A trace's part
    /// depends only on its id
    #[arg(long, value_name = "K/N|auto", env = "JUDGE_RUN_SHARD")]
    pub shard: Option<ShardArg>,

    /// Judge only traces that match an expression, such as "trace.tags.env == 'prod'"; it has the variables of prompts
    #[arg(long, value_name = "EXPRESSION", env = "JUDGE_RUN_FILTER")]
    pub filter: Option<String>,

    /// Judge a sample: a number of traces, or a share such as 5%. The same traces every time, in any order
    #[arg(long, value_name = "N|P%", env = "JUDGE_RUN_SAMPLE")]
    pub sample: Option<SampleSize>,

    /// Draw another sample [default: 0]
    #[arg(long, value_name = "N", env = "JUDGE_RUN_SEED", requires = "sample")]
    pub seed: Option<u64>,

    /// Draw the sample from each value of an expression, such as trace.tags.env; with a share, at least one trace from each
    #[arg(long, value_name = "EXPRESSION", env = "JUDGE_RUN_STRATIFY", requires = "sample")]
    pub stratify: Option<String>,

    /// Judge only the trace with this id, or those listed in a file, one id per line. Repeatable
    #[arg(long, value_name = "ID|@FILE", env = "JUDGE_RUN_TRACE_ID")]
    pub trace_id: Vec<String>,
}

/// How a run proceeds: what a run and a replay have in common, apart from the endpoint.
#[derive(Debug, Clone, Args)]
pub(crate) struct ConductArgs {
    /// Show what would be sent, how long it would take and what it would cost; send nothing
    #[arg(long, env = "JUDGE_RUN_DRY_RUN", help_heading = OUTPUT)]
    pub dry_run: bool,

    /// Let judges of the type `command` run their programs: a judge file may come from someone else
    #[arg(long, env = "JUDGE_RUN_ALLOW_COMMANDS", help_heading = GENERAL)]
    pub allow_commands: bool,

    /// Wait for the first answer of each judge before sending more, so that the rest hit the provider's prompt cache
    #[arg(long, env = "JUDGE_RUN_WARM_UP", help_heading = RATES)]
    pub warm_up: bool,

    /// Keep what each judge was asked and wrote in the metadata of its record, as `request` and `answer`
    #[arg(long, env = "JUDGE_RUN_KEEP_ANSWERS", help_heading = OUTPUT)]
    pub keep_answers: bool,

    /// Retry a request at most N times [default: 6]
    #[arg(long, value_name = "N", env = "JUDGE_RUN_MAX_RETRIES", help_heading = FAILURES)]
    pub max_retries: Option<u32>,

    /// Ask again at most N times if an answer has no valid verdict [default: 1; 2 if it looks cut off or is empty]
    #[arg(long, value_name = "N", env = "JUDGE_RUN_RE_ASK", help_heading = FAILURES)]
    pub re_ask: Option<u8>,

    /// Stop if an endpoint asks for a longer pause than this [default: 5m]
    #[arg(long, value_name = "DURATION", env = "JUDGE_RUN_MAX_RETRY_AFTER", value_parser = duration::parse,
          help_heading = FAILURES)]
    pub max_retry_after: Option<Duration>,

    /// Stop if more judgments than this fail: a number, or a share such as 5%
    #[arg(long, value_name = "N|P%", env = "JUDGE_RUN_MAX_ERRORS", help_heading = FAILURES)]
    pub max_errors: Option<MaxErrors>,

    /// Stop when this much money has been spent, by the prices in judge-run.toml or --prices
    #[arg(long, value_name = "AMOUNT", env = "JUDGE_RUN_MAX_COST", value_parser = amount, help_heading = BUDGETS)]
    pub max_cost: Option<f64>,

    /// Stop when this many tokens have been used, in prompts and answers
    #[arg(long, value_name = "N", env = "JUDGE_RUN_MAX_TOKENS_TOTAL", help_heading = BUDGETS)]
    pub max_tokens_total: Option<u64>,

    /// Stop after this time, such as 30m or 8h
    #[arg(long, value_name = "DURATION", env = "JUDGE_RUN_TIME_LIMIT", value_parser = duration::parse,
          help_heading = BUDGETS)]
    pub time_limit: Option<Duration>,

    /// After Ctrl-C, wait this long for answers in flight; a second Ctrl-C stops immediately [default: 30s]
    #[arg(long, value_name = "DURATION", env = "JUDGE_RUN_GRACE", value_parser = duration::parse,
          help_heading = BUDGETS)]
    pub grace: Option<Duration>,

    /// Print only errors
    #[arg(short, long, env = "JUDGE_RUN_QUIET", help_heading = GENERAL)]
    pub quiet: bool,

    /// Print every failure and retry; -vv prints more. With --dry-run, print the first prompt of each judge
    #[arg(short, long, action = ArgAction::Count, env = "JUDGE_RUN_VERBOSE", help_heading = GENERAL)]
    pub verbose: u8,

    /// Form of progress on standard error
    #[arg(long, value_name = "FORM", env = "JUDGE_RUN_PROGRESS", value_enum, default_value_t, help_heading = GENERAL)]
    pub progress: ProgressForm,
}

/// Who is asked and how fast: what a run, a replay and a check have in common.
#[derive(Debug, Clone, Args)]
pub(crate) struct EndpointArgs {
    /// Model to ask: openai:/gpt-4.1-mini, ollama:/llama3.2, azure:/my-deployment. Repeat it to let several models vote: each verdict
    /// is a record, and so is their aggregate [default: that of judge-run.toml or of the judge, or openai:/gpt-4.1-mini]
    #[arg(short, long, value_name = "ENDPOINT:/MODEL", env = "JUDGE_RUN_MODEL", help_heading = ENDPOINT)]
    pub model: Vec<ModelUri>,

    /// Address of an OpenAI-compatible API, up to and including /v1 [env also: OPENAI_BASE_URL]
    #[arg(long, value_name = "URL", env = "JUDGE_RUN_BASE_URL", value_hint = ValueHint::Url, help_heading = ENDPOINT)]
    pub base_url: Option<String>,

    /// Environment variable that holds the API key [default: the provider's own, such as OPENAI_API_KEY]
    #[arg(long, value_name = "NAME", env = "JUDGE_RUN_API_KEY_ENV", help_heading = ENDPOINT)]
    pub api_key_env: Option<String>,

    /// Ask a simulated endpoint in this process: no key, no cost, made-up verdicts
    #[arg(long, env = "JUDGE_RUN_SIMULATE", help_heading = ENDPOINT)]
    pub simulate: bool,

    /// Send a header with every request; ${NAME} in it is replaced by that environment variable. Repeatable
    #[arg(short = 'H', long, value_name = "NAME: VALUE", env = "JUDGE_RUN_HEADER", help_heading = ENDPOINT)]
    pub header: Vec<String>,

    /// Add to the body of every request: a JSON object such as '{"top_k": 1}'
    #[arg(long, value_name = "JSON", env = "JUDGE_RUN_EXTRA_BODY", help_heading = ENDPOINT)]
    pub extra_body: Option<String>,

    /// Service tier of the provider, such as flex
    #[arg(long, value_name = "TIER", env = "JUDGE_RUN_SERVICE_TIER", help_heading = ENDPOINT)]
    pub service_tier: Option<String>,

    /// Key under which the provider caches prompts
    #[arg(long, value_name = "KEY", env = "JUDGE_RUN_PROMPT_CACHE_KEY", help_heading = ENDPOINT)]
    pub prompt_cache_key: Option<String>,

    /// Also trust the certificate authorities in this PEM file
    #[arg(long, visible_alias = "cacert", value_name = "FILE", env = "JUDGE_RUN_CA_CERT",
          value_hint = ValueHint::FilePath, help_heading = ENDPOINT)]
    pub ca_cert: Option<PathBuf>,

    /// Maximum number of requests in flight [default: 16]
    #[arg(short = 'j', long, value_name = "N", env = "JUDGE_RUN_CONCURRENCY", help_heading = RATES)]
    pub concurrency: Option<NonZeroU32>,

    /// Maximum number of requests per minute [default: what the endpoint reports]
    #[arg(long, value_name = "N", env = "JUDGE_RUN_RPM", help_heading = RATES)]
    pub rpm: Option<NonZeroU32>,

    /// Maximum number of tokens per minute, in prompts and answers [default: what the endpoint reports]
    #[arg(long, value_name = "N", env = "JUDGE_RUN_TPM", help_heading = RATES)]
    pub tpm: Option<NonZeroU32>,

    /// Maximum number of requests per day, for each endpoint; earlier runs over the same log count
    #[arg(long, value_name = "N", env = "JUDGE_RUN_RPD", help_heading = RATES)]
    pub rpd: Option<u64>,

    /// Share --rpm and --tpm with all processes that name the same Redis or Valkey server: redis://HOST:6379, rediss:// with TLS
    #[arg(long, value_name = "URL", env = "JUDGE_RUN_QUOTA_SERVER", value_hint = ValueHint::Url, help_heading = RATES)]
    pub quota_server: Option<String>,

    /// Share of --rpm and --tpm for this process while the quota server is unreachable [default: an equal one, or 10% if it was never reached]
    #[arg(long, value_name = "SHARE", env = "JUDGE_RUN_QUOTA_SHARE", value_parser = quota_share, help_heading = RATES)]
    pub quota_share: Option<f64>,

    /// Send at most as much in one burst as the quota allows in this time [default: 0.9s]
    #[arg(long, value_name = "DURATION", env = "JUDGE_RUN_BURST", value_parser = duration::parse, help_heading = RATES)]
    pub burst: Option<Duration>,

    /// Prices of models: LiteLLM's model_prices_and_context_window.json, as a file. Prices in judge-run.toml override it
    #[arg(long, value_name = "FILE", env = "JUDGE_RUN_PRICES", value_hint = ValueHint::FilePath, help_heading = BUDGETS)]
    pub prices: Option<PathBuf>,

    /// Give up on an answer after this time, such as 90, 90s or 2m [default: 10m]
    #[arg(long, value_name = "DURATION", env = "JUDGE_RUN_TIMEOUT", value_parser = duration::parse_positive,
          help_heading = FAILURES)]
    pub timeout: Option<Duration>,

    /// Configuration file [default: judge-run.toml if it exists]
    #[arg(long, value_name = "FILE", env = "JUDGE_RUN_CONFIG", value_hint = ValueHint::FilePath, help_heading = GENERAL)]
    pub config: Option<PathBuf>,

    /// Read environment variables from a file; variables that are already set take precedence
    #[arg(long, value_name = "FILE", env = "JUDGE_RUN_ENV_FILE", value_hint = ValueHint::FilePath, help_heading = GENERAL)]
    pub env_file: Option<PathBuf>,
}

/// What a fresh run that confirms is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Confirm {
    /// All traces
    #[value(alias = "true", alias = "1")]
    All,
    /// A random sample of them
    Sample,
    /// Nothing: there is none
    #[value(alias = "false", alias = "0")]
    No,
}

/// The form of progress.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressForm {
    /// A bar, or lines
    #[default]
    Text,
    /// One JSON object per line
    Json,
}

pub(super) fn format_help() -> String {
    let names = Format::names().join(", ");
    format!(
        "Format of the dataset, if it cannot be detected: of the file, of the traces, or both, such as csv,plain\n\nFormats: {names}"
    )
}

/// A share: 0.9 or 90%.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let text = text.trim();
    let number = match text.strip_suffix('%') {
        Some(percent) => percent.trim_end().parse().map(|percent: f64| percent / 100.0),
        None => text.parse(),
    };
    let share = number.ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("invalid share `{text}`, expected 0.9 or 90%"))
}

/// A share that is not nothing.
pub(super) fn quota_share(text: &str) -> Result<f64, String> {
    match share(text)? {
        0.0 => Err("expected more than 0, or nothing would be sent".to_owned()),
        share => Ok(share),
    }
}

/// Money to spend.
pub(super) fn amount(text: &str) -> Result<f64, String> {
    let amount = text.trim().parse().ok().filter(|amount: &f64| amount.is_finite() && *amount >= 0.0);
    amount.ok_or_else(|| format!("invalid amount `{text}`, expected a number such as 2.50"))
}

pub(super) fn form() -> impl TypedValueParser<Value = Form> {
    PossibleValuesParser::new(Form::ALL.map(Form::as_str)).try_map(|name| name.parse::<Form>())
}

pub(super) fn layout() -> impl TypedValueParser<Value = Layout> {
    let of = |name: String| Layout::ALL.into_iter().find(|layout| layout.as_str() == name).unwrap_or_default();
    PossibleValuesParser::new(Layout::ALL.map(Layout::as_str)).map(of)
}

/// A number of requests in flight.
pub(crate) fn concurrency(n: NonZeroU32) -> usize {
    NonZeroUsize::try_from(n).map_or(1, NonZeroUsize::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_a_number() {
        assert_eq!(amount(" 2.50 "), Ok(2.5));
        for text in ["nan", "inf", "-1", "2 EUR", ""] {
            assert!(amount(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_share_is_a_number_or_a_percentage() {
        assert_eq!((share("0.9"), share(" 90% "), share("5 %")), (Ok(0.9), Ok(0.9), Ok(0.05)));
        for text in ["90", "-1%", "101%", "nan", "much", ""] {
            assert!(share(text).is_err(), "{text}");
        }
    }
}
