//! One lane of the run: an endpoint and a model, its gate, and the judgments that wait before it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::health::GivenUp;
use super::job::{Due, Job};
use super::member::Member;
use super::record::History;
use super::settings::{LaneSettings, Policy};
use super::summary::{LaneSummary, StopReason};
use crate::endpoint::client::{Client, ClientError};
use crate::endpoint::pacing::backoff;
use crate::endpoint::pacing::gate::{Admission, Pass};
use crate::endpoint::prices::Prices;
use crate::endpoint::wire::chat::WireProfile;
use crate::endpoint::{Failure, Rejected, provider};
use crate::feedback::{ErrorCode, Retry};
use crate::judge::Judgment;

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
    /// The model URI.
    pub source_id: String,
    members: Vec<Member>,
    concurrency: usize,
    fresh: VecDeque<Box<Job>>,
    retries: BinaryHeap<Reverse<Due>>,
    sequence: u64,
    max_retries: u32,
    /// Further attempts where an answer has no verdict.
    re_asks: u8,
    pub stopped: bool,
    profile: Arc<WireProfile>,
    /// A part of the request was refused: one goes ahead, until one is answered.
    learning: bool,
    has_sent: bool,
    /// Until then the first request is alone: what is wrong with all of them, most endpoints say at once.
    head_start: Option<Instant>,
    /// A verdict came of a request that was put as now: what is refused after that is the request's own fault.
    profile_is_proven: bool,
    /// Questions of which none was answered yet and which therefore go one by one, so that the others find their prompts cached.
    to_warm_up: usize,
    /// What was adapted, in words.
    adapted: Vec<String>,
    /// Tokens of prompts to their estimates, as observed.
    input_ratio: f64,
    pub prices: Option<Prices>,
}

/// The lead of the first request over the others.
const HEAD_START: Duration = Duration::from_millis(10);
/// How much a new observation moves the rate of tokens to the estimate.
const RATIO_STEP: f64 = 0.1;

impl Lane {
    /// `questions` is how many are asked on the lane, `proven` whether the log has a verdict from it.
    pub(super) fn new(
        settings: &LaneSettings,
        policy: &Policy,
        questions: usize,
        proven: bool,
    ) -> Result<Self, ClientError> {
        let LaneSettings { endpoint, model, prices } = settings;
        let &Policy { max_retries, re_asks, longest_pause: _, warm_up } = policy;
        let pool = if endpoint.pool.is_empty() { std::slice::from_ref(endpoint) } else { &endpoint.pool };
        let members = pool.iter().map(|member| Member::new(member, model, policy, proven));
        Ok(Self {
            profile: Arc::new(provider::wire_profile(endpoint.preset, &endpoint.base_url, model)),
            learning: false,
            has_sent: false,
            head_start: None,
            adapted: Vec::new(),
            input_ratio: 1.0,
            prices: *prices,
            members: members.collect::<Result<_, _>>()?,
            source_id: settings.source_id(),
            concurrency: pool.iter().map(|member| member.concurrency).sum(),
            fresh: VecDeque::new(),
            retries: BinaryHeap::new(),
            sequence: 0,
            max_retries,
            re_asks,
            profile_is_proven: false,
            to_warm_up: if warm_up { questions } else { 0 },
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
        let learnt: Vec<_> = self.members.iter().map(|member| member.gate.quota().learnt()).collect();
        LaneSummary {
            source_id: self.source_id.clone(),
            adapted: self.adapted.clone(),
            learnt_requests: learnt.iter().map(|(requests, _)| *requests).sum(),
            learnt_tokens: learnt.iter().map(|(_, tokens)| *tokens).sum(),
        }
    }

    /// Whether something waits to be sent, now or later.
    pub(super) fn has_waiting(&self) -> bool {
        !self.fresh.is_empty() || !self.retries.is_empty()
    }

    fn in_flight(&self) -> usize {
        self.members.iter().map(|member| member.gate.in_flight()).sum()
    }

    /// The client of the member that a judgment was given to.
    pub(super) fn client(&self, job: &Job) -> Arc<Client> {
        Arc::clone(&self.members[job.member].client)
    }

    /// Neither waiting nor in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight() == 0 && (self.stopped || !self.has_waiting())
    }

    /// Admits nothing more. What was never asked stays unjudged; what was asked and failed is returned.
    pub(super) fn stop(&mut self) -> Vec<Job> {
        self.stopped = true;
        self.fresh.clear();
        std::mem::take(&mut self.retries).into_iter().map(|Reverse(due)| *due.job).collect()
    }

    /// The next judgment that may be sent now: retries that are due before new ones.
    pub(super) fn next(&mut self, now: Instant) -> Step {
        let one_by_one = self.learning || self.to_warm_up > 0;
        if self.stopped || (one_by_one && self.in_flight() > 0) {
            return Step::Wait(None);
        }
        if let Some(until) = self.head_start.filter(|until| now < *until) {
            return Step::Wait(Some(until));
        }
        let next_retry = self.retries.peek().map(|Reverse(due)| due.at);
        // Retries that pile up mean trouble: new judgments would only join them.
        let may_start_fresh = self.retries.len() < 2 * self.concurrency;
        // What was just refused is a bad probe: the refusal may have been its own.
        let probes_with_fresh =
            may_start_fresh && !self.fresh.is_empty() && self.members.iter().all(|member| member.gate.is_probing());
        let retry_is_due = !probes_with_fresh && next_retry.is_some_and(|at| at <= now);
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
        let allowed = self.members.iter().map(Member::largest_request).max().unwrap_or(0);
        if input > allowed {
            // What the prompt alone takes can never pass.
            return take(self).map_or(Step::Wait(None), |job| Step::TooLarge { job, needs: input, allowed });
        }
        let (member, pass, cost) = match self.admit(now, cost, input) {
            Ok(admitted) => admitted,
            Err(at) => return Step::Wait(at),
        };
        match take(self) {
            Some(mut job) => {
                if !self.has_sent {
                    self.has_sent = true;
                    self.head_start = Some(now + HEAD_START);
                }
                job.attempts += 1;
                job.member = member;
                job.reserved = cost;
                job.pass = pass;
                job.sent_at = Some(now);
                job.profile = Arc::clone(&self.profile);
                Step::Send(job)
            }
            None => Step::Wait(next_retry),
        }
    }

    /// The member that takes a request now, the idlest first; or the earliest time at which one may.
    fn admit(&mut self, now: Instant, cost: u64, input: u64) -> Result<(usize, Pass, u64), Option<Instant>> {
        let mut order: Vec<usize> = (0..self.members.len()).collect();
        if order.len() > 1 {
            order.sort_by_key(|i| self.members[*i].gate.in_flight());
        }
        let mut earliest: Option<Instant> = None;
        for i in order {
            match self.members[i].admit(now, cost, input) {
                (Admission::Granted(pass), cost) => return Ok((i, pass, cost)),
                (Admission::At(at), _) => earliest = Some(earliest.map_or(at, |earliest| earliest.min(at))),
                (Admission::Busy, _) => {}
            }
        }
        Err(earliest)
    }

    /// Takes back a judgment whose attempt has ended: settles the quota and decides what follows. The second part is a reason
    /// for the lane to stop.
    pub(super) fn returned(&mut self, job: Box<Job>) -> (Next, Option<StopReason>) {
        let (used, failure) = match &job.last {
            Some((attempt, _)) => {
                self.members[job.member].gate.learn(&attempt.limits, job.pass);
                let used = attempt.usage.map(|usage| usage.input_tokens + usage.output_tokens).filter(|n| *n > 0);
                if let Some(usage) = attempt.usage.filter(|usage| usage.input_tokens > 0) {
                    self.observe_input(&job, usage.input_tokens);
                }
                (used, attempt.result.as_ref().err().cloned())
            }
            None => (None, None),
        };
        self.head_start = None;
        let member = &mut self.members[job.member];
        let Some(failure) = failure else {
            member.gate.answered(job.pass, job.reserved, used);
            member.health.succeeded();
            self.learning = false;
            self.profile_is_proven |= job.profile == self.profile;
            self.to_warm_up = self.to_warm_up.saturating_sub(1);
            return (Next::Record(job), None);
        };
        let failure = member.health.seen_from_here(failure);
        if let Some(rejected) = &failure.rejected
            && self.adapt(&job, rejected)
        {
            self.members[job.member].gate.released(job.pass);
            return (self.put_back(job, failure), None);
        }
        let member = &mut self.members[job.member];
        let pause = member.settle(&job, &failure, used);
        let index = job.member;
        let next = self.after_failure(job, failure.clone(), pause);
        let Some(given_up) = self.members[index].given_up(&failure, matches!(next, Next::Record(_))) else {
            return (next, None);
        };
        let reason = self.reason(given_up, &failure);
        match next {
            // Another deployment or key may do better.
            Next::Record(job) if self.members.iter().any(|member| !member.stopped) => {
                (self.put_back(job, failure), Some(reason))
            }
            next => (next, Some(reason)),
        }
    }

    /// Whether there is nobody left to ask.
    pub(super) fn is_given_up(&self) -> bool {
        self.members.iter().all(|member| member.stopped)
    }

    /// Corrects the estimate of prompts by what the endpoint counted.
    fn observe_input(&mut self, job: &Job, counted: u64) {
        #[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
        let ratio = counted as f64 / job.judgment.request.estimated_input_tokens().max(1) as f64;
        self.input_ratio += RATIO_STEP * (ratio.clamp(0.1, 10.0) - self.input_ratio);
    }

    /// Adapts to a refusal of a part of the request: once, whoever hears of it first; the others are put again as adapted by then.
    /// Returns whether that can help.
    fn adapt(&mut self, job: &Job, rejected: &Rejected) -> bool {
        if job.profile != self.profile {
            return true;
        }
        if self.profile_is_proven {
            return false;
        }
        let change = Arc::make_mut(&mut self.profile).adapt(rejected);
        self.learning |= change.is_some();
        self.adapted.extend(change.clone());
        change.is_some()
    }

    fn put_back(&mut self, mut job: Box<Job>, failure: Box<Failure>) -> Next {
        if self.stopped {
            return Next::Record(job);
        }
        job.free_attempts += 1;
        self.retry(job, failure, Duration::ZERO, Duration::ZERO)
    }

    /// Queues a judgment again after `delay`; `told` is how long it waits in all, with its member's pause.
    fn retry(&mut self, job: Box<Job>, failure: Box<Failure>, delay: Duration, told: Duration) -> Next {
        self.sequence += 1;
        self.retries.push(Reverse(Due { at: Instant::now() + delay, sequence: self.sequence, job }));
        Next::Retry { failure, delay: told }
    }

    fn after_failure(&mut self, mut job: Box<Job>, failure: Box<Failure>, pause: Option<Duration>) -> Next {
        if failure.free_retry && !job.had_free_retry {
            job.had_free_retry = true;
            job.free_attempts += 1;
        } else {
            job.failures.push(failure.code);
        }
        let so_far = job.failures.iter().filter(|code| **code == failure.code).count();
        let allowed = match failure.code.traits().retry {
            _ if matches!(failure.code, ErrorCode::UnparseableVerdict | ErrorCode::OutOfRange) => {
                usize::from(self.re_asks)
            }
            Retry::Never => usize::from(failure.retryable == Some(true)),
            Retry::Times(times) => usize::from(times),
            Retry::UpToLimit => usize::MAX,
        };
        let again = failure.may_retry()
            && !self.members[job.member].health.asks_too_much(&failure)
            && so_far <= allowed
            && job.attempts - job.free_attempts <= self.max_retries
            && !self.stopped;
        if !again {
            return Next::Record(job);
        }
        if failure.code == ErrorCode::TruncatedResponse {
            job.max_output = job.max_output.saturating_mul(2);
        }
        // The member's pause is the delay; another member need not wait for it.
        if let Some(pause) = pause {
            return self.retry(job, failure, Duration::ZERO, pause);
        }
        let tries = job.attempts - job.free_attempts;
        let delay = match failure.retry_after {
            // Whoever says the same again and again does not know.
            Some(wait) if tries > 1 || wait.is_zero() => wait.max(backoff::full_jitter(tries.saturating_sub(1))),
            Some(wait) => wait,
            // The endpoint works, the model answered badly: nothing to wait for.
            None if job.last.as_ref().is_some_and(|(attempt, _)| attempt.usage.is_some()) => Duration::ZERO,
            None => backoff::full_jitter(tries.saturating_sub(1)),
        };
        self.retry(job, failure, delay, delay)
    }

    fn reason(&self, given_up: GivenUp, failure: &Failure) -> StopReason {
        let (source_id, code) = (self.source_id.clone(), failure.code);
        match given_up {
            GivenUp::Fatal { message } => StopReason::Fatal { source_id, code, message },
            GivenUp::Outage { judgments, minutes } => {
                let message = failure.message.clone();
                StopReason::NothingButFailures { source_id, failures: judgments, minutes, code, message }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::config::EndpointConfig;
    use crate::endpoint::wire::PromptNotes;
    use crate::endpoint::wire::chat::{ChatRequest, Sampling};
    use crate::feedback::IdHasher;
    use crate::judge::SubjectIds;

    fn lane(concurrency: usize) -> Lane {
        let endpoint = EndpointConfig { concurrency, ..EndpointConfig::new("e", "http://127.0.0.1:9/v1") };
        let settings = LaneSettings { endpoint, model: "m".into(), prices: None };
        Lane::new(&settings, &Policy::default(), 1, false).unwrap()
    }

    fn judgment() -> Judgment {
        Judgment {
            id: IdHasher::new("test").finish(),
            question: 0,
            subject: SubjectIds { trace_id: "t".into(), span_id: None, session_id: None },
            request: ChatRequest {
                system: None,
                user: "u".into(),
                images: Vec::new(),
                notes: PromptNotes::default(),
                schema: serde_json::value::RawValue::from_string("{}".into()).unwrap().into(),
                sampling: Sampling::default(),
            },
        }
    }

    fn sent(lane: &mut Lane, now: Instant) -> usize {
        std::iter::from_fn(|| matches!(lane.next(now), Step::Send(_)).then_some(())).count()
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_request_has_a_head_start_and_the_others_go_together() {
        let mut lane = lane(4);
        (0..9).for_each(|_| lane.push(judgment(), History::default()));
        let start = Instant::now();
        assert_eq!(sent(&mut lane, start), 1);
        assert!(matches!(lane.next(start), Step::Wait(Some(until)) if until == start + HEAD_START));
        assert_eq!(sent(&mut lane, start + HEAD_START), 3);
        assert!(matches!(lane.next(start + HEAD_START), Step::Wait(None)), "four are in flight");
    }
}
