//! `LOG.confirm.jsonl`: the verdicts of judges that got worse than the baseline, asked again. Only what is worse again fails.

use std::path::{Path, PathBuf};

use judge_run::feedback::log::StandingRecords;
use judge_run::files;
use judge_run::results::gate::{Cause, GateOutcome, GateResult};
use judge_run::results::report::Report;
use judge_run::results::{draw_to_confirm, share_to_confirm};
use judge_run::run::manifest::{Manifest, State};

use super::error::CliError;
use super::gates::{self, Gates};
use super::log_hints::cannot_open;

/// Settles the gates of a log by the run that was to confirm it, where there is one. Gives the names of the judges that are worse and were not
/// asked again, or not to the end.
pub(crate) fn settle(
    report: &mut Report,
    gates: &Gates,
    log: &Path,
    report_on: impl FnOnce(&[PathBuf], Gates) -> Result<Report, CliError>,
) -> Result<Vec<String>, CliError> {
    let worse = |report: &Report| -> Vec<(String, String)> {
        let worse = gates::worse(gates, report);
        worse.map(|(gate, name)| (gate.gate.clone(), name.to_owned())).collect()
    };
    let at_first = worse(report);
    let fresh = files::confirm_of(log);
    let mut names: Vec<String> = at_first.iter().map(|(_, name)| name.clone()).collect();
    names.dedup();
    if at_first.is_empty() || !fresh.is_file() {
        return Ok(names);
    }
    let is_cut = Manifest::read(&Manifest::path_of(&fresh)).is_ok_and(|manifest| manifest.state != State::Finished);
    let second = report_on(&[fresh], gates.clone().about_baseline(log))?;
    let again = worse(&second);
    let was_asked = |name: &String| second.judges.iter().any(|judge| judge.name == *name);
    for gate in &mut report.gates {
        let Some((_, name)) = at_first.iter().find(|(of, _)| *of == gate.gate) else { continue };
        match () {
            () if is_cut => not_confirmed(gate, "the fresh run that was to confirm it did not finish"),
            () if !was_asked(name) => {}
            () if again.iter().any(|(of, _)| *of == gate.gate) => add(gate, "a fresh run confirms it"),
            () => not_confirmed(gate, "a fresh run does not confirm it"),
        }
    }
    names.retain(|name| is_cut || !was_asked(name));
    Ok(names)
}

/// The traces that these judges are asked about again, drawn at random; `None` where all are needed. The same after a kill, as they follow from
/// the log alone.
pub(crate) fn sample(report: &Report, worse: &[String], log: &Path) -> Result<Option<Vec<String>>, CliError> {
    let of: Vec<_> = report.comparisons.iter().filter(|comparison| worse.contains(&comparison.name)).collect();
    let seed = log.file_name().unwrap_or_default().to_string_lossy();
    let mut records = StandingRecords::of(&[log.to_owned()]).map_err(|error| cannot_open(&error))?;
    let drawn =
        draw_to_confirm(&mut records, worse, share_to_confirm(&of), &seed).map_err(|error| cannot_open(&error))?;
    // A name that begins like this would mean a file of ids.
    Ok(drawn.filter(|traces| traces.iter().all(|id| !id.starts_with('@'))))
}

fn not_confirmed(gate: &mut GateResult, why: &str) {
    (gate.outcome, gate.cause) = (GateOutcome::Inconclusive, Some(Cause::NotConfirmed));
    add(gate, why);
}

fn add(gate: &mut GateResult, why: &str) {
    gate.reason = Some(format!("{}; {why}", gate.reason.take().unwrap_or_default()));
}
