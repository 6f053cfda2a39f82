//! OpenTelemetry's spans as single objects: Phoenix's exports, and `to_json()` of OpenTelemetry's SDK for Python.
//!
//! ```json
//! {"name": "chat", "context": {"trace_id": "...", "span_id": "..."}, "parent_id": null, "span_kind": "LLM", "status_code": "OK",
//!  "start_time": "2026-11-23T13:09:50.289Z", "attributes": {"input.value": "..."}}
//! {"name": "chat", "context.trace_id": "...", "context.span_id": "...", "parent_id": null, "span_kind": "LLM",
//!  "start_time": 1795439390289, "attributes.llm.input_messages": [{"message.role": "user", "message.content": "..."}]}
//! ```
//! The second is a row of Phoenix's table of spans. Attributes are flat or nested. Such objects also come in lists: pages of
//! Phoenix's REST API (`{"data": [...]}`, spans of OTLP's form as well) and its exports of traces (`{"spans": [...]}`).
//! Annotations become assessments.
//!
//! Sources: Phoenix's OpenAPI document, `/v1/projects/{project_identifier}/spans`; `phoenix.client.resources.spans`;
//! `opentelemetry.sdk.trace.ReadableSpan.to_json`.

use serde_json::{Map, Value};

use crate::dataset::dialects::dialect::{Dialect, Found};
use crate::dataset::dialects::fields::{list, object, strings, text};
use crate::dataset::dialects::otel::attributes::Attributes;
use crate::dataset::dialects::otel::conventions;
use crate::dataset::dialects::otel::logs;
use crate::dataset::dialects::otel::openinference::JSON_VALUES;
use crate::dataset::dialects::otel::otlp;
use crate::dataset::dialects::otel::recorded::{Event, Recorded};
use crate::dataset::dialects::part::Part;
use crate::dataset::dialects::span::{read_status, span_id, trace_id};
use crate::dataset::dialects::times;
use crate::dataset::notice::Notices;
use crate::feedback::{Feedback, IdHasher, Source, SourceType};
use crate::trace::Trace;

pub(crate) const DIALECT: Dialect =
    Dialect { name: "phoenix", title: "Phoenix's or OpenTelemetry's spans", fits, read };

fn fits(object: &Map<String, Value>) -> bool {
    is_span(object)
        || is_log(object)
        || list_of(object).is_some_and(|(_, spans)| {
            spans.first().and_then(Value::as_object).is_some_and(|span| is_span(span) || is_otlp(span))
        })
}

fn is_span(object: &Map<String, Value>) -> bool {
    object.contains_key("context.trace_id")
        || object.get("context").is_some_and(|context| context.get("trace_id").is_some())
}

/// A record of a log, by OpenTelemetry's SDK for Python.
fn is_log(object: &Map<String, Value>) -> bool {
    let has = |key: &str| object.contains_key(key);
    has("body") && has("trace_id") && has("span_id") && (has("severity_number") || has("observed_timestamp"))
}

fn is_otlp(span: &Map<String, Value>) -> bool {
    span.contains_key("trace_id") && span.contains_key("span_id") && span.get("attributes").is_some_and(Value::is_array)
}

fn list_of(object: &Map<String, Value>) -> Option<(&'static str, &Vec<Value>)> {
    ["data", "spans"].iter().find_map(|key| Some((*key, object.get(*key)?.as_array()?)))
}

fn read(mut fields: Map<String, Value>, notices: &mut Notices) -> Result<Found, String> {
    if is_span(&fields) {
        return read_span(fields, notices).map(|trace| Found::Parts(vec![Part::Trace(trace)]));
    }
    if is_log(&fields) {
        return Ok(Found::Parts(logs::read_record(fields, notices)?.into_iter().collect()));
    }
    let Some((key, _)) = list_of(&fields) else { return Ok(Found::Parts(Vec::new())) };
    let mut parts = Vec::new();
    for value in list(key, "a list of spans", fields.remove(key).unwrap_or_default())? {
        let part = match value {
            Value::Object(span) if is_otlp(&span) => {
                let (trace_id, span) = otlp::read_span(Value::Object(span), notices)?;
                Part::Span { trace_id, span }
            }
            value => Part::Trace(read_span(object("spans[]", value)?, notices)?),
        };
        parts.push(part);
    }
    for key in fields.into_iter().map(|(key, _)| key) {
        // The rest of a page, and what the spans of a trace repeat.
        if !["next_cursor", "traceId", "rootSpan", "startTime", "endTime", "duration", "status"].contains(&key.as_str())
        {
            notices.unknown(key);
        }
    }
    Ok(Found::Parts(parts))
}

/// A trace of this one span.
fn read_span(fields: Map<String, Value>, notices: &mut Notices) -> Result<Trace, String> {
    let own_id = IdHasher::new("span").part(serde_json::to_string(&fields).unwrap_or_default().as_bytes()).finish_u64();
    let mut trace = Trace::default();
    let mut recorded = Recorded::default();
    let mut kind = None;
    let mut attributes = Map::new();
    let mut annotations = Value::Null;
    for (key, value) in fields {
        let name = format_args!("spans[].{key}");
        let span = &mut recorded.span;
        match key.as_str() {
            "context" => {
                let mut context = object(name, value)?;
                let mut take = |id: &str| text(format_args!("{name}.{id}"), context.remove(id).unwrap_or_default());
                trace.trace_id = take("trace_id")?.and_then(trace_id).unwrap_or_default();
                span.span_id = take("span_id")?.and_then(span_id).unwrap_or_default();
            }
            "context.trace_id" => trace.trace_id = text(name, value)?.and_then(trace_id).unwrap_or_default(),
            "context.span_id" => span.span_id = text(name, value)?.and_then(span_id).unwrap_or_default(),
            "parent_id" => span.parent_id = text(name, value)?.and_then(span_id),
            "name" => span.name = text(name, value)?.unwrap_or_default(),
            "span_kind" => kind = text(name, value)?,
            "start_time" => span.start_time_unix_nano = times::ns(name, &value, notices),
            "end_time" => span.end_time_unix_nano = times::ns(name, &value, notices),
            "status" | "status_code" => read_status(name, value, span)?,
            "status_message" => span.status_message = text(name, value)?,
            "attributes" => attributes.extend(object(name, value)?),
            "events" => recorded.events = read_events(value)?,
            "annotations" => annotations = value,
            "resource" => {
                let attributes = object(name, value)?.remove("attributes").unwrap_or_default();
                trace.metadata = strings("spans[].resource.attributes", attributes)?;
            }
            "id"
            | "kind"
            | "links"
            | "notes"
            | "cumulative_token_count.total"
            | "cumulative_token_count.prompt"
            | "cumulative_token_count.completion"
            | "cumulative_llm_token_count_prompt"
            | "cumulative_error_count"
            | "cumulative_llm_token_count_completion" => {}
            _ => match key.strip_prefix("attributes.") {
                Some(attribute) => drop(attributes.insert(attribute.to_owned(), value)),
                None => notices.unknown(format!("spans[].{key}")),
            },
        }
    }
    if trace.trace_id.is_empty() {
        return Err("a span has no `context.trace_id`".to_owned());
    }
    if recorded.span.span_id.is_empty() {
        // A table's index, which its rows do not repeat.
        recorded.span.span_id = format!("{own_id:016x}");
    }
    let span_kind = kind.filter(|_| !attributes.contains_key("openinference.span.kind"));
    attributes.extend(span_kind.map(|kind| ("openinference.span.kind".to_owned(), Value::String(kind))));
    recorded.attributes = Attributes::flattened(attributes, JSON_VALUES);
    trace.assessments = read_annotations(annotations, &trace.trace_id, &recorded.span.span_id, notices)?;
    trace.spans = vec![conventions::read(recorded)];
    Ok(trace)
}

fn read_events(value: Value) -> Result<Vec<Event>, String> {
    let mut events = Vec::new();
    for event in list("spans[].events", "a list of objects", value)? {
        let mut fields = object("spans[].events[]", event)?;
        let name = text("spans[].events[].name", fields.remove("name").unwrap_or_default())?.unwrap_or_default();
        let attributes = object("spans[].events[].attributes", fields.remove("attributes").unwrap_or_default())?;
        events.push(Event { name, attributes: Attributes::new(attributes) });
    }
    Ok(events)
}

/// `[{"name": "correct", "annotator_kind": "HUMAN", "result": {"label": "yes", "score": 1, "explanation": "..."}}]`: the value is the
/// score, failing that the label.
fn read_annotations(
    value: Value,
    trace_id: &str,
    span_id: &str,
    notices: &mut Notices,
) -> Result<Vec<Feedback>, String> {
    let mut assessments = Vec::new();
    for annotation in list("spans[].annotations", "a list of objects", value)? {
        let mut fields = object("spans[].annotations[]", annotation)?;
        let mut result = object("spans[].annotations[].result", fields.remove("result").unwrap_or_default())?;
        let take = |fields: &mut Map<String, Value>, key: &str| fields.remove(key).filter(|value| !value.is_null());
        let (score, label) = (take(&mut result, "score"), take(&mut result, "label"));
        let text = |key: &str, value: Option<Value>| {
            text(format_args!("spans[].annotations[].{key}"), value.unwrap_or_default())
        };
        let mut time = |key: &str, value: Option<Value>| {
            times::ms(format_args!("spans[].annotations[].{key}"), &value.unwrap_or_default(), notices)
                .unwrap_or_default()
        };
        let source_type = match fields.get("annotator_kind").and_then(Value::as_str) {
            Some("HUMAN") => SourceType::Human,
            Some("LLM") => SourceType::LlmJudge,
            Some("CODE") => SourceType::Code,
            _ => SourceType::default(),
        };
        assessments.push(Feedback {
            assessment_id: text("id", take(&mut fields, "id"))?,
            name: text("name", take(&mut fields, "name"))?.unwrap_or_default(),
            rationale: text("result.explanation", take(&mut result, "explanation"))?,
            source: Source { source_type, source_id: text("user_id", take(&mut fields, "user_id"))? },
            metadata: label
                .clone()
                .filter(|_| score.is_some())
                .map(|label| ("label".to_owned(), plain(label)))
                .into_iter()
                .collect(),
            value: score.or(label),
            create_time_ms: time("created_at", take(&mut fields, "created_at")),
            last_update_time_ms: time("updated_at", take(&mut fields, "updated_at")),
            trace_id: Some(trace_id.to_owned()),
            span_id: Some(span_id.to_owned()),
            ..Feedback::default()
        });
    }
    Ok(assessments)
}

fn plain(value: Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::trace::{Span, SpanStatus, SpanType};

    fn parts(line: &Value) -> Vec<Part> {
        let fields = line.as_object().unwrap().clone();
        assert!(fits(&fields), "{line}");
        let mut notices = Notices::default();
        let Ok(Found::Parts(parts)) = read(fields, &mut notices) else { panic!("{line}") };
        assert!(notices.is_empty(), "{notices:?}");
        parts
    }

    #[test]
    fn every_field_of_a_span_and_its_annotations_has_its_place() {
        let line = json!({"name": "search", "context": {"trace_id": "0x39bad16c5a50d38b90fb3d0ce164a107", "span_id": "0xea3e14428e345bae"},
            "parent_id": "ed2d60796147fad3", "span_kind": "RETRIEVER", "status_code": "ERROR", "status_message": "late",
            "start_time": "2026-01-02T03:04:05Z", "end_time": "2026-01-02T03:04:06Z",
            "attributes": {"input": {"value": "q"}, "k": 1}, "resource": {"attributes": {"service.name": "desk"}},
            "annotations": [{"id": "n1", "name": "good", "annotator_kind": "HUMAN", "user_id": "ann",
                "result": {"label": "yes", "score": 1, "explanation": "fits"},
                "created_at": "2026-01-02T03:04:07Z", "updated_at": "2026-01-02T03:04:08Z"}]});
        let span = Span {
            span_id: "ea3e14428e345bae".into(),
            parent_id: Some("ed2d60796147fad3".into()),
            name: "search".into(),
            span_type: SpanType::new("RETRIEVER"),
            inputs: Some(json!("q")),
            status: SpanStatus::Error,
            status_message: Some("late".into()),
            start_time_unix_nano: Some(1_767_323_045_000_000_000),
            end_time_unix_nano: Some(1_767_323_046_000_000_000),
            attributes: json!({"k": 1}).as_object().unwrap().clone(),
            ..Span::default()
        };
        let annotation = Feedback {
            assessment_id: Some("n1".into()),
            name: "good".into(),
            value: Some(json!(1)),
            rationale: Some("fits".into()),
            source: Source { source_type: SourceType::Human, source_id: Some("ann".into()) },
            metadata: [("label".to_owned(), "yes".to_owned())].into(),
            create_time_ms: 1_767_323_047_000,
            last_update_time_ms: 1_767_323_048_000,
            trace_id: Some("39bad16c5a50d38b90fb3d0ce164a107".into()),
            span_id: Some("ea3e14428e345bae".into()),
            ..Feedback::default()
        };
        let expected = Trace {
            trace_id: "39bad16c5a50d38b90fb3d0ce164a107".into(),
            spans: vec![span],
            metadata: [("service.name".to_owned(), "desk".to_owned())].into(),
            assessments: vec![annotation],
            ..Trace::default()
        };
        assert_eq!(parts(&line), [Part::Trace(expected)]);
    }

    #[test]
    fn a_record_of_a_log_is_a_message() {
        let line = json!({"body": {"content": "Hi"}, "severity_number": 9, "trace_id": "0x39bad16c5a50d38b90fb3d0ce164a107",
            "span_id": "0xea3e14428e345bae", "attributes": {"event.name": "gen_ai.user.message"}, "timestamp": "2026-01-02T03:04:05Z"});
        let found = parts(&line);
        let [Part::Messages { trace_id, messages }] = &*found else { panic!("{found:?}") };
        assert_eq!(
            (trace_id.as_str(), messages.span_id.as_str()),
            ("39bad16c5a50d38b90fb3d0ce164a107", "ea3e14428e345bae")
        );
        assert_eq!(
            (messages.time, &messages.asked),
            (1_767_323_045_000_000_000, &vec![json!({"role": "user", "content": "Hi"})])
        );
    }
}
