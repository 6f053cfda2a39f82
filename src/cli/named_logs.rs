//! The logs that a command names.

use std::path::PathBuf;

use judge_run::feedback::log::StandingRecords;
use judge_run::results::Side;
use judge_run::results::by::TraceFacts;

use super::error::CliError;
use super::log_hints::cannot_open;
use super::paths;

/// The logs that are named, patterns expanded.
pub(crate) fn expanded(named: &[PathBuf]) -> Result<Vec<PathBuf>, CliError> {
    let mut logs = Vec::new();
    for path in named {
        let found = paths::expanded(path)
            .map_err(|error| CliError::usage(format_args!("no log `{}`: {error}", path.display())))?;
        logs.extend(found);
    }
    Ok(logs)
}

/// One side of a comparison: each log is a run.
pub(crate) fn side(logs: &[PathBuf]) -> Result<Side, CliError> {
    let open = |log: &PathBuf| StandingRecords::of(std::slice::from_ref(log)).map_err(|error| cannot_open(&error));
    let runs = logs.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    Side::of(runs, &TraceFacts::default()).map_err(|error| cannot_open(&error))
}
