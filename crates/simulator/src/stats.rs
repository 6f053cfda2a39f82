//! What the simulator has seen and done.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::completion::Usage;
use super::fault::Fault;

/// Counts over the simulator's life, of chat requests, also those in batches; `GET /stats` gives them as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Requests that came in with their whole body.
    pub requests: u64,
    /// Requests with different bodies.
    pub distinct_requests: u64,
    /// Good answers: status 200 without a fault, or with one that only delays it or mislabels it.
    pub answered: u64,
    /// Good answers to a request that had got one before: what was paid for twice.
    pub answered_again: u64,
    /// Requests that were over the limits (429, and no fault of the plan).
    pub rate_limited: u64,
    /// Answers by HTTP status; a connection that ended without an answer has none.
    pub answers_by_status: BTreeMap<u16, u64>,
    /// Faults by their name in the plan.
    pub faults: BTreeMap<String, u64>,
    /// Batches that were submitted.
    pub batches: u64,
    /// Lines of those that passed validation.
    pub batch_lines: u64,
    /// Of these, with the `custom_id` of an earlier one.
    pub batch_lines_again: u64,
    /// Requests that are being answered now.
    pub concurrent_requests: u64,
    /// The most that were being answered at once.
    pub max_concurrent_requests: u64,
    /// Tokens of the prompts, as reported in all `usage` objects.
    pub prompt_tokens: u64,
    /// Tokens of the answers, as reported in all `usage` objects.
    pub completion_tokens: u64,
}

/// Counts while the simulator runs. About 10 bytes are kept for each distinct request.
#[derive(Debug, Default)]
pub(super) struct Counters(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// All but what the following fields hold.
    stats: Stats,
    faults: BTreeMap<Fault, u64>,
    /// The keys of the requests that have a good answer, and of those that have none yet. No key is in both.
    answered: HashSet<u64>,
    unanswered: HashSet<u64>,
}

/// What came of a request.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Outcome {
    pub(super) status: Option<u16>,
    pub(super) fault: Option<Fault>,
    pub(super) rate_limited: bool,
    pub(super) usage: Option<(u64, u64)>,
}

impl Outcome {
    pub(super) fn usage(&mut self, usage: &Usage) {
        self.usage = Some((usage.prompt_tokens, usage.completion_tokens));
    }

    fn is_good(&self) -> bool {
        self.status == Some(200) && self.fault.is_none_or(Fault::is_harmless)
    }
}

impl Counters {
    /// Counts a request. It is being answered until the guard goes, also when the client goes first.
    pub(super) fn enter(&self, key: u64) -> InFlight<'_> {
        let mut counts = self.lock();
        if !counts.answered.contains(&key) {
            counts.unanswered.insert(key);
        }
        let stats = &mut counts.stats;
        stats.requests += 1;
        stats.concurrent_requests += 1;
        stats.max_concurrent_requests = stats.max_concurrent_requests.max(stats.concurrent_requests);
        InFlight { counters: self, key, outcome: Outcome::default() }
    }

    pub(super) fn stats(&self) -> Stats {
        let counts = self.lock();
        Stats {
            distinct_requests: (counts.answered.len() + counts.unanswered.len()) as u64,
            faults: counts.faults.iter().map(|(fault, n)| (fault.to_string(), *n)).collect(),
            ..counts.stats.clone()
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct InFlight<'a> {
    counters: &'a Counters,
    key: u64,
    /// Counted when the guard goes.
    pub(super) outcome: Outcome,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let mut guard = self.counters.lock();
        let counts = &mut *guard;
        let stats = &mut counts.stats;
        stats.concurrent_requests -= 1;
        stats.rate_limited += u64::from(self.outcome.rate_limited);
        if let Some(status) = self.outcome.status {
            *stats.answers_by_status.entry(status).or_default() += 1;
        }
        if let Some(fault) = self.outcome.fault {
            *counts.faults.entry(fault).or_default() += 1;
        }
        if let Some((prompt, completion)) = self.outcome.usage {
            stats.prompt_tokens += prompt;
            stats.completion_tokens += completion;
        }
        if self.outcome.is_good() {
            stats.answered += 1;
            counts.unanswered.remove(&self.key);
            stats.answered_again += u64::from(!counts.answered.insert(self.key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_given_twice_is_seen() {
        let counters = Counters::default();
        let ask = |key, status, fault| counters.enter(key).outcome = Outcome { status, fault, ..Outcome::default() };
        ask(1, Some(500), Some(Fault::Status(500)));
        ask(1, Some(200), None);
        ask(2, Some(200), Some(Fault::Empty));
        ask(2, None, Some(Fault::Reset));
        assert_eq!((counters.stats().answered, counters.stats().answered_again), (1, 0));
        ask(1, Some(200), Some(Fault::Slow));
        let stats = counters.stats();
        assert_eq!((stats.requests, stats.distinct_requests, stats.answered, stats.answered_again), (5, 2, 2, 1));
        assert_eq!(stats.answers_by_status, BTreeMap::from([(200, 3), (500, 1)]));
        let names: Vec<_> = stats.faults.keys().map(String::as_str).collect();
        assert_eq!(names, ["500", "empty", "reset", "slow"]);
    }

    #[test]
    fn the_most_concurrent_requests_are_kept() {
        let counters = Counters::default();
        let (first, second) = (counters.enter(1), counters.enter(2));
        drop(first);
        let third = counters.enter(3);
        assert_eq!((counters.stats().concurrent_requests, counters.stats().max_concurrent_requests), (2, 2));
        drop((second, third));
        assert_eq!((counters.stats().concurrent_requests, counters.stats().max_concurrent_requests), (0, 2));
    }
}
