//! One message, from its fields in any spelling to OpenAI's.

use serde_json::{Map, Value, json};

use crate::dataset::dialects::messages::picture::{data_url, image_url, is_image, url_of};
use crate::dataset::dialects::messages::spelling::{has_parts, inner, is_tuple, role_of, without_constructor};
use crate::dataset::json;

/// The messages in a list of them, a single one, or a text, which is a message of `role`.
pub(crate) fn read(value: Value, role: &str) -> Vec<Value> {
    let mut messages = Vec::new();
    match value {
        Value::Array(values) if has_parts(&values) => {
            Message::new(role).add_content(Value::Array(values)).write(&mut messages);
        }
        Value::Array(mut values) if is_tuple(&values) => {
            let content = values.pop().unwrap_or_default();
            let role = values.pop().and_then(|role| role.as_str().map(ToOwned::to_owned)).unwrap_or_default();
            Message::new(&role).add_content(content).write(&mut messages);
        }
        Value::Array(values) => values.into_iter().for_each(|value| messages.extend(read(value, role))),
        Value::Object(mut fields) => match inner(&mut fields) {
            Some(inner) => messages.extend(read(inner, role)),
            None => Message::read(fields, role).write(&mut messages),
        },
        Value::Null => {}
        content => Message::new(role).add_content(content).write(&mut messages),
    }
    messages
}

/// A model's answer: a text alone, or its message; all of them if there are several.
pub(crate) fn answer(mut messages: Vec<Value>) -> Option<Value> {
    if messages.len() > 1 {
        return Some(Value::Array(messages));
    }
    let message = messages.pop()?;
    let is_text = message.as_object().is_some_and(|fields| fields.len() == 2)
        && message["role"] == "assistant"
        && message["content"].is_string();
    Some(if is_text { message.get("content").cloned().unwrap_or_default() } else { message })
}

#[derive(Default)]
struct Message {
    role: String,
    /// Parts as OpenAI writes them.
    parts: Vec<Value>,
    reasoning: Vec<String>,
    tool_calls: Vec<Value>,
    tool_call_id: Option<Value>,
    /// Separate messages: a tool's results that other tools write as parts.
    results: Vec<Value>,
    others: Map<String, Value>,
}

impl Message {
    fn new(role: &str) -> Self {
        Self { role: role_of(role).to_owned(), ..Self::default() }
    }

    fn read(fields: Map<String, Value>, role: &str) -> Self {
        let (mut fields, kind) = without_constructor(fields);
        let is_langchain = kind.is_some();
        let named = fields.shift_remove("role").and_then(|role| role.as_str().map(ToOwned::to_owned)).or(kind);
        let mut message = Self::new(named.as_deref().unwrap_or(role));
        // Some repeat it: as a text and in parts.
        let content = fields.shift_remove("content").unwrap_or_default();
        for key in ["parts", "contents"] {
            if let Some(parts) = fields.shift_remove(key).filter(|parts| !parts.is_null()) {
                message = message.add_content(parts);
            }
        }
        if !content.is_null() && !message.has_text(&content) {
            message = message.add_content(content);
        }
        for (key, value) in fields {
            match (key.as_str(), value) {
                (_, Value::Null) | ("finish_reason", _) => {}
                ("reasoning" | "reasoning_content", Value::String(text)) => message.reasoning.push(text),
                ("tool_calls", Value::Array(calls)) if calls.is_empty() => {}
                ("tool_calls", calls) => {
                    let calls = match json::from_text(calls) {
                        Value::Array(calls) => calls,
                        call => vec![call],
                    };
                    message.tool_calls.extend(calls.into_iter().map(tool_call));
                }
                ("tool_call_id", id) => message.tool_call_id = Some(id),
                // The event API's message of a tool.
                ("id", id) if message.role == "tool" => message.tool_call_id = Some(id),
                (_, value) if !is_langchain => drop(message.others.insert(key, value)),
                _ => {}
            }
        }
        message
    }

    /// Whether its parts have nothing but this text.
    fn has_text(&self, content: &Value) -> bool {
        let Value::String(content) = content else { return false };
        let texts: Vec<_> = self.parts.iter().filter_map(|part| part.get("text")?.as_str()).collect();
        !texts.is_empty()
            && (texts.concat() == *content || texts.join("\n") == *content || texts.contains(&content.as_str()))
    }

    fn add_content(mut self, content: Value) -> Self {
        match content {
            // Some write a list of parts as its JSON text.
            Value::String(text) if text.starts_with("[{") => match serde_json::from_str(&text) {
                Ok(Value::Array(parts)) if has_parts(&parts) => {
                    parts.into_iter().for_each(|part| self.add_part(part));
                }
                _ => self.parts.push(text_part(Value::String(text))),
            },
            Value::Array(parts) => parts.into_iter().for_each(|part| self.add_part(part)),
            Value::Object(part) => self.add_part(Value::Object(part)),
            text => self.parts.push(text_part(text)),
        }
        self
    }

    fn add_part(&mut self, part: Value) {
        let Value::Object(mut fields) = part else { return self.parts.push(text_part(part)) };
        // OpenInference nests each part one level deeper.
        if let Some(Value::Object(inner)) = fields.shift_remove("message_content") {
            fields = inner;
        }
        let mut take = |names: &[&str]| names.iter().find_map(|name| fields.shift_remove(*name));
        let kind = take(&["type"]).and_then(|kind| kind.as_str().map(str::to_owned)).unwrap_or_default();
        match kind.as_str() {
            "text" | "input_text" | "output_text" => {
                self.parts.extend(take(&["text", "content"]).map(text_part));
            }
            "reasoning" | "thinking" => {
                let text = take(&["content", "text", "thinking", "reasoning"]);
                self.reasoning.extend(text.and_then(|text| text.as_str().map(str::to_owned)));
            }
            "tool_call" | "tool-call" | "tool_use" => {
                let id = take(&["id", "toolCallId"]).unwrap_or_default();
                let name = take(&["name", "toolName"]).unwrap_or_default();
                let arguments = take(&["arguments", "args", "input"]).unwrap_or_default();
                self.tool_calls.push(tool_call(json!({"id": id, "name": name, "arguments": arguments})));
            }
            "tool_call_response" | "tool-result" | "tool_result" => {
                let id = take(&["id", "toolCallId", "tool_use_id"]).unwrap_or_default();
                let content = take(&["response", "result", "output", "content"]).unwrap_or_default();
                self.results.push(json!({"role": "tool", "tool_call_id": id, "content": tool_result(content)}));
            }
            "image" => match image_url(&fields).map(|url| url_of(url, &fields)) {
                Some(url) => self.parts.push(json!({"type": "image_url", "image_url": {"url": url}})),
                None => self.add_other(kind, fields),
            },
            "blob" | "file" if is_image(&fields) => match data_url(&fields) {
                Some(url) => self.parts.push(json!({"type": "image_url", "image_url": {"url": url}})),
                None => self.add_other(kind, fields),
            },
            "uri" if fields.get("modality").is_some_and(|modality| modality == "image") => {
                self.parts.push(json!({"type": "image_url", "image_url": {"url": fields.get("uri")}}));
            }
            // Bedrock's and Strands' parts have no type: `{"text": "..."}`.
            "" if fields.len() == 1 && fields.contains_key("text") => {
                self.parts.extend(fields.shift_remove("text").map(text_part));
            }
            _ => self.add_other(kind, fields),
        }
    }

    fn add_other(&mut self, kind: String, mut fields: Map<String, Value>) {
        if !kind.is_empty() {
            fields.shift_insert(0, "type".to_owned(), Value::String(kind));
        }
        self.parts.push(Value::Object(fields));
    }

    fn write(self, into: &mut Vec<Value>) {
        let Self { role, mut parts, reasoning, tool_calls, tool_call_id, results, others } = self;
        let only_results = !results.is_empty()
            && parts.is_empty()
            && tool_calls.is_empty()
            && reasoning.is_empty()
            && others.is_empty();
        if !only_results {
            let content = match parts.as_mut_slice() {
                [] => Value::Null,
                [part] if part["type"] == "text" => part["text"].take(),
                _ => Value::Array(parts),
            };
            let mut message =
                Map::from_iter([("role".to_owned(), Value::String(role)), ("content".to_owned(), content)]);
            if !reasoning.is_empty() {
                message.insert("reasoning_content".to_owned(), Value::String(reasoning.join("\n")));
            }
            if !tool_calls.is_empty() {
                message.insert("tool_calls".to_owned(), Value::Array(tool_calls));
            }
            message.extend(tool_call_id.map(|id| ("tool_call_id".to_owned(), id)));
            message.extend(others);
            into.push(Value::Object(message));
        }
        into.extend(results);
    }
}

fn text_part(text: Value) -> Value {
    // A text that was decoded because it looks like JSON becomes the text again.
    let text = if text.is_number() || text.is_boolean() { Value::String(text.to_string()) } else { text };
    json!({"type": "text", "text": text})
}

/// A call of a tool: OpenAI's own form, or its fields flat (OpenLLMetry) or nested one level deeper (OpenInference).
fn tool_call(call: Value) -> Value {
    let Value::Object(mut fields) = call else { return call };
    if let Some(Value::Object(inner)) = fields.shift_remove("tool_call") {
        fields = inner;
    }
    let mut function = match fields.shift_remove("function") {
        Some(Value::Object(function)) => function,
        _ => Map::new(),
    };
    let mut take = |name: &str| function.shift_remove(name).or_else(|| fields.shift_remove(name)).unwrap_or_default();
    let (name, mut arguments) = (take("name"), take("arguments"));
    if arguments.is_null() {
        // LangChain's name.
        arguments = take("args");
    }
    let arguments = match arguments {
        Value::String(_) | Value::Null => arguments,
        arguments => Value::String(arguments.to_string()),
    };
    let id = fields.shift_remove("id").unwrap_or_default();
    json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
}

/// The text of a result if there is only one (AI SDK 5 wraps it: `{"type": "text", "value": "..."}`).
fn tool_result(result: Value) -> Value {
    match result {
        Value::Object(mut fields)
            if fields.len() == 2 && fields.contains_key("type") && fields.contains_key("value") =>
        {
            fields.shift_remove("value").unwrap_or_default()
        }
        result => result,
    }
}
