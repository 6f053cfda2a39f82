//! Finding a rate that nobody tells.
//!
//! An endpoint that refuses for its rate, again and again, without saying what the rate is, is asked at even intervals: the interval grows
//! at each refusal and shrinks a little at each answer (multiplicative increase and decrease, so it hovers just below the limit). One
//! refusal alone starts nothing: it may be a passing trouble, for which the pause is enough.

use std::time::Duration;

use tokio::time::Instant;

/// A refusal after fewer answers than this since the last one is a sign of a rate.
const FEW_ANSWERS: u32 = 4;
const GROWTH: f64 = 1.25;
const SHRINKAGE: f64 = 0.92;
/// Where the endpoint does not say how long to wait, the first interval.
const FIRST: Duration = Duration::from_millis(250);
/// A longer wait is not that of one request: a window of a minute, or a day, is over then.
const LONGEST: Duration = Duration::from_secs(5);
/// Below this the interval no longer matters.
const SHORTEST: Duration = Duration::from_millis(1);

/// The interval between requests, if there is one.
#[derive(Debug, Default)]
pub(super) struct Pace {
    interval: Option<Duration>,
    next: Option<Instant>,
    answers_since_refusal: Option<u32>,
}

impl Pace {
    /// The time of the next request, if it is not now.
    pub(super) fn wait(&self, now: Instant) -> Option<Instant> {
        self.next.filter(|next| now < *next)
    }

    /// A request goes out.
    pub(super) fn sent(&mut self, now: Instant) {
        self.next = self.interval.map(|interval| now + interval);
    }

    pub(super) fn answered(&mut self) {
        if let Some(answers) = &mut self.answers_since_refusal {
            *answers = answers.saturating_add(1);
        }
        self.interval = self.interval.map(|interval| interval.mul_f64(SHRINKAGE)).filter(|i| *i >= SHORTEST);
    }

    /// A burst of refusals for the rate; `wait` is what the endpoint asks for.
    pub(super) fn refused(&mut self, wait: Option<Duration>) {
        let again = self.answers_since_refusal.is_some_and(|answers| answers < FEW_ANSWERS);
        self.answers_since_refusal = Some(0);
        if self.interval.is_none() && !again {
            return;
        }
        let told = wait.filter(|wait| *wait <= LONGEST);
        let interval = match self.interval {
            // What was answered in between shows that the interval is about right, or that the refusal has another reason.
            Some(interval) if !again => interval.mul_f64(GROWTH),
            Some(interval) => interval.mul_f64(GROWTH).max(told.unwrap_or_default()),
            None if wait.is_some() && told.is_none() => return,
            None => told.unwrap_or(FIRST),
        };
        self.interval = Some(interval.min(LONGEST));
    }

    /// The endpoint tells its quota after all.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Option<Duration> = Some(Duration::from_millis(1500));

    #[test]
    fn one_refusal_sets_no_pace_and_a_second_one_soon_after_does() {
        let mut pace = Pace::default();
        pace.refused(WAIT);
        assert_eq!(pace.interval, None);
        (0..FEW_ANSWERS).for_each(|_| pace.answered());
        pace.refused(WAIT);
        assert_eq!(pace.interval, None);
        pace.answered();
        pace.refused(WAIT);
        assert_eq!(pace.interval, WAIT);
        (0..10).for_each(|_| pace.answered());
        let interval = pace.interval.unwrap();
        assert!(interval < Duration::from_secs(1));
        pace.refused(None);
        assert_eq!(pace.interval, Some(interval.mul_f64(GROWTH)));
    }

    #[test]
    fn a_long_wait_is_a_window_and_no_pace() {
        let mut pace = Pace::default();
        (0..3).for_each(|_| pace.refused(Some(Duration::from_secs(60))));
        assert_eq!(pace.interval, None);
        (0..3).for_each(|_| pace.refused(None));
        assert!(pace.interval.is_some_and(|interval| interval <= LONGEST));
    }
}
