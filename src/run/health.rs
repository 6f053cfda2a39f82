//! How an endpoint fares: what its failures in a row mean for the rest of the run.

use std::time::Duration;

use tokio::time::Instant;

use super::job::Job;
use crate::endpoint::Failure;
use crate::feedback::{ErrorCode, Pause, Retry};

/// After so many judgments in a row (or two rounds of what may be in flight) that the endpoint left without an answer, it is given up.
const NOTHING_BUT_FAILURES: u64 = 20;
/// It is also given up when nothing was answered for so long, although it was asked again and again.
const LONGEST_OUTAGE: Duration = Duration::from_secs(15 * 60);
/// After so many failures in a row of an endpoint that has answered before, everybody waits.
const CIRCUIT_BREAKER: u8 = 5;

/// What is remembered of an endpoint's answers and failures.
#[derive(Debug)]
pub(super) struct Health {
    /// It has given a verdict, in this run or, by the log, in an earlier one.
    proven: bool,
    /// Judgments that it left without an answer, since it last answered; and since when.
    unanswered: u64,
    outage_since: Option<Instant>,
    /// Failures in a row with the same code, and when the last one came back.
    streak: Option<(ErrorCode, u8, Instant)>,
    /// A pause that is longer than the run will wait.
    longest_pause: Duration,
    patience: u64,
    longest_outage: Duration,
}

/// Why an endpoint is asked no more.
pub(super) enum GivenUp {
    /// It says so, or its failures do.
    Fatal { message: String },
    /// It does not answer any more.
    Outage { judgments: u64, minutes: u64 },
}

impl Health {
    pub(super) fn new(proven: bool, longest_pause: Duration, concurrency: usize, timeout: Duration) -> Self {
        Self {
            proven,
            unanswered: 0,
            outage_since: None,
            streak: None,
            longest_pause,
            patience: NOTHING_BUT_FAILURES.max(2 * concurrency as u64),
            longest_outage: LONGEST_OUTAGE.max(2 * timeout),
        }
    }

    /// A verdict came.
    pub(super) fn succeeded(&mut self) {
        self.proven = true;
        self.streak = None;
        self.is_alive();
    }

    fn is_alive(&mut self) {
        self.unanswered = 0;
        self.outage_since = None;
    }

    /// A failure in the light of what was before: a host that has answered and now can't be found, or whose certificate is wrong for
    /// once, has a passing trouble.
    pub(super) fn seen_from_here(&self, mut failure: Box<Failure>) -> Box<Failure> {
        if self.proven && failure.code == ErrorCode::ConnectionError && failure.fatal {
            failure.fatal = false;
            failure.retryable = None;
            failure.pause = Some(Pause::Endpoint);
        }
        failure
    }

    /// Takes in a failed attempt. Returns whether the endpoint is broken: everybody should wait.
    ///
    /// Failures of requests that were in flight together are one sign of trouble, not many; and a connection that had been closed while it was
    /// idle is none.
    pub(super) fn failed(&mut self, job: &Job, failure: &Failure) -> bool {
        let now = Instant::now();
        let free = failure.free_retry && !job.had_free_retry;
        let together = matches!((self.streak, job.sent_at), (Some((_, _, last)), Some(sent)) if sent <= last);
        let in_a_row = match self.streak {
            Some((code, n, _)) if code == failure.code => n.saturating_add(u8::from(!together)),
            _ => 1,
        };
        if !free && (!together || self.streak.is_none_or(|(code, ..)| code != failure.code)) {
            self.streak = Some((failure.code, in_a_row, now));
        }
        if failure.code.traits().unanswered {
            self.outage_since.get_or_insert(now);
        } else {
            self.is_alive();
        }
        self.proven && in_a_row >= CIRCUIT_BREAKER && failure.code.traits().retry == Retry::UpToLimit
    }

    /// Whether the endpoint is to be asked no more after this failure, which was final if `recorded`.
    pub(super) fn given_up(&mut self, failure: &Failure, recorded: bool) -> Option<GivenUp> {
        if self.asks_too_much(failure) {
            let wait = failure.retry_after.unwrap_or_default().as_secs();
            let words = &failure.message;
            let message = format!("it asks to wait {wait} s, which is more than --max-retry-after: {words}");
            return Some(GivenUp::Fatal { message });
        }
        let traits = failure.code.traits();
        let limit = if self.proven { traits.stops.proven } else { traits.stops.unproven };
        let streak = self.streak.map_or(0, |(_, n, _)| n);
        if failure.fatal || limit.is_some_and(|limit| streak >= limit) {
            return Some(GivenUp::Fatal { message: failure.message.clone() });
        }
        self.unanswered += u64::from(recorded && traits.unanswered);
        let out_for = self.outage_since.map_or(Duration::ZERO, |since| since.elapsed());
        (self.unanswered >= self.patience || out_for >= self.longest_outage)
            .then_some(GivenUp::Outage { judgments: self.unanswered, minutes: out_for.as_secs() / 60 })
    }

    /// Whether the endpoint asks for a pause that is longer than this run should wait.
    pub(super) fn asks_too_much(&self, failure: &Failure) -> bool {
        failure.may_retry()
            && failure.pause_scope() == Pause::Endpoint
            && failure.retry_after.is_some_and(|wait| wait > self.longest_pause)
    }

    /// The pause that is obeyed.
    pub(super) fn pause(&self, failure: &Failure) -> Option<Duration> {
        failure.retry_after.filter(|wait| *wait <= self.longest_pause && !failure.concurrency_limit)
    }
}
