//! Langfuse's traces: from its public API, and from exports, where traces, observations and scores are separate rows.
//!
//! ```json
//! {"id": "t1", "timestamp": "2026-01-01T00:00:00Z", "input": "...", "output": "...", "sessionId": "s", "observations": [], "scores": []}
//! {"id": "o1", "traceId": "t1", "type": "RETRIEVER", "startTime": "2026-01-01T00:00:00Z", "parentObservationId": null}
//! {"id": "s1", "traceId": "t1", "name": "helpful", "value": 1, "source": "ANNOTATION", "dataType": "BOOLEAN"}
//! ```
//! Names are in camel case or with underscores. Rows of one trace may be anywhere in the dataset.
//! Sources: `langfuse.api` (`TraceWithFullDetails`, `ObservationsView`, `ObservationV2`, `Score`); "Export to blob storage" in
//! Langfuse's documentation.

use serde_json::{Map, Value};

use crate::dataset::dialects::dialect::{Dialect, Found};
use crate::dataset::dialects::fields::{facts, json_text, labels, list, object, strings, text, wrong};
use crate::dataset::dialects::part::Part;
use crate::dataset::dialects::times;
use crate::dataset::dialects::trace_fields::token_usage;
use crate::dataset::json;
use crate::dataset::notice::Notices;
use crate::feedback::{Feedback, Source, SourceType};
use crate::trace::{Span, SpanStatus, SpanType, Trace, TraceState};

pub(crate) const DIALECT: Dialect =
    Dialect { name: "langfuse", title: "Langfuse's traces, observations and scores", fits, read };

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Trace,
    Observation,
    Score,
    /// A page of a list: `data` and `meta`.
    Page,
    /// The download of a trace's page: `trace` and `observations`, in which every value is JSON text.
    Download,
}

fn kind(object: &Map<String, Value>) -> Option<Kind> {
    let has = |names: &[&str]| names.iter().any(|name| object.contains_key(*name));
    if let Some(Value::Array(items)) = object.get("data") {
        let first = items.first().and_then(Value::as_object);
        return first.is_some_and(|first| kind(first).is_some()).then_some(Kind::Page);
    }
    if let (Some(Value::Object(trace)), Some(Value::Array(_))) = (object.get("trace"), object.get("observations")) {
        return (kind(trace) == Some(Kind::Trace)).then_some(Kind::Download);
    }
    if !has(&["id"]) {
        return None;
    }
    if has(&["traceId", "trace_id"]) {
        if has(&["startTime", "start_time"]) && has(&["type"]) {
            return Some(Kind::Observation);
        }
        let is_score = has(&["name"]) && has(&["source"]) && has(&["value", "stringValue", "string_value"]);
        return is_score.then_some(Kind::Score);
    }
    const OWN: &[&str] = &[
        "sessionId",
        "session_id",
        "userId",
        "user_id",
        "htmlPath",
        "observations",
        "bookmarked",
        "projectId",
        "project_id",
    ];
    (has(&["timestamp"]) && has(&["input", "output"]) && has(OWN)).then_some(Kind::Trace)
}

fn fits(object: &Map<String, Value>) -> bool {
    kind(object).is_some()
}

fn read(mut fields: Map<String, Value>, notices: &mut Notices) -> Result<Found, String> {
    match kind(&fields) {
        Some(Kind::Page) => {
            let items = list("data", "a list of objects", fields.remove("data").unwrap_or_default())?;
            fields.keys().filter(|key| *key != "meta").for_each(|key| notices.unknown(key));
            let mut parts = Vec::new();
            for (index, item) in items.into_iter().enumerate() {
                let name = format!("data[{index}]");
                let fields = object(&name, item)?;
                let read = read_parts(fields, notices);
                parts.extend(read.map_err(|reason| reason.replacen('`', &format!("`{name}."), 1))?);
            }
            Ok(Found::Parts(parts))
        }
        Some(Kind::Download) => {
            let mut trace = object("trace", fields.remove("trace").unwrap_or_default())?;
            let observations =
                list("observations", "a list of objects", fields.remove("observations").unwrap_or_default())?;
            fields.keys().for_each(|key| notices.unknown(key));
            decode(&mut trace);
            let mut decoded = Vec::new();
            for (index, observation) in observations.into_iter().enumerate() {
                let mut fields = object(format_args!("observations[{index}]"), observation)?;
                decode(&mut fields);
                decoded.push(Value::Object(fields));
            }
            trace.insert("observations".to_owned(), Value::Array(decoded));
            whole(trace, notices).map(Found::Trace)
        }
        Some(Kind::Trace) if holds_all(&fields) => whole(fields, notices).map(Found::Trace),
        _ => read_parts(fields, notices).map(Found::Parts),
    }
}

/// Decodes the values that are JSON texts, a text among them.
fn decode(fields: &mut Map<String, Value>) {
    for key in ["input", "output", "metadata"] {
        if let Some(value) = fields.get_mut(key) {
            *value = json::from_text(value.take());
        }
    }
}

/// Whether a trace has its observations inside; a list of traces has only their ids.
fn holds_all(fields: &Map<String, Value>) -> bool {
    let observations = fields.get("observations").and_then(Value::as_array);
    observations.is_some_and(|observations| observations.iter().all(Value::is_object))
}

fn read_parts(fields: Map<String, Value>, notices: &mut Notices) -> Result<Vec<Part>, String> {
    let kind = kind(&fields);
    let fields = rows(fields);
    match kind {
        Some(Kind::Observation) => {
            let Observation { trace, span } = read_observation("", fields, notices)?;
            let trace_id = trace.trace_id.clone();
            Ok(vec![Part::Trace(trace), Part::Span { trace_id, span }])
        }
        Some(Kind::Score) => {
            let feedback = read_score("", fields, notices)?;
            let trace_id = feedback.trace_id.clone().unwrap_or_default();
            Ok(vec![Part::Trace(Trace { trace_id, assessments: vec![feedback], ..Trace::default() })])
        }
        _ => Ok(vec![Part::Trace(read_trace(fields, notices)?)]),
    }
}

/// A trace with all that belongs to it.
fn whole(fields: Map<String, Value>, notices: &mut Notices) -> Result<Trace, String> {
    let mut fields = rows(fields);
    let observations = list("observations", "a list of objects", fields.remove("observations").unwrap_or_default())?;
    let mut trace = read_trace(fields, notices)?;
    for (index, observation) in observations.into_iter().enumerate() {
        let name = format!("observations[{index}]");
        let fields = rows(object(&name, observation)?);
        let Observation { trace: said, span } = read_observation(&format!("{name}."), fields, notices)?;
        if trace.state == TraceState::default() {
            trace.state = said.state;
        }
        trace.spans.push(span);
    }
    trace.spans.sort_by_key(|span| span.start_time_unix_nano);
    let root = trace.root_span().map(|root| (root.inputs.clone(), root.outputs.clone()));
    let (inputs, outputs) = root.unwrap_or_default();
    trace.inputs = trace.inputs.or(inputs);
    trace.outputs = trace.outputs.or(outputs);
    Ok(trace)
}

/// The fields by their names with underscores, without empty ones. In a table an empty cell counts as empty.
fn rows(fields: Map<String, Value>) -> Map<String, Value> {
    let is_table = fields.values().all(Value::is_string);
    let holds = |value: &Value| !(value.is_null() || is_table && value == "");
    fields.into_iter().filter(|(_, value)| holds(value)).map(|(key, value)| (snake_case(&key), value)).collect()
}

fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for char in name.chars() {
        if char.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(char.to_ascii_lowercase());
    }
    snake
}

/// Exports have lists and objects as JSON text. A text that only looks like a number stays a text.
fn nested(value: Value) -> Value {
    match value {
        Value::String(text) if text.starts_with(['{', '[']) => json::from_text(Value::String(text)),
        other => other,
    }
}

fn read_trace(fields: Map<String, Value>, notices: &mut Notices) -> Result<Trace, String> {
    let mut trace = Trace::default();
    for (key, value) in fields {
        let name = key.as_str();
        match name {
            "id" => trace.trace_id = text(name, value)?.unwrap_or_default(),
            "timestamp" => trace.request_time_ms = times::ms(name, &value, notices),
            "input" => trace.inputs = Some(nested(value)),
            "output" => trace.outputs = Some(nested(value)),
            "session_id" => trace.session_id = text(name, value)?,
            "user_id" => trace.user = text(name, value)?,
            "tags" => trace.tags = labels(name, nested(value))?,
            "metadata" => trace.metadata.extend(facts(name, nested(value))),
            "name" | "release" | "version" | "environment" | "total_cost" => {
                trace.metadata.entry(key).or_insert_with(|| json_text(value));
            }
            "latency" => trace.execution_duration_ms = milliseconds(name, &value)?,
            "usage" | "usage_details" => trace.token_usage = Some(token_usage(name, nested(value))?),
            "scores" => {
                for (index, score) in list(name, "a list", nested(value))?.into_iter().enumerate() {
                    // A list of traces has only the ids of scores.
                    if let Value::Object(score) = score {
                        trace.assessments.push(read_score(&format!("scores[{index}]."), rows(score), notices)?);
                    }
                }
            }
            // Ids of what is elsewhere, and what Langfuse's own pages need.
            "observations" | "html_path" | "public" | "bookmarked" | "project_id" | "external_id" | "created_at"
            | "updated_at" => {}
            _ => notices.unknown(key),
        }
    }
    Ok(trace)
}

/// The content of an observation: a span, and what the newer API repeats about its trace on each of them.
struct Observation {
    trace: Trace,
    span: Span,
}

fn read_observation(place: &str, fields: Map<String, Value>, notices: &mut Notices) -> Result<Observation, String> {
    let (mut trace, mut span) = (Trace::default(), Span::default());
    for (key, value) in fields {
        let name = format_args!("{place}{key}");
        match key.as_str() {
            "id" => span.span_id = text(name, value)?.unwrap_or_default(),
            "trace_id" => trace.trace_id = text(name, value)?.unwrap_or_default(),
            "parent_observation_id" => span.parent_id = text(name, value)?,
            "name" => span.name = text(name, value)?.unwrap_or_default(),
            "type" => span.span_type = span_type(&text(name, value)?.unwrap_or_default()),
            "input" => span.inputs = Some(nested(value)),
            "output" => span.outputs = Some(nested(value)),
            "start_time" => span.start_time_unix_nano = times::ns(name, &value, notices),
            "end_time" => span.end_time_unix_nano = times::ns(name, &value, notices),
            "level" if value == "ERROR" => span.status = SpanStatus::Error,
            "level" if value == "DEFAULT" => {}
            "status_message" => span.status_message = text(name, value)?,
            "session_id" => trace.session_id = text(name, value)?,
            "user_id" => trace.user = text(name, value)?,
            "project_id" | "created_at" | "updated_at" | "public" | "bookmarked" | "is_root_observation" => {}
            _ if ATTRIBUTES.contains(&key.as_str()) => drop(span.attributes.insert(key, nested(value))),
            _ => notices.unknown(format!("observations[].{key}")),
        }
    }
    if span.parent_id.is_none() && span.status == SpanStatus::Error {
        trace.state = TraceState::Error;
    }
    span.attributes.sort_keys();
    Ok(Observation { trace, span })
}

/// What else is known about an observation.
const ATTRIBUTES: &[&str] = &[
    "level",
    "metadata",
    "model",
    "provided_model_name",
    "internal_model_id",
    "model_id",
    "model_parameters",
    "usage",
    "usage_details",
    "provided_usage_details",
    "cost_details",
    "provided_cost_details",
    "total_cost",
    "calculated_input_cost",
    "calculated_output_cost",
    "calculated_total_cost",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "unit",
    "input_price",
    "output_price",
    "total_price",
    "usage_pricing_tier_name",
    "completion_start_time",
    "latency",
    "time_to_first_token",
    "prompt_id",
    "prompt_name",
    "prompt_version",
    "version",
    "release",
    "environment",
    "tags",
    "trace_name",
];

/// MLflow's name of a type, or Langfuse's if MLflow has none.
fn span_type(name: &str) -> SpanType {
    SpanType::new(if name.eq_ignore_ascii_case("GENERATION") { "LLM" } else { name })
}

fn read_score(place: &str, mut fields: Map<String, Value>, notices: &mut Notices) -> Result<Feedback, String> {
    let mut feedback = Feedback { value: Some(Value::Null), ..Feedback::default() };
    let data_type = fields.remove("data_type");
    let is_boolean = data_type.is_some_and(|kind| kind == "BOOLEAN");
    // The words of a category; `value` is only its number.
    let words = fields.remove("string_value");
    let mut source = Source::default();
    for (key, value) in fields {
        let name = format_args!("{place}{key}");
        match key.as_str() {
            "id" => feedback.assessment_id = text(name, value)?,
            "trace_id" => feedback.trace_id = text(name, value)?,
            "observation_id" => feedback.span_id = text(name, value)?,
            "name" => feedback.name = text(name, value)?.unwrap_or_default(),
            "value" if is_boolean => feedback.value = Some(Value::Bool(number(&value) == Some(1.0))),
            "value" => feedback.value = Some(number(&value).filter(|_| value.is_string()).map_or(value, Value::from)),
            "comment" => feedback.rationale = text(name, value)?,
            "source" => {
                source.source_type = match value.as_str() {
                    Some("ANNOTATION") => SourceType::Human,
                    Some("EVAL") => SourceType::LlmJudge,
                    Some("API") => SourceType::Code,
                    _ => SourceType::Unspecified,
                }
            }
            "author_user_id" => source.source_id = text(name, value)?,
            "timestamp" | "created_at" => {
                let time = times::ms(name, &value, notices).unwrap_or_default();
                feedback.create_time_ms = time;
                feedback.last_update_time_ms = feedback.last_update_time_ms.max(time);
            }
            "updated_at" => {
                let time = times::ms(name, &value, notices).unwrap_or_default();
                feedback.last_update_time_ms = time;
            }
            "metadata" => feedback.metadata.extend(strings(name, nested(value))?),
            "config_id" | "queue_id" | "session_id" | "dataset_run_id" | "execution_trace_id" | "environment"
            | "project_id" | "is_deleted" | "long_string_value" => {}
            _ => notices.unknown(format!("scores[].{key}")),
        }
    }
    if let (Some(words), false) = (words, is_boolean) {
        feedback.value = Some(words);
    }
    feedback.source = source;
    Ok(feedback)
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok()).filter(|number| number.is_finite())
}

/// Seconds as whole milliseconds.
fn milliseconds(name: &str, value: &Value) -> Result<Option<u64>, String> {
    let ms = number(value).map(|seconds| (seconds * 1000.0).round()).filter(|ms| (0.0..9e15).contains(ms));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    ms.map(|ms| Some(ms as u64)).ok_or_else(|| wrong(name, "a number of seconds", value))
}

#[cfg(test)]
mod tests;
