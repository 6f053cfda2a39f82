//! A further run of the same command: to confirm what got worse, and over the anchors. It has its own log next to the first one's, which is
//! resumed when the first one is, so that nothing is paid for twice, and what is left of the first one's budgets.

use std::path::{Path, PathBuf};

use judge_run::files;
use judge_run::run::{Exit, RunReport, Scope};

use super::batch_args::BatchArgs;
use super::conduct;
use super::environment::Env;
use super::error::CliError;
use super::flags::{ConductArgs, GateArgs, SelectionArgs};
use super::open::{self, Opened};
use super::plan::{self, Invocation};
use super::run_args::{Purpose, RunArgs};
use super::sides::SideArgs;
use super::table::TableArgs;

/// What a further run is made of.
#[derive(Debug, Clone)]
pub(crate) struct First {
    /// The arguments of the first one.
    pub args: RunArgs,
    /// Its judges: each name, and how `--judge` names it.
    pub judges: Vec<(String, String)>,
    /// Whether its log had records before.
    pub is_resumed: bool,
}

impl First {
    /// The run that asks some of the judges again, about all traces or these.
    pub(crate) fn again(&self, judges: &[String], traces: Option<Vec<String>>, log: PathBuf) -> RunArgs {
        let asked = self.judges.iter().filter(|(name, _)| judges.contains(name));
        let mut judge: Vec<_> = asked.map(|(_, wanted)| wanted.clone()).collect();
        // A judge that is asked of several models occurs several times, and so does a rubric.
        judge.dedup();
        let selection = match traces {
            Some(trace_id) => SelectionArgs { trace_id, ..SelectionArgs::default() },
            None => self.args.selection.clone(),
        };
        RunArgs { judge, selection, purpose: Purpose::Confirmation, ..self.further(log) }
    }

    /// The run that asks the judges about the anchors.
    pub(crate) fn over_anchors(&self, anchors: &Path, log: PathBuf) -> RunArgs {
        RunArgs {
            dataset: vec![anchors.to_owned()],
            sides: SideArgs::default(),
            map: Vec::new(),
            dataset_format: None,
            selection: SelectionArgs::default(),
            purpose: Purpose::Anchors,
            ..self.further(log)
        }
    }

    fn further(&self, log: PathBuf) -> RunArgs {
        RunArgs {
            output: Some(log),
            output_format: None,
            overwrite: false,
            reuse: Vec::new(),
            table: TableArgs::default(),
            gates: GateArgs::default(),
            until: Vec::new(),
            anchors: None,
            report: None,
            by: Vec::new(),
            confirm: None,
            // They are few, or have to be known now.
            batch: BatchArgs { batch: false, detach: false, ..self.args.batch.clone() },
            ..self.args.clone()
        }
    }

    /// Takes what a run has spent from the budgets, which are those of all runs of the command.
    pub(crate) fn spend(&mut self, report: &RunReport) {
        self.args.conduct.spend(report);
    }

    /// Whether a budget has nothing left.
    pub(crate) fn is_spent(&self) -> bool {
        let ConductArgs { max_cost, max_tokens_total, .. } = &self.args.conduct;
        max_cost.is_some_and(|left| left <= 0.0) || *max_tokens_total == Some(0)
    }
}

/// Opens a further run.
pub(crate) fn opened(args: RunArgs) -> Result<(Opened, Invocation), CliError> {
    let env: Env<'_> = &|name| std::env::var(name).ok();
    let (planned, invocation) = plan::of_run(args, None, env)?;
    let opened = open::prepare(planned, env)?.begin(&invocation, Scope::All, None)?;
    Ok((opened, invocation))
}

/// Runs it. The exit code says whether it finished.
pub(crate) fn run(args: RunArgs) -> Result<(RunReport, Exit), CliError> {
    let (opened, _) = opened(args)?;
    let report = conduct::execute(opened, &mut |_| ())?;
    let exit = report.exit();
    Ok((report, exit))
}

/// Whether a run finished, whatever it found.
pub(crate) fn is_whole(exit: Exit) -> bool {
    matches!(exit, Exit::AllJudged | Exit::SomeFailed)
}

/// The companions of a log that is new belong to an earlier one, and are kept as `.bak`.
pub(crate) fn set_aside(log: &Path) -> Result<(), CliError> {
    for stale in [files::confirm_of(log), files::anchors_of(log)].into_iter().filter(|stale| stale.is_file()) {
        std::fs::rename(&stale, files::backup_of(&stale)).map_err(|error| {
            CliError::Other(format!("cannot set aside `{}`, which belongs to an earlier log: {error}", stale.display()))
        })?;
    }
    Ok(())
}
