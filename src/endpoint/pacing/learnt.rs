//! A bucket of the endpoint's own, followed from what it said last.

use std::time::Duration;

use tokio::time::Instant;

use crate::endpoint::pacing::observed::ObservedBucket;
use crate::endpoint::pacing::quota::Limits;

/// No wait is longer; the endpoint will have said something else by then.
const LONGEST_WAIT: f64 = 86_400.0;

/// A bucket that the endpoint tells of.
///
/// The level is what remained after the latest request that was answered, less what was sent after it, plus what has flowed in
/// since. An endpoint that says that 39 of 40 requests remain means it, so a full bucket is used at once, and the flow after that;
/// until it refuses what it promised, because it counts in slices of a second. From then on a slice is all that is spent at once.
#[derive(Debug)]
pub(crate) struct Learnt {
    bucket: ObservedBucket,
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
        let told = bucket.remaining as f64 - sent_later as f64;
        let limit = bucket.limit as f64;
        let (level, capacity) = match known {
            Some(known) if known.is_sliced() => (told.min(known.level(at)), known.capacity),
            Some(known) if !sure => (told.min(known.level(at)), limit),
            _ => (told, limit),
        };
        Self { bucket, capacity, level, at }
    }

    /// What the bucket holds when full.
    pub(crate) fn limit(&self) -> u64 {
        self.bucket.limit
    }

    fn is_sliced(&self) -> bool {
        self.capacity < self.bucket.limit as f64
    }

    fn level(&self, now: Instant) -> f64 {
        let flowed = now.saturating_duration_since(self.at).as_secs_f64() * self.bucket.per_second;
        (self.level + flowed).min(self.capacity)
    }

    /// The time when `cost` will be there; `None` if it is now. A cost above what may be spent at once waits for that much, and leaves a
    /// debt.
    pub(crate) fn wait(&self, now: Instant, cost: u64) -> Option<Instant> {
        let missing = (cost as f64).min(self.capacity) - self.level(now);
        if missing <= 0.0 {
            return None;
        }
        // A millisecond more: the endpoint's clock and ours round differently.
        let seconds = (missing / self.bucket.per_second).min(LONGEST_WAIT) + 0.001;
        Some(now + Duration::from_secs_f64(seconds))
    }

    pub(crate) fn take(&mut self, now: Instant, cost: u64) {
        self.level = self.level(now) - cost as f64;
        self.at = now;
    }

    /// The endpoint refused for its rate, although something was left by its own words.
    pub(crate) fn was_exceeded(&mut self, now: Instant) {
        if self.level(now) >= 1.0 {
            self.capacity = (self.bucket.per_second * Limits::DEFAULT_BURST.as_secs_f64()).max(1.0);
        }
        self.level = self.level(now).min(0.0);
        self.at = now;
    }
}
