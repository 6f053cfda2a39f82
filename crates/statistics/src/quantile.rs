//! Quantiles of a sample.

use crate::error::{Error, all_finite, at_least, domain, open_unit};
use crate::interval::Interval;
use crate::special::binomial_cdf;

/// A sample in ascending order: finite, and not empty.
///
/// ```
/// # use judge_run_statistics::quantile::Sorted;
/// let latencies = Sorted::new(vec![1.2, 0.4, 0.9, 7.5])?;
/// assert_eq!(latencies.median(), 1.05);
/// assert_eq!(latencies.quantile(1.0)?, 7.5);
/// # Ok::<(), judge_run_statistics::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Sorted(Vec<f64>);

impl Sorted {
    /// Sorts a sample.
    ///
    /// # Errors
    ///
    /// [`Error::TooFew`] for an empty sample, [`Error::NotFinite`] for a value that is NaN or infinite.
    pub fn new(mut values: Vec<f64>) -> Result<Self, Error> {
        at_least(1, "values", values.len())?;
        all_finite(&values)?;
        values.sort_unstable_by(f64::total_cmp);
        Ok(Self(values))
    }

    /// The values in ascending order.
    pub fn values(&self) -> &[f64] {
        &self.0
    }

    /// The quantile for `probability` in `0..=1`, by linear interpolation: with h = (n - 1) p, between the values at ⌊h⌋ and
    /// ⌈h⌉ (from 0). The default of NumPy, pandas and R.
    ///
    /// Source: Hyndman and Fan (1996), "Sample quantiles in statistical packages", American Statistician 50, 361-365,
    /// definition 7.
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] when the probability is outside `0..=1` or NaN.
    pub fn quantile(&self, probability: f64) -> Result<f64, Error> {
        domain("probability", probability, "in [0, 1]", (0.0..=1.0).contains(&probability))?;
        Ok(self.interpolate(probability))
    }

    /// The median: the quantile for 1/2.
    pub fn median(&self) -> f64 {
        self.interpolate(0.5)
    }

    /// An interval for the population's quantile, between two values of the sample. It is valid for any distribution, and its
    /// coverage is at least the level.
    ///
    /// With X ~ Binomial(n, p) and α = 1 - level, from the value of rank min{r: P(X ≤ r) ≥ α/2} to the one of rank
    /// 1 + min{r: P(X > r) ≤ α/2} (from 1). An end whose rank is below 1 or above n is infinite: the sample is too small to
    /// bound the quantile on that side.
    ///
    /// Source: Conover (1999), "Practical nonparametric statistics", 3rd edition, section 3.2; the method of
    /// `scipy.stats.quantile_test`.
    ///
    /// # Errors
    ///
    /// [`Error::Domain`] when the probability or the level is outside `(0, 1)`.
    pub fn quantile_interval(&self, probability: f64, level: f64) -> Result<Interval, Error> {
        open_unit("probability", probability)?;
        open_unit("level", level)?;
        let (n, tail) = (self.0.len() as u64, (1.0 - level) / 2.0);
        let lower_rank = first(n, |rank| binomial_cdf(rank, n, probability) >= tail);
        // P(X > r) as P(n - X < n - r), which is accurate when it is small.
        let upper_tail = |rank| if rank >= n { 0.0 } else { binomial_cdf(n - rank - 1, n, 1.0 - probability) };
        let upper_rank = 1 + first(n, |rank| upper_tail(rank) <= tail);
        let value = |rank: u64| rank.checked_sub(1).and_then(|index| self.0.get(index as usize)).copied();
        Ok(Interval {
            lower: value(lower_rank).unwrap_or(f64::NEG_INFINITY),
            upper: value(upper_rank).unwrap_or(f64::INFINITY),
            level,
        })
    }

    /// [`quantile`](Self::quantile) for a probability known to be in `0..=1`.
    pub(crate) fn interpolate(&self, probability: f64) -> f64 {
        let last = self.0.len() - 1;
        let position = probability.clamp(0.0, 1.0) * last as f64;
        let index = (position as usize).min(last);
        let (low, high) = (self.0[index], self.0[(index + 1).min(last)]);
        let weight = position - index as f64;
        // Not low + weight (high - low), which can overflow.
        (low * (1.0 - weight) + high * weight).clamp(low, high)
    }
}

/// The smallest number in `0..=n` for which `holds`, which turns true once.
fn first(n: u64, holds: impl Fn(u64) -> bool) -> u64 {
    let (mut low, mut high) = (0, n);
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) { high = middle } else { low = middle + 1 }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    #[test]
    fn one_value_is_every_quantile() {
        let one = Sorted::new(vec![3.5]).unwrap();
        assert_eq!([one.quantile(0.0), one.quantile(0.3), one.quantile(1.0)], [Ok(3.5); 3]);
        let interval = one.quantile_interval(0.5, 0.95).unwrap();
        assert_eq!((interval.lower, interval.upper), (f64::NEG_INFINITY, f64::INFINITY));
    }

    #[test]
    fn invalid_arguments_are_errors() {
        assert!(matches!(Sorted::new(vec![]), Err(Error::TooFew { got: 0, .. })));
        assert_eq!(Sorted::new(vec![1.0, f64::NAN]), Err(Error::NotFinite { index: 1 }));
        let sample = Sorted::new(vec![1.0, 2.0]).unwrap();
        assert!(sample.quantile(1.5).is_err() && sample.quantile(f64::NAN).is_err());
        assert!(sample.quantile_interval(0.0, 0.95).is_err() && sample.quantile_interval(0.5, 1.0).is_err());
    }

    #[test]
    fn extreme_values_do_not_overflow() {
        let sample = Sorted::new(vec![f64::MAX, -f64::MAX]).unwrap();
        assert_eq!(sample.median(), 0.0);
    }

    proptest! {
        #[test]
        fn quantiles_rise_from_the_smallest_to_the_largest(
            values in vec(-5.0..5.0f64, 1..50), mut ps in vec(0.0..=1.0f64, 2..10),
        ) {
            let sample = Sorted::new(values).unwrap();
            ps.sort_unstable_by(f64::total_cmp);
            let quantiles: Vec<f64> = ps.iter().map(|&p| sample.quantile(p).unwrap()).collect();
            prop_assert!(quantiles.is_sorted());
            prop_assert_eq!(sample.quantile(0.0).unwrap(), sample.values()[0]);
            prop_assert_eq!(sample.quantile(1.0).unwrap(), sample.values()[sample.values().len() - 1]);
        }

        #[test]
        fn negation_mirrors(values in vec(-5.0..5.0f64, 1..50), p in 0.0..=1.0f64) {
            let mirrored = Sorted::new(values.iter().map(|value| -value).collect()).unwrap();
            let sample = Sorted::new(values).unwrap();
            prop_assert!((sample.quantile(p).unwrap() + mirrored.quantile(1.0 - p).unwrap()).abs() < 1e-12);
        }

        /// Exact coverage: the quantile of a continuous distribution has Binomial(n, p) values below it.
        #[test]
        fn the_interval_never_undercovers(n in 1usize..80, p in 0.01..0.99f64, level in 0.5..0.99f64) {
            let sample = Sorted::new((1..=n).map(|rank| rank as f64).collect()).unwrap();
            let interval = sample.quantile_interval(p, level).unwrap();
            let n = n as u64;
            let coverage: f64 = (0..=n)
                .filter(|&below| interval.contains(below as f64 + 0.5))
                .map(|below| {
                    (crate::special::ln_choose(n, below) + below as f64 * p.ln() + (n - below) as f64 * (-p).ln_1p()).exp()
                })
                .sum();
            prop_assert!(coverage >= level - 1e-9, "{coverage} {interval:?}");
        }
    }
}
