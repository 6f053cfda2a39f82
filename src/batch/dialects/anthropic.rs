//! Anthropic's Message Batches: the requests go with the submission, as Messages, and a batch has no name.
//!
//! Source: Anthropic's API reference, "Message Batches" and "Messages". As in its compatible API, the form of the answer is asked for only in words:
//! not all models accept a schema, and one that does not would refuse all requests of a batch.

use std::io::Write;
use std::path::Path;

use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::error::BatchError;
use super::super::http::{Http, Sent};
use super::super::ledger::Batch;
use super::super::line::{CustomId, trimmed};
use super::super::provider::{CLOCKS_MS, Candidate, End, Provider, Sign, Standing, Step};
use super::super::spool::BatchLimits;
use super::rewritten::{Frame, rewritten};

/// Below Anthropic's 100,000 requests and 256 MB.
const LIMITS: BatchLimits = BatchLimits { requests: Some(100_000), bytes: Some(240_000_000), tokens: None };
const PATH: [&str; 2] = ["messages", "batches"];

#[derive(Debug)]
pub(in super::super) struct Anthropic {
    http: Http,
}

#[derive(Debug, Deserialize)]
struct MessageBatch {
    id: String,
    #[serde(default)]
    processing_status: String,
    #[serde(default)]
    request_counts: Counts,
    #[serde(default)]
    created_at: String,
    #[serde(default)]
    cancel_initiated_at: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Counts {
    processing: u64,
    succeeded: u64,
    errored: u64,
    canceled: u64,
    expired: u64,
}

impl Anthropic {
    /// Its own API takes the key in another header than its compatible one.
    pub(in super::super) fn new(http: Http) -> Self {
        let bearer = http.header(AUTHORIZATION.as_str()).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let key = bearer.and_then(|key| HeaderValue::from_str(key).ok());
        let http = http.with_header("anthropic-version", HeaderValue::from_static("2023-06-01"));
        let http = match key {
            Some(mut key) => {
                key.set_sensitive(true);
                http.with_header("x-api-key", key)
            }
            None => http,
        };
        Self { http }
    }
}

impl Anthropic {
    /// The `custom_id` of a batch's first result.
    async fn first_result(&self, id: &str) -> Result<Option<String>, BatchError> {
        let what = "look at the results";
        let line = self.http.first_line(what, &self.http.url(&["messages", "batches", id, "results"], &[])).await?;
        if line.is_empty() {
            return Ok(None);
        }
        let first: CustomId<'_> = serde_json::from_slice(trimmed(&line))
            .map_err(|error| BatchError::Unexpected { what: what.to_owned(), reason: error.to_string() })?;
        Ok(Some(first.custom_id.into_owned()))
    }
}

/// A chat completion's body as that of Messages.
fn params(mut body: Map<String, Value>) -> Value {
    let mut params = Map::new();
    for name in ["model", "temperature", "top_p"] {
        params.extend(body.remove(name).map(|value| (name.to_owned(), value)));
    }
    let limit = body.remove("max_tokens").or_else(|| body.remove("max_completion_tokens"));
    params.insert("max_tokens".to_owned(), limit.unwrap_or_else(|| json!(2048)));
    let messages = match body.remove("messages") {
        Some(Value::Array(messages)) => messages,
        _ => Vec::new(),
    };
    let (system, others): (Vec<_>, Vec<_>) = messages.into_iter().partition(|message| message["role"] == "system");
    if let Some(system) = system.into_iter().next() {
        params.insert("system".to_owned(), system["content"].clone());
    }
    let others =
        others.into_iter().map(|message| json!({"role": message["role"], "content": content(&message["content"])}));
    params.insert("messages".to_owned(), others.collect());
    Value::Object(params)
}

/// Text, or parts of which images are written otherwise.
fn content(content: &Value) -> Value {
    let Some(parts) = content.as_array() else { return content.clone() };
    let part = |part: &Value| {
        let Some(url) = part["image_url"]["url"].as_str() else { return part.clone() };
        let source = match url.strip_prefix("data:").and_then(|data| data.split_once(";base64,")) {
            Some((media_type, data)) => json!({"type": "base64", "media_type": media_type, "data": data}),
            None => json!({"type": "url", "url": url}),
        };
        json!({"type": "image", "source": source})
    };
    parts.iter().map(part).collect()
}

#[derive(Deserialize)]
struct ResultLine {
    custom_id: String,
    result: Value,
}

/// A result in OpenAI's form.
fn as_openai(line: &[u8]) -> Vec<u8> {
    let Ok(ResultLine { custom_id, result }) = serde_json::from_slice(line) else { return line.to_vec() };
    let undone =
        |code: &str| json!({"custom_id": custom_id, "response": null, "error": {"code": code, "message": code}});
    let whole = match result["type"].as_str().unwrap_or_default() {
        "succeeded" => {
            let response = json!({"status_code": 200, "body": completion(&result["message"])});
            json!({"custom_id": custom_id, "response": response, "error": null})
        }
        "errored" => {
            let error = result["error"].get("error").unwrap_or(&result["error"]);
            let status = match error["type"].as_str().unwrap_or_default() {
                "authentication_error" => 401,
                "permission_error" => 403,
                "not_found_error" => 404,
                "request_too_large" => 413,
                "rate_limit_error" => 429,
                "api_error" => 500,
                "timeout_error" => 504,
                "overloaded_error" => 529,
                _ => 400,
            };
            let response = json!({"status_code": status, "body": {"type": "error", "error": error}});
            json!({"custom_id": custom_id, "response": response, "error": null})
        }
        "canceled" => undone("batch_cancelled"),
        "expired" => undone("batch_expired"),
        _ => json!({"custom_id": custom_id, "response": null, "error": null}),
    };
    whole.to_string().into_bytes()
}

/// A message as a chat completion.
fn completion(message: &Value) -> Value {
    let blocks = message["content"].as_array().map(Vec::as_slice).unwrap_or_default();
    let text: String = blocks.iter().filter_map(|block| block["text"].as_str()).collect();
    let thinking: String = blocks.iter().filter_map(|block| block["thinking"].as_str()).collect();
    let finish = match message["stop_reason"].as_str().unwrap_or_default() {
        "max_tokens" | "model_context_window_exceeded" => "length",
        "end_turn" | "stop_sequence" => "stop",
        other => other,
    };
    let tokens = |name: &str| message["usage"][name].as_u64().unwrap_or(0);
    let (read, written) = (tokens("cache_read_input_tokens"), tokens("cache_creation_input_tokens"));
    json!({
        "id": message["id"], "model": message["model"],
        "choices": [{
            "finish_reason": finish,
            "message": {"role": "assistant", "content": text, "reasoning_content": Some(thinking).filter(|text| !text.is_empty())},
        }],
        "usage": {
            "prompt_tokens": tokens("input_tokens") + read + written, "completion_tokens": tokens("output_tokens"),
            "prompt_tokens_details": {"cached_tokens": read},
        },
    })
}

impl MessageBatch {
    fn total(&self) -> u64 {
        let Counts { processing, succeeded, errored, canceled, expired } = self.request_counts;
        processing + succeeded + errored + canceled + expired
    }

    fn standing(self) -> Standing {
        let total = self.total();
        let state = self.processing_status.to_ascii_lowercase();
        // How single requests ended, the results say.
        let was_cancelled = self.cancel_initiated_at.as_ref().is_some_and(|at| !at.is_null());
        let end = (state == "ended").then_some(if was_cancelled { End::Cancelled } else { End::Completed });
        let files = if end.is_some() { vec![self.id] } else { Vec::new() };
        Standing { state, end, done: total - self.request_counts.processing, total, files, ..Standing::default() }
    }
}

impl Provider for Anthropic {
    fn http(&self) -> &Http {
        &self.http
    }

    fn limits(&self) -> BatchLimits {
        LIMITS
    }

    fn list(&self) -> (&'static [&'static str], &'static str) {
        (&PATH, "limit")
    }

    fn upload<'a>(&'a self, _: &'a Path, _: &'a Batch) -> Step<'a, Option<String>> {
        Box::pin(async { Ok(None) })
    }

    fn submit<'a>(&'a self, requests: &'a Path, _: &'a Batch) -> Step<'a, String> {
        Box::pin(async move {
            let submission = rewritten(requests, Frame("{\"requests\":[", ",", "]}"), |request| {
                let params = params(serde_json::from_str(request.body.get())?);
                serde_json::to_string(&json!({"custom_id": request.custom_id, "params": params}))
            })?;
            let sent = Sent::File(submission.path());
            let batch: MessageBatch = self.http.once("submit the batch", Method::POST, &PATH, &[], sent).await?;
            Ok(batch.id)
        })
    }

    /// Time and number of requests say which it may be, its results say whether it is.
    fn find<'a>(&'a self, batch: &'a Batch, others: &'a [String]) -> Step<'a, Vec<Candidate>> {
        Box::pin(async move {
            let is_old = |found: &MessageBatch| {
                let created = found.created_at.parse();
                created.is_ok_and(|at: jiff::Timestamp| at.as_millisecond() < batch.submitting_ms - CLOCKS_MS)
            };
            let mut candidates = Vec::new();
            for found in self.http.list(&PATH, "after_id", is_old).await? {
                let is_ended = found.processing_status.eq_ignore_ascii_case("ended");
                let (total, requests) = (found.total(), batch.planned.requests as u64);
                // What has ended is known by its results, also if some are missing.
                if total > requests || (total < requests && !is_ended) || others.contains(&found.id) {
                    continue;
                }
                let sign = match is_ended {
                    false => Some(Sign::Later),
                    true => self.first_result(&found.id).await?.map(Sign::Result),
                };
                candidates.extend(sign.map(|sign| Candidate { id: found.id, sign }));
            }
            Ok(candidates)
        })
    }

    fn poll<'a>(&'a self, id: &'a str) -> Step<'a, Standing> {
        Box::pin(async move {
            let path = ["messages", "batches", id];
            let batch: MessageBatch =
                self.http.ask("look at the batch", Method::GET, &path, &[], Sent::Nothing).await?;
            Ok(batch.standing())
        })
    }

    fn cancel<'a>(&'a self, id: &'a str) -> Step<'a, ()> {
        Box::pin(async move {
            let path = ["messages", "batches", id, "cancel"];
            self.http.ask::<Value>("cancel the batch", Method::POST, &path, &[], Sent::Nothing).await.map(drop)
        })
    }

    fn results<'a>(&'a self, file: &'a str, into: &'a mut dyn Write) -> Step<'a, ()> {
        Box::pin(async move {
            let url = self.http.url(&["messages", "batches", file, "results"], &[]);
            self.http.fetch_into("fetch the results", &url, into, as_openai).await
        })
    }

    fn delete<'a>(&'a self, batch: &'a Batch) -> Step<'a, ()> {
        Box::pin(async move {
            let Some(id) = &batch.id else { return Ok(()) };
            let path = ["messages", "batches", id.as_str()];
            match self.http.ask::<Value>("delete the batch", Method::DELETE, &path, &[], Sent::Nothing).await {
                Err(BatchError::Endpoint { failure, .. }) if failure.http_status == Some(404) => Ok(()),
                result => result.map(drop),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::line::reply;
    use super::super::super::reply::{Reply, Undone};
    use super::*;

    #[test]
    fn a_chat_request_becomes_a_message() {
        let body = json!({
            "model": "claude", "max_tokens": 64, "temperature": 0.0, "response_format": {"type": "json_object"},
            "messages": [
                {"role": "system", "content": "sys"},
                {"role": "user", "content": [
                    {"type": "text", "text": "t"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAA="}},
                ]},
            ],
        });
        let expected = json!({
            "model": "claude", "temperature": 0.0, "max_tokens": 64, "system": "sys",
            "messages": [{"role": "user", "content": [
                {"type": "text", "text": "t"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAA="}},
            ]}],
        });
        assert_eq!(params(body.as_object().unwrap().clone()), expected);
    }

    #[test]
    fn each_type_of_result_is_read_by_the_code_that_reads_openai_s() {
        let read =
            |result: Value| reply(&as_openai(json!({"custom_id": "a", "result": result}).to_string().as_bytes()));
        let message = json!({
            "model": "claude", "stop_reason": "max_tokens", "content": [{"type": "text", "text": "{}"}],
            "usage": {"input_tokens": 5, "cache_read_input_tokens": 3, "output_tokens": 2},
        });
        let Reply::Answered(answer) = read(json!({"type": "succeeded", "message": message})) else { panic!() };
        let usage = answer.usage.unwrap();
        assert_eq!((answer.content.as_str(), answer.finish_reason.as_deref()), ("{}", Some("length")));
        assert_eq!((usage.input_tokens, usage.cached_tokens, usage.output_tokens), (8, 3, 2));
        let error = json!({"type": "errored", "error": {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}});
        let Reply::Failed(failure) = read(error) else { panic!() };
        assert_eq!((failure.http_status, failure.message.as_str()), (Some(529), "Overloaded"));
        assert!(matches!(read(json!({"type": "expired"})), Reply::Undone(Undone::Expired)));
        assert!(matches!(read(json!({"type": "canceled"})), Reply::Undone(Undone::Cancelled)));
    }
}
