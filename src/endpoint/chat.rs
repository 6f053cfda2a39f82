//! Chat completions on the wire: the request as the judge means it, the body as an endpoint takes it, and the answer.
//!
//! Source: OpenAI API reference, "Create chat completion". Own lenient types: compatible servers leave fields out, send `null`
//! for lists and numbers for strings.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::instructions::Instructions;
use super::members::{Members, read};

/// What a judge asks, before any adaptation to what an endpoint happens to take.
#[derive(Debug, Clone)]
pub struct ChatRequest {
    /// The instructions: the same for every trace.
    pub system: Option<Instructions>,
    /// The trace, as the judge's template puts it.
    pub user: String,
    /// Images that go with it: addresses, or data URIs.
    pub images: Vec<Arc<str>>,
    /// Characters of the trace that are not in it, because the judge limits its length.
    pub chars_left_out: u64,
    /// The JSON schema of the answer.
    pub schema: Arc<RawValue>,
    /// How the answer is sampled.
    pub sampling: Sampling,
}

/// How the answer is sampled (`[params]` in a judge file).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sampling {
    /// 0 is the most repeatable; left out for models that take none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Nucleus sampling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// A wish for repeatability, kept on a best-effort basis by some endpoints.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<i64>,
    /// `none`, `minimal`, `low`, `medium`, `high`: for models that reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_effort: Option<ReasoningEffort>,
    /// The most tokens that an answer may have, hidden reasoning included. Always sent: without it some providers reserve
    /// the model's maximum, and the tokens-per-minute quota collapses.
    pub max_output_tokens: u32,
}

/// How long a model that reasons may do so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are OpenAI's own")]
pub enum ReasoningEffort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    Xhigh,
}

impl Sampling {
    /// Enough for a few sentences of reasoning and a verdict, and for a model that reasons a little.
    pub const DEFAULT_MAX_OUTPUT_TOKENS: u32 = 2048;
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: Some(0.0),
            top_p: None,
            seed: None,
            reasoning_effort: None,
            max_output_tokens: Self::DEFAULT_MAX_OUTPUT_TOKENS,
        }
    }
}

/// How requests are put for one endpoint and model. It starts as the provider is known and is adapted to what the endpoint refuses (see
/// `adapt.rs`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireProfile {
    /// What the output limit is called.
    pub limit_field: LimitField,
    /// How the form of the answer is asked for.
    pub response_format: ResponseFormat,
    /// Whether instructions have a message of their own; otherwise they stand at the head of the user's.
    pub system_role: bool,
    /// Parameters that the endpoint does not take.
    pub dropped: BTreeSet<String>,
}

/// The two names of the output limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitField {
    /// OpenAI's current name.
    MaxCompletionTokens,
    /// The older name, which most compatible servers know.
    MaxTokens,
}

/// How the form of the answer is asked for, from the surest to the loosest. The prompt states it in words in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResponseFormat {
    /// A JSON schema that is enforced.
    JsonSchema,
    /// A JSON schema without `strict`.
    LooseJsonSchema,
    /// A JSON object, with the schema beside it as llama.cpp takes it.
    JsonObjectWithSchema,
    /// Any JSON object.
    JsonObject,
    /// Nothing is said.
    Text,
}

impl ResponseFormat {
    /// The name in records and summaries.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::JsonSchema => "json_schema",
            Self::LooseJsonSchema => "json_schema (not strict)",
            Self::JsonObjectWithSchema => "json_object (with schema)",
            Self::JsonObject => "json_object",
            Self::Text => "text",
        }
    }
}

/// Providers count from 85 (OpenAI, low detail) to about 1600 (Anthropic's largest); a run corrects it by what the endpoint counts.
const TOKENS_OF_AN_IMAGE: u64 = 1000;
/// The name of the schema, constant so that it never spoils a provider's prefix cache.
const SCHEMA_NAME: &str = "verdict";

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: &'a [Message<'a>],
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<Format<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<ReasoningEffort>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Content<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(&'a str),
    Json(&'a RawValue),
    Parts(Vec<Part<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Part<'a> {
    Text { text: &'a str },
    ImageUrl { image_url: ImageUrl<'a> },
}

#[derive(Serialize)]
struct ImageUrl<'a> {
    url: &'a str,
}

impl<'a> Content<'a> {
    fn new(text: &'a str, images: &'a [Arc<str>]) -> Self {
        if images.is_empty() {
            return Self::Text(text);
        }
        let images = images.iter().map(|url| Part::ImageUrl { image_url: ImageUrl { url } });
        Self::Parts(std::iter::once(Part::Text { text }).chain(images).collect())
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Format<'a> {
    JsonSchema {
        json_schema: Schema<'a>,
    },
    JsonObject {
        #[serde(skip_serializing_if = "Option::is_none")]
        schema: Option<&'a RawValue>,
    },
}

#[derive(Serialize)]
struct Schema<'a> {
    name: &'static str,
    strict: bool,
    schema: &'a RawValue,
}

impl ChatRequest {
    /// The body of the POST, as this endpoint and model take it. `extra` is merged in and wins.
    ///
    /// # Errors
    /// When a number of the sampling parameters is not finite.
    pub fn body(
        &self,
        model: &str,
        profile: &WireProfile,
        max_output: u32,
        extra: &Map<String, Value>,
    ) -> Result<Vec<u8>, serde_json::Error> {
        let merged;
        let user = match &self.system {
            Some(system) if !profile.system_role => {
                merged = format!("{}\n\n{}", &**system, self.user);
                &merged
            }
            _ => &self.user,
        };
        let user = Message { role: "user", content: Content::new(user, &self.images) };
        let with_system;
        let messages = match &self.system {
            Some(system) if profile.system_role => {
                with_system = [Message { role: "system", content: Content::Json(system.json()) }, user];
                &with_system[..]
            }
            _ => std::slice::from_ref(&user),
        };
        let schema =
            |strict| Format::JsonSchema { json_schema: Schema { name: SCHEMA_NAME, strict, schema: &self.schema } };
        let sampling = &self.sampling;
        let taken = |name: &str| !profile.dropped.contains(name);
        let limit = |field| (profile.limit_field == field).then_some(max_output);
        let body = Body {
            model,
            messages,
            response_format: match profile.response_format {
                ResponseFormat::JsonSchema => Some(schema(true)),
                ResponseFormat::LooseJsonSchema => Some(schema(false)),
                ResponseFormat::JsonObjectWithSchema => Some(Format::JsonObject { schema: Some(&self.schema) }),
                ResponseFormat::JsonObject => Some(Format::JsonObject { schema: None }),
                ResponseFormat::Text => None,
            },
            temperature: sampling.temperature.filter(|_| taken("temperature")),
            top_p: sampling.top_p.filter(|_| taken("top_p")),
            seed: sampling.seed.filter(|_| taken("seed")),
            reasoning_effort: sampling.reasoning_effort.filter(|_| taken("reasoning_effort")),
            max_completion_tokens: limit(LimitField::MaxCompletionTokens),
            max_tokens: limit(LimitField::MaxTokens),
        };
        if extra.is_empty() {
            let mut bytes =
                Vec::with_capacity(self.prompt_bytes() + self.image_bytes() + self.schema.get().len() + 512);
            serde_json::to_writer(&mut bytes, &body)?;
            return Ok(bytes);
        }
        let mut body = serde_json::to_value(&body)?;
        if let Value::Object(body) = &mut body {
            body.extend(
                extra.iter().filter(|(name, _)| taken(name)).map(|(name, value)| (name.clone(), value.clone())),
            );
        }
        serde_json::to_vec(&body)
    }

    /// Bytes of the texts of all messages.
    pub fn prompt_bytes(&self) -> usize {
        self.system.as_ref().map_or(0, |system| system.len()) + self.user.len()
    }

    /// Bytes of all images, as they are sent.
    pub fn image_bytes(&self) -> usize {
        self.images.iter().map(|image| image.len()).sum()
    }

    /// Tokens of the prompt, estimated as providers do before a request: a token for every four bytes, and four a message; and what an
    /// image usually takes.
    ///
    /// Source: OpenAI's rate limit guide ("based on the character count").
    pub fn estimated_input_tokens(&self) -> u64 {
        self.estimated_text_tokens() + TOKENS_OF_AN_IMAGE * self.images.len() as u64
    }

    /// Of these, the tokens of the text.
    pub fn estimated_text_tokens(&self) -> u64 {
        self.prompt_bytes().div_ceil(4) as u64 + 4 * (1 + u64::from(self.system.is_some()))
    }
}

/// What the endpoint answered, as far as a verdict needs it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// The text; empty when the message has none.
    pub content: String,
    /// The model's refusal to answer.
    pub refusal: Option<String>,
    /// Whether the answer also carries reasoning outside the text.
    pub has_reasoning: bool,
    /// `stop`, `length`, `content_filter`, ... as the server wrote it.
    pub finish_reason: Option<String>,
    /// The model that answered, which need not be the one that was asked.
    pub model: Option<String>,
    /// Tokens used, when the server says so.
    pub usage: Option<Usage>,
    /// The backend configuration that answered.
    pub system_fingerprint: Option<String>,
    /// The server's id of the exchange, for support requests.
    pub request_id: Option<String>,
}

/// Tokens that one call used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt.
    pub input_tokens: u64,
    /// Of these, read from the provider's cache.
    pub cached_tokens: u64,
    /// Tokens of the answer, hidden reasoning included.
    pub output_tokens: u64,
}

/// Why a 200 holds no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// Not a chat completion at all.
    #[error("not a chat completion: {0}")]
    NotCompletion(#[from] serde_json::Error),
    /// An error, in spite of the status.
    #[error("an error in a 200")]
    Error,
    /// No choices: OpenRouter's way to say that a model is warming up.
    #[error("the answer has no choices")]
    NoChoices,
}

impl Answer {
    /// Reads the body of a 200.
    ///
    /// # Errors
    /// When the body is not JSON, is an error, or has no choices.
    pub fn from_body(body: &[u8]) -> Result<Self, NoAnswer> {
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        let completion: Members<'_> = serde_json::from_slice(body)?;
        let choices: Vec<&RawValue> = completion.raw("choices").map_or(Ok(Vec::new()), read)?;
        let Some(choice) = choices.first() else {
            return Err(if completion.raw("error").is_some() { NoAnswer::Error } else { NoAnswer::NoChoices });
        };
        let choice: Members<'_> = read(choice)?;
        if choice.raw("error").is_some() {
            return Err(NoAnswer::Error);
        }
        // The one part of an answer that must have its form.
        let message: Members<'_> = choice.raw("message").map_or(Ok(Members::default()), read)?;
        let content: Option<Value> = message.raw("content").map(read).transpose()?;
        // LiteLLM moves refusals.
        let moved = message.object("provider_specific_fields");
        let text = |value: Option<Value>| value.map(joined_text).filter(|text| !text.trim().is_empty());
        Ok(Self {
            content: content.map(joined_text).unwrap_or_default(),
            refusal: text(message.value("refusal")).or_else(|| text(moved.value("refusal"))),
            has_reasoning: text(message.value("reasoning_content"))
                .or_else(|| text(message.value("reasoning")))
                .is_some(),
            finish_reason: choice.value("finish_reason").and_then(word),
            model: completion.value("model").and_then(word),
            usage: usage(&completion.object("usage")),
            system_fingerprint: completion.value("system_fingerprint").and_then(word),
            request_id: None,
        })
    }
}

/// A string that is not empty, or a number as its digits.
fn word(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Tokens, where the server counts any. A paid answer does not fail because its bill is odd.
fn usage(usage: &Members<'_>) -> Option<Usage> {
    let tokens = |of: &Members<'_>, name| of.value(name).as_ref().and_then(count);
    let (input, output) = (tokens(usage, "prompt_tokens"), tokens(usage, "completion_tokens"));
    let cached = tokens(&usage.object("prompt_tokens_details"), "cached_tokens");
    // DeepSeek's name.
    let cached = cached.or_else(|| tokens(usage, "prompt_cache_hit_tokens"));
    let usage = Usage {
        input_tokens: input.unwrap_or(0),
        cached_tokens: cached.unwrap_or(0),
        output_tokens: output.unwrap_or(0),
    };
    (usage.input_tokens > 0 || usage.output_tokens > 0).then_some(usage)
}

/// A number that is not negative, in whatever form.
fn count(value: &Value) -> Option<u64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked: exact up to 2^53")]
    number.filter(|number: &f64| (0.0..9e15).contains(number)).map(|number| number.round() as u64)
}

/// Content is a string, or a list of parts of which the text ones count.
fn joined_text(content: Value) -> String {
    match content {
        Value::String(text) => text,
        Value::Array(parts) => {
            parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str).or(part.as_str())).collect()
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_has_only_what_the_endpoint_takes() {
        let request = ChatRequest {
            system: Some(Instructions::new("sys").unwrap()),
            user: "usr\n".into(),
            images: Vec::new(),
            chars_left_out: 0,
            schema: RawValue::from_string("{\"type\":\"object\"}".into()).unwrap().into(),
            sampling: Sampling::default(),
        };
        let text = |profile: &WireProfile, extra: Value| {
            let extra = extra.as_object().cloned().unwrap_or_default();
            String::from_utf8(request.body("m", profile, 64, &extra).unwrap()).unwrap()
        };
        let mut profile = WireProfile {
            limit_field: LimitField::MaxTokens,
            response_format: ResponseFormat::JsonSchema,
            system_role: true,
            dropped: BTreeSet::new(),
        };
        assert_eq!(
            text(&profile, Value::Null),
            r#"{"model":"m","messages":[{"role":"system","content":"sys"},{"role":"user","content":"usr\n"}],"response_format":{"type":"json_schema","json_schema":{"name":"verdict","strict":true,"schema":{"type":"object"}}},"temperature":0.0,"max_tokens":64}"#
        );
        profile.limit_field = LimitField::MaxCompletionTokens;
        profile.response_format = ResponseFormat::JsonObject;
        profile.system_role = false;
        profile.dropped.extend(["temperature".to_owned(), "service_tier".to_owned()]);
        assert_eq!(
            text(&profile, serde_json::json!({"service_tier": "flex", "top_k": 1})),
            r#"{"model":"m","messages":[{"role":"user","content":"sys\n\nusr\n"}],"response_format":{"type":"json_object"},"max_completion_tokens":64,"top_k":1}"#
        );
        profile.response_format = ResponseFormat::JsonObjectWithSchema;
        assert!(text(&profile, Value::Null).contains(r#"{"type":"json_object","schema":{"type":"object"}}"#));
        profile.response_format = ResponseFormat::Text;
        assert!(!text(&profile, Value::Null).contains("response_format"));
        assert_eq!(request.estimated_input_tokens(), 2 + 8);
        let request = ChatRequest { images: vec!["https://h/i.png".into()], ..request };
        let parts = r#"{"role":"user","content":[{"type":"text","text":"sys\n\nusr\n"},{"type":"image_url","image_url":{"url":"https://h/i.png"}}]}"#;
        assert!(String::from_utf8(request.body("m", &profile, 64, &Map::new()).unwrap()).unwrap().contains(parts));
        assert_eq!((request.estimated_input_tokens(), request.estimated_text_tokens()), (1010, 10));
    }

    #[test]
    fn answers_are_read_as_servers_write_them() {
        let read = |text: &str| Answer::from_body(text.as_bytes());
        let answer = read(
            r#"
            {"choices":[{"index":0,"message":{"role":"assistant","content":"x","refusal":null},"finish_reason":"stop"}],
            "model":"m-1","usage":{"prompt_tokens":9,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":4}}}"#,
        )
        .unwrap();
        assert_eq!((answer.content.as_str(), answer.model.as_deref()), ("x", Some("m-1")));
        assert_eq!(answer.usage, Some(Usage { input_tokens: 9, cached_tokens: 4, output_tokens: 3 }));
        let answer = read(
            r#"{"choices":[{"message":{"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},"finish_reason":""}],"usage":null}"#,
        );
        assert_eq!(answer.as_ref().map(|a| (a.content.as_str(), a.finish_reason.clone())).unwrap(), ("ab", None));
        let answer =
            read(r#"{"choices":[{"message":{"content":null,"reasoning":"hm"},"finish_reason":"length"}]}"#).unwrap();
        assert!(answer.content.is_empty() && answer.has_reasoning);
        let answer = read(r#"{"choices":[{"message":{"content":"","provider_specific_fields":{"refusal":"no"}}}]}"#);
        assert_eq!(answer.unwrap().refusal.as_deref(), Some("no"));
        assert!(matches!(read(r#"{"choices":[]}"#), Err(NoAnswer::NoChoices)));
        assert!(matches!(read(r#"{"error":{"message":"x"}}"#), Err(NoAnswer::Error)));
        assert!(matches!(read(r#"{"choices":[{"error":{"code":502}}]}"#), Err(NoAnswer::Error)));
        assert!(matches!(read("<html>"), Err(NoAnswer::NotCompletion(_))));
        assert!(matches!(read(r#"{"choices":{}}"#), Err(NoAnswer::NotCompletion(_))));
        assert!(matches!(read("[]"), Err(NoAnswer::NotCompletion(_))));
    }

    #[test]
    fn only_the_message_can_fail_an_answer() {
        let read = |choice: &str, rest: &str| {
            Answer::from_body(format!(r#"{{"choices":[{{{choice}"message":{{"content":"x"}}}},7]{rest}}}"#).as_bytes())
        };
        let answer = read(
            r#""finish_reason":7,"#,
            r#","model":7,"system_fingerprint":[1],"usage":{"prompt_tokens":50.0,"completion_tokens":"3","prompt_tokens_details":"none","prompt_cache_hit_tokens":"20"}"#,
        )
        .unwrap();
        assert_eq!((answer.content.as_str(), answer.model.as_deref()), ("x", Some("7")));
        assert_eq!((answer.finish_reason.as_deref(), answer.system_fingerprint), (Some("7"), None));
        assert_eq!(answer.usage, Some(Usage { input_tokens: 50, cached_tokens: 20, output_tokens: 3 }));
        for odd in
            [r#""free""#, "[]", "null", "{}", r#"{"prompt_tokens":0,"completion_tokens":0}"#, r#"{"prompt_tokens":-1}"#]
        {
            let answer = read(r#""finish_reason":{"a":1},"#, &format!(r#","model":{{}},"usage":{odd}"#)).unwrap();
            assert_eq!((answer.usage, answer.model, answer.finish_reason), (None, None, None), "{odd}");
        }
        for message in ["7", r#""text""#] {
            let body = format!(r#"{{"choices":[{{"message":{message}}}]}}"#);
            assert!(matches!(Answer::from_body(body.as_bytes()), Err(NoAnswer::NotCompletion(_))), "{message}");
        }
    }
}
