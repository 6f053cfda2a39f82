//! The logs that a command names.

use std::path::PathBuf;

use judge_run::files;

use super::error::CliError;
use super::paths;

/// The logs that are named, patterns expanded. A pattern does not match the companions of the logs that it matches.
pub(crate) fn expanded(named: &[PathBuf]) -> Result<Vec<PathBuf>, CliError> {
    let mut logs = Vec::new();
    for path in named {
        let found = paths::expanded(path)
            .map_err(|error| CliError::usage(format_args!("no log `{}`: {error}", path.display())))?;
        logs.extend(found.into_iter().filter(|log| log == path || !files::is_companion(log)));
    }
    Ok(logs)
}
