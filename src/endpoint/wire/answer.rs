//! A chat completion's answer, as far as a verdict needs it.
//!
//! Source: OpenAI API reference, "Create chat completion". Own lenient types: compatible servers leave fields out, send `null`
//! for lists and numbers for strings.

use std::ops::AddAssign;

use serde::de::MapAccess;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::endpoint::wire::members::{First, Members, Object, if_object};

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
    /// The simulator answered: the verdict is made up, whatever the model is called.
    pub is_simulated: bool,
}

/// The simulator's `system_fingerprint`.
const SIMULATOR: &str = "judge-run-simulator";

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

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        let Self { input_tokens, cached_tokens, output_tokens } = other;
        self.input_tokens += input_tokens;
        self.cached_tokens += cached_tokens;
        self.output_tokens += output_tokens;
    }
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
        let Object(completion): Object<Completion<'_>> = serde_json::from_slice(body)?;
        let Some(choice) = completion.choice else {
            return Err(if completion.error.is_some() { NoAnswer::Error } else { NoAnswer::NoChoices });
        };
        if choice.error.is_some() {
            return Err(NoAnswer::Error);
        }
        let Message { content, refusal, reasoning, moved } = choice.message;
        let Moved { refusal: moved_refusal } = if_object(moved);
        let text = |raw| value(raw).map(joined_text).filter(|text| !text.trim().is_empty());
        let system_fingerprint = word(completion.system_fingerprint);
        Ok(Self {
            content: joined_text(content),
            refusal: text(refusal).or_else(|| text(moved_refusal)),
            has_reasoning: reasoning.into_iter().any(|reasoning| text(reasoning).is_some()),
            finish_reason: word(choice.finish_reason),
            model: word(completion.model),
            usage: usage(&if_object(completion.usage)),
            is_simulated: system_fingerprint.as_deref() == Some(SIMULATOR),
            system_fingerprint,
            request_id: None,
        })
    }
}

/// As it is written, to be parsed when the form of everything around it is known; `None` also for `null`.
type Raw<'a> = Option<&'a RawValue>;

#[derive(Default)]
struct Completion<'a> {
    choice: Option<Choice<'a>>,
    error: Raw<'a>,
    model: Raw<'a>,
    system_fingerprint: Raw<'a>,
    usage: Raw<'a>,
}

impl<'a> Members<'a> for Completion<'a> {
    fn take<A: MapAccess<'a>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "choices" => {
                let first: Option<First<Object<_>>> = map.next_value()?;
                self.choice = first.and_then(|First(choice)| choice).map(|Object(choice)| choice);
            }
            "error" => self.error = map.next_value()?,
            "model" => self.model = map.next_value()?,
            "system_fingerprint" => self.system_fingerprint = map.next_value()?,
            "usage" => self.usage = map.next_value()?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

#[derive(Default)]
struct Choice<'a> {
    message: Message<'a>,
    error: Raw<'a>,
    finish_reason: Raw<'a>,
}

impl<'a> Members<'a> for Choice<'a> {
    fn take<A: MapAccess<'a>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            // The one part of an answer that must have its form.
            "message" => {
                let message: Option<Object<_>> = map.next_value()?;
                self.message = message.map(|Object(message)| message).unwrap_or_default();
            }
            "error" => self.error = map.next_value()?,
            "finish_reason" => self.finish_reason = map.next_value()?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

#[derive(Default)]
struct Message<'a> {
    content: Value,
    refusal: Raw<'a>,
    /// By both names that it has.
    reasoning: [Raw<'a>; 2],
    /// LiteLLM moves refusals.
    moved: Raw<'a>,
}

impl<'a> Members<'a> for Message<'a> {
    fn take<A: MapAccess<'a>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "content" => self.content = map.next_value()?,
            "refusal" => self.refusal = map.next_value()?,
            "reasoning_content" => self.reasoning[0] = map.next_value()?,
            "reasoning" => self.reasoning[1] = map.next_value()?,
            "provider_specific_fields" => self.moved = map.next_value()?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

#[derive(Default)]
struct Moved<'a> {
    refusal: Raw<'a>,
}

impl<'a> Members<'a> for Moved<'a> {
    fn take<A: MapAccess<'a>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        let matters = name == "refusal";
        if matters {
            self.refusal = map.next_value()?;
        }
        Ok(matters)
    }
}

#[derive(Default)]
struct Tokens<'a> {
    prompt: Raw<'a>,
    completion: Raw<'a>,
    prompt_details: Raw<'a>,
    /// In the details of the prompt.
    cached: Raw<'a>,
    /// DeepSeek's name.
    prompt_cache_hit: Raw<'a>,
}

impl<'a> Members<'a> for Tokens<'a> {
    fn take<A: MapAccess<'a>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "prompt_tokens" => self.prompt = map.next_value()?,
            "completion_tokens" => self.completion = map.next_value()?,
            "prompt_tokens_details" => self.prompt_details = map.next_value()?,
            "cached_tokens" => self.cached = map.next_value()?,
            "prompt_cache_hit_tokens" => self.prompt_cache_hit = map.next_value()?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Nothing, where it cannot be parsed (half an emoji, a number beyond all bounds).
fn value(raw: Raw<'_>) -> Option<Value> {
    serde_json::from_str(raw?.get()).ok()
}

/// A string that is not empty, or a number as its digits.
fn word(raw: Raw<'_>) -> Option<String> {
    match value(raw)? {
        Value::String(text) => Some(text).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Tokens, where the server counts any. A paid answer does not fail because its bill is odd.
fn usage(tokens: &Tokens<'_>) -> Option<Usage> {
    let details: Tokens<'_> = if_object(tokens.prompt_details);
    let usage = Usage {
        input_tokens: count(tokens.prompt).unwrap_or(0),
        cached_tokens: count(details.cached).or_else(|| count(tokens.prompt_cache_hit)).unwrap_or(0),
        output_tokens: count(tokens.completion).unwrap_or(0),
    };
    (usage.input_tokens > 0 || usage.output_tokens > 0).then_some(usage)
}

/// A number that is not negative, in whatever form.
fn count(raw: Raw<'_>) -> Option<u64> {
    let number = match value(raw)? {
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
    fn a_simulated_answer_is_recognised_by_its_fingerprint() {
        let read = |fingerprint: &str| {
            let body = format!(r#"{{"choices":[{{"message":{{}}}}],"system_fingerprint":{fingerprint}}}"#);
            Answer::from_body(body.as_bytes()).unwrap().is_simulated
        };
        assert!(read(r#""judge-run-simulator""#));
        assert!(!read(r#""fp_44709d6fcb""#) && !read("null"));
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
        let half_an_emoji = r#""finish_reason":1e999,"reasoning":"\ud83d","#;
        let answer = read(half_an_emoji, r#","model":"\ud83d","usage":{"prompt_tokens":1e999,"completion_tokens":2}"#);
        assert_eq!(answer.unwrap().usage.map(|usage| usage.output_tokens), Some(2));
        for message in ["7", r#""text""#] {
            let body = format!(r#"{{"choices":[{{"message":{message}}}]}}"#);
            assert!(matches!(Answer::from_body(body.as_bytes()), Err(NoAnswer::NotCompletion(_))), "{message}");
        }
    }
}
