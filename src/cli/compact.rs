//! `judge-run compact`: a log without what later lines made superfluous.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use judge_run::feedback::log::{self, Compacted, OpenError};

use super::error::CliError;
use super::print::{counted, escaped};
use super::subcommands::CompactArgs;
use super::summary;

pub(crate) fn main(args: &CompactArgs) -> Result<ExitCode, CliError> {
    let CompactArgs { log, dry_run } = args;
    let compacted = if *dry_run { log::would_compact(log) } else { log::compact(log) };
    print(log, &compacted.map_err(cannot_open)?, *dry_run)?;
    Ok(ExitCode::SUCCESS)
}

/// The same after a replay.
pub(crate) fn after_replay(log: &Path, quiet: bool) -> Result<(), CliError> {
    let compacted = log::compact(log).map_err(cannot_open)?;
    if quiet { Ok(()) } else { print(log, &compacted, false) }
}

fn print(log: &Path, compacted: &Compacted, dry_run: bool) -> Result<(), CliError> {
    let name = escaped(&log.display().to_string());
    let mut text = format!("{name}: {}\n", told(compacted, dry_run));
    if let Some(moved_to) = &compacted.report.moved_to {
        let lines = counted(compacted.report.moved_lines, "damaged line");
        text.push_str(&format!("{lines} moved to {}\n", escaped(&moved_to.display().to_string())));
    }
    summary::print(&text)
}

fn told(compacted: &Compacted, dry_run: bool) -> String {
    let before = counted(compacted.before, "record");
    let (now, left_out) = if dry_run { ("would be", "would go") } else { ("are", "gone") };
    if compacted.after() == compacted.before {
        return format!("{before}, none of them superseded");
    }
    let errors = counted(compacted.errors, "superseded error");
    let updates = counted(compacted.updates, "superseded update");
    format!("{before} before, {} {now} left; {left_out}: {errors}, {updates}", compacted.after())
}

/// What the user can mend is wrong usage; a disk that is full is not.
pub(crate) fn cannot_open(error: OpenError) -> CliError {
    use io::ErrorKind::{InvalidInput, NotFound, PermissionDenied};
    match &error {
        OpenError::Io { source: cause, .. } if !matches!(cause.kind(), InvalidInput | NotFound | PermissionDenied) => {
            CliError::Other(error.to_string())
        }
        _ => CliError::usage(error),
    }
}
