//! After a run: its report, its gates, and what they make of the exit code.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use judge_run::files;
use judge_run::results::forms::{Findings, gate_text};
use judge_run::results::gate::{GateOutcome, GateResult};
use judge_run::results::report::Report;
use judge_run::run::{Exit, RunReport, Scope};
use judge_run_statistics::sequential::Settled;

use super::args::RunArgs;
use super::endpoint::Env;
use super::error::CliError;
use super::flags::GateArgs;
use super::forms::{Inputs, write_file};
use super::gates::Gates;
use super::plan::Invocation;
use super::report::{self, Asked};
use super::{gates, open, plan, print, run, summary};

/// How judges are asked anew.
pub(crate) struct Again {
    /// The run's own arguments.
    pub args: RunArgs,
    /// The names of its judges, in the order of `--judge`.
    pub judges: Vec<String>,
}

/// Writes the report that was asked for, evaluates the gates, and gives the exit code with them.
pub(crate) fn exit(run: &RunReport, invocation: Invocation, again: Option<Again>) -> Result<Exit, CliError> {
    let Invocation { log, gates, report: file, quiet, .. } = invocation;
    let is_missed = run.summary.until.iter().any(|until| until.settled == Settled::Missed);
    let exit = match run.exit() {
        Exit::AllJudged | Exit::SomeFailed if is_missed => Exit::GateFailed,
        exit => exit,
    };
    let log = log.filter(|log| exit != Exit::Usage && log.exists());
    let Some(log) = log.filter(|_| !gates.is_empty() || file.is_some()) else { return Ok(exit) };
    let given = gates.gates.clone();
    let mut report = report_with(&log, gates.clone())?;
    if let Some(again) = again.filter(|_| matches!(exit, Exit::AllJudged | Exit::SomeFailed)) {
        confirm(&mut report, &gates, &log, again)?;
    }
    if let Some(file) = &file {
        let logs = [log];
        write_file(file, &Findings::Report(&report), Inputs { logs: &logs, ..Inputs::default() })?;
    }
    if !quiet {
        let lines: String = report.gates.iter().map(|gate| format!("\n{}", gate_text(gate))).collect();
        match summary::print(&lines) {
            Ok(()) | Err(CliError::BrokenPipe) => {}
            Err(error) => return Err(error),
        }
    }
    let verdict = gates::verdict(&report.gates, !quiet);
    let only_failures = run.summary.rejects + run.summary.not_selected.failed == 0;
    Ok(match (exit, verdict) {
        (Exit::AllJudged | Exit::SomeFailed, Exit::GateFailed) => Exit::GateFailed,
        (Exit::SomeFailed, _) if only_failures && gates::tolerate_failures(&given, &report.gates) => Exit::AllJudged,
        _ => exit,
    })
}

/// What a log says.
pub(crate) fn report_on(log: &Path) -> Result<Report, CliError> {
    report_with(log, Gates::default())
}

fn report_with(log: &Path, gates: Gates) -> Result<Report, CliError> {
    let logs = [log.to_owned()];
    let asked = Asked { logs: &logs, by: &[], dataset: &[], good: BTreeMap::new(), level: report::DEFAULT_LEVEL };
    asked.report(gates)
}

/// Asks the judges that are worse than the baseline again about all traces, into a log of their own: only what is worse again fails. A choice of
/// traces, such as those that flipped, would be biased.
fn confirm(report: &mut Report, gates: &Gates, log: &Path, again: Again) -> Result<(), CliError> {
    let Again { args, judges } = again;
    let failed: Vec<String> = gates::worse(gates, report).map(|(_, name)| name.to_owned()).collect();
    if failed.is_empty() {
        return Ok(());
    }
    let fresh = fresh_log(log);
    let names = failed.join(", ");
    print::message(format_args!("worse than the baseline: {names}; asking all again, into {}", fresh.display()));
    let judge =
        args.judge.iter().zip(&judges).filter(|(_, name)| failed.contains(name)).map(|(judge, _)| judge.clone());
    let args = RunArgs {
        judge: judge.collect(),
        output: Some(fresh.clone()),
        output_format: None,
        overwrite: true,
        reuse: Vec::new(),
        gates: GateArgs::default(),
        until: Vec::new(),
        report: None,
        confirm: false,
        ..args
    };
    let env: Env<'_> = &|name| std::env::var(name).ok();
    let (planned, invocation) = plan::of_run(args, env)?;
    let opened = open::prepare(planned, env)?.begin(&invocation, Scope::All, None)?;
    run::execute(opened, &mut |_| ())?;
    let second = report_with(&fresh, gates.clone().about_baseline())?;
    let worse_again: Vec<_> = gates::worse(gates, &second).map(|(gate, _)| gate.gate.clone()).collect();
    let at_first: Vec<_> = gates::worse(gates, report).map(|(gate, _)| gate.gate.clone()).collect();
    for gate in &mut report.gates {
        if at_first.contains(&gate.gate) {
            settle(gate, worse_again.contains(&gate.gate));
        }
    }
    Ok(())
}

fn settle(gate: &mut GateResult, is_confirmed: bool) {
    let reason = gate.reason.take().unwrap_or_default();
    gate.reason = Some(if is_confirmed {
        format!("{reason}; a fresh run confirms it")
    } else {
        gate.outcome = GateOutcome::Inconclusive;
        format!("{reason}; a fresh run does not confirm it")
    });
}

/// `feedback.jsonl` -> `feedback.confirm.jsonl`.
fn fresh_log(log: &Path) -> PathBuf {
    files::with_suffix(&log.with_extension(""), "confirm.jsonl")
}
