//! The sign-flip permutation test.

use crate::error::{Error, all_finite, at_least};
use crate::interval::Alternative;
use crate::rng::SplitMix64;

/// Up to this number of differences that are not 0, all sign patterns are counted.
pub const MAX_EXACT_PAIRS: usize = 32;

/// The result of [`sign_flip`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SignFlip {
    /// The mean difference.
    pub mean: f64,
    /// The probability of a mean at least as extreme when each sign is a coin toss.
    pub p_value: f64,
    /// The number of random sign patterns, or `None` when all were counted and the p-value is exact.
    pub resamples: Option<u64>,
}

/// The sign-flip permutation test of paired scores: the hypothesis is that each difference (new minus base) is as likely
/// to have the other sign, as it is when the runs are interchangeable. No distribution is assumed.
///
/// Up to [`MAX_EXACT_PAIRS`] differences that are not 0 (zeros have no sign), the p-value is the share of all sign patterns
/// with a sum at least as extreme. Beyond, it is (1 + k) / (1 + B) for the k extreme ones of `resamples` = B random
/// patterns from `seed`: never 0, and valid for every B. Sums that differ only by rounding count as equal. When all
/// differences are 0 the p-value is 1. For clustered items pass the sum of each cluster's differences.
///
/// Source: Fisher (1935), "The design of experiments", section 21; the estimate: Phipson and Smyth (2010), "Permutation
/// p-values should never be zero", Statistical Applications in Genetics and Molecular Biology 9, 39.
///
/// # Errors
///
/// [`Error::TooFew`] without differences, or with 0 resamples where they are needed; [`Error::NotFinite`] for a
/// difference that is NaN or infinite, [`Error::Overflow`] for a sum that is.
///
/// ```
/// # use judge_run_statistics::{Alternative, paired::sign_flip};
/// let differences = [0.3, -0.1, 0.2, 0.4, 0.0, 0.1, -0.2, 0.5, 0.3, 0.1];
/// let test = sign_flip(&differences, Alternative::TwoSided, 10_000, 0)?;
/// assert_eq!((test.p_value, test.resamples), (72.0 / 1024.0, None));
/// # Ok::<(), judge_run_statistics::Error>(())
/// ```
pub fn sign_flip(differences: &[f64], alternative: Alternative, resamples: u64, seed: u64) -> Result<SignFlip, Error> {
    at_least(1, "differences", differences.len())?;
    all_finite(differences)?;
    let sum: f64 = differences.iter().sum();
    let size: f64 = differences.iter().map(|difference| difference.abs()).sum();
    if !size.is_finite() {
        return Err(Error::Overflow { what: "sum of differences" });
    }
    let mean = sum / differences.len() as f64;
    let signed: Vec<f64> = differences.iter().copied().filter(|&difference| difference != 0.0).collect();
    let tolerance = size * f64::EPSILON * (signed.len() + 8) as f64;
    // The distribution of the sum is symmetric: the lower tail is the upper one of the mirrored sample.
    let (observed, sides) = match alternative {
        Alternative::Greater => (sum, 1.0),
        Alternative::Less => (-sum, 1.0),
        Alternative::TwoSided => (sum.abs(), 2.0),
    };
    let threshold = observed - tolerance;
    if alternative == Alternative::TwoSided && threshold <= 0.0 {
        return Ok(SignFlip { mean, p_value: 1.0, resamples: None });
    }
    if signed.len() <= MAX_EXACT_PAIRS {
        let p_value = (sides * exact_tail(&signed, threshold)).min(1.0);
        return Ok(SignFlip { mean, p_value, resamples: None });
    }
    at_least(1, "resamples", resamples as usize)?;
    let mut rng = SplitMix64::new(seed);
    let extreme = (0..resamples)
        .filter(|_| {
            let flipped = random_sum(&signed, &mut rng);
            let compared = if alternative == Alternative::TwoSided { flipped.abs() } else { flipped };
            compared >= threshold
        })
        .count();
    Ok(SignFlip { mean, p_value: (1 + extreme) as f64 / (1 + resamples) as f64, resamples: Some(resamples) })
}

/// The share of the 2ⁿ sign patterns with a sum of at least `threshold`. The sums of the two halves are listed apart, so the
/// work grows with 2^(n/2).
fn exact_tail(values: &[f64], threshold: f64) -> f64 {
    let (left, right) = values.split_at(values.len() / 2);
    let left = signed_sums(left);
    let mut right = signed_sums(right);
    right.sort_unstable_by(f64::total_cmp);
    let extreme: usize =
        left.iter().map(|left| right.len() - right.partition_point(|right| left + right < threshold)).sum();
    extreme as f64 / (left.len() as f64 * right.len() as f64)
}

fn signed_sums(values: &[f64]) -> Vec<f64> {
    values.iter().fold(vec![0.0], |sums, value| sums.iter().flat_map(|sum| [sum + value, sum - value]).collect())
}

fn random_sum(values: &[f64], rng: &mut SplitMix64) -> f64 {
    values
        .chunks(64)
        .map(|chunk| {
            let signs = rng.next();
            let sign = |bit: usize| if signs >> bit & 1 == 1 { 1.0 } else { -1.0 };
            chunk.iter().enumerate().map(|(bit, value)| sign(bit) * value).sum::<f64>()
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    const ALL: [Alternative; 3] = [Alternative::TwoSided, Alternative::Less, Alternative::Greater];

    #[test]
    fn zeros_reject_nothing() {
        for alternative in ALL {
            let test = sign_flip(&[0.0; 50], alternative, 10, 0).unwrap();
            assert_eq!(test, SignFlip { mean: 0.0, p_value: 1.0, resamples: None });
        }
    }

    #[test]
    fn invalid_arguments_are_errors() {
        assert!(matches!(sign_flip(&[], Alternative::Less, 10, 0), Err(Error::TooFew { what: "differences", .. })));
        assert_eq!(sign_flip(&[1.0, f64::NAN], Alternative::Less, 10, 0), Err(Error::NotFinite { index: 1 }));
        assert!(matches!(sign_flip(&[f64::MAX; 3], Alternative::Less, 10, 0), Err(Error::Overflow { .. })));
        assert!(matches!(sign_flip(&[1.0; 40], Alternative::Less, 0, 0), Err(Error::TooFew { what: "resamples", .. })));
    }

    #[test]
    fn sums_that_differ_by_rounding_are_equal() {
        // 0.1 + 0.2 - 0.3 is not 0 in floating point: every pattern but two has a smaller sum than all three together.
        let test = sign_flip(&[0.1, 0.2, 0.3], Alternative::TwoSided, 0, 0).unwrap();
        assert_eq!(test.p_value, 0.25);
        let test = sign_flip(&[0.1, 0.2, -0.3], Alternative::TwoSided, 0, 0).unwrap();
        assert_eq!(test.p_value, 1.0);
    }

    #[test]
    fn the_largest_exact_sample_has_the_smallest_p_value() {
        let test = sign_flip(&[1.0; MAX_EXACT_PAIRS], Alternative::Greater, 0, 0).unwrap();
        assert_eq!((test.p_value, test.resamples), (0.5f64.powi(32), None));
    }

    /// Computed independently, in Python with SplitMix64.
    #[test]
    fn a_seed_gives_the_same_p_value_with_every_version() {
        let differences: Vec<f64> = (0..100).map(|index| f64::from(index % 7) - 2.5).collect();
        let test = sign_flip(&differences, Alternative::TwoSided, 999, 11).unwrap();
        assert_eq!(test.p_value, 0.032);
    }

    #[test]
    fn random_patterns_agree_with_the_exact_count() {
        // 33 differences of ±1: the exact p-value is that of McNemar's test.
        let differences: Vec<f64> = (0..33).map(|index| if index < 11 { -1.0 } else { 1.0 }).collect();
        let pairs = crate::paired::PairedCounts { both: 0, only_base: 11, only_new: 22, neither: 0 };
        for alternative in ALL {
            let exact = crate::paired::mcnemar_exact(&pairs, alternative);
            let test = sign_flip(&differences, alternative, 40_000, 5).unwrap();
            assert_eq!(test.resamples, Some(40_000));
            // Four standard errors.
            assert!((test.p_value - exact).abs() < 4.0 * (exact * (1.0 - exact) / 40_000.0).sqrt() + 1e-4);
        }
    }

    proptest! {
        #[test]
        fn halves_agree_with_brute_force(values in vec(-3..=3i32, 1..10)) {
            let values: Vec<f64> = values.into_iter().map(f64::from).collect();
            let observed: f64 = values.iter().sum();
            let sums = signed_sums(&values);
            let share = |extreme: &dyn Fn(f64) -> bool| {
                sums.iter().filter(|&&sum| extreme(sum)).count() as f64 / sums.len() as f64
            };
            let p_value = |alternative| sign_flip(&values, alternative, 0, 0).unwrap().p_value;
            prop_assert_eq!(p_value(Alternative::Greater), share(&|sum| sum >= observed));
            prop_assert_eq!(p_value(Alternative::Less), share(&|sum| sum <= observed));
            prop_assert_eq!(p_value(Alternative::TwoSided), share(&|sum| sum.abs() >= observed.abs()));
        }

        #[test]
        fn scale_and_zeros_do_not_matter(values in vec(-1.0..1.0f64, 1..14), scale in 0.01..100.0f64) {
            let mut other: Vec<f64> = values.iter().map(|value| scale * value).collect();
            other.extend([0.0; 3]);
            for alternative in ALL {
                let p_value = |values: &[f64]| sign_flip(values, alternative, 0, 0).unwrap().p_value;
                prop_assert_eq!(p_value(&values), p_value(&other));
            }
        }

        #[test]
        fn negation_swaps_the_direction(values in vec(-1.0..1.0f64, 1..14)) {
            let negated: Vec<f64> = values.iter().map(|value| -value).collect();
            let p_value = |values: &[f64], alternative| sign_flip(values, alternative, 0, 0).unwrap().p_value;
            prop_assert_eq!(p_value(&values, Alternative::Less), p_value(&negated, Alternative::Greater));
            prop_assert_eq!(p_value(&values, Alternative::TwoSided), p_value(&negated, Alternative::TwoSided));
        }
    }
}
