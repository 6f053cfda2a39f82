//! Whether gates hold.

use std::collections::BTreeMap;

use judge_run_statistics::Interval;
use judge_run_statistics::nightly::{Decision, Shown, decide};
use judge_run_statistics::proportion::wilson;

use super::by::{self, By};
use super::compare::{Comparison, Measure, Outcome};
use super::figures::{self, ratio};
use super::gate::{Cause, GateOutcome, GateResult, GateTrace};
use super::gate_text::{Comparator, Condition, Figure, Gate, Part};
use super::opinions::{Group, Observation, Results, Verdict};
use super::report::{Corrected, Estimate, Figures, JudgeReport, WarningCode};
use super::reporting::Options;
use crate::feedback::log::{OpenError, StandingRecords};
use crate::feedback::{RANKING, TIE};
use crate::judge::prompt::TemplateError;

/// Traces that a gate names.
const TRACES: usize = 10;

/// The expressions of gates about slices, each once, in the order of `slices`.
///
/// # Errors
/// The first invalid expression, and why.
pub fn slices_of(gates: &[Gate]) -> Result<Vec<By>, (String, TemplateError)> {
    let mut sources: Vec<String> = Vec::new();
    for (expression, _) in gates.iter().filter(|gate| gate.side().is_none()).filter_map(|gate| gate.slice.as_ref()) {
        if !sources.contains(expression) {
            sources.push(expression.clone());
        }
    }
    by::compile(&sources)
}

/// The first gate that names a judge not among these, and that name.
pub fn unknown_name<'g>(gates: &'g [Gate], known: &[&str]) -> Option<(&'g Gate, &'g str)> {
    gates.iter().find_map(|gate| {
        let name = gate.name.as_deref()?;
        (!known.contains(&name)).then_some((gate, name))
    })
}

/// What gates are evaluated on.
#[derive(Debug)]
pub struct Evidence<'a> {
    /// The opinions.
    pub results: &'a Results,
    /// Their records.
    pub records: &'a mut StandingRecords,
    /// As of the report.
    pub options: &'a Options,
    /// What the report says about each, with the figures corrected by people's labels.
    pub judges: &'a [JudgeReport],
    /// With the baseline, if there is one.
    pub comparisons: &'a [Comparison],
    /// Judgments that were planned but not asked, by name and model URI.
    pub unjudged: &'a BTreeMap<(String, String), u64>,
}

/// Evaluates gates: one result for each, or one for each judge if a gate about a figure names none.
///
/// # Errors
/// When a log can no longer be read.
pub fn evaluate(gates: &[Gate], mut evidence: Evidence<'_>) -> Result<Vec<GateResult>, OpenError> {
    let mut results = Vec::new();
    for gate in gates {
        match gate.condition {
            Condition::NoWorse(margin) => results.extend(evidence.no_worse(gate, margin)),
            Condition::Figure(figure @ (Figure::Errors | Figure::Coverage), comparator, threshold) => {
                let holds = |share| comparator.holds(share, threshold);
                results.push(evidence.counted(gate, figure, threshold, &holds)?);
            }
            Condition::Figure(Figure::WinRate(part), comparator, threshold) => {
                results.extend(evidence.win_rates(gate, part, comparator, threshold)?);
            }
            Condition::Figure(..) | Condition::AtLeast(_) => {
                for index in evidence.groups(gate) {
                    results.push(evidence.measured(gate, index)?);
                }
            }
        }
    }
    Ok(results)
}

impl<'a> Evidence<'a> {
    /// The judges that a gate is about; people and other programs only if it names them.
    fn groups(&self, gate: &Gate) -> Vec<usize> {
        let groups = || self.results.groups.iter().enumerate();
        let of_name = |group: &Group| gate.name.as_ref().is_none_or(|name| *name == group.name);
        // For votes, their aggregate is the verdict.
        let has_aggregate = |name: &str| groups().any(|(_, group)| group.name == name && group.is_aggregate());
        let is_judge = |group: &Group| group.is_judge() && (group.is_aggregate() || !has_aggregate(&group.name));
        // Figures of a ranking follow from verdicts that the gate is about anyway, and have a scale of their own. Where the criteria of a rubric come to one
        // verdict, it is the judge's; but it is they that are asked about.
        let is_counted = matches!(gate.condition, Condition::Figure(Figure::Errors | Figure::Coverage, ..));
        let is_one_of_two = |group: &Group| match is_counted {
            true => group.is_of_all_criteria(),
            false => group.is_criterion_of(&self.results.groups),
        };
        let is_meant = |group: &Group| gate.name.is_some() || !(group.is_ranking() || is_one_of_two(group));
        let judges: Vec<_> =
            groups().filter(|(_, group)| of_name(group) && is_judge(group) && is_meant(group)).collect();
        let named = || groups().filter(|(_, group)| gate.name.is_some() && of_name(group)).collect();
        let found: Vec<(usize, &Group)> = if judges.is_empty() { named() } else { judges };
        found.into_iter().map(|(index, _)| index).collect()
    }

    /// The opinions of a group that a gate is about.
    fn observations(&self, gate: &Gate, group: &'a Group) -> Vec<&'a Observation> {
        let Some((expression, value)) = &gate.slice else { return group.observations.iter().collect() };
        let slices = self.results.slices.iter().zip(&group.parts).rev();
        let Some((slices, parts)) = slices.into_iter().find(|(slices, _)| slices.by == *expression) else {
            return Vec::new();
        };
        let part = slices.values.iter().position(|known| known == value).and_then(|part| u32::try_from(part).ok());
        let of_part = group.observations.iter().zip(parts).filter(|(_, of)| part == Some(**of));
        of_part.map(|(observation, _)| observation).collect()
    }

    /// A share or a mean of one judge.
    fn measured(&mut self, gate: &Gate, index: usize) -> Result<GateResult, OpenError> {
        let group = &self.results.groups[index];
        if let Condition::Figure(Figure::Corrected(part), comparator, threshold) = gate.condition {
            let corrected = self.report_of(group).and_then(|judge| judge.corrected.as_ref());
            return Ok(of_corrected(gate.title(&group.name), corrected, part, comparator, threshold));
        }
        let observations = self.observations(gate, group);
        let good = self.results.good(group, &self.options.good).good;
        let measure = figures::Measure { group, good: good.as_ref(), level: self.options.level };
        let figures = measure.figures(observations.iter().copied());
        let (figure, comparator, threshold) = match gate.condition {
            Condition::Figure(figure, comparator, threshold) => (figure, comparator, threshold),
            Condition::AtLeast(threshold) | Condition::NoWorse(threshold) => {
                let figure = if figures.pass.is_some() { Figure::Pass } else { Figure::Mean };
                (figure(Part::Estimate), Comparator::AtLeast, threshold)
            }
        };
        let mut result = GateResult {
            gate: gate.title(&group.name),
            outcome: GateOutcome::Inconclusive,
            estimate: None,
            low: None,
            high: None,
            threshold,
            cause: None,
            reason: None,
            traces: Vec::new(),
        };
        let (estimate, part) = match figure {
            Figure::Pass(part) => (&figures.pass, part),
            Figure::Mean(part) => (&figures.mean, part),
            Figure::Corrected(_) | Figure::WinRate(_) | Figure::Errors | Figure::Coverage => (&None, Part::Estimate),
        };
        let Some(Estimate { estimate, low, high, .. }) = estimate else {
            result.cause = Some(if figures.n_scored == 0 { Cause::NothingJudged } else { Cause::NoFigure });
            result.reason = Some(why_nothing(figure, &figures, good.is_some()));
            return Ok(result);
        };
        (result.estimate, result.low, result.high) = (Some(*estimate), Some(*low), Some(*high));
        let value = part.of(*estimate, *low, *high);
        let holds = comparator.holds(value, threshold);
        (result.outcome, result.cause) =
            if holds { (GateOutcome::Pass, None) } else { (GateOutcome::Fail, Some(Cause::Threshold)) };
        let bound =
            figures.bounds.map(|bounds| if holds == comparator.wants_high() { bounds.low } else { bounds.high });
        if let Some(bound) =
            bound.filter(|bound| part == Part::Estimate && comparator.holds(*bound, threshold) != holds)
        {
            let would = if holds { "fail" } else { "pass" };
            let n = figures.n_failed;
            result.reason = Some(format!("{n} without a verdict: it could be {bound:.4}, and the gate {would}"));
        }
        if !holds {
            result.traces =
                self.worst(&measure, &observations, comparator.wants_high(), matches!(figure, Figure::Pass(_)))?;
        }
        Ok(result)
    }

    /// What a side wins, by each judge of pairs that the gate is about.
    fn win_rates(
        &mut self,
        gate: &Gate,
        part: Part,
        comparator: Comparator,
        threshold: f64,
    ) -> Result<Vec<GateResult>, OpenError> {
        let side = gate.side().unwrap_or_default();
        let nothing = |gate: String, reason: String| no_figure(gate, threshold, reason);
        let mut results = Vec::new();
        for index in self.groups(gate) {
            let group = &self.results.groups[index];
            let Some(pairwise) = self.report_of(group).and_then(|judge| judge.pairwise.as_ref()) else { continue };
            let title = gate.title(&group.name);
            let Some(figures) = pairwise.sides.iter().find(|known| known.name == side) else {
                let known: Vec<_> = pairwise.sides.iter().map(|known| known.name.as_str()).collect();
                results.push(nothing(title, format!("unknown side `{side}`, known: {}", known.join(", "))));
                continue;
            };
            let Some(Estimate { estimate, low, high, .. }) = figures.win_rate else {
                let reason = format!("no pair with `{side}` has a verdict that counts");
                results.push(GateResult { cause: Some(Cause::NothingJudged), ..nothing(title, reason) });
                continue;
            };
            let holds = comparator.holds(part.of(estimate, low, high), threshold);
            // With more sides, a verdict for another one may be about pairs without this one.
            let are_all_about_it = pairwise.sides.len() == 2 && comparator.wants_high();
            let lost: Vec<Observation> = group
                .observations
                .iter()
                .filter(|of| match of.verdict {
                    Verdict::Label(label) => ![side, TIE].contains(&group.labels.text(label)),
                    _ => false,
                })
                .take(if holds || !are_all_about_it { 0 } else { TRACES })
                .copied()
                .collect();
            let (outcome, cause) =
                if holds { (GateOutcome::Pass, None) } else { (GateOutcome::Fail, Some(Cause::Threshold)) };
            let traces = lost.iter().map(|of| self.trace(of)).collect::<Result<_, _>>()?;
            let (estimate, low, high) = (Some(estimate), Some(low), Some(high));
            results.push(GateResult {
                outcome,
                cause,
                estimate,
                low,
                high,
                reason: None,
                traces,
                ..nothing(title, String::new())
            });
        }
        if results.is_empty() {
            results.push(nothing(gate.text.clone(), "no judge here compares outputs".to_owned()));
        }
        Ok(results)
    }

    /// What the report says of a group.
    fn report_of(&self, group: &Group) -> Option<&'a JudgeReport> {
        self.judges.iter().find(|judge| {
            (&judge.name, judge.source_type, &judge.source_id) == (&group.name, group.source_type, &group.source_id)
        })
    }

    /// The share of judgments that failed, or that have a verdict, over all judges that the gate is about.
    fn counted(
        &mut self,
        gate: &Gate,
        figure: Figure,
        threshold: f64,
        holds: &dyn Fn(f64) -> bool,
    ) -> Result<GateResult, OpenError> {
        let (mut failed, mut scored, mut all) = (0, 0, 0);
        let mut failures = Vec::new();
        for index in self.groups(gate) {
            let group = &self.results.groups[index];
            for observation in self.observations(gate, group) {
                all += 1;
                match observation.verdict {
                    Verdict::Failed(_) => {
                        failed += 1;
                        failures.push(*observation);
                    }
                    Verdict::Abstained | Verdict::Rejected => {}
                    Verdict::Boolean(_) | Verdict::Number(_) | Verdict::Label(_) | Verdict::Other => scored += 1,
                }
            }
            if figure == Figure::Coverage && gate.slice.is_none() {
                all += self.unjudged.get(&(group.name.clone(), group.source_id.clone())).copied().unwrap_or(0);
            }
        }
        let part = if figure == Figure::Errors { failed } else { scored };
        let share = ratio(part, all);
        let interval = wilson(part, all, self.options.level).ok().filter(|_| all > 0);
        let (outcome, cause) = match (all, holds(share)) {
            (0, _) => (GateOutcome::Inconclusive, Some(Cause::NothingJudged)),
            (_, true) => (GateOutcome::Pass, None),
            (_, false) => (GateOutcome::Fail, Some(Cause::Threshold)),
        };
        let reason = match figure {
            _ if all == 0 => "no judgments".to_owned(),
            Figure::Errors => format!("{failed} of {all} judgments failed"),
            _ => format!("{scored} of {all} judgments have a verdict"),
        };
        let is_failed = outcome == GateOutcome::Fail;
        let shown = failures.iter().take(if is_failed { TRACES } else { 0 });
        let traces = shown.map(|observation| self.trace(observation)).collect::<Result<_, _>>()?;
        Ok(GateResult {
            gate: gate.text.clone(),
            outcome,
            estimate: (all > 0).then_some(share),
            low: interval.map(|interval| interval.lower),
            high: interval.map(|interval| interval.upper),
            threshold,
            cause,
            reason: (outcome != GateOutcome::Pass).then_some(reason),
            traces,
        })
    }

    /// One judge, or each, against the baseline.
    fn no_worse(&self, gate: &Gate, margin: f64) -> Vec<GateResult> {
        let of_gate = |comparison: &&Comparison| match &gate.name {
            Some(name) => *name == comparison.name,
            // As in `groups`.
            None => !comparison.source_id.starts_with(RANKING),
        };
        let compared: Vec<_> = self.comparisons.iter().filter(of_gate).filter(|of| !of.secondary).collect();
        if compared.is_empty() {
            return vec![GateResult {
                gate: gate.text.clone(),
                outcome: GateOutcome::Inconclusive,
                estimate: None,
                low: None,
                high: None,
                threshold: -margin,
                cause: Some(Cause::NoBaseline),
                reason: Some("no baseline verdicts to compare with".to_owned()),
                traces: Vec::new(),
            }];
        }
        compared.into_iter().map(|comparison| no_worse(gate, comparison, margin)).collect()
    }

    /// The worst opinions of those that have a verdict.
    fn worst(
        &mut self,
        measure: &figures::Measure<'_>,
        observations: &[&Observation],
        wants_high: bool,
        is_share: bool,
    ) -> Result<Vec<GateTrace>, OpenError> {
        let badness = |verdict| match verdict {
            _ if is_share => measure.is_good(verdict).filter(|good| *good != wants_high).map(|_| number(verdict)),
            Verdict::Number(value) => Some(value),
            _ => None,
        };
        let mut bad: Vec<_> = observations.iter().filter_map(|of| Some((badness(of.verdict)?, **of))).collect();
        bad.sort_by(|(a, x), (b, y)| {
            let by_value = if wants_high { a.total_cmp(b) } else { b.total_cmp(a) };
            by_value.then_with(|| x.place.cmp(&y.place))
        });
        bad.iter().take(TRACES).map(|(_, observation)| self.trace(observation)).collect()
    }

    fn trace(&mut self, observation: &Observation) -> Result<GateTrace, OpenError> {
        let feedback = self.records.record(observation.place)?;
        Ok(GateTrace {
            document_index: feedback.document_index(),
            trace_id: feedback.trace_id.unwrap_or_default(),
            span_id: feedback.span_id,
            name: feedback.name,
            value: feedback.value,
            base: None,
            rationale: feedback.rationale,
            error_code: feedback.error.map(|error| error.error_code.as_str().to_owned()),
        })
    }
}

/// By what people would say about all that was judged.
fn of_corrected(
    gate: String,
    corrected: Option<&Corrected>,
    part: Part,
    comparator: Comparator,
    threshold: f64,
) -> GateResult {
    let reason = "people labelled none of what was judged, so it cannot be corrected";
    let result = no_figure(gate, threshold, reason.to_owned());
    let Some(Corrected { estimate, low, high, n_labelled, refused, .. }) = corrected else { return result };
    let holds = comparator.holds(part.of(*estimate, *low, *high), threshold);
    let (outcome, cause) = if holds { (GateOutcome::Pass, None) } else { (GateOutcome::Fail, Some(Cause::Threshold)) };
    let reason = refused.as_ref().map(|refused| format!("by the {n_labelled} labels alone: {refused}"));
    GateResult { outcome, cause, reason, estimate: Some(*estimate), low: Some(*low), high: Some(*high), ..result }
}

/// Of a gate whose figure is not there.
fn no_figure(gate: String, threshold: f64, reason: String) -> GateResult {
    GateResult {
        gate,
        outcome: GateOutcome::Inconclusive,
        estimate: None,
        low: None,
        high: None,
        threshold,
        cause: Some(Cause::NoFigure),
        reason: Some(reason),
        traces: Vec::new(),
    }
}

fn number(verdict: Verdict) -> f64 {
    match verdict {
        Verdict::Number(value) => value,
        _ => 0.0,
    }
}

fn why_nothing(figure: Figure, figures: &Figures, is_good_known: bool) -> String {
    let n = figures.n_scored;
    match figure {
        _ if n == 0 => format!("no verdicts, and {} failed", figures.n_failed),
        Figure::Pass(_) if !is_good_known => "nothing says which verdicts are good".to_owned(),
        Figure::Pass(_) => "no verdict can be good or bad: numbers need a threshold".to_owned(),
        _ => "no verdict is a number".to_owned(),
    }
}

/// By its version, or by its verdicts on the anchors.
fn why_changed(comparison: &Comparison) -> String {
    let mut warnings = comparison.warnings.iter().filter(|warning| warning.code == WarningCode::JudgeChanged);
    let why = warnings.next_back().map_or("the judge changed", |warning| warning.message.as_str());
    format!("{why}; the difference is not due to the application alone")
}

/// Worse only if shown, tonight or on an earlier night without proof to the contrary since; no worse only if shown; otherwise neither.
fn no_worse(gate: &Gate, comparison: &Comparison, margin: f64) -> GateResult {
    let Comparison { difference, outcome, base, new, p_worse, minimum_detectable, worse_since, .. } = comparison;
    // In the unit of the difference.
    let margin = match comparison.measure {
        Some(Measure::Mean) => margin * comparison.unit.unwrap_or(1.0),
        _ => margin,
    };
    let is_lower_better = comparison.is_lower_better();
    // In the direction of the values, as all differences.
    let threshold = if is_lower_better { margin } else { -margin };
    let shown = Shown {
        difference: difference.as_ref().map(|of| of.estimate),
        interval: difference.as_ref().map(|of| Interval { lower: of.low, upper: of.high, level: of.level }),
        p_worse: p_worse.filter(|_| base != new),
        again: None,
        anchors: None,
    };
    let decision = decide(&shown, is_lower_better, margin);
    let detectable = || {
        minimum_detectable
            .map(|mde| format!("; only a difference of {mde:.4} or more would be found"))
            .unwrap_or_default()
    };
    let undecided = |cause, reason: String| (GateOutcome::Inconclusive, Some(cause), Some(reason));
    let p = p_worse.unwrap_or(0.0);
    let (result, cause, reason) = match outcome {
        Outcome::JudgeChanged => undecided(Cause::JudgeChanged, why_changed(comparison)),
        _ if decision == Decision::Pass => (GateOutcome::Pass, None, None),
        _ if decision == Decision::Worse => {
            let reason = match worse_since {
                Some(night) => format!("worse than the baseline (p = {p:.4}), since {night}"),
                None => format!("worse than the baseline (p = {p:.4})"),
            };
            (GateOutcome::Fail, Some(Cause::Worse), Some(reason))
        }
        _ if worse_since.is_some() => {
            let night = worse_since.as_deref().unwrap_or_default();
            let reason = format!("worse since {night}, and not shown to be within the margin again");
            (GateOutcome::Fail, Some(Cause::StillWorse), Some(reason))
        }
        _ if difference.is_none() => {
            undecided(Cause::Undecided, "too few pairs, or verdicts that cannot be compared".to_owned())
        }
        _ => undecided(
            Cause::Undecided,
            format!(
                "{} pairs show neither that it is worse nor that it is within the margin{}",
                comparison.n_pairs,
                detectable()
            ),
        ),
    };
    let trace = |flip: &super::compare::Flip| GateTrace {
        trace_id: flip.trace_id.clone(),
        span_id: flip.span_id.clone(),
        document_index: flip.document_index,
        name: comparison.name.clone(),
        value: Some(flip.new.clone()),
        base: Some(flip.base.clone()),
        rationale: flip.new_rationale.clone(),
        error_code: None,
    };
    let shown = if result == GateOutcome::Fail { TRACES } else { 0 };
    GateResult {
        gate: gate.title(&comparison.name),
        outcome: result,
        estimate: difference.as_ref().map(|difference| difference.estimate),
        low: difference.as_ref().map(|difference| difference.low),
        high: difference.as_ref().map(|difference| difference.high),
        threshold,
        cause,
        reason,
        traces: comparison.flips.iter().take(shown).map(trace).collect(),
    }
}
