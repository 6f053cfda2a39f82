//! The dispatcher: the one task that owns the run.
//!
//! It takes judgments from the plan, admits them lane by lane, spawns each attempt, and decides what follows from each result. Waiting and
//! being in flight are two states: whatever waits (for a quota, a pause, a retry) is data here, not a sleeping task.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use super::in_batches::InBatches;
use super::patience::{Patience, sleep_until};
use super::stop::StopReason;
use crate::endpoint::Failure;
use crate::feedback::log::{LogClosed, LogWriter};
use crate::feedback::{ErrorCode, Feedback};
use crate::judge::parse::ParseMethod;
use crate::run::attempts::ask::ask;
use crate::run::attempts::attempt::Attempt;
use crate::run::attempts::record;
use crate::run::lanes::job::Job;
use crate::run::lanes::lane::{Lane, Step};
use crate::run::lanes::retry::Next;
use crate::run::outcome::event::Event;
use crate::run::outcome::summary::Summary;
use crate::run::planning::item::Rider;
use crate::run::planning::readers::{Arrived, Readers};
use crate::run::planning::rejects::Rejects;
use crate::run::setup::budget::{Budget, Exhausted, Spent};
use crate::run::setup::questions::{LaneIndex, QuestionIndex, Questions};
use crate::run::setup::settings::Shutdown;
use crate::run::until::Progress;

/// The number of requests sent together. With hundreds, the first would wait until the last has its connection.
const SENT_TOGETHER: usize = 16;

/// The number of records written together, if they can wait.
const WRITTEN_TOGETHER: usize = 256;

/// A judgment whose attempt came back.
pub(in crate::run) struct Returned {
    lane: LaneIndex,
    job: Box<Job>,
}

/// Waits until a quota shared with other processes allows more.
async fn leased(shared_quota: Option<&Notify>) {
    if let Some(wake) = shared_quota {
        wake.notified().await;
    }
}

/// What a dispatcher is made of.
pub(in crate::run) struct Parts<'a> {
    pub summary: Summary,
    pub questions: Questions,
    pub lanes: Vec<Lane>,
    /// What their models are called.
    pub lane_ids: Vec<String>,
    /// Notified when a quota shared with other processes allows more; `None` without one.
    pub shared_quota: Option<Arc<Notify>>,
    pub log: LogWriter,
    pub rejects: Rejects,
    pub strict: bool,
    /// Whether records keep what the judge wrote.
    pub keep_answers: bool,
    pub total_bytes: Option<u64>,
    pub run_id: String,
    pub budget: Budget,
    pub patience: Patience,
    /// Where requests go instead of to the endpoints.
    pub batching: Option<InBatches>,
    /// What is known about the conditions that end the run.
    pub until: Option<Progress>,
    pub on_event: &'a mut dyn FnMut(&Event<'_>),
}

pub(in crate::run) struct Dispatcher<'a> {
    pub(in crate::run) parts: Parts<'a>,
    pub(in crate::run) tasks: JoinSet<Returned>,
    /// Records that go to the log before anything else is waited for or sent, if they are urgent.
    unwritten: Vec<Feedback>,
    /// Whether one of them was paid for, and is nowhere else.
    is_urgent: bool,
    /// Whether what is recorded is in a file of results, too.
    pub(in crate::run) is_on_disk: bool,
    pub(in crate::run) spent: Spent,
    /// Readers that have reached the end of the wave.
    pub(in crate::run) waves_ended: usize,
    /// The first reason for which the whole run sends nothing more.
    pub(in crate::run) stop: Option<StopReason>,
}

/// Whether the run continues.
pub(in crate::run) enum Flow {
    Continue,
    End,
}

impl<'a> Dispatcher<'a> {
    pub(in crate::run) fn new(parts: Parts<'a>) -> Self {
        Self {
            parts,
            tasks: JoinSet::new(),
            unwritten: Vec::new(),
            is_urgent: false,
            is_on_disk: false,
            spent: Spent::default(),
            waves_ended: 0,
            stop: None,
        }
    }

    /// Runs until the dataset is read and all lanes are idle, or there is a reason to end earlier.
    pub(in crate::run) async fn run(&mut self, mut readers: Readers) {
        let mut shutdown = self.parts.patience.shutdown.clone();
        // No sender is left that could ask for a shutdown.
        let mut shutdown_closed = false;
        let mut deadline = None;
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let shared_quota = self.parts.shared_quota.clone();
        let mut time_is_up = self.parts.budget.time.map(|limit| Instant::now() + limit);
        loop {
            self.release();
            let wake = self.admit().await;
            if self.write_due(readers.are_done()).await.is_err() {
                return;
            }
            if self.parts.lanes.iter().all(|lane| lane.stopped) {
                readers.close();
            }
            if readers.are_done() && self.parts.lanes.iter().all(Lane::is_idle) && !self.holds_back() {
                return;
            }
            self.end_wave(&mut readers);
            // If the log's writer has stopped, closing the log reports why.
            let flow = tokio::select! {
                biased;
                changed = shutdown.changed(), if !shutdown_closed => {
                    shutdown_closed = changed.is_err();
                    let wish = *shutdown.borrow_and_update();
                    if wish >= Shutdown::Drain && deadline.is_none() {
                        deadline = Some(Instant::now() + self.parts.patience.grace);
                        self.stop_all(StopReason::Interrupted);
                    }
                    if wish == Shutdown::Abort { self.abandon() } else { Flow::Continue }
                }
                () = sleep_until(deadline) => self.abandon(),
                () = sleep_until(time_is_up) => {
                    time_is_up = None;
                    let limit = self.parts.budget.time.unwrap_or_default();
                    self.stop_all(Exhausted::Time { limit }.into());
                    Flow::Continue
                }
                Some(returned) = self.tasks.join_next(), if !self.tasks.is_empty() => self.all_returned(returned),
                (is_first, arrived) = readers.next(&self.parts.lanes) => match arrived {
                    // Its room is free once it is dealt with.
                    Some(Arrived { planned, room: _room }) => match self.planned(planned, is_first).await {
                        Ok(()) => Flow::Continue,
                        Err(LogClosed) => Flow::End,
                    },
                    None => {
                        if readers.are_done() {
                            self.emit(&Event::DatasetRead);
                        }
                        Flow::Continue
                    }
                },
                () = sleep_until(wake) => Flow::Continue,
                () = leased(shared_quota.as_deref()), if shared_quota.is_some() => {
                    self.report_quota_servers();
                    Flow::Continue
                }
                _ = tick.tick() => {
                    self.report_limits();
                    self.emit(&Event::Tick);
                    Flow::Continue
                }
            };
            if matches!(flow, Flow::End) || self.write_due(readers.are_done()).await.is_err() {
                return;
            }
        }
    }

    /// Once all of a wave is judged: is another one needed?
    fn end_wave(&mut self, readers: &mut Readers) {
        let is_over = self.waves_ended > 0 && self.waves_ended >= readers.open();
        let Some(until) = self.parts.until.as_mut().filter(|_| is_over && self.parts.lanes.iter().all(Lane::is_idle))
        else {
            return;
        };
        self.waves_ended = 0;
        let is_stopped = self.stop.is_some() || self.parts.lanes.iter().any(|lane| lane.stopped);
        if until.goes_on() && !is_stopped { readers.next_wave() } else { readers.end_waves() }
    }

    pub(in crate::run) fn emit(&mut self, event: &Event<'_>) {
        self.parts.summary.add(event);
        if let Some(until) = &mut self.parts.until {
            until.add(event);
        }
        (self.parts.on_event)(event);
    }

    /// Sends all that may be sent now; returns when to look again.
    async fn admit(&mut self) -> Option<Instant> {
        let mut now = Instant::now();
        let mut sent = 0;
        let mut wake: Option<Instant> = None;
        for place in 0..self.parts.lanes.len() {
            let lane = LaneIndex::new(place);
            loop {
                match self.lane(lane).next(now) {
                    Step::Send(job) => {
                        self.send(lane, job);
                        sent += 1;
                        if sent % SENT_TOGETHER == 0 {
                            tokio::task::yield_now().await;
                            now = Instant::now();
                        }
                    }
                    Step::TooLarge { mut job, needs, allowed } => {
                        let message =
                            format!("the request may use {needs} tokens, and the quota is {allowed} a minute");
                        let failure = Failure::new(ErrorCode::RequestTooLarge, &message);
                        job.last = Some((Attempt::local(failure), Duration::ZERO));
                        self.finish(*job);
                    }
                    Step::Stop(reason) => {
                        self.stop_lane(lane, &reason);
                        break;
                    }
                    Step::Wait(at) => {
                        wake = [wake, at].into_iter().flatten().min();
                        break;
                    }
                }
            }
        }
        wake
    }

    pub(in crate::run) fn lane(&mut self, lane: LaneIndex) -> &mut Lane {
        &mut self.parts.lanes[lane.place()]
    }

    fn report_limits(&mut self) {
        for lane in (0..self.parts.lanes.len()).map(LaneIndex::new) {
            if let (requests, tokens) = self.lane(lane).learnt_limits()
                && requests.or(tokens).is_some()
            {
                self.emit(&Event::LimitsReported { lane, requests, tokens });
            }
        }
    }

    fn report_quota_servers(&mut self) {
        for lane in (0..self.parts.lanes.len()).map(LaneIndex::new) {
            for news in self.lane(lane).quota_news() {
                self.emit(&Event::QuotaServer { lane, news: &news });
            }
        }
    }

    fn send(&mut self, lane: LaneIndex, mut job: Box<Job>) {
        let asks = self.lane(lane).asks(&job);
        let questions = self.parts.questions.clone();
        let (question, attempt) = (job.question, job.attempts);
        self.emit(&Event::Sent { lane, question, subject: &job.judgment.subject, attempt });
        self.tasks.spawn(async move {
            let started = Instant::now();
            let attempt = ask(&asks, &job, &questions).await;
            job.last = Some((attempt, started.elapsed()));
            Returned { lane, job }
        });
    }

    /// Collects all completed attempts, so that the log is waited for once.
    fn all_returned(&mut self, first: Result<Returned, JoinError>) -> Flow {
        let mut next = Some(first);
        while let Some(returned) = next {
            let Ok(returned) = returned else {
                // Its lane can no longer be accounted for.
                self.stop_all(StopReason::Bug);
                return Flow::End;
            };
            self.returned(returned);
            next = self.tasks.try_join_next();
        }
        Flow::Continue
    }

    /// Collects what is complete by now, whatever the state of the others.
    pub(in crate::run) fn take_returned(&mut self) {
        while let Some(returned) = self.tasks.try_join_next() {
            if let Ok(returned) = returned {
                self.returned(returned);
            }
        }
    }

    fn returned(&mut self, Returned { lane, job }: Returned) {
        if let Some((attempt, latency)) = &job.last {
            let usage = attempt.usage();
            let prices = self.lane(lane).prices;
            let cost = usage.and_then(|usage| Some(prices?.cost(&usage)));
            if attempt.answer.is_some()
                && let Some(batching) = &mut self.parts.batching
            {
                batching.proven(job.question);
            }
            self.spent.cost += cost.unwrap_or(0.0);
            self.spent.tokens += usage.map_or(0, |usage| usage.input_tokens + usage.output_tokens);
            self.emit(&Event::Returned {
                lane,
                question: job.question,
                subject: &job.judgment.subject,
                usage,
                cost,
                latency: *latency,
                failure: attempt.result.as_ref().err().map(|failure| &**failure),
            });
        }
        let (next, given_up) = self.lane(lane).returned(job);
        match next {
            Next::Retry { failure, delay } => self.emit(&Event::Retrying { failure: &failure, delay }),
            Next::Record(job) => self.finish(*job),
        }
        if let Some((member, reason)) = given_up {
            if let Some(member) = member {
                self.emit(&Event::MemberGivenUp { lane, member: &member, reason: &reason });
            }
            if self.lane(lane).is_given_up() {
                self.stop_lane(lane, &reason);
            }
        }
        if let Some(exhausted) = self.parts.budget.exhausted(&self.spent)
            && self.stop.is_none()
        {
            self.stop_all(exhausted.into());
        }
    }

    /// Records the outcome of the last attempt of a judgment.
    pub(in crate::run) fn finish(&mut self, mut job: Job) {
        let question = job.question;
        let riders = std::mem::take(&mut job.riders);
        let host = self.parts.lanes[self.parts.questions.lane(question).place()].host(&job);
        let Some(outcome) = record::Outcome::of(job, host) else { return };
        // What could still have succeeded is left to the next run when the user ends this one.
        let interrupted = matches!(self.stop, Some(StopReason::Interrupted));
        if interrupted && outcome.attempt.result.as_ref().is_err_and(|failure| failure.may_retry()) {
            return;
        }
        let riding = riders.iter().map(|rider| record::Outcome::of_rider(rider, &outcome, &self.parts.questions));
        let riding: Vec<_> = riding.collect();
        let method = outcome.attempt.result.as_ref().ok().map(|scored| scored.method);
        let work = self.parts.keep_answers.then(|| outcome.judgment.work.clone());
        let (mut feedback, answer) = record::of_attempt(&self.parts.questions[question], &self.parts.run_id, outcome);
        if let Some(work) = work {
            record::keep_request(&mut feedback, &work);
            answer.as_deref().into_iter().for_each(|answer| record::keep_answer(&mut feedback, answer));
        }
        let asked_with = feedback.assessment_id.clone();
        self.record(question, feedback, answer.as_deref(), method);
        // All of them go to the log together: what was paid for once is saved at once.
        for (Rider { question, .. }, outcome) in riders.into_iter().zip(riding) {
            let method = outcome.attempt.result.as_ref().ok().map(|scored| scored.method);
            let (mut feedback, _) = record::of_attempt(&self.parts.questions[question], &self.parts.run_id, outcome);
            record::ride(&mut feedback, asked_with.clone());
            self.record(question, feedback, None, method);
        }
    }

    /// Counts a record and puts it before the log.
    pub(in crate::run) fn record(
        &mut self,
        question: QuestionIndex,
        feedback: Feedback,
        answer: Option<&str>,
        method: Option<ParseMethod>,
    ) {
        self.spent.judged += 1;
        self.spent.errors += u64::from(feedback.is_error());
        self.emit(&Event::Recorded { question, feedback: &feedback, answer, method });
        self.is_urgent |= !self.is_on_disk;
        self.unwritten.push(feedback);
    }

    /// Writes what was recorded, unless it can wait for more of it.
    async fn write_due(&mut self, is_read: bool) -> Result<(), LogClosed> {
        let is_due = self.is_urgent || is_read || self.unwritten.len() >= WRITTEN_TOGETHER;
        if is_due { self.write().await } else { Ok(()) }
    }

    /// Writes what was recorded.
    pub(in crate::run) async fn write(&mut self) -> Result<(), LogClosed> {
        let records = std::mem::take(&mut self.unwritten);
        self.is_urgent = false;
        if records.is_empty() { Ok(()) } else { self.patiently(self.parts.log.append_all(records)).await }
    }

    /// Waits for the log, but not against the user's will: output that blocks must not make the process immune to signals.
    pub(in crate::run) async fn patiently(
        &self,
        append: impl Future<Output = Result<(), LogClosed>>,
    ) -> Result<(), LogClosed> {
        tokio::select! {
            biased;
            appended = append => appended,
            () = self.parts.patience.clone().ends() => Err(LogClosed),
        }
    }
}

#[cfg(test)]
mod tests;
