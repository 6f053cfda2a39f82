//! A line of a batch's results, in OpenAI's form.
//!
//! Source: OpenAI's Batch API guide and its error codes; vLLM's `run-batch`, whose older versions put the completion directly into `response`.

use std::borrow::Cow;
use std::time::SystemTime;

use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::reply::{Reply, Undone};
use crate::endpoint::wire::answer::Answer;
use crate::endpoint::{Failure, classify_response};
use crate::feedback::ErrorCode;

/// Which request a line is about.
#[derive(Deserialize)]
pub(super) struct CustomId<'a> {
    #[serde(borrow)]
    pub(super) custom_id: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default)]
    response: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Response<'a> {
    #[serde(default)]
    status_code: Option<u16>,
    #[serde(default)]
    request_id: Option<String>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
}

/// A line of a file of results, without the spaces around it and the mark that some programs put at the beginning of a file.
pub(super) fn trimmed(line: &[u8]) -> &[u8] {
    line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line).trim_ascii()
}

/// What a line says of its request.
pub(super) fn reply(line: &[u8]) -> Reply {
    let malformed = |reason: &dyn std::fmt::Display| {
        let message = format!("the batch's result cannot be read: {reason}");
        Reply::Failed(Failure::new(ErrorCode::MalformedResponse, &message).into())
    };
    let line: Line<'_> = match serde_json::from_slice(line) {
        Ok(line) => line,
        Err(error) => return malformed(&error),
    };
    let said = line.error.as_ref().filter(|error| !error.is_null());
    let Some(response) = line.response.filter(|response| response.get() != "null") else {
        return said.map_or_else(|| Reply::Undone(Undone::Missing), undone);
    };
    let response: Response<'_> = match serde_json::from_str(response.get()) {
        Ok(response @ Response { body: Some(_), .. }) => response,
        // The completion itself.
        Ok(_) => Response { status_code: None, request_id: None, body: Some(response) },
        Err(error) => return malformed(&error),
    };
    let (status, body) = (response.status_code.unwrap_or(200), response.body.map_or("", RawValue::get).as_bytes());
    let mut failure = match Answer::from_body(body) {
        Ok(mut answer) if (200..300).contains(&status) => {
            answer.request_id = response.request_id.filter(|id| !id.is_empty());
            return Reply::Answered(answer.into());
        }
        _ => classify_response(status, &HeaderMap::new(), body, SystemTime::now()),
    };
    failure.request_id = failure.request_id.or(response.request_id);
    // A limit of the batch's own time says nothing about requests that are sent by themselves.
    failure.retry_after = None;
    Reply::Failed(failure.into())
}

/// A request that has no response. What the provider says is classified as if a request by itself were answered with it.
fn undone(error: &Value) -> Reply {
    let code = error.get("code").and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
    let message = error.get("message").and_then(Value::as_str).or(error.as_str()).unwrap_or("no explanation");
    let failure = |code, message: &str| Reply::Failed(Failure::new(code, message).into());
    match code.as_str() {
        "batch_expired" | "expired" => Reply::Undone(Undone::Expired),
        "batch_cancelled" | "batch_canceled" | "cancelled" | "canceled" => Reply::Undone(Undone::Cancelled),
        "request_timeout" | "timeout" => failure(ErrorCode::Timeout, message),
        "server_error" | "internal_error" | "internal_server_error" => failure(ErrorCode::ServerError, message),
        _ => {
            // Some have a status of HTTP there.
            let number = error.get("code").and_then(Value::as_u64).or(code.parse().ok());
            let status = number.and_then(|number| u16::try_from(number).ok()).filter(|code| (400..600).contains(code));
            let body = serde_json::json!({"error": error}).to_string();
            let said = classify_response(status.unwrap_or(400), &HeaderMap::new(), body.as_bytes(), SystemTime::now());
            match status.is_none() && said.code == ErrorCode::InvalidRequest {
                true => failure(ErrorCode::BatchRejected, message),
                false => Reply::Failed(Failure { retry_after: None, ..said }.into()),
            }
        }
    }
}

/// A line that says that the provider did not accept a request.
pub(super) fn rejected(custom_id: &str, message: &str) -> Vec<u8> {
    let error = serde_json::json!({"code": "batch_rejected", "message": message});
    let line = serde_json::json!({"custom_id": custom_id, "response": null, "error": error});
    format!("{line}\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPLETION: &str = r#"{"choices":[{"message":{"content":"{}"},"finish_reason":"stop"}],"model":"m"}"#;

    fn said(line: &str) -> String {
        match reply(line.as_bytes()) {
            Reply::Answered(answer) => format!("{} {:?}", answer.content, answer.request_id),
            Reply::Failed(failure) => failure.to_string(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn every_form_of_a_result_is_read() {
        let response = format!(
            r#"{{"custom_id":"x","response":{{"status_code":200,"request_id":"r","body":{COMPLETION}}},"error":null}}"#
        );
        assert_eq!(said(&response), r#"{} Some("r")"#);
        let old_vllm = format!(r#"{{"custom_id":"x","response":{COMPLETION},"error":null}}"#);
        assert_eq!(said(&old_vllm), "{} None");
        let refused = r#"{"custom_id":"x","response":{"status_code":500,"body":{"error":{"message":"Oops."}}}}"#;
        assert_eq!(said(refused), "SERVER_ERROR (HTTP 500): Oops.");
        assert_eq!(
            said(r#"{"custom_id":"x","response":null,"error":{"code":"batch_expired","message":"m"}}"#),
            "Undone(Expired)"
        );
        assert_eq!(said(r#"{"custom_id":"x","error":{"code":"BATCH_CANCELLED"}}"#), "Undone(Cancelled)");
        assert_eq!(said(r#"{"custom_id":"x","response":null,"error":null}"#), "Undone(Missing)");
        assert_eq!(said(r#"{"custom_id":"x","error":{"message":"bad line"}}"#), "BATCH_REJECTED: bad line");
        // The same codes as those of a request by itself.
        let codes = [
            (r#"{"code":"content_filter","message":"Filtered."}"#, "CONTENT_FILTERED"),
            (r#"{"code":"context_length_exceeded","message":"Too long."}"#, "CONTEXT_LENGTH_EXCEEDED"),
            (r#"{"code":429,"message":"Slow down."}"#, "RATE_LIMIT_EXCEEDED (HTTP 429)"),
            (r#"{"code":"503","message":"Overloaded."}"#, "OVERLOADED (HTTP 503)"),
            (r#"{"code":"new","message":"Who knows."}"#, "BATCH_REJECTED"),
        ];
        for (error, expected) in codes {
            let line = format!(r#"{{"custom_id":"x","response":null,"error":{error}}}"#);
            assert!(said(&line).starts_with(expected), "{}", said(&line));
        }
        assert!(said("{").starts_with("MALFORMED_RESPONSE"));
        assert_eq!(said(std::str::from_utf8(&rejected("x", "no")).unwrap()), "BATCH_REJECTED: no");
    }
}
