//! The quota that the simulator enforces: token buckets for requests and tokens, as OpenAI's.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Requests and tokens per minute, either of them without a limit if `None`.
#[derive(Debug)]
pub(super) struct Limits {
    buckets: Mutex<[Option<Bucket>; 2]>,
}

/// What a bucket counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Requests,
    Tokens,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
        }
    }
}

/// The state of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Level {
    pub(super) limit: u64,
    /// Rounded up.
    pub(super) used: u64,
    /// How long until nothing counts as used.
    pub(super) reset: Duration,
}

/// Why a request was not admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) kind: Kind,
    pub(super) limit: u64,
    pub(super) requested: u64,
    /// What the request exceeds, and how long until it fits; `None` if it never will.
    pub(super) later: Option<(u64, Duration)>,
}

impl Refusal {
    /// For a fault `429`: the wait is long enough to notice and short enough for a test run.
    pub(super) const PRETENDED: Self =
        Self { kind: Kind::Requests, limit: 300, requested: 1, later: Some((300, Duration::from_millis(200))) };
}

impl Limits {
    /// `burst` is how much may be spent at once, as the time in which it flows in.
    pub(super) fn new(rpm: Option<u32>, tpm: Option<u64>, burst: Duration) -> Self {
        let now = Instant::now();
        let requests = rpm.map(|rpm| Bucket::new(Kind::Requests, u64::from(rpm), burst, now));
        let tokens = tpm.map(|tpm| Bucket::new(Kind::Tokens, tpm, burst, now));
        Self { buckets: Mutex::new([requests, tokens]) }
    }

    fn lock(&self) -> MutexGuard<'_, [Option<Bucket>; 2]> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one request and `tokens` from the buckets, or nothing.
    ///
    /// # Errors
    /// The refusal with the longest wait, when either bucket holds too little.
    pub(super) fn admit(&self, tokens: u64) -> Result<(), Refusal> {
        let now = Instant::now();
        let mut buckets = self.lock();
        let both = || [1, tokens].into_iter();
        let refusals = buckets.iter_mut().zip(both()).filter_map(|(bucket, n)| bucket.as_mut()?.check(n, now).err());
        match refusals.max_by_key(|refusal| refusal.later.map_or(Duration::MAX, |(_, wait)| wait)) {
            Some(refusal) => Err(refusal),
            None => {
                buckets.iter_mut().zip(both()).for_each(|(bucket, n)| {
                    if let Some(bucket) = bucket {
                        bucket.level -= n as f64;
                    }
                });
                Ok(())
            }
        }
    }

    /// Gives back tokens that were taken but not used.
    pub(super) fn refund(&self, tokens: u64) {
        if let [_, Some(bucket)] = &mut *self.lock() {
            bucket.level = (bucket.level + tokens as f64).min(bucket.capacity());
        }
    }

    /// The state of the buckets of requests and of tokens, if there are any.
    pub(super) fn levels(&self) -> [Option<Level>; 2] {
        let now = Instant::now();
        self.lock().each_mut().map(|bucket| Some(bucket.as_mut()?.state(now)))
    }
}

/// A token bucket that is refilled continuously and holds what flows in during one burst, at least 1.
///
/// A request that costs more than the bucket holds is admitted when it is full and leaves a debt: so the average rate is exact, and no
/// burst is longer than it may be or one request.
#[derive(Debug)]
struct Bucket {
    kind: Kind,
    /// Per minute.
    limit: u64,
    burst: Duration,
    level: f64,
    refilled: Instant,
}

/// Below a millionth of a request or token, a difference is rounding.
const ROUNDING: f64 = 1e-6;

impl Bucket {
    /// A full bucket. A limit of 0 would never admit anything and counts as 1.
    fn new(kind: Kind, limit: u64, burst: Duration, now: Instant) -> Self {
        let mut bucket = Self { kind, limit: limit.max(1), burst, level: 0.0, refilled: now };
        bucket.level = bucket.capacity();
        bucket
    }

    fn per_second(&self) -> f64 {
        self.limit as f64 / 60.0
    }

    fn capacity(&self) -> f64 {
        (self.per_second() * self.burst.as_secs_f64()).max(1.0)
    }

    fn time_for(&self, n: f64) -> Duration {
        Duration::try_from_secs_f64(n.max(0.0) / self.per_second()).unwrap_or(Duration::MAX)
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.refilled).as_secs_f64();
        self.level = (self.level + passed * self.per_second()).min(self.capacity());
        self.refilled = now;
    }

    /// As OpenAI counts: used / reset is the rate, and after the reset the bucket is full.
    fn state(&mut self, now: Instant) -> Level {
        self.refill(now);
        let used = self.capacity() - self.level;
        Level { limit: self.limit, used: (used - ROUNDING).max(0.0).ceil() as u64, reset: self.time_for(used) }
    }

    fn check(&mut self, n: u64, now: Instant) -> Result<(), Refusal> {
        self.refill(now);
        let missing = self.capacity().min(n as f64) - self.level;
        if n <= self.limit && missing <= ROUNDING {
            return Ok(());
        }
        // So that OpenAI's arithmetic holds: the wait is (used + requested - limit) / rate.
        let used = (self.limit as f64 + missing - n as f64).max(0.0).ceil() as u64;
        let later = (n <= self.limit).then(|| (used, self.time_for(missing)));
        Err(Refusal { kind: self.kind, limit: self.limit, requested: n, later })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(refused: Result<(), Refusal>) -> Option<Duration> {
        refused.unwrap_err().later.map(|(_, wait)| wait)
    }

    const SECOND: Duration = Duration::from_secs(1);

    fn level(limit: u64, used: u64, reset_seconds: u64) -> Option<Level> {
        Some(Level { limit, used, reset: Duration::from_secs(reset_seconds) })
    }

    #[tokio::test(start_paused = true)]
    async fn requests_come_in_bursts_of_a_second_and_then_at_the_rate() {
        let limits = Limits::new(Some(600), None, SECOND);
        assert!((0..10).all(|_| limits.admit(1_000_000) == Ok(())));
        assert_eq!(wait(limits.admit(0)), Some(Duration::from_millis(100)));
        tokio::time::advance(Duration::from_millis(99)).await;
        assert!(limits.admit(0).is_err());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(limits.admit(0), Ok(()));
        assert!(limits.admit(0).is_err());
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!((0..100).filter(|_| limits.admit(0).is_ok()).count(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn below_one_request_a_second_one_is_admitted_at_a_time() {
        let limits = Limits::new(Some(3), None, SECOND);
        assert_eq!(limits.admit(0), Ok(()));
        assert_eq!(wait(limits.admit(0)), Some(Duration::from_secs(20)));
        assert_eq!(limits.levels(), [level(3, 1, 20), None]);
        tokio::time::advance(Duration::from_secs(20)).await;
        assert_eq!(limits.admit(0), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_request_waits_for_a_full_bucket_and_leaves_a_debt() {
        let limits = Limits::new(None, Some(6_000), SECOND);
        assert_eq!(limits.admit(1_000), Ok(()), "ten times what the bucket holds");
        assert_eq!(wait(limits.admit(50)), Some(Duration::from_millis(9_500)));
        assert_eq!(wait(limits.admit(1_000)), Some(Duration::from_secs(10)));
        assert_eq!(limits.levels(), [None, level(6_000, 1_000, 10)]);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(limits.admit(1_000), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_request_takes_from_neither_bucket() {
        let limits = Limits::new(Some(60), Some(6_000), SECOND);
        assert_eq!(limits.admit(6_001).unwrap_err().later, None);
        assert_eq!(limits.admit(6_000), Ok(()));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(limits.admit(100).unwrap_err().kind, Kind::Tokens);
        assert_eq!(limits.levels(), [level(60, 0, 0), level(6_000, 5_900, 59)]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_average_rate_is_the_limit() {
        let limits = Limits::new(Some(6_000), Some(60_000), SECOND);
        let mut admitted = 0;
        for _ in 0..60_000 {
            admitted += u64::from(limits.admit(37).is_ok());
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        let tokens = admitted * 37;
        assert!((60_000..=61_037).contains(&tokens), "a minute's tokens and at most a second's more: {tokens}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_of_a_minute_is_a_minutes_worth_at_once() {
        let limits = Limits::new(Some(5), Some(1_000), 60 * SECOND);
        assert!((0..5).all(|_| limits.admit(100) == Ok(())));
        assert_eq!(limits.levels(), [level(5, 5, 60), level(1_000, 500, 30)]);
        assert_eq!(wait(limits.admit(0)), Some(12 * SECOND));
        tokio::time::advance(12 * SECOND).await;
        assert_eq!(limits.admit(0), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refunded_can_be_taken_again_once() {
        let limits = Limits::new(Some(60), Some(600), 60 * SECOND);
        assert_eq!(limits.admit(600), Ok(()));
        assert!(limits.admit(400).is_err());
        limits.refund(400);
        assert_eq!(limits.admit(400), Ok(()));
        limits.refund(9_000);
        assert_eq!(limits.levels()[1], level(600, 0, 0), "not more than full");
    }

    #[tokio::test(start_paused = true)]
    async fn openais_arithmetic_holds_in_a_refusal() {
        let limits = Limits::new(Some(50), Some(30_000), SECOND);
        assert_eq!(limits.admit(1), Ok(()));
        let later = Some((50, Duration::from_millis(1_200)));
        assert_eq!(limits.admit(1), Err(Refusal { kind: Kind::Requests, limit: 50, requested: 1, later }));
        let never = Refusal { kind: Kind::Tokens, limit: 30_000, requested: 44_000, later: None };
        assert_eq!(limits.admit(44_000), Err(never));
    }
}
