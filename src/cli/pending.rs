//! Requests in batches that have not ended, which a run without batches must not ask.

use std::path::Path;

use judge_run::batch::ledger::{Batch, Ledger};
use judge_run::batch::ledger_of;
use judge_run::run::LaneSettings;

use super::error::CliError;
use super::print::counted;

/// A run that asks live what batches of its log have not answered yet would pay for it twice.
pub(crate) fn not_in_batches(log: &Path, lanes: &[LaneSettings]) -> Result<(), CliError> {
    let ledger = ledger_of(log);
    // What is wrong with the path of the log itself is said where it is opened.
    if !ledger.is_file() {
        return Ok(());
    }
    let batches = Ledger::look(&ledger).map_err(|error| CliError::of(&error))?;
    let is_asked = |batch: &&Batch| lanes.iter().any(|lane| lane.source_id() == batch.planned.source_id);
    let open = batches.iter().filter(|batch| batch.is_open()).filter(is_asked);
    let requests: usize = open.map(|batch| batch.planned.requests).sum();
    if requests == 0 {
        return Ok(());
    }
    let (requests, log) = (counted(requests as u64, "request"), log.display());
    Err(CliError::usage_with_hint(
        format_args!("`{log}` has {requests} in batches that have not ended; asked live, they would be paid for twice"),
        format_args!("judge-run collect {log} --wait, or --cancel; with --batch, a run goes on with them"),
    ))
}
