//! A chat completion's request: as the judge means it, and as an endpoint accepts it.
//!
//! Source: OpenAI API reference, "Create chat completion".

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::endpoint::wire::AnswerSchema;
use crate::endpoint::wire::PromptNotes;
use crate::endpoint::wire::instructions::Instructions;
use crate::endpoint::wire::layout::{BEFORE_THE_TRACE, Layout};
use crate::json_string::write_string;

pub use crate::endpoint::wire::profile::{LimitField, ResponseFormat, WireProfile};

/// What a judge asks, before any adaptation to what an endpoint accepts.
#[derive(Debug, Clone)]
pub struct ChatRequest {
    /// The instructions: the same for every trace.
    pub system: Option<Instructions>,
    /// The trace, as rendered by the judge's template.
    pub user: String,
    /// Images that go with it: addresses, or data URIs.
    pub images: Vec<Arc<str>>,
    /// What its record should say about it.
    pub notes: PromptNotes,
    /// The JSON schema of the answer.
    pub schema: AnswerSchema,
    /// How the answer is sampled.
    pub sampling: Sampling,
    /// What the prompt begins with.
    pub layout: Layout,
}

/// How the answer is sampled (`[params]` in a judge file).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sampling {
    /// 0 is the most repeatable; omitted for models that accept none.
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
    /// The longest rationale to ask for, in characters. It changes no verdict, so it is not part of an identity.
    #[serde(skip_serializing)]
    pub max_rationale_chars: u32,
    /// Whether the endpoint is asked how probable each token and its alternatives are.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub logprobs: bool,
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
    /// About five sentences.
    pub const DEFAULT_MAX_RATIONALE_CHARS: u32 = 1200;
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: Some(0.0),
            top_p: None,
            seed: None,
            reasoning_effort: None,
            max_output_tokens: Self::DEFAULT_MAX_OUTPUT_TOKENS,
            max_rationale_chars: Self::DEFAULT_MAX_RATIONALE_CHARS,
            logprobs: false,
        }
    }
}

/// Providers count from 85 (OpenAI, low detail) to about 1600 (Anthropic's largest); a run corrects it by what the endpoint counts.
const TOKENS_OF_AN_IMAGE: u64 = 1000;
/// The parameters that ask for probabilities.
pub(crate) const LOGPROBS: [&str; 2] = ["logprobs", "top_logprobs"];
/// Alternatives for each token: the most that OpenAI and vLLM give.
const TOP_LOGPROBS: u8 = 20;
/// The name of the schema, constant so that it never spoils a provider's prefix cache.
const SCHEMA_NAME: &str = "verdict";

/// The members after `model` and `messages`.
#[derive(Serialize)]
struct Options<'a> {
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
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_logprobs: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
}

/// Without this, a stream does not say what it cost.
#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
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

/// Appends the content of a message.
fn write_content(bytes: &mut Vec<u8>, text: &str, images: &[Arc<str>]) -> Result<(), serde_json::Error> {
    if images.is_empty() {
        write_string(bytes, text);
        return Ok(());
    }
    let images = images.iter().map(|url| Part::ImageUrl { image_url: ImageUrl { url } });
    let parts: Vec<_> = std::iter::once(Part::Text { text }).chain(images).collect();
    serde_json::to_writer(bytes, &parts)
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
    /// The body of the POST, in the form that this endpoint and model accept. `extra` is merged in and overrides all but what the endpoint demands.
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
        let user = match &self.system {
            Some(system) if self.layout == Layout::TraceFirst => {
                Cow::Owned(format!("{BEFORE_THE_TRACE}\n\n{}\n\n{}", self.user.trim_end(), &**system))
            }
            Some(system) if !profile.system_role => Cow::Owned(format!("{}\n\n{}", &**system, self.user)),
            _ => Cow::Borrowed(self.user.as_str()),
        };
        let json = self.schema.json(profile.with_bounds);
        let schema = |strict| Format::JsonSchema { json_schema: Schema { name: SCHEMA_NAME, strict, schema: json } };
        let sampling = &self.sampling;
        let taken = |name: &str| !profile.dropped.contains(name);
        let limit = |field| (profile.limit_field == field).then_some(profile.room(max_output));
        let options = Options {
            response_format: match profile.response_format {
                ResponseFormat::JsonSchema => Some(schema(true)),
                ResponseFormat::LooseJsonSchema => Some(schema(false)),
                ResponseFormat::JsonObjectWithSchema => Some(Format::JsonObject { schema: Some(json) }),
                ResponseFormat::JsonObject => Some(Format::JsonObject { schema: None }),
                ResponseFormat::Text => None,
            },
            temperature: sampling.temperature.filter(|_| taken("temperature")),
            top_p: sampling.top_p.filter(|_| taken("top_p")),
            seed: sampling.seed.filter(|_| taken("seed")),
            reasoning_effort: sampling.reasoning_effort.filter(|_| taken("reasoning_effort")),
            max_completion_tokens: limit(LimitField::MaxCompletionTokens),
            max_tokens: limit(LimitField::MaxTokens),
            logprobs: self.wants_logprobs(profile).then_some(true),
            top_logprobs: self.wants_logprobs(profile).then_some(TOP_LOGPROBS),
            stream: profile.stream.then_some(true),
            stream_options: (profile.stream && taken("stream_options"))
                .then_some(StreamOptions { include_usage: true }),
        };
        // An escaped text is rarely longer by more than an eighth.
        let room = self.prompt_bytes() + self.prompt_bytes() / 8 + self.image_bytes() + json.get().len() + 512;
        let mut bytes = Vec::with_capacity(room);
        bytes.extend_from_slice(b"{\"model\":");
        write_string(&mut bytes, model);
        bytes.extend_from_slice(b",\"messages\":[");
        if let Some(system) = self.system_message(profile) {
            bytes.extend_from_slice(b"{\"role\":\"system\",\"content\":");
            bytes.extend_from_slice(system.json().get().as_bytes());
            bytes.extend_from_slice(b"},");
        }
        bytes.extend_from_slice(b"{\"role\":\"user\",\"content\":");
        write_content(&mut bytes, &user, &self.images)?;
        bytes.extend_from_slice(b"}],");
        let start = bytes.len();
        serde_json::to_writer(&mut bytes, &options)?;
        // There is always an output limit, so there are members: they follow in the same object.
        bytes.remove(start);
        if extra.is_empty() && profile.switches.is_empty() {
            return Ok(bytes);
        }
        let mut body: Map<String, Value> = serde_json::from_slice(&bytes)?;
        body.extend(extra.iter().filter(|(name, _)| taken(name)).map(|(name, value)| (name.clone(), value.clone())));
        body.extend(profile.switches.iter().map(|(name, on)| (name.clone(), Value::Bool(*on))));
        serde_json::to_vec(&body)
    }

    /// The instructions, if they are a separate message.
    pub(crate) fn system_message(&self, profile: &WireProfile) -> Option<&Instructions> {
        self.system.as_ref().filter(|_| profile.system_role && self.layout == Layout::InstructionsFirst)
    }

    /// Whether it asks for probabilities: one of the parameters is useless without the other.
    pub(crate) fn wants_logprobs(&self, profile: &WireProfile) -> bool {
        self.sampling.logprobs && !LOGPROBS.iter().any(|name| profile.dropped.contains(*name))
    }

    /// Bytes of the texts of all messages.
    pub fn prompt_bytes(&self) -> usize {
        self.system.as_ref().map_or(0, |system| system.len()) + self.user.len()
    }

    /// Bytes of all images, as they are sent.
    pub fn image_bytes(&self) -> usize {
        self.images.iter().map(|image| image.len()).sum()
    }

    /// Tokens of the prompt, estimated as providers do before a request: a token for every four bytes, and four per message; and what an
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_has_only_what_the_endpoint_takes() {
        let request = ChatRequest {
            system: Some(Instructions::new("sys").unwrap()),
            user: "usr\n".into(),
            images: Vec::new(),
            notes: PromptNotes::default(),
            schema: RawValue::from_string("{\"type\":\"object\"}".into()).unwrap().into(),
            sampling: Sampling::default(),
            layout: Layout::default(),
        };
        let text = |profile: &WireProfile, extra: Value| {
            let extra = extra.as_object().cloned().unwrap_or_default();
            String::from_utf8(request.body("m", profile, 64, &extra).unwrap()).unwrap()
        };
        let mut profile = WireProfile::default();
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
        profile.stream = true;
        profile.max_output = Some(63);
        profile.switches.insert("enable_thinking".to_owned(), false);
        assert_eq!(
            text(&profile, serde_json::json!({"enable_thinking": true})),
            r#"{"model":"m","messages":[{"role":"user","content":"sys\n\nusr\n"}],"max_completion_tokens":63,"stream":true,"stream_options":{"include_usage":true},"enable_thinking":false}"#
        );
        profile.dropped.insert("stream_options".to_owned());
        assert!(!text(&profile, Value::Null).contains("stream_options"));
        let trace_first = ChatRequest { layout: Layout::TraceFirst, ..request.clone() };
        for system_role in [false, true] {
            let profile = WireProfile { system_role, ..WireProfile::default() };
            let body: Value =
                serde_json::from_slice(&trace_first.body("m", &profile, 64, &Map::new()).unwrap()).unwrap();
            let text = format!("{BEFORE_THE_TRACE}\n\nusr\n\nsys");
            assert_eq!(body["messages"], serde_json::json!([{"role": "user", "content": text}]));
        }
        assert_eq!(request.estimated_input_tokens(), 2 + 8);
        let request = ChatRequest { images: vec!["https://h/i.png".into()], ..request };
        let parts = r#"{"role":"user","content":[{"type":"text","text":"sys\n\nusr\n"},{"type":"image_url","image_url":{"url":"https://h/i.png"}}]}"#;
        assert!(String::from_utf8(request.body("m", &profile, 64, &Map::new()).unwrap()).unwrap().contains(parts));
        assert_eq!((request.estimated_input_tokens(), request.estimated_text_tokens()), (1010, 10));
    }
}
