//! The arguments of the servers for people, and what the servers have in common.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueHint};
use judge_run::review::{Order, Question};
use judge_run_web::{Limits, Server};

use super::duration;
use super::error::CliError;

/// Holds the password of `review`.
pub(crate) const PASSWORD: &str = "JUDGE_RUN_REVIEW_PASSWORD";
/// Holds the lines of `--tokens`.
pub(crate) const TOKENS: &str = "JUDGE_RUN_FEEDBACK_TOKENS";

#[derive(Debug, Args)]
#[command(after_help = "\
The server implements MLflow's API under /api/3.0/mlflow/traces/TRACE/assessments: POST to add, and GET,
PATCH and DELETE of one by its id. Feedback answered with 200 is on disk. A run may write to the same
log meanwhile. Point MLflow's client at it with MLFLOW_TRACKING_URI and MLFLOW_TRACKING_TOKEN.

  shop  4f1c0c7d9a55e0b2             may add and read, and change and delete its own feedback
  page  9e02d41ab7c3f610  post-only  may only add feedback of people: for tokens in public pages
Without tokens, only this machine has access.

Examples:
  Try it:
    judge-run serve-feedback traces.feedback.jsonl
    curl http://127.0.0.1:5055/api/3.0/mlflow/traces/tr-1/assessments -H 'Content-Type: application/json' \\
      -d '{\"assessment\": {\"assessment_name\": \"helpful\", \"feedback\": {\"value\": true},
           \"source\": {\"source_type\": \"HUMAN\", \"source_id\": \"anna\"}}}'
  For a shop's web pages, behind a proxy for TLS:
    judge-run serve-feedback shop.feedback.jsonl --tokens tokens.txt --cors https://shop.example")]
pub(crate) struct ServeFeedbackArgs {
    /// The log; created if it does not exist
    #[arg(value_hint = ValueHint::FilePath)]
    pub log: PathBuf,

    /// Address to listen on; port 0 picks a free one. Beyond this machine, tokens are required
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:5055")]
    pub listen: SocketAddr,

    /// File with a token for each application
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub tokens: Option<PathBuf>,

    /// Origin whose pages may post from a browser, such as https://shop.example; `*` for all, if there are tokens. Repeatable
    #[arg(long, value_name = "ORIGIN", value_parser = origin)]
    pub cors: Vec<String>,

    /// Requests per second that each application may make; more get a 429
    #[arg(long, value_name = "N", default_value = "10000")]
    pub rate_limit: NonZeroU32,

    /// Longest body of a request, in bytes; a longer one gets a 413
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 20)]
    pub max_body_bytes: usize,
}

#[derive(Debug, Args)]
#[command(after_help = "\
The page shows one trace after another, and asks you the questions that the judges were asked. Your
answers are saved to the log as your feedback as you go; you can undo them, and a run may write to the
log meanwhile. Keys: 1 to 9 choose, Enter saves and continues, ? shows the others.

Examples:
  Review what judges called bad, as anna:
    judge-run review traces.feedback.jsonl --queue failures --as anna@example.com
  Label without seeing others' feedback, as agreement and calibration need:
    judge-run review traces.feedback.jsonl --blind --name safety
  A drawn sample:
    judge-run review traces.feedback.jsonl --blind --plan plan.csv
  Traces that no judge has seen, with your own labels:
    judge-run review new.feedback.jsonl -d traces.jsonl --label helpful=boolean --label tone=1..5
  For colleagues, behind a proxy for TLS:
    judge-run review traces.feedback.jsonl --listen 0.0.0.0:8090 --host review.example --password-file password.txt")]
pub(crate) struct ReviewArgs {
    /// The log; created if it does not exist and there are labels
    #[arg(value_hint = ValueHint::FilePath)]
    pub log: PathBuf,

    /// Traces, if the log's manifest does not say where they are. Repeatable
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub dataset: Vec<PathBuf>,

    /// Who reviews [default: the page asks]
    #[arg(long = "as", value_name = "NAME", value_parser = annotator)]
    pub annotator: Option<String>,

    /// Hide the feedback of judges and others until you have decided
    #[arg(long)]
    pub blind: bool,

    /// Ask only for this label of the log. Repeatable
    #[arg(long, value_name = "NAME")]
    pub name: Vec<String>,

    /// Ask for your own label: NAME=boolean, NAME=text, NAME=1..5 or NAME=first,second. Repeatable
    #[arg(long, value_name = "NAME=FORM")]
    pub label: Vec<Question>,

    /// Which traces: all, those with bad verdicts or failures, those about which verdicts differ, or those nearest to a threshold
    #[arg(long, value_name = "WHICH", default_value = "all", value_parser = queue())]
    pub queue: Order,

    /// Label plan: a table or JSON lines with trace_id, and optionally span_id, name and inclusion_probability
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "queue")]
    pub plan: Option<PathBuf>,

    /// Address to listen on; port 0 picks a free one. Beyond this machine, a password is required
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,

    /// Name by which browsers reach the page, such as that of a proxy. Repeatable
    #[arg(long, value_name = "NAME")]
    pub host: Vec<String>,

    /// File with the password that the page asks for; it may also be in JUDGE_RUN_REVIEW_PASSWORD
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub password_file: Option<PathBuf>,

    /// Stop after this long without use
    #[arg(long, value_name = "DURATION", default_value = "2h", value_parser = duration::parse_positive)]
    pub idle: Duration,
}

fn queue() -> impl TypedValueParser<Value = Order> {
    PossibleValuesParser::new(["all", "failures", "disagreement", "threshold"]).try_map(|name| order(&name))
}

/// The order of a queue by its name.
fn order(name: &str) -> Result<Order, String> {
    Ok(match name {
        "all" => Order::All,
        "failures" => Order::Failures,
        "disagreement" => Order::Disagreement,
        "threshold" => Order::Threshold,
        _ => return Err(format!("unknown queue `{name}`")),
    })
}

fn annotator(name: &str) -> Result<String, String> {
    let name = name.trim();
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err("expected a name or an address".to_owned());
    }
    Ok(name.to_owned())
}

/// What a browser sends as the origin of a page.
fn origin(text: &str) -> Result<String, String> {
    let is_origin = || {
        let (scheme, host) = text.split_once("://")?;
        let plain = !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']);
        (matches!(scheme, "http" | "https") && plain).then_some(())
    };
    match text {
        "*" => Ok(text.to_owned()),
        _ if is_origin().is_some() => Ok(text.to_ascii_lowercase()),
        _ => Err(format!("invalid origin `{text}`, expected a scheme and a host, such as https://shop.example")),
    }
}

/// Listens.
pub(crate) async fn bind(address: SocketAddr, limits: Limits) -> Result<Server, CliError> {
    Server::bind(address, limits).await.map_err(|error| {
        CliError::usage(format_args!("cannot listen on {address}"))
            .because(&error)
            .hint(format_args!("`--listen {}` picks a free port", SocketAddr::new(address.ip(), 0)))
    })
}

/// Completes at Ctrl-C, or when the system asks the process to end. The signals are caught from the moment that this returns.
pub(crate) fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    #[cfg(unix)]
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    #[cfg(unix)]
    let mut interrupt = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
    Ok(async move {
        #[cfg(unix)]
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        #[cfg(not(unix))]
        drop(tokio::signal::ctrl_c().await);
    })
}
