//! After a run: the anchors, its report, its gates, and their effect on the exit code.

use std::path::Path;

use judge_run::files;
use judge_run::results::forms::Findings;
use judge_run::run::{Exit, RunReport};
use judge_run_statistics::sequential::Settled;

use super::error::CliError;
use super::flags::Confirm;
use super::forms::{Inputs, write_file};
use super::plan::Invocation;
use super::print::counted;
use super::report::{Reported, report_on};
use super::rerun::{self, First, is_whole};
use super::{anchor_run, confirmation, forms, gates, print, summary};

/// Judges the anchors, writes the requested report, evaluates the gates, and returns the resulting exit code.
pub(crate) fn exit(run: &RunReport, invocation: Invocation, mut first: First) -> Result<Exit, CliError> {
    let Invocation { log, gates, report: file, by, anchors, quiet, .. } = invocation;
    let is_missed = run.summary.until.iter().any(|until| until.settled == Settled::Missed);
    let mut exit = run.exit();
    if exit == Exit::Pending {
        // Half of the verdicts decide nothing.
        return Ok(exit);
    }
    let Some(log) = log.filter(|log| exit != Exit::Usage && log.exists()) else { return Ok(exit) };
    if let Some(anchors) = anchors.filter(|_| is_whole(exit))
        && let Some((of_anchors, of_exit)) = anchor_run::judge(&anchors, &log, &first, run)?
    {
        first.spend(&of_anchors);
        exit = if is_whole(of_exit) { exit } else { of_exit };
    }
    if is_missed && is_whole(exit) {
        exit = Exit::GateFailed;
    }
    if gates.is_empty() && file.is_none() {
        return Ok(exit);
    }
    let given = gates.gates.clone();
    let report_again = || report_on(&log, &by, gates.clone());
    let mut reported = report_again()?;
    if let Some(of @ (Confirm::All | Confirm::Sample)) = first.args.confirm
        && is_whole(exit)
    {
        exit = confirm(&mut reported, &log, (&first, of), report_again)?.unwrap_or(exit);
    }
    let report = reported.report;
    if let Some(file) = &file {
        let logs = [log.clone()];
        write_file(file, &Findings::Report(&report), Inputs { logs: &logs, by: &by, ..Inputs::default() })?;
    }
    if !quiet {
        let lines: String = report.gates.iter().map(|gate| format!("\n{}", forms::gate(gate))).collect();
        match summary::print(&lines) {
            Ok(()) | Err(CliError::BrokenPipe) => {}
            Err(error) => return Err(error),
        }
        gates::said(&report.comparisons);
    }
    let verdict = gates::verdict(&report.gates, !quiet);
    let only_failures = run.summary.rejects + run.summary.not_selected.failed == 0;
    Ok(match (exit, verdict) {
        (Exit::AllJudged | Exit::SomeFailed, Exit::GateFailed) => Exit::GateFailed,
        (Exit::AllJudged, Exit::SomeFailed) => Exit::SomeFailed,
        (Exit::SomeFailed, Exit::AllJudged) if only_failures && gates::tolerate_failures(&given, &report.gates) => {
            Exit::AllJudged
        }
        _ => exit,
    })
}

/// Asks the judges that are worse than the baseline again, into a separate log, which settles the gates. What was red before, or was
/// asked again before, is not asked.
fn confirm(
    reported: &mut Reported,
    log: &Path,
    (first, of): (&First, Confirm),
    again: impl FnOnce() -> Result<Reported, CliError>,
) -> Result<Option<Exit>, CliError> {
    if reported.unconfirmed.is_empty() {
        return Ok(None);
    }
    let (fresh, names) = (files::confirm_of(log), reported.unconfirmed.join(", "));
    if first.is_spent() {
        print::message(format_args!(
            "warning: worse than the baseline: {names}; not confirmed, since the budget is spent"
        ));
        return Ok(Some(Exit::Stopped));
    }
    let traces = match of {
        Confirm::Sample => confirmation::sample(&reported.report, &reported.unconfirmed, log)?,
        Confirm::All | Confirm::No => None,
    };
    let about = match &traces {
        Some(traces) => format!("{} of them, drawn at random,", counted(traces.len() as u64, "trace")),
        None => "all traces".to_owned(),
    };
    print::message(format_args!(
        "worse than the baseline: {names}; asking about {about} again, into {}",
        fresh.display()
    ));
    let (_, exit) = rerun::run(first.again(&reported.unconfirmed, traces, fresh))?;
    *reported = again()?;
    Ok((!is_whole(exit)).then_some(exit))
}
