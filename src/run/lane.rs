//! One lane of the run: an endpoint and a model, its gate, and the judgments that wait before it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::job::{Due, Job};
use super::record::History;
use super::settings::LaneSettings;
use super::summary::{LaneSummary, StopReason};
use crate::endpoint::chat::WireProfile;
use crate::endpoint::client::{Client, ClientError};
use crate::endpoint::gate::{Admission, Gate};
use crate::endpoint::prices::Prices;
use crate::endpoint::quota::Quota;
use crate::endpoint::{Failure, Rejected, backoff, provider};
use crate::feedback::{ErrorCode, Pause, Retry};
use crate::judge::Judgment;

/// After so many judgments in a row (or two rounds of what may be in flight) that the endpoint left without an answer, the lane gives up.
const NOTHING_BUT_FAILURES: u64 = 20;
/// It also gives up when nothing was answered for so long, although it was asked again and again.
const LONGEST_OUTAGE: Duration = Duration::from_secs(15 * 60);

/// What a lane does next.
#[derive(Debug)]
pub(super) enum Step {
    /// Send this.
    Send(Box<Job>),
    /// This can never be sent: it may use more tokens than the endpoint allows in a minute.
    TooLarge { job: Box<Job>, needs: u64, allowed: u64 },
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
    timeout: Duration,
    fresh: VecDeque<Box<Job>>,
    retries: BinaryHeap<Reverse<Due>>,
    sequence: u64,
    max_retries: u32,
    longest_pause: Duration,
    /// The endpoint has given a verdict, in this run or, by the log, in an earlier one.
    proven: bool,
    /// Judgments that the endpoint left without an answer, since it last answered; and since when.
    unanswered: u64,
    outage_since: Option<Instant>,
    /// Failures in a row with the same code, which end the run at the code's number; and when the last one came back.
    streak: Option<(ErrorCode, u8, Instant)>,
    pub stopped: bool,
    profile: Arc<WireProfile>,
    /// A part of the request was refused: one goes ahead, until one is answered.
    learning: bool,
    has_sent: bool,
    /// Until then the first request is alone: what is wrong with all of them, most endpoints say at once.
    head_start: Option<Instant>,
    /// What was adapted, in words.
    adapted: Vec<String>,
    /// Tokens of prompts to their estimates, as observed.
    input_ratio: f64,
    pub prices: Option<Prices>,
}

/// The lead of the first request over the others.
const HEAD_START: Duration = Duration::from_millis(100);
/// How much a new observation moves the rate of tokens to the estimate.
const RATIO_STEP: f64 = 0.1;
/// After so many failures in a row of an endpoint that has answered before, everybody waits.
const CIRCUIT_BREAKER: u8 = 5;

impl Lane {
    pub(super) fn new(settings: &LaneSettings, max_retries: u32, longest_pause: Duration) -> Result<Self, ClientError> {
        let LaneSettings { endpoint, model, prices } = settings;
        let quota = Quota::new(endpoint.limits, !provider::is_openai(&endpoint.base_url));
        Ok(Self {
            profile: Arc::new(provider::wire_profile(endpoint.preset, &endpoint.base_url, model)),
            learning: false,
            has_sent: false,
            head_start: None,
            adapted: Vec::new(),
            input_ratio: 1.0,
            prices: *prices,
            client: Client::new(endpoint, model)?,
            source_id: format!("{}:/{model}", endpoint.name),
            gate: Gate::new(quota, endpoint.concurrency),
            concurrency: endpoint.concurrency,
            timeout: endpoint.timeout,
            fresh: VecDeque::new(),
            retries: BinaryHeap::new(),
            sequence: 0,
            max_retries,
            longest_pause,
            proven: false,
            unanswered: 0,
            outage_since: None,
            streak: None,
            stopped: false,
        })
    }

    /// Whether the lane should be given more judgments. It holds few: memory must not grow with the dataset.
    pub(super) fn wants_more(&self) -> bool {
        self.stopped || (self.fresh.len() < self.concurrency && self.retries.len() < 2 * self.concurrency)
    }

    pub(super) fn push(&mut self, judgment: Judgment, history: History) {
        if !self.stopped {
            self.fresh.push_back(Box::new(Job::new(judgment, history, Arc::clone(&self.profile))));
        }
    }

    /// What was learnt of the endpoint.
    pub(super) fn summary(&self) -> LaneSummary {
        let (requests, tokens) = self.gate.quota().learnt();
        LaneSummary {
            source_id: self.source_id.clone(),
            adapted: self.adapted.clone(),
            learnt_requests: requests,
            learnt_tokens: tokens,
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
        if self.stopped || !self.gate.has_room() || (self.learning && self.gate.in_flight() > 0) {
            return Step::Wait(None);
        }
        if let Some(until) = self.head_start.filter(|until| now < *until) {
            return Step::Wait(Some(until));
        }
        let next_retry = self.retries.peek().map(|Reverse(due)| due.at);
        let retry_is_due = next_retry.is_some_and(|at| at <= now);
        // Retries that pile up mean trouble: new judgments would only join them.
        let may_start_fresh = self.retries.len() < 2 * self.concurrency;
        let job = match (self.retries.peek(), self.fresh.front()) {
            (Some(Reverse(due)), _) if retry_is_due => &due.job,
            (_, Some(job)) if may_start_fresh => job,
            _ => return Step::Wait(next_retry),
        };
        let (cost, input) = (job.cost(self.input_ratio), job.input_estimate(self.input_ratio));
        let take = |lane: &mut Self| match retry_is_due {
            true => lane.retries.pop().map(|Reverse(due)| due.job),
            false => lane.fresh.pop_front(),
        };
        // What the prompt alone takes can never pass; an output limit that goes beyond the quota may.
        let largest = self.gate.quota().largest_request();
        if let Some(allowed) = largest.filter(|allowed| input > *allowed) {
            return take(self).map_or(Step::Wait(None), |job| Step::TooLarge { job, needs: input, allowed });
        }
        let cost = largest.map_or(cost, |allowed| cost.min(allowed));
        let pass = match self.gate.admit(now, cost) {
            Admission::Granted(pass) => pass,
            Admission::At(at) => return Step::Wait(Some(at)),
            Admission::Busy => return Step::Wait(None),
        };
        match take(self) {
            Some(mut job) => {
                if !self.has_sent {
                    self.has_sent = true;
                    self.head_start = Some(now + HEAD_START);
                }
                job.attempts += 1;
                job.reserved = cost;
                job.pass = pass;
                job.sent_at = Some(now);
                job.profile = Arc::clone(&self.profile);
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
                self.gate.learn(&attempt.limits, job.pass);
                let used = attempt.usage.map(|usage| usage.input_tokens + usage.output_tokens).filter(|n| *n > 0);
                if let Some(usage) = attempt.usage.filter(|usage| usage.input_tokens > 0) {
                    self.observe_input(&job, usage.input_tokens);
                }
                (used, attempt.result.as_ref().err().cloned())
            }
            None => (None, None),
        };
        self.head_start = None;
        let Some(failure) = failure else {
            self.gate.answered(job.pass, job.reserved, used);
            self.proven = true;
            self.learning = false;
            self.streak = None;
            self.is_alive();
            return (Next::Record(job), None);
        };
        let failure = self.seen_from_here(failure);
        if let Some(rejected) = &failure.rejected
            && let Some(delay) = self.adapt(&job, rejected)
        {
            self.gate.released(job.pass);
            return (self.put_back(job, failure, delay), None);
        }
        self.settle(&job, &failure, used);
        let next = self.after_failure(job, failure.clone());
        let stop = self.stop_reason(&failure, matches!(next, Next::Record(_)));
        (next, stop)
    }

    /// Corrects the estimate of prompts by what the endpoint counted.
    fn observe_input(&mut self, job: &Job, counted: u64) {
        #[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
        let ratio = counted as f64 / job.judgment.request.estimated_input_tokens().max(1) as f64;
        self.input_ratio += RATIO_STEP * (ratio.clamp(0.1, 10.0) - self.input_ratio);
    }

    /// Adapts to a refusal of a part of the request: once, whoever hears of it first; the others are put again as adapted by then.
    /// `None` when nothing is left to adapt.
    fn adapt(&mut self, job: &Job, rejected: &Rejected) -> Option<Duration> {
        if job.profile == self.profile {
            let change = Arc::make_mut(&mut self.profile).adapt(rejected)?;
            self.adapted.push(change);
            self.learning = true;
        }
        Some(Duration::ZERO)
    }

    fn put_back(&mut self, mut job: Box<Job>, failure: Box<Failure>, delay: Duration) -> Next {
        if self.stopped {
            return Next::Record(job);
        }
        job.free_attempts += 1;
        self.retry(job, failure, delay)
    }

    fn retry(&mut self, job: Box<Job>, failure: Box<Failure>, delay: Duration) -> Next {
        self.sequence += 1;
        self.retries.push(Reverse(Due { at: Instant::now() + delay, sequence: self.sequence, job }));
        Next::Retry { failure, delay }
    }

    /// The endpoint answered, well or badly: there is no outage.
    fn is_alive(&mut self) {
        self.unanswered = 0;
        self.outage_since = None;
    }

    /// A failure in the light of what was before: a host that has answered and now can't be found, or whose certificate is wrong for once, has a
    /// passing trouble.
    fn seen_from_here(&self, mut failure: Box<Failure>) -> Box<Failure> {
        if self.proven && failure.code == ErrorCode::ConnectionError && failure.fatal {
            failure.fatal = false;
            failure.retryable = None;
            failure.pause = Some(Pause::Endpoint);
        }
        failure
    }

    /// What a failure means for the gate and for the streak.
    fn settle(&mut self, job: &Job, failure: &Failure, used: Option<u64>) {
        let now = Instant::now();
        // Failures of requests that were in flight together are one sign of trouble, not many; and a connection that had been closed while
        // it was idle is none.
        let free = failure.free_retry && !job.had_free_retry;
        let together = matches!((self.streak, job.sent_at), (Some((_, _, last)), Some(sent)) if sent <= last);
        let in_a_row = match self.streak {
            Some((code, n, _)) if code == failure.code => n.saturating_add(u8::from(!together)),
            _ => 1,
        };
        if !free && (!together || self.streak.is_none_or(|(code, ..)| code != failure.code)) {
            self.streak = Some((failure.code, in_a_row, now));
        }
        let load = failure.pause_scope() == Pause::Endpoint;
        let broken = self.proven && in_a_row >= CIRCUIT_BREAKER && failure.code.traits().retry == Retry::UpToLimit;
        if used.is_some() {
            self.gate.answered(job.pass, job.reserved, used);
        } else if failure.may_retry() && (load || broken) {
            let wait = failure.retry_after.filter(|wait| *wait <= self.longest_pause && !failure.concurrency_limit);
            let for_rate = failure.code == ErrorCode::RateLimitExceeded && !failure.concurrency_limit;
            self.gate.refused(job.pass, now, wait, for_rate);
        } else {
            self.gate.released(job.pass);
        }
        if failure.code.traits().unanswered {
            self.outage_since.get_or_insert(now);
        } else {
            self.is_alive();
        }
    }

    fn after_failure(&mut self, mut job: Box<Job>, failure: Box<Failure>) -> Next {
        if failure.free_retry && !job.had_free_retry {
            job.had_free_retry = true;
            job.free_attempts += 1;
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
            && !self.asks_too_much(&failure)
            && so_far <= allowed
            && job.attempts - job.free_attempts <= self.max_retries
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
            None => backoff::full_jitter((job.attempts - job.free_attempts).saturating_sub(1)),
        };
        self.retry(job, failure, delay)
    }

    /// Whether the lane must stop after this failure, which was final if `recorded`.
    fn stop_reason(&mut self, failure: &Failure, recorded: bool) -> Option<StopReason> {
        let code = failure.code;
        let source_id = self.source_id.clone();
        let stops = code.traits().stops;
        let limit = if self.proven { stops.proven } else { stops.unproven };
        let streak = self.streak.map_or(0, |(_, n, _)| n);
        if self.asks_too_much(failure) {
            let wait = failure.retry_after.unwrap_or_default().as_secs();
            let message =
                format!("it asks to wait {wait} s, which is more than --max-retry-after: {}", failure.message);
            return Some(StopReason::Fatal { source_id, code, message });
        }
        if failure.fatal || limit.is_some_and(|limit| streak >= limit) {
            return Some(StopReason::Fatal { source_id, code, message: failure.message.clone() });
        }
        self.unanswered += u64::from(recorded && code.traits().unanswered);
        let patience = NOTHING_BUT_FAILURES.max(2 * self.concurrency as u64);
        let out_for = self.outage_since.map_or(Duration::ZERO, |since| since.elapsed());
        if self.unanswered >= patience || out_for >= LONGEST_OUTAGE.max(2 * self.timeout) {
            return Some(StopReason::NothingButFailures {
                source_id,
                failures: self.unanswered,
                minutes: out_for.as_secs() / 60,
                code,
                message: failure.message.clone(),
            });
        }
        None
    }

    /// Whether the endpoint asks for a pause that is longer than this run should wait.
    fn asks_too_much(&self, failure: &Failure) -> bool {
        failure.may_retry()
            && failure.pause_scope() == Pause::Endpoint
            && failure.retry_after.is_some_and(|wait| wait > self.longest_pause)
    }
}
