//! One step inside a trace.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

/// One step in a trace: a model call, a retrieval, a tool call.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Span {
    /// 16 lower-case hex digits if the source follows OpenTelemetry; otherwise as in the source.
    pub span_id: String,
    /// The enclosing span; `None` for a root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<String>,
    /// The step's name.
    pub name: String,
    /// What kind of step it is.
    pub span_type: SpanType,
    /// The inputs; `None` if not recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Value>,
    /// The outputs; `None` if not recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outputs: Option<Value>,
    /// How it ended.
    pub status: SpanStatus,
    /// The application's message on the status, usually an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_message: Option<String>,
    /// Start, in nanoseconds of Unix time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time_unix_nano: Option<u64>,
    /// End, in nanoseconds of Unix time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_time_unix_nano: Option<u64>,
    /// Everything else that was recorded about the step.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub attributes: Map<String, Value>,
}

/// The kind of a span: MLflow's names, open to others.
///
/// Source: `mlflow.entities.SpanType`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SpanType(String);

impl SpanType {
    /// A call that fetches documents.
    pub const RETRIEVER: &'static str = "RETRIEVER";

    /// The type with this name; upper-cased, as MLflow writes its own.
    pub fn new(name: &str) -> Self {
        Self(name.to_ascii_uppercase())
    }

    /// The name, e.g. `RETRIEVER`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for SpanType {
    fn default() -> Self {
        Self("UNKNOWN".to_owned())
    }
}

impl fmt::Display for SpanType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Serialize for SpanType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// How a span ended (OpenTelemetry's status codes).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum SpanStatus {
    /// Not said.
    #[default]
    Unset,
    /// Well.
    Ok,
    /// With an error.
    Error,
}

impl SpanStatus {
    /// The status with this name, in any case: `OK`, `ERROR`, `UNSET`, also as `STATUS_CODE_OK`; any other is unset.
    pub fn from_name(name: &str) -> Self {
        let name = name.to_ascii_uppercase();
        match name.strip_prefix("STATUS_CODE_").unwrap_or(&name) {
            "OK" => Self::Ok,
            "ERROR" => Self::Error,
            _ => Self::Unset,
        }
    }
}
