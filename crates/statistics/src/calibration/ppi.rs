//! Prediction-powered inference: verdicts of any numeric kind.

use super::corrected::Corrected;
use crate::error::{Error, all_finite, at_least, open_unit};
use crate::interval::Interval;
use crate::special::two_sided_z;

/// A corrected mean, and the weight of the judge in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ppi {
    /// The mean of what people would say.
    pub corrected: Corrected,
    /// λ, in `0..=1`: 0 is people alone, 1 the judge minus its mean error.
    pub lambda: f64,
}

/// PPI++ for a mean: `people[i]` and `judge[i]` rate labelled item i, `unlabelled` are the judge's verdicts on all other items.
///
/// With m labels, n other items, Y people, f the judge, s² the sample variance over all verdicts:
///
/// ```text
/// λ = Σ (Y - Ȳ)(f - f̄) / m / ((1 + m/n) s²), cut to 0..=1
/// θ = λ mean(f over others) + mean(Y - λ f),   Var θ = λ² Var(f over others)/n + Var(Y - λ f)/m
/// ```
///
/// The interval is normal. `design_effect` multiplies the variance: how many verdicts of one session count as one; 1 for independent items. Verdicts
/// that labelled items have as well may be left out of `unlabelled` or not; with few labels it makes no difference.
///
/// Source: Angelopoulos, Duchi and Zrnic (2023), "PPI++: efficient prediction-powered inference", arXiv 2311.01453, as ppi_py.
///
/// # Errors
///
/// [`Error::TooFew`] for fewer than two labels or other items, [`Error::LengthMismatch`], [`Error::NotFinite`], [`Error::Domain`] for the level and
/// a design effect that is not positive.
pub fn ppi_plus_plus(
    people: &[f64],
    judge: &[f64],
    unlabelled: &[f64],
    design_effect: f64,
    level: f64,
) -> Result<Ppi, Error> {
    open_unit("level", level)?;
    crate::error::positive("design_effect", design_effect)?;
    if people.len() != judge.len() {
        return Err(Error::LengthMismatch { left: people.len(), right: judge.len() });
    }
    [people, judge, unlabelled].iter().try_for_each(|values| all_finite(values))?;
    at_least(2, "labels", people.len())?;
    at_least(2, "unlabelled items", unlabelled.len())?;
    let (m, n) = (people.len() as f64, unlabelled.len() as f64);
    let (mean_people, mean_judge, mean_others) = (mean(people), mean(judge), mean(unlabelled));
    let all = (mean_judge * m + mean_others * n) / (m + n);
    let squares: f64 = judge.iter().chain(unlabelled).map(|f| (f - all).powi(2)).sum();
    let pooled = squares / (m + n - 1.0);
    let covariance = people.iter().zip(judge).map(|(y, f)| (y - mean_people) * (f - mean_judge)).sum::<f64>() / m;
    // Rounding errors are not variation.
    let varies = pooled > 1e-24 * (1.0 + all * all);
    let lambda = if varies { (covariance / ((1.0 + m / n) * pooled)).clamp(0.0, 1.0) } else { 0.0 };
    let rest: Vec<f64> = people.iter().zip(judge).map(|(y, f)| y - lambda * f).collect();
    let estimate = lambda * mean_others + mean(&rest);
    let variance = lambda * lambda * variance(unlabelled) / n + variance(&rest) / m;
    let standard_error = (variance * design_effect).sqrt();
    let margin = two_sided_z(level) * standard_error;
    let interval = Interval { lower: estimate - margin, upper: estimate + margin, level };
    Ok(Ppi { corrected: Corrected { estimate, standard_error: Some(standard_error), interval }, lambda })
}

/// The mean over strata of a judge's verdicts; each was labelled at random, at any density. `strata` are
/// the items N_k of each and people's labels in it; one without labels has the mean of all.
///
/// With W_k = N_k / N and n items: θ = Σ W_k Ȳ_k, Var θ = Σ W_k² s_k² / m_k + Σ W_k (Ȳ_k - θ)² / n; where a stratum has one label only, s² is that of all
/// labels. The interval is normal. `design_effect` multiplies the variance.
///
/// Source: Fisch et al. (2024), "Stratified prediction-powered inference", arXiv 2406.04291; with verdicts as strata the judge's values cancel.
///
/// # Errors
///
/// [`Error::TooFew`] for fewer than two labels or no items, [`Error::NotFinite`], [`Error::Domain`] for the level and the design effect.
pub fn stratified_mean(strata: &[(u64, &[f64])], design_effect: f64, level: f64) -> Result<Corrected, Error> {
    open_unit("level", level)?;
    crate::error::positive("design_effect", design_effect)?;
    let labels: Vec<f64> = strata.iter().flat_map(|(_, labels)| labels.iter().copied()).collect();
    all_finite(&labels)?;
    at_least(2, "labels", labels.len())?;
    let items: u64 = strata.iter().map(|(items, _)| items).sum();
    at_least(1, "items", usize::try_from(items).unwrap_or(usize::MAX))?;
    let sample = |values: &[f64]| variance(values) * values.len() as f64 / (values.len() as f64 - 1.0);
    let (all_mean, all_variance, n) = (mean(&labels), sample(&labels), items as f64);
    let of = |labels: &[f64]| match labels.len() {
        0 => (all_mean, all_variance),
        1 => (labels[0], all_variance),
        m => (mean(labels), sample(labels) / m as f64),
    };
    let estimate: f64 = strata.iter().map(|(items, labels)| *items as f64 / n * of(labels).0).sum();
    let variance: f64 = strata
        .iter()
        .map(|(items, labels)| {
            let (share, (mean, variance)) = (*items as f64 / n, of(labels));
            share * share * variance + share * (mean - estimate).powi(2) / n
        })
        .sum();
    let standard_error = (variance * design_effect).sqrt();
    let margin = two_sided_z(level) * standard_error;
    let interval = Interval { lower: estimate - margin, upper: estimate + margin, level };
    Ok(Corrected { estimate, standard_error: Some(standard_error), interval })
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// With n, as the method's authors do.
fn variance(values: &[f64]) -> f64 {
    let mean = mean(values);
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bad_arguments_are_errors() {
        let two = [0.0, 1.0];
        assert!(ppi_plus_plus(&two, &two[..1], &two, 1.0, 0.95).is_err());
        assert!(ppi_plus_plus(&two[..1], &two[..1], &two, 1.0, 0.95).is_err());
        assert!(ppi_plus_plus(&two, &two, &two[..1], 1.0, 0.95).is_err());
        assert!(ppi_plus_plus(&two, &[0.0, f64::NAN], &two, 1.0, 0.95).is_err());
        assert!(ppi_plus_plus(&two, &two, &two, 0.0, 0.95).is_err());
        assert!(ppi_plus_plus(&two, &two, &two, 1.0, 0.0).is_err());
    }

    #[test]
    fn strata_count_by_their_items_however_many_labels_they_have() {
        let found = stratified_mean(&[(900, &[1.0, 1.0, 1.0, 0.0]), (100, &[0.0, 1.0])], 1.0, 0.95).unwrap();
        assert!((found.estimate - (0.9 * 0.75 + 0.1 * 0.5)).abs() < 1e-12);
        let variance =
            0.81 * 0.25 / 4.0 + 0.01 * 0.5 / 2.0 + (0.9 * 0.025f64.powi(2) + 0.1 * 0.225f64.powi(2)) / 1_000.0;
        assert!((found.standard_error.unwrap() - variance.sqrt()).abs() < 1e-12, "{found:?}");
        assert!(
            stratified_mean(&[(9, &[1.0])], 1.0, 0.95).is_err()
                && stratified_mean(&[(0, &[1.0, 2.0])], 1.0, 0.95).is_err()
        );
    }

    proptest! {
        #[test]
        fn a_judge_that_always_says_the_same_leaves_people_alone(people in vec(0.0..5.0f64, 2..40), says in 0.0..5.0f64) {
            let same = vec![says; people.len()];
            let ppi = ppi_plus_plus(&people, &same, &[says; 50], 1.0, 0.95).unwrap();
            prop_assert_eq!(ppi.lambda, 0.0);
            prop_assert!((ppi.corrected.estimate - mean(&people)).abs() < 1e-9);
        }

        #[test]
        fn a_design_effect_widens(pairs in vec((0.0..1.0f64, 0.0..1.0f64), 5..40), others in vec(0.0..1.0f64, 5..40)) {
            let (people, judge): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            let width = |effect| ppi_plus_plus(&people, &judge, &others, effect, 0.95).unwrap().corrected.interval.width();
            prop_assert!((width(4.0) - 2.0 * width(1.0)).abs() < 1e-9);
        }
    }
}
