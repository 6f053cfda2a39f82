//! The moments of a stream.

use super::estimate::MeanEstimate;
use crate::error::Error;

/// The count, mean and variance of a stream, in constant memory.
///
/// Source: Welford (1962), "Note on a method for calculating corrected sums of squares and products", Technometrics 4,
/// 419-420; merging: Chan, Golub and LeVeque (1983), "Algorithms for computing the sample variance", American Statistician
/// 37, 242-247.
///
/// ```
/// # use judge_run_statistics::mean::Moments;
/// let scores: Moments = [0.5, 1.0, 0.75].into_iter().collect();
/// assert_eq!(scores.mean(), Some(0.75));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moments {
    pub(super) n: u64,
    pub(super) mean: f64,
    /// Σ(x - x̄)².
    pub(super) squares: f64,
}

impl Moments {
    /// Adds a score. One that is NaN or infinite makes [`estimate`](Self::estimate) an error.
    pub fn push(&mut self, score: f64) {
        self.n += 1;
        let delta = score - self.mean;
        self.mean += delta / self.n as f64;
        self.squares += delta * (score - self.mean);
    }

    /// Adds the scores of `other`, as if each had been pushed.
    pub fn merge(&mut self, other: &Self) {
        if other.n == 0 {
            return;
        }
        let (n, m) = (self.n as f64, other.n as f64);
        let delta = other.mean - self.mean;
        self.mean += delta * (m / (n + m));
        self.squares += other.squares + delta * delta * (n * m / (n + m));
        self.n += other.n;
    }

    /// The number of scores.
    pub fn n(&self) -> u64 {
        self.n
    }

    /// The mean, or `None` without scores.
    pub fn mean(&self) -> Option<f64> {
        (self.n > 0).then_some(self.mean)
    }

    /// The unbiased variance Σ(x - x̄)² / (n - 1), or `None` for fewer than two scores.
    pub fn variance(&self) -> Option<f64> {
        (self.n > 1).then(|| self.squares / (self.n - 1) as f64)
    }

    /// The mean with its standard error s/√n and n - 1 degrees of freedom.
    ///
    /// # Errors
    ///
    /// [`Error::TooFew`] for fewer than two scores, [`Error::Overflow`] when a score was not finite or the sum of squares
    /// is too large.
    pub fn estimate(&self) -> Result<MeanEstimate, Error> {
        let Some(variance) = self.variance() else {
            return Err(Error::TooFew { what: "scores", required: 2, got: self.n as usize });
        };
        if !self.mean.is_finite() || !variance.is_finite() {
            return Err(Error::Overflow { what: "mean or variance" });
        }
        let n = self.n as f64;
        Ok(MeanEstimate {
            mean: self.mean,
            standard_error: (variance / n).sqrt(),
            degrees_of_freedom: n - 1.0,
            n: self.n,
        })
    }
}

impl Extend<f64> for Moments {
    fn extend<I: IntoIterator<Item = f64>>(&mut self, scores: I) {
        scores.into_iter().for_each(|score| self.push(score));
    }
}

impl FromIterator<f64> for Moments {
    fn from_iter<I: IntoIterator<Item = f64>>(scores: I) -> Self {
        let mut moments = Self::default();
        moments.extend(scores);
        moments
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    #[test]
    fn nothing_has_no_mean() {
        let empty = Moments::default();
        assert_eq!((empty.n(), empty.mean(), empty.variance()), (0, None, None));
        assert_eq!(Moments::from_iter([3.0]).variance(), None);
    }

    #[test]
    fn scores_that_are_not_finite_are_found() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let moments: Moments = [1.0, bad, 2.0].into_iter().collect();
            assert_eq!(moments.estimate(), Err(Error::Overflow { what: "mean or variance" }));
        }
    }

    #[test]
    fn a_large_offset_costs_no_precision() {
        // The textbook formula Σx² - n x̄² gives a negative variance here.
        let moments: Moments = [1e9 + 4.0, 1e9 + 7.0, 1e9 + 13.0, 1e9 + 16.0].into_iter().collect();
        assert_eq!(moments.variance(), Some(30.0));
    }

    proptest! {
        #[test]
        fn merging_equals_pushing(left in vec(-5.0..5.0f64, 0..30), right in vec(-5.0..5.0f64, 0..30)) {
            let mut merged: Moments = left.iter().copied().collect();
            merged.merge(&right.iter().copied().collect());
            let pushed: Moments = left.iter().chain(&right).copied().collect();
            prop_assert_eq!(merged.n(), pushed.n());
            prop_assert!((merged.mean - pushed.mean).abs() < 1e-12);
            prop_assert!((merged.squares - pushed.squares).abs() < 1e-9);
        }
    }
}
