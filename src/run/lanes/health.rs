//! The health of an endpoint: what consecutive failures mean for the rest of the run.

use std::time::Duration;

use tokio::time::Instant;

use crate::endpoint::Failure;
use crate::feedback::{ErrorCode, Pause, Retry};
use crate::run::dispatch::stop::GivenUp;

/// The endpoint is given up after this many consecutive judgments (or two rounds of what may be in flight) without an answer.
const MAX_UNANSWERED: u64 = 20;
/// It is also given up when nothing was answered for this long, despite repeated requests.
const MAX_OUTAGE: Duration = Duration::from_secs(15 * 60);
/// After this many consecutive failures of an endpoint that has answered before, all its requests wait.
const CIRCUIT_BREAKER: u8 = 5;
/// An endpoint that has never answered, and says the same this many times, will say it again.
const MAX_SAME_WORDS: u32 = 8;

/// What is remembered about an endpoint's answers and failures.
#[derive(Debug)]
pub(in crate::run) struct Health {
    /// It has given a verdict, in this run or, by the log, in an earlier one.
    proven: bool,
    /// Judgments that it left without an answer, since it last answered; and since when.
    unanswered: u64,
    outage_since: Option<Instant>,
    streak: Option<Streak>,
    same_words: SameWords,
    /// The longest pause that the run waits.
    max_pause: Duration,
    max_unanswered: u64,
    max_outage: Duration,
}

/// Failures in a row with the same code.
#[derive(Debug, Clone, Copy)]
struct Streak {
    code: ErrorCode,
    length: u8,
    /// When the last one came back.
    last: Instant,
}

/// Consecutive attempts that failed with the same message.
#[derive(Debug, Default)]
struct SameWords {
    words: String,
    attempts: u32,
}

impl SameWords {
    fn add(&mut self, failure: &Failure) {
        // What changes from one message to the next has digits: ids, amounts, times.
        let is_word = |word: &&str| !word.contains(|c: char| c.is_ascii_digit());
        let words: String = failure.message.split_whitespace().filter(is_word).collect();
        if self.words == words {
            self.attempts += 1;
        } else {
            *self = Self { words, attempts: 1 };
        }
    }
}

impl Health {
    pub(in crate::run) fn new(proven: bool, max_pause: Duration, concurrency: usize, timeout: Duration) -> Self {
        Self {
            proven,
            unanswered: 0,
            outage_since: None,
            streak: None,
            same_words: SameWords::default(),
            max_pause,
            max_unanswered: MAX_UNANSWERED.max(2 * concurrency as u64),
            max_outage: MAX_OUTAGE.max(2 * timeout),
        }
    }

    /// A verdict came.
    pub(in crate::run) fn succeeded(&mut self) {
        self.proven = true;
        self.streak = None;
        self.end_outage();
    }

    /// Whether it has ever given a verdict.
    pub(in crate::run) fn is_proven(&self) -> bool {
        self.proven
    }

    fn end_outage(&mut self) {
        self.unanswered = 0;
        self.outage_since = None;
    }

    /// A failure in the light of what came before: a host that has answered and now cannot be found, or whose certificate is wrong for once,
    /// has a passing trouble.
    pub(in crate::run) fn in_context(&self, mut failure: Box<Failure>) -> Box<Failure> {
        if self.proven && failure.fatal && failure.code.traits().passes_once_proven {
            failure.fatal = false;
            failure.retryable = None;
            failure.pause = Some(Pause::Endpoint);
        }
        failure
    }

    /// Records a failed attempt that was sent at this time. Returns whether the endpoint is broken: all its requests should wait.
    ///
    /// Failures of requests that were in flight together are one sign of trouble, not many; and a `harmless` one, such as a connection that had
    /// been closed while it was idle, does not count.
    pub(in crate::run) fn failed(&mut self, failure: &Failure, sent_at: Option<Instant>, harmless: bool) -> bool {
        let now = Instant::now();
        let traits = failure.code.traits();
        let same = self.streak.filter(|streak| streak.code == failure.code);
        let is_together = self.streak.zip(sent_at).is_some_and(|(streak, sent)| sent <= streak.last);
        let length = match same {
            Some(streak) => streak.length.saturating_add(u8::from(!is_together)),
            None => 1,
        };
        if !harmless && (!is_together || same.is_none()) {
            self.streak = Some(Streak { code: failure.code, length, last: now });
        }
        if traits.is_unanswered {
            self.outage_since.get_or_insert(now);
        } else {
            self.end_outage();
        }
        self.same_words.add(failure);
        self.proven && length >= CIRCUIT_BREAKER && traits.retry == Retry::UpToLimit
    }

    /// Why the endpoint is no longer asked after this failure, which was final for its judgment if `is_final`; `None` if it is still asked.
    pub(in crate::run) fn given_up(&mut self, failure: &Failure, is_final: bool) -> Option<GivenUp> {
        let (code, message) = (failure.code, failure.message.clone());
        let traits = code.traits();
        if self.asks_too_long(failure) {
            let wait = failure.retry_after.unwrap_or_default();
            return Some(GivenUp::AsksTooLong { code, message, wait, max: self.max_pause });
        }
        let limit = if self.proven { traits.stops_after.proven } else { traits.stops_after.unproven };
        let streak = self.streak.map_or(0, |streak| streak.length);
        if failure.fatal || limit.is_some_and(|limit| streak >= limit) {
            return Some(GivenUp::Refused { code, message });
        }
        self.unanswered += u64::from(is_final && traits.is_unanswered);
        let lasting = self.outage_since.map_or(Duration::ZERO, |since| since.elapsed());
        let is_out = self.unanswered >= self.max_unanswered || lasting >= self.max_outage;
        if is_out {
            return Some(GivenUp::Outage { judgments: self.unanswered, lasting, code, message });
        }
        let attempts = self.same_words.attempts;
        (is_final && self.is_hopeless(failure)).then_some(GivenUp::Hopeless { attempts, code, message })
    }

    /// Whether it has never answered, and always gives the same failure, which is not about load: that passes.
    fn is_hopeless(&self, failure: &Failure) -> bool {
        let is_fault = failure.code.traits().retry == Retry::UpToLimit && failure.pause_scope() == Pause::Request;
        !self.proven && is_fault && self.same_words.attempts >= MAX_SAME_WORDS
    }

    /// Whether the endpoint asks for a longer pause than this run waits.
    pub(in crate::run) fn asks_too_long(&self, failure: &Failure) -> bool {
        failure.may_retry()
            && failure.pause_scope() == Pause::Endpoint
            && failure.retry_after.is_some_and(|wait| wait > self.max_pause)
    }

    /// The pause that the endpoint asks for, if the run obeys it.
    pub(in crate::run) fn pause(&self, failure: &Failure) -> Option<Duration> {
        failure.retry_after.filter(|wait| *wait <= self.max_pause && !failure.concurrency_limit)
    }
}

#[cfg(test)]
mod tests;
