//! From two sides of logs to what changed between them.

use std::collections::{BTreeMap, HashMap};

use judge_run_statistics::multiple::holm;
use serde_json::Value;

use super::by::TraceFacts;
use super::compare::{Comparison, Flip, Measure, Outcome, is_lower_better};
use super::figures;
use super::opinions::{Group, Results, Verdict};
use super::pairs::{Analysis, Pair, analyse};
use super::report::{Warning, WarningCode};
use crate::feedback::log::{OpenError, Place, StandingRecords};
use crate::feedback::{Feedback, SourceType};
use crate::judge::Good;

/// The logs of one side. Several are runs over the same items: each item counts with the mean of its verdicts.
#[derive(Debug)]
pub struct Side {
    runs: Vec<(StandingRecords, Results)>,
}

/// What a comparison is made with.
#[derive(Debug, Clone)]
pub struct CompareOptions {
    /// The nominal coverage of intervals, in `(0, 1)`; a p-value below the rest is significant.
    pub level: f64,
    /// The difference that does not matter, as a share, or as a part of the scale of numbers.
    pub margin: f64,
    /// Which verdicts are good, by name. It wins over what the logs say.
    pub good: BTreeMap<String, Good>,
    /// How many items that changed are listed.
    pub flips: usize,
}

impl Default for CompareOptions {
    /// A level of 0.95, a margin of 0.02, 50 flips.
    fn default() -> Self {
        Self { level: 0.95, margin: 0.02, good: BTreeMap::new(), flips: 50 }
    }
}

impl Side {
    /// Of logs that were opened, each one run.
    ///
    /// # Errors
    /// When a log cannot be read any more.
    pub fn of(runs: Vec<StandingRecords>, facts: &TraceFacts) -> Result<Self, OpenError> {
        let read = |mut records: StandingRecords| {
            let results = Results::read(&mut records, &[], facts)?;
            Ok((records, results))
        };
        Ok(Self { runs: runs.into_iter().map(read).collect::<Result<_, OpenError>>()? })
    }

    /// Of one run that was read before.
    pub fn of_read(records: StandingRecords, results: Results) -> Self {
        Self { runs: vec![(records, results)] }
    }

    /// The first of its runs.
    pub fn into_read(self) -> Option<(StandingRecords, Results)> {
        self.runs.into_iter().next()
    }

    /// The names of its judges.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.runs.iter().flat_map(|(_, results)| results.names())
    }

    /// Who said something under which name, in the order in which they first appear.
    fn sources(&self) -> Vec<Key<'_>> {
        let mut keys = Vec::new();
        for group in self.runs.iter().flat_map(|(_, results)| &results.groups) {
            let key = Key { name: &group.name, source_type: group.source_type, source_id: &group.source_id };
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys
    }

    fn groups<'a>(&'a self, key: Key<'a>) -> impl Iterator<Item = (usize, &'a Results, &'a Group)> {
        self.runs.iter().enumerate().filter_map(move |(run, (_, results))| {
            let is_it = |group: &&Group| Key::of(group) == key;
            results.groups.iter().find(is_it).map(|group| (run, results, group))
        })
    }

    fn record(&mut self, (run, place): (usize, Place)) -> Result<Feedback, OpenError> {
        self.runs[run].0.record(place)
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Key<'a> {
    name: &'a str,
    source_type: SourceType,
    source_id: &'a str,
}

impl<'a> Key<'a> {
    fn of(group: &'a Group) -> Self {
        Self { name: &group.name, source_type: group.source_type, source_id: &group.source_id }
    }
}

/// Compares two sides, judge by judge.
///
/// # Errors
/// When a log cannot be read any more.
pub fn compare(base: &mut Side, new: &mut Side, options: &CompareOptions) -> Result<Vec<Comparison>, OpenError> {
    let drafts: Vec<Draft> =
        matched(base, new).into_iter().map(|(of_base, of_new)| draft(base, of_base, new, of_new, options)).collect();
    let adjusted = |of: fn(&Draft) -> Option<f64>| {
        let tested: Vec<_> = drafts.iter().filter_map(of).collect();
        let mut adjusted = holm(&tested).unwrap_or(tested).into_iter();
        drafts.iter().map(|draft| of(draft).and_then(|_| adjusted.next())).collect::<Vec<_>>()
    };
    let (p_adjusted, p_worse) =
        (adjusted(|draft| draft.comparison.p_value), adjusted(|draft| draft.comparison.p_worse));
    let mut comparisons = Vec::new();
    for ((draft, p_adjusted), p_worse) in drafts.into_iter().zip(p_adjusted).zip(p_worse) {
        let Draft { mut comparison, is_lower_better, is_same_judge, flips } = draft;
        (comparison.p_adjusted, comparison.p_worse) = (p_adjusted, p_worse);
        comparison.outcome = outcome(&comparison, is_lower_better, is_same_judge, 1.0 - options.level);
        for Changed { base: of_base, new: of_new, .. } in flips {
            let (record, now) = (base.record(of_base.last)?, new.record(of_new.last)?);
            comparison.flips.push(Flip {
                trace_id: now.trace_id.unwrap_or_default(),
                span_id: now.span_id,
                base: of_base.value(record.value),
                new: of_new.value(now.value),
                base_rationale: record.rationale,
                new_rationale: now.rationale,
            });
        }
        comparisons.push(comparison);
    }
    Ok(comparisons)
}

/// Who is compared with whom: the same source under the same name; of judges, whose model may have changed, also the only one that is left of
/// a name on either side.
fn matched<'a>(base: &'a Side, new: &'a Side) -> Vec<(Key<'a>, Key<'a>)> {
    let (of_base, of_new) = (base.sources(), new.sources());
    let left = |keys: &[Key<'a>], others: &[Key<'a>], name: &str| {
        let is_left =
            |key: &&Key<'a>| key.name == name && key.source_type == SourceType::LlmJudge && !others.contains(key);
        let left: Vec<_> = keys.iter().filter(is_left).copied().collect();
        if let [only] = left.as_slice() { Some(*only) } else { None }
    };
    let pair = |key: &Key<'a>| {
        if of_base.contains(key) {
            return Some((*key, *key));
        }
        let now = left(&of_new, &of_base, key.name).filter(|only| only == key)?;
        Some((left(&of_base, &of_new, key.name)?, now))
    };
    of_new.iter().filter_map(pair).collect()
}

/// A comparison whose p-values are not yet corrected.
struct Draft {
    comparison: Comparison,
    is_lower_better: bool,
    is_same_judge: bool,
    flips: Vec<Changed>,
}

/// An item that changed.
#[derive(Clone, Copy)]
struct Changed {
    /// How much worse.
    worse: f64,
    base: Item,
    new: Item,
}

/// The verdicts of one side on one item.
#[derive(Debug, Clone, Copy)]
struct Item {
    /// The mean over runs of the mean over samples.
    mean: f64,
    verdicts: u32,
    cluster: u64,
    /// The run and place of a verdict that is most like the mean; the last of them.
    last: (usize, Place),
    nearest: f64,
}

impl Item {
    /// The verdict itself, or the mean of several.
    fn value(&self, value: Option<Value>) -> Value {
        if self.verdicts > 1 { self.mean.into() } else { value.unwrap_or(Value::Null) }
    }
}

fn draft(base: &Side, of_base: Key<'_>, new: &Side, of_new: Key<'_>, options: &CompareOptions) -> Draft {
    let groups = |side, key| Side::groups(side, key).collect::<Vec<_>>();
    let (base_groups, new_groups) = (groups(base, of_base), groups(new, of_new));
    let mut known = None;
    for (_, results, group) in new_groups.iter().chain(&base_groups).rev() {
        let candidate = results.good(group, &options.good);
        if candidate.good.is_some() && (known.is_none() || !candidate.is_assumed) {
            known = Some(candidate);
        }
    }
    let good = known.as_ref().and_then(|known| known.good.clone());
    let all = || new_groups.iter().chain(&base_groups).map(|(_, _, group)| *group);
    let measure = measure(all(), good.as_ref());
    let scale = all().find_map(|group| group.scale);
    let items = |groups: &[(usize, &Results, &Group)]| {
        measure.map_or_else(Vec::new, |measure| items(groups, measure, good.as_ref()))
    };
    let mut base_items: HashMap<u64, Item> = items(&base_groups).into_iter().collect();
    let new_items = items(&new_groups);
    let (mut pairs, mut both, mut n_only_new) = (Vec::new(), Vec::new(), 0);
    for (id, now) in new_items {
        match base_items.remove(&id) {
            Some(before) => {
                pairs.push(Pair { cluster: now.cluster, base: before.mean, new: now.mean });
                both.push((before, now));
            }
            None => n_only_new += 1,
        }
    }
    let is_share = measure != Some(Measure::Mean);
    let values = || both.iter().flat_map(|(before, now)| [before.mean, now.mean]);
    let seen = values().reduce(f64::max).zip(values().reduce(f64::min)).map(|(max, min)| max - min);
    let range = if is_share { Some(1.0) } else { scale.map(|(min, max)| max - min) };
    let unit = range.or(seen.filter(|seen| *seen > 0.0));
    let margin = options.margin * unit.unwrap_or(1.0);
    let is_lower_better = is_lower_better(good.as_ref(), measure);
    let mut flips: Vec<_> = both
        .iter()
        .filter(|(before, now)| match is_share {
            true => (before.mean < 0.5) != (now.mean < 0.5),
            false => (now.mean - before.mean).abs() > margin,
        })
        .map(|(before, now)| {
            let worse = if is_lower_better { now.mean - before.mean } else { before.mean - now.mean };
            Changed { worse, base: *before, new: *now }
        })
        .collect();
    flips.sort_by(|a, b| b.worse.total_cmp(&a.worse).then_with(|| a.new.last.cmp(&b.new.last)));
    let n_flips = flips.len() as u64;
    flips.truncate(options.flips);
    let (n_pairs, n_only_base) = (pairs.len() as u64, base_items.len() as u64);
    let analysis = analyse(&mut pairs, is_share, range, options.level);
    let is_same_judge = of_base.source_id == of_new.source_id && is_same_version(&base_groups, &new_groups);
    let mut warnings = warnings(measure, good.as_ref(), known.is_some_and(|known| known.is_assumed));
    if !is_same_judge {
        let message = if of_base.source_id == of_new.source_id {
            "the judge's prompt, schema or sampling changed".to_owned()
        } else {
            format!("the model changed: {} before, {} now", of_base.source_id, of_new.source_id)
        };
        warnings.push(Warning { code: WarningCode::JudgeChanged, message });
    }
    let of = |of: fn(&Analysis) -> f64| analysis.as_ref().map(of);
    let comparison = Comparison {
        name: of_new.name.to_owned(),
        source_id: of_new.source_id.to_owned(),
        base_source_id: (of_base.source_id != of_new.source_id).then(|| of_base.source_id.to_owned()),
        good: good.map(|good| good.to_string()),
        measure,
        n_pairs,
        n_only_base,
        n_only_new,
        base: of(|analysis| analysis.base),
        new: of(|analysis| analysis.new),
        p_value: of(|analysis| analysis.p_value),
        p_adjusted: None,
        p_worse: of(if is_lower_better { |analysis| analysis.p_greater } else { |analysis| analysis.p_less }),
        test: analysis.as_ref().map(|analysis| analysis.test),
        minimum_detectable: analysis.as_ref().and_then(|analysis| analysis.minimum_detectable),
        difference: analysis.and_then(|analysis| analysis.difference),
        margin,
        unit: unit.filter(|_| !is_share),
        outcome: Outcome::Inconclusive,
        n_flips,
        flips: Vec::new(),
        warnings,
    };
    Draft { comparison, is_lower_better, is_same_judge, flips }
}

/// What most of the verdicts allow to be compared.
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

/// The items of one side, each with the mean of its verdicts.
fn items(groups: &[(usize, &Results, &Group)], measure: Measure, good: Option<&Good>) -> Vec<(u64, Item)> {
    let mut all: Vec<(u64, usize, f64, u64, Place)> = Vec::new();
    for (run, _, group) in groups {
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

/// Whether both sides are of the same versions of the judge, by what both of them know.
fn is_same_version(base: &[(usize, &Results, &Group)], new: &[(usize, &Results, &Group)]) -> bool {
    let all = |groups: &[(usize, &Results, &Group)], of: fn(&Group) -> &std::collections::BTreeSet<String>| {
        groups.iter().flat_map(|(_, _, group)| of(group)).cloned().collect::<std::collections::BTreeSet<_>>()
    };
    let digests = [base, new].map(|groups| all(groups, |group| &group.digests));
    if digests.iter().all(|digests| !digests.is_empty()) {
        return digests[0] == digests[1];
    }
    let prompts = [base, new].map(|groups| all(groups, |group| &group.prompts));
    prompts.iter().any(std::collections::BTreeSet::is_empty) || prompts[0] == prompts[1]
}

fn warnings(measure: Option<Measure>, good: Option<&Good>, is_assumed: bool) -> Vec<Warning> {
    let assumed = match (measure, good) {
        (None, _) => "labels cannot be compared unless some of them are known to be good",
        (Some(Measure::True), _) if is_assumed => "the logs do not say which verdicts are good: `true` is assumed",
        (Some(Measure::Mean), None) => {
            "the logs do not say which end of the scale is better: the higher one is assumed"
        }
        _ => return Vec::new(),
    };
    vec![Warning { code: WarningCode::GoodAssumed, message: assumed.to_owned() }]
}

/// The conclusion, from the corrected p-value and the interval.
fn outcome(comparison: &Comparison, is_lower_better: bool, is_same_judge: bool, alpha: f64) -> Outcome {
    if !is_same_judge {
        return Outcome::JudgeChanged;
    }
    let Comparison { difference, margin, p_adjusted, base, new, .. } = comparison;
    if let Some(difference) = difference
        && -margin <= difference.low
        && difference.high <= *margin
    {
        return Outcome::Equivalent;
    }
    match (p_adjusted, base, new) {
        (Some(p), Some(base), Some(new)) if *p < alpha && base != new => {
            if (new < base) == is_lower_better {
                Outcome::Better
            } else {
                Outcome::Worse
            }
        }
        _ => Outcome::Inconclusive,
    }
}
