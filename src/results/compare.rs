//! What changed between two logs, trace by trace.

use judge_run_statistics::paired::{Analysis, PairedInterval, PairedTest};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::caveat::{Method, Warning};
use crate::judge::Good;

/// What changed between a baseline and new logs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComparisonReport {
    /// [`SCHEMA_VERSION`](super::report::SCHEMA_VERSION).
    pub schema_version: u32,
    /// The logs of the baseline as they were named; several are averaged, item by item.
    pub base: Vec<String>,
    /// The logs compared with it.
    pub new: Vec<String>,
    /// One for each judge.
    pub comparisons: Vec<Comparison>,
    /// The same judges on the anchors: whether they changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub anchors: Vec<Comparison>,
    /// In the order in which they were given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<super::gate::GateResult>,
    /// About the whole comparison.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
}

/// What changed in the verdicts of one judge. Differences are new minus base, in the direction of the values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The judge's name.
    pub name: String,
    /// The model of the new verdicts.
    pub source_id: String,
    /// The model of the baseline, if it is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_source_id: Option<String>,
    /// Which verdicts are good, as in [`JudgeReport`](super::report::JudgeReport).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good: Option<String>,
    /// What is compared; `None` if verdicts are labels and none of them is known to be good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measure: Option<Measure>,
    /// Whether this follows from, or is part of, what is compared otherwise: the figures of a ranking that no gate names, and the votes of a panel.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secondary: bool,
    /// Items with a verdict on both sides.
    pub n_pairs: u64,
    /// Items with a verdict only in the baseline.
    pub n_only_base: u64,
    /// Items with a new verdict alone.
    pub n_only_new: u64,
    /// The share or mean over the pairs, in the baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<f64>,
    /// The share or mean over the pairs, now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<f64>,
    /// Absent where there are too few pairs for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difference: Option<Difference>,
    /// Two-sided, of the hypothesis that nothing changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p_value: Option<f64>,
    /// The same, corrected for the number of judges (Holm). Secondary ones are corrected for their own number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p_adjusted: Option<f64>,
    /// The test that the p-value is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<Test>,
    /// One-sided, of the hypothesis that it is not worse; corrected in the same way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p_worse: Option<f64>,
    /// The smallest difference that would be found with 80 % power.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_detectable: Option<f64>,
    /// The nights of the baseline, in chronological order, where there are more than the first ones. Those that were worse, and those of a
    /// judge that changed, are in no figure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nights: Vec<NightResult>,
    /// The night since which it is worse; `None` once it was shown to be within the margin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worse_since: Option<String>,
    /// Whether small losses add up, tonight included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,
    /// The difference that does not matter, in the unit of the difference.
    pub margin: f64,
    /// Of numbers: the length of their scale, or else of the observed range; margins are fractions of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<f64>,
    /// The conclusion.
    pub outcome: Outcome,
    /// How many items have a different verdict (for numbers: by more than the margin).
    #[serde(default)]
    pub n_flips: u64,
    /// The items that changed, those that got worse by the most first; at most a certain number of them.
    pub flips: Vec<Flip>,
    /// About this comparison.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
}

impl Comparison {
    /// Whether both are about the same judge on the same model.
    pub fn is_of_judge(&self, other: &Self) -> bool {
        (&self.name, &self.source_id) == (&other.name, &other.source_id)
    }

    /// Whether lower values are better.
    pub fn is_lower_better(&self) -> bool {
        let good = self.good.as_ref().and_then(|good| good.parse::<Good>().ok());
        is_lower_better(good.as_ref(), self.measure)
    }
}

pub(super) fn is_lower_better(good: Option<&Good>, measure: Option<Measure>) -> bool {
    match (good, measure) {
        (Some(Good::Boolean(good)), Some(Measure::True)) => !good,
        (Some(good), Some(Measure::Mean)) => good.is_lower_better(),
        _ => false,
    }
}

/// A night of a baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NightResult {
    /// Its log.
    pub log: String,
    /// The outcome of comparing it with the nights before.
    pub outcome: NightOutcome,
    /// That night minus those before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difference: Option<f64>,
}

/// What a night of a baseline was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NightOutcome {
    /// One of the first, which are accepted as they are.
    First,
    /// Shown to be within the margin.
    Pass,
    /// Worse, and worse again when asked again.
    Worse,
    /// Neither is shown.
    Inconclusive,
    /// The judge had changed, by its verdicts on the anchors.
    JudgeChanged,
}

/// Whether small losses add up over nights that are not worse individually.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// Grows with each night that is below the first ones by more than a point.
    pub evidence: f64,
    /// The number of nights.
    pub nights: u64,
    /// What the evidence must reach.
    pub alarm: f64,
}

impl Drift {
    /// Whether the evidence is enough.
    pub fn is_alarm(&self) -> bool {
        self.evidence >= self.alarm
    }
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// The share of `true`, also where `false` is good.
    True,
    /// The share of good labels.
    Pass,
    /// The mean of numbers.
    Mean,
}

/// A difference with its confidence interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// New minus base.
    pub estimate: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// The interval's nominal coverage: 0.95.
    pub level: f64,
    /// How the interval was computed.
    pub method: Method,
}

impl Difference {
    /// Of pairs, where they have one.
    pub(super) fn of(analysis: &Analysis) -> Option<Self> {
        let (interval, method) = analysis.interval?;
        let method = match method {
            PairedInterval::Tango => Method::Tango,
            PairedInterval::T => Method::T,
            PairedInterval::ClusterT => Method::ClusterT,
        };
        let (low, high, level) = (interval.lower, interval.upper, interval.level);
        Some(Self { estimate: analysis.difference, low, high, level, method })
    }
}

/// The test that a p-value is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// McNemar's exact test of paired shares.
    McnemarExact,
    /// The paired t test.
    PairedT,
    /// The t test of differences in clusters (CR1).
    ClusterT,
    /// The permutation test of a night against those before, item by item; exact for shares.
    Permutation,
}

impl From<PairedTest> for Test {
    fn from(test: PairedTest) -> Self {
        match test {
            PairedTest::McnemarExact => Self::McnemarExact,
            PairedTest::T => Self::PairedT,
            PairedTest::ClusterT => Self::ClusterT,
        }
    }
}

/// The conclusion of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Significantly better, after the correction for the number of judges.
    Better,
    /// Significantly worse.
    Worse,
    /// The interval lies within the margin.
    Equivalent,
    /// Neither a difference nor equivalence is shown.
    Inconclusive,
    /// The judge changed, in prompt or model, so the difference is not due to the application alone.
    JudgeChanged,
}

/// An item whose verdict changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Flip {
    /// The trace.
    pub trace_id: String,
    /// The span of it, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span_id: Option<String>,
    /// Which of the documents that the span found, from 0, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document_index: Option<u32>,
    /// The verdict in the baseline; the mean of several, where there are several.
    pub base: Value,
    /// The new verdict.
    pub new: Value,
    /// The baseline's rationale; of several, the latest with the majority verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_rationale: Option<String>,
    /// The new rationale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_rationale: Option<String>,
}
