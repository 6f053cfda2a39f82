//! The figures of opinions: shares and means with their intervals, bounds, distributions.

use judge_run_statistics::Interval;
use judge_run_statistics::mean::{ClusteredMean, Moments};
use judge_run_statistics::proportion::{wilson, wilson_effective};
use judge_run_statistics::quantile::Sorted;

use super::opinions::{Group, Observation, Verdict};
use super::report::{Bin, Bounds, Category, Clusters, Estimate, Figures, Latency, Method, Quantiles};
use crate::judge::{Better, Good};

/// A scale of whole numbers has a bin for each, up to this many.
const MAX_WHOLE_BINS: f64 = 20.0;
const BINS: usize = 10;

/// The inputs to the figures of a group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measure<'a> {
    pub group: &'a Group,
    pub good: Option<&'a Good>,
    /// Of intervals.
    pub level: f64,
}

impl Measure<'_> {
    /// Whether a verdict is good; `None` if nothing says so.
    pub(super) fn is_good(&self, verdict: Verdict) -> Option<bool> {
        match (self.good?, verdict) {
            (Good::Boolean(good), Verdict::Boolean(value)) => Some(value == *good),
            (good @ Good::Labels(_), Verdict::Label(label)) => {
                let label = self.group.labels.text(label);
                // Several labels at once are shown as their list.
                let several = label.starts_with('[').then(|| serde_json::from_str(label).ok()).flatten();
                good.is_good(&several.unwrap_or_else(|| label.into()))
            }
            (Good::Scale { better, threshold: Some(threshold) }, Verdict::Number(value)) => Some(match better {
                Better::Higher => value >= *threshold,
                Better::Lower => value <= *threshold,
            }),
            _ => None,
        }
    }

    /// The figures of these opinions, which are all or some of the group's.
    pub(super) fn figures<'o>(&self, observations: impl Iterator<Item = &'o Observation> + Clone) -> Figures {
        let mut figures = Figures::default();
        let mut failed = vec![0; self.group.codes.texts().len()];
        let mut labels = vec![0; self.group.labels.texts().len()];
        let mut booleans = [0, 0];
        for observation in observations.clone() {
            match observation.verdict {
                Verdict::Boolean(value) => booleans[usize::from(value)] += 1,
                Verdict::Label(label) => labels[label as usize] += 1,
                Verdict::Number(_) | Verdict::Other => {}
                Verdict::Abstained => figures.n_abstained += 1,
                Verdict::Rejected => figures.n_invalid += 1,
                Verdict::Failed(code) => {
                    figures.n_failed += 1;
                    failed[code as usize] += 1;
                }
            }
            let is_scored = !matches!(observation.verdict, Verdict::Abstained | Verdict::Rejected | Verdict::Failed(_));
            figures.n_scored += u64::from(is_scored);
        }
        let codes = self.group.codes.texts().iter().zip(failed).filter(|(_, n)| *n > 0);
        figures.failed = codes.map(|(code, n)| (code.clone(), n)).collect();
        figures.categories = self.categories(booleans, &labels);
        let passes = observations.clone().filter_map(|observation| {
            self.is_good(observation.verdict).map(|good| (observation.cluster, f64::from(u8::from(good))))
        });
        let numbers = observations.filter_map(|observation| match observation.verdict {
            Verdict::Number(value) => Some((observation.cluster, value)),
            _ => None,
        });
        let passes = Clustered::of(passes.collect());
        let numbers = Clustered::of(numbers.collect());
        figures.pass = passes.share(self.level);
        figures.mean = numbers.mean(self.level, self.group.scale);
        figures.bounds = self.bounds(&figures);
        figures.clusters = passes.clusters().or_else(|| numbers.clusters());
        if let Ok(sorted) = Sorted::new(numbers.values()) {
            figures.quantiles = quantiles(&sorted);
            figures.histogram = histogram(sorted.values(), self.group.scale);
        }
        figures
    }

    fn categories(&self, booleans: [u64; 2], labels: &[u64]) -> Vec<Category> {
        let booleans = [("true", booleans[1]), ("false", booleans[0])];
        let labels = self.group.labels.texts().iter().map(String::as_str).zip(labels.iter().copied());
        let mut counted: Vec<_> = booleans.into_iter().chain(labels).filter(|(_, n)| *n > 0).collect();
        counted.sort_by(|(a, m), (b, n)| n.cmp(m).then_with(|| a.cmp(b)));
        let all: u64 = counted.iter().map(|(_, n)| n).sum();
        let category = |(label, n): (&str, u64)| Category { label: label.to_owned(), n, share: ratio(n, all) };
        counted.into_iter().map(category).collect()
    }

    /// What the share, or else the mean, would be if everything that failed had been bad, or good.
    fn bounds(&self, figures: &Figures) -> Option<Bounds> {
        let failed = figures.n_failed;
        if let Some(Estimate { estimate, n, .. }) = figures.pass {
            return Some(bounds(estimate, n, failed, (0.0, 1.0)));
        }
        let Estimate { estimate, n, .. } = *figures.mean.as_ref()?;
        let scale = if failed == 0 { (estimate, estimate) } else { self.group.scale? };
        Some(bounds(estimate, n, failed, scale))
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn bounds(estimate: f64, n: u64, failed: u64, (min, max): (f64, f64)) -> Bounds {
    let with = |each: f64| {
        if failed == 0 { estimate } else { (estimate * n as f64 + each * failed as f64) / (n + failed) as f64 }
    };
    Bounds { low: with(min), high: with(max) }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
pub(super) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Values by cluster.
pub(super) struct Clustered {
    /// Sorted by cluster.
    values: Vec<(u64, f64)>,
    /// One for each cluster.
    moments: Vec<Moments>,
}

impl Clustered {
    pub(super) fn of(mut values: Vec<(u64, f64)>) -> Self {
        values.retain(|(_, value)| value.is_finite());
        // The sort keeps the log's order within a cluster, so that sums are the same each time.
        values.sort_by_key(|(cluster, _)| *cluster);
        let of_cluster = |cluster: &[(u64, f64)]| cluster.iter().map(|(_, value)| *value).collect::<Moments>();
        let moments = values.chunk_by(|(a, _), (b, _)| a == b).map(of_cluster).collect();
        Self { values, moments }
    }

    /// How many clusters there are, where some have several values.
    pub(super) fn clusters_if_any(&self) -> Option<usize> {
        self.is_clustered().then_some(self.moments.len())
    }

    fn is_clustered(&self) -> bool {
        self.moments.len() < self.values.len()
    }

    pub(super) fn values(&self) -> Vec<f64> {
        self.values.iter().map(|(_, value)| *value).collect()
    }

    fn n(&self) -> u64 {
        self.values.len() as u64
    }

    /// The moments of all values, cluster by cluster.
    pub(super) fn whole(&self) -> Moments {
        let mut whole = Moments::default();
        self.moments.iter().for_each(|moments| whole.merge(moments));
        whole
    }

    /// The cluster-robust mean; `None` where values are not clustered, or all in one cluster.
    pub(super) fn robust(&self) -> Option<ClusteredMean> {
        if !self.is_clustered() {
            return None;
        }
        ClusteredMean::from_moments(&self.moments).ok()
    }

    fn clusters(&self) -> Option<Clusters> {
        let robust = self.robust()?;
        Some(Clusters { n: robust.clusters as u64, design_effect: robust.design_effect })
    }

    /// A share, of values that are 0 or 1.
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    pub(super) fn share(&self, level: f64) -> Option<Estimate> {
        let n = self.n();
        let passed = self.values.iter().filter(|(_, value)| *value == 1.0).count() as u64;
        let share = ratio(passed, n);
        if n == 0 {
            return None;
        }
        let (interval, method) = if self.is_clustered() {
            let clusters = self.moments.len() as f64;
            // If all are equal, or in one cluster, the design effect is unknown: then a cluster is worth one verdict.
            let known = self.robust().filter(|_| passed > 0 && passed < n);
            let effective = known.map_or(clusters, |robust| robust.effective_n().min(n as f64));
            (wilson_effective(share, effective, level), Method::WilsonClustered)
        } else {
            (wilson(passed, n, level), Method::Wilson)
        };
        Some(estimate(share, interval.ok()?, method, n))
    }

    fn mean(&self, level: f64, scale: Option<(f64, f64)>) -> Option<Estimate> {
        let whole = self.whole();
        let (n, mean) = (whole.n(), whole.mean()?);
        let interval = match self.robust() {
            Some(robust) => Some((robust.estimate.interval(level).ok()?, Method::ClusterT)),
            None if self.is_clustered() => None,
            None => whole.estimate().ok().and_then(|mean| Some((mean.interval(level).ok()?, Method::T))),
        };
        // One value, or one cluster, says nothing about the spread.
        let (lower, upper) = scale.unwrap_or((mean, mean));
        let (interval, method) = interval.unwrap_or((Interval { lower, upper, level }, Method::None));
        Some(estimate(mean, interval, method, n))
    }
}

fn estimate(estimate: f64, interval: Interval, method: Method, n: u64) -> Estimate {
    Estimate { estimate, low: interval.lower, high: interval.upper, level: interval.level, method, n }
}

fn quantiles(sorted: &Sorted) -> Option<Quantiles> {
    let at = |probability| sorted.quantile(probability).ok();
    Some(Quantiles {
        min: at(0.0)?,
        p10: at(0.1)?,
        p25: at(0.25)?,
        p50: at(0.5)?,
        p75: at(0.75)?,
        p90: at(0.9)?,
        max: at(1.0)?,
    })
}

/// Quantiles of times.
pub(super) fn latency(latencies_ms: Vec<f64>) -> Option<Latency> {
    let sorted = Sorted::new(latencies_ms).ok()?;
    let at = |probability| sorted.quantile(probability).ok();
    Some(Latency { p50: at(0.5)?, p90: at(0.9)?, p99: at(0.99)?, max: at(1.0)? })
}

/// Bins over the scale, or over what there is: one for each whole number of a short scale, else ten.
fn histogram(sorted: &[f64], scale: Option<(f64, f64)>) -> Vec<Bin> {
    let (Some(first), Some(last)) = (sorted.first(), sorted.last()) else { return Vec::new() };
    let (low, high) = scale.map_or((*first, *last), |(min, max)| (min.min(*first), max.max(*last)));
    let is_whole = sorted.iter().chain([&low, &high]).all(|value| value.fract() == 0.0);
    let (start, width, bins) = match high - low {
        0.0 => (low, 0.0, 1),
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 20")]
        // A scale from 0 to 1 is a share, even where all are 0 or 1.
        range if is_whole && range > 1.0 && range < MAX_WHOLE_BINS => (low - 0.5, 1.0, range as usize + 1),
        range => (low, range / BINS as f64, BINS),
    };
    #[expect(clippy::cast_precision_loss, reason = "at most 20")]
    let edge = |bin: usize| if bin == bins && width != 1.0 { high } else { start + width * bin as f64 };
    let below = |value: f64| sorted.partition_point(|x| *x < value);
    let bin = |bin| {
        let (low, high) = (edge(bin), edge(bin + 1));
        let end = if bin + 1 == bins { sorted.len() } else { below(high) };
        Bin { low, high, n: (end - below(low).min(end)) as u64 }
    };
    (0..bins).map(bin).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_bin_ends_where_the_scale_does() {
        let ends = |values: &[f64], scale| {
            let bins = histogram(values, Some(scale));
            (bins.len(), bins[0].low, bins[bins.len() - 1].high, bins[bins.len() - 1].n)
        };
        // A whole number is in the middle of its bin.
        assert_eq!(ends(&[2.0, 5.0], (1.0, 5.0)), (5, 0.5, 5.5, 1));
        // 0.9 / 10 * 10 is a little less.
        assert_eq!(ends(&[0.1, 0.9], (0.0, 0.9)), (10, 0.0, 0.9, 1));
    }
}
