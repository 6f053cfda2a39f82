//! Two runs over the same items: the test, the interval and what could have been found.

use judge_run_statistics::mean::{ClusteredMean, MeanEstimate, Moments};
use judge_run_statistics::paired::{PairedCounts, mcnemar_exact, tango};
use judge_run_statistics::power::Design;
use judge_run_statistics::{Alternative, Interval};

use super::compare::{Difference, Test};
use super::report::Method;

/// An item that both runs judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pair {
    pub cluster: u64,
    pub base: f64,
    pub new: f64,
}

/// What the pairs say.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Analysis {
    pub base: f64,
    pub new: f64,
    pub difference: Option<Difference>,
    pub test: Test,
    pub p_value: f64,
    /// One-sided: of a difference as low as this one, or as high, had nothing changed.
    pub p_less: f64,
    pub p_greater: f64,
    pub minimum_detectable: Option<f64>,
}

/// Analyses pairs; `range` is that of the values: 1 for shares, the length of the scale for numbers, if it is known. `None` without pairs.
///
/// Verdicts that are all 0 or 1, in pairs that are independent: McNemar's exact test with Tango's interval. Anything else: the t test of the
/// differences, cluster-robust (CR1) where items share a cluster. Where the differences do not vary at all, a t interval would be a point
/// that claims too much: each cluster then counts as one pair that agrees or differs.
pub(super) fn analyse(pairs: &mut [Pair], is_share: bool, range: Option<f64>, level: f64) -> Option<Analysis> {
    // In a fixed order, so that sums are the same each time.
    pairs.sort_by_key(|pair| pair.cluster);
    let mean = |of: fn(&Pair) -> f64| pairs.iter().map(of).collect::<Moments>().mean();
    let (base, new) = (mean(|pair| pair.base)?, mean(|pair| pair.new)?);
    let differences = |pairs: &[Pair]| pairs.iter().map(|pair| pair.new - pair.base).collect::<Moments>();
    let clusters: Vec<Moments> = pairs.chunk_by(|a, b| a.cluster == b.cluster).map(differences).collect();
    let is_clustered = clusters.len() < pairs.len();
    let is_binary = is_share && pairs.iter().all(|pair| is_whole(pair.base) && is_whole(pair.new));
    let (design, count) = (Design { alpha: 1.0 - level, ..Design::default() }, pairs.len());
    if is_binary && !is_clustered {
        let counts: PairedCounts = pairs.iter().map(|pair| (pair.base == 1.0, pair.new == 1.0)).collect();
        return Some(of_counts(&counts, (base, new), Test::McnemarExact, 1.0, design, level));
    }
    let test = if is_clustered { Test::ClusterT } else { Test::PairedT };
    let estimate = match is_clustered {
        true => ClusteredMean::from_moments(&clusters).map(|mean| mean.estimate),
        false => differences(pairs).estimate(),
    };
    match estimate {
        Ok(estimate) if estimate.standard_error > 0.0 => {
            of_estimate(&estimate, (base, new), test, design, count, level)
        }
        _ => {
            let sign = |cluster: &Moments| cluster.mean().unwrap_or(0.0).partial_cmp(&0.0).map_or(0, |sign| sign as i8);
            let pair = |cluster: &Moments| match sign(cluster) {
                1.. => (false, true),
                0 => (true, true),
                _ => (true, false),
            };
            let counts: PairedCounts = clusters.iter().map(pair).collect();
            let range = range.filter(|_| is_share || counts.discordant() == 0);
            let analysis = of_counts(&counts, (base, new), test, range.unwrap_or(1.0), design, level);
            Some(match range {
                Some(_) => analysis,
                None => Analysis { difference: None, minimum_detectable: None, ..analysis },
            })
        }
    }
}

/// The mean difference and its standard error, cluster-robust (CR1) where items share a cluster. `None` where the differences do not vary.
pub(super) fn standard_error(pairs: &mut [Pair]) -> Option<(f64, f64)> {
    pairs.sort_by_key(|pair| pair.cluster);
    let differences = |pairs: &[Pair]| pairs.iter().map(|pair| pair.new - pair.base).collect::<Moments>();
    let clusters: Vec<Moments> = pairs.chunk_by(|a, b| a.cluster == b.cluster).map(differences).collect();
    let estimate = match clusters.len() < pairs.len() {
        true => ClusteredMean::from_moments(&clusters).ok()?.estimate,
        false => differences(pairs).estimate().ok()?,
    };
    (estimate.standard_error > 0.0).then_some((estimate.mean, estimate.standard_error))
}

fn is_whole(value: f64) -> bool {
    value == 0.0 || value == 1.0
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn of_counts(
    counts: &PairedCounts,
    (base, new): (f64, f64),
    test: Test,
    range: f64,
    design: Design,
    level: f64,
) -> Analysis {
    let n = counts.n() as f64;
    // Without any difference one is assumed: none at all could not be detected either.
    let sd = (counts.discordant().max(1) as f64 / n).sqrt();
    let of_interval = |interval: Interval| Difference {
        estimate: new - base,
        low: interval.lower * range,
        high: interval.upper * range,
        level,
        method: Method::Tango,
    };
    Analysis {
        base,
        new,
        difference: tango(counts, level).ok().map(of_interval),
        test,
        p_value: mcnemar_exact(counts, Alternative::TwoSided),
        p_less: mcnemar_exact(counts, Alternative::Less),
        p_greater: mcnemar_exact(counts, Alternative::Greater),
        minimum_detectable: design.minimum_detectable_difference(sd * range, n).ok(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn of_estimate(
    estimate: &MeanEstimate,
    (base, new): (f64, f64),
    test: Test,
    design: Design,
    pairs: usize,
    level: f64,
) -> Option<Analysis> {
    let p = |alternative| estimate.test(0.0, alternative).ok().map(|test| test.p_value);
    let interval = estimate.interval(level).ok()?;
    let n = pairs as f64;
    Some(Analysis {
        base,
        new,
        difference: Some(Difference {
            estimate: estimate.mean,
            low: interval.lower,
            high: interval.upper,
            level,
            method: if test == Test::ClusterT { Method::ClusterT } else { Method::T },
        }),
        test,
        p_value: p(Alternative::TwoSided)?,
        p_less: p(Alternative::Less)?,
        p_greater: p(Alternative::Greater)?,
        minimum_detectable: design.minimum_detectable_difference(estimate.standard_error * n.sqrt(), n).ok(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary(a: usize, b: usize, c: usize, d: usize) -> Vec<Pair> {
        let kinds = [(a, 1.0, 1.0), (b, 1.0, 0.0), (c, 0.0, 1.0), (d, 0.0, 0.0)];
        let pairs = kinds.into_iter().flat_map(|(n, base, new)| std::iter::repeat_n((base, new), n));
        pairs.enumerate().map(|(n, (base, new))| Pair { cluster: n as u64, base, new }).collect()
    }

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-6, "{a} is not {b}");
    }

    #[test]
    fn shares_of_independent_pairs_have_mcnemars_test_and_tangos_interval() {
        // SciPy's binomtest and the closed form of Tango (1998), checked with a constrained maximum-likelihood fit.
        let analysis = analyse(&mut binary(40, 3, 12, 45), true, Some(1.0), 0.95).unwrap();
        let difference = analysis.difference.unwrap();
        assert_eq!((analysis.test, difference.method), (Test::McnemarExact, Method::Tango));
        close(difference.estimate, 0.09);
        close(analysis.p_value, 0.035_156_25);
        close(difference.low, 0.015_977_1);
        close(difference.high, 0.173_743);
        // Miller's formula with 15 % of discordant pairs.
        close(analysis.minimum_detectable.unwrap(), (1.959_963_985 + 0.841_621_234) * 0.15f64.sqrt() / 10.0);
        close(analysis.p_greater, 0.017_578_125);
    }

    #[test]
    fn scores_have_the_paired_t_test() {
        // SciPy's ttest_1samp.
        let differences = [0.3, -0.1, 0.2, 0.4, 0.0, 0.1, -0.2, 0.5, 0.3, 0.1];
        let pair = |(n, new): (usize, &f64)| Pair { cluster: n as u64, base: 0.0, new: *new };
        let mut pairs: Vec<_> = differences.iter().enumerate().map(pair).collect();
        let analysis = analyse(&mut pairs, false, None, 0.95).unwrap();
        let difference = analysis.difference.unwrap();
        close(analysis.p_value, 0.048_723_2);
        close(difference.low, 0.001_111_3);
        close(difference.high, 0.318_889);
        assert_eq!((analysis.test, difference.method), (Test::PairedT, Method::T));
    }

    #[test]
    fn pairs_of_one_session_are_no_independent_evidence() {
        // Ten sessions of ten traces each, of which two lose all: as one trace each, 2 of 10; as a hundred, 20 of 100.
        let pairs = |of: fn(u64) -> u64| -> Vec<Pair> {
            let new = |n| if n < 20 { 0.0 } else { 1.0 };
            (0..100).map(|n| Pair { cluster: of(n), base: 1.0, new: new(n) }).collect()
        };
        let alone = analyse(&mut pairs(|n| n), true, Some(1.0), 0.95).unwrap();
        let together = analyse(&mut pairs(|n| n / 10), true, Some(1.0), 0.95).unwrap();
        assert_eq!((alone.test, together.test), (Test::McnemarExact, Test::ClusterT));
        assert!(alone.p_value < 1e-5 && together.p_value > 0.1, "{} {}", alone.p_value, together.p_value);
        let width = |analysis: &Analysis| analysis.difference.as_ref().map(|d| d.high - d.low).unwrap();
        assert!(width(&together) > 2.0 * width(&alone));
    }

    #[test]
    fn what_does_not_vary_is_not_certain() {
        // Three items without any change in two pooled runs: Tango's interval of none in three.
        let same = |n| Pair { cluster: n, base: 0.5, new: 0.5 };
        let mut pairs: Vec<_> = (0..3).map(same).collect();
        let analysis = analyse(&mut pairs, true, Some(1.0), 0.95).unwrap();
        let difference = analysis.difference.unwrap();
        assert!(difference.low < -0.5 && difference.high > 0.5 && analysis.p_value == 1.0, "{difference:?}");
        let unknown_scale = analyse(&mut pairs, false, None, 0.95).unwrap();
        assert_eq!((unknown_scale.difference, unknown_scale.p_value), (None, 1.0));
        assert_eq!(analyse(&mut [], true, Some(1.0), 0.95), None);
    }
}
