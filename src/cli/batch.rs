//! `--batch`: a run through a provider's batch API. Requests are written, submitted, waited for and fetched; in between, the run itself passes over the
//! dataset, and makes records of the results that have arrived. After any interruption, the next pass continues from the log and the ledger next to it.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use judge_run::batch::ledger::{Batch, Ledger, Stage};
use judge_run::batch::{self, BatchError, BatchEvent, Session, Wait, ledger_of};
use judge_run::feedback::AssessmentId;
use judge_run::run::{
    BatchPlan, Batching, Exhausted, LaneSettings, OnExpired, Proofs, RunReport, Scope, StopReason, Summary,
};
use judge_run_simulator::{BackgroundSimulator, Simulator, SimulatorConfig};
use tokio::runtime::Runtime;

use super::conduct::{self, Closing};
use super::environment::Env;
use super::error::CliError;
use super::open;
use super::plan::{Invocation, Planned};
use super::print::{self, counted, one_line};
use super::signals::signal;

/// Further batches for what batches leave without a verdict; after these it is recorded as failed.
const MAX_ROUNDS: u32 = 3;

/// What is to be done with batches.
pub(crate) struct How {
    /// New requests are submitted.
    pub submits: bool,
    /// The end of the batches is waited for.
    pub waits: bool,
    /// The batches are cancelled first.
    pub cancels: bool,
    /// Requests go to files in this folder instead.
    pub exports: Option<PathBuf>,
    /// Results come from these files.
    pub imports: Vec<PathBuf>,
}

impl How {
    /// Batches that others submitted are collected.
    pub(crate) fn collects(waits: bool) -> Self {
        Self { submits: false, waits, cancels: false, exports: None, imports: Vec::new() }
    }
}

/// Runs what `again` plans, as often as it takes. It plans the same each time.
pub(crate) fn execute(
    again: &mut dyn FnMut() -> Result<(Planned, Invocation), CliError>,
    how: &How,
) -> Result<RunReport, CliError> {
    let (planned, invocation) = again()?;
    let Some(log) = invocation.log.clone() else {
        return Err(CliError::usage_with_hint(
            "batches need a log, but the records go to standard output",
            "name a log: `-o FILE`",
        ));
    };
    let Some(plan) = planned.plan.batch.clone() else {
        return Err(CliError::usage("this run was not planned with batches"));
    };
    if planned.plan.is_simulated() && !how.waits {
        return Err(CliError::usage_with_hint(
            "`--simulate` ends with the command, and so do its batches",
            "omit --detach, or start `judge-run simulate` and name it with --base-url",
        ));
    }
    set_aside(&log, invocation.overwrite)?;
    let simulator = match planned.plan.is_simulated() {
        true => Some(Rc::new(Simulator::spawn(SimulatorConfig::default())?)),
        false => None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut passes = Passes {
        again,
        how,
        log,
        plan,
        quiet: invocation.quiet,
        session: None,
        simulator,
        runtime,
        next: Some((planned, invocation)),
        passed: 0,
        spent: (0.0, 0),
        earlier: None,
        proofs: Proofs::default(),
        made_up: HashSet::new(),
        last: None,
    };
    let report = passes.all()?;
    if let Some(closing) = passes.last.take() {
        closing.close(&report)?;
    }
    passes.conclude(&report)?;
    Ok(report)
}

/// An old log that is set aside takes its ledger with it; batches that are not over are not forgotten.
fn set_aside(log: &Path, overwrites: bool) -> Result<(), CliError> {
    let path = ledger_of(log);
    if !overwrites || !path.exists() {
        return Ok(());
    }
    let batches = Ledger::look(&path).map_err(|error| CliError::of(&error))?;
    if batches.iter().any(|batch| batch.stage > Stage::Planned && batch.stage < Stage::Closed) {
        return Err(CliError::usage_with_hint(
            format_args!(
                "batches of `{}` have not been collected, and starting over would pay for them again",
                log.display()
            ),
            format_args!("judge-run collect {} --wait, or --cancel", log.display()),
        ));
    }
    std::fs::rename(&path, judge_run::files::backup_of(&path))?;
    Ok(())
}

struct Passes<'a> {
    again: &'a mut dyn FnMut() -> Result<(Planned, Invocation), CliError>,
    how: &'a How,
    log: PathBuf,
    plan: BatchPlan,
    quiet: bool,
    session: Option<Session>,
    simulator: Option<Rc<BackgroundSimulator>>,
    runtime: Runtime,
    /// What the first pass does.
    next: Option<(Planned, Invocation)>,
    passed: u32,
    /// Money and tokens of the passes so far.
    spent: (f64, u64),
    /// What the passes so far counted, together.
    earlier: Option<Summary>,
    /// What they learnt about the endpoints.
    proofs: Proofs,
    /// What a simulator answered in the model's place so far.
    made_up: HashSet<AssessmentId>,
    /// What the last pass leaves to be said.
    last: Option<Closing>,
}

impl Passes<'_> {
    fn all(&mut self) -> Result<RunReport, CliError> {
        loop {
            let mut report = self.pass()?;
            let Some(session) = &mut self.session else { return Ok(report) };
            let cost: f64 = report.summary.questions.iter().filter_map(|question| question.cost).sum();
            let usage = report.summary.usage();
            self.spent.0 += cost;
            self.spent.1 += usage.input_tokens + usage.output_tokens;
            let mut batched = std::mem::take(&mut report.batched);
            self.made_up = std::mem::take(&mut batched.made_up);
            self.proofs = std::mem::take(&mut batched.proofs);
            if let Some(earlier) = self.earlier.take() {
                report.summary.add_earlier(&earlier);
            }
            // A pass that did not come to its end may have taken results that it did not record.
            if report.ended_early() {
                return Ok(report);
            }
            let has_settled = !batched.settled.is_empty();
            let has_new = !batched.shards.is_empty();
            if batched.unsettled > 0 {
                let results = counted(batched.unsettled, "result");
                print::message(format_args!(
                    "warning: {results} of batches are for judgments that are not part of this run; they are kept"
                ));
            }
            if batched.strays > 0 {
                let results = counted(batched.strays, "result");
                print::message(format_args!(
                    "warning: left out {results} of batches, about no request of theirs or about one that has a result"
                ));
            }
            if batched.repeated > 0 {
                let judgments = counted(batched.repeated, "judgment");
                print::message(format_args!(
                    "warning: a simulator answered {judgments} in the model's place; not submitted again"
                ));
            }
            if let Some(folder) = &self.how.exports {
                let files = batch::export(session, batched.shards, folder).map_err(|error| cli_error(&error))?;
                files.iter().for_each(|file| print::message(format_args!("requests in {}", file.display())));
                return Ok(report);
            }
            // Requests that go with another batch are in that one before the first one is over.
            session.plan(batched.shards).map_err(|error| cli_error(&error))?;
            let collected = session.collected(&batched.settled, self.plan.delete_files);
            self.runtime.block_on(collected).map_err(|error| cli_error(&error))?;
            let before = downloaded(session);
            let interrupted = self.go_on()?;
            if interrupted {
                report.stop = Some(StopReason::Interrupted);
                return Ok(report);
            }
            let Some(session) = &self.session else { return Ok(report) };
            let has_results = downloaded(session).difference(&before).next().is_some();
            let may_go_on = batched.is_full && (has_settled || has_new) && !session.has_open();
            let may_submit = may_go_on && self.how.submits;
            if !has_results && !may_submit {
                if batched.is_full && !session.has_open() {
                    report.stop = self.exhausted();
                }
                return Ok(report);
            }
            self.earlier = Some(report.summary);
        }
    }

    /// The budget that keeps requests from being submitted.
    fn exhausted(&self) -> Option<StopReason> {
        let (planned, _) = self.next.as_ref()?;
        let budget = planned.plan.budget;
        let cost = budget.cost.map(|limit| Exhausted::Cost { spent: self.spent.0, limit });
        let tokens = budget.tokens.map(|limit| Exhausted::Tokens { spent: self.spent.1, limit });
        cost.or(tokens).map(StopReason::Budget)
    }

    /// Reads the dataset once: what is there is recorded, what is new is written to files.
    fn pass(&mut self) -> Result<RunReport, CliError> {
        let env: Env<'_> = &|name| std::env::var(name).ok();
        let (mut planned, mut invocation) = match self.next.take() {
            Some(first) => first,
            None => (self.again)()?,
        };
        let is_first = self.passed == 0;
        if !is_first {
            invocation.overwrite = false;
            planned.notes.clear();
        }
        self.next = Some((self.again)()?);
        let prepared = open::prepare_with(planned, self.simulator.clone(), env)?;
        let mut opened = prepared.begin(&invocation, Scope::All, None)?;
        if !is_first {
            opened.notes.clear();
        }
        if self.session.is_none() {
            self.begin(&opened.run.lanes)?;
        }
        let Some(session) = &self.session else { return Err(CliError::usage("no batches")) };
        let answers = session.answers().map_err(|error| cli_error(&error))?;
        let on_expired = match self.plan.on_expired {
            _ if self.how.cancels => OnExpired::Leave,
            OnExpired::Batch if self.passed > MAX_ROUNDS => OnExpired::Fail,
            OnExpired::Live if !self.how.imports.is_empty() => OnExpired::Fail,
            on_expired => on_expired,
        };
        let spools = !self.how.cancels && (self.how.submits || on_expired == OnExpired::Batch);
        let spool = match spools {
            true if self.how.exports.is_some() => session.spool_by_file().map(Some),
            true => session.spool().map(Some),
            false => Ok(None),
        };
        let (cost, tokens) = self.spent;
        opened.run.budget.cost = opened.run.budget.cost.map(|limit| (limit - cost).max(0.0));
        opened.run.budget.tokens = opened.run.budget.tokens.map(|limit| limit.saturating_sub(tokens));
        opened.run.batching = Some(Batching {
            answers,
            spool: spool.map_err(|error| cli_error(&error))?,
            on_expired,
            asks_failures: is_first && self.how.submits,
            proves: self.how.exports.is_none() && self.how.imports.is_empty(),
            proofs: std::mem::take(&mut self.proofs),
            reserved: session.reserved(),
            made_up: std::mem::take(&mut self.made_up),
        });
        self.passed += 1;
        let (report, mut closing) = conduct::conduct(opened, &mut |_| ())?;
        closing.collects = !self.how.submits;
        self.last = Some(closing);
        Ok(report)
    }

    /// Opens the ledger, finds what an earlier process left half-way, and fetches what has ended meanwhile.
    fn begin(&mut self, lanes: &[LaneSettings]) -> Result<(), CliError> {
        let lanes = lanes.iter().filter_map(LaneSettings::endpoint);
        let lanes = lanes.map(|lane| (lane.source_id(), lane.pool.first(), lane.model.as_str(), self.plan.limits));
        let mut session = Session::open(&self.log, lanes).map_err(|error| cli_error(&error))?;
        if !self.how.imports.is_empty() {
            let imported = batch::import(&mut session, &self.how.imports).map_err(|error| cli_error(&error))?;
            print::message(format_args!("{} taken in", counted(imported.results, "result")));
            if imported.unknown > 0 {
                let lines = counted(imported.unknown, "line");
                print::message(format_args!(
                    "warning: left out {lines}, about no exported request that waits for its result"
                ));
            }
        }
        if self.how.cancels {
            let quiet = self.quiet;
            let mut on_event = |event: &BatchEvent<'_>| say(event, quiet);
            self.runtime.block_on(session.cancel(&mut on_event)).map_err(|error| cli_error(&error))?;
        }
        self.session = Some(session);
        if self.how.exports.is_none() && self.how.imports.is_empty() {
            let waits = self.how.cancels || (self.how.waits && !self.how.submits);
            match self.bring_on(waits) {
                Ok(false) => {}
                Ok(true) => return Err(CliError::Interrupted),
                // Results that are here are recorded first; the command ends with this afterwards.
                Err(error) if error.is_of_one_batch() => {
                    print::message(format_args!("warning: {}", one_line(&error.to_string())));
                }
                Err(error) => return Err(cli_error(&error)),
            }
        }
        Ok(())
    }

    /// After a pass: submits what is new and looks at what is open; waits, if that is wished. Whether it was interrupted.
    fn go_on(&mut self) -> Result<bool, CliError> {
        if !self.how.imports.is_empty() {
            return Ok(false);
        }
        self.bring_on(self.how.waits || self.how.cancels).map_err(|error| cli_error(&error))
    }

    fn bring_on(&mut self, waits: bool) -> Result<bool, BatchError> {
        let Some(session) = &mut self.session else { return Ok(false) };
        let (quiet, poll) = (self.quiet, self.plan.poll);
        let mut on_event = |event: &BatchEvent<'_>| say(event, quiet);
        let done = self.runtime.block_on(async {
            let work = async {
                if waits {
                    session.wait(Wait { poll }, &mut on_event).await
                } else {
                    session.advance(&mut on_event).await
                }
            };
            tokio::select! {
                done = work => Some(done),
                _ = signal() => None,
            }
        });
        match done {
            Some(done) => done.map(|()| false),
            None => Ok(true),
        }
    }

    /// How to continue.
    fn conclude(&self, report: &RunReport) -> Result<(), CliError> {
        let Some(session) = &self.session else { return Ok(()) };
        let open: Vec<_> = session.ledger().batches().filter(|batch| batch.is_open()).collect();
        if open.is_empty() {
            // A ledger without a batch is none.
            if session.ledger().batches().next().is_none() {
                let _ = std::fs::remove_file(session.ledger().path());
            }
            return Ok(());
        }
        let requests: usize = open.iter().map(|batch| batch.planned.requests).sum();
        let batches = counted(open.len() as u64, "batch").replace("batchs", "batches");
        print::message(format_args!("{batches} pending, {}", counted(requests as u64, "request")));
        let log = one_line(&self.log.display().to_string());
        match self.how.exports.is_some() || !self.how.imports.is_empty() {
            true => print::message(format_args!("hint: judge-run batch import {log} RESULTS")),
            false if report.stop.is_some() => {
                print::message(format_args!(
                    "the provider continues with them; to collect them: judge-run collect {log}"
                ));
            }
            false => print::message(format_args!("hint: collect them later with `judge-run collect {log}`")),
        }
        Ok(())
    }
}

fn downloaded(session: &Session) -> BTreeSet<String> {
    let batches = session.ledger().batches().filter(|batch| batch.stage == Stage::Downloaded);
    batches.map(|batch| batch.planned.batch.clone()).collect()
}

/// One line for each step of a batch.
fn say(event: &BatchEvent<'_>, quiet: bool) {
    let is_warning =
        matches!(event, BatchEvent::Trouble { .. } | BatchEvent::Lacks { .. } | BatchEvent::GivenUp { .. });
    if quiet && !is_warning {
        return;
    }
    let name = |batch: &Batch| one_line(batch.shown_id());
    match event {
        BatchEvent::Submitted { batch } => {
            let requests = counted(batch.planned.requests as u64, "request");
            print::message(format_args!("submitted batch {} ({requests})", name(batch)));
        }
        BatchEvent::Found { batch } => print::message(format_args!("found batch {}, already submitted", name(batch))),
        BatchEvent::Unclear { batch, candidates } => {
            let candidates = counted(*candidates, "batch").replace("batchs", "batches");
            print::message(format_args!(
                "batch {}: it is not known whether it was submitted; {candidates} at the provider may be it, as their results will show",
                name(batch)
            ));
        }
        BatchEvent::Seen { batch, state, done } => {
            let (state, all) = (one_line(state), batch.planned.requests);
            print::message(format_args!("batch {}: {state}, {done} of {all} done", name(batch)));
        }
        BatchEvent::Waits { batch } => {
            print::message(format_args!(
                "batch {}: the provider's queue is full; waiting for another batch to end",
                name(batch)
            ));
        }
        BatchEvent::Split { batch } => {
            print::message(format_args!("batch {}: the provider's queue is full; submitting two halves", name(batch)));
        }
        BatchEvent::Downloaded { batch } => {
            print::message(format_args!("fetched the results of batch {}", name(batch)))
        }
        BatchEvent::Lacks { batch, lack } => {
            print::message(format_args!("warning: batch {}: its results are not whole: {lack}", name(batch)));
        }
        BatchEvent::GivenUp { batch } => {
            print::message(format_args!(
                "warning: batch {}: given up, since the provider no longer has it",
                name(batch)
            ));
        }
        BatchEvent::Trouble { batch, error } => {
            let error = one_line(&error.to_string());
            print::message(format_args!("warning: batch {}: {error}; trying again", name(batch)));
        }
    }
}

fn cli_error(error: &BatchError) -> CliError {
    let hint = match error {
        BatchError::Locked { .. } => return CliError::of(error).hint("wait until it has ended"),
        BatchError::Entry { .. } | BatchError::NoBatches { .. } | BatchError::Client(_) => return CliError::of(error),
        BatchError::OtherAddress { .. } => {
            return CliError::of(error).hint("use the address and the key that it was submitted with");
        }
        BatchError::CannotCancel { .. } => Some("`judge-run collect` records its results once it has ended"),
        BatchError::Gone { .. } => Some(
            "it may belong to another key or project; if the provider deleted it, `judge-run collect LOG --cancel` gives it up, and the next run asks its requests again",
        ),
        BatchError::Refused { .. } => Some("nothing was charged for it; the same command submits it again"),
        BatchError::Endpoint { failure, .. } => Some(failure.code.traits().remedy),
        BatchError::File { .. } | BatchError::Unexpected { .. } => {
            Some("the same command continues where this one stopped")
        }
    };
    CliError::Stopped { message: CliError::of(error).into_line(), hint: hint.map(ToOwned::to_owned) }
}
