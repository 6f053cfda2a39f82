//! `judge-run phoenix push` and `judge-run langfuse push`: feedback to other servers than MLflow's.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueHint};
use judge_run::feedback::log::StandingRecords;
use judge_run::judge::redact::Redact;
use judge_run::run::Exit;
use judge_run::servers::langfuse::Langfuse;
use judge_run::servers::phoenix::Phoenix;
use judge_run::servers::{Sent, ServerError};

use super::config_file::ConfigFile;
use super::error::CliError;
use super::log_hints::cannot_open;
use super::print::{self, counted, escaped};
use super::summary;

#[derive(Debug, Args)]
pub(crate) struct PhoenixArgs {
    #[command(subcommand)]
    command: PhoenixCommand,
}

#[derive(Debug, Subcommand)]
enum PhoenixCommand {
    /// Send a log's feedback as annotations of traces and spans; what is there is replaced. The key is PHOENIX_API_KEY
    Push(PushArgs),
}

#[derive(Debug, Args)]
pub(crate) struct LangfuseArgs {
    #[command(subcommand)]
    command: LangfuseCommand,
}

#[derive(Debug, Subcommand)]
enum LangfuseCommand {
    /// Send a log's verdicts as scores; what is there is replaced. The keys are LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY
    Push(PushArgs),
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

pub(crate) fn phoenix(args: PhoenixArgs) -> Result<ExitCode, CliError> {
    let PhoenixCommand::Push(args) = args.command;
    let server = Phoenix::new(&args.address("PHOENIX_HOST")?, &variable).map_err(|error| CliError::of(&error))?;
    let (mut records, redact) = args.opened()?;
    let sent = runtime()?.block_on(server.push(&mut records, redact.as_ref()));
    report(&sent.map_err(|error| cannot_open(&error))?, &args.log, server.address(), "PHOENIX_API_KEY gives access")
}

pub(crate) fn langfuse(args: LangfuseArgs) -> Result<ExitCode, CliError> {
    let LangfuseCommand::Push(args) = args.command;
    let server = Langfuse::new(&args.address("LANGFUSE_HOST")?, &variable).map_err(|error| CliError::of(&error))?;
    let (mut records, redact) = args.opened()?;
    let sent = runtime()?.block_on(server.push(&mut records, redact.as_ref()));
    let access = "LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY give access";
    report(&sent.map_err(|error| cannot_open(&error))?, &args.log, server.address(), access)
}

impl PushArgs {
    fn address(&self, name: &str) -> Result<String, CliError> {
        let address = self.url.clone().or_else(|| variable(name));
        address.ok_or_else(|| {
            CliError::usage_with_hint(
                "no server is named",
                format_args!("set {name}, or `--url http://127.0.0.1:6006`"),
            )
        })
    }

    fn opened(&self) -> Result<(StandingRecords, Option<Redact>), CliError> {
        let records = StandingRecords::of(std::slice::from_ref(&self.log)).map_err(|error| cannot_open(&error))?;
        let redact = ConfigFile::load(self.config.as_deref())?.redact;
        Ok((records, Redact::of(&redact).map_err(|error| CliError::of(&error))?))
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
