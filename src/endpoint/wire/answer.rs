//! A chat completion's answer, as far as a verdict needs it.
//!
//! Source: OpenAI API reference, "Create chat completion". Own lenient types: compatible servers leave fields out, send `null`
//! for lists and numbers for strings, put the text where reasoning or a function call belongs, and stream unasked.

use serde::de::MapAccess;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::endpoint::Failure;
use crate::endpoint::wire::finish::Finish;
use crate::endpoint::wire::members::{First, Members, Object, Raw, if_object, value};
use crate::endpoint::wire::stream::{self, CutStream};
use crate::endpoint::wire::usage::Tokens;
use crate::feedback::ErrorCode;

pub use crate::endpoint::wire::usage::Usage;

/// What the endpoint answered, as far as a verdict needs it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// The text; empty when the message has none. Where it is empty, the arguments of a function call are used instead, and a whole JSON
    /// object in place of the reasoning.
    pub content: String,
    /// The model's refusal to answer.
    pub refusal: Option<String>,
    /// Whether the answer also carries reasoning outside the text.
    pub has_reasoning: bool,
    /// `stop`, `length`, `content_filter`, ... as the server wrote it.
    pub finish_reason: Option<String>,
    /// The model that answered, which may not be the one that was asked.
    pub model: Option<String>,
    /// Tokens used, when the server says so.
    pub usage: Option<Usage>,
    /// The backend configuration that answered.
    pub system_fingerprint: Option<String>,
    /// The server's id of the exchange, for support requests.
    pub request_id: Option<String>,
    /// The probabilities of its tokens and their alternatives, as JSON, if the server gives them: see [`super::logprobs`].
    pub logprobs: Option<String>,
    /// The simulator answered: the verdict is made up, whatever the model is called.
    pub is_simulated: bool,
}

/// The simulator's `system_fingerprint`.
const SIMULATOR: &str = "judge-run-simulator";

/// Why a 200 does not hold an answer.
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
    /// A stream of events that ends in the middle.
    #[error("the stream of the answer ended early")]
    CutStream,
}

impl Answer {
    /// Reads the body of a 200.
    ///
    /// # Errors
    /// When the body is neither JSON nor a stream of events, is an error, or has no choices.
    pub fn from_body(body: &[u8]) -> Result<Self, NoAnswer> {
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        // Checked once as a whole, a text needs no check of each string in it.
        let completion = match str::from_utf8(body) {
            Ok(text) => serde_json::from_str(text),
            Err(_) => serde_json::from_slice(body),
        };
        match completion {
            Ok(Object(completion)) => Completion::answer(completion),
            Err(error) => {
                let whole = stream::whole(body).ok_or(error)?.map_err(|CutStream| NoAnswer::CutStream)?;
                let Object(completion) = serde_json::from_slice(&whole)?;
                Completion::answer(completion)
            }
        }
    }

    /// Why the model stopped.
    pub fn finish(&self) -> Finish {
        Finish::of(self.finish_reason.as_deref().unwrap_or_default())
    }

    /// Why the answer is unusable although it arrived: a refusal, a filter, a server that failed in the middle.
    pub fn withheld(&self) -> Option<Failure> {
        let reason = self.finish_reason.as_deref().unwrap_or_default();
        let text = Some(self.content.trim()).filter(|text| !text.is_empty());
        if let Some(refusal) = &self.refusal {
            return Some(Failure::new(ErrorCode::Refused, refusal));
        }
        match self.finish() {
            Finish::Filtered => {
                let message = format!("the provider's filter stopped the answer (finish reason `{reason}`)");
                Some(Failure::new(ErrorCode::ContentFiltered, &message))
            }
            Finish::Refused => {
                let message =
                    text.map_or_else(|| format!("the model refused (finish reason `{reason}`)"), ToOwned::to_owned);
                Some(Failure::new(ErrorCode::Refused, &message))
            }
            Finish::Failed if text.is_none() => {
                let message = format!("the server failed during the answer (finish reason `{reason}`)");
                Some(Failure::new(ErrorCode::ServerError, &message))
            }
            Finish::Failed | Finish::Cut | Finish::Done => None,
        }
    }

    /// Why there is no text to read, if there is none.
    pub fn without_text(&self) -> Option<Failure> {
        if !self.content.trim().is_empty() {
            return None;
        }
        let is_cut = self.finish() == Finish::Cut;
        Some(match (is_cut, self.has_reasoning) {
            (true, true) => {
                Failure::new(ErrorCode::TruncatedResponse, "the reasoning used up the output limit before any text")
            }
            (true, false) => {
                Failure::new(ErrorCode::TruncatedResponse, "the answer used up the output limit before any text")
            }
            (false, true) => Failure::new(ErrorCode::EmptyResponse, "the answer has no text, only reasoning"),
            (false, false) => Failure::new(ErrorCode::EmptyResponse, "the answer has no text"),
        })
    }
}

#[derive(Default)]
struct Completion<'a> {
    choice: Option<Choice<'a>>,
    error: Raw<'a>,
    model: Raw<'a>,
    system_fingerprint: Raw<'a>,
    usage: Raw<'a>,
}

impl Completion<'_> {
    fn answer(self) -> Result<Answer, NoAnswer> {
        let Some(choice) = self.choice else {
            return Err(if self.error.is_some() { NoAnswer::Error } else { NoAnswer::NoChoices });
        };
        if choice.error.is_some() {
            return Err(NoAnswer::Error);
        }
        let Message { content, refusal, reasoning, moved, calls, call } = choice.message;
        let Moved { refusal: moved_refusal } = if_object(moved);
        let text = |raw| value(raw).map(joined_text).filter(|text| !text.trim().is_empty());
        let reasoning = reasoning.into_iter().find_map(text);
        // Gateways write `stop` and put the upstream's reason next to it.
        let native = word(choice.native_finish_reason).filter(|native| Finish::of(native) == Finish::Filtered);
        let finish_reason = native.or_else(|| word(choice.finish_reason));
        let system_fingerprint = word(self.system_fingerprint);
        let mut answer = Answer {
            content: joined_text(content),
            refusal: text(refusal).or_else(|| text(moved_refusal)),
            has_reasoning: reasoning.is_some(),
            finish_reason,
            model: word(self.model),
            usage: if_object::<Tokens<'_>>(self.usage).usage(),
            is_simulated: system_fingerprint.as_deref() == Some(SIMULATOR),
            system_fingerprint,
            request_id: None,
            logprobs: choice.logprobs.map(|raw| raw.get().to_owned()),
        };
        if answer.content.trim().is_empty() {
            let called = || arguments(calls).or_else(|| arguments(call));
            let misplaced = || reasoning.filter(|text| answer.finish() == Finish::Done && is_object(text));
            answer.content = called().or_else(misplaced).unwrap_or(answer.content);
        }
        Ok(answer)
    }
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
    native_finish_reason: Raw<'a>,
    logprobs: Raw<'a>,
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
            "native_finish_reason" => self.native_finish_reason = map.next_value()?,
            "logprobs" => self.logprobs = map.next_value()?,
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
    calls: Raw<'a>,
    /// The older way to call a function.
    call: Raw<'a>,
}

impl<'a> Members<'a> for Message<'a> {
    fn take<A: MapAccess<'a>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "content" => self.content = map.next_value()?,
            "refusal" => self.refusal = map.next_value()?,
            "reasoning_content" => self.reasoning[0] = map.next_value()?,
            "reasoning" => self.reasoning[1] = map.next_value()?,
            "provider_specific_fields" => self.moved = map.next_value()?,
            "tool_calls" => self.calls = map.next_value()?,
            "function_call" => self.call = map.next_value()?,
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

/// The arguments of the functions that are called, a line for each call: gateways emulate structured output with a function. They are
/// JSON in a string, or an object.
fn arguments(calls: Raw<'_>) -> Option<String> {
    let calls = value(calls)?;
    let calls = calls.as_array().map_or(std::slice::from_ref(&calls), Vec::as_slice);
    let arguments = |call: &Value| {
        let arguments = call.get("function").unwrap_or(call).get("arguments")?;
        let text = arguments.as_str().map_or_else(|| arguments.to_string(), ToOwned::to_owned);
        Some(text).filter(|text| !text.trim().is_empty())
    };
    let texts: Vec<_> = calls.iter().filter_map(arguments).collect();
    Some(texts.join("\n")).filter(|text| !text.is_empty())
}

fn is_object(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text.trim()).is_ok_and(|raw| raw.get().starts_with('{'))
}

/// A string that is not empty, or a number as its digits.
fn word(raw: Raw<'_>) -> Option<String> {
    match value(raw)? {
        Value::String(text) => Some(text).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Content is a string, or a list of parts, of which only text counts, and not that of the reasoning.
fn joined_text(content: Value) -> String {
    let is_reasoning = |part: &&Value| {
        let kind = part.get("type").and_then(Value::as_str);
        kind.is_some_and(|kind| ["reasoning", "thinking"].iter().any(|name| kind.starts_with(name)))
    };
    let text = |part: &'_ Value| part.get("text").unwrap_or(part).as_str().map(ToOwned::to_owned);
    match content {
        Value::String(text) => text,
        Value::Array(parts) => parts.iter().filter(|part| !is_reasoning(part)).filter_map(text).collect(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests;
