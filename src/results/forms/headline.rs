//! The answer in a sentence: may we ship, what changed, how certain is it.

use super::figures::{Unit, count, counted, of_change, of_gate};
use super::findings::Findings;
use super::plain::one_line;
use crate::results::compare::{Comparison, Outcome};
use crate::results::gate::GateOutcome;

/// What a report says first. The texts are plain, on one line, and without control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Headline {
    /// Of all gates together; `None` without any.
    pub outcome: Option<GateOutcome>,
    /// A few words.
    pub text: String,
    /// Sentences with figures.
    pub details: Vec<String>,
}

/// Beyond this many, judges are counted, not named.
const NAMED: usize = 3;

impl Headline {
    pub(super) fn of(results: &Findings<'_>) -> Self {
        let gates = results.gates();
        let number = |outcome| gates.iter().filter(|gate| gate.outcome == outcome).count();
        let (failed, undecided) = (number(GateOutcome::Fail), number(GateOutcome::Inconclusive));
        let outcome = match () {
            () if gates.is_empty() => None,
            () if failed > 0 => Some(GateOutcome::Fail),
            () if undecided > 0 => Some(GateOutcome::Inconclusive),
            () => Some(GateOutcome::Pass),
        };
        let all = gates.len();
        let of_all = |n: usize| match (n, all) {
            (1, 1) => "The gate".to_owned(),
            (n, all) if n == all => format!("All {all} gates"),
            (n, all) => format!("{n} of {all} gates"),
        };
        let several = |n: usize, one: &'static str, more: &'static str| if n == 1 { one } else { more };
        let text = match (outcome, undecided) {
            (None, _) => without_gates(results),
            (Some(GateOutcome::Pass), _) => format!("{} {}", of_all(all), several(all, "passes", "pass")),
            (Some(GateOutcome::Inconclusive), n) => format!("{} {} undecided", of_all(n), several(n, "is", "are")),
            (Some(GateOutcome::Fail), 0) => format!("{} {}", of_all(failed), several(failed, "fails", "fail")),
            (Some(GateOutcome::Fail), n) => {
                format!(
                    "{} {}, {n} {} undecided",
                    of_all(failed),
                    several(failed, "fails", "fail"),
                    several(n, "is", "are")
                )
            }
        };
        let mut details: Vec<String> = gates
            .iter()
            .filter(|gate| gate.outcome == GateOutcome::Fail)
            .take(NAMED)
            .map(|gate| format!("{} fails: {}.", one_line(&gate.gate), of_gate(gate)))
            .collect();
        // Without gates it may be the text itself.
        details.extend(
            changes(results.comparisons()).into_iter().filter(|sentence| sentence.trim_end_matches('.') != text),
        );
        if details.is_empty() && outcome.is_some() {
            details.extend(rates(results));
        }
        Self { outcome, text, details }
    }
}

fn without_gates(results: &Findings<'_>) -> String {
    let comparisons = results.comparisons();
    let worse = comparisons.iter().filter(|c| c.outcome == Outcome::Worse).count();
    match results.judges() {
        _ if worse > 0 => format!("{} got worse", counted(worse as u64, "judge")),
        _ if !comparisons.is_empty() => nothing_worse(comparisons).to_owned(),
        [] => "No verdicts".to_owned(),
        judges => {
            let sum =
                |of: fn(&crate::results::report::Figures) -> u64| judges.iter().map(|judge| of(&judge.figures)).sum();
            let failed: u64 = sum(|figures| figures.n_failed);
            let failures = if failed > 0 { format!(", {}", counted(failed, "failure")) } else { String::new() };
            format!("{}{failures}", counted(sum(|figures| figures.n_scored), "verdict"))
        }
    }
}

fn rates(results: &Findings<'_>) -> Vec<String> {
    let rated = results.judges().iter().filter_map(|judge| Some((judge, judge.figures.pass.as_ref()?)));
    rated
        .take(NAMED)
        .map(|(judge, pass)| format!("{} {}.", one_line(&judge.name), Unit::Share.estimate(pass)))
        .collect()
}

/// What got worse and better, and that the rest did not.
fn changes(comparisons: &[Comparison]) -> Vec<String> {
    if comparisons.is_empty() {
        return Vec::new();
    }
    let of = |outcome: Outcome| comparisons.iter().filter(move |comparison| comparison.outcome == outcome);
    let mut sentences = Vec::new();
    for (outcome, word) in [(Outcome::Worse, "worse"), (Outcome::Better, "better")] {
        for comparison in of(outcome).take(NAMED) {
            let than = if sentences.is_empty() { " than the baseline" } else { "" };
            let (amount, interval) = split(of_change(comparison));
            sentences.push(format!("{} is {amount} {word}{than} {interval}.", one_line(&comparison.name)));
        }
        let more = of(outcome).count().saturating_sub(NAMED);
        if more > 0 {
            sentences.push(format!("{} more are {word}.", count(more as u64)));
        }
    }
    let changed = of(Outcome::JudgeChanged).take(NAMED).map(|c| one_line(&c.name)).collect::<Vec<_>>();
    if !changed.is_empty() {
        sentences.push(format!("Not compared, since the judge changed: {}.", changed.join(", ")));
    }
    if of(Outcome::Worse).next().is_none() && of(Outcome::JudgeChanged).count() < comparisons.len() {
        sentences.push(format!("{}.", nothing_worse(comparisons)));
    }
    let undecided = of(Outcome::Inconclusive).count();
    if undecided > 0 {
        let are = if undecided == 1 { "is" } else { "are" };
        sentences.push(format!("{} {are} inconclusive.", counted(undecided as u64, "comparison")));
    }
    sentences
}

/// What can be said if no judge is found to be worse. What is inconclusive, or was not compared, may still be worse.
fn nothing_worse(comparisons: &[Comparison]) -> &'static str {
    let has = |outcome| comparisons.iter().any(|comparison| comparison.outcome == outcome);
    match (has(Outcome::Inconclusive), has(Outcome::JudgeChanged)) {
        (false, false) => "Nothing got worse",
        (false, true) if !has(Outcome::Better) && !has(Outcome::Equivalent) => "Not compared: the judge changed",
        _ => "No judge is known to be worse",
    }
}

/// The amount, and the interval.
fn split(text: String) -> (String, String) {
    match text.split_once(" [") {
        Some((amount, interval)) => (amount.to_owned(), format!("[{interval}")),
        None => (text, String::new()),
    }
}
