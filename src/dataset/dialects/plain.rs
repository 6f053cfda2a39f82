//! The plain dialect: what a person writes, or a script of three lines.
//!
//! ```json
//! {"trace_id": "t1", "inputs": {"question": "..."}, "outputs": "...", "expectations": {"expected_response": "..."},
//!  "tags": {"env": "prod"}, "spans": [{"name": "search", "span_type": "RETRIEVER", "outputs": [{"page_content": "..."}]}]}
//! ```
//! Only `inputs` is required. What [`Trace`] serializes to is of this dialect.

use serde_json::{Map, Value};

use crate::dataset::dialects::dialect::{Dialect, Found};
use crate::dataset::dialects::fields::{UnknownFields, count, count_unknown, list, object, strings, text, time_ms};
use crate::dataset::dialects::span::{self, Style};
use crate::trace::{TokenUsage, Trace, TraceState};

pub(crate) const DIALECT: Dialect =
    Dialect { name: "plain", title: "plain", keys: "`inputs`, `outputs`, `expectations`", fits, read };

/// Every field of this dialect.
pub(crate) const FIELDS: [&str; 14] = [
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
    "request_time",
    "request_time_ms",
    "execution_duration_ms",
    "token_usage",
];

fn fits(object: &Map<String, Value>) -> bool {
    // Beside messages, outputs are the answer to a chat.
    object.contains_key("inputs") || object.contains_key("outputs") && !object.contains_key("messages")
}

fn read(fields: Map<String, Value>, unknown: &mut UnknownFields) -> Result<Found, String> {
    let trace = read_fields(fields, unknown)?;
    if trace.inputs.is_none() {
        return Err(
            "`inputs` is missing; write what the user asked, e.g. \"inputs\": {\"question\": \"...\"}".to_owned()
        );
    }
    Ok(Found::Trace(trace))
}

/// The trace, whatever it lacks.
pub(crate) fn read_fields(fields: Map<String, Value>, unknown: &mut UnknownFields) -> Result<Trace, String> {
    let mut trace = Trace::default();
    for (key, value) in fields {
        let name = key.as_str();
        match name {
            "trace_id" => trace.trace_id = text(name, value)?.unwrap_or_default(),
            "inputs" => trace.inputs = Some(value),
            "outputs" => trace.outputs = Some(value),
            "expectations" => trace.expectations = object(name, value)?,
            "spans" => trace.spans = span::read_all(list(name, "a list of objects", value)?, Style::Plain, unknown)?,
            "tags" => trace.tags = strings(name, value)?,
            "metadata" => trace.metadata = strings(name, value)?,
            "session_id" => trace.session_id = text(name, value)?,
            "user" => trace.user = text(name, value)?,
            "state" => trace.state = TraceState::from_name(&text(name, value)?.unwrap_or_default()),
            "request_time" | "request_time_ms" => trace.request_time_ms = time_ms(name, value)?,
            "execution_duration_ms" => trace.execution_duration_ms = count(name, value)?,
            "token_usage" => trace.token_usage = Some(token_usage(name, value)?),
            _ => count_unknown(unknown, key),
        }
    }
    Ok(trace)
}

/// The tokens in an object `{"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}`, also by the names that OpenAI's chat
/// completions and Langfuse have for them; a missing sum is computed.
pub(crate) fn token_usage(name: &str, value: Value) -> Result<TokenUsage, String> {
    let mut usage = TokenUsage::default();
    let mut total = None;
    for (key, value) in object(name, value)? {
        let tokens = |value| count(format_args!("{name}.{key}"), value);
        match key.as_str() {
            "input_tokens" | "prompt_tokens" | "input" => usage.input_tokens = tokens(value)?.unwrap_or_default(),
            "output_tokens" | "completion_tokens" | "output" => {
                usage.output_tokens = tokens(value)?.unwrap_or_default();
            }
            "total_tokens" | "total" => total = tokens(value)?,
            _ => {}
        }
    }
    usage.total_tokens = total.unwrap_or_else(|| usage.input_tokens.saturating_add(usage.output_tokens));
    Ok(usage)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::trace::{SpanStatus, SpanType};

    fn read_line(line: &Value) -> (Result<Trace, String>, UnknownFields) {
        let mut unknown = UnknownFields::new();
        let Value::Object(fields) = line.clone() else { panic!("{line}") };
        let read = read(fields, &mut unknown).map(|found| match found {
            Found::Trace(trace) => trace,
            other => panic!("{other:?}"),
        });
        (read, unknown)
    }

    fn trace(line: &Value) -> Trace {
        read_line(line).0.unwrap()
    }

    #[test]
    fn a_line_with_everything_is_read() {
        let (trace, unknown) = read_line(&json!({
            "trace_id": 17, "inputs": {"q": 1}, "outputs": null, "expectations": {"expected_facts": ["a"]},
            "tags": {"env": "prod", "n": 1}, "metadata": null, "session_id": "s", "user": "u", "state": "error",
            "request_time": "1970-01-01T00:00:01Z", "execution_duration_ms": 12, "note": "mine",
            "token_usage": {"input_tokens": 1, "output_tokens": 2},
            "spans": [{"name": "search", "type": "retriever", "outputs": [{"page_content": "x"}], "colour": 1}],
        }));
        let trace = trace.unwrap();
        assert_eq!(
            (trace.trace_id.as_str(), &trace.inputs, &trace.outputs),
            ("17", &Some(json!({"q": 1})), &Some(Value::Null))
        );
        assert_eq!(trace.expectations["expected_facts"], json!(["a"]));
        assert_eq!((trace.tags["env"].as_str(), trace.tags["n"].as_str(), trace.metadata.len()), ("prod", "1", 0));
        assert_eq!(
            (trace.session_id.as_deref(), trace.user.as_deref(), trace.state),
            (Some("s"), Some("u"), TraceState::Error)
        );
        assert_eq!((trace.request_time_ms, trace.execution_duration_ms), (Some(1000), Some(12)));
        assert_eq!(trace.token_usage.unwrap().total_tokens, 3);
        assert_eq!(trace.spans[0].span_type.as_str(), SpanType::RETRIEVER);
        assert_eq!(trace.spans[0].outputs, Some(json!([{"page_content": "x"}])));
        assert_eq!(unknown, UnknownFields::from([("note".into(), 1), ("spans[].colour".into(), 1)]));
    }

    #[test]
    fn a_missing_answer_is_not_an_answer_of_null() {
        assert_eq!(trace(&json!({"inputs": null})).outputs, None);
        assert_eq!(trace(&json!({"inputs": null})).inputs, Some(Value::Null));
        assert!(read_line(&json!({"outputs": 1})).0.unwrap_err().starts_with("`inputs` is missing; "));
    }

    #[test]
    fn what_a_trace_serializes_to_is_read_back() {
        let written = trace(&json!({
            "trace_id": "t", "inputs": [1], "outputs": 2, "expectations": {"e": 1}, "tags": {"a": "b"}, "metadata": {"c": "d"},
            "session_id": "s", "user": "u", "state": "IN_PROGRESS", "request_time_ms": 5, "execution_duration_ms": 6,
            "token_usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 4},
            "spans": [{"span_id": "a", "name": "n", "inputs": 1, "status": "ERROR", "status_message": "m",
                       "start_time_unix_nano": 1, "end_time_unix_nano": 2, "attributes": {"k": "5"}},
                      {"span_id": "b", "parent_id": "a", "name": "n", "outputs": null}],
        }));
        assert_eq!(trace(&serde_json::to_value(&written).unwrap()), written);
    }

    #[test]
    fn spans_without_ids_are_numbered_and_nest_by_parent_id() {
        let spans =
            trace(&json!({"inputs": 1, "spans": [{}, {"parent_span_id": "x", "status": {"code": "STATUS_CODE_OK"}}]}))
                .spans;
        assert_eq!((spans[0].span_id.as_str(), spans[1].span_id.as_str()), ("0000000000000001", "0000000000000002"));
        assert_eq!((spans[1].parent_id.as_deref(), spans[1].status), (Some("x"), SpanStatus::Ok));
    }

    #[test]
    fn a_wrong_type_names_the_field() {
        let reason = |field: &str, value: Value| read_line(&json!({"inputs": 1, field: value})).0.unwrap_err();
        assert_eq!(reason("tags", json!([])), "`tags` must be an object of strings, found a list");
        assert_eq!(reason("trace_id", json!({})), "`trace_id` must be a string, found an object");
        assert_eq!(reason("expectations", json!("x")), "`expectations` must be an object, found a string");
        assert_eq!(reason("spans", json!({})), "`spans` must be a list of objects, found an object");
        assert_eq!(reason("spans", json!([{}, 1])), "`spans[1]` must be an object, found a number");
        assert_eq!(reason("spans", json!([{"name": []}])), "`spans[0].name` must be a string, found a list");
        assert_eq!(
            reason("token_usage", json!({"input_tokens": "x"})),
            "`token_usage.input_tokens` must be a number that is not negative, found a string"
        );
    }
}
