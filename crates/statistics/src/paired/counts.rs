//! McNemar's tests.

use crate::interval::Alternative;
use crate::special::{binomial_cdf, ln_choose};

/// How the pairs of two runs turned out.
///
/// ```
/// # use judge_run_statistics::paired::PairedCounts;
/// let pairs: PairedCounts = [(true, true), (true, false), (false, true), (false, true)].into_iter().collect();
/// assert_eq!(pairs, PairedCounts { both: 1, only_base: 1, only_new: 2, neither: 0 });
/// assert_eq!(pairs.difference(), Some(0.25));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PairedCounts {
    /// Items that pass in both runs.
    pub both: u64,
    /// Items that pass in the base run only: those that got worse.
    pub only_base: u64,
    /// Items that pass in the new run only: those that got better.
    pub only_new: u64,
    /// Items that pass in neither run.
    pub neither: u64,
}

impl PairedCounts {
    /// The number of pairs.
    pub fn n(&self) -> u64 {
        self.both + self.only_base + self.only_new + self.neither
    }

    /// The number of pairs that differ.
    pub fn discordant(&self) -> u64 {
        self.only_base + self.only_new
    }

    /// The new pass rate minus that of the base, in `-1..=1`; `None` without pairs.
    pub fn difference(&self) -> Option<f64> {
        (self.n() > 0).then(|| (self.only_new as f64 - self.only_base as f64) / self.n() as f64)
    }
}

impl Extend<(bool, bool)> for PairedCounts {
    fn extend<I: IntoIterator<Item = (bool, bool)>>(&mut self, pairs: I) {
        for pair in pairs {
            match pair {
                (true, true) => self.both += 1,
                (true, false) => self.only_base += 1,
                (false, true) => self.only_new += 1,
                (false, false) => self.neither += 1,
            }
        }
    }
}

/// From pairs of (base, new).
impl FromIterator<(bool, bool)> for PairedCounts {
    fn from_iter<I: IntoIterator<Item = (bool, bool)>>(pairs: I) -> Self {
        let mut counts = Self::default();
        counts.extend(pairs);
        counts
    }
}

/// McNemar's exact test: the p-value of the hypothesis that a pair that differs is as likely to get better as worse.
///
/// With b pairs that pass in the base run only, c in the new run only, and X ~ Binomial(b + c, 1/2),
///
/// ```text
/// two-sided: min(1, 2 P(X ≤ min(b, c)));   less: P(X ≤ c);   greater: P(X ≤ b)
/// ```
///
/// [`Alternative::Less`] is that the new run is worse. Without pairs that differ the p-value is 1. The error rate is at
/// most α for every sample size, and often far below; [`mcnemar_mid_p`] is closer to α.
///
/// Source: McNemar (1947), "Note on the sampling error of the difference between correlated proportions or percentages",
/// Psychometrika 12, 153-157; the exact form is the binomial test of the pairs that differ.
///
/// ```
/// # use judge_run_statistics::{Alternative, paired::{PairedCounts, mcnemar_exact}};
/// let pairs = PairedCounts { both: 40, only_base: 3, only_new: 12, neither: 45 };
/// let p_value = mcnemar_exact(&pairs, Alternative::TwoSided);
/// assert!((p_value - 0.03515625).abs() < 1e-12);
/// ```
pub fn mcnemar_exact(pairs: &PairedCounts, alternative: Alternative) -> f64 {
    let (doubled, count) = tail(pairs, alternative);
    (doubled * binomial_cdf(count, pairs.discordant(), 0.5)).min(1.0)
}

/// McNemar's mid-p test: as [`mcnemar_exact`], counting half the probability of the outcome itself.
///
/// The two-sided p-value is 2 P(X ≤ min(b, c)) - P(X = min(b, c)). The error rate can exceed α slightly for some sample
/// sizes, and the power is higher: the recommended form if no guarantee is claimed.
///
/// Source: Fagerland, Lydersen and Laake (2013), "The McNemar test for binary matched-pairs data: mid-p and asymptotic are
/// better than exact conditional", BMC Medical Research Methodology 13, 91.
pub fn mcnemar_mid_p(pairs: &PairedCounts, alternative: Alternative) -> f64 {
    let (doubled, count) = tail(pairs, alternative);
    let n = pairs.discordant();
    let mass = (ln_choose(n, count) - n as f64 * std::f64::consts::LN_2).exp();
    (doubled * (binomial_cdf(count, n, 0.5) - 0.5 * mass)).clamp(0.0, 1.0)
}

/// The factor of the lower binomial tail that gives the p-value, and the count up to which it sums.
fn tail(pairs: &PairedCounts, alternative: Alternative) -> (f64, u64) {
    match alternative {
        Alternative::TwoSided => (2.0, pairs.only_base.min(pairs.only_new)),
        Alternative::Less => (1.0, pairs.only_new),
        Alternative::Greater => (1.0, pairs.only_base),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [Alternative; 3] = [Alternative::TwoSided, Alternative::Less, Alternative::Greater];

    fn pairs(only_base: u64, only_new: u64) -> PairedCounts {
        PairedCounts { both: 10, only_base, only_new, neither: 5 }
    }

    #[test]
    fn without_pairs_that_differ_nothing_is_rejected() {
        for counts in [PairedCounts::default(), pairs(0, 0)] {
            for alternative in ALL {
                assert_eq!(mcnemar_exact(&counts, alternative), 1.0);
            }
            assert_eq!(mcnemar_mid_p(&counts, Alternative::TwoSided), 1.0);
            assert_eq!(mcnemar_mid_p(&counts, Alternative::Less), 0.5);
        }
        assert_eq!(PairedCounts::default().difference(), None);
        assert_eq!(pairs(0, 0).difference(), Some(0.0));
    }

    #[test]
    fn a_regression_is_the_alternative_less() {
        let worse = pairs(12, 3);
        assert!(worse.difference().unwrap() < 0.0);
        assert!(mcnemar_exact(&worse, Alternative::Less) < 0.02);
        assert!(mcnemar_exact(&worse, Alternative::Greater) > 0.98);
    }

    #[test]
    fn half_a_million_pairs_keep_their_digits() {
        // SciPy 1.17.1: `scipy.stats.binomtest(249000, 500000).pvalue`.
        let p_value = mcnemar_exact(&pairs(249_000, 251_000), Alternative::TwoSided);
        assert!((p_value / 0.004_698_395_011_888_115 - 1.0).abs() < 1e-8, "{p_value:e}");
    }

    proptest! {
        #[test]
        fn p_values_are_probabilities_and_mid_p_is_smaller(b in 0u64..3_000, c in 0u64..3_000) {
            for alternative in ALL {
                let exact = mcnemar_exact(&pairs(b, c), alternative);
                let mid = mcnemar_mid_p(&pairs(b, c), alternative);
                prop_assert!((0.0..=1.0).contains(&exact) && (0.0..=1.0).contains(&mid));
                prop_assert!(mid <= exact + 1e-12);
            }
        }

        #[test]
        fn swapping_the_runs_swaps_the_direction(b in 0u64..3_000, c in 0u64..3_000) {
            for test in [mcnemar_exact, mcnemar_mid_p] {
                let two_sided = |counts| test(&counts, Alternative::TwoSided);
                prop_assert_eq!(two_sided(pairs(b, c)), two_sided(pairs(c, b)));
                prop_assert_eq!(test(&pairs(b, c), Alternative::Less), test(&pairs(c, b), Alternative::Greater));
            }
            let sum = mcnemar_mid_p(&pairs(b, c), Alternative::Less) + mcnemar_mid_p(&pairs(b, c), Alternative::Greater);
            prop_assert!((sum - 1.0).abs() < 1e-9);
        }
    }
}
