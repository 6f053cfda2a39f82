//! The recorded run itself.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::Span;
use crate::feedback::Feedback;

/// One recorded run of the application: what a judge judges.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Trace {
    /// The id that feedback refers to. Derived from the content if the source has none.
    pub trace_id: String,
    /// What the user asked: the root span's inputs. `None` when not recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Value>,
    /// What the application answered: the root span's outputs. `None` when not recorded; `Some(Null)` when the
    /// application recorded that it answered nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outputs: Option<Value>,
    /// What a right answer looks like, by name (`expected_response`, `expected_facts`, ...).
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub expectations: Map<String, Value>,
    /// The steps, in the source's order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub spans: Vec<Span>,
    /// Mutable labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Facts recorded with the run.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// The conversation that it belongs to; see [`super::Session`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Who asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// How the run ended.
    pub state: TraceState,
    /// When it began, in milliseconds of Unix time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_time_ms: Option<i64>,
    /// How long it took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution_duration_ms: Option<u64>,
    /// Tokens that the application itself used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_usage: Option<TokenUsage>,
    /// Feedback that the source already has about this trace; never shown to a judge.
    #[serde(skip)]
    pub assessments: Vec<Feedback>,
    /// Which of the compared outputs it has, if a run compares outputs; otherwise 0.
    #[serde(skip)]
    pub side: usize,
}

impl Trace {
    /// The id of the conversation that it belongs to; an empty one counts as missing.
    pub fn session(&self) -> Option<&str> {
        self.session_id.as_deref().filter(|id| !id.is_empty())
    }

    /// The span without a parent; failing that, the first one whose parent was not recorded with it.
    pub fn root_span(&self) -> Option<&Span> {
        let spans = &self.spans;
        let is_recorded = |id: &str| spans.iter().any(|span| span.span_id == id);
        let by_no_parent = spans.iter().find(|span| span.parent_id.is_none());
        by_no_parent.or_else(|| spans.iter().find(|span| span.parent_id.as_deref().is_none_or(|id| !is_recorded(id))))
    }
}

/// How a recorded run ended (MLflow's `TraceState`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TraceState {
    /// Not said.
    #[default]
    StateUnspecified,
    /// Well.
    Ok,
    /// With an error.
    Error,
    /// Still running when it was recorded.
    InProgress,
}

impl TraceState {
    /// The state with this name, in any case: `OK`, `ERROR`, `IN_PROGRESS`; any other is unspecified.
    pub fn from_name(name: &str) -> Self {
        match name.to_ascii_uppercase().as_str() {
            "OK" => Self::Ok,
            "ERROR" => Self::Error,
            "IN_PROGRESS" => Self::InProgress,
            _ => Self::StateUnspecified,
        }
    }
}

/// Tokens that a call or a run used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
pub struct TokenUsage {
    /// Tokens of the prompt.
    pub input_tokens: u64,
    /// Tokens of the answer.
    pub output_tokens: u64,
    /// Their sum, as the source reports it.
    pub total_tokens: u64,
}
