use std::collections::BTreeMap;

use serde_json::json;

use super::*;

fn found(line: &Value) -> (Result<Found, String>, Notices) {
    let fields = line.as_object().unwrap().clone();
    assert_eq!(Dialect::of(&fields).map(|dialect| dialect.name), Some("langfuse"), "{line}");
    let mut notices = Notices::default();
    (read(fields, &mut notices), notices)
}

fn trace(line: &Value) -> Trace {
    match found(line) {
        (Ok(Found::Trace(trace)), notices) => {
            assert_eq!(notices, Notices::default());
            trace
        }
        other => panic!("{other:?}"),
    }
}

fn parts(line: &Value) -> Vec<Part> {
    match found(line) {
        (Ok(Found::Parts(parts)), notices) => {
            assert_eq!(notices, Notices::default());
            parts
        }
        other => panic!("{other:?}"),
    }
}

/// `GET /api/public/traces/{id}`: the fields of `TraceWithFullDetails`.
fn full() -> Value {
    serde_json::from_str(include_str!("../../../../tests/fixtures/langfuse/trace.json")).unwrap()
}

#[test]
fn a_trace_of_the_api_is_read_whole() {
    let trace = trace(&full());
    assert_eq!((&trace.inputs, &trace.outputs), (&Some(json!({"question": "Why?"})), &Some(json!("Because."))));
    assert_eq!((trace.session_id.as_deref(), trace.user.as_deref()), (Some("s1"), Some("ann")));
    assert_eq!((trace.request_time_ms, trace.execution_duration_ms), (Some(1_767_323_045_678), Some(1250)));
    assert_eq!(trace.tags.keys().collect::<Vec<_>>(), ["eu", "prod"]);
    assert_eq!((trace.metadata["k"].as_str(), trace.metadata["name"].as_str()), ("1", "rag"));
    let outline: Vec<_> =
        trace.spans.iter().map(|s| (s.span_id.as_str(), s.span_type.as_str(), s.parent_id.as_deref())).collect();
    assert_eq!(outline, [("o1", "SPAN", None), ("o2", "RETRIEVER", Some("o1")), ("o3", "LLM", Some("o1"))]);
    assert_eq!(trace.spans[1].attributes["level"], "WARNING");
    assert_eq!(trace.spans[2].attributes["usage_details"]["total"], 7);
    assert_eq!(trace.spans[0].start_time_unix_nano, Some(1_767_323_045_678_000_000));
}

#[test]
fn scores_are_feedback_by_those_who_gave_them() {
    let scores = trace(&full()).assessments;
    let outline: Vec<_> =
        scores.iter().map(|s| (s.name.as_str(), s.value.clone().unwrap(), s.source.source_type)).collect();
    assert_eq!(
        outline,
        [
            ("helpful", json!(true), SourceType::Human),
            ("tone", json!("warm"), SourceType::LlmJudge),
            ("length", json!(0.5), SourceType::Code)
        ]
    );
    let first = &scores[0];
    assert_eq!((first.span_id.as_deref(), first.rationale.as_deref()), (Some("o2"), Some("yes")));
    assert_eq!((first.source.source_id.as_deref(), first.last_update_time_ms), (Some("bob"), 1_767_484_800_000));
}

#[test]
fn without_inputs_of_its_own_a_trace_has_those_of_its_root() {
    let mut line = full();
    line["input"] = Value::Null;
    line["output"] = Value::Null;
    line["observations"][1]["input"] = json!("root asks");
    line["observations"][1]["level"] = json!("ERROR");
    let trace = trace(&line);
    assert_eq!((trace.inputs, trace.outputs, trace.state), (Some(json!("root asks")), None, TraceState::Error));
}

/// Rows of an export to a bucket: underscores, texts for all that nests, ClickHouse's times.
#[test]
fn rows_of_an_export_say_the_same_as_the_api() {
    let whole = trace(&full());
    let row = json!({"id": "t1", "timestamp": "2026-01-02 03:04:05.678000", "name": "rag", "input": "{\"question\": \"Why?\"}",
        "output": "Because.", "session_id": "s1", "user_id": "ann", "version": "7", "metadata": "{\"k\": 1, \"v\": \"x\"}",
        "tags": "[\"prod\", \"eu\"]", "environment": "default", "project_id": "p", "release": ""});
    let [Part::Trace(head)] = &*parts(&row) else { panic!() };
    assert_eq!((&head.inputs, &head.outputs, &head.tags), (&whole.inputs, &whole.outputs, &whole.tags));
    assert_eq!(
        (head.request_time_ms, &head.session_id, &head.user),
        (whole.request_time_ms, &whole.session_id, &whole.user)
    );
    let labels = |trace: &Trace| -> BTreeMap<String, String> {
        trace.metadata.clone().into_iter().filter(|(key, _)| key != "total_cost").collect()
    };
    assert_eq!(labels(head), labels(&whole));

    let row = json!({"id": "o2", "trace_id": "t1", "project_id": "p", "type": "RETRIEVER", "parent_observation_id": "o1", "name": "search",
        "start_time": "2026-01-02 03:04:05.700", "end_time": "2026-01-02 03:04:05.800", "level": "WARNING", "status_message": "slow",
        "input": "Why?", "output": "[{\"page_content\": \"It is so.\"}]", "metadata": "{}", "version": ""});
    let [Part::Trace(head), Part::Span { trace_id, span }] = &*parts(&row) else { panic!() };
    assert_eq!((head.trace_id.as_str(), trace_id.as_str()), ("t1", "t1"));
    // The API says more about an observation than that row.
    let without_attributes = |span: &Span| Span { attributes: Map::new(), ..span.clone() };
    assert_eq!(without_attributes(span), without_attributes(&whole.spans[1]));

    let row = json!({"id": "c3", "trace_id": "t1", "name": "length", "value": "0.5", "data_type": "NUMERIC", "source": "API",
        "timestamp": "2026-01-03 00:00:00.000", "comment": ""});
    let [Part::Trace(head)] = &*parts(&row) else { panic!() };
    assert_eq!(head.assessments, [whole.assessments[2].clone()]);
}

#[test]
fn a_page_holds_parts_and_a_broken_item_is_named() {
    let page = |name: Value| {
        json!({"data": [{"id": "t1", "timestamp": "2026-01-01T00:00:00Z", "input": 1, "sessionId": null, "observations": ["o1"], "scores": ["c1"]},
            {"id": "o1", "traceId": "t1", "type": "TOOL", "startTime": "2026-01-01T00:00:00Z", "name": name}], "meta": {"page": 1, "totalPages": 1}})
    };
    assert_eq!(parts(&page(json!("n"))).len(), 3);
    assert_eq!(found(&page(json!([]))).0.unwrap_err(), "`data[1].name` must be a string, found a list");
}

#[test]
fn what_is_not_known_is_counted() {
    let line = json!({"id": "t", "timestamp": "2026-01-01T00:00:00Z", "input": 1, "observations": [
        {"id": "o", "colour": 1}], "scores": [{"id": "s", "shade": 1}], "mood": 1});
    assert_eq!(found(&line).1.unknown_names(), ["mood", "observations[].colour", "scores[].shade"]);
}
