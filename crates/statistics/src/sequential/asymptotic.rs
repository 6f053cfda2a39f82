//! A confidence sequence for a mean.

use crate::error::{Error, open_unit, positive};
use crate::interval::Interval;
use crate::mean::Moments;

/// An asymptotic confidence sequence for the mean of a stream of independent scores: intervals that hold at all times
/// together.
///
/// After t scores with mean x̄ and standard deviation s, the interval is
///
/// ```text
/// x̄ ± s √(2 (t ρ² + 1) / (t² ρ²) · ln(√(t ρ² + 1) / α))
/// ```
///
/// It is asymptotic as the t interval is: begin to look after some 50 scores, not after 2. ρ decides where it is tightest;
/// [`tightest_at`](Self::tightest_at) chooses it for a number of scores. There, at 95 %, it is 1.55 times as wide as the interval
/// for a fixed number: the price of looking.
///
/// Source: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024), "Time-uniform central limit theory and asymptotic
/// confidence sequences", Annals of Statistics 52, arXiv 2103.06476.
///
/// ```
/// # use judge_run_statistics::mean::Moments;
/// # use judge_run_statistics::sequential::AsymptoticSequence;
/// let sequence = AsymptoticSequence::tightest_at(500, 0.95)?;
/// let scores: Moments = (0..100).map(|item| f64::from(item % 4) / 4.0).collect();
/// let interval = sequence.interval(&scores)?;
/// assert!(interval.contains(0.375) && interval.width() < 0.2);
/// # Ok::<(), judge_run_statistics::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AsymptoticSequence {
    rho: f64,
    level: f64,
}

impl AsymptoticSequence {
    /// The sequence that is tightest after `scores` scores: ρ² = (-2 ln α + ln(-2 ln α + 1)) / t.
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] when `scores` is 0 or the level outside `(0, 1)`.
    pub fn tightest_at(scores: u64, level: f64) -> Result<Self, Error> {
        positive("scores", scores as f64)?;
        let evidence = -2.0 * (1.0 - open_unit("level", level)?).ln();
        Ok(Self { rho: ((evidence + evidence.ln_1p()) / scores as f64).sqrt(), level })
    }

    /// The sequence with a given ρ > 0.
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] when ρ is not positive and finite, or the level outside `(0, 1)`.
    pub fn with_rho(rho: f64, level: f64) -> Result<Self, Error> {
        Ok(Self { rho: positive("rho", rho)?, level: open_unit("level", level)? })
    }

    /// ρ.
    pub fn rho(&self) -> f64 {
        self.rho
    }

    /// The half-width after `scores` scores with standard deviation 1; infinite for 0.
    pub fn unit_half_width(&self, scores: u64) -> f64 {
        let (t, square) = (scores as f64, self.rho * self.rho);
        let grown = t * square + 1.0;
        let alpha = 1.0 - self.level;
        (2.0 * grown / (t * t * square) * (grown.sqrt() / alpha).ln()).sqrt()
    }

    /// The interval after the scores so far. With equal scores it is a point, like the t interval.
    ///
    /// # Errors
    ///
    /// Those of [`Moments::estimate`].
    pub fn interval(&self, scores: &Moments) -> Result<Interval, Error> {
        let estimate = scores.estimate()?;
        let deviation = estimate.standard_error * (estimate.n as f64).sqrt();
        let margin = deviation * self.unit_half_width(estimate.n);
        Ok(Interval { lower: estimate.mean - margin, upper: estimate.mean + margin, level: self.level })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::special::two_sided_z;
    use proptest::prelude::*;

    #[test]
    fn invalid_arguments_are_errors() {
        assert!(AsymptoticSequence::tightest_at(0, 0.95).is_err());
        assert!(AsymptoticSequence::tightest_at(10, 1.0).is_err());
        assert!(AsymptoticSequence::with_rho(f64::NAN, 0.95).is_err());
        assert!(AsymptoticSequence::with_rho(0.0, 0.95).is_err());
        let sequence = AsymptoticSequence::with_rho(0.1, 0.95).unwrap();
        assert!(matches!(sequence.interval(&Moments::default()), Err(Error::TooFew { .. })));
        assert_eq!(sequence.unit_half_width(0), f64::INFINITY);
    }

    #[test]
    fn equal_scores_give_a_point() {
        let interval =
            AsymptoticSequence::with_rho(0.1, 0.95).unwrap().interval(&[0.5; 9].into_iter().collect()).unwrap();
        assert_eq!((interval.lower, interval.upper), (0.5, 0.5));
    }

    proptest! {
        #[test]
        fn it_narrows_and_is_wider_than_the_interval_for_a_fixed_number(
            best in 10u64..10_000, t in 2u64..100_000, level in 0.5..0.999f64,
        ) {
            let sequence = AsymptoticSequence::tightest_at(best, level).unwrap();
            prop_assert!(sequence.unit_half_width(t + 1) < sequence.unit_half_width(t));
            prop_assert!(sequence.unit_half_width(t) > two_sided_z(level) / (t as f64).sqrt());
        }

        #[test]
        fn it_is_tightest_where_it_was_tuned(best in 10u64..10_000, factor in 0.2..5.0f64, level in 0.8..0.999f64) {
            let tuned = AsymptoticSequence::tightest_at(best, level).unwrap();
            let other = AsymptoticSequence::with_rho(tuned.rho() * factor, level).unwrap();
            // The closed form for ρ approximates the optimum (a Lambert W) to about 0.1 % of the width.
            prop_assert!(tuned.unit_half_width(best) <= other.unit_half_width(best) * 1.002);
        }
    }
}
