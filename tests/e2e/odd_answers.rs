//! Answers that come in a form that was not asked for, and answers that are withheld.

use std::io::Write;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::{Value, json};

use crate::common::{Action, Fake, Place, answers};

const LOG: &str = "traces.feedback.jsonl";
const VERDICT: &str = r#"{"rationale":"So it is.","value":true}"#;

/// A completion with this message.
fn completion(message: &Value, finish_reason: &str, usage: &Value) -> Value {
    json!({"object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}], "usage": usage})
}

fn good() -> String {
    let usage = json!({"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110});
    completion(&json!({"role": "assistant", "content": VERDICT}), "stop", &usage).to_string()
}

/// The records of a run over three traces at an endpoint that always answers so.
#[track_caller]
fn judged(action: impl Fn() -> Action + Send + Sync + 'static) -> Vec<Value> {
    let place = Place::with_traces(3);
    let fake = Fake::start(move |_| action());
    place.judge(&fake.base_url(), &[]).run().exits_with(0);
    assert_eq!(fake.count(), 3, "nothing is asked twice");
    place.lines(LOG)
}

#[test]
fn a_compressed_answer_is_unpacked_although_none_was_asked_for() {
    let gzip = || {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(good().as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let zlib = || {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(good().as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    judged(move || answers::bytes(200, &[("content-encoding", "gzip")], &gzip()));
    judged(move || answers::bytes(200, &[("content-encoding", "deflate")], &zlib()));
    judged(move || answers::bytes(200, &[], &gzip()));
    // Unpacked by a proxy that left the header.
    judged(|| answers::bytes(200, &[("content-encoding", "gzip")], good().as_bytes()));
}

#[test]
fn an_encoding_that_cannot_be_unpacked_is_named() {
    let place = Place::with_traces(1);
    let fake = Fake::start(|request| {
        assert_eq!(request.header("accept-encoding"), Some("identity"));
        answers::bytes(200, &[("content-encoding", "br")], b"\x0b\x02\x80hello\x03")
    });
    place.judge(&fake.base_url(), &["--max-retries", "0"]).run().exits_with(4);
    let error = &place.lines(LOG)[0]["error"];
    assert_eq!(error["error_code"], "MALFORMED_RESPONSE");
    assert!(error["error_message"].as_str().unwrap().contains("`br`"), "{error}");
}

#[test]
fn a_stream_that_was_not_asked_for_is_put_together() {
    let chunk = |delta: Value, finish: Value| {
        let chunk = json!({"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
        format!("data: {chunk}\n\n")
    };
    let text = [
        ": keep-alive\n\n".to_owned(),
        chunk(json!({"role": "assistant", "content": ""}), Value::Null),
        chunk(json!({"content": &VERDICT[..20]}), Value::Null),
        chunk(json!({"content": &VERDICT[20..]}), json!("stop")),
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":70,\"completion_tokens\":7}}\n\ndata: [DONE]\n\n"
            .to_owned(),
    ]
    .concat();
    let records = judged(move || answers::raw(200, &[("content-type", "text/event-stream")], &text));
    assert!(records.iter().all(|record| record["metadata"]["input_tokens"] == "70"), "{records:#?}");
    judged(|| answers::raw(200, &[("content-type", "text/event-stream")], &format!("{}data: [DONE]\n\n", good())));
}

#[test]
fn the_verdict_is_found_in_a_function_call_and_in_place_of_the_reasoning() {
    let usage = json!({"prompt_tokens": 100, "completion_tokens": 10});
    let call = json!([{"index": 1, "type": "function", "function": {"name": "json_tool_call", "arguments": VERDICT}}]);
    let called = completion(&json!({"role": "assistant", "content": null, "tool_calls": call}), "tool_calls", &usage);
    judged(move || answers::response(200, &[], &called));
    let message = json!({"role": "assistant", "content": null, "reasoning_content": VERDICT, "tool_calls": []});
    let reasoned = completion(&message, "stop", &usage);
    judged(move || answers::response(200, &[], &reasoned));
}

#[test]
fn an_answer_of_reasoning_alone_says_so() {
    let place = Place::with_traces(1);
    let message = json!({"role": "assistant", "content": "", "reasoning_content": "Let me see."});
    let fake = Fake::start(move |_| answers::response(200, &[], &completion(&message, "stop", &Value::Null)));
    place.judge(&fake.base_url(), &["--re-ask", "0"]).run();
    let error = &place.lines(LOG)[0]["error"];
    assert_eq!(error["error_code"], "EMPTY_RESPONSE");
    assert!(error["error_message"].as_str().unwrap().contains("only reasoning"), "{error}");
}

#[test]
fn a_filter_is_told_by_its_reason_and_not_asked_again() {
    for reason in ["content_filter: PROHIBITED_CONTENT", "SAFETY", "RECITATION"] {
        let place = Place::with_traces(3);
        let fake = Fake::start(move |request| match request.trace() {
            1 => answers::response(200, &[], &completion(&json!({"role": "assistant"}), reason, &Value::Null)),
            _ => answers::verdict(true),
        });
        place.judge(&fake.base_url(), &[]).run().exits_with(3).prints(&["scored         2"]);
        let records = place.lines(LOG);
        let error = &records.iter().find(|record| record["trace_id"] == "trace-1").unwrap()["error"];
        assert_eq!(error["error_code"], "CONTENT_FILTERED");
        assert!(error["error_message"].as_str().unwrap().contains(reason), "{error}");
        assert_eq!(fake.count(), 3);
    }
}

#[test]
fn two_hundred_headers_are_not_too_many() {
    judged(|| {
        let names: Vec<_> = (0..200).map(|i| format!("x-gateway-{i}")).collect();
        let headers: Vec<_> = names.iter().map(|name| (name.as_str(), "v")).collect();
        answers::raw(200, &headers, &good())
    });
}

#[test]
fn reasoning_that_is_counted_apart_is_paid_and_recorded() {
    let usage = json!({
        "prompt_tokens": 300, "completion_tokens": 20, "total_tokens": 5320,
        "completion_tokens_details": {"reasoning_tokens": 5000},
    });
    let answer = completion(&json!({"role": "assistant", "content": VERDICT}), "stop", &usage);
    let place = Place::with_traces(20);
    place.write("judge-run.toml", "[endpoints.x.prices.m]\ninput = 1.0\noutput = 1000.0\n");
    let fake = Fake::start(move |_| answers::response(200, &[], &answer));
    let args = ["-m", "x:/m", "-j", "1", "--max-cost", "10"];
    let finished = place.judge(&fake.base_url(), &args).run().exits_with(4);
    finished.prints(&["600 in, 10.0k out"]);
    assert_eq!(fake.count(), 2);
    for record in place.lines(LOG) {
        assert_eq!(record["metadata"]["output_tokens"], "5020", "{record}");
        assert_eq!(record["metadata"]["reasoning_tokens"], "5000", "{record}");
    }
}
