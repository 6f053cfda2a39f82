//! `judge-run collect`: collects the results of batches that were submitted earlier, as the manifest says; and `judge-run batch`, which exchanges them as files.

use std::path::PathBuf;
use std::process::ExitCode;

use judge_run::batch::ledger_of;
use judge_run::run::Exit;

use super::batch::{self, How};
use super::batch_args::CollectArgs;
use super::environment::Env;
use super::error::CliError;
use super::exchange_args::{ExchangeArgs, ExchangeCommand, ExportArgs, ImportArgs};
use super::override_args::OverrideArgs;
use super::overrides::{Overrides, log_of, plans, worse};
use super::plan;
use super::run_args::RunArgs;

pub(crate) fn main(args: CollectArgs) -> Result<ExitCode, CliError> {
    let CollectArgs { log, wait, cancel, poll_every, delete_files, overrides } = args;
    let how = How { cancels: cancel, ..How::collects(wait || cancel) };
    collect(log, overrides, &how, |plan| {
        plan.poll = poll_every.unwrap_or(plan.poll);
        plan.delete_files |= delete_files;
    })
}

pub(crate) fn exchange(args: ExchangeArgs) -> Result<ExitCode, CliError> {
    match args.command {
        ExchangeCommand::Export(args) => export(*args),
        ExchangeCommand::Import(args) => {
            let ImportArgs { log, results, overrides } = *args;
            let how = How { imports: results, ..How::collects(false) };
            collect(log, overrides, &how, |_| ())
        }
    }
}

fn export(args: ExportArgs) -> Result<ExitCode, CliError> {
    let ExportArgs { mut run, to } = args;
    run.batch.batch = true;
    let run: RunArgs = plan::with_file(run)?;
    let env: Env<'_> = &|name| std::env::var(name).ok();
    let how = How { submits: true, waits: true, cancels: false, exports: Some(to), imports: Vec::new() };
    let report = batch::execute(&mut || plan::of_run(run.clone(), None, env), &how)?;
    Ok(ExitCode::from(report.exit().code()))
}

fn collect(
    log: PathBuf,
    overrides: OverrideArgs,
    how: &How,
    change: impl Fn(&mut judge_run::run::BatchPlan),
) -> Result<ExitCode, CliError> {
    let env: Env<'_> = &|name| std::env::var(name).ok();
    // A log without records does not exist yet, but its batches do.
    let log = if ledger_of(&log).is_file() { log } else { log_of(log)? };
    let mut plans = plans(&log)?;
    plans.retain(|plan| plan.batch.is_some());
    if plans.is_empty() {
        return Err(CliError::usage_with_hint(
            format_args!("no run over `{}` submitted batches", log.display()),
            "submit them with `--batch --detach`",
        ));
    }
    let overrides = Overrides::of(log, overrides);
    let mut exit = Exit::AllJudged;
    for plan in &plans {
        let mut plan_again = || {
            let mut planned = overrides.replanned(plan, env)?;
            // About the same traces as then.
            planned.plan.selection = plan.selection.clone();
            planned.plan.batch.as_mut().map(&change);
            Ok((planned, overrides.invocation()))
        };
        let report = batch::execute(&mut plan_again, how)?;
        exit = worse(exit, report.exit());
    }
    Ok(ExitCode::from(exit.code()))
}
