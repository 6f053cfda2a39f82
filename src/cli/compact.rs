//! `judge-run compact`: a log without what later records supersede.

use std::path::Path;
use std::process::ExitCode;

use judge_run::feedback::log::{self, Compacted};

use super::error::CliError;
use super::log_hints::cannot_open;
use super::print::{counted, escaped};
use super::subcommands::CompactArgs;
use super::summary;

pub(crate) fn main(args: &CompactArgs) -> Result<ExitCode, CliError> {
    let CompactArgs { log, dry_run } = args;
    let compacted = if *dry_run { log::would_compact(log) } else { log::compact(log) };
    print(log, &compacted.map_err(|error| cannot_open(&error))?, *dry_run)?;
    Ok(ExitCode::SUCCESS)
}

/// The same after a replay.
pub(crate) fn after_replay(log: &Path, quiet: bool) -> Result<(), CliError> {
    let compacted = log::compact(log).map_err(|error| cannot_open(&error))?;
    if quiet { Ok(()) } else { print(log, &compacted, false) }
}

fn print(log: &Path, compacted: &Compacted, dry_run: bool) -> Result<(), CliError> {
    let name = escaped(&log.display().to_string());
    let mut text = format!("{name}: {}\n", shown(compacted, dry_run));
    if let Some(moved_to) = &compacted.report.moved_to {
        let lines = counted(compacted.report.moved_lines, "damaged line");
        text.push_str(&format!("{lines} moved to {}\n", escaped(&moved_to.display().to_string())));
    }
    summary::print(&text)
}

fn shown(compacted: &Compacted, dry_run: bool) -> String {
    let before = counted(compacted.before, "record");
    if compacted.after() == compacted.before {
        return format!("{before}, none superseded");
    }
    let (kept, dropped) = if dry_run { ("would be kept", "would be dropped") } else { ("kept", "dropped") };
    let failures = counted(compacted.failures, "superseded failure");
    let verdicts = counted(compacted.verdicts, "superseded verdict");
    format!("{before}, {} {kept}; {dropped}: {failures}, {verdicts}", compacted.after())
}
