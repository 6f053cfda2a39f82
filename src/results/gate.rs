//! The outcome of a gate: a condition on the results that holds, does not, or cannot be decided.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What came of a gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateResult {
    /// The gate as it was given.
    pub gate: String,
    /// Whether it holds.
    pub outcome: GateOutcome,
    /// The figure that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate: Option<f64>,
    /// The lower end of its interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// The upper end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
    /// What it is compared with.
    pub threshold: f64,
    /// The kind of reason, if it does not hold or cannot be decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// Why it does not hold, or cannot be decided, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The traces to look at first, the worst first; at most a certain number of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub traces: Vec<GateTrace>,
}

/// Whether a gate holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateOutcome {
    /// It holds.
    Pass,
    /// It does not.
    Fail,
    /// The results do not decide it.
    Inconclusive,
}

/// Why a gate does not hold, or cannot be decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The figure is on the wrong side of the threshold.
    Threshold,
    /// It is worse than the baseline.
    Worse,
    /// An earlier night was worse, and none has been shown to be within the margin since.
    StillWorse,
    /// It was worse than the baseline, but a second run was not.
    NotConfirmed,
    /// The judge changed, so a difference is not due to the application alone.
    JudgeChanged,
    /// Nothing was judged.
    NothingJudged,
    /// There are verdicts, but they have no such figure.
    NoFigure,
    /// There is nothing to compare with.
    NoBaseline,
    /// The verdicts show neither.
    Undecided,
}

impl GateResult {
    /// Whether it is undecided because the judge changed.
    pub fn is_judge_changed(&self) -> bool {
        self.outcome == GateOutcome::Inconclusive && self.cause == Some(Cause::JudgeChanged)
    }
}

/// A trace that a gate failed for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateTrace {
    /// The trace.
    pub trace_id: String,
    /// The span of it, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span_id: Option<String>,
    /// Which of the documents that the span found, from 0, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document_index: Option<u32>,
    /// The judge.
    pub name: String,
    /// The verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// The verdict in the baseline, where the gate compares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Value>,
    /// The judge's reasoning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rationale: Option<String>,
    /// The code of the failure, where there is no verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
}
