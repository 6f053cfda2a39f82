//! The plain dialect: what a person writes, or a script of three lines.
//!
//! ```json
//! {"trace_id": "t1", "inputs": {"question": "..."}, "outputs": "...", "expectations": {"expected_response": "..."},
//!  "tags": {"env": "prod"}, "spans": [{"name": "search", "span_type": "RETRIEVER", "outputs": [{"page_content": "..."}]}]}
//! ```
//! Only `inputs` is required. What a [`Trace`](crate::trace::Trace) serializes to is of this dialect. What it lacks is looked for under
//! other names.

use serde_json::{Map, Value};

use crate::dataset::dialects::dialect::{Dialect, Found};
use crate::dataset::dialects::fields::member;
use crate::dataset::dialects::{rows, trace_fields};
use crate::dataset::notice::Notices;

pub(crate) const DIALECT: Dialect =
    Dialect { name: "plain", title: "plain (`inputs`, `outputs`, `expectations`)", fits, read };

fn fits(object: &Map<String, Value>) -> bool {
    // Next to messages, outputs are the answer to a chat.
    let has = |key: &str| member(object, key).is_some();
    has("inputs") || has("outputs") && !has("messages")
}

fn read(fields: Map<String, Value>, notices: &mut Notices) -> Result<Found, String> {
    let (mut trace, rest) = trace_fields::read(fields, notices)?;
    rows::fill(&mut trace, rest, notices);
    if trace.inputs.is_none() {
        return Err("`inputs` is missing: what the user asked, such as {\"question\": \"...\"}".to_owned());
    }
    Ok(Found::Trace(trace))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::dataset::notice::Notice;
    use crate::trace::{SpanStatus, SpanType, Trace, TraceState};

    fn read_line(line: &Value) -> (Result<Trace, String>, Notices) {
        let mut notices = Notices::default();
        let Value::Object(fields) = line.clone() else { panic!("{line}") };
        let read = read(fields, &mut notices).map(|found| match found {
            Found::Trace(trace) => trace,
            other => panic!("{other:?}"),
        });
        (read, notices)
    }

    fn trace(line: &Value) -> Trace {
        read_line(line).0.unwrap()
    }

    #[test]
    fn a_line_with_everything_is_read() {
        let (trace, notices) = read_line(&json!({
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
        assert_eq!(notices.unknown_names(), ["note", "spans[].colour"]);
    }

    #[test]
    fn a_missing_answer_is_not_an_answer_of_null() {
        assert_eq!(trace(&json!({"inputs": null})).outputs, None);
        assert_eq!(trace(&json!({"inputs": null})).inputs, Some(Value::Null));
        assert!(read_line(&json!({"outputs": 1})).0.unwrap_err().starts_with("`inputs` is missing: "));
    }

    #[test]
    fn what_a_trace_lacks_is_found_under_other_names() {
        let (read, notices) =
            read_line(&json!({"inputs": "q", "output": "a", "expected": "e", "contexts": ["c"], "input": "x"}));
        let read = read.unwrap();
        assert_eq!((&read.inputs, &read.outputs), (&Some(json!("q")), &Some(json!("a"))));
        assert_eq!(
            (&read.expectations["expected_response"], &read.spans[0].outputs),
            (&json!("e"), &Some(json!(["c"])))
        );
        assert_eq!(notices.unknown_names(), ["input"]);
        let (read, notices) =
            read_line(&json!({"inputs": "q", "outputs": "a", "output": "b", "id": "7", "tags": ["t"]}));
        let read = read.unwrap();
        assert_eq!((&read.outputs, read.tags["t"].as_str(), read.trace_id.as_str()), (&Some(json!("a")), "true", ""));
        assert_eq!(notices.unknown_names(), ["id", "output"]);
        assert!(!notices.iter().any(|(notice, _)| matches!(notice, Notice::ReadAs { .. })));
    }

    #[test]
    fn a_time_that_cannot_be_read_costs_no_trace() {
        let (read, notices) = read_line(&json!({"inputs": 1, "request_time": "noon", "spans": [{"start_time": "x"}]}));
        assert_eq!(read.unwrap().request_time_ms, None);
        assert_eq!(notices.iter().count(), 2);
        assert_eq!(
            trace(&json!({"inputs": 1, "request_time": "2026-01-05 10:00:00"})).request_time_ms,
            Some(1_767_607_200_000)
        );
        assert_eq!(
            trace(&json!({"inputs": 1, "request_time": 1_767_607_200})).request_time_ms,
            Some(1_767_607_200_000)
        );
        assert_eq!(trace(&json!({"inputs": 1, "request_time": ""})).request_time_ms, None);
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
        assert_eq!(reason("tags", json!(1)), "`tags` must be an object or a list of strings, found a number");
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
