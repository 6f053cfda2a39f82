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

/// What holds messages and is none itself: a request or a state, a result of LangChain or of OpenAI.
fn inner(fields: &mut Map<String, Value>) -> Option<Value> {
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
fn has_parts(values: &[Value]) -> bool {
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
fn is_tuple(values: &[Value]) -> bool {
    let role = values.first().and_then(Value::as_str).filter(|_| values.len() == 2);
    role.is_some_and(is_role) && values.get(1).is_some_and(|content| content.is_string() || is_content(content))
}

fn is_role(name: &str) -> bool {
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

/// Whether a value is a list of messages, perhaps in lists of their own, in LangChain's spelling.
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

/// Whether a value is what a model was asked or answered, and not the inputs or outputs of any other step.
pub(crate) fn is_said(value: &Value) -> bool {
    match value {
        Value::Object(fields) => is_message(value) || inner(&mut fields.clone()).is_some(),
        Value::Array(values) => has_parts(values) || is_tuple(values) || values.iter().all(is_said),
        _ => true,
    }
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

/// OpenAI's name of a role.
fn role_of(name: &str) -> &str {
    match name.strip_suffix("Chunk").unwrap_or(name) {
        "human" | "Human" | "HumanMessage" | "User" | "USER" => "user",
        "ai" | "model" | "bot" | "gpt" | "AIMessage" | "Assistant" | "ASSISTANT" => "assistant",
        "SystemMessage" | "System" | "SYSTEM" => "system",
        "ToolMessage" | "TOOL" => "tool",
        "FunctionMessage" => "function",
        _ => name,
    }
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
        // Some say the same twice: as a text and in parts.
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

    /// Whether its parts say nothing but this text.
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

/// The fields of a message that LangChain wrapped, and its type.
fn without_constructor(mut fields: Map<String, Value>) -> (Map<String, Value>, Option<String>) {
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

/// Whether a file is a picture, by what is said of it or by how it begins.
fn is_image(fields: &Map<String, Value>) -> bool {
    let is_said =
        |key: &str, begins: &str| fields.get(key).and_then(Value::as_str).is_some_and(|text| text.starts_with(begins));
    is_said("modality", "image")
        || MEDIA_TYPES.iter().any(|key| is_said(key, "image/"))
        || CONTENTS.iter().any(|key| is_said(key, "data:image/"))
}

const MEDIA_TYPES: [&str; 4] = ["mime_type", "mediaType", "mimeType", "media_type"];
const CONTENTS: [&str; 4] = ["content", "data", "url", "file"];

/// The address of a file that is written into a message, as a data URL or in base64 alone; or the address that is there.
fn data_url(fields: &Map<String, Value>) -> Option<String> {
    let content = CONTENTS.iter().find_map(|key| fields.get(*key)?.as_str())?;
    Some(url_of(content, fields))
}

fn url_of(content: &str, fields: &Map<String, Value>) -> String {
    if ["data:", "http:", "https:", "mlflow-attachment:"].iter().any(|scheme| content.starts_with(scheme)) {
        return content.to_owned();
    }
    let media_type = MEDIA_TYPES.iter().find_map(|key| fields.get(*key)?.as_str()).filter(|kind| !kind.is_empty());
    // How the formats begin, in base64.
    let begins = [("iVBORw0", "image/png"), ("/9j/", "image/jpeg"), ("R0lGOD", "image/gif"), ("UklGR", "image/webp")];
    let by_content = || begins.iter().find(|(begin, _)| content.starts_with(begin)).map(|(_, kind)| *kind);
    match media_type.or_else(by_content) {
        Some(media_type) => format!("data:{media_type};base64,{content}"),
        None => content.to_owned(),
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
            json!([{"type": "text", "content": "What?"}, {"type": "blob", "modality": "image", "mime_type": null, "content": url}]),
            json!([{"type": "text", "text": "What?"}, {"type": "file", "mediaType": "image/png", "data": "iVBO"}]),
            json!([{"type": "text", "text": "What?"}, {"type": "file", "data": url}]),
            json!([{"type": "text", "text": "What?"}, {"type": "image", "image": url}]),
            json!([{"type": "text", "text": "What?"}, {"type": "image", "image": "iVBO", "mediaType": "image/png"}]),
        ] {
            assert_eq!(Value::Array(read(json!({"role": "user", "contents": parts}), "user")), wanted);
        }
        let guessed = read(json!([{"type": "blob", "modality": "image", "content": "/9j/4AAQ"}]), "user");
        assert_eq!(guessed[0]["content"][0]["image_url"]["url"], "data:image/jpeg;base64,/9j/4AAQ");
        let file = json!({"type": "file", "mediaType": "application/pdf", "data": "JVBE"});
        assert_eq!(read(json!([file]), "user")[0]["content"], json!([file]));
        let thoughtful = json!({"role": "assistant", "parts": [{"type": "reasoning", "content": "Hm."},
            {"type": "text", "content": "4"}, {"type": "citation", "of": "x"}]});
        assert_eq!(
            read(thoughtful, "assistant"),
            [json!({"role": "assistant", "content": [{"type": "text", "text": "4"}, {"type": "citation", "of": "x"}],
                "reasoning_content": "Hm."})]
        );
    }

    #[test]
    fn a_text_that_is_said_twice_is_read_once() {
        let said = json!([{"role": "assistant", "content": "Nine metres."}]);
        for message in [
            json!({"role": "assistant", "content": "Nine metres.", "contents": [{"type": "text", "text": "Nine metres."}]}),
            json!({"role": "assistant", "contents": [{"type": "text", "text": "Nine metres."}], "content": "Nine metres."}),
            json!({"role": "assistant", "contents": [{"message_content": {"type": "text", "text": "Nine metres."}}],
                "content": "Nine metres."}),
        ] {
            assert_eq!(Value::Array(read(message, "assistant")), said);
        }
        let parts = json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]);
        let twice = read(json!({"role": "assistant", "content": "ab", "contents": parts}), "assistant");
        assert_eq!(twice, [json!({"role": "assistant", "content": parts})]);
        let both = read(json!({"role": "user", "content": "c", "contents": [{"type": "text", "text": "a"}]}), "user");
        assert_eq!(both[0]["content"].as_array().unwrap().len(), 2, "what differs is kept");
    }

    #[test]
    fn messages_of_langchain_are_read_in_every_form() {
        let wanted = json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How old?"},
            {"role": "assistant", "content": "About 300 years."}]);
        let constructor = |class: &str, content: &str| {
            json!({"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", class],
                "kwargs": {"content": content, "type": "x", "additional_kwargs": {}, "tool_calls": []}})
        };
        for messages in [
            json!([[
                constructor("SystemMessage", "Be brief."),
                constructor("HumanMessage", "How old?"),
                constructor("AIMessageChunk", "About 300 years.")
            ]]),
            json!({"messages": [{"type": "system", "content": "Be brief."},
                {"type": "human", "content": "How old?", "additional_kwargs": {}, "id": null, "example": false},
                {"type": "ai", "content": "About 300 years.", "response_metadata": {"model": "m"}}]}),
            json!([{"type": "system", "data": {"content": "Be brief."}}, {"type": "human", "data": {"content": "How old?"}},
                {"type": "ai", "data": {"content": "About 300 years.", "tool_calls": []}}]),
            json!([["system", "Be brief."], ["human", "How old?"], ["ai", "About 300 years."]]),
        ] {
            assert!(is_said(&messages));
            assert_eq!(Value::Array(read(messages, "user")), wanted);
        }
        let call = json!({"type": "ai", "content": "", "tool_calls": [{"name": "f", "args": {"a": 1}, "id": "c", "type": "tool_call"}]});
        let function = json!({"name": "f", "arguments": "{\"a\":1}"});
        assert_eq!(read(call, "user")[0]["tool_calls"], json!([{"id": "c", "type": "function", "function": function}]));
        for result in [
            json!({"generations": [[{"text": "Old.", "type": "ChatGeneration", "message": constructor("AIMessage", "Old.")}]],
                "llm_output": null}),
            json!({"generations": [[{"text": "Old.", "generation_info": null, "type": "Generation"}]]}),
            json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": "Old."}}]}),
        ] {
            assert!(is_said(&result));
            assert_eq!(answer(read(result, "assistant")), Some(json!("Old.")));
        }
    }

    #[test]
    fn what_is_no_message_is_told_apart() {
        for value in
            [json!({"question": "q"}), json!({"role": "admin", "name": "n"}), json!([{"a": 1}]), json!({"text": "t"})]
        {
            assert!(!is_said(&value) && !is_message(&value), "{value}");
        }
        assert!(is_said(&json!("text")) && !is_message(&json!("text")));
        assert!(!is_dialogue(&json!([])) && !is_dialogue(&json!([{"role": "user", "content": "a"}, 7])));
        assert!(!is_of_langchain(&json!([{"role": "user", "content": "a"}])) && !is_of_langchain(&json!([])));
        assert!(
            is_content(&json!([{"type": "text", "text": "a"}]))
                && !is_content(&json!([{"type": "human", "content": "a"}]))
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
