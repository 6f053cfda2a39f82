//! The score interval for a difference of paired shares.

use super::PairedCounts;
use crate::error::{Error, open_unit};
use crate::interval::Interval;
use crate::special::{boundary, two_sided_z};

/// Tango's score interval for the new pass rate minus that of the base: the differences that a score test does not reject.
///
/// With n pairs, of which b pass in the base run only and c in the new run only, the ends δ solve T(δ) = ±z for
///
/// ```text
/// T(δ) = (c - b - n δ) / √(n (2q + δ (1 - δ)))
/// q = (√(B² - 4AC) - B) / (2A),   A = 2n,   B = (2n - c + b) δ - b - c,   C = -b δ (1 - δ)
/// ```
///
/// where q is the maximum likelihood estimate, given δ, of the probability that a pair passes in the base run only. Both
/// ends lie in `-1..=1`; without pairs the interval is `[-1, 1]`. Unlike Wald's, it keeps its coverage when few pairs differ,
/// and has a width of about z²/n when none do. The pairs must be independent: for clusters use
/// [`clustered_mean`](crate::mean::clustered_mean) over the differences.
///
/// Source: Tango (1998), "Equivalence test and confidence interval for the difference in proportions for the paired-sample
/// design", Statistics in Medicine 17, 891-908.
///
/// # Errors
///
/// [`Error::Domain`] when the level is outside `(0, 1)`.
///
/// ```
/// # use judge_run_statistics::paired::{PairedCounts, tango};
/// let pairs = PairedCounts { both: 40, only_base: 3, only_new: 12, neither: 45 };
/// let interval = tango(&pairs, 0.95)?;
/// assert_eq!(format!("{:.4} {:.4}", interval.lower, interval.upper), "0.0160 0.1737");
/// # Ok::<(), judge_run_statistics::Error>(())
/// ```
pub fn tango(pairs: &PairedCounts, level: f64) -> Result<Interval, Error> {
    open_unit("level", level)?;
    let Some(difference) = pairs.difference() else {
        return Ok(Interval { lower: -1.0, upper: 1.0, level });
    };
    let z = two_sided_z(level);
    Ok(Interval { lower: -limit(&swap(pairs), -difference, z), upper: limit(pairs, difference, z), level })
}

/// The largest difference that is not rejected.
fn limit(pairs: &PairedCounts, difference: f64, z: f64) -> f64 {
    // At the difference itself the statistic is 0, but its variance may be as well: start just above.
    boundary(difference, 1.0, |delta| delta <= difference || statistic(pairs, delta) > -z)
}

fn swap(pairs: &PairedCounts) -> PairedCounts {
    PairedCounts { only_base: pairs.only_new, only_new: pairs.only_base, ..*pairs }
}

fn statistic(pairs: &PairedCounts, delta: f64) -> f64 {
    let [n, base, new] = [pairs.n(), pairs.only_base, pairs.only_new].map(|count| count as f64);
    let a = 2.0 * n;
    let b = (2.0 * n - new + base) * delta - base - new;
    let c = -base * delta * (1.0 - delta);
    let root = (b * b - 4.0 * a * c).max(0.0).sqrt();
    // The two forms of the same root; each cancels where the other does not.
    let q = if b > 0.0 { -2.0 * c / (b + root) } else { (root - b) / (2.0 * a) };
    (new - base - n * delta) / (n * (2.0 * q + delta * (1.0 - delta))).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::special::normal_cdf;
    use proptest::prelude::*;

    fn pairs(both: u64, only_base: u64, only_new: u64, neither: u64) -> PairedCounts {
        PairedCounts { both, only_base, only_new, neither }
    }

    #[test]
    fn without_pairs_nothing_is_known() {
        assert_eq!(tango(&PairedCounts::default(), 0.9), Ok(Interval { lower: -1.0, upper: 1.0, level: 0.9 }));
        assert!(tango(&pairs(1, 1, 1, 1), f64::NAN).is_err());
    }

    #[test]
    fn without_pairs_that_differ_the_interval_is_symmetric() {
        let interval = tango(&pairs(60, 0, 0, 40), 0.95).unwrap();
        let expected = 1.959963984540054f64.powi(2) / (100.0 + 1.959963984540054f64.powi(2));
        assert!((interval.upper - expected).abs() < 1e-12 && (interval.lower + expected).abs() < 1e-12);
    }

    #[test]
    fn a_complete_reversal_ends_at_one() {
        let interval = tango(&pairs(0, 0, 20, 0), 0.95).unwrap();
        assert!(interval.upper == 1.0 && interval.lower > 0.6 && interval.lower < 0.9, "{interval:?}");
        let interval = tango(&pairs(0, 1, 0, 0), 0.95).unwrap();
        assert!(interval.lower == -1.0 && interval.upper < 1.0, "{interval:?}");
    }

    proptest! {
        #[test]
        fn the_interval_lies_in_range_and_holds_the_difference(
            a in 0u64..500, b in 0u64..500, c in 0u64..500, d in 0u64..500, level in 0.01..0.9999f64,
        ) {
            let pairs = pairs(a, b, c, d);
            let interval = tango(&pairs, level).unwrap();
            prop_assert!(-1.0 <= interval.lower && interval.upper <= 1.0);
            prop_assert!(pairs.difference().is_none_or(|difference| interval.contains(difference)), "{interval:?}");
        }

        #[test]
        fn swapping_the_runs_flips_the_interval(a in 0u64..500, b in 0u64..500, c in 0u64..500, d in 0u64..500) {
            let (there, back) = (tango(&pairs(a, b, c, d), 0.95).unwrap(), tango(&pairs(a, c, b, d), 0.95).unwrap());
            prop_assert!((there.lower + back.upper).abs() < 1e-12 && (there.upper + back.lower).abs() < 1e-12);
        }

        /// At δ = 0 the statistic is McNemar's (c - b) / √(b + c).
        #[test]
        fn zero_is_inside_unless_mcnemars_test_rejects(
            a in 0u64..500, b in 0u64..200, c in 0u64..200, d in 0u64..500, level in 0.5..0.999f64,
        ) {
            prop_assume!(b + c > 0);
            let mcnemar = (c as f64 - b as f64) / ((b + c) as f64).sqrt();
            let p_value = 2.0 * normal_cdf(-mcnemar.abs());
            prop_assume!((p_value - (1.0 - level)).abs() > 1e-9);
            prop_assert_eq!(tango(&pairs(a, b, c, d), level).unwrap().contains(0.0), p_value > 1.0 - level);
        }

        #[test]
        fn more_pairs_narrow_it(a in 0u64..200, b in 0u64..200, c in 0u64..200, d in 0u64..200) {
            prop_assume!(a + b + c + d > 0);
            let width = |k: u64| tango(&pairs(k * a, k * b, k * c, k * d), 0.95).unwrap().width();
            prop_assert!(width(10) < width(1));
        }
    }
}
