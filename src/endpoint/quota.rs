//! The quota: requests and tokens a minute, spent evenly.
//!
//! Providers enforce a quota of 60,000 a minute as 1,000 a second, so a bucket holds about one second's worth. `governor` keeps
//! the two GCRA buckets, on Tokio's clock; the one dispatcher asks before each request and sleeps until the time that is named.

use std::num::NonZeroU32;
use std::ops::Add;
use std::time::Duration;

use governor::clock::{Clock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{InsufficientCapacity, NotUntil, RateLimiter};
use tokio::time::Instant;

/// What an endpoint allows (or what the user wants to take of it).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Requests a minute.
    pub rpm: Option<NonZeroU32>,
    /// Tokens a minute, prompt and answer together.
    pub tpm: Option<NonZeroU32>,
}

/// The two buckets of one endpoint and model.
#[derive(Debug)]
pub struct Quota {
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
    /// Tokens taken from the bucket and not yet given to a request; negative when requests used more than was reserved.
    prepaid: i64,
}

impl Quota {
    /// Full buckets that start to count now.
    pub fn new(limits: Limits) -> Self {
        let bucket = |per_minute: Option<NonZeroU32>| per_minute.and_then(Bucket::new);
        Self { requests: bucket(limits.rpm), tokens: bucket(limits.tpm), prepaid: 0 }
    }

    /// Takes one request of `tokens` out of the quota.
    ///
    /// A cost above a bucket's size is gathered in slices, so a long prompt waits for its own tokens only and is never
    /// overtaken for ever: what it has gathered stays its own, or goes to whichever request is asked for next.
    ///
    /// # Errors
    /// The earliest time at which it is worth asking again. Nothing is lost by asking early.
    pub fn take(&mut self, tokens: u64) -> Result<(), Instant> {
        let tokens = i64::try_from(tokens).unwrap_or(i64::MAX);
        if let Some(bucket) = &self.tokens {
            while self.prepaid < tokens {
                let missing = u32::try_from(tokens.saturating_sub(self.prepaid)).unwrap_or(u32::MAX);
                self.prepaid += i64::from(bucket.take_up_to(missing)?);
            }
        }
        if let Some(bucket) = &self.requests {
            bucket.take_up_to(1)?;
        }
        if self.tokens.is_some() {
            self.prepaid -= tokens;
        }
        Ok(())
    }

    /// Trues up a reservation once the answer says what was really used.
    pub fn settle(&mut self, reserved: u64, used: u64) {
        if self.tokens.is_some() {
            let signed = |n| i64::try_from(n).unwrap_or(i64::MAX);
            self.prepaid = self.prepaid.saturating_add(signed(reserved)).saturating_sub(signed(used));
        }
    }
}

#[derive(Debug)]
struct Bucket {
    limiter: RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<TokioTime>>,
    burst: NonZeroU32,
}

impl Bucket {
    fn new(per_minute: NonZeroU32) -> Option<Self> {
        let burst = NonZeroU32::new(per_minute.get() / 60).unwrap_or(NonZeroU32::MIN);
        // Rounded up, so that the rate is never above the quota.
        let period = Duration::from_nanos(60_000_000_000_u64.div_ceil(u64::from(per_minute.get())));
        let quota = governor::Quota::with_period(period)?.allow_burst(burst);
        Some(Self { limiter: RateLimiter::direct_with_clock(quota, TokioClock { start: Instant::now() }), burst })
    }

    /// Takes `n`, or as much of it as the bucket can ever hold; or names the time when that much will be there.
    fn take_up_to(&self, n: u32) -> Result<u32, Instant> {
        let slice = NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN).min(self.burst);
        match self.limiter.check_n(slice) {
            Ok(Ok(())) => Ok(slice.get()),
            Ok(Err(not_until)) => Err(self.instant(&not_until)),
            // Cannot happen: a slice is never above the burst.
            Err(InsufficientCapacity(_)) => Ok(slice.get()),
        }
    }

    fn instant(&self, not_until: &NotUntil<TokioTime>) -> Instant {
        self.limiter.clock().start + Duration::from_nanos(not_until.earliest_possible().0)
    }
}

/// Tokio's clock, which tests can pause.
#[derive(Debug, Clone)]
struct TokioClock {
    start: Instant,
}

/// Nanoseconds since the clock's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct TokioTime(u64);

impl Clock for TokioClock {
    type Instant = TokioTime;

    fn now(&self) -> TokioTime {
        TokioTime(u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}

impl Add<Nanos> for TokioTime {
    type Output = Self;

    fn add(self, nanos: Nanos) -> Self {
        Self(self.0.saturating_add(nanos.as_u64()))
    }
}

impl Reference for TokioTime {
    fn duration_since(&self, earlier: Self) -> Nanos {
        self.0.saturating_sub(earlier.0).into()
    }

    fn saturating_sub(&self, duration: Nanos) -> Self {
        Self(self.0.saturating_sub(duration.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(rpm: u32, tpm: u32) -> Limits {
        Limits { rpm: NonZeroU32::new(rpm), tpm: NonZeroU32::new(tpm) }
    }

    /// Takes requests as the dispatcher does; the time that the last one was let through.
    async fn drain(quota: &mut Quota, costs: impl IntoIterator<Item = u64>) -> Duration {
        let start = Instant::now();
        for cost in costs {
            while let Err(at) = quota.take(cost) {
                assert!(at > Instant::now(), "the time to ask again lies ahead");
                tokio::time::sleep_until(at).await;
            }
        }
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn requests_flow_at_the_rate_after_one_seconds_worth() {
        let mut quota = Quota::new(limits(600, 0));
        let took = drain(&mut quota, std::iter::repeat_n(1, 110)).await;
        // 10 at once, then 100 at 10 a second.
        assert!((9.99..10.02).contains(&took.as_secs_f64()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_rate_lets_one_through_at_once() {
        let mut quota = Quota::new(limits(40, 0));
        let took = drain(&mut quota, std::iter::repeat_n(1, 3)).await;
        assert!((3.0..3.01).contains(&took.as_secs_f64()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_cost_above_the_burst_is_gathered_and_nothing_is_lost() {
        let mut quota = Quota::new(limits(0, 60_000));
        let took = drain(&mut quota, [5_000, 10, 5_000, 990]).await;
        // 11,000 tokens at 1,000 a second, of which the first 1,000 were there.
        assert!((9.99..10.02).contains(&took.as_secs_f64()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_request_did_not_use_serves_the_next() {
        let mut quota = Quota::new(limits(0, 60_000));
        assert!(drain(&mut quota, [1_000]).await.is_zero());
        quota.settle(1_000, 200);
        assert!(drain(&mut quota, [800]).await.is_zero());
        quota.settle(800, 1_800);
        let took = drain(&mut quota, [1]).await;
        assert!((1.0..1.01).contains(&took.as_secs_f64()), "{took:?}");
    }

    #[test]
    fn without_limits_nothing_waits() {
        let mut quota = Quota::new(Limits::default());
        assert!((0..1000).all(|_| quota.take(u64::MAX).is_ok()));
    }
}
