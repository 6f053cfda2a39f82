//! Phoenix's annotations of spans and traces: of its API (`/v1/projects/.../span_annotations`) and of its client's data frames.
//!
//! ```json
//! {"span_id": "67f6740bbe1ddc3f", "name": "correctness", "annotator_kind": "HUMAN", "identifier": "user-123",
//!  "result": {"label": "correct", "score": 1, "explanation": "..."}, "user_id": "u1", "created_at": "2026-01-05T10:00:00Z"}
//! ```
//! Source: Phoenix's `SpanAnnotation` and `AnnotationResult`. The value is the label, failing that the score.

use serde_json::{Map, Value};

use super::fields::{Options, member, time_ms};
use crate::feedback::{DOCUMENT_METADATA, Feedback, Source, SourceType};
use crate::people::edit::typed_value;

pub(super) fn fits(object: &Map<String, Value>) -> bool {
    object.contains_key("annotator_kind") && object.contains_key("name") && !object.contains_key("value")
}

pub(super) fn read(object: &Map<String, Value>, options: &Options) -> Result<Vec<Feedback>, String> {
    let result = object.get("result").and_then(Value::as_object).unwrap_or(object);
    // An annotation of a span may not say which trace it belongs to: the span's id is then used instead.
    let span_id = member(object, "span_id");
    let trace_id = member(object, "trace_id").or_else(|| span_id.clone()).ok_or("no `trace_id` and no `span_id`")?;
    let name = member(object, "name").or_else(|| options.name.clone()).ok_or("`name` is empty")?;
    let label = member(result, "label");
    let score = result.get("score").filter(|score| score.is_number()).cloned();
    let Some(value) = label.as_deref().map(typed_value).or_else(|| score.clone()) else { return Ok(Vec::new()) };
    let source_type = match member(object, "annotator_kind").as_deref() {
        Some("HUMAN") => SourceType::Human,
        Some("LLM" | "AGENT") => SourceType::LlmJudge,
        _ => SourceType::Code,
    };
    let who = [member(object, "user_id"), member(object, "identifier"), options.author.clone()];
    let who = who.into_iter().flatten().next().unwrap_or_else(|| "phoenix".to_owned());
    let time = |key: &str| object.get(key).and_then(time_ms);
    let create_time_ms = time("created_at").unwrap_or(options.now_ms);
    let score = score.filter(|_| label.is_some()).map(|score| ("score".to_owned(), score.to_string()));
    let position = object.get("document_position").and_then(Value::as_u64);
    let document = position.map(|position| (DOCUMENT_METADATA.to_owned(), position.to_string()));
    Ok(vec![Feedback {
        name,
        value: Some(value),
        rationale: member(result, "explanation"),
        source: Source { source_type, source_id: Some(who) },
        metadata: score.into_iter().chain(document).collect(),
        create_time_ms,
        last_update_time_ms: time("updated_at").unwrap_or(create_time_ms),
        trace_id: Some(trace_id),
        span_id,
        ..Feedback::default()
    }])
}
