//! Opik's traces and spans, as its API, its SDK and `opik export` write them, joined by the trace's id.
//!
//! ```json
//! {"id": "t1", "project_name": "app", "name": "ask", "start_time": "2026-01-05T10:00:00Z", "input": {}, "output": {}, "thread_id": "s"}
//! {"id": "s1", "trace_id": "t1", "parent_span_id": null, "type": "llm", "name": "chat", "start_time": "...", "input": {}, "output": {}}
//! {"trace": {...}, "spans": [...]}
//! ```
//! Source: `opik.rest_api.types` (`TracePublic`, `SpanPublic`, `FeedbackScorePublic`).

use serde_json::{Map, Value};

use crate::dataset::dialects::dialect::{Dialect, Found};
use crate::dataset::dialects::fields::{facts, labels, list, object, text};
use crate::dataset::dialects::part::Part;
use crate::dataset::dialects::times;
use crate::dataset::dialects::trace_fields::token_usage;
use crate::dataset::dialects::wrapped;
use crate::dataset::notice::Notices;
use crate::feedback::{Feedback, Source, SourceType};
use crate::trace::{Span, SpanStatus, SpanType, Trace, TraceState};

pub(crate) const DIALECT: Dialect = Dialect { name: "opik", title: "Opik's traces and spans", fits, read };

fn fits(object: &Map<String, Value>) -> bool {
    is_trace(object) || is_span(object) || parts_of(object).is_some()
}

fn has(object: &Map<String, Value>, names: &[&str]) -> bool {
    names.iter().any(|name| object.contains_key(*name))
}

fn is_trace(object: &Map<String, Value>) -> bool {
    const OWN: &[&str] =
        &["thread_id", "project_name", "feedback_scores", "workspace_name", "span_count", "project_id"];
    has(object, &["id"])
        && has(object, &["start_time"])
        && has(object, &["input", "output"])
        && has(object, OWN)
        && !has(object, &["trace_id", "traceId", "session_id", "sessionId"])
}

fn is_span(object: &Map<String, Value>) -> bool {
    has(object, &["id"])
        && has(object, &["trace_id"])
        && has(object, &["start_time"])
        && has(object, &["parent_span_id"])
}

/// A trace with its spans, or a page of either.
fn parts_of(object: &Map<String, Value>) -> Option<&'static str> {
    let fits_one = |value: &Value| value.as_object().is_some_and(|object| is_trace(object) || is_span(object));
    if object.get("trace").is_some_and(fits_one) && object.get("spans").is_some_and(Value::is_array) {
        return Some("trace");
    }
    let page = object.get("content").and_then(Value::as_array)?;
    page.first().is_some_and(fits_one).then_some("content")
}

fn read(mut fields: Map<String, Value>, notices: &mut Notices) -> Result<Found, String> {
    let Some(key) = parts_of(&fields) else { return read_one(fields, notices).map(Found::Parts) };
    let mut items = match fields.remove(key).unwrap_or_default() {
        Value::Array(items) => items,
        item => vec![item],
    };
    items.extend(list("spans", "a list of objects", fields.remove("spans").unwrap_or_default())?);
    let mut parts = Vec::new();
    for item in items {
        parts.extend(read_one(object(key, item)?, notices)?);
    }
    const PAGE: &[&str] = &["page", "size", "total", "sortable_by", "downloaded_at", "project_name"];
    fields.keys().filter(|key| !PAGE.contains(&key.as_str())).for_each(|key| notices.unknown(key));
    Ok(Found::Parts(parts))
}

fn read_one(fields: Map<String, Value>, notices: &mut Notices) -> Result<Vec<Part>, String> {
    let is_span = is_span(&fields);
    let (mut trace, mut span) = (Trace::default(), Span::default());
    for (key, value) in fields {
        let name = key.as_str();
        match name {
            _ if value.is_null() => {}
            "id" if is_span => span.span_id = text(name, value)?.unwrap_or_default(),
            "id" | "trace_id" => trace.trace_id = text(name, value)?.unwrap_or_default(),
            "parent_span_id" => span.parent_id = text(name, value)?,
            "name" => span.name = text(name, value)?.unwrap_or_default(),
            "type" => span.span_type = SpanType::new(&text(name, value)?.unwrap_or_default()),
            "input" => span.inputs = Some(wrapped::inputs(value)),
            "output" => span.outputs = Some(wrapped::outputs(value)),
            "start_time" => span.start_time_unix_nano = times::ns(name, &value, notices),
            "end_time" => span.end_time_unix_nano = times::ns(name, &value, notices),
            "metadata" if is_span => drop(span.attributes.insert(key, value)),
            "metadata" => trace.metadata = facts(name, value),
            "tags" if is_span => drop(span.attributes.insert(key, value)),
            "tags" => trace.tags = labels(name, value)?,
            "thread_id" => trace.session_id = text(name, value)?,
            "usage" if is_span => drop(span.attributes.insert(key, value)),
            // An unreadable number must not cost the trace.
            "usage" => trace.token_usage = token_usage(name, value).ok().filter(|usage| usage.total_tokens > 0),
            "error_info" => {
                let mut error = object(name, value)?;
                span.status = SpanStatus::Error;
                let message = error.remove("message").or_else(|| error.remove("exception_type"));
                span.status_message = text(name, message.unwrap_or_default())?;
            }
            "feedback_scores" => {
                for score in list(name, "a list of objects", value)? {
                    trace.assessments.push(read_score(object(name, score)?, notices)?);
                }
            }
            "model" | "provider" | "total_estimated_cost" => drop(span.attributes.insert(key, value)),
            _ if HOUSEKEEPING.contains(&name) => {}
            _ => notices.unknown(key),
        }
    }
    if is_span {
        let assessments = std::mem::take(&mut trace.assessments);
        trace.assessments =
            assessments.into_iter().map(|score| Feedback { span_id: Some(span.span_id.clone()), ..score }).collect();
        let trace_id = trace.trace_id.clone();
        let mut parts = vec![Part::Span { trace_id, span }];
        if !trace.assessments.is_empty() {
            parts.push(Part::Trace(trace));
        }
        return Ok(parts);
    }
    let Span { inputs, outputs, status, start_time_unix_nano: start, end_time_unix_nano: end, name, .. } = span;
    (trace.inputs, trace.outputs) = (inputs, outputs);
    if !name.is_empty() {
        trace.metadata.entry("name".to_owned()).or_insert(name);
    }
    if status == SpanStatus::Error {
        trace.state = TraceState::Error;
    }
    trace.request_time_ms = start.and_then(|start| i64::try_from(start / 1_000_000).ok());
    trace.execution_duration_ms = start.zip(end).map(|(start, end)| end.saturating_sub(start) / 1_000_000);
    Ok(vec![Part::Trace(trace)])
}

/// What only Opik's own pages need, and what its spans repeat.
const HOUSEKEEPING: &[&str] = &[
    "project_id",
    "project_name",
    "workspace_name",
    "created_at",
    "last_updated_at",
    "created_by",
    "last_updated_by",
    "duration",
    "span_count",
    "llm_span_count",
    "has_tool_spans",
    "comments",
    "span_feedback_scores",
    "guardrails_validations",
    "visibility_mode",
    "providers",
    "experiment",
    "source",
    "ttft",
    "environment",
    "total_estimated_cost_version",
];

fn read_score(fields: Map<String, Value>, notices: &mut Notices) -> Result<Feedback, String> {
    let mut score = Feedback { value: Some(Value::Null), ..Feedback::default() };
    let mut source = Source::default();
    for (key, value) in fields {
        let name = format_args!("feedback_scores[].{key}");
        match key.as_str() {
            "name" => score.name = text(name, value)?.unwrap_or_default(),
            "value" => score.value = Some(value),
            "reason" => score.rationale = text(name, value)?,
            "category_name" => drop(text(name, value)?.map(|label| score.metadata.insert("label".to_owned(), label))),
            "source" => {
                source.source_type = match value.as_str() {
                    Some("ui") => SourceType::Human,
                    Some("online_scoring") => SourceType::LlmJudge,
                    Some("sdk") => SourceType::Code,
                    _ => SourceType::Unspecified,
                }
            }
            "created_by" => source.source_id = text(name, value)?,
            "created_at" => score.create_time_ms = times::ms(name, &value, notices).unwrap_or_default(),
            "last_updated_at" => score.last_update_time_ms = times::ms(name, &value, notices).unwrap_or_default(),
            _ => {}
        }
    }
    score.source = source;
    Ok(score)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::trace::TokenUsage;

    fn parts(line: &Value) -> Vec<Part> {
        let fields = line.as_object().unwrap().clone();
        assert!(fits(&fields), "{line}");
        let mut notices = Notices::default();
        let Ok(Found::Parts(parts)) = read(fields, &mut notices) else { panic!("{line}") };
        assert!(notices.is_empty(), "{notices:?}");
        parts
    }

    fn trace_line() -> Value {
        json!({"id": "t1", "project_name": "desk", "name": "ask", "start_time": "2026-01-05T10:00:00Z", "end_time": "2026-01-05T10:00:01Z",
            "input": {"question": "q"}, "output": {"output": "a"}, "metadata": {"build": "12"}, "tags": ["museum"], "thread_id": "talk",
            "usage": {"prompt_tokens": 30, "completion_tokens": 10, "total_tokens": 40}, "error_info": {"exception_type": "E", "message": "m"},
            "feedback_scores": [{"name": "tone", "value": 0.5, "reason": "fine", "source": "ui", "category_name": "ok", "created_by": "ann",
                "created_at": "2026-01-05T10:00:00Z", "last_updated_at": "2026-01-05T10:00:02Z"}]})
    }

    fn span_line() -> Value {
        json!({"id": "s1", "trace_id": "t1", "parent_span_id": "s0", "type": "llm", "name": "chat", "start_time": "2026-01-05T10:00:00Z",
            "end_time": "2026-01-05T10:00:01Z", "input": {"args": ["q"], "kwargs": {}}, "output": "a", "model": "m", "usage": {"total_tokens": 3},
            "feedback_scores": [{"name": "n", "value": 1, "source": "sdk"}], "error_info": {"message": "late"}})
    }

    #[test]
    fn a_trace_is_read_in_all_its_fields() {
        let score = Feedback {
            name: "tone".into(),
            value: Some(json!(0.5)),
            rationale: Some("fine".into()),
            source: Source { source_type: SourceType::Human, source_id: Some("ann".into()) },
            metadata: [("label".to_owned(), "ok".to_owned())].into(),
            create_time_ms: 1_767_607_200_000,
            last_update_time_ms: 1_767_607_202_000,
            ..Feedback::default()
        };
        let expected = Trace {
            trace_id: "t1".into(),
            inputs: Some(json!({"question": "q"})),
            outputs: Some(json!("a")),
            metadata: [("build".to_owned(), "12".to_owned()), ("name".to_owned(), "ask".to_owned())].into(),
            tags: [("museum".to_owned(), "true".to_owned())].into(),
            session_id: Some("talk".into()),
            state: TraceState::Error,
            request_time_ms: Some(1_767_607_200_000),
            execution_duration_ms: Some(1000),
            token_usage: Some(TokenUsage { input_tokens: 30, output_tokens: 10, total_tokens: 40 }),
            assessments: vec![score],
            ..Trace::default()
        };
        assert_eq!(parts(&trace_line()), [Part::Trace(expected)]);
    }

    #[test]
    fn a_span_is_read_in_all_its_fields() {
        let expected = Span {
            span_id: "s1".into(),
            parent_id: Some("s0".into()),
            name: "chat".into(),
            span_type: SpanType::new("LLM"),
            inputs: Some(json!("q")),
            outputs: Some(json!("a")),
            status: SpanStatus::Error,
            status_message: Some("late".into()),
            start_time_unix_nano: Some(1_767_607_200_000_000_000),
            end_time_unix_nano: Some(1_767_607_201_000_000_000),
            attributes: json!({"model": "m", "usage": {"total_tokens": 3}}).as_object().unwrap().clone(),
        };
        let found = parts(&span_line());
        let [Part::Span { trace_id, span }, Part::Trace(trace)] = &*found else { panic!("{found:?}") };
        assert_eq!((trace_id.as_str(), span), ("t1", &expected));
        assert_eq!((trace.trace_id.as_str(), trace.assessments[0].span_id.as_deref()), ("t1", Some("s1")));
        assert_eq!(trace.assessments[0].source.source_type, SourceType::Code);
    }

    #[test]
    fn exports_and_pages_hold_the_same() {
        let separate = [parts(&trace_line()), parts(&span_line())].concat();
        let export =
            json!({"trace": trace_line(), "spans": [span_line()], "downloaded_at": "x", "project_name": "desk"});
        assert_eq!(parts(&export), separate);
        let page = json!({"page": 1, "size": 2, "total": 2, "content": [trace_line(), span_line()]});
        assert_eq!(parts(&page), separate);
    }
}
