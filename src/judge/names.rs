//! The names that prompts and expressions may use.

use super::unit::Unit;

/// The names that every prompt may use. Those of a session are its last trace's.
pub const VARIABLES: &[&str] = &[
    "inputs",
    "outputs",
    "expectations",
    "trace",
    "spans",
    "question",
    "answer",
    "system",
    "history",
    "context",
    "documents",
    "calls",
    "tools",
    "tree",
];

/// What the judge's file and the command line say, not the trace.
pub(super) const PARAMETERS: &str = "params";

/// The names that only some prompts may use, by what they judge.
pub(super) const VARIABLES_OF: [(&str, Unit); 10] = [
    ("span", Unit::Span),
    ("document", Unit::Document),
    ("conversation", Unit::Session),
    ("session", Unit::Session),
    ("answer_a", Unit::Pair),
    ("answer_b", Unit::Pair),
    ("outputs_a", Unit::Pair),
    ("outputs_b", Unit::Pair),
    ("trace_a", Unit::Pair),
    ("trace_b", Unit::Pair),
];

/// The names that prompts about pairs cannot use, since each of the two has its own.
pub(super) const NOT_OF_PAIRS: &[&str] =
    &["outputs", "answer", "trace", "spans", "context", "documents", "calls", "tools", "tree"];

/// The engine's functions.
pub(super) const FUNCTIONS: &[&str] = &["range", "dict", "namespace"];

/// What `trace.` may be followed by. Everything but the trace's own verdicts, which no judge should see.
pub(super) const TRACE_FIELDS: &[&str] = &[
    "trace_id",
    "inputs",
    "outputs",
    "expectations",
    "spans",
    "tags",
    "metadata",
    "session_id",
    "user",
    "state",
    "request_time_ms",
    "execution_duration_ms",
    "token_usage",
];

/// What `span.` may be followed by.
pub(super) const SPAN_FIELDS: &[&str] = &[
    "span_id",
    "parent_id",
    "name",
    "span_type",
    "inputs",
    "outputs",
    "status",
    "status_message",
    "start_time_unix_nano",
    "end_time_unix_nano",
    "attributes",
];

/// What `session.` may be followed by.
pub(super) const SESSION_FIELDS: &[&str] = &["session_id", "traces"];

/// What items of `calls` have.
pub(super) const CALL_FIELDS: &[&str] = &["name", "arguments", "status", "result"];

/// What items of `documents` have.
pub(super) const DOCUMENT_FIELDS: &[&str] = &["number", "title", "uri", "text"];

/// What `document.` may be followed by, where documents are judged.
pub(super) const OWN_DOCUMENT_FIELDS: &[&str] = &["title", "uri", "text"];

/// What items of `tools` have.
pub(super) const TOOL_FIELDS: &[&str] = &["name", "description", "parameters"];
