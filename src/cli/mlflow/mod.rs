//! `judge-run mlflow`: traces from a tracking server, feedback to it.

mod args;
mod progress;
mod pull;
mod push;
mod registry;

use std::process::ExitCode;
use std::sync::Arc;

pub(crate) use args::{MlflowArgs, RunMlflowArgs, ServerArgs};
use judge_run::servers::ServerError;
use judge_run::servers::mlflow::{Server, Settings};
pub(crate) use pull::{experiment_of, with_pulled};
pub(crate) use push::{before_run, push_of_run};
pub(crate) use registry::{FOLDER, all_scorers, imported};

use self::args::MlflowCommand;
use super::error::CliError;

pub(crate) fn main(args: MlflowArgs) -> Result<ExitCode, CliError> {
    match args.command {
        MlflowCommand::Pull(args) => pull::main(args),
        MlflowCommand::Push(args) => push::main(args),
        MlflowCommand::PullFeedback(args) => push::pull_feedback(&args),
    }
}

/// Whether a tracking server is named.
pub(crate) fn is_named(args: &ServerArgs) -> bool {
    args.tracking_uri.is_some() || std::env::var(Settings::ADDRESS).is_ok_and(|text| !text.is_empty())
}

/// The tracking server. Nothing is sent yet.
pub(crate) fn server(args: &ServerArgs) -> Result<Arc<Server>, CliError> {
    let variable = |name: &str| std::env::var(name).ok();
    let address = args.tracking_uri.clone().or_else(|| variable(Settings::ADDRESS)).filter(|text| !text.is_empty());
    let address = address.ok_or_else(|| {
        CliError::usage_with_hint(
            "no tracking server given",
            format_args!("set {}, or `--tracking-uri http://127.0.0.1:5000`", Settings::ADDRESS),
        )
    })?;
    Server::new(&Settings::new(&address, &variable)).map(Arc::new).map_err(|error| failed(&error))
}

fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// What the user can correct is wrong usage; an unreachable server is not.
pub(crate) fn failed(error: &ServerError) -> CliError {
    match error {
        ServerError::Refused { .. } => CliError::Other(format!(
            "{error} (MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, give access)"
        )),
        ServerError::Unreachable { .. } | ServerError::Unexpected { .. } => CliError::Other(error.to_string()),
        ServerError::Status { status, .. } if *status != 400 => CliError::Other(error.to_string()),
        _ => CliError::of(error),
    }
}
