//! Which verdicts of a cheap judge may be kept, so that few of them differ from people's.

use std::collections::BTreeMap;

use crate::error::{Error, domain, open_unit};
use crate::proportion::clopper_pearson;

/// A verdict with a confidence, labelled by people or not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// How sure the judge is; any scale, on which more is surer.
    pub confidence: f64,
    /// What it was drawn from to be labelled: all of a stratum have the same chance. One stratum, if all have.
    pub stratum: usize,
    /// Whether people say otherwise, if they say something.
    pub differs: Option<bool>,
}

/// From which confidence on verdicts may be kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    /// The least confidence of a verdict that is kept.
    pub confidence: f64,
    /// Verdicts that are kept.
    pub kept: u64,
    /// Those of them that are labelled.
    pub labelled: u64,
    /// Those of these that differ from people's.
    pub differing: u64,
    /// At most this share of the kept verdicts differs, with the probability 1 - δ.
    pub bound: f64,
}

/// The lowest threshold at which at most a share `max_risk` of the kept verdicts differs from people's, with the probability 1 - `delta`; `None`
/// where none is known to.
///
/// Thresholds are tested from the highest down, each by the exact one-sided bound
///
/// ```text
/// u = Beta⁻¹(1 - δ; x + 1, n - x)
/// ```
///
/// of the x that differ among the n labelled at or above it, and the last before the first with u > `max_risk` holds: tests in a fixed order need no
/// correction. Where so few are labelled that not even x = 0 would do, nothing is tested: that looks at no label. With several strata u is the sum of
/// theirs at δ / strata, weighted by their shares of what is kept (Bonferroni). The labelled verdicts of a stratum must be a random sample of it,
/// and the bound is void when the judge changes.
///
/// Source: Jung, Brahman and Choi (2024), "Trust or Escalate", arXiv 2407.18370, section 2; fixed sequences: Bauer (1991), Statistics in Medicine 10,
/// 871-890; the bound: [`clopper_pearson`].
///
/// # Errors
///
/// [`Error::Domain`] for a risk outside `(0, 1)`, a δ outside `(0, 0.5)`, or a confidence that is NaN.
///
/// ```
/// # use judge_run_statistics::selective::{Verdict, threshold};
/// // Of 60 sure verdicts none differs, of 60 others every second.
/// let verdict = |n| Verdict {
///     confidence: if n < 60 { 0.9 } else { 0.6 },
///     stratum: 0,
///     differs: Some(n >= 60 && n % 2 == 0),
/// };
/// let threshold = threshold(&(0..120).map(verdict).collect::<Vec<_>>(), 0.05, 0.1)?.unwrap();
/// assert_eq!((threshold.confidence, threshold.kept), (0.9, 60));
/// # Ok::<(), judge_run_statistics::Error>(())
/// ```
pub fn threshold(verdicts: &[Verdict], max_risk: f64, delta: f64) -> Result<Option<Threshold>, Error> {
    open_unit("max_risk", max_risk)?;
    domain("delta", delta, "in (0, 0.5)", delta > 0.0 && delta < 0.5)?;
    let mut strata: BTreeMap<usize, Kept> = BTreeMap::new();
    for Verdict { confidence, stratum, .. } in verdicts {
        domain("confidence", *confidence, "a number", !confidence.is_nan())?;
        strata.entry(*stratum).or_default();
    }
    let delta = delta / strata.len().max(1) as f64;
    let mut sorted = verdicts.to_vec();
    sorted.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    let mut found = None;
    for same in sorted.chunk_by(|a, b| a.confidence == b.confidence) {
        for verdict in same {
            strata.entry(verdict.stratum).or_default().add(verdict);
        }
        if bound(&strata, delta, |_| 0)? > max_risk {
            continue;
        }
        let bound = bound(&strata, delta, |kept| kept.differing)?;
        if bound > max_risk {
            break;
        }
        let sum = |of: fn(&Kept) -> u64| strata.values().map(of).sum();
        found = Some(Threshold {
            confidence: same[0].confidence,
            kept: sum(|kept| kept.verdicts),
            labelled: sum(|kept| kept.labelled),
            differing: sum(|kept| kept.differing),
            bound,
        });
    }
    Ok(found)
}

/// What of a stratum is at or above a threshold.
#[derive(Clone, Copy, Default)]
struct Kept {
    verdicts: u64,
    labelled: u64,
    differing: u64,
}

impl Kept {
    fn add(&mut self, verdict: &Verdict) {
        self.verdicts += 1;
        self.labelled += u64::from(verdict.differs.is_some());
        self.differing += u64::from(verdict.differs == Some(true));
    }
}

/// An upper bound on the share that differs, if this many of the labelled ones do.
fn bound(strata: &BTreeMap<usize, Kept>, delta: f64, differing: fn(&Kept) -> u64) -> Result<f64, Error> {
    let all = strata.values().map(|kept| kept.verdicts).sum::<u64>() as f64;
    let mut bound = 0.0;
    for kept in strata.values().filter(|kept| kept.verdicts > 0) {
        bound += kept.verdicts as f64 / all * upper_bound(differing(kept), kept.labelled, delta)?;
    }
    Ok(bound)
}

/// One end of the interval, with all of the error rate.
fn upper_bound(differing: u64, labelled: u64, delta: f64) -> Result<f64, Error> {
    Ok(clopper_pearson(differing, labelled, 1.0 - 2.0 * delta)?.upper)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::SplitMix64;

    #[test]
    fn the_bound_is_the_quantile_of_the_beta_distribution() {
        // scipy.stats.beta.ppf(1 - delta, x + 1, n - x)
        for (n, x, delta, expected) in [
            (120, 4, 0.1, 0.065_509_3),
            (80, 1, 0.1, 0.047_751_8),
            (60, 0, 0.1, 0.037_649_4),
            (150, 9, 0.1, 0.093_060_3),
            (200, 20, 0.05, 0.141_989_3),
        ] {
            let bound = upper_bound(x, n, delta).unwrap();
            assert!((bound - expected).abs() < 1e-7, "{n} {x}: {bound}");
        }
    }

    /// Labelled verdicts of one stratum: by confidence, how many, and how many of them differ.
    fn labelled(of: &[(f64, u64, u64)]) -> Vec<Verdict> {
        let same = |&(confidence, n, differing): &(f64, u64, u64)| {
            (0..n).map(move |i| Verdict { confidence, stratum: 0, differs: Some(i < differing) })
        };
        of.iter().flat_map(same).collect()
    }

    #[test]
    fn the_last_threshold_that_holds_is_the_one() {
        let of = labelled(&[(0.99, 60, 0), (0.9, 60, 1), (0.7, 60, 30), (0.5, 6000, 0)]);
        let found = threshold(&of, 0.05, 0.1).unwrap().unwrap();
        assert_eq!((found.confidence, found.kept, found.differing), (0.9, 120, 1));
        // scipy.stats.beta.ppf(0.9, 2, 119)
        assert!((found.bound - 0.032_026_5).abs() < 1e-6, "{}", found.bound);
    }

    #[test]
    fn thresholds_with_too_few_labels_are_not_tested() {
        // Three labels prove nothing, and the first of them differs.
        let few = [(1.0, 3, 1), (0.9, 100, 0)];
        assert_eq!(threshold(&labelled(&few), 0.05, 0.1).unwrap().map(|found| found.kept), Some(103));
        assert_eq!(threshold(&labelled(&[(1.0, 30, 0)]), 0.05, 0.1).unwrap(), None);
        assert_eq!(threshold(&[], 0.05, 0.1).unwrap(), None);
    }

    #[test]
    fn strata_count_by_what_they_are_of_all_that_is_kept() {
        // Of 900 verdicts in one stratum and 100 in another, 100 of each are labelled, and ten of the second differ.
        let of = |stratum, n, labelled: usize, differing| {
            (0..n).map(move |i| Verdict { confidence: 1.0, stratum, differs: (i < labelled).then_some(i < differing) })
        };
        let verdicts: Vec<_> = of(0, 900, 100, 0).chain(of(1, 100, 100, 10)).collect();
        let found = threshold(&verdicts, 0.06, 0.1).unwrap().unwrap();
        // 0.9 scipy.stats.beta.ppf(0.95, 1, 100) + 0.1 scipy.stats.beta.ppf(0.95, 11, 90)
        assert!((found.bound - (0.9 * 0.029_513_0 + 0.1 * 0.163_717_6)).abs() < 1e-6, "{}", found.bound);
        assert_eq!((found.kept, found.labelled, found.differing), (1_000, 200, 10));
        // A stratum without labels can be all wrong.
        let unknown: Vec<_> = of(0, 900, 900, 0).chain(of(1, 100, 0, 0)).collect();
        assert_eq!(threshold(&unknown, 0.06, 0.1).unwrap(), None);
    }

    #[test]
    fn invalid_arguments_are_errors() {
        assert!(threshold(&[], 0.0, 0.1).is_err() && threshold(&[], 0.1, 0.5).is_err());
        assert!(threshold(&[Verdict { confidence: f64::NAN, stratum: 0, differs: None }], 0.1, 0.1).is_err());
    }

    /// A verdict of confidence c differs with the probability 0.4 (1 - c); of all at or above t the share is 0.2 (1 - t).
    #[test]
    fn the_promise_is_broken_no_more_often_than_it_says() {
        let mut rng = SplitMix64::new(17);
        let (mut broken, mut found) = (0, 0);
        for _ in 0..400 {
            let mut uniform = || rng.below(1_000) as f64 / 1_000.0;
            let verdicts: Vec<_> = (0..300)
                .map(|_| {
                    let confidence = uniform();
                    Verdict { confidence, stratum: 0, differs: Some(uniform() < 0.4 * (1.0 - confidence)) }
                })
                .collect();
            if let Some(threshold) = threshold(&verdicts, 0.1, 0.1).unwrap() {
                found += 1;
                broken += u32::from(0.2 * (1.0 - threshold.confidence) > 0.1);
            }
        }
        // 40 of 400 are expected at most, with a standard deviation of 6.
        assert!(found > 200 && broken <= 58, "{broken} of {found}");
    }
}
