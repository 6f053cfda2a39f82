//! An alarm for slow drift.

use crate::error::{Error, domain, positive};

/// An alarm for a series of comparisons with a baseline, one each night: small losses add up until it is raised.
///
/// After night t with the mean difference d (new minus base) and its standard error,
///
/// ```text
/// z = (d + margin) / se,   M = max(1, M) exp(-λ z - λ²/2)
/// ```
///
/// While the true difference is at least -margin, each night multiplies M by a factor of mean at most 1 (for a normal z), so
/// that it takes 1/α nights on average, or longer, to exceed 1/α. The restart at 1 forgets good nights: a drift that starts
/// late is found as fast as one that starts early. Because the bound is on the average time, use it to warn, not to block.
///
/// Source: the e-detector (CUSUM form) of Shin, Ramdas and Rinaldo (2022), "E-detectors: a nonparametric framework for
/// sequential change detection", arXiv 2203.03532, with the exponential martingale of a normal mean.
///
/// ```
/// # use judge_run_statistics::sequential::DriftAlarm;
/// let mut alarm = DriftAlarm::new(0.01)?;
/// for night in 1..=7 {
///     let evidence = alarm.update(-0.03, 0.01)?;
///     assert_eq!(evidence >= 100.0, night >= 3);
/// }
/// # Ok::<(), judge_run_statistics::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DriftAlarm {
    lambda: f64,
    margin: f64,
    evidence: f64,
}

impl DriftAlarm {
    /// The λ of [`new`](Self::new).
    pub const DEFAULT_LAMBDA: f64 = 1.5;

    /// An alarm that tolerates losses up to `margin` ≥ 0, in the unit of the difference.
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] for a margin that is negative or not finite.
    pub fn new(margin: f64) -> Result<Self, Error> {
        Self::with_lambda(margin, Self::DEFAULT_LAMBDA)
    }

    /// An alarm with its own λ > 0: the loss beyond the margin, in standard errors, that it finds fastest.
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] for the margin, and for a λ that is not positive and finite.
    pub fn with_lambda(margin: f64, lambda: f64) -> Result<Self, Error> {
        domain("margin", margin, "finite and >= 0", margin.is_finite() && margin >= 0.0)?;
        Ok(Self { lambda: positive("lambda", lambda)?, margin, evidence: 1.0 })
    }

    /// Continues from evidence that was stored.
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] for evidence that is negative or NaN.
    pub fn resume(mut self, evidence: f64) -> Result<Self, Error> {
        self.evidence = domain("evidence", evidence, ">= 0", evidence >= 0.0)?;
        Ok(self)
    }

    /// M, by now. Raise the alarm at 100 or so.
    pub fn evidence(&self) -> f64 {
        self.evidence
    }

    /// Adds a night, and returns the evidence.
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] for a difference that is not finite, or a standard error that is not positive and finite; the
    /// evidence is then unchanged.
    pub fn update(&mut self, difference: f64, standard_error: f64) -> Result<f64, Error> {
        domain("difference", difference, "finite", difference.is_finite())?;
        let z = (difference + self.margin) / positive("standard_error", standard_error)?;
        self.evidence = self.evidence.max(1.0) * (-self.lambda * z - self.lambda * self.lambda / 2.0).exp();
        Ok(self.evidence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn invalid_arguments_change_nothing() {
        let mut alarm = DriftAlarm::new(0.01).unwrap().resume(7.0).unwrap();
        for (difference, error) in [(f64::NAN, 0.1), (0.1, 0.0), (0.1, f64::NAN), (f64::INFINITY, 0.1)] {
            assert!(alarm.update(difference, error).is_err());
        }
        assert_eq!(alarm.evidence(), 7.0);
        assert!(DriftAlarm::new(-0.01).is_err() && DriftAlarm::with_lambda(0.0, 0.0).is_err());
        assert!(alarm.resume(f64::NAN).is_err());
    }

    #[test]
    fn good_nights_are_forgotten() {
        let mut alarm = DriftAlarm::new(0.01).unwrap();
        for _ in 0..50 {
            alarm.update(0.02, 0.01).unwrap();
        }
        let mut fresh = DriftAlarm::new(0.01).unwrap();
        assert_eq!(alarm.update(-0.05, 0.01), fresh.update(-0.05, 0.01));
    }

    /// E[exp(-λZ - λ²/2)] for a standard normal Z, by the midpoint rule.
    #[test]
    fn a_night_at_the_margin_has_a_mean_factor_of_one() {
        let step = 0.01;
        let mean: f64 = (-1_000..1_000)
            .map(|index| {
                let z = (f64::from(index) + 0.5) * step;
                let density = (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt();
                DriftAlarm::new(0.5).unwrap().update(z - 0.5, 1.0).unwrap() * density * step
            })
            .sum();
        assert!((mean - 1.0).abs() < 1e-6, "{mean}");
    }

    proptest! {
        #[test]
        fn worse_nights_give_more_evidence(difference in -0.1..0.1f64, loss in 0.0001..0.1f64, error in 0.001..0.1f64) {
            let alarm = DriftAlarm::new(0.01).unwrap();
            let (mut worse, mut better) = (alarm, alarm);
            prop_assert!(worse.update(difference - loss, error).unwrap() >= better.update(difference, error).unwrap());
        }
    }
}
