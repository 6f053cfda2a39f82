use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::trace::{Span, SpanStatus, SpanType, TokenUsage};

const V3: &str = include_str!("../../../../tests/fixtures/mlflow/3.17.2/traces.to_json.jsonl");
const V3_NAMES: &str = include_str!("../../../../tests/fixtures/mlflow/3.17.2/trace_names.json");
const V2: &str = include_str!("../../../../tests/fixtures/mlflow/2.22.4/traces.to_json.jsonl");

fn read_value(line: &Value) -> Result<Trace, String> {
    let mut notices = Notices::default();
    let Value::Object(fields) = line.clone() else { panic!("{line}") };
    assert!(fits(&fields), "{line}");
    let trace = read_trace(fields, &mut notices)?;
    assert!(
        notices.iter().all(|(notice, _)| *notice == Notice::WithoutSpans),
        "every field that MLflow writes is known"
    );
    Ok(trace)
}

fn read_all(lines: &str) -> Vec<Trace> {
    // `str::lines` splits at `\n` only, as the reader does: the fixture holds a raw U+2028.
    lines.lines().map(|line| read_value(&serde_json::from_str(line).unwrap()).unwrap()).collect()
}

/// The trace of a scenario of the fixture.
fn scenario(name: &str) -> Trace {
    let names: BTreeMap<String, String> = serde_json::from_str(V3_NAMES).unwrap();
    read_all(V3).into_iter().find(|trace| trace.trace_id == names[name]).unwrap()
}

/// Name, type and parent's name of every span.
fn outline(trace: &Trace) -> Vec<(&str, &str, Option<&str>)> {
    let parent = |span: &Span| {
        let id = span.parent_id.as_ref()?;
        Some(trace.spans.iter().find(|other| other.span_id == *id).unwrap().name.as_str())
    };
    trace.spans.iter().map(|span| (span.name.as_str(), span.span_type.as_str(), parent(span))).collect()
}

#[test]
fn a_rag_trace_is_read_whole() {
    let trace = scenario("rag_good");
    assert_eq!(trace.inputs, Some(json!({"question": "What is MLflow Tracking?"})));
    let answer = "MLflow Tracking is an API and UI for logging parameters, code versions, metrics and output files.";
    assert_eq!(trace.outputs, Some(json!({"response": answer})));
    assert_eq!(
        Value::Object(trace.expectations.clone()),
        json!({"expected_facts": ["MLflow Tracking is an API", "MLflow Tracking has a UI"],
            "expected_response": "An API and UI for logging runs."})
    );
    let root = Some("rag_pipeline");
    assert_eq!(
        outline(&trace),
        [
            ("rag_pipeline", "CHAIN", None),
            ("embed_query", "EMBEDDING", root),
            ("retrieve_docs", SpanType::RETRIEVER, root),
            ("chat_completion", "CHAT_MODEL", root)
        ]
    );
    let retriever = &trace.spans[2];
    assert_eq!(
        (retriever.span_id.as_str(), retriever.parent_id.as_deref()),
        ("180139c20723a780", Some("ea3e14428e345bae"))
    );
    assert_eq!(retriever.outputs.as_ref().unwrap()[0]["metadata"]["doc_uri"], json!("docs/tracking.md"));
    assert_eq!((trace.spans[0].status, &trace.spans[0].status_message), (SpanStatus::Ok, &None));
    assert_eq!(trace.spans[0].start_time_unix_nano, Some(1_795_439_390_289_928_789));
    let model = &trace.spans[3].attributes;
    assert_eq!(
        (&model["mlflow.llm.model"], &model["mlflow.chat.tokenUsage"]["total_tokens"]),
        (&json!("gpt-4o-mini"), &json!(134))
    );
    assert!(
        !model
            .keys()
            .any(|key| ["mlflow.spanInputs", "mlflow.spanType", "mlflow.traceRequestId"].contains(&key.as_str()))
    );
    assert_eq!(trace.token_usage, Some(TokenUsage { input_tokens: 102, output_tokens: 32, total_tokens: 134 }));
    assert_eq!(
        (trace.state, trace.request_time_ms, trace.execution_duration_ms),
        (TraceState::Ok, Some(1_795_439_390_289), Some(125))
    );
    assert_eq!((trace.user.as_deref(), trace.session_id.as_deref()), (Some("alice@example.com"), None));
    assert_eq!((trace.tags["env"].as_str(), trace.metadata["mlflow.user"].as_str()), ("prod", "root"));
    assert!(!trace.metadata.contains_key("mlflow.traceInputs"));
    assert_eq!(trace.assessments.len(), 7);
    assert_eq!(trace.assessments[3].span_id.as_ref(), Some(&retriever.span_id), "feedback finds its span");
}

#[test]
fn feedback_that_was_replaced_is_kept_with_its_mark() {
    let trace = scenario("rag_wrong_year");
    let valid: Vec<_> = trace.assessments.iter().map(|feedback| feedback.valid).collect();
    assert_eq!(valid, [Some(false), Some(false), Some(true)]);
    assert_eq!(Value::Object(trace.expectations), json!({"expected_response": "June 2018"}));
}

#[test]
fn text_beyond_ascii_is_kept() {
    let trace = scenario("rag_unicode");
    assert_eq!(trace.inputs, Some(json!({"question": "MLflowとは何ですか？ 🤔 — naïve café Ωμέγα"})));
    let answer = "MLflowは機械学習ライフサイクル管理のためのOSSです。🚀\u{2028}次の行終わり";
    assert_eq!(trace.outputs, Some(json!({"response": answer})));
    assert_eq!(trace.user.as_deref(), Some("ユーザー@例え.jp"));
}

#[test]
fn an_answer_may_be_a_scalar_or_null_or_missing() {
    assert_eq!(scenario("scalar_output").outputs, Some(json!(7.5)));
    assert_eq!(scenario("llm_plain").outputs, Some(json!("HELLO WORLD")));
    assert_eq!(scenario("log_trace_api").outputs, Some(json!("4")), "a text that is a number stays a text");
    assert_eq!(scenario("null_output").outputs, Some(Value::Null));
    let empty = scenario("empty_io");
    assert_eq!((empty.inputs, empty.outputs, empty.spans.len(), empty.state), (None, None, 1, TraceState::Ok));
}

#[test]
fn a_run_that_failed_has_inputs_and_no_outputs() {
    let trace = scenario("error_simple");
    assert_eq!((trace.inputs, trace.outputs), (Some(json!({"x": {"k": [1, null, true]}})), None));
    assert_eq!((trace.state, trace.spans[0].status), (TraceState::Error, SpanStatus::Error));
    assert_eq!(trace.spans[0].status_message.as_deref(), Some("ValueError: bad value: {'k': [1, None, True]}"));
    let trace = scenario("agent_error_root");
    assert_eq!((trace.state, trace.outputs), (TraceState::Error, None));
    let recovered = scenario("agent_tool_error_recovered");
    let statuses: Vec<_> = recovered.spans.iter().map(|span| span.status).collect();
    assert_eq!(
        (recovered.state, statuses),
        (TraceState::Ok, vec![SpanStatus::Ok, SpanStatus::Ok, SpanStatus::Error, SpanStatus::Ok])
    );
}

#[test]
fn the_turns_of_a_conversation_share_a_session() {
    for turn in ["1", "2", "3", "4"] {
        let trace = scenario(&format!("session_turn_{turn}"));
        assert_eq!((trace.session_id.as_deref(), trace.user.as_deref()), (Some("session-7f3a"), Some("carol")));
        assert_eq!(trace.tags["turn"], turn);
        assert!(trace.inputs.unwrap()["messages"].is_array());
    }
}

#[test]
fn long_inputs_come_whole_from_the_root_span_and_not_from_a_preview() {
    let text = scenario("long_input").inputs.unwrap();
    assert!(text["text"].as_str().unwrap().len() > 3000);
}

#[test]
fn nested_spans_and_their_attributes_are_kept() {
    let trace = scenario("workflow_nested");
    let parents: Vec<_> = outline(&trace).into_iter().map(|(_, _, parent)| parent).collect();
    assert_eq!(
        parents,
        [None, Some("workflow"), Some("step"), Some("workflow"), Some("step"), Some("workflow"), Some("step")]
    );
    assert_eq!(trace.spans[1].attributes["custom.attr"], json!({"nested": [0, {"z": null}]}));
    assert_eq!((trace.inputs, trace.outputs), (Some(json!(["a", "b", 3])), Some(json!([0, 1, 4]))));
}

#[test]
fn a_trace_still_running_or_without_data_is_a_trace() {
    let running = json!({"info": {"trace_id": "tr-0616ae8b8b6578e7a264135ff16e33e5", "state": "IN_PROGRESS",
        "request_time": "2026-11-23T13:09:50.679Z", "trace_metadata": {"mlflow.trace_schema.version": "3"}, "tags": {},
        "request_preview": "{\"q\": 1}", "response_preview": null, "execution_duration_ms": null}, "data": {"spans": []}});
    let trace = read_value(&running).unwrap();
    assert_eq!(
        (trace.state, trace.spans.len(), &trace.inputs, &trace.outputs),
        (TraceState::InProgress, 0, &Some(json!({"q": 1})), &None)
    );
    let mut without_data = running;
    without_data.as_object_mut().unwrap().remove("data");
    assert_eq!(read_value(&without_data).unwrap(), trace);
    without_data["data"] = Value::Null;
    assert_eq!(read_value(&without_data).unwrap(), trace);
}

#[test]
fn without_a_root_span_the_best_record_of_the_request_counts() {
    let read = |metadata: Value, preview: &str, data: Value, spans: Value| {
        let line = json!({"info": {"trace_id": "t", "trace_metadata": {"mlflow.traceInputs": metadata}, "request_preview": preview},
            "data": {"request": data, "spans": spans}});
        read_value(&line).map(|trace| trace.inputs)
    };
    assert_eq!(read(json!("{\"m\": 1}"), "{\"p\": 1}", json!("{\"d\": 1}"), json!([])), Ok(Some(json!({"d": 1}))));
    assert_eq!(read(json!("{\"m\": 1}"), "{\"p\": 1}", Value::Null, json!([])), Ok(Some(json!({"m": 1}))));
    assert_eq!(
        read(json!("{\"m\": \"cut o..."), "What is it?", Value::Null, json!([])).unwrap_err(),
        "`info` has only the beginning of the inputs, and no spans: export the trace whole, e.g. \
         `mlflow traces get --trace-id t`"
    );
    assert_eq!(
        read(json!("{\"m\": \"cut o..."), "What is it?", Value::Null, json!([{"name": "root"}])),
        Ok(None),
        "with its spans a trace is whole, and this one recorded no inputs"
    );
}

#[test]
fn of_several_expectations_the_latest_valid_one_about_the_trace_holds() {
    let expectation = |value: &str, time: &str, valid: Value, span: Value| {
        json!({"assessment_name": "e", "expectation": {"value": value}, "last_update_time": time, "create_time": time,
            "valid": valid, "span_id": span, "source": {"source_type": "HUMAN"}})
    };
    let line = json!({"info": {"trace_id": "t", "assessments": [
        expectation("latest", "2026-01-02T00:00:00Z", Value::Null, Value::Null),
        expectation("older", "2026-01-01T00:00:00Z", json!(true), Value::Null),
        expectation("withdrawn", "2026-01-03T00:00:00Z", json!(false), Value::Null),
        expectation("about a span", "2026-01-04T00:00:00Z", json!(true), json!("ea3e14428e345bae")),
    ]}});
    assert_eq!(Value::Object(read_value(&line).unwrap().expectations), json!({"e": "latest"}));
}

#[test]
fn an_assessment_of_another_kind_is_counted_and_a_broken_one_named() {
    let line = |assessment: Value| json!({"info": {"trace_id": "t", "assessments": [assessment]}});
    let Value::Object(fields) = line(json!({"assessment_name": "i", "issue": {"id": 1}})) else { panic!() };
    let mut notices = Notices::default();
    assert!(read_trace(fields, &mut notices).is_ok());
    let expected = [(Notice::WithoutSpans, 1), (Notice::UnknownField("info.assessments[]".into()), 1)];
    assert_eq!(notices, expected.into_iter().collect());
    let error = read_value(&line(json!({"assessment_name": "i", "expectation": {"value": 1}, "create_time": "noon"})))
        .unwrap_err();
    assert!(error.starts_with("`info.assessments[0]`: "), "{error}");
}

#[test]
fn mlflow_2_traces_are_read() {
    let traces = read_all(V2);
    let [complete, boom, rag] = traces.as_slice() else { panic!("{}", traces.len()) };
    assert_eq!(complete.trace_id, "85a21a74cff64b9bad9b700f7f38f379");
    assert_eq!((&complete.inputs, &complete.outputs), (&Some(json!({"prompt": "hello"})), &Some(json!("HELLO"))));
    assert_eq!((complete.request_time_ms, complete.execution_duration_ms), (Some(1_795_439_573_702), Some(11)));
    assert_eq!((complete.spans[0].span_id.as_str(), complete.spans[0].span_type.as_str()), ("b207d5ec2176803c", "LLM"));
    assert_eq!(complete.spans[0].end_time_unix_nano, Some(1_795_439_573_713_341_739));
    assert_eq!((boom.state, &boom.outputs), (TraceState::Error, &None));
    assert_eq!(boom.spans[0].status_message.as_deref(), Some("ValueError: bad value"));
    assert_eq!(
        outline(rag),
        [
            ("rag_pipeline", "CHAIN", None),
            ("retrieve_docs", "RETRIEVER", Some("rag_pipeline")),
            ("chat", "CHAT_MODEL", Some("rag_pipeline"))
        ]
    );
    assert_eq!(rag.spans[1].outputs.as_ref().unwrap()[1]["page_content"], json!("…ユニコード🚀"));
    assert_eq!(rag.tags["env"], "prod");
}

#[test]
fn durations_and_wrong_types_are_told_apart() {
    let info = |key: &str, value: Value| read_value(&json!({"info": {key: value}}));
    assert_eq!(info("execution_duration", json!("0.125s")).unwrap().execution_duration_ms, Some(125));
    assert_eq!(info("execution_duration", json!("12s")).unwrap().execution_duration_ms, Some(12_000));
    for (key, value, reason) in [
        (
            "execution_duration",
            json!("soon"),
            "`info.execution_duration` must be a duration such as `0.125s`, found a string",
        ),
        ("tags", json!(true), "`info.tags` must be an object or a list of strings, found a boolean"),
        ("assessments", json!({}), "`info.assessments` must be a list of objects, found an object"),
    ] {
        assert_eq!(info(key, value).unwrap_err(), reason);
    }
}

#[test]
fn a_token_count_that_cannot_be_read_is_left_out() {
    let usage = |text: &str| {
        let line = json!({"info": {"trace_id": "t", "trace_metadata": {"mlflow.trace.tokenUsage": text}}});
        read_value(&line).unwrap().token_usage
    };
    assert_eq!(usage("{\"input_tokens\": 1, \"output_tokens\": 2}").unwrap().total_tokens, 3);
    assert_eq!((usage("{cut off"), usage("")), (None, None));
}
