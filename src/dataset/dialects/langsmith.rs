//! LangSmith's runs, one per object, as in its API and exports. The runs of a trace are joined by `trace_id`.
//!
//! ```json
//! {"id": "r2", "trace_id": "r1", "parent_run_id": "r1", "run_type": "retriever", "name": "search", "inputs": {}, "outputs": {}}
//! ```
//! Source: `langsmith.schemas.Run`.

use serde_json::{Map, Value};

use crate::dataset::dialects::dialect::{Dialect, Found};
use crate::dataset::dialects::fields::{labels, list, member, object, strings, text};
use crate::dataset::dialects::part::Part;
use crate::dataset::dialects::times;
use crate::dataset::dialects::trace_fields::token_usage;
use crate::dataset::notice::Notices;
use crate::trace::{Span, SpanStatus, SpanType, Trace, TraceState};

pub(crate) const DIALECT: Dialect = Dialect { name: "langsmith", title: "LangSmith's runs", fits, read };

fn fits(object: &Map<String, Value>) -> bool {
    let is_text = |key: &str| member(object, key).is_some_and(Value::is_string);
    is_text("id") && is_text("run_type") && (is_text("trace_id") || is_text("dotted_order"))
}

fn read(fields: Map<String, Value>, notices: &mut Notices) -> Result<Found, String> {
    let mut parts = Vec::new();
    let mut waiting = vec![fields];
    while let Some(fields) = waiting.pop() {
        let (run, children) = read_run(fields, notices)?;
        let trace_id = run.trace.trace_id.clone();
        if run.span.parent_id.is_none() {
            parts.push(Part::Trace(run.trace));
        }
        parts.push(Part::Span { trace_id, span: run.span });
        for (index, child) in children.into_iter().enumerate() {
            waiting.push(object(format_args!("child_runs[{index}]"), child)?);
        }
    }
    Ok(Found::Parts(parts))
}

/// A run as a span, and what it says about its trace if it is the root.
#[derive(Default)]
struct Run {
    trace: Trace,
    span: Span,
}

fn read_run(fields: Map<String, Value>, notices: &mut Notices) -> Result<(Run, Vec<Value>), String> {
    let Run { mut trace, mut span } = Run::default();
    let mut children = Vec::new();
    let mut tokens = Map::new();
    for (key, value) in fields {
        let name = key.as_str();
        match name {
            _ if value.is_null() => {}
            "id" => span.span_id = text(name, value)?.unwrap_or_default(),
            "trace_id" => trace.trace_id = text(name, value)?.unwrap_or_default(),
            "parent_run_id" => span.parent_id = text(name, value)?,
            "name" => span.name = text(name, value)?.unwrap_or_default(),
            "run_type" => span.span_type = SpanType::new(&text(name, value)?.unwrap_or_default()),
            "inputs" => span.inputs = Some(value),
            "outputs" => span.outputs = Some(value),
            "start_time" => span.start_time_unix_nano = times::ns(name, &value, notices),
            "end_time" => span.end_time_unix_nano = times::ns(name, &value, notices),
            "error" => span.status_message = text(name, value)?,
            "status" => {
                trace.state = match value.as_str() {
                    Some("success") => TraceState::Ok,
                    Some("error") => TraceState::Error,
                    Some("pending") => TraceState::InProgress,
                    _ => TraceState::StateUnspecified,
                }
            }
            "tags" => trace.tags = labels(name, value)?,
            "extra" => {
                for (key, value) in object(name, value)? {
                    if key == "metadata" {
                        trace.metadata = strings("extra.metadata", value)?;
                    } else {
                        span.attributes.insert(key, value);
                    }
                }
            }
            "prompt_tokens" | "completion_tokens" | "total_tokens" => drop(tokens.insert(key, value)),
            "child_runs" => children = list(name, "a list of objects", value)?,
            "events"
            | "serialized"
            | "feedback_stats"
            | "total_cost"
            | "prompt_cost"
            | "completion_cost"
            | "first_token_time"
            | "reference_example_id"
            | "attachments" => drop(span.attributes.insert(key, value)),
            // The project, the path to the root again, and what LangSmith's own pages need.
            "session_id"
            | "dotted_order"
            | "parent_run_ids"
            | "child_run_ids"
            | "direct_child_run_ids"
            | "app_path"
            | "manifest_id"
            | "in_dataset"
            | "share_token"
            | "execution_order" => {}
            _ => notices.unknown(key),
        }
    }
    if trace.trace_id.is_empty() {
        trace.trace_id.clone_from(&span.span_id);
    }
    if span.status_message.is_some() || trace.state == TraceState::Error {
        (span.status, trace.state) = (SpanStatus::Error, TraceState::Error);
    } else if trace.state == TraceState::Ok {
        span.status = SpanStatus::Ok;
    }
    if !tokens.is_empty() {
        trace.token_usage = Some(token_usage("tokens", Value::Object(tokens))?);
    }
    // The names by which LangSmith itself groups the turns of a conversation.
    trace.session_id =
        ["session_id", "thread_id", "conversation_id"].iter().find_map(|key| trace.metadata.remove(*key));
    (trace.inputs, trace.outputs) = (span.inputs.clone(), span.outputs.clone());
    let (start, end) = (span.start_time_unix_nano, span.end_time_unix_nano);
    trace.request_time_ms = start.and_then(|start| i64::try_from(start / 1_000_000).ok());
    trace.execution_duration_ms = start.zip(end).map(|(start, end)| end.saturating_sub(start) / 1_000_000);
    Ok((Run { trace, span }, children))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parts(line: &Value) -> Vec<Part> {
        let fields = line.as_object().unwrap().clone();
        assert_eq!(Dialect::of(&fields).map(|dialect| dialect.name), Some("langsmith"));
        let mut notices = Notices::default();
        let found = read(fields, &mut notices);
        assert_eq!(notices, Notices::default());
        match found {
            Ok(Found::Parts(parts)) => parts,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_root_run_is_the_trace_and_every_run_a_span() {
        let child = json!({"id": "r2", "trace_id": "r1", "parent_run_id": "r1", "run_type": "retriever", "name": "search",
            "start_time": "2026-01-01T00:00:00.100000", "inputs": {"query": "q"}, "outputs": {"documents": [{"page_content": "d"}]},
            "error": "slow", "dotted_order": "a.b"});
        let mut root = json!({"id": "r1", "trace_id": "r1", "run_type": "chain", "name": "rag", "inputs": {"q": 1}, "outputs": {"a": 2},
            "start_time": "2026-01-01T00:00:00", "end_time": "2026-01-01T00:00:01.500000+00:00", "status": "success", "error": null,
            "tags": ["prod"], "extra": {"metadata": {"thread_id": "s", "k": "v"}, "runtime": {}}, "session_id": "project",
            "prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7});
        let separate = [parts(&root), parts(&child)].concat();
        let [Part::Trace(trace), Part::Span { trace_id, span }, Part::Span { span: search, .. }] = &*separate else {
            panic!()
        };
        assert_eq!((trace_id.as_str(), span.span_id.as_str(), span.status), ("r1", "r1", SpanStatus::Ok));
        assert_eq!(
            (&trace.inputs, &trace.outputs, trace.state),
            (&Some(json!({"q": 1})), &Some(json!({"a": 2})), TraceState::Ok)
        );
        assert_eq!((trace.session_id.as_deref(), trace.tags["prod"].as_str()), (Some("s"), "true"));
        assert_eq!((trace.request_time_ms, trace.execution_duration_ms), (Some(1_767_225_600_000), Some(1500)));
        assert_eq!(trace.token_usage.unwrap().total_tokens, 7);
        assert_eq!(
            (search.span_type.as_str(), search.parent_id.as_deref(), search.status),
            ("RETRIEVER", Some("r1"), SpanStatus::Error)
        );
        root["child_runs"] = json!([child]);
        assert_eq!(parts(&root), separate);
    }

    #[test]
    fn every_field_of_a_run_has_its_place() {
        let run = json!({"id": "r2", "trace_id": "r1", "parent_run_id": null, "run_type": "llm", "name": "chat", "inputs": {"q": 1}, "outputs": {"a": 2},
            "start_time": "2026-01-01T00:00:00", "end_time": "2026-01-01T00:00:01", "status": "error", "error": "boom", "tags": ["t"],
            "extra": {"metadata": {"session_id": "s", "k": "v"}, "runtime": {"sdk": "x"}}, "events": [{"name": "start"}],
            "prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3});
        let span = Span {
            span_id: "r2".into(),
            name: "chat".into(),
            span_type: SpanType::new("LLM"),
            inputs: Some(json!({"q": 1})),
            outputs: Some(json!({"a": 2})),
            status: SpanStatus::Error,
            status_message: Some("boom".into()),
            start_time_unix_nano: Some(1_767_225_600_000_000_000),
            end_time_unix_nano: Some(1_767_225_601_000_000_000),
            attributes: json!({"runtime": {"sdk": "x"}, "events": [{"name": "start"}]}).as_object().unwrap().clone(),
            ..Span::default()
        };
        let trace = Trace {
            trace_id: "r1".into(),
            inputs: span.inputs.clone(),
            outputs: span.outputs.clone(),
            tags: [("t".to_owned(), "true".to_owned())].into(),
            metadata: [("k".to_owned(), "v".to_owned())].into(),
            session_id: Some("s".into()),
            state: TraceState::Error,
            request_time_ms: Some(1_767_225_600_000),
            execution_duration_ms: Some(1000),
            token_usage: Some(crate::trace::TokenUsage { input_tokens: 1, output_tokens: 2, total_tokens: 3 }),
            ..Trace::default()
        };
        assert_eq!(parts(&run), [Part::Trace(trace), Part::Span { trace_id: "r1".into(), span }]);
    }
}
