//! Braintrust's spans, one per object, as in its API and exports. The spans of a trace are joined by `root_span_id`.
//!
//! ```json
//! {"id": "r1", "span_id": "s1", "root_span_id": "s1", "span_parents": null, "created": "2026-01-05T10:00:00Z", "input": {}, "output": "...",
//!  "expected": "...", "span_attributes": {"name": "eval", "type": "eval"}}
//! ```
//! Source: Braintrust's OpenAPI document (`ExperimentEvent`, `ProjectLogsEvent`).

use serde_json::{Map, Value};

use crate::dataset::assemble::complete::TOKEN_USAGE;
use crate::dataset::dialects::dialect::{Dialect, Found};
use crate::dataset::dialects::fields::{count, expectations, facts, json_text, labels, object, text};
use crate::dataset::dialects::messages;
use crate::dataset::dialects::part::Part;
use crate::dataset::dialects::times;
use crate::dataset::notice::Notices;
use crate::feedback::{Feedback, Source, SourceType};
use crate::trace::{Span, SpanStatus, SpanType, TokenUsage, Trace, TraceState};

pub(crate) const DIALECT: Dialect = Dialect { name: "braintrust", title: "Braintrust's spans", fits, read };

fn fits(object: &Map<String, Value>) -> bool {
    is_span(object)
        || events(object).is_some_and(|events| events.first().and_then(Value::as_object).is_some_and(is_span))
}

fn is_span(object: &Map<String, Value>) -> bool {
    object.contains_key("root_span_id") && object.contains_key("span_id")
}

/// An answer of the API: a page of spans.
fn events(object: &Map<String, Value>) -> Option<&Vec<Value>> {
    object.get("events")?.as_array()
}

fn read(mut fields: Map<String, Value>, notices: &mut Notices) -> Result<Found, String> {
    if is_span(&fields) {
        return read_span(fields, notices).map(Found::Parts);
    }
    let mut parts = Vec::new();
    if let Some(Value::Array(events)) = fields.remove("events") {
        for event in events {
            parts.extend(read_span(object("events[]", event)?, notices)?);
        }
    }
    fields.keys().filter(|key| *key != "cursor").for_each(|key| notices.unknown(key));
    Ok(Found::Parts(parts))
}

fn read_span(fields: Map<String, Value>, notices: &mut Notices) -> Result<Vec<Part>, String> {
    let (mut trace, mut span) = (Trace::default(), Span::default());
    let (mut is_root, mut created) = (None, None);
    for (key, value) in fields {
        let name = key.as_str();
        match name {
            _ if value.is_null() && name != "output" => {}
            "root_span_id" => trace.trace_id = text(name, value)?.unwrap_or_default(),
            "span_id" => span.span_id = text(name, value)?.unwrap_or_default(),
            "span_parents" => {
                let first = value.as_array().and_then(|parents| parents.first()).cloned();
                span.parent_id = text(name, first.unwrap_or_default())?;
            }
            "is_root" => is_root = value.as_bool(),
            "created" => created = times::ns(name, &value, notices),
            "input" => span.inputs = Some(asked(value)),
            "output" => span.outputs = Some(answered(value)),
            "expected" => trace.expectations = expectations(value),
            "error" => {
                span.status = SpanStatus::Error;
                span.status_message = Some(json_text(value));
            }
            "tags" => trace.tags = labels(name, value)?,
            "metadata" => {
                trace.metadata = facts(name, value.clone());
                span.attributes.insert(key, value);
            }
            "scores" => trace.assessments = scores(object(name, value)?),
            "metrics" => read_metrics(object(name, value)?, &mut trace, &mut span, notices)?,
            "span_attributes" => {
                let mut attributes = object(name, value)?;
                span.name =
                    text("span_attributes.name", attributes.remove("name").unwrap_or_default())?.unwrap_or_default();
                if let Some(kind) = text("span_attributes.type", attributes.remove("type").unwrap_or_default())? {
                    span.span_type = SpanType::new(if kind == "score" { "EVALUATOR" } else { &kind });
                }
            }
            _ if HOUSEKEEPING.contains(&name) => {}
            _ => notices.unknown(key),
        }
    }
    if is_root == Some(true) {
        span.parent_id = None;
    }
    span.start_time_unix_nano = span.start_time_unix_nano.or(created);
    let trace_id = trace.trace_id.clone();
    if span.parent_id.is_some() {
        // What a step says does not apply to the whole; if the root counts no tokens, those of its steps are added up.
        if let Some(Ok(usage)) = trace.token_usage.map(serde_json::to_value) {
            span.attributes.insert(TOKEN_USAGE.to_owned(), usage);
        }
        return Ok(vec![Part::Span { trace_id, span }]);
    }
    if span.status == SpanStatus::Error {
        trace.state = TraceState::Error;
    }
    trace.session_id =
        ["session_id", "thread_id", "conversation_id"].iter().find_map(|key| trace.metadata.remove(*key));
    span.attributes.shift_remove("metadata");
    Ok(vec![Part::Trace(trace), Part::Span { trace_id, span }])
}

/// What Braintrust's own pages need.
const HOUSEKEEPING: &[&str] = &[
    "id",
    "_xact_id",
    "_pagination_key",
    "project_id",
    "experiment_id",
    "dataset_id",
    "dataset_record_id",
    "log_id",
    "org_id",
    "origin",
    "context",
    "comments",
    "audit_data",
    "facets",
    "classifications",
    "_async_scoring_state",
];

fn asked(input: Value) -> Value {
    match messages::is_dialogue(&input) {
        true => Value::Object(Map::from_iter([("messages".to_owned(), messages::read(input, "user").into())])),
        false => input,
    }
}

/// The answer of a model, in a list of choices or of messages; any other output as it is.
fn answered(output: Value) -> Value {
    let is_choices = |value: &Value| {
        value.as_array().is_some_and(|all| !all.is_empty() && all.iter().all(|one| one.get("message").is_some()))
    };
    match is_choices(&output) || messages::is_dialogue(&output) || messages::is_message(&output) {
        true => messages::answer(messages::read(output, "assistant")).unwrap_or_default(),
        false => output,
    }
}

fn scores(scores: Map<String, Value>) -> Vec<Feedback> {
    let source = Source { source_type: SourceType::Code, source_id: None };
    let score = |(name, value): (String, Value)| {
        (!value.is_null()).then(|| Feedback { name, value: Some(value), source: source.clone(), ..Feedback::default() })
    };
    scores.into_iter().filter_map(score).collect()
}

fn read_metrics(
    mut metrics: Map<String, Value>,
    trace: &mut Trace,
    span: &mut Span,
    notices: &mut Notices,
) -> Result<(), String> {
    span.start_time_unix_nano = times::ns("metrics.start", &metrics.remove("start").unwrap_or_default(), notices);
    span.end_time_unix_nano = times::ns("metrics.end", &metrics.remove("end").unwrap_or_default(), notices);
    let mut tokens = |names: [&str; 2]| -> Result<Option<u64>, String> {
        names
            .iter()
            .find_map(|name| Some((name, metrics.remove(*name)?)))
            .map_or(Ok(None), |(name, value)| count(name, value))
    };
    let input = tokens(["prompt_tokens", "input_tokens"])?;
    let output = tokens(["completion_tokens", "output_tokens"])?;
    let total = tokens(["tokens", "total_tokens"])?;
    if input.or(output).or(total).is_some() {
        let (input_tokens, output_tokens) = (input.unwrap_or_default(), output.unwrap_or_default());
        let total_tokens = total.unwrap_or_else(|| input_tokens.saturating_add(output_tokens));
        trace.token_usage = Some(TokenUsage { input_tokens, output_tokens, total_tokens });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parts(line: &Value) -> Vec<Part> {
        let fields = line.as_object().unwrap().clone();
        assert!(fits(&fields), "{line}");
        let mut notices = Notices::default();
        let Ok(Found::Parts(parts)) = read(fields, &mut notices) else { panic!("{line}") };
        assert!(notices.is_empty(), "{notices:?}");
        parts
    }

    fn root() -> Value {
        json!({"id": "r1", "span_id": "s1", "root_span_id": "s1", "is_root": true, "span_parents": null, "created": "2026-01-05T10:00:00Z",
            "input": {"question": "q"}, "output": "a", "expected": "e", "scores": {"match": 1, "none": null}, "tags": ["locker"],
            "metadata": {"city": "Chur", "session_id": "s"}, "metrics": {"start": 1_767_607_200, "end": 1_767_607_201.5, "prompt_tokens": 3, "completion_tokens": 4},
            "span_attributes": {"name": "eval", "type": "eval"}, "error": {"message": "boom"}})
    }

    #[test]
    fn the_root_is_the_trace_in_all_its_fields() {
        let source = Source { source_type: SourceType::Code, source_id: None };
        let trace = Trace {
            trace_id: "s1".into(),
            expectations: json!({"expected_response": "e"}).as_object().unwrap().clone(),
            tags: [("locker".to_owned(), "true".to_owned())].into(),
            metadata: [("city".to_owned(), "Chur".to_owned())].into(),
            session_id: Some("s".into()),
            state: TraceState::Error,
            token_usage: Some(TokenUsage { input_tokens: 3, output_tokens: 4, total_tokens: 7 }),
            assessments: vec![Feedback { name: "match".into(), value: Some(json!(1)), source, ..Feedback::default() }],
            ..Trace::default()
        };
        let span = Span {
            span_id: "s1".into(),
            name: "eval".into(),
            span_type: SpanType::new("EVAL"),
            inputs: Some(json!({"question": "q"})),
            outputs: Some(json!("a")),
            status: SpanStatus::Error,
            status_message: Some("{\"message\":\"boom\"}".into()),
            start_time_unix_nano: Some(1_767_607_200_000_000_000),
            end_time_unix_nano: Some(1_767_607_201_500_000_000),
            ..Span::default()
        };
        assert_eq!(parts(&root()), [Part::Trace(trace), Part::Span { trace_id: "s1".into(), span }]);
    }

    #[test]
    fn a_step_is_a_span_and_nothing_else() {
        let step = json!({"id": "r2", "span_id": "s2", "root_span_id": "s1", "is_root": false, "span_parents": ["s1"],
            "created": "2026-01-05T10:00:00Z", "input": [{"role": "user", "content": "q"}], "tags": null, "metadata": {"model": "m"}, "metrics": {"prompt_tokens": 30, "completion_tokens": 5},
            "output": [{"message": {"role": "assistant", "content": "a"}}], "span_attributes": {"name": "chat", "type": "llm"}});
        let found = parts(&step);
        let [Part::Span { trace_id, span }] = &*found else { panic!("{found:?}") };
        assert_eq!((trace_id.as_str(), span.parent_id.as_deref(), span.span_type.as_str()), ("s1", Some("s1"), "LLM"));
        assert_eq!(span.inputs, Some(json!({"messages": [{"role": "user", "content": "q"}]})));
        assert_eq!((&span.outputs, span.start_time_unix_nano), (&Some(json!("a")), Some(1_767_607_200_000_000_000)));
        assert_eq!(span.attributes["metadata"]["model"], "m");
        assert_eq!(span.attributes[TOKEN_USAGE], json!({"input_tokens": 30, "output_tokens": 5, "total_tokens": 35}));
        let page = json!({"events": [root(), step], "cursor": "x"});
        assert_eq!(parts(&page), [parts(&root()), found].concat());
    }
}
