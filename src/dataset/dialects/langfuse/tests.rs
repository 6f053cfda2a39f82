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

/// Rows of an export to a bucket: underscores, texts for everything nested, ClickHouse's times.
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

#[test]
fn every_field_of_a_trace_an_observation_and_a_score_has_its_place() {
    let line = json!({"id": "t1", "timestamp": "2026-01-02T03:04:05.678Z", "name": "rag", "input": "q", "output": "a", "sessionId": "s1",
        "userId": "ann", "metadata": {"k": 1}, "tags": ["prod"], "release": "r", "version": "v", "environment": "e", "latency": 1.25,
        "totalCost": 0.5, "usage": {"input": 1, "output": 2, "total": 3}, "htmlPath": "/", "public": false,
        "observations": [{"id": "o1", "traceId": "t1", "type": "GENERATION", "name": "chat", "parentObservationId": "o0",
            "startTime": "2026-01-02T03:04:05Z", "endTime": "2026-01-02T03:04:06Z", "input": "i", "output": "{\"o\": 1}", "level": "ERROR",
            "statusMessage": "late", "model": "m", "metadata": "{\"x\": 1}", "usageDetails": {"input": 1}}],
        "scores": [{"id": "c1", "traceId": "t1", "observationId": "o1", "name": "tone", "value": 0.5, "dataType": "NUMERIC",
            "source": "ANNOTATION", "authorUserId": "bob", "comment": "fine", "metadata": {"m": "1"},
            "timestamp": "2026-01-02T03:04:07Z", "updatedAt": "2026-01-02T03:04:09Z"}]});
    let mut span = Span {
        span_id: "o1".into(),
        parent_id: Some("o0".into()),
        name: "chat".into(),
        span_type: SpanType::new("LLM"),
        inputs: Some(json!("i")),
        outputs: Some(json!({"o": 1})),
        status: SpanStatus::Error,
        status_message: Some("late".into()),
        start_time_unix_nano: Some(1_767_323_045_000_000_000),
        end_time_unix_nano: Some(1_767_323_046_000_000_000),
        attributes: json!({"metadata": {"x": 1}, "model": "m", "usage_details": {"input": 1}})
            .as_object()
            .unwrap()
            .clone(),
    };
    span.attributes.sort_keys();
    let score = Feedback {
        assessment_id: Some("c1".into()),
        name: "tone".into(),
        value: Some(json!(0.5)),
        rationale: Some("fine".into()),
        source: Source { source_type: SourceType::Human, source_id: Some("bob".into()) },
        metadata: [("m".to_owned(), "1".to_owned())].into(),
        create_time_ms: 1_767_323_047_000,
        last_update_time_ms: 1_767_323_049_000,
        trace_id: Some("t1".into()),
        span_id: Some("o1".into()),
        ..Feedback::default()
    };
    let metadata =
        [("environment", "e"), ("k", "1"), ("name", "rag"), ("release", "r"), ("total_cost", "0.5"), ("version", "v")];
    let expected = Trace {
        trace_id: "t1".into(),
        inputs: Some(json!("q")),
        outputs: Some(json!("a")),
        spans: vec![span],
        tags: [("prod".to_owned(), "true".to_owned())].into(),
        metadata: metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        session_id: Some("s1".into()),
        user: Some("ann".into()),
        request_time_ms: Some(1_767_323_045_678),
        execution_duration_ms: Some(1250),
        token_usage: Some(crate::trace::TokenUsage { input_tokens: 1, output_tokens: 2, total_tokens: 3 }),
        assessments: vec![score],
        ..Trace::default()
    };
    assert_eq!(trace(&line), expected);
}

#[test]
fn a_score_is_what_its_type_says() {
    let value = |fields: Value| {
        let mut line = json!({"id": "c", "traceId": "t", "name": "n", "source": "API"});
        line.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        match &*parts(&line) {
            [Part::Trace(trace)] => trace.assessments[0].value.clone().unwrap(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(value(json!({"value": 1, "dataType": "BOOLEAN", "stringValue": "True"})), json!(true));
    assert_eq!(value(json!({"value": 0, "dataType": "BOOLEAN", "stringValue": "False"})), json!(false));
    assert_eq!(value(json!({"value": "1", "dataType": "BOOLEAN"})), json!(true));
    assert_eq!(value(json!({"value": 3, "dataType": "CATEGORICAL", "stringValue": "warm"})), json!("warm"));
    assert_eq!(value(json!({"value": "0.25", "dataType": "NUMERIC"})), json!(0.25));
    assert_eq!(value(json!({"value": "warm"})), json!("warm"));
    assert_eq!(value(json!({"value": null, "stringValue": "warm"})), json!("warm"));
}

#[test]
fn what_the_page_of_a_trace_downloads_is_decoded() {
    let observation = json!({"id": "o1", "traceId": "t1", "type": "SPAN", "startTime": "2026-01-02T03:04:05Z", "input": "\"i\"", "metadata": "{}"});
    let line = json!({"trace": {"id": "t1", "timestamp": "2026-01-02T03:04:05Z", "input": "{\"q\": 1}", "output": "\"a\"", "sessionId": "s",
        "metadata": "{\"k\": 1}", "observations": [observation]}, "observations": [observation]});
    let trace = trace(&line);
    assert_eq!((trace.inputs, trace.outputs), (Some(json!({"q": 1})), Some(json!("a"))));
    assert_eq!((trace.metadata["k"].as_str(), trace.spans.len(), &trace.spans[0].inputs), ("1", 1, &Some(json!("i"))));
}
