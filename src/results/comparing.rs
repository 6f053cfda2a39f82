//! From two sides of logs to what changed between them.

use std::collections::HashMap;

use judge_run_statistics::multiple::holm;
use judge_run_statistics::nightly::{ALPHA, Pool, p_worse};
use judge_run_statistics::paired::{Analysis, Pair, analyse};
use serde_json::Value;

use super::compare::{Comparison, Difference, Drift, Flip, Measure, NightOutcome, Outcome, Test};
use super::compare_options::CompareOptions;
use super::family::are_secondary;
use super::forms;
use super::items::{Item, Terms, points};
use super::nights::{History, histories};
use super::report::{Warning, WarningCode};
use super::side::{Key, Read, Run, Said, Side, matched};
use crate::feedback::Feedback;
use crate::feedback::log::{OpenError, Place};

/// What changed between two sides.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Compared {
    /// One for each judge.
    pub comparisons: Vec<Comparison>,
    /// The same judges on the anchors, where both sides have verdicts on the same ones.
    pub anchors: Vec<Comparison>,
}

/// Compares two sides, judge by judge.
///
/// # Errors
/// When a log can no longer be read.
pub fn compare(base: &mut Side, new: &mut Side, options: &CompareOptions) -> Result<Compared, OpenError> {
    let keys = matched(base, new);
    let secondary = are_secondary(new, &keys, options);
    let histories = histories(base, new, &keys, &secondary, options);
    let judges = || keys.iter().zip(&secondary).zip(&histories);
    let drafts = judges().map(|(((of_base, of_new), secondary), history)| {
        let accepted = base.groups(of_base).into_iter().filter(|said| history.accepted.contains(&said.run)).collect();
        Draft::of((of_base, of_new), accepted, new.groups(of_new), history, options).secondary(*secondary)
    });
    let mut drafts = corrected(drafts.collect());
    let anchors = judges().filter_map(|(((of_base, of_new), secondary), history)| {
        let now = new.on_anchors(of_new);
        let are_the_same = |said: &Said<'_>| now.iter().all(|of| of.group.anchors == said.group.anchors);
        let mut accepted = base.on_anchors(of_base);
        accepted.retain(|said| history.accepted.contains(&said.run) && are_the_same(said));
        let is_comparable = history.is_same_judge && !now.is_empty() && !accepted.is_empty();
        let nights = History { is_same_judge: true, ..History::default() };
        is_comparable.then(|| {
            let terms = Terms::of(&accepted, &now, options);
            let mut pool = Pool::default();
            accepted.iter().for_each(|said| pool.add(&points(&terms.items(&[*said]))));
            let p_value = pool.likeness(&points(&terms.items(&now)));
            let mut draft = Draft::of((of_base, of_new), accepted, now, &nights, options).secondary(*secondary);
            draft.comparison.p_value = p_value;
            draft.comparison.test = p_value.map(|_| Test::Permutation);
            draft
        })
    });
    let mut anchors = corrected(anchors.collect());
    anchors.iter_mut().for_each(Draft::is_of_anchors);
    for draft in &mut drafts {
        let of_anchors = anchors.iter().map(|draft| &draft.comparison).find(|of| of.is_of_judge(&draft.comparison));
        draft.conclude(of_anchors, 1.0 - options.level);
    }
    Ok(Compared {
        comparisons: listed(drafts, base, new, |run| Some(&mut run.read))?,
        anchors: listed(anchors, base, new, |run| run.anchors.as_mut())?,
    })
}

/// The comparisons with the items that changed, whose records are read now.
fn listed(
    drafts: Vec<Draft>,
    base: &mut Side,
    new: &mut Side,
    of: fn(&mut Run) -> Option<&mut Read>,
) -> Result<Vec<Comparison>, OpenError> {
    let record = |side: &mut Side, (run, place): (usize, Place)| {
        let read = side.runs.get_mut(run).and_then(of);
        read.map(|read| read.records.record(place)).transpose()
    };
    let mut comparisons = Vec::new();
    for Draft { mut comparison, flips, .. } in drafts {
        for Changed { base: of_base, new: of_new, .. } in flips {
            let before: Option<Feedback> = record(base, of_base.last)?;
            let (Some(before), Some(now)) = (before, record(new, of_new.last)?) else { continue };
            comparison.flips.push(Flip {
                document_index: now.document_index(),
                trace_id: now.trace_id.unwrap_or_default(),
                span_id: now.span_id,
                base: of_base.value(before.value),
                new: of_new.value(now.value),
                base_rationale: before.rationale,
                new_rationale: now.rationale,
            });
        }
        comparisons.push(comparison);
    }
    Ok(comparisons)
}

/// The p-values corrected for the number of judges in their family (Holm).
fn corrected(mut drafts: Vec<Draft>) -> Vec<Draft> {
    let adjusted = |of: fn(&Comparison) -> Option<f64>, family: &[&mut Comparison]| {
        let tested: Vec<_> = family.iter().filter_map(|comparison| of(comparison)).collect();
        let mut adjusted = holm(&tested).unwrap_or(tested).into_iter();
        family.iter().map(|comparison| of(comparison).and_then(|_| adjusted.next())).collect::<Vec<_>>()
    };
    for secondary in [false, true] {
        let comparisons = drafts.iter_mut().map(|draft| &mut draft.comparison);
        let mut family: Vec<_> = comparisons.filter(|comparison| comparison.secondary == secondary).collect();
        let p_adjusted = adjusted(|comparison| comparison.p_value, &family);
        let p_worse = adjusted(|comparison| comparison.p_worse, &family);
        for ((comparison, p_adjusted), p_worse) in family.iter_mut().zip(p_adjusted).zip(p_worse) {
            (comparison.p_adjusted, comparison.p_worse) = (p_adjusted, p_worse);
        }
    }
    drafts
}

/// A comparison that is not yet concluded.
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

impl Item {
    /// The verdict itself, or the mean of several.
    fn value(&self, value: Option<Value>) -> Value {
        if self.verdicts > 1 { self.mean.into() } else { value.unwrap_or(Value::Null) }
    }
}

impl Draft {
    fn of(
        (of_base, of_new): (&Key, &Key),
        base: Vec<Said<'_>>,
        new: Vec<Said<'_>>,
        history: &History,
        options: &CompareOptions,
    ) -> Self {
        let terms = Terms::of(&base, &new, options);
        let mut base_items: HashMap<u64, Item> = terms.items(&base).into_iter().collect();
        let new_items = terms.items(&new);
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
        let (is_share, range) = (terms.is_share(), terms.range());
        let rules = terms.rules(options.level, options.tolerated(&of_new.name));
        let values = || both.iter().flat_map(|(before, now)| [before.mean, now.mean]);
        let seen = values().reduce(f64::max).zip(values().reduce(f64::min)).map(|(max, min)| max - min);
        let unit = range.or(seen.filter(|seen| *seen > 0.0));
        let margin = options.margin * unit.unwrap_or(1.0);
        let mut flips: Vec<_> = both
            .iter()
            .filter(|(before, now)| match is_share {
                true => (before.mean < 0.5) != (now.mean < 0.5),
                false => (now.mean - before.mean).abs() > margin,
            })
            .map(|(before, now)| {
                let worse = if terms.is_lower_better { now.mean - before.mean } else { before.mean - now.mean };
                Changed { worse, base: *before, new: *now }
            })
            .collect();
        flips.sort_by(|a, b| b.worse.total_cmp(&a.worse).then_with(|| a.new.last.cmp(&b.new.last)));
        let n_flips = flips.len() as u64;
        flips.truncate(options.flips);
        let (n_pairs, n_only_base) = (pairs.len() as u64, base_items.len() as u64);
        let analysis = analyse(&mut pairs, rules.scale, options.level);
        let mut warnings = warnings(&terms);
        if !history.is_same_judge {
            let message = if of_base.source_id == of_new.source_id {
                "the judge's prompt, schema or sampling changed".to_owned()
            } else {
                format!("the model changed: {} before, {} now", of_base.source_id, of_new.source_id)
            };
            warnings.push(Warning { code: WarningCode::JudgeChanged, message });
        }
        warnings.extend(of_nights(history));
        let of = |of: fn(&Analysis) -> f64| analysis.as_ref().map(of);
        let comparison = Comparison {
            name: of_new.name.clone(),
            source_id: of_new.source_id.clone(),
            base_source_id: (of_base.source_id != of_new.source_id).then(|| of_base.source_id.clone()),
            good: terms.good.map(|good| good.to_string()),
            measure: terms.measure,
            secondary: false,
            n_pairs,
            n_only_base,
            n_only_new,
            base: of(|analysis| analysis.base),
            new: of(|analysis| analysis.new),
            p_value: of(|analysis| analysis.p_value),
            p_adjusted: None,
            p_worse: analysis.as_ref().map(|analysis| p_worse(analysis, terms.is_lower_better)),
            test: analysis.as_ref().map(|analysis| analysis.test.into()),
            minimum_detectable: analysis.as_ref().and_then(|analysis| analysis.minimum_detectable),
            difference: analysis.as_ref().and_then(Difference::of),
            nights: history.nights.clone(),
            worse_since: history.worse_since.clone(),
            drift: history.drift,
            margin,
            unit: unit.filter(|_| !is_share),
            outcome: Outcome::Inconclusive,
            n_flips,
            flips: Vec::new(),
            warnings,
        };
        Self { comparison, is_lower_better: terms.is_lower_better, is_same_judge: history.is_same_judge, flips }
    }

    fn secondary(mut self, secondary: bool) -> Self {
        self.comparison.secondary = secondary;
        self
    }

    /// The conclusion, from the anchors, the corrected p-value and the interval.
    fn conclude(&mut self, anchors: Option<&Comparison>, alpha: f64) {
        if let Some(anchors) = anchors.filter(|anchors| anchors.outcome == Outcome::JudgeChanged) {
            self.is_same_judge = false;
            self.comparison.warnings.extend(anchors.warnings.last().cloned());
        }
        let Comparison { difference, margin, p_adjusted, base, new, .. } = &self.comparison;
        let is_equivalent =
            difference.as_ref().is_some_and(|difference| -margin <= difference.low && difference.high <= *margin);
        self.comparison.outcome =
            match (p_adjusted, base, new) {
                _ if !self.is_same_judge => Outcome::JudgeChanged,
                _ if is_equivalent => Outcome::Equivalent,
                (Some(p), Some(base), Some(new)) if *p < alpha && base != new => {
                    if (new < base) == self.is_lower_better { Outcome::Better } else { Outcome::Worse }
                }
                _ => Outcome::Inconclusive,
            };
        // What is clearly worse is not drift, and another judge says nothing about drift.
        let is_worse = self.comparison.p_worse.is_some_and(|p| p < ALPHA);
        let is_plain = is_worse || self.comparison.outcome == Outcome::JudgeChanged;
        self.comparison.drift = self.comparison.drift.filter(|_| !is_plain);
        if let Some(drift) = self.comparison.drift.filter(Drift::is_alarm) {
            let message = format!(
                "small losses add up over {} nights: evidence {:.0}, alarm at {:.0}",
                drift.nights, drift.evidence, drift.alarm
            );
            self.comparison.warnings.push(Warning { code: WarningCode::Drift, message });
        }
    }

    /// The application does not influence anchors, so what moved is the judge. The error rate is that of gates: each false alarm hides a loss.
    fn is_of_anchors(&mut self) {
        let comparison = &mut self.comparison;
        let has_moved = comparison.p_adjusted.is_some_and(|p| p < ALPHA) && comparison.base != comparison.new;
        let is_still = comparison
            .difference
            .as_ref()
            .is_some_and(|difference| -comparison.margin <= difference.low && difference.high <= comparison.margin);
        comparison.outcome = match (has_moved, is_still) {
            (true, _) => Outcome::JudgeChanged,
            (false, true) => Outcome::Equivalent,
            (false, false) => Outcome::Inconclusive,
        };
        if has_moved {
            let amount = forms::moved(comparison);
            let n = comparison.n_pairs;
            let message = format!("the judge changed: its verdicts on {n} anchors moved by {amount}");
            comparison.warnings.push(Warning { code: WarningCode::JudgeChanged, message });
        }
    }
}

fn warnings(terms: &Terms) -> Vec<Warning> {
    let assumed = match (terms.measure, &terms.good) {
        (None, _) => "labels cannot be compared unless it is known which of them are good",
        (Some(Measure::True), _) if terms.is_assumed => {
            "the logs do not say which verdicts are good: `true` is assumed"
        }
        (Some(Measure::Mean), None) => {
            "the logs do not say which end of the scale is better: the higher one is assumed"
        }
        _ => return Vec::new(),
    };
    vec![Warning { code: WarningCode::GoodAssumed, message: assumed.to_owned() }]
}

/// What the nights of the baseline show, and which of them are not in any figure.
fn of_nights(history: &History) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let left_out = |outcome| {
        let nights = history.nights.iter().filter(|night| night.outcome == outcome);
        nights.map(|night| night.log.as_str()).collect::<Vec<_>>()
    };
    let mut why = Vec::new();
    if history.other_versions > 0 {
        why.push(format!("{} with another version of the judge", history.other_versions));
    }
    let accepted = history.accepted.len();
    let of_version = history.nights.len();
    let moved = left_out(NightOutcome::JudgeChanged).len();
    if moved > 0 {
        why.push(format!("{moved} with a changed judge, by its anchors"));
    }
    let red = of_version.saturating_sub(accepted + moved);
    if red > 0 {
        why.push(format!("{red} while it was worse"));
    }
    if !why.is_empty() {
        let message = format!("nights not in the baseline: {}", why.join(", "));
        warnings.push(Warning { code: WarningCode::NightsLeftOut, message });
    }
    warnings
}
