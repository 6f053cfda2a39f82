//! The answer in a response: its text if it is nothing but text, otherwise as it is.

use serde_json::Value;

use crate::dataset::dialects::fields::list;
use crate::dataset::dialects::messages;

/// The texts of the choices of a chat completion.
#[derive(Debug, Default)]
pub(crate) struct Choices {
    /// The answer; a list if several were requested.
    pub answer: Option<Value>,
    /// Of the first.
    pub finish_reason: Option<Value>,
}

/// Reads `choices`.
pub(crate) fn of_choices(choices: Value) -> Result<Choices, String> {
    let choices = list("choices", "a list", choices)?;
    let finish_reason = choices.first().and_then(|choice| choice.get("finish_reason")).cloned();
    let mut answers: Vec<_> = choices.into_iter().map(of_choice).collect();
    let answer = if answers.len() > 1 { Some(Value::Array(answers)) } else { answers.pop() };
    Ok(Choices { answer, finish_reason })
}

/// The message of a choice; the `text` of a legacy completion.
fn of_choice(mut choice: Value) -> Value {
    let said = ["message", "text"].into_iter().find(|key| choice.get(key).is_some());
    match said.and_then(|key| choice.get_mut(key)) {
        Some(message) => of_message(message.take()),
        None => choice,
    }
}

/// The text of a message that has nothing else; anything else as it is.
pub(crate) fn of_message(message: Value) -> Value {
    let says_more = |key: &str| match message.get(key) {
        None | Some(Value::Null) => false,
        Some(Value::Array(values)) => !values.is_empty(),
        Some(_) => true,
    };
    let more = ["tool_calls", "function_call", "refusal", "audio"].into_iter().any(says_more);
    match message.get("content") {
        Some(Value::String(text)) if !more => Value::String(text.clone()),
        Some(Value::Array(parts)) if !more => text_of_parts(parts).map_or(message, Value::String),
        _ => message,
    }
}

/// The content of a message by Anthropic's API: its text if there is nothing else besides the model's thoughts; otherwise the message.
pub(crate) fn of_content(content: Value) -> Value {
    let text = match &content {
        Value::Array(parts) => text_of_parts(parts),
        Value::String(text) => Some(text.clone()),
        _ => None,
    };
    text.map(Value::String).or_else(|| messages::answer(messages::read(content, "assistant"))).unwrap_or_default()
}

/// The text of parts that are texts, or thoughts before them.
fn text_of_parts(parts: &[Value]) -> Option<String> {
    let mut text = None;
    for part in parts {
        match part.get("type").and_then(Value::as_str)? {
            "thinking" | "redacted_thinking" | "reasoning" => {}
            "text" | "output_text" => text.get_or_insert_with(String::new).push_str(part.get("text")?.as_str()?),
            _ => return None,
        }
    }
    text
}

/// The last of a list of messages.
pub(crate) fn last(messages: Value) -> Option<Value> {
    match messages {
        Value::Array(mut messages) => messages.pop().map(of_message),
        other => Some(of_message(other)),
    }
}

/// The items of a response: the text of its messages, if besides the model's reasoning there is nothing else.
pub(crate) fn of_items(output: Value) -> Value {
    let Value::Array(items) = &output else { return of_message(output) };
    text_of(items).map_or(output, Value::String)
}

fn text_of(items: &[Value]) -> Option<String> {
    let kind = |value: &Value| value.get("type").and_then(Value::as_str).map(ToOwned::to_owned);
    let mut text = None;
    for item in items {
        match kind(item).as_deref() {
            Some("reasoning") => {}
            Some("message") => {
                for part in item.get("content")?.as_array()? {
                    kind(part).filter(|kind| kind == "output_text")?;
                    text.get_or_insert_with(String::new).push_str(part.get("text")?.as_str()?);
                }
            }
            _ => return None,
        }
    }
    text
}
