//! Messages of a conversation, in every spelling, as OpenAI's chat completions API has them.
//!
//! ```json
//! {"role": "user", "content": "Weather in Paris?"}
//! {"role": "assistant", "content": null,
//!  "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Paris\"}"}}]}
//! {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}
//! ```
//! Content of several parts is a list of `{"type": "text", "text": "..."}` and others; what a model thought before it
//! answered is `reasoning_content`.

use serde_json::{Map, Value, json};

use crate::dataset::dialects::span::from_json_text;

/// The messages in a list of them, a single one, or a text, which is a message of `role`.
pub(crate) fn read(value: Value, role: &str) -> Vec<Value> {
    let mut messages = Vec::new();
    match value {
        Value::Array(values) if is_content(&values) => {
            Message::new(role).add_content(Value::Array(values)).write(&mut messages);
        }
        Value::Array(values) => values.into_iter().for_each(|value| messages.extend(read(value, role))),
        Value::Object(fields) => Message::read(fields, role).write(&mut messages),
        Value::Null => {}
        content => Message::new(role).add_content(content).write(&mut messages),
    }
    messages
}

/// Whether these are parts of one message, not messages. Bedrock's and Strands' parts of text have no type.
fn is_content(values: &[Value]) -> bool {
    let has = |value: &Value, key| value.get(key).is_some();
    !values.is_empty() && values.iter().all(|value| (has(value, "type") || has(value, "text")) && !has(value, "role"))
}

/// What a model answered: a text alone, or its message; all of them where there are several.
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
    /// Messages of their own: a tool's results that other tools write as parts.
    results: Vec<Value>,
    others: Map<String, Value>,
}

impl Message {
    fn new(role: &str) -> Self {
        let role = match role {
            "human" | "HumanMessage" => "user",
            "ai" | "model" | "AIMessage" => "assistant",
            role => role,
        };
        Self { role: role.to_owned(), ..Self::default() }
    }

    fn read(mut fields: Map<String, Value>, role: &str) -> Self {
        let named = fields.shift_remove("role");
        let mut message = Self::new(named.as_ref().and_then(Value::as_str).unwrap_or(role));
        for (key, value) in fields {
            match (key.as_str(), value) {
                (_, Value::Null) | ("finish_reason", _) => {}
                ("parts" | "contents" | "content", content) => message = message.add_content(content),
                ("reasoning" | "reasoning_content", Value::String(text)) => message.reasoning.push(text),
                ("tool_calls", calls) => {
                    let calls = match from_json_text(calls) {
                        Value::Array(calls) => calls,
                        call => vec![call],
                    };
                    message.tool_calls.extend(calls.into_iter().map(tool_call));
                }
                ("tool_call_id", id) => message.tool_call_id = Some(id),
                // The event API's message of a tool.
                ("id", id) if message.role == "tool" => message.tool_call_id = Some(id),
                (_, value) => drop(message.others.insert(key, value)),
            }
        }
        message
    }

    fn add_content(mut self, content: Value) -> Self {
        match content {
            // Some write a list of parts as its JSON text.
            Value::String(text) if text.starts_with("[{") => match serde_json::from_str(&text) {
                Ok(Value::Array(parts)) if is_content(&parts) => {
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
        // OpenInference nests each part once more.
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
            "image" => match image_url(&fields) {
                Some(url) => self.parts.push(json!({"type": "image_url", "image_url": {"url": url}})),
                None => self.add_other(kind, fields),
            },
            "blob" if fields.get("modality").is_some_and(|modality| modality == "image") => {
                let text = |name| fields.get(name).and_then(Value::as_str).unwrap_or_default();
                let url = format!("data:{};base64,{}", text("mime_type"), text("content"));
                self.parts.push(json!({"type": "image_url", "image_url": {"url": url}}));
            }
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
    // A text that was decoded because it looks like JSON is the text again.
    let text = if text.is_number() || text.is_boolean() { Value::String(text.to_string()) } else { text };
    json!({"type": "text", "text": text})
}

/// A call of a tool: OpenAI's own form, or its fields flat (OpenLLMetry) or nested once more (OpenInference).
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
    let (name, arguments) = (take("name"), take("arguments"));
    let arguments = match arguments {
        Value::String(_) | Value::Null => arguments,
        arguments => Value::String(arguments.to_string()),
    };
    let id = fields.shift_remove("id").unwrap_or_default();
    json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
}

/// The text of a result where there is only one (AI SDK 5 wraps it: `{"type": "text", "value": "..."}`).
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

/// The address of a picture: OpenInference's `{"image": {"image": {"url": "..."}}}`, AI SDK's `{"image": "..."}`.
fn image_url(fields: &Map<String, Value>) -> Option<&str> {
    let mut value = fields.get("image").or_else(|| fields.get("url"))?;
    while let Some(inner) = value.get("image").or_else(|| value.get("url")) {
        value = inner;
    }
    value.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_conversation_becomes_one() {
        let openai = json!([
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Paris\"}"}}]},
            {"role": "tool", "content": "sunny", "tool_call_id": "c"},
            {"role": "assistant", "content": "Sunny."},
        ]);
        let gen_ai = json!([
            {"role": "user", "parts": [{"type": "text", "content": "Weather?"}]},
            {"role": "assistant", "parts": [{"type": "tool_call", "id": "c", "name": "weather", "arguments": {"city": "Paris"}}],
             "finish_reason": "tool_call"},
            {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c", "response": "sunny"}]},
            {"role": "assistant", "parts": [{"type": "text", "content": "Sunny."}]},
        ]);
        let openllmetry = json!([
            {"role": "user", "content": "[{\"type\": \"text\", \"text\": \"Weather?\"}]"},
            {"role": "assistant", "tool_calls": [{"id": "c", "name": "weather", "arguments": "{\"city\":\"Paris\"}"}]},
            {"role": "tool", "content": "sunny", "tool_call_id": "c"},
            {"role": "assistant", "content": "Sunny.", "finish_reason": "stop"},
        ]);
        let ai_sdk = json!([
            {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
            {"role": "assistant", "content": [{"type": "tool-call", "toolCallId": "c", "toolName": "weather",
                "input": {"city": "Paris"}}]},
            {"role": "tool", "content": [{"type": "tool-result", "toolCallId": "c", "toolName": "weather",
                "output": {"type": "text", "value": "sunny"}}]},
            {"role": "assistant", "content": [{"type": "text", "text": "Sunny."}]},
        ]);
        let anthropic = json!([
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "weather", "input": {"city": "Paris"}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "sunny"}]},
            {"role": "ai", "content": "Sunny."},
        ]);
        let wanted = Value::Array(read(openai.clone(), "user"));
        assert_eq!(wanted, openai);
        for other in [gen_ai, openllmetry, ai_sdk, anthropic] {
            assert_eq!(Value::Array(read(other, "user")), wanted);
        }
    }

    #[test]
    fn pictures_thoughts_and_unknown_parts_are_kept() {
        let url = "data:image/png;base64,iVBO";
        let wanted = json!([{"role": "user", "content": [{"type": "text", "text": "What?"},
            {"type": "image_url", "image_url": {"url": url}}]}]);
        for parts in [
            json!([{"message_content": {"type": "text", "text": "What?"}},
                   {"message_content": {"type": "image", "image": {"image": {"url": url}}}}]),
            json!([{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": url}}]),
            json!([{"type": "text", "content": "What?"},
                   {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "iVBO"}]),
            json!([{"type": "text", "content": "What?"}, {"type": "uri", "modality": "image", "uri": url}]),
        ] {
            assert_eq!(Value::Array(read(json!({"role": "user", "contents": parts}), "user")), wanted);
        }
        let thoughtful = json!({"role": "assistant", "parts": [{"type": "reasoning", "content": "Hm."},
            {"type": "text", "content": "4"}, {"type": "citation", "of": "x"}]});
        assert_eq!(
            read(thoughtful, "assistant"),
            [json!({"role": "assistant", "content": [{"type": "text", "text": "4"}, {"type": "citation", "of": "x"}],
                "reasoning_content": "Hm."})]
        );
    }

    #[test]
    fn an_answer_of_text_is_the_text() {
        let answer = |value| answer(read(value, "assistant"));
        assert_eq!(answer(json!("Paris")), Some(json!("Paris")));
        assert_eq!(answer(json!([{"role": "assistant", "content": "Paris"}])), Some(json!("Paris")));
        assert_eq!(answer(json!([{"type": "text", "content": "Paris"}])), Some(json!("Paris")));
        assert_eq!(answer(json!(["a", "b"])).unwrap().as_array().unwrap().len(), 2);
        assert_eq!(answer(json!({"role": "user", "content": "x"})), Some(json!({"role": "user", "content": "x"})));
        assert_eq!((answer(json!([])), answer(json!(null))), (None, None));
        assert_eq!(answer(json!(42)), Some(json!("42")));
        assert_eq!(answer(json!([{"text": "Paris"}])), Some(json!("Paris")), "as Strands writes it");
        assert_eq!(answer(json!("[{\"text\": \"Paris\"}]")), Some(json!("Paris")));
    }
}
