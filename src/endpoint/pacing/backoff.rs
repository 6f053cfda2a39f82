//! How long to wait before trying again, when the endpoint does not say.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

/// The first delay's upper end.
pub const FIRST_DELAY: Duration = Duration::from_secs(1);
/// No delay is longer.
pub const MAX_DELAY: Duration = Duration::from_secs(60);

/// A delay with full jitter: anywhere between zero and 1, 2, 4, ... 60 seconds, by the number of previous failures.
///
/// Source: AWS Architecture Blog, "Exponential Backoff And Jitter".
pub fn full_jitter(failures_before: u32) -> Duration {
    ceiling(failures_before).mul_f64(fastrand::f64())
}

/// A delay of at least half of that: for a pause that one probe ends, so there is no herd to spread.
pub fn equal_jitter(failures_before: u32) -> Duration {
    ceiling(failures_before).mul_f64(0.5 + 0.5 * fastrand::f64())
}

/// The upper end of the delay after this many failures.
pub fn ceiling(failures_before: u32) -> Duration {
    ExponentialBuilder::new()
        .with_min_delay(FIRST_DELAY)
        .with_max_delay(MAX_DELAY)
        .with_factor(2.0)
        .without_max_times()
        .build()
        .nth(failures_before.min(16) as usize)
        .unwrap_or(MAX_DELAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_a_minute_and_are_jittered_from_nothing() {
        let seconds: Vec<_> = (0..8).map(|n| ceiling(n).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60]);
        let delays: Vec<_> = (0..1000).map(|_| full_jitter(3).as_secs_f64()).collect();
        assert!(delays.iter().all(|delay| (0.0..8.0).contains(delay)));
        assert!(delays.iter().any(|delay| *delay < 1.0) && delays.iter().any(|delay| *delay > 7.0));
    }
}
