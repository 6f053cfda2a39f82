//! Finding a rate that the endpoint does not report.
//!
//! An endpoint that keeps refusing because of its rate, without stating the rate, is asked at even intervals: the interval grows
//! at each refusal and shrinks a little at each answer (multiplicative increase and decrease, so it hovers just below the limit). One
//! refusal alone starts nothing: it may be a temporary problem, for which the pause is enough.

use std::time::Duration;

use tokio::time::Instant;

/// A refusal after fewer answers than this since the last one is a sign of a rate.
const FEW_ANSWERS: u32 = 4;
const GROWTH: f64 = 1.25;
/// To the power of the number of answers since the last refusal. At a limit that number is steady. If chance refuses as many, it
/// varies, and the long rows of answers end the pace.
const SHRINKAGE: f64 = 0.985;
/// Where the endpoint does not say how long to wait, the first interval.
const FIRST: Duration = Duration::from_millis(250);
/// A longer wait is not for one request: it is until a window of a minute, or a day, ends.
const LONGEST: Duration = Duration::from_secs(5);
/// Below this the interval no longer matters.
const SHORTEST: Duration = Duration::from_millis(1);

/// The interval between requests, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    interval: Option<Duration>,
    next: Option<Instant>,
    answers_since_refusal: Option<u32>,
}

impl Pace {
    /// The time of the next request, if it is not now.
    pub(crate) fn wait(&self, now: Instant) -> Option<Instant> {
        self.next.filter(|next| now < *next)
    }

    /// A request goes out.
    pub(crate) fn sent(&mut self, now: Instant) {
        self.next = self.interval.map(|interval| now + interval);
    }

    pub(crate) fn answered(&mut self) {
        let Some(answers) = &mut self.answers_since_refusal else { return };
        *answers = answers.saturating_add(1);
        let shrinkage = SHRINKAGE.powf(f64::from(*answers));
        self.interval = self.interval.map(|interval| interval.mul_f64(shrinkage)).filter(|i| *i >= SHORTEST);
    }

    /// A single request was refused, perhaps by chance; `wait` is what the endpoint asks for. It sets no pace. An existing one becomes
    /// slower, and the next request waits that long; but if that was refused again, waiting did not help, and the rate is not the reason.
    pub(crate) fn adjust(&mut self, now: Instant, wait: Option<Duration>) {
        if self.interval.is_none() {
            return;
        }
        if wait.is_some() && self.answers_since_refusal == Some(0) {
            return self.forget();
        }
        self.refused(wait);
        self.next = self.interval.map(|interval| now + interval.max(wait.unwrap_or_default()));
    }

    /// A burst of refusals for the rate; `wait` is what the endpoint asks for.
    pub(crate) fn refused(&mut self, wait: Option<Duration>) {
        let again = self.answers_since_refusal.is_some_and(|answers| (1..FEW_ANSWERS).contains(&answers));
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

    /// The endpoint reports its quota after all.
    pub(crate) fn forget(&mut self) {
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

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_was_kept_and_did_not_help_ends_the_pace() {
        let mut pace = Pace::default();
        let now = Instant::now();
        pace.adjust(now, WAIT);
        assert_eq!(pace.interval, None, "a single refusal sets none");
        pace.refused(WAIT);
        pace.answered();
        pace.refused(WAIT);
        pace.answered();
        pace.adjust(now, WAIT);
        assert!(pace.wait(now) >= WAIT.map(|wait| now + wait));
        pace.adjust(now, WAIT);
        assert_eq!((pace.interval, pace.wait(now)), (None, None));
    }

    #[test]
    fn a_long_wait_is_a_window_and_no_pace() {
        let mut pace = Pace::default();
        (0..3).for_each(|_| pace.refused(Some(Duration::from_secs(60))));
        assert_eq!(pace.interval, None);
        (0..3).for_each(|_| {
            pace.answered();
            pace.refused(None);
        });
        assert!(pace.interval.is_some_and(|interval| interval <= LONGEST));
    }
}
