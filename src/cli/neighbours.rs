//! `judge-run phoenix` and `judge-run langfuse`: feedback to other servers than MLflow's, and people's feedback from there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueHint};
use judge_run::feedback::Feedback;
use judge_run::feedback::log::{StandingRecords, add};
use judge_run::judge::redact::Redact;
use judge_run::people::import::{Adopted, Adoption};
use judge_run::run::Exit;
use judge_run::servers::langfuse::Langfuse;
use judge_run::servers::phoenix::Phoenix;
use judge_run::servers::{Sent, ServerError};

use super::config_file::ConfigFile;
use super::error::CliError;
use super::log_hints::cannot_open;
use super::manifest::now_ms;
use super::print::{self, counted, escaped};
use super::summary;

#[derive(Debug, Args)]
pub(crate) struct PhoenixArgs {
    #[command(subcommand)]
    command: PhoenixCommand,
}

#[derive(Debug, Subcommand)]
enum PhoenixCommand {
    /// Send a log's feedback as annotations of traces and spans, replacing earlier ones. The key is PHOENIX_API_KEY
    Push(PushArgs),
    /// Append people's annotations of a log's traces and their spans to the log
    PullFeedback(PhoenixPullArgs),
}

#[derive(Debug, Args)]
pub(crate) struct LangfuseArgs {
    #[command(subcommand)]
    command: LangfuseCommand,
}

#[derive(Debug, Subcommand)]
enum LangfuseCommand {
    /// Send a log's verdicts as scores, replacing earlier ones. The keys are LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY
    Push(PushArgs),
    /// Append the scores that people gave a log's traces in Langfuse to the log
    PullFeedback(PullArgs),
}

#[derive(Debug, Args)]
struct PhoenixPullArgs {
    /// Project that the traces are in
    #[arg(long, value_name = "NAME", env = "PHOENIX_PROJECT_NAME", default_value = "default")]
    project: String,

    #[command(flatten)]
    pull: PullArgs,
}

#[derive(Debug, Args)]
struct PullArgs {
    /// The log
    #[arg(value_name = "LOG", value_hint = ValueHint::FilePath)]
    log: PathBuf,

    /// Server's address [default: PHOENIX_HOST or LANGFUSE_HOST]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    url: Option<String>,
}

#[derive(Debug, Args)]
struct PushArgs {
    /// The log
    #[arg(value_name = "LOG", value_hint = ValueHint::FilePath)]
    log: PathBuf,

    /// Server's address [default: PHOENIX_HOST or LANGFUSE_HOST]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    url: Option<String>,

    /// Configuration file with [redact] [default: judge-run.toml if it exists]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// What gives access, for messages.
pub(crate) const PHOENIX_ACCESS: &str = "set PHOENIX_API_KEY";
pub(crate) const LANGFUSE_ACCESS: &str = "set LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY";

pub(crate) fn phoenix(args: PhoenixArgs) -> Result<ExitCode, CliError> {
    let server = |url: Option<&String>| {
        Phoenix::new(&address(url, "PHOENIX_HOST")?, &variable).map_err(|error| CliError::of(&error))
    };
    match args.command {
        PhoenixCommand::Push(args) => {
            let server = server(args.url.as_ref())?;
            let (mut records, redact) = args.opened()?;
            let sent = runtime()?.block_on(server.push(&mut records, redact.as_ref()));
            report(&sent.map_err(|error| cannot_open(&error))?, &args.log, server.address(), PHOENIX_ACCESS)
        }
        PhoenixCommand::PullFeedback(PhoenixPullArgs { project, pull }) => {
            let server = server(pull.url.as_ref())?;
            let traces = traces_of(&pull.log)?;
            let found = runtime()?.block_on(server.people(&project, &traces, now_ms()));
            adopt(found.map_err(|error| failed(&error, PHOENIX_ACCESS))?, &traces, &pull.log)
        }
    }
}

pub(crate) fn langfuse(args: LangfuseArgs) -> Result<ExitCode, CliError> {
    let server = |url: Option<&String>| {
        Langfuse::new(&address(url, "LANGFUSE_HOST")?, &variable).map_err(|error| CliError::of(&error))
    };
    match args.command {
        LangfuseCommand::Push(args) => {
            let server = server(args.url.as_ref())?;
            let (mut records, redact) = args.opened()?;
            let sent = runtime()?.block_on(server.push(&mut records, redact.as_ref()));
            report(&sent.map_err(|error| cannot_open(&error))?, &args.log, server.address(), LANGFUSE_ACCESS)
        }
        LangfuseCommand::PullFeedback(args) => {
            let server = server(args.url.as_ref())?;
            let traces = traces_of(&args.log)?;
            let found = runtime()?.block_on(server.people(&traces, now_ms()));
            adopt(found.map_err(|error| failed(&error, LANGFUSE_ACCESS))?, &traces, &args.log)
        }
    }
}

fn address(url: Option<&String>, name: &str) -> Result<String, CliError> {
    let address = url.cloned().or_else(|| variable(name));
    address.ok_or_else(|| {
        let example = if name == "PHOENIX_HOST" { "http://127.0.0.1:6006" } else { "https://cloud.langfuse.com" };
        CliError::usage_with_hint("no server given", format_args!("set {name}, or `--url {example}`"))
    })
}

impl PushArgs {
    fn opened(&self) -> Result<(StandingRecords, Option<Redact>), CliError> {
        let records = StandingRecords::of(std::slice::from_ref(&self.log)).map_err(|error| cannot_open(&error))?;
        let redact = ConfigFile::load(self.config.as_deref())?.redact;
        Ok((records, Redact::of(&redact).map_err(|error| CliError::of(&error))?))
    }
}

/// The traces that a log is about.
fn traces_of(log: &Path) -> Result<BTreeSet<String>, CliError> {
    let mut records = StandingRecords::of(&[log.to_owned()]).map_err(|error| cannot_open(&error))?;
    let mut traces = BTreeSet::new();
    let read = records.for_each(|_, _, line| {
        let record = std::str::from_utf8(line).ok().and_then(|line| Feedback::from_json(line).ok());
        traces.extend(record.and_then(|record| record.trace_id));
    });
    read.map_err(|error| cannot_open(&error))?;
    Ok(traces)
}

/// Appends what the log does not have yet; a person's changed opinion replaces the earlier one.
fn adopt(found: Vec<Feedback>, traces: &BTreeSet<String>, log: &Path) -> Result<ExitCode, CliError> {
    let mut adoption = Adoption::of(log).map_err(|error| cannot_open(&error))?;
    let new: Vec<_> = found
        .into_iter()
        .filter_map(|record| match adoption.adopt(record) {
            Adopted::New(record) | Adopted::Replacing(record) => Some(record),
            Adopted::Known => None,
        })
        .collect();
    if !new.is_empty() {
        add(log, &new).map_err(|error| CliError::Other(format!("cannot write `{}`: {error}", log.display())))?;
    }
    let n = counted(new.len() as u64, "record");
    let of = counted(traces.len() as u64, "trace");
    summary::print(&escaped(&format!("{n} from people about {of}, appended to {}\n", log.display())))?;
    Ok(ExitCode::from(Exit::AllJudged.code()))
}

/// What the user can correct is wrong usage; an unreachable server is not.
fn failed(error: &ServerError, access: &str) -> CliError {
    match error {
        ServerError::Refused { .. } => CliError::Other(format!("{error} ({access})")),
        ServerError::NoProject { .. } => CliError::of(error).hint("name the project: `--project NAME`"),
        _ => CliError::Other(error.to_string()),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

fn report(sent: &Sent, log: &Path, address: &str, access: &str) -> Result<ExitCode, CliError> {
    let mut text = format!("{} of {} on {address}\n", counted(sent.records, "record"), log.display());
    text.push_str(&format!("{:>9}  sent\n", sent.sent));
    for (what, n) in &sent.left_out {
        text.push_str(&format!("{n:>9}  left out: {what}\n"));
    }
    for (status, n) in &sent.failed {
        text.push_str(&format!("{n:>9}  not sent: HTTP {status}\n"));
    }
    summary::print(&escaped(&text))?;
    let exit = match &sent.stopped {
        Some(error) => {
            let hint =
                if matches!(error, ServerError::Refused { .. }) { format!(" ({access})") } else { String::new() };
            print::message(escaped(&format!("stopped: {error}{hint}")));
            Exit::Stopped
        }
        None if !sent.failed.is_empty() => Exit::SomeFailed,
        None => Exit::AllJudged,
    };
    Ok(ExitCode::from(exit.code()))
}
