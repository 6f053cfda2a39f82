//! The main command: judge a dataset.

use std::path::PathBuf;
use std::process::ExitCode;

use judge_run::run::{Exit, Scope};

use super::batch::{self, How};
use super::conduct::execute;
use super::environment::Env;
use super::error::CliError;
use super::open;
use super::plan::{Invocation, Planned};
use super::rerun::First;
use super::results;
use super::run_args::RunArgs;
use super::{anchor_run, dry_run, escalate, mlflow, plan, rerun};

pub(crate) fn main(args: RunArgs) -> Result<ExitCode, CliError> {
    let args = plan::with_file(args)?;
    let env: Env<'_> = &|name| std::env::var(name).ok();
    let args = mlflow::with_pulled(args)?;
    let (of_mlflow, config) = (args.mlflow.clone(), args.endpoint.config.clone());
    let mut first = First { args: args.clone(), judges: Vec::new(), is_resumed: false };
    let (planned, invocation) = plan::of_run(args, None, env)?;
    first.judges = planned.plan.judges.iter().map(|judge| (judge.name.clone(), plan::wanted(judge))).collect();
    if !invocation.dry_run {
        mlflow::before_run(&of_mlflow, invocation.log.as_deref())?;
    }
    if planned.plan.batch.is_some() && !invocation.dry_run {
        return batches(planned, invocation, first, env);
    }
    let opened = open::prepare(planned, env)?.begin(&invocation, Scope::All, None)?;
    first.is_resumed = opened.is_resumed;
    if invocation.dry_run {
        let exit = dry_run::main(opened)?;
        let exit = match (&invocation.anchors, &invocation.log) {
            (Some(anchors), Some(log)) if exit == Exit::AllJudged => anchor_run::dry_run(anchors, log, &first)?,
            _ => exit,
        };
        return Ok(ExitCode::from(exit.code()));
    }
    if let Some(log) = opened.log.as_deref().filter(|_| !opened.is_resumed) {
        rerun::set_aside(log)?;
    }
    let report = execute(opened, &mut |_| ())?;
    first.spend(&report);
    let log = invocation.log.clone();
    let exit = match escalate::decide(&first, &report, env)? {
        None => results::exit(&report, invocation, first)?,
        Some(second) => {
            first.spend(&second);
            escalate::exit(report.exit_of_votes(), results::exit(&second, invocation, first)?)
        }
    };
    Ok(ExitCode::from(mlflow::push_of_run(&of_mlflow, config.as_deref(), log.as_deref(), exit)?.code()))
}

/// The same through a provider's batch API.
fn batches(planned: Planned, invocation: Invocation, mut first: First, env: Env<'_>) -> Result<ExitCode, CliError> {
    let log = invocation.log.clone();
    let resumes = |log: &PathBuf| std::fs::metadata(log).is_ok_and(|log| log.len() > 0);
    first.is_resumed = !invocation.overwrite && log.as_ref().is_some_and(resumes);
    if let Some(log) = log.as_deref().filter(|_| !first.is_resumed) {
        rerun::set_aside(log)?;
    }
    let how = How { submits: true, ..How::collects(!first.args.batch.detach) };
    let args = first.args.clone();
    let mut planned = Some((planned, invocation));
    let mut again = || planned.take().map_or_else(|| plan::of_run(args.clone(), None, env), Ok);
    let report = batch::execute(&mut again, &how)?;
    first.spend(&report);
    let (of_mlflow, config) = (first.args.mlflow.clone(), first.args.endpoint.config.clone());
    let (_, invocation) = plan::of_run(first.args.clone(), None, env)?;
    let exit = results::exit(&report, invocation, first)?;
    if exit == Exit::Pending {
        return Ok(ExitCode::from(exit.code()));
    }
    Ok(ExitCode::from(mlflow::push_of_run(&of_mlflow, config.as_deref(), log.as_deref(), exit)?.code()))
}
