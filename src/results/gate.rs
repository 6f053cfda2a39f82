//! What came of a gate: a condition on the results that holds, does not, or cannot be decided.

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

/// A trace that a gate failed for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateTrace {
    /// The trace.
    pub trace_id: String,
    /// The span of it, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span_id: Option<String>,
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
