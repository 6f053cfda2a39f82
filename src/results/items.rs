//! The items compared between two sides: a number for each item on which a side has a verdict.

use judge_run_statistics::nightly::{self, Rules};
use judge_run_statistics::paired::Scale;

use super::compare::{Measure, is_lower_better};
use super::compare_options::CompareOptions;
use super::figures;
use super::opinions::{Group, Verdict};
use super::side::Said;
use crate::feedback::log::Place;
use crate::judge::Good;

/// The unit of a comparison of one judge.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub good: Option<Good>,
    pub is_assumed: bool,
    pub measure: Option<Measure>,
    /// Of numbers, where records say it.
    scale: Option<(f64, f64)>,
    pub is_lower_better: bool,
}

impl Terms {
    pub(super) fn of(base: &[Said<'_>], new: &[Said<'_>], options: &CompareOptions) -> Self {
        let mut known = None;
        for said in new.iter().chain(base).rev() {
            let candidate = said.results.good(said.group, &options.good);
            if candidate.good.is_some() && (known.is_none() || !candidate.is_assumed) {
                known = Some(candidate);
            }
        }
        let is_assumed = known.as_ref().is_some_and(|known| known.is_assumed);
        let good = known.and_then(|known| known.good);
        let all = || new.iter().chain(base).map(|said| said.group);
        let measure = measure(all(), good.as_ref());
        let is_lower_better = is_lower_better(good.as_ref(), measure);
        Self { good, is_assumed, measure, scale: all().find_map(|group| group.scale), is_lower_better }
    }

    pub(super) fn is_share(&self) -> bool {
        self.measure != Some(Measure::Mean)
    }

    /// The length of the range of a value: 1 for shares, that of the scale for numbers, if known.
    pub(super) fn range(&self) -> Option<f64> {
        if self.is_share() { Some(1.0) } else { self.scale.map(|(min, max)| max - min) }
    }

    /// For comparing a night with those before it; a margin is a share, or a part of the scale.
    pub(super) fn rules(&self, level: f64, margin: f64) -> Rules {
        let scale = Scale { is_share: self.is_share(), range: self.range() };
        let margin = margin * self.range().unwrap_or(1.0);
        Rules { is_lower_better: self.is_lower_better, scale, level, margin }
    }

    /// The items on which a side has a verdict.
    pub(super) fn items(&self, said: &[Said<'_>]) -> Vec<(u64, Item)> {
        self.measure.map_or_else(Vec::new, |measure| items(said, measure, self.good.as_ref()))
    }
}

/// What most of the verdicts allow comparing.
fn measure<'a>(groups: impl Iterator<Item = &'a Group>, good: Option<&Good>) -> Option<Measure> {
    let mut counts = [0u64; 3];
    for observation in groups.flat_map(|group| &group.observations) {
        match observation.verdict {
            Verdict::Boolean(_) => counts[0] += 1,
            Verdict::Label(_) => counts[1] += 1,
            Verdict::Number(_) => counts[2] += 1,
            Verdict::Other | Verdict::Abstained | Verdict::Rejected | Verdict::Failed(_) => {}
        }
    }
    let most = counts.iter().enumerate().max_by_key(|(kind, n)| (**n, std::cmp::Reverse(*kind)));
    match most.filter(|(_, n)| **n > 0)?.0 {
        0 => Some(Measure::True),
        1 => matches!(good, Some(Good::Labels(_))).then_some(Measure::Pass),
        _ => Some(Measure::Mean),
    }
}

/// The verdicts of one side on one item.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    /// The mean over runs of the mean over samples.
    pub mean: f64,
    pub verdicts: u32,
    pub cluster: u64,
    /// The run and place of the verdict nearest the mean; the last of them.
    pub last: (usize, Place),
    nearest: f64,
}

/// The items of one side, each with the mean of its verdicts.
fn items(said: &[Said<'_>], measure: Measure, good: Option<&Good>) -> Vec<(u64, Item)> {
    let mut all: Vec<(u64, usize, f64, u64, Place)> = Vec::new();
    for Said { run, group, .. } in said {
        let passes = figures::Measure { group, good, level: 0.5 };
        for observation in &group.observations {
            let value = match (measure, observation.verdict) {
                (Measure::True, Verdict::Boolean(value)) => Some(f64::from(u8::from(value))),
                (Measure::Pass, verdict) => passes.is_good(verdict).map(|good| f64::from(u8::from(good))),
                (Measure::Mean, Verdict::Number(value)) => Some(value).filter(|value| value.is_finite()),
                _ => None,
            };
            if let Some(value) = value {
                all.push((observation.item, *run, value, observation.cluster, observation.place));
            }
        }
    }
    all.sort_by_key(|(item, run, _, _, place)| (*item, *run, *place));
    let of_item = |of: &[(u64, usize, f64, u64, Place)]| {
        let mean = |values: &mut dyn Iterator<Item = f64>| {
            let (n, sum) = values.fold((0.0, 0.0), |(n, sum), value| (n + 1.0, sum + value));
            sum / n
        };
        let of_run = |of: &[(u64, usize, f64, u64, Place)]| mean(&mut of.iter().map(|(_, _, value, ..)| *value));
        let mean = mean(&mut of.chunk_by(|a, b| a.1 == b.1).map(of_run));
        let mut item = Item { mean, verdicts: 0, cluster: 0, last: (0, Place::default()), nearest: f64::INFINITY };
        for (_, run, value, cluster, place) in of {
            item.verdicts += 1;
            let distance = (value - mean).abs();
            if distance <= item.nearest {
                (item.last, item.nearest) = ((*run, *place), distance);
            }
            item.cluster = *cluster;
        }
        (of[0].0, item)
    };
    all.chunk_by(|a, b| a.0 == b.0).map(of_item).collect()
}

/// The same, as figures need them.
pub(super) fn points(items: &[(u64, Item)]) -> Vec<nightly::Item> {
    items.iter().map(|(id, item)| nightly::Item { id: *id, cluster: item.cluster, value: item.mean }).collect()
}
