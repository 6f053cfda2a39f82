//! The `chat.completion` object, good or with one of the faults that hide behind a 200.

use std::time::SystemTime;

use serde::Serialize;
use serde_json::Value;

use super::fault::Fault;
use super::logprobs;
use super::lot::Lot;
use super::request::{ChatRequest, Format};
use super::schema::{self, NO_MODEL};

/// OpenAI's `CreateChatCompletionResponse`.
#[derive(Debug, Serialize)]
pub(super) struct Completion<'a> {
    id: String,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Vec<Choice>,
    pub(super) usage: Usage,
    service_tier: &'static str,
    system_fingerprint: &'static str,
}

#[derive(Debug, Serialize)]
struct Choice {
    index: u64,
    message: Message,
    logprobs: Option<Value>,
    finish_reason: &'static str,
}

#[derive(Debug, Serialize)]
struct Message {
    role: &'static str,
    content: Option<String>,
    refusal: Option<&'static str>,
}

#[derive(Debug, Serialize)]
pub(super) struct Usage {
    pub(super) prompt_tokens: u64,
    pub(super) completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: PromptTokensDetails,
}

impl Usage {
    /// Reports only as much of the prompt as fits the context, and does not mention the rest.
    pub(super) fn truncate_prompt(&mut self, context: u64) {
        self.prompt_tokens = self.prompt_tokens.min(context);
        self.total_tokens = self.prompt_tokens + self.completion_tokens;
    }
}

#[derive(Debug, Serialize)]
struct PromptTokensDetails {
    cached_tokens: u64,
}

/// Marks a completion as made up, for clients behind a proxy that drops the header.
const FINGERPRINT: &str = "judge-run-simulator";
/// An output limit below this is obeyed; above it, no answer of the simulator is cut.
const SHORT: u64 = 16;
/// UTF-8 bytes a token, roughly.
const BYTES_PER_TOKEN: u64 = 4;

impl<'a> Completion<'a> {
    pub(super) fn new(request: &'a ChatRequest, lot: &Lot, fault: Option<Fault>) -> Self {
        let choices: Vec<_> = (0..request.n).map(|index| Choice::new(request, lot, index, fault)).collect();
        let completion_tokens = choices.iter().map(|choice| choice.message.tokens()).sum();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self {
            id: format!("chatcmpl-{:016x}{:08x}", lot.key, lot.seed as u32),
            object: "chat.completion",
            created: now.map_or(0, |since| since.as_secs()),
            model: &request.model,
            choices,
            usage: Usage {
                prompt_tokens: request.prompt_tokens,
                completion_tokens,
                total_tokens: request.prompt_tokens + completion_tokens,
                prompt_tokens_details: PromptTokensDetails { cached_tokens: 0 },
            },
            service_tier: "default",
            system_fingerprint: FINGERPRINT,
        }
    }
}

impl Choice {
    fn new(request: &ChatRequest, lot: &Lot, index: u64, fault: Option<Fault>) -> Self {
        let seed = lot.seed.wrapping_add(index);
        let mut refusal = None;
        let mut finish_reason = "stop";
        let mut content = Some(match fault {
            Some(Fault::Empty) => String::new(),
            Some(Fault::Unparseable) => "Simulated: there is much to be said here, but nothing is decided.".to_owned(),
            fault => content(&request.format, seed, fault == Some(Fault::Range)),
        });
        match fault {
            Some(Fault::Refusal) => {
                content = None;
                refusal = Some("Simulated: I'm sorry, but I can't assist with that request.");
            }
            Some(Fault::Filter) => {
                content = None;
                finish_reason = "content_filter";
            }
            _ => {}
        }
        if let Some(text) = &mut content {
            let limit = match (fault, request.max_tokens) {
                (Some(Fault::Truncated), _) => text.len() / 2,
                (_, Some(tokens)) if tokens < SHORT => (tokens * BYTES_PER_TOKEN) as usize,
                _ => usize::MAX,
            };
            if limit < text.len() {
                text.truncate((0..=limit).rfind(|end| text.is_char_boundary(*end)).unwrap_or(0));
                finish_reason = "length";
            }
        }
        let wanted = content.as_deref().filter(|_| request.wants_logprobs);
        let logprobs = wanted.map(|text| logprobs::of(text, &request.format, seed));
        Self { index, message: Message { role: "assistant", content, refusal }, logprobs, finish_reason }
    }
}

fn content(format: &Format, seed: u64, out_of_range: bool) -> String {
    match format {
        Format::Text => format!("{NO_MODEL} This sentence stands where its answer would be."),
        Format::JsonObject if out_of_range => format!(r#"{{"rationale":"{NO_MODEL}","value":1e9}}"#),
        Format::JsonObject => format!(r#"{{"rationale":"{NO_MODEL}","value":{}}}"#, seed.is_multiple_of(2)),
        Format::Schema(schema) if out_of_range => schema::instance_out_of_range(schema, seed).to_string(),
        Format::Schema(schema) => schema::instance(schema, seed).to_string(),
    }
}

impl Message {
    fn tokens(&self) -> u64 {
        let text = self.content.as_deref().or(self.refusal).unwrap_or_default();
        (text.len() as u64).div_ceil(BYTES_PER_TOKEN)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn completion(body: &Value, fault: Option<Fault>) -> Value {
        let body = body.to_string();
        let request = ChatRequest::parse(body.as_bytes()).unwrap();
        serde_json::to_value(Completion::new(&request, &Lot::draw(body.as_bytes()), fault)).unwrap()
    }

    fn request(format: Value) -> Value {
        json!({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "12345678"}], "response_format": format})
    }

    fn verdict_request() -> Value {
        let schema =
            json!({"type": "object", "properties": {"rationale": {"type": "string"}, "value": {"type": "boolean"}}});
        request(json!({"type": "json_schema", "json_schema": {"name": "verdict", "schema": schema}}))
    }

    #[test]
    fn a_completion_has_the_shape_of_openai() {
        let mut completion = completion(&request(json!({"type": "text"})), None);
        assert!(completion["id"].as_str().unwrap().starts_with("chatcmpl-"));
        assert!(completion["created"].as_u64().unwrap() > 1_700_000_000);
        completion["id"].take();
        completion["created"].take();
        let content = "Simulated: no model was asked. This sentence stands where its answer would be.";
        assert_eq!(
            completion,
            json!({
                "id": null, "object": "chat.completion", "created": null, "model": "gpt-4o-mini",
                "choices": [{
                    "index": 0,
                    "message": {"role": "assistant", "content": content, "refusal": null},
                    "logprobs": null,
                    "finish_reason": "stop",
                }],
                "usage": {
                    "prompt_tokens": 6, "completion_tokens": 20, "total_tokens": 26,
                    "prompt_tokens_details": {"cached_tokens": 0},
                },
                "service_tier": "default",
                "system_fingerprint": "judge-run-simulator",
            })
        );
    }

    #[test]
    fn choices_are_drawn_apart() {
        let mut body = verdict_request();
        body["n"] = 20.into();
        let completion = completion(&body, None);
        let contents: std::collections::HashSet<_> = completion["choices"]
            .as_array()
            .unwrap()
            .iter()
            .map(|choice| choice["message"]["content"].to_string())
            .collect();
        assert_eq!((completion["choices"][19]["index"].as_u64(), contents.len()), (Some(19), 2));
    }

    #[test]
    fn a_low_limit_of_tokens_cuts_the_content() {
        let mut body = verdict_request();
        body["max_completion_tokens"] = 5.into();
        let completion = completion(&body, None);
        assert_eq!(completion["choices"][0]["finish_reason"], "length");
        assert_eq!(completion["choices"][0]["message"]["content"], "{\"rationale\":\"Simula");
        assert_eq!(completion["usage"]["completion_tokens"], 5);
    }

    #[test]
    fn faults_behind_a_200_are_as_their_names_say() {
        let faulty = |fault| completion(&verdict_request(), Some(fault))["choices"][0].take();
        let content = |fault| faulty(fault)["message"]["content"].as_str().unwrap().to_owned();
        assert_eq!(content(Fault::Empty), "");
        assert_eq!(faulty(Fault::Refusal)["message"]["content"], Value::Null);
        assert!(faulty(Fault::Refusal)["message"]["refusal"].is_string());
        assert_eq!(faulty(Fault::Filter)["finish_reason"], "content_filter");
        assert_eq!(faulty(Fault::Truncated)["finish_reason"], "length");
        assert!(serde_json::from_str::<Value>(&content(Fault::Truncated)).is_err());
        assert!(!content(Fault::Unparseable).contains(['{', 'y', 'Y']), "neither JSON nor a yes");
        let range: Value = serde_json::from_str(&content(Fault::Range)).unwrap();
        assert_eq!(range["value"], "no such label");
    }
}
