//! A bucket whose level is known, because the endpoint reports it.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

use crate::endpoint::pacing::limits::Limits;
use crate::endpoint::pacing::observed::ObservedBucket;

/// No wait is longer; the endpoint will have said something else by then.
const MAX_WAIT: f64 = 86_400.0;
const SECONDS_A_MINUTE: f64 = 60.0;

/// A bucket of the endpoint's own, or a part of it that the user allows.
///
/// The level is what remained after the latest answered request, minus what was sent after it, plus what has flowed in
/// since. An endpoint that says that 39 of 40 requests remain means it, so a full bucket is used at once, and then the inflow;
/// until it refuses what it promised, because it counts in slices of a second. From then on only a slice is spent at once.
#[derive(Debug)]
pub(crate) struct Learnt {
    /// What it holds when full.
    limit: u64,
    per_second: f64,
    /// The most that may be spent at once.
    capacity: f64,
    level: f64,
    at: Instant,
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
impl Learnt {
    /// From an answer; `sent_later` is what was sent after its request. `known` is what was known before, which only an answer that is
    /// `sure` may raise.
    pub(crate) fn new(bucket: ObservedBucket, sent_later: u64, known: Option<&Self>, sure: bool) -> Self {
        let at = Instant::now();
        let reported = bucket.remaining as f64 - sent_later as f64;
        let limit = bucket.limit as f64;
        let (level, capacity) = match known {
            Some(known) if known.is_sliced() => (reported.min(known.level(at)), known.capacity),
            Some(known) if !sure => (reported.min(known.level(at)), limit),
            _ => (reported, limit),
        };
        Self { limit: bucket.limit, per_second: bucket.per_second, capacity, level, at }
    }

    /// What the user allows of a bucket that holds a minute's worth: as much per minute, minus what was `sent` since `start`. `None` for a
    /// bucket of another time, such as a day's: it says nothing about what may be sent at once.
    pub(crate) fn part_of(bucket: ObservedBucket, per_minute: NonZeroU32, sent: u64, start: Instant) -> Option<Self> {
        let is_a_minute = bucket.per_second * SECONDS_A_MINUTE > 0.9 * bucket.limit as f64;
        let limit = bucket.limit.min(u64::from(per_minute.get()));
        let (capacity, at) = (limit as f64, Instant::now());
        let per_second = f64::from(per_minute.get()) / SECONDS_A_MINUTE;
        let flowed = at.saturating_duration_since(start).as_secs_f64() * per_second;
        let level = (capacity - sent as f64 + flowed).min(capacity);
        is_a_minute.then_some(Self { limit, per_second, capacity, level, at })
    }

    /// What the bucket holds when full.
    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    fn is_sliced(&self) -> bool {
        self.capacity < self.limit as f64
    }

    fn level(&self, now: Instant) -> f64 {
        let flowed = now.saturating_duration_since(self.at).as_secs_f64() * self.per_second;
        (self.level + flowed).min(self.capacity)
    }

    /// The time when `cost` will be there; `None` if it is now. A cost above what may be spent at once waits for that much, and leaves a
    /// debt.
    pub(crate) fn wait(&self, now: Instant, cost: u64) -> Option<Instant> {
        let missing = (cost as f64).min(self.capacity) - self.level(now);
        if missing <= 0.0 {
            return None;
        }
        // One millisecond more: the endpoint's clock and ours round differently.
        let seconds = (missing / self.per_second).min(MAX_WAIT) + 0.001;
        Some(now + Duration::from_secs_f64(seconds))
    }

    pub(crate) fn take(&mut self, now: Instant, cost: u64) {
        self.level = self.level(now) - cost as f64;
        self.at = now;
    }

    /// What was taken turned out to be less, or more.
    pub(crate) fn true_up(&mut self, now: Instant, taken: u64, used: u64) {
        self.level = self.level(now) + taken as f64 - used as f64;
        self.at = now;
    }

    /// The endpoint refused for its rate, although it had reported something left.
    pub(crate) fn was_exceeded(&mut self, now: Instant) {
        if self.level(now) >= 1.0 {
            self.capacity = (self.per_second * Limits::DEFAULT_BURST.as_secs_f64()).max(1.0);
        }
        self.level = self.level(now).min(0.0);
        self.at = now;
    }
}
