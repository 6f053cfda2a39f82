//! `judge-run replay`: retry failures, as the manifest says. A log may hold the records of several runs; each failure is retried as its own run was
//! set up.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::process::ExitCode;

use judge_run::feedback::ErrorCode;
use judge_run::feedback::log::OpinionKey;
use judge_run::run::{Dataset, Event, Exit, FailureScope, RunPlan, Scope, StopReason};

use super::environment::Env;
use super::error::CliError;
use super::not_retried::{By, Failures, Left, Reason};
use super::open::{self, Prepared};
use super::overrides::{Overrides, log_of, plans, worse};
use super::paths::shown;
use super::print::{self, counted};
use super::subcommands::ReplayArgs;
use super::summary;
use super::{compact, conduct, dry_run};

pub(crate) fn main(args: ReplayArgs) -> Result<ExitCode, CliError> {
    let ReplayArgs { log, only, include_invalid, compact, overrides } = args;
    let overrides = Overrides::of(log_of(log)?, overrides);
    let mut plans = plans(&overrides.log)?;
    let mut replay =
        Replay { overrides, only: (!only.is_empty()).then_some(only), include_invalid, failed_again: HashSet::new() };
    let mut failures = Failures::of(&replay.overrides.log, &replay.scope(Vec::new()))?;
    let (mut left, mut exit) = (Left::default(), Exit::AllJudged);
    'plans: for i in 0..plans.len() {
        failures.covered_by(&plans[i]);
        for by in By::ALL {
            let Some(of_run) = replay.plan(&mut plans, (i, by), &mut failures, &mut left)? else { continue };
            exit = worse(exit, of_run.exit);
            if of_run.is_last {
                replay.not_reached(&plans[i..], &mut failures, &mut left);
                break 'plans;
            }
        }
    }
    failures.rest(&mut left, !replay.overrides.endpoint.model.is_empty());
    if left.total() > 0 {
        exit = worse(exit, Exit::SomeFailed);
    }
    replay.conclude(&failures, &left, exit)?;
    // The log is released before it is compacted.
    if compact && matches!(exit, Exit::AllJudged | Exit::SomeFailed) {
        compact::after_replay(&replay.overrides.log, replay.overrides.conduct.quiet)?;
    }
    Ok(ExitCode::from(exit.code()))
}

/// What the command line says.
struct Replay {
    overrides: Overrides,
    only: Option<Vec<ErrorCode>>,
    include_invalid: bool,
    /// The failures that this replay retried and that failed again.
    failed_again: HashSet<OpinionKey>,
}

/// How one plan of the replay ended.
struct Ended {
    exit: Exit,
    /// Those after it have no turn.
    is_last: bool,
}

impl Replay {
    /// `of` gives, for each question, the model whose failures are meant.
    fn scope(&self, of: Vec<String>) -> Scope {
        let only = self.only.as_ref().map(|only| only.iter().copied().collect());
        let except = self.failed_again.clone();
        Scope::Failures(FailureScope { only, of, invalid: self.include_invalid, except })
    }

    /// Retries what failed in the runs of one plan, by the model or by a simulator in its place; `None` where nothing did, or where it cannot be
    /// retried.
    fn plan(
        &mut self,
        plans: &mut [RunPlan],
        (i, by): (usize, By),
        failures: &mut Failures,
        left: &mut Left,
    ) -> Result<Option<Ended>, CliError> {
        let env: Env<'_> = &|name| std::env::var(name).ok();
        let mut plan = plans[i].clone();
        plan.retain_judges(|judge| failures.open(judge, by) > 0);
        if plan.judges.is_empty() {
            return Ok(None);
        }
        let judges = plan.judges.clone();
        let several = plans.len() > 1;
        let (datasets, prepared) = match self.prepared(&plan, by, several, env) {
            Ok(prepared) => prepared,
            Err(error) => {
                let reason = error.into_line();
                judges.iter().for_each(|judge| failures.blocked(judge, by, &reason));
                return Ok(None);
            }
        };
        // Options for this replay are not remembered for the next one; the new place of a moved dataset is.
        if !plans[i].datasets.iter().all(|dataset| dataset.path.exists()) {
            plans[i].datasets = datasets;
        }
        let invocation = self.overrides.invocation();
        let samples: Vec<_> = judges.iter().map(|judge| plan.samples(judge) as usize).collect();
        let of = judges.iter().zip(&samples).flat_map(|(judge, n)| vec![by.source_of(judge); *n]).collect();
        let scope = self.scope(of);
        let opened = prepared.begin(&invocation, scope.clone(), Some(plans.to_vec()))?;
        if self.overrides.conduct.dry_run {
            let dry = dry_run::show(opened)?;
            let mut questions = dry.questions.iter();
            for (judge, n) in judges.iter().zip(samples) {
                for question in questions.by_ref().take(n) {
                    let found = left.after_dry_run((judge, by), question, &plan);
                    failures.found(judge, by, found);
                }
            }
            return Ok(Some(Ended { exit: Exit::AllJudged, is_last: false }));
        }
        let report = conduct::execute(opened, &mut |event| {
            if let Event::Recorded { feedback, .. } = event
                && feedback.is_error()
            {
                let (trace, span) = (feedback.trace_id.as_deref(), feedback.span_id.as_deref());
                let opinion = OpinionKey::new(trace, span, &feedback.name, &feedback.source);
                let opinion = opinion.sample(feedback.sample()).comparing(feedback.compared());
                self.failed_again.insert(opinion.of_document(feedback.document_index()));
            }
        })?;
        let mut questions = report.summary.questions.iter();
        for (judge, n) in judges.iter().zip(samples) {
            for question in questions.by_ref().take(n) {
                let found = left.after_run((judge, by), question, &scope, &plan);
                failures.found(judge, by, found);
            }
        }
        if report.ended_early() && !report.summary.read_to_end {
            self.not_reached(std::slice::from_ref(&plan), failures, left);
        }
        self.overrides.conduct.spend(&report);
        let is_last = matches!(report.stop, Some(StopReason::Interrupted | StopReason::Budget(_)));
        let exit = match report.exit() {
            // None of the traces is in this dataset.
            Exit::Usage => Exit::AllJudged,
            exit => exit,
        };
        Ok(Some(Ended { exit, is_last }))
    }

    /// A plan that can be run, and the files that it reads.
    fn prepared(
        &self,
        plan: &RunPlan,
        by: By,
        several: bool,
        env: Env<'_>,
    ) -> Result<(Vec<Dataset>, Prepared), CliError> {
        let mut planned = self.overrides.replanned(plan, env)?;
        let datasets = planned.plan.datasets.clone();
        if several {
            let judges: Vec<_> = plan.judges.iter().map(|judge| format!("{} on {}", judge.name, judge.model)).collect();
            let paths: Vec<_> = datasets.iter().map(|dataset| shown(&dataset.path).display().to_string()).collect();
            planned.notes.insert(0, format!("replaying {}: {}", paths.join(", "), judges.join(", ")));
        }
        let prepared = open::prepare(planned, env)?;
        prepared.check_clients()?;
        if by == By::Simulator && !self.overrides.conduct.dry_run {
            // A model is not asked because a simulator failed.
            prepared.check_simulators()?;
        }
        Ok((datasets, prepared))
    }

    /// The failures of plans that will no longer run.
    fn not_reached(&self, plans: &[RunPlan], failures: &mut Failures, left: &mut Left) {
        for plan in plans {
            failures.covered_by(plan);
            for (judge, by) in plan.judges.iter().flat_map(|judge| By::ALL.map(|by| (judge, by))) {
                let open = failures.open(judge, by);
                left.add(&judge.name, &by.source_of(judge), Reason::NotReached, open, Some(plan));
                failures.found(judge, by, open);
            }
        }
    }

    /// Says what is left.
    fn conclude(&self, failures: &Failures, left: &Left, exit: Exit) -> Result<(), CliError> {
        let mut text = String::new();
        // Writing to a string cannot fail.
        if failures.selected() == 0 {
            let why = if failures.total() == 0 { ": no judgment failed" } else { "" };
            let _ = writeln!(text, "nothing to replay in {}{why}", self.overrides.log.display());
        }
        let _ = left.write(&mut text, &self.overrides.log);
        if failures.invalid() > 0 {
            let verdicts = counted(failures.invalid(), "rejected verdict");
            let _ = writeln!(text, "{verdicts} in the log; `--include-invalid` asks again");
        }
        match (self.overrides.conduct.quiet, exit) {
            (true, Exit::AllJudged) => Ok(()),
            (true, _) => {
                if !text.is_empty() {
                    print::message(text.trim_end());
                }
                Ok(())
            }
            (false, _) => summary::print(&print::escaped(&text)),
        }
    }
}
