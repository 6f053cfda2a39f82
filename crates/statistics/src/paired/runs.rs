//! Two runs over the same items: the test and the interval that fit the verdicts, and what could have been found.

use super::{PairedCounts, mcnemar_exact, tango};
use crate::mean::{ClusteredMean, MeanEstimate, Moments};
use crate::power::Design;
use crate::{Alternative, Interval};

/// An item that both runs judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// Items that belong together, such as those of a session, share it.
    pub cluster: u64,
    /// The earlier verdict, or the mean of several.
    pub base: f64,
    /// The new one.
    pub new: f64,
}

/// What is known of the values of pairs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// Whether they are verdicts that pass (1) or fail (0), or shares of such.
    pub is_share: bool,
    /// The length of their range: 1 for shares, that of the scale for scores, if known.
    pub range: Option<f64>,
}

/// The test that p-values are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PairedTest {
    /// McNemar's exact test: verdicts that are all 0 or 1, in pairs that are independent.
    McnemarExact,
    /// The paired t test.
    T,
    /// The t test of differences in clusters (CR1).
    ClusterT,
}

/// How an interval of a difference is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PairedInterval {
    /// Tango's score interval.
    Tango,
    /// Student's t.
    T,
    /// Cluster-robust (CR1), t with the number of clusters minus one degrees of freedom.
    ClusterT,
}

/// What pairs say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Analysis {
    /// The mean of the earlier verdicts.
    pub base: f64,
    /// The mean of the new ones.
    pub new: f64,
    /// New minus base.
    pub difference: f64,
    /// The interval of the difference; `None` if it would need an unknown range.
    pub interval: Option<(Interval, PairedInterval)>,
    /// The test of the p-values.
    pub test: PairedTest,
    /// Two-sided, of the hypothesis that nothing changed.
    pub p_value: f64,
    /// One-sided: of a difference as low as this one if nothing changed.
    pub p_less: f64,
    /// One-sided: of one as high.
    pub p_greater: f64,
    /// The smallest difference that would be found with 80 % power, at an error rate of one minus the level.
    pub minimum_detectable: Option<f64>,
}

/// Analyses pairs, which it sorts by cluster. `None` without pairs, or if nothing can be computed.
///
/// Verdicts that are all 0 or 1, in pairs that are independent: McNemar's exact test with Tango's interval. Anything else: the t test of the
/// differences, cluster-robust (CR1) where items share a cluster. Where the differences do not vary at all, a t interval would be a point
/// that claims too much: each cluster then counts as one pair that agrees or differs.
///
/// ```
/// # use judge_run_statistics::paired::{Pair, PairedTest, Scale, analyse};
/// let pair = |item: u64| Pair { cluster: item, base: 1.0, new: if item < 12 { 0.0 } else { 1.0 } };
/// let mut pairs: Vec<Pair> = (0..100).map(pair).collect();
/// let found = analyse(&mut pairs, Scale { is_share: true, range: Some(1.0) }, 0.95).unwrap();
/// assert_eq!(found.test, PairedTest::McnemarExact);
/// assert!((found.difference + 0.12).abs() < 1e-12 && found.p_less < 0.001);
/// ```
pub fn analyse(pairs: &mut [Pair], scale: Scale, level: f64) -> Option<Analysis> {
    let Scale { is_share, range } = scale;
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
        return Some(of_counts(&counts, (base, new), PairedTest::McnemarExact, 1.0, design, level));
    }
    let test = if is_clustered { PairedTest::ClusterT } else { PairedTest::T };
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
                None => Analysis { interval: None, minimum_detectable: None, ..analysis },
            })
        }
    }
}

/// The mean difference and its standard error, cluster-robust (CR1) where items share a cluster. `None` where the differences do not vary.
pub fn standard_error(pairs: &mut [Pair]) -> Option<(f64, f64)> {
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

fn of_counts(
    counts: &PairedCounts,
    (base, new): (f64, f64),
    test: PairedTest,
    range: f64,
    design: Design,
    level: f64,
) -> Analysis {
    let n = counts.n() as f64;
    // Without any difference one is assumed, or nothing could be detected.
    let sd = (counts.discordant().max(1) as f64 / n).sqrt();
    let scaled = |Interval { lower, upper, level }: Interval| {
        (Interval { lower: lower * range, upper: upper * range, level }, PairedInterval::Tango)
    };
    Analysis {
        base,
        new,
        difference: new - base,
        interval: tango(counts, level).ok().map(scaled),
        test,
        p_value: mcnemar_exact(counts, Alternative::TwoSided),
        p_less: mcnemar_exact(counts, Alternative::Less),
        p_greater: mcnemar_exact(counts, Alternative::Greater),
        minimum_detectable: design.minimum_detectable_difference(sd * range, n).ok(),
    }
}

fn of_estimate(
    estimate: &MeanEstimate,
    (base, new): (f64, f64),
    test: PairedTest,
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
        difference: estimate.mean,
        interval: Some((
            interval,
            if test == PairedTest::ClusterT { PairedInterval::ClusterT } else { PairedInterval::T },
        )),
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

    const SHARE: Scale = Scale { is_share: true, range: Some(1.0) };
    const SCORE: Scale = Scale { is_share: false, range: None };

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
        let analysis = analyse(&mut binary(40, 3, 12, 45), SHARE, 0.95).unwrap();
        let (interval, method) = analysis.interval.unwrap();
        assert_eq!((analysis.test, method), (PairedTest::McnemarExact, PairedInterval::Tango));
        close(analysis.difference, 0.09);
        close(analysis.p_value, 0.035_156_25);
        close(interval.lower, 0.015_977_1);
        close(interval.upper, 0.173_743);
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
        let analysis = analyse(&mut pairs, SCORE, 0.95).unwrap();
        let (interval, method) = analysis.interval.unwrap();
        close(analysis.p_value, 0.048_723_2);
        close(interval.lower, 0.001_111_3);
        close(interval.upper, 0.318_889);
        assert_eq!((analysis.test, method), (PairedTest::T, PairedInterval::T));
    }

    #[test]
    fn pairs_of_one_session_are_no_independent_evidence() {
        // Ten sessions of ten traces each; two lose all: as one trace each, 2 of 10; as a hundred, 20 of 100.
        let pairs = |of: fn(u64) -> u64| -> Vec<Pair> {
            let new = |n| if n < 20 { 0.0 } else { 1.0 };
            (0..100).map(|n| Pair { cluster: of(n), base: 1.0, new: new(n) }).collect()
        };
        let alone = analyse(&mut pairs(|n| n), SHARE, 0.95).unwrap();
        let together = analyse(&mut pairs(|n| n / 10), SHARE, 0.95).unwrap();
        assert_eq!((alone.test, together.test), (PairedTest::McnemarExact, PairedTest::ClusterT));
        assert!(alone.p_value < 1e-5 && together.p_value > 0.1, "{} {}", alone.p_value, together.p_value);
        let width = |analysis: &Analysis| analysis.interval.map(|(interval, _)| interval.width()).unwrap();
        assert!(width(&together) > 2.0 * width(&alone));
    }

    #[test]
    fn what_does_not_vary_is_not_certain() {
        // Three items without any change in two pooled runs: Tango's interval of none in three.
        let same = |n| Pair { cluster: n, base: 0.5, new: 0.5 };
        let mut pairs: Vec<_> = (0..3).map(same).collect();
        let analysis = analyse(&mut pairs, SHARE, 0.95).unwrap();
        let (interval, _) = analysis.interval.unwrap();
        assert!(interval.lower < -0.5 && interval.upper > 0.5 && analysis.p_value == 1.0, "{interval:?}");
        let unknown_scale = analyse(&mut pairs, SCORE, 0.95).unwrap();
        assert_eq!((unknown_scale.interval, unknown_scale.p_value), (None, 1.0));
        assert_eq!(analyse(&mut [], SHARE, 0.95), None);
    }
}
