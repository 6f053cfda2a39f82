//! Traces as OpenTelemetry's spans, written by real SDKs: `fixtures/otel/README.md` says by which.

use std::path::Path;

use judge_run::dataset::{DatasetOptions, DatasetReader, Entry, Notice};
use judge_run::judge::{Judge, library};
use judge_run::trace::Trace;
use serde_json::{Value, json};

/// The traces of a fixture, in order; every field in it must be known.
fn read(file: &str) -> Vec<Trace> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(file);
    let mut reader = DatasetReader::open(DatasetOptions::new([path])).unwrap();
    let traces = reader.by_ref().map(|entry| match entry.unwrap() {
        Entry::Trace(trace) => trace.value,
        other => panic!("{other:?}"),
    });
    let traces = traces.collect();
    // Some of MLflow's traces record nothing but that they happened.
    let is_empty =
        |notice: &Notice| matches!(notice, Notice::EmptySpans { attributes } if attributes.starts_with("mlflow."));
    let notices = &reader.stats().notices;
    assert!(
        notices.iter().all(|(notice, _)| is_empty(notice)),
        "every field that these tools write is known: {notices:?}"
    );
    traces
}

/// What each built-in judge would ask about a trace, or why it cannot.
fn prompts(trace: &Trace) -> Vec<String> {
    let judges = library::BUILT_IN.iter().map(|(name, text)| Judge::compile(name, text, name).unwrap());
    judges.map(|judge| format!("{:?}", judge.request(trace))).collect()
}

/// Type, inputs and outputs of every span.
fn spans(trace: &Trace) -> Vec<(&str, Option<&Value>, Option<&Value>)> {
    trace.spans.iter().map(|span| (span.span_type.as_str(), span.inputs.as_ref(), span.outputs.as_ref())).collect()
}

fn asked(text: &str) -> Value {
    json!({"messages": [{"role": "user", "content": text}]})
}

fn call(arguments: &str) -> Value {
    let function = json!({"name": "get_weather", "arguments": arguments});
    json!({"role": "assistant", "content": null, "tool_calls": [{"id": "call_1", "type": "function", "function": function}]})
}

const ANSWER: &str = "Paris is the capital of France. 🗼";

#[test]
fn mlflows_traces_are_the_same_in_every_form() {
    let from_json = read("mlflow/3.17.2/traces.to_json.jsonl");
    for (file, count) in [("traces.otlp_json.encoded_spans.jsonl", 22), ("traces.otlp_json.server.jsonl", 19)] {
        let from_otlp = read(&format!("mlflow/3.17.2/{file}"));
        assert_eq!(from_otlp.len(), count);
        for trace in from_otlp {
            let expected = from_json.iter().find(|expected| expected.trace_id == trace.trace_id).unwrap().clone();
            // Spans carry no labels, no feedback and no expectations; MLflow's server rounds its own durations.
            let completed = Trace {
                tags: expected.tags.clone(),
                metadata: expected.metadata.clone(),
                expectations: expected.expectations.clone(),
                assessments: expected.assessments.clone(),
                session_id: expected.session_id.clone(),
                user: expected.user.clone(),
                execution_duration_ms: expected.execution_duration_ms,
                ..trace
            };
            assert_eq!(prompts(&completed), prompts(&expected));
            assert_eq!(completed, expected);
        }
    }
}

#[test]
fn mlflows_export_by_the_conventions_has_the_models_messages() {
    let [rag, boom] = <[Trace; 2]>::try_from(read("mlflow/3.17.2/traces.otlp_json.semconv_true.jsonl")).unwrap();
    assert_eq!(rag.trace_id, "tr-ad40cd2d3788bb08bbd3e7dd4014b238");
    let types: Vec<_> = rag.spans.iter().map(|span| span.span_type.as_str()).collect();
    assert_eq!(types, ["CHAIN", "RETRIEVER", "CHAT_MODEL"]);
    assert_eq!((rag.inputs, rag.outputs), (Some(asked("MLflowとは？")), Some(json!("An API."))));
    assert_eq!((boom.inputs, boom.outputs, boom.spans.len()), (Some(json!({"x": 1})), None, 1));
    assert_eq!(boom.metadata["service.name"], "rag-app");
}

#[test]
fn a_run_is_the_same_in_every_form_that_phoenix_gives_it() {
    let [sent] = <[Trace; 1]>::try_from(read("otel/phoenix.otlp.jsonl")).unwrap();
    assert_eq!(
        (sent.inputs.as_ref(), sent.outputs.as_ref()),
        (Some(&json!("What's the capital of France?")), Some(&json!("Paris")))
    );
    assert_eq!((sent.session_id.as_deref(), sent.user.as_deref()), (Some("sess-1"), Some("carol")));
    assert_eq!((sent.metadata["tier"].as_str(), sent.metadata["deep"].as_str()), ("gold", r#"{"a":[1]}"#));
    assert_eq!(sent.tags.keys().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(sent.token_usage.unwrap().total_tokens, 90);
    let first =
        json!({"page_content": "France's capital is Paris.", "metadata": {"uri": "a.md"}, "id": "d0", "score": 0.9});
    let documents = json!([first, {"page_content": "Lyon is a city.", "id": "d1", "score": 0.25}]);
    let system = json!({"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What's the capital of France?"}]});
    let with_tool = json!({"messages": [{"role": "user", "content": "Weather in Paris?"}, call("{\"city\": \"Paris\"}"),
        {"role": "tool", "content": "sunny, 21 C", "tool_call_id": "call_1"}]});
    let weather = asked("Weather in Paris?");
    let (wants_tool, answer) = (call("{\"city\": \"Paris\"}"), json!(ANSWER));
    assert_eq!(
        spans(&sent),
        [
            ("CHAIN", sent.inputs.as_ref(), sent.outputs.as_ref()),
            ("RETRIEVER", Some(&json!("capital of France")), Some(&documents)),
            ("CHAT_MODEL", Some(&system), Some(&answer)),
            ("CHAT_MODEL", Some(&weather), Some(&wants_tool)),
            ("CHAT_MODEL", Some(&with_tool), Some(&answer)),
        ]
    );
    for form in ["sdk_to_json", "dataframe", "dataframe_iso", "client_spans", "rest", "otlpv1"] {
        let [got] = <[Trace; 1]>::try_from(read(&format!("otel/phoenix.{form}.jsonl"))).unwrap();
        assert_eq!(prompts(&got), prompts(&sent), "{form}");
        assert_eq!(spans(&got), spans(&sent), "{form}");
        let outline = |trace: &Trace| -> Vec<_> {
            trace
                .spans
                .iter()
                .map(|span| (span.span_id.clone(), span.parent_id.clone(), span.name.clone(), span.status))
                .collect()
        };
        assert_eq!(outline(&got), outline(&sent), "{form}");
        assert_eq!(
            (&got.trace_id, &got.tags, got.token_usage),
            (&sent.trace_id, &sent.tags, sent.token_usage),
            "{form}"
        );
        assert_eq!((&got.session_id, &got.user, got.state), (&sent.session_id, &sent.user, sent.state), "{form}");
        assert_eq!(
            (&got.metadata["tier"], &got.metadata["deep"]),
            (&sent.metadata["tier"], &sent.metadata["deep"]),
            "{form}"
        );
        assert_eq!(got.request_time_ms, sent.request_time_ms, "{form}");
        if !form.starts_with("dataframe") {
            // A table has a number with a fraction in each column that lacks some values.
            let attributes =
                |trace: &Trace| -> Vec<_> { trace.spans.iter().map(|span| span.attributes.clone()).collect() };
            assert_eq!(attributes(&got), attributes(&sent), "{form}");
        }
    }
}

#[test]
fn openinferences_traces_of_langchain_are_read() {
    let [chain, tool] = <[Trace; 2]>::try_from(read("otel/openinference_langchain.jsonl")).unwrap();
    assert_eq!(
        (chain.inputs.as_ref(), chain.outputs.as_ref()),
        (Some(&json!("What is the capital of France?")), Some(&json!(ANSWER)))
    );
    let retriever = chain.spans.iter().find(|span| span.span_type.as_str() == "RETRIEVER").unwrap();
    let documents = json!([{"page_content": "France's capital is Paris.", "metadata": {"uri": "a.md"}}, {"page_content": "Lyon is a city."}]);
    assert_eq!(retriever.outputs, Some(documents));
    assert!(prompts(&chain).iter().any(|prompt| prompt.contains("Lyon is a city.")), "groundedness sees the documents");
    assert_eq!(spans(&tool), [("TOOL", Some(&json!("Paris")), Some(&json!("sunny in Paris")))]);
}

#[test]
fn single_calls_are_traces_in_every_convention() {
    for file in ["openinference_openai.base64", "openllmetry_openai_0.38", "openllmetry_openai_0.62"] {
        let traces = read(&format!("otel/{file}.jsonl"));
        let [simple, wants_tool, has_tool, ..] = traces.as_slice() else { panic!("{file}") };
        assert_eq!(
            simple.inputs.as_ref().unwrap()["messages"][0],
            json!({"role": "system", "content": "Be brief."}),
            "{file}"
        );
        assert_eq!(simple.outputs, Some(json!(ANSWER)), "{file}");
        assert_eq!(simple.token_usage.unwrap().total_tokens, 30, "{file}");
        assert_eq!(simple.spans[0].span_type.as_str(), "CHAT_MODEL", "{file}");
        assert_eq!(wants_tool.inputs, Some(asked("Weather in Paris?")), "{file}");
        let wanted = &wants_tool.outputs.as_ref().unwrap()["tool_calls"][0]["function"];
        assert_eq!(
            (&wanted["name"], wanted["arguments"].as_str().unwrap().replace(' ', "")),
            (&json!("get_weather"), "{\"city\":\"Paris\"}".into()),
            "{file}"
        );
        let messages = &has_tool.inputs.as_ref().unwrap()["messages"];
        assert_eq!(messages[2], json!({"role": "tool", "content": "sunny, 21 C", "tool_call_id": "call_1"}), "{file}");
    }
}

#[test]
fn an_agent_of_pydantic_ai_has_the_users_turn_and_the_final_result() {
    for file in ["pydantic_ai_v2", "pydantic_ai_v5"] {
        let [run] = <[Trace; 1]>::try_from(read(&format!("otel/{file}.jsonl"))).unwrap();
        let turn = json!({"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Weather in Paris?"}]});
        assert_eq!((run.inputs.as_ref(), run.outputs.as_ref()), (Some(&turn), Some(&json!(ANSWER))), "{file}");
        let types: Vec<_> = run.spans.iter().map(|span| span.span_type.as_str()).collect();
        assert_eq!(types, ["AGENT", "CHAT_MODEL", "TOOL", "CHAT_MODEL"], "{file}");
        assert_eq!(spans(&run)[2], ("TOOL", Some(&json!({"city": "Paris"})), Some(&json!("sunny in Paris"))), "{file}");
        assert!(run.session_id.is_some(), "{file}");
        assert_eq!(run.token_usage.unwrap().total_tokens, 60, "{file}");
    }
}
