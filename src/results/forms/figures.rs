//! Figures as people read them, the same in every form.

use super::plain::one_line;
use crate::results::compare::{Comparison, Difference, Measure};
use crate::results::gate::GateResult;
use crate::results::report::{Cascade, Corrected, Estimate, JudgeReport, Pairwise, Strength};

/// What a cascade saved.
pub(super) fn cascade_in_words(cascade: &Cascade) -> String {
    let Cascade { decided_by, n_escalated, n_spared, saved_usd } = cascade;
    let mut words = format!("{} by the first votes", counted(*n_spared, "verdict"));
    if let Some(model) = decided_by {
        words += &format!(", {} by {}", count(*n_escalated), one_line(model));
    }
    if let Some(saved) = saved_usd {
        words += &format!("; about ${saved:.4} saved");
    }
    words
}

/// How many pairs a judge of pairs compared, and which of them say nothing about the sides.
pub(super) fn compared_in_words(pairwise: &Pairwise) -> String {
    let inconsistent: u64 = pairwise.pairs.iter().map(|pair| pair.inconsistent).sum();
    let mut words = counted(pairwise.n, "pair");
    if inconsistent > 0 {
        words += &format!(", {} tied because the order decides", count(inconsistent));
    }
    if pairwise.n_position_biased > 0 {
        words += &format!("; position-biased: {} shown in one order only", count(pairwise.n_position_biased));
    }
    if pairwise.n_one_order > 0 {
        words += &format!("; {} more with a verdict in one order only", count(pairwise.n_one_order));
    }
    words
}

/// `Elo 1042 [1003, 1081], rank 1-2`
pub(super) fn strength_in_words(strength: &Strength) -> String {
    let Strength { elo, low, high, best_rank, worst_rank } = strength;
    let ranks = if best_rank == worst_rank { best_rank.to_string() } else { format!("{best_rank}-{worst_rank}") };
    format!("Elo {elo:.0} [{low:.0}, {high:.0}], rank {ranks}")
}

/// The kind of a figure: a share of a whole, or a value on some scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Share,
    Value,
}

impl Unit {
    pub(super) fn of(measure: Option<Measure>) -> Self {
        match measure {
            Some(Measure::Mean) => Self::Value,
            Some(Measure::True | Measure::Pass) | None => Self::Share,
        }
    }

    /// For a gate, whose figures have no unit: all between 0 and 1 are shares.
    pub(super) fn of_gate(gate: &GateResult) -> Self {
        let figures = [gate.estimate, gate.low, gate.high, Some(gate.threshold)];
        if figures.into_iter().flatten().all(|x| (0.0..=1.0).contains(&x)) { Self::Share } else { Self::Value }
    }

    /// `97.2%` or `3.141`.
    pub(super) fn figure(self, x: f64) -> String {
        match self {
            Self::Share => percent(x),
            Self::Value => value(x),
        }
    }

    /// `[95.8, 98.1]`, of shares in percent.
    pub(super) fn interval(self, low: f64, high: f64) -> String {
        match self {
            Self::Share => format!("[{}, {}]", hundredths(low), hundredths(high)),
            Self::Value => format!("[{}, {}]", value(low), value(high)),
        }
    }

    /// `97.2% [95.8, 98.1]`
    pub(super) fn estimate(self, estimate: &Estimate) -> String {
        format!("{} {}", self.figure(estimate.estimate), self.interval(estimate.low, estimate.high))
    }

    /// Its size, whatever the direction: `1.4 points` or `0.31`.
    fn amount(self, difference: f64) -> String {
        match self {
            Self::Share => format!("{} points", hundredths(difference.abs())),
            Self::Value => value(difference.abs()),
        }
    }

    /// `-1.4 points [-2.4, -0.4]`
    pub(super) fn difference(self, difference: &Difference) -> String {
        let sign = if difference.estimate < 0.0 { "-" } else { "+" };
        let interval = self.interval(difference.low, difference.high);
        format!("{sign}{} {interval}", self.amount(difference.estimate))
    }
}

/// `91.2% [88.0, 94.1] by 100 labels of people`, or why it uses labels alone.
pub(super) fn of_corrected(judge: &JudgeReport, corrected: &Corrected) -> String {
    let unit = if judge.figures.pass.is_some() { Unit::Share } else { Unit::Value };
    let Corrected { estimate, low, high, n_labelled, refused, .. } = corrected;
    let alone = refused.as_ref().map(|why| format!(" alone: {}", one_line(why))).unwrap_or_default();
    let (figure, labels) = (unit.figure(*estimate), counted(*n_labelled, "label"));
    format!("{figure} {} by {labels} of people{alone}", unit.interval(*low, *high))
}

/// Of a gate: `97.2% [95.8, 98.1]`, as far as there are figures.
pub(super) fn of_gate(gate: &GateResult) -> String {
    let unit = Unit::of_gate(gate);
    match (gate.estimate, gate.low, gate.high) {
        (Some(estimate), Some(low), Some(high)) => format!("{} {}", unit.figure(estimate), unit.interval(low, high)),
        (Some(estimate), ..) => unit.figure(estimate),
        (None, ..) => "no figure".to_owned(),
    }
}

/// `1.4 points [-2.4, -0.4]` for a comparison, without a sign: the words around it say what it means.
pub(super) fn of_change(comparison: &Comparison) -> String {
    let unit = Unit::of(comparison.measure);
    match &comparison.difference {
        Some(difference) => {
            format!("{} {}", unit.amount(difference.estimate), unit.interval(difference.low, difference.high))
        }
        None => String::new(),
    }
}

/// A share in percent: one decimal, and as many more as keep a share below 100 % from looking like 100 %.
pub(super) fn percent(share: f64) -> String {
    format!("{}%", hundredths(share))
}

fn hundredths(share: f64) -> String {
    let x = 100.0 * share;
    let looks_whole = |digits: usize| {
        let text = format!("{:.digits$}", x.abs());
        let shown: f64 = text.parse().unwrap_or(x.abs());
        #[expect(clippy::float_cmp, reason = "what is shown is exactly that")]
        let is_end = shown == 0.0 || shown == 100.0;
        is_end && (shown - x.abs()).abs() > 1e-9
    };
    let digits = (1..4).find(|digits| !looks_whole(*digits)).unwrap_or(4);
    unsigned_zero(format!("{x:.digits$}"))
}

/// A value with as many decimals as a difference needs to show.
pub(super) fn value(x: f64) -> String {
    let size = x.abs();
    match size {
        _ if size >= 1e15 || (size > 0.0 && size < 1e-4) => format!("{x:.2e}"),
        1000.0.. => thousands(&format!("{x:.0}")),
        100.0.. => format!("{x:.1}"),
        10.0.. => format!("{x:.2}"),
        _ => unsigned_zero(format!("{x:.3}")),
    }
}

/// `-0.0` is nothing below zero.
fn unsigned_zero(text: String) -> String {
    match text.strip_prefix('-') {
        Some(rest) if rest.bytes().all(|b| matches!(b, b'0' | b'.')) => rest.to_owned(),
        _ => text,
    }
}

/// `12,345`
pub(super) fn count(n: u64) -> String {
    thousands(&n.to_string())
}

fn thousands(digits: &str) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let mut text = sign.to_owned();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 trace`, `2,000 traces`
pub(super) fn counted(n: u64, what: &str) -> String {
    format!("{} {what}{}", count(n), if n == 1 { "" } else { "s" })
}

/// `p = 0.012`
pub(super) fn probability(p: f64) -> String {
    if p < 0.001 { "p < 0.001".to_owned() } else { format!("p = {p:.3}") }
}

/// `812 ms`, `2.1 s`
pub(super) fn milliseconds(ms: f64) -> String {
    if ms < 1000.0 { format!("{ms:.0} ms") } else { format!("{:.1} s", ms / 1000.0) }
}

/// By how much a comparison moved, with its interval.
pub(in crate::results) fn moved(comparison: &Comparison) -> String {
    let unit = Unit::of(comparison.measure);
    comparison.difference.as_ref().map(|difference| unit.difference(difference)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_that_is_not_all_does_not_look_like_it() {
        assert_eq!([1.0, 0.9999, 0.0, 0.0002, 0.972].map(percent), ["100.0%", "99.99%", "0.0%", "0.02%", "97.2%"]);
        assert_eq!(Unit::Share.interval(-0.0001, 0.999_999), "[-0.01, 99.9999]");
    }

    #[test]
    fn values_have_three_or_four_digits() {
        assert_eq!(
            [0.0, -0.0, 0.78, -12.345, 123.45, 12_345.6].map(value),
            ["0.000", "0.000", "0.780", "-12.35", "123.5", "12,346"]
        );
        assert_eq!([2e-7, 1e20].map(value), ["2.00e-7", "1.00e20"]);
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
    }
}
