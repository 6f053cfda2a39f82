//! Calls of tools in messages, in every form that messages have.

use minijinja::Value;
use minijinja::value::Serde;
use serde::Serialize;
use serde_json::Value as Json;

use super::messages::{fields, joined, role_of, text_of};

/// One call of a tool.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Call {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arguments: Option<Json>,
    /// `ok`, `error`, or `unknown`.
    pub status: &'static str,
    /// What came back, or what the error said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Json>,
    /// What the answer of the tool names it by.
    #[serde(skip)]
    pub id: Option<String>,
}

/// The calls in messages, with the results that later ones have.
pub(super) fn of_messages(messages: &[&Json]) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    for message in messages {
        calls.extend(of_message(message));
        for (id, content, is_error) in results_of(message) {
            // A call is answered once.
            let waiting = |call: &&mut Call| call.result.is_none() && call.id.as_deref() == Some(id);
            if let Some(call) = calls.iter_mut().find(waiting) {
                call.status = if is_error { "error" } else { "ok" };
                call.result = Some(content);
            }
        }
    }
    calls
}

/// Whether a message calls a tool.
pub(super) fn has_calls(message: &Json) -> bool {
    !of_message(message).is_empty()
}

/// The calls of a message, as a prompt shows them.
pub(super) fn calls_of(message: &Json) -> Vec<Value> {
    let shown = |call: Call| Value::from(Serde(&serde_json::json!({"name": call.name, "arguments": call.arguments})));
    of_message(message).into_iter().map(shown).collect()
}

/// OpenAI's `tool_calls` and `function_call` items, LangChain's `tool_calls`, Anthropic's `tool_use` parts, Gemini's `functionCall` parts.
fn of_message(message: &Json) -> Vec<Call> {
    let text =
        |value: &Json, keys: &[&str]| keys.iter().find_map(|key| value.get(key)?.as_str()).map(ToOwned::to_owned);
    let call = |name: Option<String>, arguments: Option<&Json>, id| {
        Some(Call { name: name?, arguments: arguments.map(decoded), status: "unknown", result: None, id })
    };
    let of_object = |object: &Json| {
        let function = object.get("function").unwrap_or(object);
        let arguments = ["arguments", "args", "input"].iter().find_map(|key| function.get(key));
        call(text(function, &["name"]), arguments, text(object, &["call_id", "id"]))
    };
    if message.get("type").and_then(Json::as_str) == Some("function_call") {
        return of_object(message).into_iter().collect();
    }
    let message = fields(message);
    if let Some(list) = message.get("tool_calls").and_then(Json::as_array) {
        return list.iter().filter_map(of_object).collect();
    }
    let parts = ["content", "parts"].iter().find_map(|key| message.get(key)?.as_array());
    let of_part = |part: &Json| match part.get("type").and_then(Json::as_str) {
        Some("tool_use") => of_object(part),
        _ => part.get("functionCall").and_then(of_object),
    };
    parts.into_iter().flatten().filter_map(of_part).collect()
}

/// Arguments in a text of JSON.
pub(super) fn decoded(arguments: &Json) -> Json {
    arguments.as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_else(|| arguments.clone())
}

/// What tools answered: the id of the call, the content, and whether it is an error.
fn results_of(message: &Json) -> Vec<(&str, Json, bool)> {
    let content = |value: &Json| joined(value).map_or_else(|| value.clone(), Json::from);
    let is_error = |value: &Json| {
        value.get("is_error").and_then(Json::as_bool) == Some(true)
            || value.get("status").and_then(Json::as_str) == Some("error")
    };
    if message.get("type").and_then(Json::as_str) == Some("function_call_output") {
        let found = message.get("call_id").and_then(Json::as_str).zip(message.get("output"));
        return found.map(|(id, output)| (id, output.clone(), false)).into_iter().collect();
    }
    let inner = fields(message);
    if role_of(message) == Some("tool") {
        let id = inner.get("tool_call_id").and_then(Json::as_str);
        return id.map(|id| (id, content(text_of(message)), is_error(inner))).into_iter().collect();
    }
    let parts = inner.get("content").and_then(Json::as_array);
    let of_part = |part| {
        let part: &Json = part;
        let id = part.get("tool_use_id")?.as_str()?;
        Some((id, content(part.get("content").unwrap_or(&Json::Null)), is_error(part)))
    };
    parts.into_iter().flatten().filter_map(of_part).collect()
}
