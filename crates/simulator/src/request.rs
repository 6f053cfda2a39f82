//! A chat request, as far as the simulator reads it: the prompts are measured, not kept.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::error::Category;

use super::error::ApiError;

/// A valid request.
#[derive(Debug)]
pub(super) struct ChatRequest {
    pub(super) model: String,
    pub(super) format: Format,
    /// How many choices are asked for.
    pub(super) n: u64,
    /// A quarter of the prompts' UTF-8 bytes, and 4 a message.
    pub(super) prompt_tokens: u64,
    /// The most tokens that a choice may have.
    pub(super) max_tokens: Option<u64>,
    /// Whether that limit has its older name.
    pub(super) has_old_max_tokens: bool,
    pub(super) temperature: Option<f64>,
    pub(super) has_system_message: bool,
    /// Whether the form is asked for as `json_schema`.
    pub(super) asks_for_json_schema: bool,
    /// Whether the probabilities of tokens are asked for.
    pub(super) wants_logprobs: bool,
}

/// The form of the answer.
#[derive(Debug)]
pub(super) enum Format {
    Text,
    JsonObject,
    /// `json_schema`, or llama.cpp's `json_object` with a `schema`.
    Schema(Value),
}

#[derive(Deserialize)]
struct Wire {
    model: Option<String>,
    messages: Option<Vec<Message>>,
    stream: Option<bool>,
    n: Option<u64>,
    temperature: Option<f64>,
    logprobs: Option<bool>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    response_format: Option<WireFormat>,
}

#[derive(Deserialize)]
struct Message {
    role: Option<String>,
    #[serde(default)]
    content: TextBytes,
}

#[derive(Deserialize)]
struct WireFormat {
    r#type: Option<String>,
    schema: Option<Value>,
    json_schema: Option<JsonSchema>,
}

#[derive(Deserialize)]
struct JsonSchema {
    schema: Option<Value>,
}

/// The most choices that OpenAI gives at once.
const MAX_CHOICES: u64 = 128;
/// What OpenAI's clients count as output where the request sets no limit.
const DEFAULT_OUTPUT_TOKENS: u64 = 16;

impl ChatRequest {
    /// # Errors
    /// The 400 that OpenAI gives for this body.
    pub(super) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let wire: Wire = serde_json::from_slice(body).map_err(|error| match error.classify() {
            Category::Data => ApiError::invalid(format!("Invalid body: {error}.")).code("invalid_type"),
            _ => ApiError::invalid(format!(
                "We could not parse the JSON body of your request: {error}. (HINT: This likely means you aren't using \
                 your HTTP library correctly. The API expects a JSON payload, but what was sent was not valid JSON.)"
            )),
        })?;
        let model = wire.model.filter(|model| !model.is_empty()).ok_or_else(|| missing("model"))?;
        let messages = wire.messages.ok_or_else(|| missing("messages"))?;
        if messages.is_empty() {
            return Err(ApiError::invalid(
                "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            )
            .param("messages")
            .code("empty_array"));
        }
        if wire.stream == Some(true) {
            return Err(ApiError::invalid(
                "Unsupported value: 'stream' does not support true: the simulator does not stream.",
            )
            .param("stream")
            .code("unsupported_value"));
        }
        let n = wire.n.unwrap_or(1);
        if !(1..=MAX_CHOICES).contains(&n) {
            return Err(ApiError::invalid(format!(
                "Invalid 'n': expected a value from 1 to {MAX_CHOICES}, but got {n} instead."
            ))
            .param("n")
            .code(if n == 0 { "integer_below_min_value" } else { "integer_above_max_value" }));
        }
        let has_system_message = messages.iter().any(|message| message.role.as_deref() == Some("system"));
        let format_type = wire.response_format.as_ref().and_then(|format| format.r#type.as_deref());
        let asks_for_json_schema = format_type == Some("json_schema");
        let bytes: u64 = messages.iter().map(|message| message.content.0).sum();
        Ok(Self {
            model,
            format: wire.response_format.map_or(Ok(Format::Text), Format::read)?,
            n,
            prompt_tokens: bytes.div_ceil(4) + 4 * messages.len() as u64,
            max_tokens: wire.max_completion_tokens.or(wire.max_tokens),
            has_old_max_tokens: wire.max_tokens.is_some(),
            temperature: wire.temperature,
            has_system_message,
            asks_for_json_schema,
            wants_logprobs: wire.logprobs == Some(true),
        })
    }

    /// What the request takes from the tokens per minute: the prompt, and all the output that it may get.
    ///
    /// Source: OpenAI, "How to handle rate limits".
    pub(super) fn reserved_tokens(&self) -> u64 {
        let output = self.max_tokens.unwrap_or(DEFAULT_OUTPUT_TOKENS).saturating_mul(self.n);
        self.prompt_tokens.saturating_add(output)
    }
}

impl Format {
    fn read(wire: WireFormat) -> Result<Self, ApiError> {
        match wire.r#type.as_deref() {
            Some("text") => Ok(Self::Text),
            Some("json_object") => Ok(wire.schema.map_or(Self::JsonObject, Self::Schema)),
            Some("json_schema") => {
                let schema = wire.json_schema.and_then(|json_schema| json_schema.schema);
                schema.map(Self::Schema).ok_or_else(|| missing("response_format.json_schema.schema"))
            }
            Some(other) => Err(ApiError::invalid(format!(
                "Invalid value: '{other}'. Supported values are: 'json_object', 'json_schema', and 'text'."
            ))
            .param("response_format.type")
            .code("invalid_value")),
            None => Err(missing("response_format.type")),
        }
    }
}

fn missing(param: &'static str) -> ApiError {
    ApiError::invalid(format!("Missing required parameter: '{param}'.")).param(param).code("missing_required_parameter")
}

/// The UTF-8 bytes of a message's content, be it a string, a list of parts with a `text`, or null.
#[derive(Default)]
struct TextBytes(u64);

impl<'de> Deserialize<'de> for TextBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counter;

        impl<'de> Visitor<'de> for Counter {
            type Value = TextBytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, an array of content parts, or null")
            }

            fn visit_str<E>(self, text: &str) -> Result<TextBytes, E> {
                Ok(TextBytes(text.len() as u64))
            }

            fn visit_unit<E>(self) -> Result<TextBytes, E> {
                Ok(TextBytes(0))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<TextBytes, A::Error> {
                let mut sum = 0;
                while let Some(TextBytes(bytes)) = parts.next_element()? {
                    sum += bytes;
                }
                Ok(TextBytes(sum))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut part: A) -> Result<TextBytes, A::Error> {
                let mut bytes = TextBytes(0);
                while let Some(key) = part.next_key::<String>()? {
                    if key == "text" {
                        bytes = part.next_value()?;
                    } else {
                        part.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(bytes)
            }
        }

        deserializer.deserialize_any(Counter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_are_measured_in_bytes_after_unescaping() {
        let request = ChatRequest::parse(
            br#"{"model":"m","max_tokens":100,"n":2,"messages":[
                {"role":"system","content":"12345678"},
                {"role":"user","content":[{"type":"text","text":"a\n\u00e4"},{"type":"image_url","image_url":{"url":"x"}}]},
                {"role":"assistant","content":null},
                {"role":"assistant","tool_calls":[]}]}"#,
        )
        .unwrap();
        assert_eq!((request.prompt_tokens, request.reserved_tokens()), (3 + 16, 3 + 16 + 200));
        let request = ChatRequest::parse(br#"{"model":"m","messages":[{"role":"user","content":"12345"}]}"#).unwrap();
        assert_eq!((request.prompt_tokens, request.reserved_tokens()), (6, 22));
    }

    #[test]
    fn invalid_requests_are_refused_as_openai_refuses_them() {
        let messages = r#""messages":[{"role":"user","content":"x"}]"#;
        for (body, param, code, message) in [
            ("{", None, None, "We could not parse the JSON body of your request"),
            ("", None, None, "We could not parse the JSON body of your request"),
            (
                r#"{"model":1}"#,
                None,
                Some("invalid_type"),
                "Invalid body: invalid type: integer `1`, expected a string",
            ),
            (
                r#"{"messages":[]}"#,
                Some("model"),
                Some("missing_required_parameter"),
                "Missing required parameter: 'model'.",
            ),
            (r#"{"model":"m"}"#, Some("messages"), Some("missing_required_parameter"), "Missing required parameter"),
            (
                r#"{"model":"m","messages":[]}"#,
                Some("messages"),
                Some("empty_array"),
                "Invalid 'messages': empty array.",
            ),
            (
                &format!(r#"{{"model":"m",{messages},"stream":true}}"#),
                Some("stream"),
                Some("unsupported_value"),
                "Unsupported",
            ),
            (
                &format!(r#"{{"model":"m",{messages},"n":0}}"#),
                Some("n"),
                Some("integer_below_min_value"),
                "Invalid 'n'",
            ),
            (
                &format!(r#"{{"model":"m",{messages},"n":129}}"#),
                Some("n"),
                Some("integer_above_max_value"),
                "Invalid 'n'",
            ),
            (
                &format!(r#"{{"model":"m",{messages},"response_format":{{"type":"xml"}}}}"#),
                Some("response_format.type"),
                Some("invalid_value"),
                "Invalid value: 'xml'.",
            ),
            (
                &format!(r#"{{"model":"m",{messages},"response_format":{{"type":"json_schema"}}}}"#),
                Some("response_format.json_schema.schema"),
                Some("missing_required_parameter"),
                "Missing required parameter",
            ),
        ] {
            let error = ChatRequest::parse(body.as_bytes()).unwrap_err();
            assert_eq!((error.param, error.code), (param, code), "{body}");
            assert!(error.message.starts_with(message), "{}", error.message);
        }
    }
}
