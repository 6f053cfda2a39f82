//! What follows from an attempt: a record, or another attempt; and whether its member is still asked.

use std::cmp::Reverse;
use std::time::Duration;

use tokio::time::Instant;

use super::job::{Due, Job};
use super::lane::Lane;
use crate::endpoint::Failure;
use crate::endpoint::pacing::backoff;
use crate::feedback::Retry;
use crate::run::attempts::reading::breaks_off;
use crate::run::dispatch::stop::GivenUp;

/// What follows from an attempt.
#[derive(Debug)]
pub(in crate::run) enum Next {
    /// A failure: the judgment was put back, to be sent again after this time at the earliest.
    Retry { failure: Box<Failure>, delay: Duration },
    /// A verdict, or a failure that is final.
    Record(Box<Job>),
}

/// A member that was given up: its name, if the lane has several, and why.
pub(in crate::run) type MemberGivenUp = (Option<String>, GivenUp);

/// Re-asks of an answer that breaks off, whatever its code: the cause is mostly gone the next time.
const BROKEN_OFF_RE_ASKS: u8 = 2;
/// How much a new observation moves the rate of tokens to the estimate.
const RATIO_STEP: f64 = 0.1;

impl Lane {
    /// Takes back a judgment whose attempt has ended: settles the quota and decides what follows. The second part is a member that is given up
    /// for it.
    pub(in crate::run) fn returned(&mut self, mut job: Box<Job>) -> (Next, Option<MemberGivenUp>) {
        let (used, failure) = self.take_in(&mut job);
        self.release_followers(&job);
        self.head_start = None;
        let place = job.member;
        let member = &mut self.members[place];
        let Some(failure) = failure else {
            member.gate.answered(job.pass, job.reserved, used);
            member.health.succeeded();
            if let Some(asked) = job.asked() {
                self.ladder.answered(asked);
            }
            self.to_warm_up = self.to_warm_up.saturating_sub(1);
            return (Next::Record(job), None);
        };
        let failure = member.health.in_context(failure);
        let mut job = job;
        let is_put_otherwise =
            job.fits_into_room(&failure) || job.asked().is_some_and(|asked| self.ladder.refused(asked, &failure));
        if is_put_otherwise {
            self.members[place].gate.released(job.pass);
            return (self.put_back(job, failure), None);
        }
        let pause = self.members[place].settle(&job, &failure, used);
        let next = self.after_failure(job, failure.clone(), pause);
        let has_others = self.members.len() > 1;
        let member = &mut self.members[place];
        let given_up = member.give_up(&failure, matches!(next, Next::Record(_)));
        let given_up = given_up.map(|reason| (has_others.then(|| member.name.clone()), reason));
        let is_stopped = member.stopped;
        match next {
            // Another deployment or key may do better.
            Next::Record(job) if is_stopped && !self.is_given_up() => (self.put_back(job, failure), given_up),
            next => (next, given_up),
        }
    }

    /// Takes in a judgment whose attempt was part of a batch: what follows is the same, except for the quota and the health of the endpoint, about which it
    /// says nothing.
    pub(in crate::run) fn returned_in_batch(&mut self, mut job: Box<Job>) -> Next {
        let (_, failure) = self.take_in(&mut job);
        let Some(failure) = failure else { return Next::Record(job) };
        if job.fits_into_room(&failure) || job.asked().is_some_and(|asked| self.ladder.refused(asked, &failure)) {
            return self.put_back(job, failure);
        }
        self.after_failure(job, failure, None)
    }

    /// What an attempt shows about the endpoint: its quota, its count of tokens, whether it reads whole prompts. Returns the tokens that were used, and
    /// the failure, if it is one.
    fn take_in(&mut self, job: &mut Job) -> (Option<u64>, Option<Box<Failure>>) {
        let Some((attempt, _)) = &mut job.last else { return (None, None) };
        self.members[job.member].gate.learn(&attempt.limits, job.pass);
        let usage = attempt.usage();
        if let Some(usage) = usage {
            *job.used.get_or_insert_default() += usage;
            // Some endpoints count cached tokens separately.
            let read = usage.input_tokens.max(usage.cached_tokens);
            if attempt.result.is_ok()
                && let Some(estimate) = job.judgment.work.estimated_text_tokens()
                && let Err(cut) = self.prompts.check(estimate, read)
            {
                attempt.result = Err(cut);
            }
        }
        let failure = attempt.result.as_ref().err().cloned();
        if let Some(usage) = usage.filter(|usage| usage.input_tokens > 0) {
            self.observe_input(job, usage.input_tokens);
        }
        let used = usage.map(|usage| usage.input_tokens + usage.output_tokens);
        (used.filter(|n| *n > 0), failure)
    }

    /// Corrects the estimate of prompts by what the endpoint counted.
    fn observe_input(&mut self, job: &Job, counted: u64) {
        #[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
        let ratio = counted as f64 / job.judgment.work.estimated_input_tokens().max(1) as f64;
        self.input_ratio += RATIO_STEP * (ratio.clamp(0.1, 10.0) - self.input_ratio);
    }

    fn put_back(&mut self, mut job: Box<Job>, failure: Box<Failure>) -> Next {
        if self.stopped {
            return Next::Record(job);
        }
        job.free_attempts += 1;
        self.queue(job, failure, Duration::ZERO, Duration::ZERO)
    }

    /// Queues a judgment again after `delay`; `shown` is the total wait, with its member's pause.
    fn queue(&mut self, job: Box<Job>, failure: Box<Failure>, delay: Duration, shown: Duration) -> Next {
        self.sequence += 1;
        self.retries.push(Reverse(Due { at: Instant::now() + delay, sequence: self.sequence, job }));
        Next::Retry { failure, delay: shown }
    }

    fn after_failure(&mut self, mut job: Box<Job>, failure: Box<Failure>, pause: Option<Duration>) -> Next {
        let traits = failure.code.traits();
        if failure.free_retry && !job.had_free_retry {
            job.had_free_retry = true;
            job.free_attempts += 1;
        } else {
            job.failures.push(failure.code);
        }
        let so_far = job.failures.iter().filter(|code| **code == failure.code).count();
        let allowed = match traits.retry {
            Retry::ReAsk { default } => {
                let breaks_off = job.answer().is_some_and(breaks_off);
                job.default_re_asks = job.default_re_asks.max(if breaks_off { BROKEN_OFF_RE_ASKS } else { default });
                let is_left = job.re_asks < self.policy.re_asks.unwrap_or(job.default_re_asks);
                job.re_asks += u8::from(is_left);
                if is_left { usize::MAX } else { 0 }
            }
            Retry::Never => usize::from(failure.retryable == Some(true)),
            Retry::Times(times) => usize::from(times),
            Retry::UpToLimit => usize::MAX,
        };
        let again = failure.may_retry()
            && !self.members[job.member].health.asks_too_long(&failure)
            && so_far <= allowed
            && job.attempts - job.free_attempts <= self.policy.max_retries
            && !self.stopped;
        if !again {
            return Next::Record(job);
        }
        job.vary(&failure, self.members[job.member].timeout);
        // The member's pause is the delay; another member need not wait for it.
        if let Some(pause) = pause {
            return self.queue(job, failure, Duration::ZERO, pause);
        }
        let tries = job.attempts - job.free_attempts;
        let delay = match failure.retry_after {
            // An endpoint that keeps saying the same does not know.
            Some(wait) if tries > 1 || wait.is_zero() => wait.max(backoff::full_jitter(tries.saturating_sub(1))),
            Some(wait) => wait,
            // The endpoint works, the model answered badly: nothing to wait for.
            None if job.last.as_ref().is_some_and(|(attempt, _)| attempt.answer.is_some()) => Duration::ZERO,
            None => backoff::full_jitter(tries.saturating_sub(1)),
        };
        self.queue(job, failure, delay, delay)
    }
}
