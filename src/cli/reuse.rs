//! The logs that `--reuse` names.

use std::path::PathBuf;

use judge_run::feedback::log::ReuseLog;
use judge_run::files;

use super::error::CliError;
use super::log_hints::cannot_open;
use super::paths;

/// Opens them in order; the first that has a verdict supplies it.
pub(crate) fn open(named: &[PathBuf]) -> Result<Vec<ReuseLog>, CliError> {
    let mut logs = Vec::new();
    for path in named {
        let expanded = paths::expanded(path);
        let expanded =
            expanded.map_err(|error| CliError::usage(format_args!("--reuse {}: {error}", path.display())))?;
        for path in expanded.into_iter().filter(|found| found == path || !files::is_companion(found)) {
            logs.push(ReuseLog::open(&path).map_err(|error| cannot_open(&error))?);
        }
    }
    Ok(logs)
}
