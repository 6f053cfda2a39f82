//! Bootstrap intervals for any statistic: medians, trimmed means, ratios, rank correlations.

use crate::error::{Error, all_finite, at_least, domain, open_unit};
use crate::interval::Interval;
use crate::quantile::Sorted;
use crate::rng::SplitMix64;
use crate::special::{normal_cdf, normal_quantile};

/// How to resample. The same seed gives the same resamples, on every platform and with every version.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bootstrap {
    /// The number of resamples, by default 10,000.
    pub resamples: usize,
    /// The seed, by default 0.
    pub seed: u64,
    /// The nominal level, by default 0.95.
    pub level: f64,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self { resamples: 10_000, seed: 0, level: 0.95 }
    }
}

/// A bias-corrected and accelerated (BCa) interval and its parts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bca {
    /// The statistic of the sample.
    pub estimate: f64,
    /// The interval, in the statistic's unit.
    pub interval: Interval,
    /// The standard deviation of the resampled statistics, with B - 1.
    pub standard_error: f64,
    /// z₀: the bias of the median, in standard normal units.
    pub bias_correction: f64,
    /// a: how fast the standard error changes with the statistic.
    pub acceleration: f64,
}

impl Bootstrap {
    /// The BCa interval of a statistic: see [`bca_interval`] for the formula.
    ///
    /// `data` holds the independent units. For scores that is `&[f64]`; for clustered items pass one slice for each cluster
    /// (`&[&[f64]]`), so that whole clusters are drawn; for pairs pass tuples. The statistic is called once for the sample,
    /// once for each resample and once for each unit left out, so the time is (B + n) times its cost.
    ///
    /// # Errors
    ///
    /// [`Error::TooFew`] for fewer than two units or resamples, [`Error::Domain`] for a level outside `(0, 1)`, and
    /// [`Error::Overflow`] when the statistic is NaN or infinite for the sample, for a resample, or without one unit.
    ///
    /// ```
    /// # use judge_run_statistics::bootstrap::Bootstrap;
    /// # use judge_run_statistics::quantile::Sorted;
    /// let latencies = [0.8, 1.1, 0.9, 4.2, 1.0, 1.3, 0.7, 2.5, 1.2, 0.9];
    /// let median = |sample: &[f64]| Sorted::new(sample.to_vec()).map_or(f64::NAN, |sorted| sorted.median());
    /// let bca = Bootstrap { seed: 7, ..Bootstrap::default() }.bca(&latencies, median)?;
    /// assert_eq!(bca.estimate, 1.05);
    /// assert!(bca.interval.contains(1.05));
    /// # Ok::<(), judge_run_statistics::Error>(())
    /// ```
    pub fn bca<T: Copy>(&self, data: &[T], statistic: impl Fn(&[T]) -> f64) -> Result<Bca, Error> {
        open_unit("level", self.level)?;
        at_least(2, "units", data.len())?;
        at_least(2, "resamples", self.resamples)?;
        let finite =
            |value: f64| if value.is_finite() { Ok(value) } else { Err(Error::Overflow { what: "statistic" }) };

        let mut rng = SplitMix64::new(self.seed);
        let mut resample = data.to_vec();
        let mut resampled = Vec::with_capacity(self.resamples);
        for _ in 0..self.resamples {
            resample.fill_with(|| data[rng.below(data.len())]);
            resampled.push(finite(statistic(&resample))?);
        }
        // `left` holds all units but the first; putting unit i in place i leaves out unit i + 1 instead.
        let mut left = data[1..].to_vec();
        let mut jackknife = vec![finite(statistic(&left))?];
        for (index, &unit) in data[..left.len()].iter().enumerate() {
            left[index] = unit;
            jackknife.push(finite(statistic(&left))?);
        }
        bca_interval(finite(statistic(data))?, resampled, &jackknife, self.level)
    }
}

/// The BCa interval from statistics that were computed elsewhere: of the sample, of B resamples, and of the sample without
/// each of its units in turn (the jackknife).
///
/// With Φ the standard normal distribution function and d the jackknife's mean less its values,
///
/// ```text
/// z₀ = Φ⁻¹((#{θ* < θ̂} + #{θ* = θ̂}/2) / B),   a = Σd³ / (6 (Σd²)^1.5)
/// ```
///
/// the ends are the quantiles ([definition 7](Sorted::quantile)) of the resampled statistics for the probabilities
/// Φ(z₀ + (z₀ + z) / (1 - a (z₀ + z))) with z = Φ⁻¹(α/2) and Φ⁻¹(1 - α/2). Resamples within 1e-12 of the estimate, relative to
/// the largest, count as equal to it. When nothing varies a = 0, and the interval is a point.
///
/// Source: Efron (1987), "Better bootstrap confidence intervals", JASA 82, 171-185; Efron and Tibshirani (1993), "An
/// introduction to the bootstrap", section 14.3. Counting ties half as `scipy.stats.bootstrap` does.
///
/// # Errors
///
/// [`Error::TooFew`] for fewer than two resamples or jackknife values, [`Error::NotFinite`] for one that is NaN or
/// infinite, [`Error::Domain`] for the level or the estimate, and [`Error::OneSidedResamples`] when all resamples lie on
/// one side of the estimate.
pub fn bca_interval(estimate: f64, resampled: Vec<f64>, jackknife: &[f64], level: f64) -> Result<Bca, Error> {
    open_unit("level", level)?;
    domain("estimate", estimate, "finite", estimate.is_finite())?;
    at_least(2, "resamples", resampled.len())?;
    at_least(2, "jackknife values", jackknife.len())?;
    all_finite(jackknife)?;
    let sorted = Sorted::new(resampled)?;
    let values = sorted.values();

    let largest = values.iter().fold(estimate.abs(), |largest, value| largest.max(value.abs()));
    let tie = 1e-12 * largest;
    let below = values.partition_point(|&value| value < estimate - tie);
    let not_above = values.partition_point(|&value| value <= estimate + tie);
    let share = (below + not_above) as f64 / (2 * values.len()) as f64;
    if share == 0.0 || share == 1.0 {
        return Err(Error::OneSidedResamples);
    }
    let bias_correction = normal_quantile(share);
    let acceleration = acceleration(jackknife);

    let end = |tail: f64| {
        let shifted = bias_correction + normal_quantile(tail);
        let denominator = 1.0 - acceleration * shifted;
        // At the pole the probability has reached its end.
        let z = if denominator > 0.0 { bias_correction + shifted / denominator } else { shifted * f64::INFINITY };
        sorted.interpolate(normal_cdf(z))
    };
    let tail = (1.0 - level) / 2.0;
    let interval = Interval { lower: end(tail), upper: end(1.0 - tail), level };
    Ok(Bca { estimate, interval, standard_error: deviation(values), bias_correction, acceleration })
}

/// The percentile interval: the α/2 and 1 - α/2 quantiles of the resampled statistics. Simple, but biased when the
/// statistic is skewed; prefer [`bca_interval`].
///
/// # Errors
///
/// [`Error::TooFew`] without resamples, [`Error::NotFinite`] for one that is NaN or infinite, [`Error::Domain`] for the level.
pub fn percentile_interval(resampled: Vec<f64>, level: f64) -> Result<Interval, Error> {
    open_unit("level", level)?;
    let (sorted, tail) = (Sorted::new(resampled)?, (1.0 - level) / 2.0);
    Ok(Interval { lower: sorted.interpolate(tail), upper: sorted.interpolate(1.0 - tail), level })
}

fn acceleration(jackknife: &[f64]) -> f64 {
    let mean = jackknife.iter().sum::<f64>() / jackknife.len() as f64;
    // Scaled to the largest, so that neither power underflows.
    let largest = jackknife.iter().fold(0.0f64, |largest, value| largest.max((mean - value).abs()));
    let noise = 1e-12 * jackknife.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
    if largest <= noise {
        return 0.0;
    }
    let deviations = || jackknife.iter().map(|value| (mean - value) / largest);
    let (squares, cubes) = (deviations().map(|d| d.powi(2)).sum::<f64>(), deviations().map(|d| d.powi(3)).sum::<f64>());
    cubes / (6.0 * squares.powf(1.5))
}

fn deviation(values: &[f64]) -> f64 {
    let moments: crate::mean::Moments = values.iter().copied().collect();
    moments.variance().unwrap_or(0.0).max(0.0).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn average(sample: &[f64]) -> f64 {
        sample.iter().sum::<f64>() / sample.len() as f64
    }

    #[test]
    fn equal_values_give_a_point() {
        let bca = Bootstrap::default().bca(&[0.3; 12], average).unwrap();
        assert!((bca.interval.lower - 0.3).abs() < 1e-15 && (bca.interval.upper - 0.3).abs() < 1e-15);
        assert_eq!((bca.bias_correction, bca.acceleration), (0.0, 0.0));
        assert!(bca.standard_error < 1e-15);
    }

    #[test]
    fn invalid_arguments_are_errors() {
        let few = Bootstrap { resamples: 50, ..Bootstrap::default() };
        assert!(matches!(few.bca(&[1.0], average), Err(Error::TooFew { what: "units", got: 1, .. })));
        assert!(matches!(few.bca::<f64>(&[], average), Err(Error::TooFew { what: "units", got: 0, .. })));
        assert!(Bootstrap { resamples: 1, ..few }.bca(&[1.0, 2.0], average).is_err());
        assert!(Bootstrap { level: 1.0, ..few }.bca(&[1.0, 2.0], average).is_err());
        assert_eq!(few.bca(&[1.0, f64::NAN], average), Err(Error::Overflow { what: "statistic" }));
        assert_eq!(bca_interval(5.0, vec![1.0, 2.0], &[1.0, 2.0], 0.95), Err(Error::OneSidedResamples));
        assert_eq!(bca_interval(1.5, vec![1.0, f64::NAN], &[1.0, 2.0], 0.95), Err(Error::NotFinite { index: 1 }));
        assert!(bca_interval(f64::NAN, vec![1.0, 2.0], &[1.0, 2.0], 0.95).is_err());
        assert!(percentile_interval(vec![], 0.95).is_err());
    }

    #[test]
    fn whole_clusters_are_drawn() {
        let clusters: [&[f64]; 4] = [&[1.0; 5], &[0.0; 5], &[1.0; 5], &[0.0; 5]];
        let pooled = |drawn: &[&[f64]]| average(&drawn.concat());
        let bca = Bootstrap::default().bca(&clusters, pooled).unwrap();
        // The standard deviation of the mean of 4 coin tosses, not of 20.
        assert!((bca.standard_error - 0.25).abs() < 0.01, "{}", bca.standard_error);
    }

    /// Computed independently, in Python with SplitMix64 and `scipy.special`.
    #[test]
    fn a_seed_gives_the_same_interval_with_every_version() {
        let values = [0.8, 1.1, 0.9, 4.2, 1.0, 1.3, 0.7, 2.5, 1.2, 0.9];
        let bca = Bootstrap { resamples: 1_000, seed: 7, level: 0.95 }.bca(&values, average).unwrap();
        let digits = format!("{:.9} {:.9}", bca.interval.lower, bca.interval.upper);
        assert_eq!(digits, "1.010000000 2.452663763");
    }

    #[test]
    fn each_unit_is_left_out_once() {
        let seen = std::cell::RefCell::new(Vec::new());
        let statistic = |sample: &[f64]| {
            if sample.len() == 3 {
                seen.borrow_mut().push(sample.to_vec());
            }
            average(sample)
        };
        Bootstrap::default().bca(&[1.0, 2.0, 3.0, 4.0], statistic).unwrap();
        assert_eq!(*seen.borrow(), [[2.0, 3.0, 4.0], [1.0, 3.0, 4.0], [1.0, 2.0, 4.0], [1.0, 2.0, 3.0]]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_seed_gives_one_interval_within_the_data(values in vec(-5.0..5.0f64, 2..25), seed: u64) {
            let bootstrap = Bootstrap { resamples: 200, seed, level: 0.9 };
            let (Ok(once), Ok(again)) = (bootstrap.bca(&values, average), bootstrap.bca(&values, average)) else {
                return Ok(());
            };
            prop_assert_eq!(once, again);
            let sorted = Sorted::new(values).unwrap();
            let (least, most) = (sorted.interpolate(0.0), sorted.interpolate(1.0));
            prop_assert!(least - 1e-12 <= once.interval.lower && once.interval.upper <= most + 1e-12);
            prop_assert!(once.interval.lower <= once.interval.upper);
        }

        #[test]
        fn the_interval_follows_shift_and_scale(values in vec(-5.0..5.0f64, 4..25), scale in 0.5..3.0f64) {
            let bootstrap = Bootstrap { resamples: 200, seed: 1, level: 0.9 };
            let moved: Vec<f64> = values.iter().map(|value| scale * value + 1.0).collect();
            if let (Ok(bca), Ok(other)) = (bootstrap.bca(&values, average), bootstrap.bca(&moved, average)) {
                prop_assert!((scale * bca.interval.lower + 1.0 - other.interval.lower).abs() < 1e-6);
                prop_assert!((scale * bca.interval.upper + 1.0 - other.interval.upper).abs() < 1e-6);
            }
        }
    }
}
