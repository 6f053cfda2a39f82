//! The dispatcher: the one task that owns the run.
//!
//! It takes judgments from the plan, admits them lane by lane, spawns each attempt, and decides what follows from what comes
//! back. Waiting and flying are two states: whatever waits (for a quota, a pause, a retry) is data here, not a sleeping task.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::ask::{Attempt, ask};
use super::budget::{Budget, Exhausted, Spent};
use super::event::Event;
use super::job::Job;
use super::lane::{Lane, Next, Step};
use super::plan::{Item, Known};
use super::readers::{Arrived, Readers};
use super::record;
use super::rejects::Rejects;
use super::settings::{Output, RunSettings, Shutdown};
use super::summary::{RunReport, StopReason, Summary};
use super::walk::Planned;
use crate::dataset::DatasetReader;
use crate::endpoint::Failure;
use crate::endpoint::client::ClientError;
use crate::feedback::log::{Index, LogClosed, LogWriter, Standing, WriteError};
use crate::feedback::{ErrorCode, Feedback};
use crate::judge::Question;

/// So many requests are sent in one go. Of hundreds, the first would wait until the last has its connection.
const SENT_AT_ONCE: usize = 16;

/// A judgment whose attempt came back.
struct Returned {
    lane: usize,
    job: Box<Job>,
}

/// Why a run cannot even begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An endpoint's configuration.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The log.
    #[error(transparent)]
    Log(#[from] WriteError),
    /// The file of rejected lines.
    #[error("cannot remove the rejected lines of an earlier run: {0}")]
    Rejects(std::io::Error),
    /// The thread that reads the dataset.
    #[error("cannot start the thread that reads the dataset: {0}")]
    Thread(std::io::Error),
}

/// Runs to the end, or to the first reason to stop.
///
/// Everything that happens is told to `on_event`, in order, by this task. A change of `shutdown` is obeyed at once.
///
/// # Errors
/// Only before anything was sent. What happens later is in the report.
pub async fn run(
    settings: RunSettings,
    mut shutdown: watch::Receiver<Shutdown>,
    on_event: &mut dyn FnMut(&Event<'_>),
) -> Result<RunReport, StartError> {
    let RunSettings {
        datasets,
        questions,
        scope,
        lanes,
        output,
        reuse,
        rejects,
        selection,
        strict,
        policy,
        grace,
        budget,
        run_id,
    } = settings;
    let (questions, lane_of): (Vec<Question>, Vec<usize>) = questions.into_iter().unzip();
    let questions: Arc<[Question]> = questions.into();
    let (log, index) = match output {
        Output::Log(mut log) => {
            let index = std::mem::take(&mut log.index);
            (Some(log), index)
        }
        Output::Stdout => (None, Index::default()),
    };
    let lanes = lanes.iter().enumerate().map(|(i, lane)| {
        let asked = lane_of.iter().filter(|lane| **lane == i).count();
        Lane::new(lane, &policy, asked, index.has_verdict_of(&lane.source_id()))
    });
    let lanes = lanes.collect::<Result<_, _>>()?;
    let total_bytes = datasets.first().and_then(DatasetReader::total_bytes);
    let rejects = Rejects::new(rejects).map_err(StartError::Rejects)?;
    // Only now, when the run is known to be possible, may it put an earlier log aside.
    let log = match log {
        Some(log) => log.into_writer()?,
        None => LogWriter::stdout()?,
    };
    let summary = Summary::new(questions.iter(), selection.shard);
    let readers = Readers::start(datasets, &questions, &lane_of, &scope, Known { index, reuse }, selection)
        .map_err(StartError::Thread)?;
    let mut dispatcher = Dispatcher {
        summary,
        questions,
        lane_of,
        lanes,
        log,
        rejects,
        strict,
        total_bytes,
        run_id,
        budget,
        spent: Spent::default(),
        shutdown: shutdown.clone(),
        grace,
        tasks: JoinSet::new(),
        unwritten: Vec::new(),
        stop: None,
        on_event,
    };
    dispatcher.run(readers, &mut shutdown, grace).await;
    // Should the log be closed, `close` says so.
    let _ = dispatcher.write().await;
    let Dispatcher { mut summary, log, mut stop, tasks, lanes, .. } = dispatcher;
    summary.lanes = lanes.iter().map(Lane::summary).collect();
    // What still flies is let go. The readers' channels are closed, so they end by themselves; one that blocks on standard input is
    // left behind.
    drop(tasks);
    if let Err(error) = log.close(end_of_patience(shutdown, grace)).await {
        summary.unsaved = error.unsaved();
        stop = Some(StopReason::Log(error));
    }
    summary.finish();
    Ok(RunReport { summary, stop })
}

struct Dispatcher<'a> {
    questions: Arc<[Question]>,
    /// The lane of each question.
    lane_of: Vec<usize>,
    lanes: Vec<Lane>,
    tasks: JoinSet<Returned>,
    log: LogWriter,
    /// Records that go to the log before anything else is waited for or sent.
    unwritten: Vec<Feedback>,
    rejects: Rejects,
    strict: bool,
    total_bytes: Option<u64>,
    run_id: String,
    budget: Budget,
    spent: Spent,
    /// For what the dispatcher waits for outside its loop.
    shutdown: watch::Receiver<Shutdown>,
    grace: Duration,
    summary: Summary,
    /// The first reason for which a lane admits nothing more.
    stop: Option<StopReason>,
    on_event: &'a mut dyn FnMut(&Event<'_>),
}

impl Dispatcher<'_> {
    async fn run(&mut self, mut readers: Readers, shutdown: &mut watch::Receiver<Shutdown>, grace: Duration) {
        let mut deadline = None;
        // Nobody is left who could ask for a shutdown.
        let mut deaf = false;
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut time_is_up = self.budget.time.map(|limit| Instant::now() + limit);
        loop {
            let wake = self.admit().await;
            if self.write().await.is_err() {
                return;
            }
            if self.lanes.iter().all(|lane| lane.stopped) {
                readers.close();
            }
            if readers.are_done() && self.lanes.iter().all(Lane::is_idle) {
                return;
            }
            let closed = tokio::select! {
                biased;
                changed = shutdown.changed(), if !deaf => {
                    let wish = *shutdown.borrow_and_update();
                    deaf = changed.is_err();
                    match wish {
                        Shutdown::No => Ok(()),
                        Shutdown::Drain => {
                            deadline = Some(Instant::now() + grace);
                            self.stop_all(StopReason::Interrupted);
                            Ok(())
                        }
                        Shutdown::Abort => {
                            self.stop_all(StopReason::Interrupted);
                            return;
                        }
                    }
                }
                () = sleep_until(deadline) => return,
                () = sleep_until(time_is_up) => {
                    time_is_up = None;
                    let limit = self.budget.time.unwrap_or_default();
                    self.stop_all(StopReason::Budget(Exhausted::Time { limit }));
                    Ok(())
                }
                Some(returned) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    // All that are back by now, so that the log is waited for once.
                    let mut next = Some(returned);
                    while let Some(returned) = next {
                        let Ok(returned) = returned else {
                            // Its lane can no longer be accounted for.
                            self.stop_all(StopReason::Bug);
                            return;
                        };
                        self.returned(returned);
                        next = self.tasks.try_join_next();
                    }
                    Ok(())
                }
                (is_first, planned) = readers.next(&self.lanes) => match planned {
                    // Its room is free once it is dealt with.
                    Some(Arrived { planned, room: _room }) => self.planned(planned, is_first).await,
                    None => {
                        if readers.are_done() {
                            self.tell(&Event::DatasetRead);
                        }
                        Ok(())
                    }
                },
                () = sleep_until(wake) => Ok(()),
                _ = tick.tick() => {
                    self.tell(&Event::Tick);
                    Ok(())
                }
            };
            // Should the writer have stopped, `close` will say why.
            if closed.is_err() || self.write().await.is_err() {
                return;
            }
        }
    }

    fn tell(&mut self, event: &Event<'_>) {
        self.summary.add(event);
        (self.on_event)(event);
    }

    /// Sends all that may be sent now; returns when to look again.
    async fn admit(&mut self) -> Option<Instant> {
        let mut now = Instant::now();
        let mut sent = 0;
        let mut wake: Option<Instant> = None;
        if self.requests_left() == 0 && self.lanes.iter().any(Lane::has_waiting) {
            let limit = self.budget.requests.unwrap_or_default();
            self.stop_all(StopReason::Budget(Exhausted::Requests { limit }));
        }
        for lane in 0..self.lanes.len() {
            while self.requests_left() > 0 {
                match self.lanes[lane].next(now) {
                    Step::Send(job) => {
                        self.send(lane, job);
                        sent += 1;
                        if sent % SENT_AT_ONCE == 0 {
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
                    Step::Wait(at) => {
                        wake = [wake, at].into_iter().flatten().min();
                        break;
                    }
                }
            }
        }
        wake
    }

    fn requests_left(&self) -> u64 {
        self.budget.requests.map_or(u64::MAX, |limit| limit.saturating_sub(self.spent.requests))
    }

    fn send(&mut self, lane: usize, mut job: Box<Job>) {
        let client = self.lanes[lane].client(&job);
        let questions = Arc::clone(&self.questions);
        self.spent.requests += 1;
        self.tell(&Event::Sent { again: job.last.is_some() });
        self.tasks.spawn(async move {
            let started = Instant::now();
            let verdict = &questions[job.judgment.question].judge.verdict;
            let attempt = ask(&client, &job.judgment.request, &job.profile, job.max_output, verdict).await;
            job.last = Some((attempt, started.elapsed()));
            Returned { lane, job }
        });
    }

    async fn planned(&mut self, planned: Planned, is_first: bool) -> Result<(), LogClosed> {
        match planned {
            Planned::Trace { bytes_read, items, failures } => {
                if is_first {
                    self.tell(&Event::TraceRead { bytes_read, total_bytes: self.total_bytes });
                }
                self.items(items, failures).await?;
            }
            Planned::Session { items, failures } => self.items(items, failures).await?,
            // Every reader meets the same lines; one tells of them.
            Planned::Duplicate | Planned::Reject(_) | Planned::LeftOut { .. } | Planned::End { .. } if !is_first => {}
            Planned::LeftOut { bytes_read, why } => {
                self.tell(&Event::LeftOut { why: &why, bytes_read, total_bytes: self.total_bytes });
            }
            Planned::Duplicate => self.tell(&Event::Duplicate),
            Planned::End { notices, absent } => {
                if !notices.is_empty() {
                    self.tell(&Event::Noticed(&notices));
                }
                if !absent.is_empty() {
                    self.tell(&Event::AbsentTraceIds(&absent));
                }
            }
            Planned::Unreadable(error) => self.stop_all(StopReason::Dataset(error)),
            Planned::Reject(reject) => {
                self.tell(&Event::Rejected(&reject));
                if let Err(error) = self.rejects.add(&reject) {
                    self.stop_all(StopReason::Rejects(error));
                } else if self.strict {
                    self.stop_all(StopReason::Strict(Box::new(reject)));
                }
            }
        }
        Ok(())
    }

    async fn items(&mut self, items: Vec<Item>, failures: u64) -> Result<(), LogClosed> {
        if failures > 0 {
            self.tell(&Event::FailuresFound(failures));
        }
        for item in items {
            self.item(item).await?;
        }
        Ok(())
    }

    async fn item(&mut self, item: Item) -> Result<(), LogClosed> {
        match item {
            Item::Ask { judgment, history } => {
                let question = judgment.question;
                self.tell(&Event::Planned { question, changed: history.overrides.is_some() });
                self.lanes[self.lane_of[question]].push(judgment, history);
                Ok(())
            }
            Item::Kept { question, standing } => {
                self.tell(&Event::Kept { question, standing });
                Ok(())
            }
            Item::Missing { question } => {
                self.tell(&Event::Missing { question });
                Ok(())
            }
            Item::Unmatched { question, standing } => {
                self.tell(&Event::Unmatched { question, standing });
                Ok(())
            }
            Item::KeptAgain { question, standing, offset, overrides } => {
                self.tell(&Event::Kept { question, standing });
                self.patiently(self.log.append_again(offset, overrides, record::now_ms())).await
            }
            Item::Reused { question, feedback } => {
                self.tell(&Event::Reused { question, standing: Standing::of(&feedback) });
                self.patiently(self.log.append(*feedback)).await
            }
            Item::PassedOver { question, what } => {
                self.tell(&Event::PassedOver { question, what: &what });
                Ok(())
            }
            Item::NotAskable { question, subject, not_askable } => {
                self.tell(&Event::Planned { question, changed: false });
                let asked = &self.questions[question];
                let feedback = record::of_input_error(asked, &self.run_id, subject, &not_askable);
                self.record(question, feedback);
                Ok(())
            }
        }
    }

    fn record(&mut self, question: usize, feedback: Feedback) {
        self.spent.judged += 1;
        self.spent.errors += u64::from(feedback.is_error());
        self.tell(&Event::Recorded { question, feedback: &feedback });
        self.unwritten.push(feedback);
    }

    /// Writes what was recorded.
    async fn write(&mut self) -> Result<(), LogClosed> {
        let records = std::mem::take(&mut self.unwritten);
        if records.is_empty() { Ok(()) } else { self.patiently(self.log.append_all(records)).await }
    }

    /// Waits for the log, but not against the user's will: output that blocks must not make the process immune to signals.
    async fn patiently(&self, append: impl Future<Output = Result<(), LogClosed>>) -> Result<(), LogClosed> {
        tokio::select! {
            biased;
            appended = append => appended,
            () = end_of_patience(self.shutdown.clone(), self.grace) => Err(LogClosed),
        }
    }

    fn returned(&mut self, Returned { lane: index, job }: Returned) {
        let question = job.judgment.question;
        if let Some((attempt, latency)) = &job.last {
            let cost = attempt.usage.and_then(|usage| Some(self.lanes[index].prices?.cost(&usage)));
            self.spent.cost += cost.unwrap_or(0.0);
            self.spent.tokens += attempt.usage.map_or(0, |usage| usage.input_tokens + usage.output_tokens);
            self.tell(&Event::Returned { question, usage: attempt.usage, cost, latency: *latency });
        }
        let (next, stop) = self.lanes[index].returned(job);
        match next {
            Next::Retry { failure, delay } => self.tell(&Event::Retrying { failure: &failure, delay }),
            Next::Record(job) => self.finish(*job),
        }
        if let Some(reason) = stop {
            self.stop_lane(index, reason);
        }
        if let Some(exhausted) = self.budget.exhausted(&self.spent)
            && self.stop.is_none()
        {
            self.stop_all(StopReason::Budget(exhausted));
        }
    }

    /// Records what the last attempt of a judgment brought.
    fn finish(&mut self, job: Job) {
        let Job { judgment, history, attempts, last, profile, .. } = job;
        let Some((attempt, latency)) = last else { return };
        // What could still have succeeded is left to the next run when the user ends this one.
        let interrupted = matches!(self.stop, Some(StopReason::Interrupted));
        if interrupted && attempt.result.as_ref().is_err_and(|failure| failure.may_retry()) {
            return;
        }
        let question = judgment.question;
        let outcome = record::Outcome {
            id: judgment.id,
            subject: judgment.subject,
            history,
            attempt,
            attempts,
            latency,
            chars_left_out: judgment.request.chars_left_out,
            profile,
        };
        let feedback = record::of_attempt(&self.questions[question], &self.run_id, outcome);
        self.record(question, feedback);
    }

    /// A member of a lane is given up, and with the last one the lane; the run goes on while another has not. The first reason of a lane is the
    /// run's.
    fn stop_lane(&mut self, lane: usize, reason: StopReason) {
        if self.lanes[lane].stopped {
            return;
        }
        self.tell(&Event::Stopping(&reason));
        if !self.lanes[lane].is_given_up() {
            return;
        }
        let abandoned = self.lanes[lane].stop();
        self.stop.get_or_insert(reason);
        for job in abandoned {
            self.finish(job);
        }
    }

    /// Nothing more is admitted anywhere.
    fn stop_all(&mut self, reason: StopReason) {
        self.tell(&Event::Stopping(&reason));
        // The user's wish comes before whatever went wrong earlier.
        match (&self.stop, &reason) {
            (None, _) | (Some(_), StopReason::Interrupted) => self.stop = Some(reason),
            _ => {}
        }
        for lane in 0..self.lanes.len() {
            for job in self.lanes[lane].stop() {
                self.finish(job);
            }
        }
    }
}

/// Ready when the user wants the process to end at once, or when the grace after an interruption is over.
async fn end_of_patience(mut shutdown: watch::Receiver<Shutdown>, grace: Duration) {
    if shutdown.wait_for(|wish| *wish >= Shutdown::Drain).await.is_err() {
        // Nobody is left who could ask for a shutdown.
        return std::future::pending().await;
    }
    let deadline = Instant::now() + grace;
    tokio::select! {
        _ = tokio::time::sleep_until(deadline) => {}
        Ok(_) = shutdown.wait_for(|wish| *wish == Shutdown::Abort) => {}
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a wait ends that only the user can end.
    async fn ends(wish: Shutdown, grace: Duration) -> bool {
        let (sender, receiver) = watch::channel(Shutdown::No);
        let waiting = tokio::spawn(end_of_patience(receiver, grace));
        sender.send(wish).unwrap();
        tokio::time::timeout(Duration::from_secs(60), waiting).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends_at_once_with_the_second_signal_and_with_the_grace_after_the_first() {
        let hour = Duration::from_secs(3600);
        assert!(!ends(Shutdown::No, Duration::ZERO).await);
        assert!(!ends(Shutdown::Drain, hour).await);
        assert!(ends(Shutdown::Drain, Duration::from_secs(30)).await);
        assert!(ends(Shutdown::Abort, hour).await);
    }

    #[tokio::test(start_paused = true)]
    async fn patience_without_anybody_who_could_end_it_lasts() {
        let (_, receiver) = watch::channel(Shutdown::No);
        let waiting = tokio::time::timeout(Duration::from_secs(60), end_of_patience(receiver, Duration::ZERO));
        assert!(waiting.await.is_err());
    }
}
