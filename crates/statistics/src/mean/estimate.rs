//! A mean with its standard error, and Student's t over it.

use crate::error::{Error, domain, open_unit};
use crate::interval::{Alternative, Interval};
use crate::special::{student_upper_quantile, student_upper_tail};

/// A mean, how uncertain it is, and how well that uncertainty is known.
///
/// The fields are public: any estimate with a standard error and degrees of freedom can use the methods.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeanEstimate {
    /// The mean, in the unit of the scores.
    pub mean: f64,
    /// The standard error of the mean, in the same unit.
    pub standard_error: f64,
    /// The degrees of freedom of Student's distribution: n - 1, or the number of clusters minus 1.
    pub degrees_of_freedom: f64,
    /// The number of scores.
    pub n: u64,
}

/// A test statistic and its p-value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TTest {
    /// (mean - hypothesis) / standard error.
    pub statistic: f64,
    /// The probability of a statistic at least as extreme under the hypothesis.
    pub p_value: f64,
}

impl MeanEstimate {
    /// The t interval: mean ± t se, with t the quantile of Student's distribution for the level.
    ///
    /// When all scores are equal the standard error is 0 and the interval is a point, which understates what is unknown:
    /// use [`wilson`](crate::proportion::wilson) for scores of 0 and 1, and report that the scores do not vary.
    ///
    /// Source: Student (1908), "The probable error of a mean", Biometrika 6, 1-25.
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] when the level is outside `(0, 1)`, or a field is not valid (degrees of freedom below 1, a negative
    /// standard error, NaN).
    pub fn interval(&self, level: f64) -> Result<Interval, Error> {
        open_unit("level", level)?;
        self.check()?;
        let margin = match self.standard_error {
            0.0 => 0.0,
            error => student_upper_quantile((1.0 - level) / 2.0, self.degrees_of_freedom) * error,
        };
        Ok(Interval { lower: self.mean - margin, upper: self.mean + margin, level })
    }

    /// The t test of the hypothesis that the true mean is `hypothesis`.
    ///
    /// For scores that are all equal, the statistic is 0 and the p-value 1 when they equal the hypothesis; otherwise the
    /// statistic is infinite and the p-value 0, or 1 against the direction of the alternative.
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] when the hypothesis is not finite or a field is not valid.
    pub fn test(&self, hypothesis: f64, alternative: Alternative) -> Result<TTest, Error> {
        domain("hypothesis", hypothesis, "finite", hypothesis.is_finite())?;
        self.check()?;
        let difference = self.mean - hypothesis;
        if difference == 0.0 && self.standard_error == 0.0 {
            return Ok(TTest { statistic: 0.0, p_value: 1.0 });
        }
        let statistic = difference / self.standard_error;
        let p_value = match alternative {
            Alternative::TwoSided => 2.0 * student_upper_tail(statistic.abs(), self.degrees_of_freedom),
            Alternative::Greater => student_upper_tail(statistic, self.degrees_of_freedom),
            Alternative::Less => student_upper_tail(-statistic, self.degrees_of_freedom),
        };
        Ok(TTest { statistic, p_value: p_value.clamp(0.0, 1.0) })
    }

    fn check(&self) -> Result<(), Error> {
        let (error, df) = (self.standard_error, self.degrees_of_freedom);
        domain("mean", self.mean, "finite", self.mean.is_finite())?;
        domain("standard_error", error, "finite and >= 0", error.is_finite() && error >= 0.0)?;
        domain("degrees_of_freedom", df, "finite and >= 1", df.is_finite() && df >= 1.0)?;
        Ok(())
    }
}
