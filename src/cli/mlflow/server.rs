//! The tracking server that a command talks to.

use std::sync::Arc;

use judge_run::servers::ServerError;
use judge_run::servers::mlflow::{Server, Settings};

use super::args::ServerArgs;
use crate::cli::error::CliError;

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

pub(super) fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
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
