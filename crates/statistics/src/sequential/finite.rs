//! The share of a finite dataset, decided before all of it is judged.

use crate::error::{Error, open_unit, part_of, positive};
use crate::interval::Interval;
use crate::special::{ln_beta, ln_choose};

/// The answers so far, of items asked in random order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// Items that pass.
    pub passed: u64,
    /// Items that do not pass.
    pub not_passed: u64,
    /// Items that were asked and have no verdict. They count as not passed for the lower bound and as passed for the upper
    /// one.
    pub unknown: u64,
}

/// Which side of a threshold the share lies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Settled {
    /// The share is at least the threshold.
    Reached,
    /// The share is below the threshold.
    Missed,
    /// The answers so far leave it open.
    Open,
}

/// A confidence sequence for the number of passing items in a finite dataset, asked without replacement in random order.
///
/// The bounds hold at all times together with probability `level`, so one may look after every answer and stop as soon as
/// a threshold is [settled](Self::settled). No approximation is involved, and after all answers the bounds are the truth.
///
/// Let S of N items pass. After t answers with k passes, the prior-posterior ratio for a BetaBinomial(N, a, b) prior is
/// m / L(S), with the hypergeometric likelihood and its mean over the prior
///
/// ```text
/// L(S) = C(S, k) C(N - S, t - k) / C(N, t),   m = C(t, k) B(k + a, t - k + b) / B(a, b)
/// ```
///
/// It is a martingale at the true S, so the set of S with L(S) > α m misses it at some time with probability at most α.
/// L is unimodal: the set is an interval, and its ends are found in O(log N) steps. Each look is intersected with those
/// before. For several thresholds on several shares use a level of 1 - α/m each.
///
/// With unknown answers the bounds are those of two sequences. A threshold is still settled wrongly with probability at
/// most 1 - level, since only one of the bounds can be wrong about it.
///
/// Source: Waudby-Smith and Ramdas (2020), "Confidence sequences for sampling without replacement", NeurIPS 33, arXiv
/// 2006.04347 (the prior-posterior-ratio martingale).
///
/// ```
/// # use judge_run_statistics::sequential::{Answers, FiniteShare, Settled};
/// let mut share = FiniteShare::new(2_000, 0.95)?;
/// share.look(Answers { passed: 198, not_passed: 2, unknown: 0 })?;
/// assert_eq!(share.bounds(), (1_882, 1_998));
/// // After a tenth of the calls.
/// assert_eq!(share.settled(0.94)?, Settled::Reached);
/// assert_eq!(share.settled(0.95)?, Settled::Open);
/// # Ok::<(), judge_run_statistics::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FiniteShare {
    population: u64,
    level: f64,
    prior: [f64; 2],
    lower: u64,
    upper: u64,
}

impl FiniteShare {
    /// Before the first answer, with the uniform prior a = b = 1.
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] when the level is outside `(0, 1)`.
    pub fn new(population: u64, level: f64) -> Result<Self, Error> {
        Self::with_prior(population, level, [1.0, 1.0])
    }

    /// With a prior [a, b]. The bounds are valid for every prior that is chosen before the answers, and tighter where it is
    /// right: [19, 1] expects 95 %.
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] when the level is outside `(0, 1)`, or a or b is not positive and finite.
    pub fn with_prior(population: u64, level: f64, prior: [f64; 2]) -> Result<Self, Error> {
        open_unit("level", level)?;
        for parameter in prior {
            positive("prior", parameter)?;
        }
        Ok(Self { population, level, prior, lower: 0, upper: population })
    }

    /// Takes all answers so far into account (not only the new ones).
    ///
    /// When the new bounds contradict earlier ones, which has probability at most 1 - level for items in random order, the
    /// new ones stand.
    ///
    /// # Errors
    ///
    /// [`Error::CountExceedsTotal`] when there are more answers than items; the bounds are then unchanged.
    pub fn look(&mut self, answers: Answers) -> Result<(), Error> {
        let Answers { passed, not_passed, unknown } = answers;
        let asked = passed.saturating_add(not_passed).saturating_add(unknown);
        part_of(asked, self.population)?;
        let (lower, upper) = (self.set(asked, passed).0, self.set(asked, passed + unknown).1);
        let (kept_lower, kept_upper) = (self.lower.max(lower), self.upper.min(upper));
        (self.lower, self.upper) = if kept_lower <= kept_upper { (kept_lower, kept_upper) } else { (lower, upper) };
        Ok(())
    }

    /// The least and the largest number of passing items in the dataset.
    pub fn bounds(&self) -> (u64, u64) {
        (self.lower, self.upper)
    }

    /// The bounds as shares of the dataset; `[0, 1]` for an empty one.
    pub fn interval(&self) -> Interval {
        let share =
            |count: u64, empty| if self.population == 0 { empty } else { count as f64 / self.population as f64 };
        Interval { lower: share(self.lower, 0.0), upper: share(self.upper, 1.0), level: self.level }
    }

    /// Whether the share is known to reach `threshold`, or to miss it.
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] when the threshold is NaN.
    pub fn settled(&self, threshold: f64) -> Result<Settled, Error> {
        crate::error::domain("threshold", threshold, "a number", !threshold.is_nan())?;
        let Interval { lower, upper, .. } = self.interval();
        Ok(if lower >= threshold {
            Settled::Reached
        } else if upper < threshold {
            Settled::Missed
        } else {
            Settled::Open
        })
    }

    /// The set after `t` answers with `k` passes, without the earlier looks.
    fn set(&self, t: u64, k: u64) -> (u64, u64) {
        let (least, most) = (k, self.population - (t - k));
        if t == 0 {
            return (least, most);
        }
        let [a, b] = self.prior;
        let mean = ln_choose(t, k) + ln_beta(k as f64 + a, (t - k) as f64 + b) - ln_beta(a, b);
        let threshold = (1.0 - self.level).ln() + mean + ln_choose(self.population, t);
        let is_in = |s: u64| ln_choose(s, k) + ln_choose(self.population - s, t - k) > threshold;
        // Where L is largest, which is in the set, since m is a mean of L.
        let mode = (u128::from(self.population + 1) * u128::from(k) / u128::from(t)) as u64;
        let mode = mode.clamp(least, most);
        (nearest(mode, least, is_in), nearest(mode, most, is_in))
    }
}

/// The number nearest to `end` for which `is_in` holds; it holds from `inside` up to there and not beyond.
fn nearest(mut inside: u64, end: u64, is_in: impl Fn(u64) -> bool) -> u64 {
    if is_in(end) {
        return end;
    }
    let mut outside = end;
    while inside.abs_diff(outside) > 1 {
        let middle = inside.midpoint(outside);
        if is_in(middle) { inside = middle } else { outside = middle }
    }
    inside
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answers(passed: u64, not_passed: u64) -> Answers {
        Answers { passed, not_passed, unknown: 0 }
    }

    #[test]
    fn before_the_first_answer_nothing_is_known() {
        let share = FiniteShare::new(50, 0.95).unwrap();
        assert_eq!(share.bounds(), (0, 50));
        assert_eq!(share.settled(0.5), Ok(Settled::Open));
        let empty = FiniteShare::new(0, 0.95).unwrap();
        assert_eq!(empty.interval(), Interval { lower: 0.0, upper: 1.0, level: 0.95 });
    }

    #[test]
    fn invalid_arguments_are_errors_and_change_nothing() {
        assert!(FiniteShare::new(10, 1.0).is_err());
        assert!(FiniteShare::with_prior(10, 0.95, [0.0, 1.0]).is_err());
        assert!(FiniteShare::with_prior(10, 0.95, [1.0, f64::NAN]).is_err());
        let mut share = FiniteShare::new(10, 0.95).unwrap();
        assert_eq!(share.look(answers(8, 3)), Err(Error::CountExceedsTotal { count: 11, total: 10 }));
        assert!(share.look(answers(u64::MAX, 3)).is_err());
        assert_eq!(share.bounds(), (0, 10));
        assert!(share.settled(f64::NAN).is_err());
    }

    #[test]
    fn thresholds_on_the_ends() {
        let mut share = FiniteShare::new(1_000, 0.95).unwrap();
        share.look(answers(950, 50)).unwrap();
        assert_eq!(share.settled(0.95), Ok(Settled::Reached));
        assert_eq!(share.settled(0.9500001), Ok(Settled::Missed));
    }

    #[test]
    fn unknown_answers_widen_both_ways() {
        let mut share = FiniteShare::new(100, 0.95).unwrap();
        share.look(Answers { passed: 90, not_passed: 4, unknown: 6 }).unwrap();
        assert_eq!(share.bounds(), (90, 96));
    }

    #[test]
    fn bounds_that_contradict_earlier_ones_stand() {
        let mut share = FiniteShare::new(200, 0.95).unwrap();
        share.look(answers(50, 0)).unwrap();
        share.look(answers(50, 150)).unwrap();
        assert_eq!(share.bounds(), (50, 50));
    }

    /// The probability that the truth is ever outside, over all orders, by dynamic programming over (t, k).
    fn probability_of_a_miss(population: u64, truth: u64, level: f64, prior: [f64; 2]) -> f64 {
        let sequence = FiniteShare::with_prior(population, level, prior).unwrap();
        // The probabilities of the paths with k passes that have not missed yet.
        let mut paths = vec![1.0];
        for t in 1..=population {
            let mut next = vec![0.0; t as usize + 1];
            for (k, probability) in paths.into_iter().enumerate() {
                let (left, passing) = (population - t + 1, truth.saturating_sub(k as u64));
                let pass = passing as f64 / left as f64;
                next[k + 1] += probability * pass;
                next[k] += probability * (1.0 - pass);
            }
            for (k, probability) in next.iter_mut().enumerate() {
                if *probability > 0.0 {
                    let (lower, upper) = sequence.set(t, k as u64);
                    if !(lower..=upper).contains(&truth) {
                        *probability = 0.0;
                    }
                }
            }
            paths = next;
        }
        1.0 - paths.iter().sum::<f64>()
    }

    #[test]
    fn the_truth_is_missed_with_at_most_alpha() {
        for population in [1, 7, 40] {
            for truth in 0..=population {
                let miss = probability_of_a_miss(population, truth, 0.8, [1.0, 1.0]);
                assert!(miss <= 0.2 + 1e-9, "{truth} of {population}: {miss}");
                let miss = probability_of_a_miss(population, truth, 0.8, [19.0, 1.0]);
                assert!(miss <= 0.2 + 1e-9, "{truth} of {population} with a prior: {miss}");
            }
        }
        // And the bound is not idle.
        assert!(probability_of_a_miss(40, 36, 0.8, [1.0, 1.0]) > 0.02);
    }

    proptest! {
        #[test]
        fn bounds_hold_what_was_seen_and_only_tighten(
            verdicts in proptest::collection::vec(any::<bool>(), 1..120), level in 0.5..0.999f64,
        ) {
            let population = verdicts.len() as u64;
            let mut share = FiniteShare::new(population, level).unwrap();
            let mut seen = answers(0, 0);
            let mut previous = share.bounds();
            for verdict in verdicts {
                if verdict { seen.passed += 1 } else { seen.not_passed += 1 }
                share.look(seen).unwrap();
                let (lower, upper) = share.bounds();
                let (least, most) = (seen.passed, population - seen.not_passed);
                prop_assert!(lower <= upper && lower <= most && upper >= least);
                prop_assert!(lower >= previous.0 && upper <= previous.1 || lower == upper || previous.0 > most || previous.1 < least
                    || share.bounds() == share.set(seen.passed + seen.not_passed, seen.passed));
                previous = (lower, upper);
            }
            prop_assert_eq!(share.bounds(), (seen.passed, seen.passed));
        }

        /// The set is what its definition says, for every S.
        #[test]
        fn the_bounds_are_the_ends_of_the_set(
            population in 1u64..150, asked in 0.0..=1.0f64, part in 0.0..=1.0f64, level in 0.5..0.999f64, a in 0.2..20.0f64,
        ) {
            let t = (asked * population as f64) as u64;
            let k = (part * t as f64) as u64;
            let prior = [a, 1.0];
            // The prior-posterior ratio, computed as the ratio of two beta-binomial masses.
            let ln_mass = |n: u64, s: u64, a: f64, b: f64| {
                ln_choose(n, s) + ln_beta(s as f64 + a, (n - s) as f64 + b) - ln_beta(a, b)
            };
            let ratio = |s: u64| {
                ln_mass(population, s, a, 1.0) - ln_mass(population - t, s - k, a + k as f64, 1.0 + (t - k) as f64)
            };
            let limit = -(1.0 - level).ln();
            let members: Vec<u64> = (k..=population - (t - k)).filter(|&s| ratio(s) < limit).collect();
            let borderline = (k..=population - (t - k)).any(|s| (ratio(s) - limit).abs() < 1e-9);
            prop_assume!(!borderline);
            let set = FiniteShare::with_prior(population, level, prior).unwrap().set(t, k);
            prop_assert_eq!(Some(&set.0), members.first());
            prop_assert_eq!(Some(&set.1), members.last());
        }

        #[test]
        fn failing_mirrors_passing(population in 1u64..500, asked in 0.0..=1.0f64, part in 0.0..=1.0f64) {
            let t = (asked * population as f64) as u64;
            let k = (part * t as f64) as u64;
            let share = FiniteShare::new(population, 0.95).unwrap();
            let ((lower, upper), mirrored) = (share.set(t, k), share.set(t, t - k));
            prop_assert_eq!((population - upper, population - lower), mirrored);
        }
    }
}
