//! Means of independent scores, and of the differences of pairs.

use super::estimate::MeanEstimate;
use super::moments::Moments;
use crate::error::{Error, all_finite};

/// The mean of independent scores.
///
/// # Errors
///
/// [`Error::TooFew`] for fewer than two scores, [`Error::NotFinite`] for a score that is NaN or infinite.
pub fn mean(scores: &[f64]) -> Result<MeanEstimate, Error> {
    all_finite(scores)?;
    scores.iter().copied().collect::<Moments>().estimate()
}

/// The mean of `new[i] - base[i]`: two runs over the same items. Its [`test`](MeanEstimate::test) is the paired t test.
///
/// # Errors
///
/// [`Error::LengthMismatch`], and those of [`mean`].
///
/// ```
/// # use judge_run_statistics::{Alternative, mean::paired_mean};
/// let difference = paired_mean(&[0.5, 0.7, 0.2, 0.9], &[0.6, 0.9, 0.2, 1.0])?;
/// assert!((difference.mean - 0.1).abs() < 1e-12);
/// assert!(difference.test(0.0, Alternative::Greater)?.p_value < 0.05);
/// # Ok::<(), judge_run_statistics::Error>(())
/// ```
pub fn paired_mean(base: &[f64], new: &[f64]) -> Result<MeanEstimate, Error> {
    if base.len() != new.len() {
        return Err(Error::LengthMismatch { left: base.len(), right: new.len() });
    }
    all_finite(base)?;
    all_finite(new)?;
    base.iter().zip(new).map(|(base, new)| new - base).collect::<Moments>().estimate()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interval::Alternative;
    use crate::mean::TTest;
    use proptest::collection::vec;
    use proptest::prelude::*;

    const D: [f64; 10] = [0.3, -0.1, 0.2, 0.4, 0.0, 0.1, -0.2, 0.5, 0.3, 0.1];

    #[test]
    fn equal_scores_give_a_point() {
        let estimate = mean(&[0.75; 8]).unwrap();
        let interval = estimate.interval(0.95).unwrap();
        assert_eq!((interval.lower, interval.upper), (0.75, 0.75));
        assert_eq!(estimate.test(0.75, Alternative::TwoSided).unwrap(), TTest { statistic: 0.0, p_value: 1.0 });
        assert_eq!(
            estimate.test(0.5, Alternative::TwoSided).unwrap(),
            TTest { statistic: f64::INFINITY, p_value: 0.0 }
        );
        assert_eq!(estimate.test(0.5, Alternative::Greater).unwrap().p_value, 0.0);
        assert_eq!(estimate.test(0.5, Alternative::Less).unwrap().p_value, 1.0);
    }

    #[test]
    fn too_few_scores_are_an_error() {
        let error = |got| Err(Error::TooFew { what: "scores", required: 2, got });
        assert_eq!(mean(&[]), error(0));
        assert_eq!(mean(&[1.0]), error(1));
        assert_eq!(paired_mean(&[1.0], &[2.0]), error(1));
    }

    #[test]
    fn invalid_scores_are_errors() {
        assert_eq!(mean(&[1.0, f64::NAN]), Err(Error::NotFinite { index: 1 }));
        assert_eq!(paired_mean(&[1.0, 2.0], &[f64::INFINITY, 2.0]), Err(Error::NotFinite { index: 0 }));
        assert_eq!(paired_mean(&[1.0], &[]), Err(Error::LengthMismatch { left: 1, right: 0 }));
        assert_eq!(mean(&[f64::MAX, -f64::MAX]), Err(Error::Overflow { what: "mean or variance" }));
    }

    #[test]
    fn invalid_fields_are_errors() {
        let good = mean(&D).unwrap();
        let bad = [
            MeanEstimate { mean: f64::NAN, ..good },
            MeanEstimate { standard_error: -1.0, ..good },
            MeanEstimate { standard_error: f64::NAN, ..good },
            MeanEstimate { degrees_of_freedom: 0.0, ..good },
            MeanEstimate { degrees_of_freedom: f64::INFINITY, ..good },
        ];
        for estimate in bad {
            assert!(estimate.interval(0.95).is_err() && estimate.test(0.0, Alternative::Less).is_err());
        }
        assert!(good.interval(1.0).is_err());
        assert!(good.test(f64::NAN, Alternative::TwoSided).is_err());
    }

    #[test]
    fn the_one_sided_p_values_sum_to_one() {
        let estimate = mean(&D).unwrap();
        let [less, greater, both] = [Alternative::Less, Alternative::Greater, Alternative::TwoSided]
            .map(|alternative| estimate.test(0.05, alternative).unwrap().p_value);
        assert!((less + greater - 1.0).abs() < 1e-12);
        assert!((both - 2.0 * greater).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn the_interval_follows_shift_and_scale(
            scores in vec(-5.0..5.0f64, 2..40), shift in -10.0..10.0f64, scale in 0.1..10.0f64, level in 0.5..0.999f64,
        ) {
            let interval = mean(&scores).unwrap().interval(level).unwrap();
            let moved: Vec<f64> = scores.iter().map(|score| scale * score + shift).collect();
            let other = mean(&moved).unwrap().interval(level).unwrap();
            prop_assert!((scale * interval.lower + shift - other.lower).abs() < 1e-9 * (1.0 + other.width()));
            prop_assert!((scale * interval.upper + shift - other.upper).abs() < 1e-9 * (1.0 + other.width()));
        }

        #[test]
        fn the_interval_holds_the_hypotheses_that_the_test_keeps(
            scores in vec(-5.0..5.0f64, 3..40), hypothesis in -3.0..3.0f64, level in 0.5..0.999f64,
        ) {
            let estimate = mean(&scores).unwrap();
            let p_value = estimate.test(hypothesis, Alternative::TwoSided).unwrap().p_value;
            prop_assume!((p_value - (1.0 - level)).abs() > 1e-9);
            prop_assert_eq!(estimate.interval(level).unwrap().contains(hypothesis), p_value > 1.0 - level);
        }

        #[test]
        fn swapping_the_runs_flips_the_sign(pairs in vec((0.0..1.0f64, 0.0..1.0f64), 2..40)) {
            let (base, new): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            let (there, back) = (paired_mean(&base, &new).unwrap(), paired_mean(&new, &base).unwrap());
            prop_assert_eq!(there.mean, -back.mean);
            prop_assert_eq!(there.standard_error, back.standard_error);
        }
    }
}
