//! The run over the anchors, after the run that names them.

use std::path::Path;

use judge_run::files;
use judge_run::run::{Exit, RunReport};

use super::error::CliError;
use super::rerun::{self, First};
use super::{dry_run, print};

/// Judges the anchors with the judges of a run that has ended. `None` where the budgets are spent.
pub(crate) fn judge(
    anchors: &Path,
    log: &Path,
    first: &First,
    report: &RunReport,
) -> Result<Option<(RunReport, Exit)>, CliError> {
    let own = files::anchors_of(log);
    if first.is_spent() {
        print::message("warning: the budget is spent, so the anchors are not judged");
        return Ok(None);
    }
    print::message(format_args!("judging the anchors, into {}", own.display()));
    let (of_anchors, exit) = rerun::run(first.over_anchors(anchors, own))?;
    let is_nothing_new = |report: &RunReport| report.summary.requests == 0;
    if first.is_resumed && is_nothing_new(&of_anchors) && !is_nothing_new(report) {
        print::message(
            "note: the anchors of this log were judged before; use a new log each night to judge them again",
        );
    }
    Ok(Some((of_anchors, exit)))
}

/// What judging the anchors would take.
pub(crate) fn dry_run(anchors: &Path, log: &Path, first: &First) -> Result<Exit, CliError> {
    print::message("and the anchors:");
    let (opened, _) = rerun::opened(first.over_anchors(anchors, files::anchors_of(log)))?;
    dry_run::main(opened)
}
