//! Labels from elsewhere: the judge's error rates carry over, the share of good items does not.

use super::corrected::Corrected;
use super::labelled::{Labelled, ratio};
use crate::error::{Error, open_unit, part_of};
use crate::interval::Interval;
use crate::special::two_sided_z;

/// The Rogan-Gladen estimate, with the interval of the delta method; both are cut to `0..=1`.
///
/// With p the share that the judge passes of n items, q₁ its sensitivity on m₁ good labels, q₀ its specificity on m₀ bad ones and J = q₀ + q₁ - 1:
///
/// ```text
/// θ = (p + q₀ - 1) / J,   Var θ = (p(1 - p)/n + (1 - θ)² q₀(1 - q₀)/m₀ + θ² q₁(1 - q₁)/m₁) / J²
/// ```
///
/// Source: Rogan and Gladen (1978), "Estimating prevalence from the results of a screening test", American J. Epidemiology 107, 71-76.
///
/// # Errors
///
/// [`Error::CountExceedsTotal`] when more items pass than there are, [`Error::TooFew`] without items, or without good or bad labels,
/// [`Error::Domain`] for the level, and where J is not positive: such a judge says nothing.
pub fn rogan_gladen(labelled: &Labelled, passed: u64, items: u64, level: f64) -> Result<Corrected, Error> {
    let Given { p, n, q0, q1, m0, m1 } = Given::of(labelled, passed, items, level)?;
    let j = positive(q0 + q1 - 1.0)?;
    let raw = (p + q0 - 1.0) / j;
    let variance = p * (1.0 - p) / n + (1.0 - raw).powi(2) * q0 * (1.0 - q0) / m0 + raw * raw * q1 * (1.0 - q1) / m1;
    let standard_error = variance.sqrt() / j;
    let margin = two_sided_z(level) * standard_error;
    Ok(Corrected {
        estimate: raw.clamp(0.0, 1.0),
        standard_error: Some(standard_error),
        interval: cut(raw - margin, raw + margin, level),
    })
}

/// The Rogan-Gladen estimate with the adjusted interval of Lee et al., which keeps its level even for few labels.
///
/// With z the normal quantile, p̃ = (n p + z²/2) / (n + z²), q̃₀ = (m₀ q₀ + 1) / (m₀ + 2), q̃₁ alike, ñ = n + z², m̃ = m + 2, J̃ = q̃₀ + q̃₁ - 1 and
/// θ̃ = (p̃ + q̃₀ - 1) / J̃:
///
/// ```text
/// d = 2 z² (θ̃ q̃₁(1 - q̃₁)/m̃₁ - (1 - θ̃) q̃₀(1 - q̃₀)/m̃₀)
/// θ̃ + d ± z √(p̃(1 - p̃)/ñ + (1 - θ̃)² q̃₀(1 - q̃₀)/m̃₀ + θ̃² q̃₁(1 - q̃₁)/m̃₁) / J̃
/// ```
///
/// Source: Lee et al. (2025), "How to correctly report LLM-as-a-judge evaluations", arXiv 2511.21140.
///
/// # Errors
///
/// Those of [`rogan_gladen`].
pub fn lee(labelled: &Labelled, passed: u64, items: u64, level: f64) -> Result<Corrected, Error> {
    let Given { p, n, q0, q1, m0, m1 } = Given::of(labelled, passed, items, level)?;
    let raw = (p + q0 - 1.0) / positive(q0 + q1 - 1.0)?;
    let z = two_sided_z(level);
    let more = z * z;
    let p = (n * p + more / 2.0) / (n + more);
    let (q0, q1) = ((m0 * q0 + 1.0) / (m0 + 2.0), (m1 * q1 + 1.0) / (m1 + 2.0));
    let (n, m0, m1) = (n + more, m0 + 2.0, m1 + 2.0);
    let j = positive(q0 + q1 - 1.0)?;
    let center = (p + q0 - 1.0) / j;
    let (of_bad, of_good) = (q0 * (1.0 - q0) / m0, q1 * (1.0 - q1) / m1);
    let shift = 2.0 * more * (center * of_good - (1.0 - center) * of_bad);
    let standard_error = (p * (1.0 - p) / n + (1.0 - center).powi(2) * of_bad + center * center * of_good).sqrt() / j;
    let interval = cut(center + shift - z * standard_error, center + shift + z * standard_error, level);
    Ok(Corrected { estimate: raw.clamp(0.0, 1.0), standard_error: Some(standard_error), interval })
}

/// How to divide `labels` into good and bad items, for the narrowest interval of [`lee`], after a pilot of `pilot` labels of either kind: the numbers of
/// bad and good ones (m₀, m₁).
///
/// κ = (m_p (1 - q₀) + 1) / (m_p (1 - q₁) + 1), m₁ = m / (1 + (1/p - 1) √κ), m₀ = m - m₁.
///
/// # Errors
///
/// [`Error::Domain`] for shares outside `0..=1`, or a `p` of 0.
pub fn calibration_split(labels: u64, p: f64, q0: f64, q1: f64, pilot: u64) -> Result<(u64, u64), Error> {
    for (name, share) in [("p", p), ("q0", q0), ("q1", q1)] {
        crate::error::domain(name, share, "in [0, 1]", (0.0..=1.0).contains(&share))?;
    }
    crate::error::domain("p", p, "positive", p > 0.0)?;
    let pilot = pilot as f64;
    let kappa = (pilot * (1.0 - q0) + 1.0) / (pilot * (1.0 - q1) + 1.0);
    let good = labels as f64 / (1.0 + (1.0 / p - 1.0) * kappa.sqrt());
    let good = (good.round() as u64).min(labels);
    Ok((labels - good, good))
}

/// The shares and numbers that both formulas use.
struct Given {
    p: f64,
    n: f64,
    q0: f64,
    q1: f64,
    m0: f64,
    m1: f64,
}

impl Given {
    fn of(labelled: &Labelled, passed: u64, items: u64, level: f64) -> Result<Self, Error> {
        open_unit("level", level)?;
        part_of(passed, items)?;
        for (what, count) in [("items", items), ("good labels", labelled.good()), ("bad labels", labelled.bad())] {
            if count == 0 {
                return Err(Error::TooFew { what, required: 1, got: 0 });
            }
        }
        Ok(Self {
            p: ratio(passed, items),
            n: items as f64,
            q0: labelled.specificity(),
            q1: labelled.sensitivity(),
            m0: labelled.bad() as f64,
            m1: labelled.good() as f64,
        })
    }
}

/// A judge at or below chance would turn the interval around.
fn positive(j: f64) -> Result<f64, Error> {
    crate::error::domain("sensitivity + specificity - 1", j, "positive", j > 0.0)
}

fn cut(lower: f64, upper: f64, level: f64) -> Interval {
    Interval { lower: lower.clamp(0.0, 1.0), upper: upper.clamp(0.0, 1.0), level }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_judge_below_chance_corrects_nothing() {
        // `LLM-judge-reporting` returns the interval [1, 0] for these counts.
        let worse = Labelled { both_pass: 4, only_people: 21, only_judge: 6, both_fail: 24 };
        for method in [rogan_gladen, lee] {
            assert!(matches!(method(&worse, 52, 220, 0.95), Err(Error::Domain { .. })));
            assert!(matches!(method(&Labelled::default(), 52, 220, 0.95), Err(Error::TooFew { .. })));
            assert!(matches!(method(&worse, 2, 1, 0.95), Err(Error::CountExceedsTotal { .. })));
            assert!(method(&worse, 0, 0, 0.95).is_err() && method(&worse, 1, 2, 1.0).is_err());
        }
    }

    proptest! {
        #[test]
        fn intervals_are_in_order_and_in_range(a in 1..80u64, b in 0..80u64, c in 0..80u64, d in 1..80u64, part in 0.0..=1.0f64) {
            let labelled = Labelled { both_pass: a, only_people: b, only_judge: c, both_fail: d };
            for method in [rogan_gladen, lee] {
                if let Ok(Corrected { interval, .. }) = method(&labelled, (500.0 * part) as u64, 500, 0.95) {
                    prop_assert!(0.0 <= interval.lower && interval.lower <= interval.upper && interval.upper <= 1.0);
                }
            }
        }
    }
}
