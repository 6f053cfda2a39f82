use serde_json::json;

use super::*;
use crate::trace::TokenUsage;

fn found(line: &Value) -> (Result<Found, String>, Notices) {
    let fields = line.as_object().unwrap().clone();
    assert_eq!(Dialect::of(&fields).map(|dialect| dialect.name), Some("openai"), "{line}");
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

fn part(line: &Value) -> Trace {
    match found(line) {
        (Ok(Found::Parts(parts)), notices) => {
            assert_eq!(notices, Notices::default());
            let [Part::Trace(trace)] = &*parts else { panic!("{parts:?}") };
            trace.clone()
        }
        other => panic!("{other:?}"),
    }
}

fn messages() -> Value {
    json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": [{"type": "text", "text": "2+2?"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]}])
}

/// As the API reference shows one.
fn completion(message: Value) -> Value {
    json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1_767_225_600, "model": "gpt-4o-2024-08-06",
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29, "prompt_tokens_details": {"cached_tokens": 0}},
        "service_tier": "default", "system_fingerprint": "fp_1"})
}

#[test]
fn a_request_and_its_answer_are_a_trace_in_every_arrangement() {
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    let answer = json!({"role": "assistant", "content": "4", "refusal": null, "annotations": []});
    let request = json!({"model": "gpt-4o", "tools": tools, "messages": messages(), "temperature": 0.5, "user": "ann"});
    let mut beside = request.clone();
    beside["response"] = completion(answer.clone());
    let inside = json!({"request": request, "response": completion(answer.clone())});
    let mut flat = completion(answer);
    flat.as_object_mut().unwrap().extend(request.as_object().unwrap().clone());
    flat["model"] = json!("gpt-4o-2024-08-06");
    let traces = [trace(&beside), trace(&inside), trace(&flat)];
    let first = &traces[0];
    assert_eq!(
        serde_json::to_string(&first.inputs).unwrap(),
        serde_json::to_string(&json!({"messages": messages(), "tools": tools})).unwrap()
    );
    assert_eq!((&first.outputs, first.state, first.user.as_deref()), (&Some(json!("4")), TraceState::Ok, Some("ann")));
    assert_eq!((first.trace_id.as_str(), first.request_time_ms), ("chatcmpl-1", Some(1_767_225_600_000)));
    assert_eq!(first.token_usage, Some(TokenUsage { input_tokens: 19, output_tokens: 10, total_tokens: 29 }));
    assert_eq!(
        (first.metadata["model"].as_str(), first.metadata["temperature"].as_str()),
        ("gpt-4o-2024-08-06", "0.5")
    );
    assert_eq!(first.metadata["finish_reason"], "stop");
    assert_eq!((&traces[1], &traces[2]), (first, first));
}

#[test]
fn an_answer_that_is_more_than_text_is_kept_whole() {
    let outputs = |message: &Value| {
        trace(&json!({"messages": [], "prompt": "p", "response": completion(message.clone())})).outputs
    };
    let call =
        json!({"role": "assistant", "content": null, "tool_calls": [{"id": "c", "type": "function", "function": {}}]});
    let refusal = json!({"role": "assistant", "content": null, "refusal": "No."});
    for message in [call, refusal] {
        assert_eq!(outputs(&message).as_ref(), Some(&message));
    }
    let mut two = completion(json!({"content": "a"}));
    two["choices"].as_array_mut().unwrap().push(json!({"index": 1, "message": {"content": "b"}}));
    assert_eq!(trace(&json!({"messages": messages(), "response": two})).outputs, Some(json!(["a", "b"])));
    for key in ["response", "completion", "outputs"] {
        assert_eq!(trace(&json!({"messages": messages(), key: "4"})).outputs, Some(json!("4")));
    }
}

#[test]
fn the_last_message_of_an_example_is_its_answer() {
    let line = json!({"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello", "weight": 0},
        {"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4", "weight": 1}], "parallel_tool_calls": false});
    let example = trace(&line);
    assert_eq!(example.inputs.unwrap()["messages"].as_array().unwrap().len(), 3);
    assert_eq!((example.outputs, example.metadata["parallel_tool_calls"].as_str()), (Some(json!("4")), "false"));
    assert_eq!(trace(&json!({"messages": messages()})).outputs, None);
    let legacy = trace(&json!({"prompt": "2+2=", "completion": " 4"}));
    assert_eq!((legacy.inputs, legacy.outputs), (Some(json!({"prompt": "2+2="})), Some(json!(" 4"))));
    let preference = json!({"input": {"messages": messages(), "tools": []}, "preferred_output": [{"role": "assistant", "content": "4"}],
        "non_preferred_output": [{"role": "assistant", "content": "5"}]});
    let (Ok(Found::Trace(preferred)), notices) = found(&preference) else { panic!() };
    assert_eq!((preferred.inputs, preferred.outputs), (Some(json!({"messages": messages()})), Some(json!("4"))));
    assert_eq!(notices.unknown_names(), ["non_preferred_output"]);
}

#[test]
fn what_a_trace_has_of_its_own_stands_beside_the_chat() {
    let line = json!({"messages": messages(), "trace_id": "t", "expectations": {"expected_response": "4"}, "session_id": "s",
        "tags": {"env": "prod"}, "metadata": {"k": "v"}, "response": completion(json!({"content": "4"}))});
    let read = trace(&line);
    assert_eq!((read.trace_id.as_str(), read.session_id.as_deref()), ("t", Some("s")));
    assert_eq!((read.expectations["expected_response"].clone(), read.tags["env"].as_str()), (json!("4"), "prod"));
    assert_eq!(read.metadata["k"], "v");
    let (_, notices) = found(&json!({"messages": messages(), "colour": 1, "response": {"choices": [], "shade": 1}}));
    assert_eq!(notices.unknown_names(), ["colour", "response.shade"]);
}

#[test]
fn the_responses_api_is_read() {
    let response = |output: Value| {
        json!({"id": "resp_1", "object": "response", "created_at": 1_767_225_600.5, "status": "completed", "error": null, "model": "gpt-5",
            "incomplete_details": null, "instructions": "Be brief.", "input": "2+2?", "output": output, "tools": [],
            "usage": {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}, "metadata": {}})
    };
    let text = json!([{"type": "reasoning", "id": "rs_1", "summary": []}, {"type": "message", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": "It is ", "annotations": []}, {"type": "output_text", "text": "4."}]}]);
    let read = trace(&response(text));
    assert_eq!(read.inputs, Some(json!({"instructions": "Be brief.", "input": "2+2?"})));
    assert_eq!(
        (read.outputs, read.state, read.request_time_ms),
        (Some(json!("It is 4.")), TraceState::Ok, Some(1_767_225_600_500))
    );
    let call = json!([{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}]);
    assert_eq!(trace(&response(call.clone())).outputs, Some(call));
}

#[test]
fn the_files_of_a_batch_are_joined_by_their_custom_ids() {
    let request = part(&json!({"custom_id": "r-1", "method": "POST", "url": "/v1/chat/completions",
        "body": {"model": "gpt-4o", "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "{"}], "max_tokens": 5}}));
    assert_eq!((request.trace_id.as_str(), &request.outputs), ("r-1", &None));
    assert_eq!(request.inputs.unwrap()["messages"].as_array().unwrap().len(), 2, "a prefix of the answer was sent");
    let answer = part(&json!({"id": "batch_req_1", "custom_id": "r-1", "error": null,
        "response": {"status_code": 200, "request_id": "req_1", "body": completion(json!({"content": "4"}))}}));
    assert_eq!((answer.trace_id.as_str(), answer.outputs, answer.state), ("r-1", Some(json!("4")), TraceState::Ok));
    assert_eq!(answer.inputs, None);
    for failed in [
        json!({"id": "b", "custom_id": "r-1", "response": null, "error": {"code": "batch_expired", "message": "m"}}),
        json!({"id": "b", "custom_id": "r-1", "error": null, "response": {"status_code": 400, "request_id": "r",
            "body": {"error": {"message": "m", "code": "invalid"}}}}),
    ] {
        let failed = part(&failed);
        assert_eq!((failed.state, failed.outputs), (TraceState::Error, None));
        assert!(failed.metadata["error"].contains("\"message\":\"m\""));
    }
}

#[test]
fn an_answer_without_a_question_is_explained() {
    let reason = found(&completion(json!({"content": "4"}))).0.unwrap_err();
    assert!(reason.starts_with("`messages` is missing: "), "{reason}");
    let reason = found(&json!({"messages": [], "response": {"choices": 5}})).0.unwrap_err();
    assert_eq!(reason, "`response.choices` must be a list, found a number");
}

#[test]
fn every_field_of_a_call_has_its_place() {
    let line = json!({"messages": [{"role": "user", "content": "q"}], "model": "m", "temperature": 0.5, "user": "ann", "tags": ["t"],
        "session_id": "s", "expectations": {"e": 1}, "documents": ["d"], "metadata": {"k": "v"},
        "response": {"id": "r1", "object": "chat.completion", "created": 1_767_323_045, "model": "m-2026",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}}});
    let mut trace = trace(&line);
    assert_eq!(trace.spans.pop().unwrap().outputs, Some(json!(["d"])));
    let metadata = [("finish_reason", "stop"), ("k", "v"), ("model", "m-2026"), ("temperature", "0.5")];
    let expected = Trace {
        trace_id: "r1".into(),
        inputs: Some(json!({"messages": [{"role": "user", "content": "q"}]})),
        outputs: Some(json!("a")),
        expectations: json!({"e": 1}).as_object().unwrap().clone(),
        tags: [("t".to_owned(), "true".to_owned())].into(),
        metadata: metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        session_id: Some("s".into()),
        user: Some("ann".into()),
        state: TraceState::Ok,
        request_time_ms: Some(1_767_323_045_000),
        token_usage: Some(TokenUsage { input_tokens: 1, output_tokens: 2, total_tokens: 3 }),
        ..Trace::default()
    };
    assert_eq!(trace, expected);
}

#[test]
fn anthropics_requests_and_answers_are_read() {
    let line = |content: Value| {
        json!({"system": "Sell.", "messages": [{"role": "user", "content": "Two?"}], "model": "c",
            "response": {"id": "msg_1", "type": "message", "role": "assistant", "content": content, "stop_reason": "end_turn",
                "usage": {"input_tokens": 12, "output_tokens": 8}}})
    };
    let read = trace(&line(
        json!([{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "24 "}, {"type": "text", "text": "francs."}]),
    ));
    let messages = json!([{"role": "system", "content": "Sell."}, {"role": "user", "content": "Two?"}]);
    assert_eq!((read.trace_id.as_str(), read.inputs, read.outputs), {
        ("msg_1", Some(json!({"messages": messages})), Some(json!("24 francs.")))
    });
    assert_eq!((read.metadata["finish_reason"].as_str(), read.state), ("end_turn", TraceState::Ok));
    assert_eq!(read.token_usage.unwrap().total_tokens, 20);
    let called = trace(&line(json!([{"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}])));
    assert_eq!(called.outputs.unwrap()["tool_calls"][0]["function"], json!({"name": "f", "arguments": "{\"a\":1}"}));
}
