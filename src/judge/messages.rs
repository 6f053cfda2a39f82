//! Chat messages, as in the APIs of models and LangChain.

use serde_json::Value;

/// Where a list of messages is in what was recorded: OpenAI's chats, its responses, Gemini's.
const LISTS: [&str; 4] = ["messages", "input", "output", "contents"];

/// The messages of a chat, if one was recorded.
pub(super) fn messages(value: &Value) -> Option<&[Value]> {
    let of_member = || LISTS.iter().find_map(|key| value.get(*key)?.as_array());
    let messages = value.as_array().or_else(of_member)?;
    // LangChain's models are given a list of lists.
    let messages = match messages.as_slice() {
        [Value::Array(inner)] if !inner.iter().any(Value::is_string) => inner,
        _ => messages,
    };
    Some(messages)
}

/// The last message by one of these, of a list of messages or an object that has one.
pub(super) fn last_message<'a>(value: &'a Value, roles: &[&str]) -> Option<&'a Value> {
    messages(value)?.iter().rev().find(|message| role_of(message).is_some_and(|role| roles.contains(&role)))
}

/// The role of a message. LangChain gives it as `type`, as the class, or in a pair.
pub(super) fn role_of(message: &Value) -> Option<&str> {
    if let [Value::String(role), _] = message.as_array().map(Vec::as_slice).unwrap_or_default() {
        return Some(role);
    }
    let class = || message.get("id")?.as_array()?.last()?.as_str();
    let named = message.get("role").or_else(|| message.get("type")).and_then(Value::as_str);
    let by_class = |class| match class {
        Some("HumanMessage" | "HumanMessageChunk") => Some("human"),
        Some("AIMessage" | "AIMessageChunk") => Some("ai"),
        Some("SystemMessage" | "SystemMessageChunk") => Some("system"),
        Some("ToolMessage" | "ToolMessageChunk") => Some("tool"),
        _ => None,
    };
    by_class(class()).or_else(|| by_class(named)).or(named)
}

/// The object that has a message's fields: LangChain serialises them inside another one.
pub(super) fn fields(message: &Value) -> &Value {
    let inner =
        ["data", "kwargs"].iter().find_map(|key| message.get(key).filter(|inner| inner.get("content").is_some()));
    inner.unwrap_or(message)
}

/// The text of a message; the message itself if it is only a tool call.
pub(super) fn text_of(message: &Value) -> &Value {
    if let [Value::String(_), content] = message.as_array().map(Vec::as_slice).unwrap_or_default() {
        return content;
    }
    let fields = fields(message);
    let calls = fields.get("tool_calls").and_then(Value::as_array).is_some_and(|calls| !calls.is_empty());
    let content = fields.get("content").or_else(|| fields.get("parts"));
    let content = content.filter(|content| !(content.is_null() || calls && *content == ""));
    match content {
        // One part that is a text.
        Some(Value::Array(parts)) => match parts.as_slice() {
            [part] => part.get("text").filter(|text| text.is_string()).or(content).unwrap_or(message),
            _ => content.unwrap_or(message),
        },
        content => content.unwrap_or(message),
    }
}

/// The texts of a message's parts together, if all of them are texts.
pub(super) fn joined(content: &Value) -> Option<String> {
    let parts = content.as_array().filter(|parts| !parts.is_empty())?;
    let texts = parts.iter().map(|part| match part.get("type").and_then(Value::as_str) {
        None | Some("text" | "input_text" | "output_text") => part.get("text")?.as_str(),
        _ => None,
    });
    Some(texts.collect::<Option<Vec<_>>>()?.join("\n\n"))
}
