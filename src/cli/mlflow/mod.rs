//! `judge-run mlflow`: traces from a tracking server, feedback to it.

pub(crate) mod args;
mod progress;
mod pull;
mod push;
mod registry;
mod server;

use std::process::ExitCode;

pub(crate) use pull::{experiment_of, with_pulled};
pub(crate) use push::{before_run, push_of_run};
pub(crate) use registry::{FOLDER, all_scorers, imported};
pub(crate) use server::{failed, is_named, server};

use self::args::{MlflowArgs, MlflowCommand};
use super::error::CliError;

pub(crate) fn main(args: MlflowArgs) -> Result<ExitCode, CliError> {
    match args.command {
        MlflowCommand::Pull(args) => pull::main(args),
        MlflowCommand::Push(args) => push::main(args),
        MlflowCommand::PullFeedback(args) => push::pull_feedback(&args),
    }
}
