//! A bucket of requests or tokens that the user gives: this process's own, or one shared with others.

use std::num::NonZeroU32;
use std::ops::Add;
use std::time::Duration;

use governor::clock::{Clock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{InsufficientCapacity, NotUntil, RateLimiter};
use tokio::time::Instant;

use super::shared::{Kind, Share};

/// A bucket from which each request is taken.
#[derive(Debug)]
pub(crate) enum Bucket {
    Own(Own),
    Shared(Share, Kind),
}

impl Bucket {
    /// A full one for this process alone.
    pub(crate) fn own(per_minute: NonZeroU32, burst: Duration) -> Option<Self> {
        Own::new(per_minute, burst).map(Self::Own)
    }

    /// Takes `n`, or as much of it as the bucket can hold at once; or returns the time when that much will be available.
    pub(crate) fn take_up_to(&self, n: u32) -> Result<u32, Instant> {
        match self {
            Self::Own(own) => own.take_up_to(n),
            Self::Shared(share, kind) => share.take_up_to(*kind, n),
        }
    }

    pub(crate) fn is_own(&self) -> bool {
        matches!(self, Self::Own(_))
    }
}

#[derive(Debug)]
pub(crate) struct Own {
    limiter: RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<TokioTime>>,
    burst: NonZeroU32,
}

impl Own {
    fn new(per_minute: NonZeroU32, burst: Duration) -> Option<Self> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive; saturates")]
        let burst = (f64::from(per_minute.get()) / 60.0 * burst.as_secs_f64() + 1e-9) as u32;
        let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
        // Rounded up, so that the rate is never above the quota.
        let period = Duration::from_nanos(60_000_000_000_u64.div_ceil(u64::from(per_minute.get())));
        let quota = governor::Quota::with_period(period)?.allow_burst(burst);
        Some(Self { limiter: RateLimiter::direct_with_clock(quota, TokioClock { start: Instant::now() }), burst })
    }

    /// Takes `n`, or as much of it as the bucket can ever hold; or returns the time when that much will be available.
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
