//! The arguments of `judge-run mlflow`, and those of a run that concern MLflow.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueHint};

use crate::cli::duration;
use crate::cli::flags::{INPUT, OUTPUT};

#[derive(Debug, Args)]
#[command(after_help = "\
The server's address comes from --tracking-uri or MLFLOW_TRACKING_URI, credentials from MLflow's own variables:
MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN;
MLFLOW_TRACKING_SERVER_CERT_PATH, MLFLOW_TRACKING_CLIENT_CERT_PATH, MLFLOW_TRACKING_INSECURE_TLS.

Examples:
  Pull an experiment's traces, judge them, push the verdicts:
    judge-run mlflow pull --experiment support-bot -o traces.jsonl
    judge-run -d traces.jsonl -J safety -m openai:/gpt-4.1-mini
    judge-run mlflow push traces.feedback.jsonl
  The same in one command:
    judge-run -d mlflow:/support-bot -J safety -m openai:/gpt-4.1-mini --push")]
pub(crate) struct MlflowArgs {
    #[command(subcommand)]
    pub command: MlflowCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MlflowCommand {
    /// Copy an experiment's traces to a file; the same command adds what is new
    Pull(PullArgs),
    /// Send a log's feedback to the server, each record once; what the server has is not sent again
    Push(PushArgs),
    /// Append people's feedback about a log's traces to the log
    PullFeedback(PullFeedbackArgs),
}

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ServerArgs {
    /// MLflow's tracking server [default: MLFLOW_TRACKING_URI]
    #[arg(long, value_name = "URL", env = "JUDGE_RUN_TRACKING_URI", value_hint = ValueHint::Url)]
    pub tracking_uri: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
The file itself shows where to continue: what it has is not copied again. Traces that began up to an hour
before its latest one are looked for again, since a trace arrives when it ends; --since looks further back.

Examples:
  All traces of an experiment:
    judge-run mlflow pull --experiment support-bot -o traces.jsonl
  Only some of the last day:
    judge-run mlflow pull --experiment 7 -o day.jsonl --since 24h --filter \"tag.env = 'prod'\"")]
pub(crate) struct PullArgs {
    /// Experiment: its name or id
    #[arg(long, value_name = "NAME|ID")]
    pub experiment: String,

    /// File that traces are appended to
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: PathBuf,

    /// Only traces that match a condition in MLflow's filter syntax, such as "status = 'OK' AND tag.env = 'prod'"
    #[arg(long, value_name = "CONDITION")]
    pub filter: Option<String>,

    /// Only traces that began at most this long ago, such as 24h
    #[arg(long, value_name = "DURATION", value_parser = duration::parse_positive)]
    pub since: Option<Duration>,

    /// Also fetch the images of new traces into the file, for judges that show them
    #[arg(long)]
    pub images: bool,

    #[command(flatten)]
    pub server: ServerArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Records are sent with their own ids, so that nothing is stored twice, whatever is interrupted or repeated.
A verdict that follows an earlier failure replaces it; one that overrides another is linked to it; one that
a person rejected is marked as not valid. What the server stores is compared with what was sent.

The feedback belongs to an evaluation run on the server, with the judges as parameters and the figures of
`judge-run report` as metrics.

Exit codes:
  0  the server has everything as it is in the log
  3  some records could not be sent, or differ on the server
  4  the server did not answer, or refused access; the same command continues

Examples:
  Send the results of a run:
    judge-run mlflow push traces.feedback.jsonl --tracking-uri http://127.0.0.1:5000")]
pub(crate) struct PushArgs {
    /// The log
    #[arg(value_name = "LOG", value_hint = ValueHint::FilePath)]
    pub log: PathBuf,

    /// Send only the feedback, without an evaluation run
    #[arg(long)]
    pub no_run: bool,

    #[command(flatten)]
    pub server: ServerArgs,

    /// Configuration file with [redact] [default: judge-run.toml if it exists]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct PullFeedbackArgs {
    /// The log
    #[arg(value_name = "LOG", value_hint = ValueHint::FilePath)]
    pub log: PathBuf,

    #[command(flatten)]
    pub server: ServerArgs,
}

/// What a run has of MLflow.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct RunMlflowArgs {
    /// With `--dataset mlflow:/EXPERIMENT`: only traces that match a condition in MLflow's filter syntax, such as "tag.env = 'prod'"
    #[arg(long, value_name = "CONDITION", env = "JUDGE_RUN_MLFLOW_FILTER", help_heading = INPUT)]
    pub mlflow_filter: Option<String>,

    /// With `--dataset mlflow:/EXPERIMENT`: look for traces that began at most this long ago, such as 24h
    #[arg(long, value_name = "DURATION", env = "JUDGE_RUN_SINCE", value_parser = duration::parse_positive,
          help_heading = INPUT)]
    pub since: Option<Duration>,

    #[command(flatten, next_help_heading = INPUT)]
    pub server: ServerArgs,

    /// Send the feedback to MLflow at the end, as `judge-run mlflow push` does
    #[arg(long, env = "JUDGE_RUN_PUSH", help_heading = OUTPUT)]
    pub push: bool,
}
