//! E-values.

use crate::error::{Error, positive};
use crate::special::ln_beta;

/// The e-value against "a pair that differs is as likely to get better as worse", after b pairs that pass in the base run
/// only and c in the new run only:
///
/// ```text
/// E = 2^(b+c) B(b + a, c + a) / B(a, a)
/// ```
///
/// the Bayes factor of a Beta(a, a) prior on the probability against 1/2. It is a martingale under the hypothesis, starting
/// from 1, so by Ville's inequality P(E ≥ 1/α at any time) ≤ α: reject as soon as E ≥ 1/α, however often it is looked at.
/// Multiply the e-values of independent runs. `prior` is a > 0: 1 is the uniform prior (E = 2ⁿ / ((n + 1) C(n, b))), 1/2 is
/// Jeffreys'; larger values look for smaller differences. Infinite when it exceeds the range of `f64`.
///
/// Source: Ville (1939), "Étude critique de la notion de collectif"; the mixture: Robbins (1970), "Statistical methods related
/// to the law of the iterated logarithm", Annals of Mathematical Statistics 41, 1397-1409. As e-values: Grünwald, de Heide and
/// Koolen (2019), "Safe testing", arXiv 1906.07801.
///
/// # Errors
///
/// [`Error::Domain`] when the prior is not positive and finite.
///
/// ```
/// # use judge_run_statistics::sequential::discordant_e_value;
/// assert_eq!(discordant_e_value(0, 0, 1.0)?, 1.0);
/// // 3 pairs got worse and 12 better: not yet 20, the threshold for 5 %.
/// assert!((discordant_e_value(3, 12, 1.0)? - 4.501).abs() < 1e-3);
/// # Ok::<(), judge_run_statistics::Error>(())
/// ```
pub fn discordant_e_value(only_base: u64, only_new: u64, prior: f64) -> Result<f64, Error> {
    positive("prior", prior)?;
    let [b, c] = [only_base, only_new].map(|count| count as f64);
    let ln = (b + c) * std::f64::consts::LN_2 + ln_beta(b + prior, c + prior) - ln_beta(prior, prior);
    Ok(ln.exp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Alternative;
    use crate::paired::{PairedCounts, mcnemar_exact, mcnemar_mid_p};
    use proptest::prelude::*;

    #[test]
    fn overwhelming_evidence_is_infinite() {
        assert_eq!(discordant_e_value(0, 5_000, 1.0), Ok(f64::INFINITY));
    }

    #[test]
    fn an_invalid_prior_is_an_error() {
        for prior in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(discordant_e_value(1, 2, prior).is_err());
        }
    }

    /// The probability that evidence is ever found in 200 pairs that differ by chance, over all orders.
    fn false_alarms(is_evidence: impl Fn(u64, u64) -> bool) -> f64 {
        // The probabilities of the paths with b of n pairs in one direction, and no alarm yet.
        let mut paths = vec![1.0];
        for n in 1..=200u64 {
            let shifted = std::iter::once(0.0).chain(paths.iter().copied());
            let stayed = paths.iter().copied().chain([0.0]);
            paths = shifted.zip(stayed).map(|(left, right)| (left + right) / 2.0).collect();
            for (b, probability) in (0..).zip(&mut paths) {
                if *probability > 0.0 && is_evidence(b, n - b) {
                    *probability = 0.0;
                }
            }
        }
        1.0 - paths.iter().sum::<f64>()
    }

    #[test]
    fn looking_after_every_pair_is_free_for_e_values_only() {
        let pairs = |b, c| PairedCounts { both: 0, only_base: b, only_new: c, neither: 0 };
        let exact = false_alarms(|b, c| mcnemar_exact(&pairs(b, c), Alternative::TwoSided) <= 0.05);
        let mid_p = false_alarms(|b, c| mcnemar_mid_p(&pairs(b, c), Alternative::TwoSided) <= 0.05);
        // Computed with `scipy.stats.binom` in the same way.
        assert!((exact - 0.2837909361).abs() < 1e-9 && (mid_p - 0.3720339273).abs() < 1e-9, "{exact} {mid_p}");
        for prior in [0.5, 1.0, 20.0] {
            let alarms = false_alarms(|b, c| discordant_e_value(b, c, prior).unwrap() >= 20.0);
            assert!(alarms <= 0.05 && alarms > 0.01, "{alarms}");
        }
    }

    proptest! {
        #[test]
        fn it_is_a_martingale(b in 0u64..200, c in 0u64..200, prior in 0.1..50.0f64) {
            let e = |b, c| discordant_e_value(b, c, prior).unwrap();
            let expected_next = 0.5 * e(b + 1, c) + 0.5 * e(b, c + 1);
            prop_assert!((expected_next / e(b, c) - 1.0).abs() < 1e-9);
        }

        #[test]
        fn directions_count_alike(b in 0u64..200, c in 0u64..200, prior in 0.1..50.0f64) {
            let ratio = discordant_e_value(b, c, prior).unwrap() / discordant_e_value(c, b, prior).unwrap();
            prop_assert!((ratio - 1.0).abs() < 1e-12);
        }
    }
}
