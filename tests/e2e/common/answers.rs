//! Traces for datasets, and answers of endpoints.

use serde_json::{Value, json};

use super::Action;

/// Lines of a dataset: `trace-0`, `trace-1`, ... Each answer contains its number, for [`super::Request::trace`].
pub(crate) fn traces(n: usize) -> String {
    (0..n).map(|i| format!("{}\n", trace(i))).collect()
}

/// One of [`traces`].
pub(crate) fn trace(i: usize) -> Value {
    json!({
        "trace_id": format!("trace-{i}"),
        "inputs": {"question": format!("Question number {i}?")},
        "outputs": {"response": format!("Answer number {i}.")},
    })
}

/// An HTTP response with a JSON body.
pub(crate) fn response(status: u16, headers: &[(&str, &str)], body: &Value) -> Action {
    raw(status, &[headers, &[("content-type", "application/json")]].concat(), &body.to_string())
}

/// An HTTP response.
pub(crate) fn raw(status: u16, headers: &[(&str, &str)], body: &str) -> Action {
    bytes(status, headers, body.as_bytes())
}

/// The same with any body.
pub(crate) fn bytes(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Action {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    let head = format!("HTTP/1.1 {status} Status\r\n{headers}content-length: {length}\r\n\r\n");
    Action::Send([head.as_bytes(), body].concat())
}

/// A chat completion with this text, 100 prompt tokens and 10 completion tokens.
pub(crate) fn completion(content: &str) -> Action {
    completion_ending(content, "stop")
}

/// The same with another finish reason.
pub(crate) fn completion_ending(content: &str, finish_reason: &str) -> Action {
    let body = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_795_438_092, "model": "fake-model-2026-01-01",
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": content, "refusal": null},
            "logprobs": null,
            "finish_reason": finish_reason,
        }],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
    });
    response(200, &[("x-request-id", "req-1")], &body)
}

/// A valid answer with this verdict.
pub(crate) fn verdict(value: impl Into<Value>) -> Action {
    completion(&json!({"rationale": "So it is.", "value": value.into()}).to_string())
}

/// An error in OpenAI's form.
pub(crate) fn error(status: u16, code: &str, message: &str) -> Action {
    error_with(status, &[], code, message)
}

/// The same with headers.
pub(crate) fn error_with(status: u16, headers: &[(&str, &str)], code: &str, message: &str) -> Action {
    let body = json!({"error": {"message": message, "type": "invalid_request_error", "param": null, "code": code}});
    response(status, headers, &body)
}
