//! Langfuse's scores: of its API (`GET /api/public/scores`, `/v2/scores`, `/v3/scores`), and of its exports.
//!
//! ```json
//! {"id": "s1", "traceId": "t1", "observationId": null, "name": "helpful", "value": 1, "dataType": "BOOLEAN", "stringValue": "True",
//!  "source": "ANNOTATION", "authorUserId": "u1", "comment": "...", "timestamp": "2026-01-05T10:00:00.000Z"}
//! ```
//! In version 3 the value has its own type, and `"subject": {"kind": "observation", "id": "o1", "traceId": "t1"}` says what it is about.
//!
//! Source: Langfuse's OpenAPI specification, `Score` and `ScoreV3`.

use serde_json::{Map, Value};

use super::fields::{Options, member, time_ms};
use crate::feedback::{Feedback, Source, SourceType};

pub(super) fn fits(object: &Map<String, Value>) -> bool {
    let marks = ["dataType", "observationId", "authorUserId", "stringValue", "configId"];
    let is_about = |key: &str| object.contains_key(key);
    (is_about("traceId") || is_about("subject"))
        && object.contains_key("name")
        && marks.iter().any(|mark| object.contains_key(*mark))
}

pub(super) fn read(object: &Map<String, Value>, options: &Options) -> Result<Vec<Feedback>, String> {
    let subject = object.get("subject").and_then(Value::as_object);
    let kind = subject.and_then(|subject| member(subject, "kind"));
    let (trace_id, span_id) = match (subject, kind.as_deref()) {
        (Some(subject), Some("trace")) => (member(subject, "id"), None),
        (Some(subject), Some("observation")) => (member(subject, "traceId"), member(subject, "id")),
        _ => (member(object, "traceId"), member(object, "observationId")),
    };
    let trace_id = trace_id.ok_or("no `traceId`: a score of a session is about no trace")?;
    let name = member(object, "name").or_else(|| options.name.clone()).ok_or("`name` is empty")?;
    let value = match (member(object, "dataType").as_deref(), object.get("value"), member(object, "stringValue")) {
        (Some("BOOLEAN"), Some(Value::Number(number)), _) => (number.as_f64() == Some(1.0)).into(),
        (Some("CATEGORICAL" | "TEXT"), _, Some(text)) => text.into(),
        (_, Some(Value::Null) | None, Some(text)) => text.into(),
        (_, Some(Value::Null) | None, None) => return Ok(Vec::new()),
        (_, Some(value), _) => value.clone(),
    };
    let author = member(object, "authorUserId");
    let source = match member(object, "source").as_deref() {
        Some("EVAL") => Source::llm_judge("langfuse"),
        // From the API: a person if one is named.
        Some("API") if author.is_none() && options.author.is_none() => Source::code("langfuse"),
        _ => {
            let named = author.or_else(|| options.author.clone()).unwrap_or_else(|| "langfuse".to_owned());
            Source { source_type: SourceType::Human, source_id: Some(named) }
        }
    };
    let time = |key: &str| object.get(key).and_then(time_ms);
    let create_time_ms = time("timestamp").or_else(|| time("createdAt")).unwrap_or(options.now_ms);
    Ok(vec![Feedback {
        name,
        value: Some(value),
        rationale: member(object, "comment"),
        source,
        create_time_ms,
        last_update_time_ms: time("updatedAt").unwrap_or(create_time_ms),
        trace_id: Some(trace_id),
        span_id,
        ..Feedback::default()
    }])
}
