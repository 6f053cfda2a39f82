//! How tools spell messages, and the keys that hold them.

use serde_json::{Map, Value, json};

/// OpenAI's name of a role.
pub(super) fn role_of(name: &str) -> &str {
    match name.strip_suffix("Chunk").unwrap_or(name) {
        "human" | "Human" | "HumanMessage" | "User" | "USER" => "user",
        "ai" | "model" | "bot" | "gpt" | "AIMessage" | "Assistant" | "ASSISTANT" => "assistant",
        "SystemMessage" | "System" | "SYSTEM" => "system",
        "ToolMessage" | "TOOL" => "tool",
        "FunctionMessage" => "function",
        _ => name,
    }
}

/// The fields of a message that LangChain wrapped, and its type.
pub(super) fn without_constructor(mut fields: Map<String, Value>) -> (Map<String, Value>, Option<String>) {
    if fields.contains_key("role") {
        return (fields, None);
    }
    let class = fields.get("id").and_then(Value::as_array).and_then(|id| id.last()?.as_str().map(ToOwned::to_owned));
    if let (Some(Value::Object(inner)), Some(class)) = (fields.get_mut("kwargs"), class) {
        return (std::mem::take(inner), Some(class));
    }
    let kind = fields.get("type").and_then(Value::as_str).filter(|kind| is_role(kind)).map(ToOwned::to_owned);
    match (fields.get_mut("data"), kind) {
        (Some(Value::Object(data)), Some(kind)) => (std::mem::take(data), Some(kind)),
        (_, kind) => (fields, kind),
    }
}

/// A container of messages: a request or a state, a result of LangChain or of OpenAI.
pub(super) fn inner(fields: &mut Map<String, Value>) -> Option<Value> {
    if ["role", "content", "parts", "contents"].iter().any(|key| fields.contains_key(*key)) {
        return None;
    }
    if fields.get("messages").is_some_and(Value::is_array) {
        let system = fields.shift_remove("system").filter(|system| !system.is_null());
        let mut all: Vec<_> = system.map(|system| json!({"role": "system", "content": system})).into_iter().collect();
        all.extend(fields.shift_remove("messages"));
        return Some(Value::Array(all));
    }
    for key in ["generations", "choices"] {
        if fields.get(key).is_some_and(Value::is_array) {
            return fields.shift_remove(key);
        }
    }
    // One of LangChain's generations, one of OpenAI's choices.
    if fields.get("message").is_some_and(Value::is_object) {
        return fields.shift_remove("message");
    }
    let is_generation = fields.get("type").and_then(Value::as_str).is_some_and(|kind| kind.contains("Generation"));
    let has_info = fields.contains_key("generation_info");
    (is_generation || has_info).then(|| fields.shift_remove("text")).flatten()
}

/// Whether these are parts of one message, not messages. Bedrock's and Strands' parts of text have no type.
pub(super) fn has_parts(values: &[Value]) -> bool {
    let has = |value: &Value, key| value.get(key).is_some();
    let is_part = |value: &Value| (has(value, "type") || has(value, "text")) && !has(value, "role");
    !values.is_empty() && values.iter().all(|value| is_part(value) && !is_langchain(value) && inner_is_none(value))
}

fn inner_is_none(value: &Value) -> bool {
    let kind = value.get("type").and_then(Value::as_str).unwrap_or_default();
    !kind.contains("Generation") && value.get("generation_info").is_none()
}

/// Whether a value is a list of parts of one message.
pub(crate) fn is_content(value: &Value) -> bool {
    value.as_array().is_some_and(|values| has_parts(values))
}

/// Python's `("human", "Hi")`.
pub(super) fn is_tuple(values: &[Value]) -> bool {
    let role = values.first().and_then(Value::as_str).filter(|_| values.len() == 2);
    role.is_some_and(is_role) && values.get(1).is_some_and(|content| content.is_string() || is_content(content))
}

pub(super) fn is_role(name: &str) -> bool {
    matches!(role_of(name), "user" | "assistant" | "system" | "developer" | "tool" | "function")
}

/// LangChain's message, as an object, as `messages_to_dict` writes it, or as its serialised constructor.
fn is_langchain(value: &Value) -> bool {
    let kind = value.get("type").and_then(Value::as_str).unwrap_or_default();
    let is_typed = is_role(kind) && (value.get("content").is_some() || value.get("data").is_some());
    value.get("role").is_none() && (is_typed || kind == "constructor" && value.get("kwargs").is_some())
}

/// Whether a value is a message, in any spelling.
pub(crate) fn is_message(value: &Value) -> bool {
    let has = |key| value.get(key).is_some();
    let has_role = value.get("role").is_some_and(Value::is_string);
    has_role && ["content", "parts", "contents", "tool_calls"].into_iter().any(has)
        || is_langchain(value)
        || value.as_array().is_some_and(|values| is_tuple(values))
}

/// Whether a value is a list of messages.
pub(crate) fn is_dialogue(value: &Value) -> bool {
    value.as_array().is_some_and(|values| !values.is_empty() && values.iter().all(is_message))
}

/// Whether a value is a list of messages, possibly in nested lists, in LangChain's spelling.
pub(crate) fn is_of_langchain(value: &Value) -> bool {
    let is_tuple = |value: &Value| value.as_array().is_some_and(|values| is_tuple(values));
    match value {
        Value::Array(values) => {
            !values.is_empty()
                && values.iter().all(|value| is_langchain(value) || is_tuple(value) || is_of_langchain(value))
        }
        _ => false,
    }
}

/// Whether a value is a model's input or output, not that of another kind of step.
pub(crate) fn is_said(value: &Value) -> bool {
    match value {
        Value::Object(fields) => is_message(value) || inner(&mut fields.clone()).is_some(),
        Value::Array(values) => has_parts(values) || is_tuple(values) || values.iter().all(is_said),
        _ => true,
    }
}
