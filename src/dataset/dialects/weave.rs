//! Weave's calls, one per object, as its API exports them. The calls of a trace are joined by `trace_id`.
//!
//! ```json
//! {"id": "c1", "trace_id": "t1", "parent_id": null, "op_name": "weave:///team/app/op/ask:v1", "inputs": {}, "output": "..."}
//! ```
//! Source: `weave.trace_server.trace_server_interface.CallSchema`.

use serde_json::{Map, Value};

use crate::dataset::dialects::dialect::{Dialect, Found};
use crate::dataset::dialects::fields::{facts, member, object, text};
use crate::dataset::dialects::messages;
use crate::dataset::dialects::part::Part;
use crate::dataset::dialects::times;
use crate::dataset::notice::Notices;
use crate::trace::{Span, SpanStatus, SpanType, Trace, TraceState};

pub(crate) const DIALECT: Dialect = Dialect { name: "weave", title: "Weave's calls", fits, read };

fn fits(object: &Map<String, Value>) -> bool {
    member(object, "op_name").is_some() && member(object, "trace_id").is_some()
}

fn read(fields: Map<String, Value>, notices: &mut Notices) -> Result<Found, String> {
    let (mut trace, mut span) = (Trace::default(), Span::default());
    let mut shown_name = None;
    for (key, value) in fields {
        let name = key.as_str();
        match name {
            _ if value.is_null() && name != "output" => {}
            "id" => span.span_id = text(name, value)?.unwrap_or_default(),
            "trace_id" => trace.trace_id = text(name, value)?.unwrap_or_default(),
            "parent_id" => span.parent_id = text(name, value)?,
            "op_name" => span.name = short(&text(name, value)?.unwrap_or_default()).to_owned(),
            "display_name" => shown_name = text(name, value)?,
            "inputs" => span.inputs = Some(without_self(value)),
            "output" => span.outputs = Some(answer(value)),
            "started_at" => span.start_time_unix_nano = times::ns(name, &value, notices),
            "ended_at" => span.end_time_unix_nano = times::ns(name, &value, notices),
            "exception" => span.status_message = text(name, value)?,
            "thread_id" => trace.session_id = text(name, value)?,
            "wb_user_id" => trace.user = text(name, value)?,
            "attributes" => trace.metadata = facts(name, value),
            "summary" => span.attributes.extend(object(name, value)?),
            "project_id"
            | "wb_run_id"
            | "wb_run_step"
            | "deleted_at"
            | "turn_id"
            | "storage_size_bytes"
            | "total_storage_size_bytes" => {}
            _ => notices.unknown(key),
        }
    }
    span.name = shown_name.unwrap_or(span.name);
    if span.status_message.is_some() {
        span.status = SpanStatus::Error;
        if span.outputs == Some(Value::Null) {
            span.outputs = None;
        }
    }
    let is_model = span.inputs.as_ref().is_some_and(|inputs| inputs.get("messages").is_some());
    span.span_type = SpanType::new(if is_model { "CHAT_MODEL" } else { "UNKNOWN" });
    if span.parent_id.is_none() && span.status == SpanStatus::Error {
        trace.state = TraceState::Error;
    }
    if span.parent_id.is_some() {
        trace.metadata.clear();
    }
    let trace_id = trace.trace_id.clone();
    Ok(Found::Parts(vec![Part::Trace(trace), Part::Span { trace_id, span }]))
}

/// `ask` of `weave:///team/app/op/ask:v1`.
fn short(op_name: &str) -> &str {
    let name = op_name.rsplit('/').next().unwrap_or(op_name);
    name.split(':').next().unwrap_or(name)
}

/// The inputs without the object that a method belongs to.
fn without_self(inputs: Value) -> Value {
    match inputs {
        Value::Object(mut fields) if fields.len() > 1 => {
            fields.shift_remove("self");
            Value::Object(fields)
        }
        other => other,
    }
}

/// The answer in a model's response; any other output as it is.
fn answer(output: Value) -> Value {
    if output.get("choices").is_some_and(Value::is_array) {
        return messages::answer(messages::read(output, "assistant")).unwrap_or_default();
    }
    output
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parts(line: &Value) -> (Trace, Span) {
        let fields = line.as_object().unwrap().clone();
        assert!(fits(&fields));
        let mut notices = Notices::default();
        let Ok(Found::Parts(parts)) = read(fields, &mut notices) else { panic!("{line}") };
        assert!(notices.is_empty(), "{notices:?}");
        let [Part::Trace(trace), Part::Span { trace_id, span }] = &*parts else { panic!("{parts:?}") };
        assert_eq!(trace_id, &trace.trace_id);
        (trace.clone(), span.clone())
    }

    #[test]
    fn a_call_is_a_span_in_all_its_fields() {
        let (trace, span) = parts(
            &json!({"id": "c1", "project_id": "t/app", "op_name": "weave:///t/app/op/ask:v1", "trace_id": "t1",
            "parent_id": null, "started_at": "2026-01-05T10:00:00Z", "ended_at": "2026-01-05T10:00:01Z",
            "inputs": {"self": "obj", "question": "q"}, "output": "a", "exception": null, "thread_id": "s", "wb_user_id": "u",
            "attributes": {"env": "prod"}, "summary": {"usage": {"m": {"requests": 1}}}}),
        );
        let expected = Trace {
            trace_id: "t1".into(),
            session_id: Some("s".into()),
            user: Some("u".into()),
            metadata: [("env".to_owned(), "prod".to_owned())].into(),
            ..Trace::default()
        };
        assert_eq!(trace, expected);
        let expected = Span {
            span_id: "c1".into(),
            name: "ask".into(),
            inputs: Some(json!({"question": "q"})),
            outputs: Some(json!("a")),
            start_time_unix_nano: Some(1_767_607_200_000_000_000),
            end_time_unix_nano: Some(1_767_607_201_000_000_000),
            attributes: json!({"usage": {"m": {"requests": 1}}}).as_object().unwrap().clone(),
            ..Span::default()
        };
        assert_eq!(span, expected);
    }

    #[test]
    fn a_call_of_a_model_and_one_that_failed_are_told_apart() {
        let (trace, model) =
            parts(&json!({"id": "c2", "trace_id": "t1", "parent_id": "c1", "op_name": "chat", "display_name": "Chat",
            "inputs": {"messages": [{"role": "user", "content": "q"}]}, "attributes": {"a": 1},
            "output": {"choices": [{"message": {"role": "assistant", "content": "a"}}]}}));
        assert_eq!(
            (model.span_type.as_str(), model.name.as_str(), model.parent_id.as_deref()),
            ("CHAT_MODEL", "Chat", Some("c1"))
        );
        assert_eq!((model.outputs, trace.metadata.len()), (Some(json!("a")), 0));
        let (trace, failed) = parts(
            &json!({"id": "c1", "trace_id": "t1", "op_name": "ask", "inputs": {}, "output": null, "exception": "boom"}),
        );
        assert_eq!(
            (failed.status, failed.status_message.as_deref(), failed.outputs),
            (SpanStatus::Error, Some("boom"), None)
        );
        assert_eq!(trace.state, TraceState::Error);
    }
}
