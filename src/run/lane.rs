//! One lane of the run: an endpoint and a model, its gate, and the judgments that wait before it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::ask::Attempt;
use super::record::History;
use super::settings::LaneSettings;
use super::summary::StopReason;
use crate::endpoint::Failure;
use crate::endpoint::backoff;
use crate::endpoint::client::{Client, ClientError};
use crate::endpoint::gate::{Admission, Gate};
use crate::feedback::{ErrorCode, Pause, Retry};
use crate::judge::Judgment;

/// After so many failed judgments without a single verdict, the lane gives up.
const NOTHING_BUT_FAILURES: u64 = 20;
/// An endpoint that asks for a longer pause is done for this run.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// A judgment on its way.
#[derive(Debug)]
pub(super) struct Job {
    pub judgment: Judgment,
    pub history: History,
    /// Attempts so far.
    pub attempts: u32,
    /// Failures so far, by code: some codes are worth fewer retries than others.
    failures: Vec<ErrorCode>,
    had_free_retry: bool,
    /// Doubled once when an answer was cut.
    pub max_output: u32,
    /// What the quota was charged for the attempt in flight.
    reserved: u64,
    /// What the last attempt brought, and how long it took.
    pub last: Option<(Attempt, Duration)>,
}

impl Job {
    pub(super) fn new(judgment: Judgment, history: History) -> Self {
        let max_output = judgment.request.sampling.max_output_tokens;
        Self {
            judgment,
            history,
            attempts: 0,
            failures: Vec::new(),
            had_free_retry: false,
            max_output,
            reserved: 0,
            last: None,
        }
    }

    fn cost(&self) -> u64 {
        self.judgment.request.estimated_input_tokens() + u64::from(self.max_output)
    }
}

/// A retry and when it is due; the order of retries that are due at the same time is the order in which they failed.
struct Due {
    at: Instant,
    sequence: u64,
    job: Box<Job>,
}

impl Due {
    fn key(&self) -> (Instant, u64) {
        (self.at, self.sequence)
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

/// What a lane does next.
#[derive(Debug)]
pub(super) enum Step {
    /// Send this.
    Send(Box<Job>),
    /// Nothing before this time, if any; something in flight or something new may change that.
    Wait(Option<Instant>),
}

/// What follows from an attempt.
#[derive(Debug)]
pub(super) enum Next {
    /// A failure: the judgment was put back, to be sent again after this time at the earliest.
    Retry { failure: Box<Failure>, delay: Duration },
    /// A verdict, or a failure that is final.
    Record(Box<Job>),
}

/// An endpoint and a model.
pub(super) struct Lane {
    pub client: Client,
    /// The model URI.
    pub source_id: String,
    gate: Gate,
    concurrency: usize,
    fresh: VecDeque<Box<Job>>,
    retries: BinaryHeap<Reverse<Due>>,
    sequence: u64,
    max_retries: u32,
    verdicts: u64,
    failures: u64,
    /// Failures in a row with the same code, which end the run at the code's number.
    streak: Option<(ErrorCode, u8)>,
    pub stopped: bool,
}

impl Lane {
    pub(super) fn new(settings: &LaneSettings, max_retries: u32) -> Result<Self, ClientError> {
        let LaneSettings { endpoint, model } = settings;
        Ok(Self {
            client: Client::new(endpoint, model)?,
            source_id: format!("{}:/{model}", endpoint.name),
            gate: Gate::new(endpoint.limits, endpoint.concurrency),
            concurrency: endpoint.concurrency,
            fresh: VecDeque::new(),
            retries: BinaryHeap::new(),
            sequence: 0,
            max_retries,
            verdicts: 0,
            failures: 0,
            streak: None,
            stopped: false,
        })
    }

    /// Whether the lane should be given more judgments. It holds few: memory must not grow with the dataset.
    pub(super) fn wants_more(&self) -> bool {
        self.stopped || (self.fresh.len() < self.concurrency && self.retries.len() < 2 * self.concurrency)
    }

    pub(super) fn push(&mut self, job: Job) {
        if !self.stopped {
            self.fresh.push_back(Box::new(job));
        }
    }

    /// Neither waiting nor in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.gate.in_flight() == 0 && (self.stopped || (self.fresh.is_empty() && self.retries.is_empty()))
    }

    /// Admits nothing more. What was never asked stays unjudged; what was asked and failed is returned.
    pub(super) fn stop(&mut self) -> Vec<Job> {
        self.stopped = true;
        self.fresh.clear();
        std::mem::take(&mut self.retries).into_iter().map(|Reverse(due)| *due.job).collect()
    }

    /// The next judgment that may be sent now: retries that are due before new ones.
    pub(super) fn next(&mut self, now: Instant) -> Step {
        if self.stopped || !self.gate.has_room() {
            return Step::Wait(None);
        }
        let next_retry = self.retries.peek().map(|Reverse(due)| due.at);
        let retry_is_due = next_retry.is_some_and(|at| at <= now);
        // Retries that pile up mean trouble: new judgments would only join them.
        let may_start_fresh = self.retries.len() < 2 * self.concurrency;
        let cost = match (self.retries.peek(), self.fresh.front()) {
            (Some(Reverse(due)), _) if retry_is_due => due.job.cost(),
            (_, Some(job)) if may_start_fresh => job.cost(),
            _ => return Step::Wait(next_retry),
        };
        match self.gate.admit(now, cost) {
            Admission::Granted => {}
            Admission::At(at) => return Step::Wait(Some(at)),
            Admission::Busy => return Step::Wait(None),
        }
        let job = if retry_is_due { self.retries.pop().map(|Reverse(due)| due.job) } else { self.fresh.pop_front() };
        match job {
            Some(mut job) => {
                job.attempts += 1;
                job.reserved = cost;
                Step::Send(job)
            }
            None => Step::Wait(next_retry),
        }
    }

    /// Takes back a judgment whose attempt has ended: settles the quota and decides what follows. The second part is a reason
    /// for the lane to stop.
    pub(super) fn returned(&mut self, job: Box<Job>) -> (Next, Option<StopReason>) {
        let (used, failure) = match &job.last {
            Some((attempt, _)) => {
                let used = attempt.usage.map(|usage| usage.input_tokens + usage.output_tokens);
                (used, attempt.result.as_ref().err().cloned())
            }
            None => (None, None),
        };
        let Some(failure) = failure else {
            self.gate.answered(job.reserved, used);
            self.verdicts += 1;
            self.streak = None;
            return (Next::Record(job), None);
        };
        self.settle(&job, &failure, used);
        let next = self.after_failure(job, failure.clone());
        let stop = self.stop_reason(&failure, matches!(next, Next::Record(_)));
        (next, stop)
    }

    /// What a failure means for the gate and for the streak.
    fn settle(&mut self, job: &Job, failure: &Failure, used: Option<u64>) {
        let mut counts = true;
        if used.is_some() {
            self.gate.answered(job.reserved, used);
        } else if failure.pause_scope() == Pause::Endpoint && failure.may_retry() {
            let wait = failure.retry_after.filter(|wait| *wait <= LONGEST_PAUSE);
            // A burst of refusals is one sign of trouble, not many.
            counts = self.gate.refused(Instant::now(), wait);
        } else {
            self.gate.released();
        }
        if counts {
            self.streak = match self.streak {
                Some((code, n)) if code == failure.code => Some((code, n.saturating_add(1))),
                _ => Some((failure.code, 1)),
            };
        }
    }

    fn after_failure(&mut self, mut job: Box<Job>, failure: Box<Failure>) -> Next {
        if failure.free_retry && !job.had_free_retry {
            job.had_free_retry = true;
            job.attempts -= 1;
        } else {
            job.failures.push(failure.code);
        }
        let so_far = job.failures.iter().filter(|code| **code == failure.code).count();
        let allowed = match failure.code.traits().retry {
            Retry::Never => usize::from(failure.retryable == Some(true)),
            Retry::Times(times) => usize::from(times),
            Retry::UpToLimit => usize::MAX,
        };
        let again = failure.may_retry()
            && !asks_too_much(&failure)
            && so_far <= allowed
            && job.attempts <= self.max_retries
            && !self.stopped;
        if !again {
            return Next::Record(job);
        }
        if failure.code == ErrorCode::TruncatedResponse {
            job.max_output = job.max_output.saturating_mul(2);
        }
        let delay = match failure.retry_after {
            Some(wait) => wait,
            // The gate's pause is the delay.
            None if failure.pause_scope() == Pause::Endpoint => Duration::ZERO,
            // The endpoint works, the model answered badly: nothing to wait for.
            None if job.last.as_ref().is_some_and(|(attempt, _)| attempt.usage.is_some()) => Duration::ZERO,
            None => backoff::full_jitter(job.attempts.saturating_sub(1)),
        };
        self.sequence += 1;
        self.retries.push(Reverse(Due { at: Instant::now() + delay, sequence: self.sequence, job }));
        Next::Retry { failure, delay }
    }

    /// Whether the lane must stop after this failure, which was final if `recorded`.
    fn stop_reason(&mut self, failure: &Failure, recorded: bool) -> Option<StopReason> {
        self.failures += u64::from(recorded);
        let stops = failure.code.traits().stops;
        let limit = if self.verdicts == 0 { stops.unproven } else { stops.proven };
        let streak = self.streak.map_or(0, |(_, n)| n);
        let source_id = self.source_id.clone();
        if failure.fatal || asks_too_much(failure) || limit.is_some_and(|limit| streak >= limit) {
            return Some(StopReason::Fatal { source_id, code: failure.code, message: failure.message.clone() });
        }
        if recorded && self.verdicts == 0 && self.failures >= NOTHING_BUT_FAILURES {
            return Some(StopReason::NothingButFailures {
                source_id,
                failures: self.failures,
                code: failure.code,
                message: failure.message.clone(),
            });
        }
        None
    }
}

/// Whether the endpoint asks for a pause that is longer than a run should wait.
fn asks_too_much(failure: &Failure) -> bool {
    failure.retry_after.is_some_and(|wait| wait > LONGEST_PAUSE)
}
