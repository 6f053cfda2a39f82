//! Several tests at once: p-values adjusted so that each can be compared with the error rate for all.
//!
//! - [`holm`] for decisions such as gates: the probability of *any* false rejection is at most α.
//! - [`benjamini_hochberg`] for exploration: of the rejections, at most a share α is false on average.
//!
//! Both keep the order of the p-values; an empty slice gives an empty vector.
//!
//! # Errors
//!
//! [`Error::Domain`] for a p-value outside `0..=1` or NaN.

use crate::error::{Error, domain};

/// Holm's step-down adjustment, for any dependence between the tests.
///
/// In ascending order p₍₁₎ ≤ … ≤ p₍ₘ₎, the adjusted value is max over j ≤ i of min(1, (m - j + 1) p₍ⱼ₎).
///
/// Source: Holm (1979), "A simple sequentially rejective multiple test procedure", Scandinavian J. Statistics 6, 65-70.
///
/// # Errors
///
/// See the [module](self).
///
/// ```
/// # use judge_run_statistics::multiple::holm;
/// assert_eq!(holm(&[0.04, 0.01, 0.03])?, [0.06, 0.03, 0.06]);
/// # Ok::<(), judge_run_statistics::Error>(())
/// ```
pub fn holm(p_values: &[f64]) -> Result<Vec<f64>, Error> {
    let order = ascending(p_values)?;
    let mut adjusted = vec![0.0; p_values.len()];
    let mut largest = 0.0f64;
    for (rank, &index) in order.iter().enumerate() {
        largest = largest.max((order.len() - rank) as f64 * p_values[index]).min(1.0);
        adjusted[index] = largest;
    }
    Ok(adjusted)
}

/// The Benjamini-Hochberg step-up adjustment, for tests that are independent or positively dependent.
///
/// In ascending order p₍₁₎ ≤ … ≤ p₍ₘ₎, the adjusted value is min over j ≥ i of min(1, m p₍ⱼ₎ / j).
///
/// Source: Benjamini and Hochberg (1995), "Controlling the false discovery rate", J. Royal Statistical Society B 57, 289-300.
///
/// # Errors
///
/// See the [module](self).
pub fn benjamini_hochberg(p_values: &[f64]) -> Result<Vec<f64>, Error> {
    let order = ascending(p_values)?;
    let mut adjusted = vec![0.0; p_values.len()];
    let mut smallest = 1.0f64;
    for (rank, &index) in order.iter().enumerate().rev() {
        smallest = smallest.min(order.len() as f64 * p_values[index] / (rank + 1) as f64);
        adjusted[index] = smallest;
    }
    Ok(adjusted)
}

fn ascending(p_values: &[f64]) -> Result<Vec<usize>, Error> {
    for &p_value in p_values {
        domain("p_value", p_value, "in [0, 1]", (0.0..=1.0).contains(&p_value))?;
    }
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&left, &right| p_values[left].total_cmp(&p_values[right]));
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    #[test]
    fn one_test_needs_no_adjustment() {
        assert_eq!(holm(&[0.03]), Ok(vec![0.03]));
        assert_eq!(benjamini_hochberg(&[0.03]), Ok(vec![0.03]));
        assert_eq!(holm(&[]), Ok(vec![]));
        assert_eq!(benjamini_hochberg(&[]), Ok(vec![]));
    }

    #[test]
    fn ends_of_the_range_stay() {
        assert_eq!(holm(&[1.0, 0.0, 1.0]), Ok(vec![1.0, 0.0, 1.0]));
        assert_eq!(benjamini_hochberg(&[1.0, 0.0, 1.0]), Ok(vec![1.0, 0.0, 1.0]));
    }

    #[test]
    fn invalid_p_values_are_errors() {
        for bad in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert!(holm(&[0.5, bad]).is_err() && benjamini_hochberg(&[bad]).is_err());
        }
    }

    proptest! {
        #[test]
        fn adjustments_are_ordered(p_values in vec(0.0..=1.0f64, 1..30)) {
            let (holm, bh) = (holm(&p_values).unwrap(), benjamini_hochberg(&p_values).unwrap());
            for ((p_value, holm), bh) in p_values.iter().zip(&holm).zip(&bh) {
                // m p / m can lose the last digit.
                prop_assert!(*p_value <= bh + 1e-15 && *bh <= holm + 1e-15 && *holm <= 1.0);
            }
        }

        #[test]
        fn order_does_not_matter(p_values in vec(0.0..=1.0f64, 1..30)) {
            let reversed: Vec<f64> = p_values.iter().rev().copied().collect();
            let mirrored = |adjusted: Vec<f64>| adjusted.into_iter().rev().collect::<Vec<_>>();
            prop_assert_eq!(holm(&p_values).unwrap(), mirrored(holm(&reversed).unwrap()));
            prop_assert_eq!(benjamini_hochberg(&p_values).unwrap(), mirrored(benjamini_hochberg(&reversed).unwrap()));
        }

        #[test]
        fn a_larger_p_value_gets_a_larger_adjustment(mut p_values in vec(0.0..=1.0f64, 2..30)) {
            p_values.sort_unstable_by(f64::total_cmp);
            prop_assert!(holm(&p_values).unwrap().is_sorted());
            prop_assert!(benjamini_hochberg(&p_values).unwrap().is_sorted());
        }
    }
}
