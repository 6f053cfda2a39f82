//! The companions of a night's log: the verdicts of the same judges on the anchors, and those of the run that confirms what got worse.

use std::path::{Path, PathBuf};

use judge_run::feedback::log::StandingRecords;
use judge_run::files;
use judge_run::results::by::TraceFacts;
use judge_run::results::{Night, Side};

use super::error::CliError;
use super::log_hints::cannot_open;

/// One side of a comparison: each log is a night.
pub(crate) fn side(logs: &[PathBuf]) -> Result<Side, CliError> {
    let night = |log: &PathBuf| {
        Ok(Night {
            name: log.display().to_string(),
            records: opened(std::slice::from_ref(log))?,
            again: if_there(&[files::confirm_of(log)])?,
            anchors: anchors(std::slice::from_ref(log))?,
        })
    };
    let nights = logs.iter().map(night).collect::<Result<Vec<_>, CliError>>()?;
    Side::of(nights, &TraceFacts::default()).map_err(|error| cannot_open(&error))
}

/// The verdicts on the anchors of logs that are read as one.
pub(crate) fn anchors(logs: &[PathBuf]) -> Result<Option<StandingRecords>, CliError> {
    if_there(&logs.iter().map(|log| files::anchors_of(log)).collect::<Vec<_>>())
}

/// The logs of a baseline that are nights before these: no companions of another, and none of these themselves.
pub(crate) fn nights_before(found: Vec<PathBuf>, these: &[PathBuf]) -> Vec<PathBuf> {
    let these: Vec<_> = these.iter().filter_map(|log| log.canonicalize().ok()).collect();
    let is_one_of_these = |log: &Path| log.canonicalize().is_ok_and(|log| these.contains(&log));
    found.into_iter().filter(|log| !files::is_companion(log) && !is_one_of_these(log)).collect()
}

fn if_there(logs: &[PathBuf]) -> Result<Option<StandingRecords>, CliError> {
    let there: Vec<_> = logs.iter().filter(|log| log.is_file()).cloned().collect();
    if there.is_empty() { Ok(None) } else { opened(&there).map(Some) }
}

fn opened(logs: &[PathBuf]) -> Result<StandingRecords, CliError> {
    StandingRecords::of(logs).map_err(|error| cannot_open(&error))
}
