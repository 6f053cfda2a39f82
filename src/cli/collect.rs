//! `judge-run collect`: collects the results of batches that were submitted earlier, as the manifest says; and `judge-run batch`, which exchanges them as files.

use std::path::PathBuf;
use std::process::ExitCode;

use judge_run::run::Exit;

use super::batch::{self, How};
use super::batch_args::CollectArgs;
use super::environment::Env;
use super::error::CliError;
use super::exchange_args::{ExchangeArgs, ExchangeCommand, ExportArgs, ImportArgs};
use super::flags::ConductArgs;
use super::plan;
use super::replay::{self, Endpoint};
use super::run_args::RunArgs;

pub(crate) fn main(args: CollectArgs) -> Result<ExitCode, CliError> {
    let CollectArgs { log, wait, cancel, poll_every, delete_files, dataset, endpoint, conduct, variables } = args;
    let endpoint = Endpoint { variables: variables.unwrap_or_else(|| endpoint.clone()), typed: endpoint };
    let how = How { cancels: cancel, ..How::collects(wait || cancel) };
    collect(log, &dataset, &endpoint, &conduct, &how, |plan| {
        plan.poll = poll_every.unwrap_or(plan.poll);
        plan.delete_files |= delete_files;
    })
}

pub(crate) fn exchange(args: ExchangeArgs) -> Result<ExitCode, CliError> {
    match args.command {
        ExchangeCommand::Export(args) => export(*args),
        ExchangeCommand::Import(args) => {
            let ImportArgs { log, results, dataset, endpoint, conduct } = *args;
            let how = How { imports: results, ..How::collects(false) };
            let endpoint = Endpoint { variables: endpoint.clone(), typed: endpoint };
            collect(log, &dataset, &endpoint, &conduct, &how, |_| ())
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
    dataset: &[PathBuf],
    endpoint: &Endpoint,
    conduct: &ConductArgs,
    how: &How,
    change: impl Fn(&mut judge_run::run::BatchPlan),
) -> Result<ExitCode, CliError> {
    let env: Env<'_> = &|name| std::env::var(name).ok();
    let mut again = replay::Again::of(log, dataset.to_vec(), endpoint.clone(), conduct.clone())?;
    let mut exit = Exit::AllJudged;
    for place in again.with_batches()? {
        let mut plan_again = || {
            let (mut planned, invocation) = again.plan(place, env)?;
            planned.plan.batch.as_mut().map(&change);
            Ok((planned, invocation))
        };
        let report = batch::execute(&mut plan_again, how)?;
        exit = replay::worse(exit, report.exit());
    }
    Ok(ExitCode::from(exit.code()))
}
