//! Gemini's requests and responses: lines of a batch, or logged calls.
//!
//! ```json
//! {"key": "1", "request": {"contents": [{"role": "user", "parts": [{"text": "..."}]}]}}
//! {"key": "1", "response": {"candidates": [{"content": {"role": "model", "parts": [{"text": "..."}]}}]}}
//! ```
//! A request and its response are in one object, or are joined by `key`. Source: the Gemini API reference, "Batch API".

use serde_json::{Map, Value, json};

use crate::dataset::dialects::dialect::{Dialect, Found};
use crate::dataset::dialects::fields::{json_text, list, object, text};
use crate::dataset::dialects::messages;
use crate::dataset::dialects::part::Part;
use crate::dataset::dialects::rows;
use crate::dataset::dialects::times;
use crate::dataset::dialects::trace_fields::{self, token_usage};
use crate::dataset::notice::Notices;
use crate::trace::{Trace, TraceState};

pub(crate) const DIALECT: Dialect = Dialect { name: "gemini", title: "Gemini's calls and batches", fits, read };

fn fits(object: &Map<String, Value>) -> bool {
    let in_request = object.get("request").is_some_and(|request| request.get("contents").is_some());
    let in_response = object.get("response").is_some_and(|response| response.get("candidates").is_some());
    let is_error = object.contains_key("key") && object.contains_key("error") && !object.contains_key("inputs");
    in_request || in_response || is_error || object.get("contents").is_some_and(Value::is_array)
}

fn read(fields: Map<String, Value>, notices: &mut Notices) -> Result<Found, String> {
    let mut trace = Trace::default();
    let mut call = Map::new();
    let mut key_of_batch = None;
    let mut rest = Map::new();
    for (key, value) in fields {
        match key.as_str() {
            _ if value.is_null() => {}
            "key" => key_of_batch = text("key", value)?,
            "request" => call.extend(object("request", value)?),
            "response" if value.is_object() => read_response(object("response", value)?, &mut trace, notices)?,
            "error" => {
                trace.state = TraceState::Error;
                trace.metadata.insert("error".to_owned(), json_text(value));
            }
            _ if REQUEST.contains(&key.as_str()) => drop(call.insert(key, value)),
            "status" if value == "" => {}
            "processed_time" => trace.request_time_ms = times::ms("processed_time", &value, notices),
            _ => drop(rest.insert(key, value)),
        }
    }
    read_request(call, &mut trace)?;
    if let Some(key) = key_of_batch {
        trace.trace_id = key;
        rest.into_iter().for_each(|(key, _)| notices.unknown(key));
        return Ok(Found::Parts(vec![Part::Trace(trace)]));
    }
    let (mut own, rest) = trace_fields::read(rest, notices)?;
    if own.trace_id.is_empty() {
        own.trace_id = trace.trace_id;
    }
    own.inputs = own.inputs.or(trace.inputs);
    own.outputs = own.outputs.or(trace.outputs);
    own.metadata.extend(trace.metadata);
    own.token_usage = own.token_usage.or(trace.token_usage);
    own.request_time_ms = own.request_time_ms.or(trace.request_time_ms);
    if own.state == TraceState::default() {
        own.state = trace.state;
    }
    rows::fill(&mut own, rest, notices);
    if own.inputs.is_none() {
        return Err("`contents` is missing: this is an answer without its request".to_owned());
    }
    Ok(Found::Trace(own))
}

/// The fields of a request, in either spelling.
const REQUEST: &[&str] = &[
    "contents",
    "systemInstruction",
    "system_instruction",
    "tools",
    "toolConfig",
    "tool_config",
    "generationConfig",
    "generation_config",
    "safetySettings",
    "safety_settings",
    "cachedContent",
    "labels",
    "model",
];

fn read_request(mut call: Map<String, Value>, trace: &mut Trace) -> Result<(), String> {
    let mut take = |names: &[&str]| names.iter().find_map(|name| call.remove(*name)).unwrap_or_default();
    let mut asked = said(take(&["systemInstruction", "system_instruction"]), "system");
    let contents = match take(&["contents"]) {
        Value::Array(contents) => contents,
        Value::Null => Vec::new(),
        one => vec![one],
    };
    asked.extend(contents.into_iter().flat_map(|content| said(content, "user")));
    let mut inputs = Map::new();
    if !asked.is_empty() {
        inputs.insert("messages".to_owned(), asked.into());
        let tools = take(&["tools"]);
        if !tools.is_null() {
            inputs.insert("tools".to_owned(), tools);
        }
        trace.inputs = Some(Value::Object(inputs));
    }
    if let Some(model) = text("model", take(&["model"]))? {
        trace.metadata.insert("model".to_owned(), model);
    }
    Ok(())
}

fn read_response(mut response: Map<String, Value>, trace: &mut Trace, notices: &mut Notices) -> Result<(), String> {
    let candidates =
        list("response.candidates", "a list of objects", response.remove("candidates").unwrap_or_default())?;
    let mut answers = Vec::new();
    for candidate in candidates {
        let mut candidate = object("response.candidates[]", candidate)?;
        let reason = candidate.remove("finishReason").or_else(|| candidate.remove("finish_reason"));
        trace.metadata.extend(reason.map(|reason| ("finish_reason".to_owned(), json_text(reason))));
        answers.extend(said(candidate.remove("content").unwrap_or_default(), "assistant"));
    }
    trace.outputs = messages::answer(answers);
    trace.state = if trace.outputs.is_some() { TraceState::Ok } else { TraceState::Error };
    let usage = response.remove("usageMetadata").or_else(|| response.remove("usage_metadata"));
    trace.token_usage = usage.and_then(|usage| token_usage("usageMetadata", usage).ok());
    let model = response.remove("modelVersion").or_else(|| response.remove("model_version"));
    trace.metadata.extend(model.map(|model| ("model".to_owned(), json_text(model))));
    if let Some(id) = response.remove("responseId") {
        trace.trace_id = text("responseId", id)?.unwrap_or_default();
    }
    let created = response.remove("createTime").unwrap_or_default();
    trace.request_time_ms = times::ms("createTime", &created, notices);
    for key in response.keys().filter(|key| {
        !["promptFeedback", "sdkHttpResponse", "automaticFunctionCallingHistory", "parsed"].contains(&key.as_str())
    }) {
        notices.unknown(format!("response.{key}"));
    }
    Ok(())
}

/// The messages of a `Content`: its parts, with calls and results of functions.
fn said(content: Value, role: &str) -> Vec<Value> {
    let Value::Object(mut fields) = content else { return messages::read(content, role) };
    let parts = match fields.remove("parts").unwrap_or_default() {
        Value::Array(parts) => parts,
        Value::Null => return Vec::new(),
        part => vec![part],
    };
    let role = if role == "system" { Value::from(role) } else { fields.remove("role").unwrap_or_else(|| role.into()) };
    messages::read(json!({"role": role, "parts": parts.into_iter().map(part).collect::<Vec<_>>()}), "user")
}

fn part(part: Value) -> Value {
    let Value::Object(mut fields) = part else { return part };
    let mut take = |names: [&str; 2]| names.iter().find_map(|name| fields.remove(*name));
    if let Some(call) = take(["functionCall", "function_call"]) {
        return json!({"type": "tool_call", "id": call.get("id"), "name": call.get("name"), "arguments": call.get("args")});
    }
    if let Some(result) = take(["functionResponse", "function_response"]) {
        // Calls have no ids there; they are joined by name.
        let id = result.get("id").or_else(|| result.get("name")).cloned();
        return json!({"type": "tool_call_response", "id": id, "response": result.get("response")});
    }
    if let Some(data) = take(["inlineData", "inline_data"]) {
        let media_type = data.get("mimeType").or_else(|| data.get("mime_type")).cloned();
        return json!({"type": "blob", "mime_type": media_type, "content": data.get("data")});
    }
    if let Some(file) = take(["fileData", "file_data"]) {
        let address = file.get("fileUri").or_else(|| file.get("file_uri")).cloned().unwrap_or_default();
        let is_image = ["mimeType", "mime_type"].iter().any(|key| {
            file.get(*key).and_then(Value::as_str).is_some_and(|media_type| media_type.starts_with("image/"))
        });
        return if is_image { json!({"type": "uri", "modality": "image", "uri": address}) } else { file };
    }
    let text = fields.remove("text").unwrap_or_default();
    let kind = if fields.remove("thought") == Some(Value::Bool(true)) { "reasoning" } else { "text" };
    if text.is_null() { Value::Object(fields) } else { json!({"type": kind, "text": text}) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::TokenUsage;

    fn found(line: &Value) -> Found {
        let fields = line.as_object().unwrap().clone();
        assert!(fits(&fields), "{line}");
        let mut notices = Notices::default();
        let found = read(fields, &mut notices).unwrap();
        assert!(notices.is_empty(), "{notices:?}");
        found
    }

    fn request() -> Value {
        json!({"contents": [{"role": "user", "parts": [{"text": "Hi"}, {"inlineData": {"mimeType": "image/png", "data": "iVBORw0"}}]}],
            "system_instruction": {"parts": [{"text": "Be brief."}]}, "generation_config": {"temperature": 0}})
    }

    fn response() -> Value {
        json!({"candidates": [{"content": {"parts": [{"text": "Hm.", "thought": true}, {"text": "Hello."}], "role": "model"}, "finishReason": "STOP", "index": 0}],
            "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 2, "totalTokenCount": 3}, "modelVersion": "g", "responseId": "r1"})
    }

    #[test]
    fn a_request_and_its_response_are_one_trace_or_two_parts_of_one() {
        let Found::Trace(trace) = found(
            &json!({"request": request(), "response": response(), "status": "", "processed_time": "2026-01-05T10:00:00Z"}),
        ) else {
            panic!()
        };
        let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0"}});
        let messages = json!([{"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Hi"}, image]}]);
        let answer = json!({"role": "assistant", "content": "Hello.", "reasoning_content": "Hm."});
        let expected = Trace {
            trace_id: "r1".into(),
            inputs: Some(json!({"messages": messages})),
            outputs: Some(answer.clone()),
            metadata: [("finish_reason".to_owned(), "STOP".to_owned()), ("model".to_owned(), "g".to_owned())].into(),
            state: TraceState::Ok,
            request_time_ms: Some(1_767_607_200_000),
            token_usage: Some(TokenUsage { input_tokens: 1, output_tokens: 2, total_tokens: 3 }),
            ..Trace::default()
        };
        assert_eq!(trace, expected);
        let part = |line: &Value| match found(line) {
            Found::Parts(parts) => match &*parts {
                [Part::Trace(trace)] => trace.clone(),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        };
        let asked = part(&json!({"key": "k", "request": request()}));
        let answered = part(&json!({"key": "k", "response": response()}));
        assert_eq!((asked.trace_id.as_str(), asked.inputs), ("k", expected.inputs));
        assert_eq!((answered.trace_id.as_str(), answered.outputs), ("k", Some(answer)));
        let failed = part(&json!({"key": "k", "error": {"code": 429}}));
        assert_eq!((failed.state, failed.metadata["error"].as_str()), (TraceState::Error, "{\"code\":429}"));
    }

    #[test]
    fn functions_are_called_as_everywhere() {
        let line = json!({"expectations": {"e": 1}, "trace_id": "own", "contents": [{"role": "user", "parts": [{"text": "Weather?"}]},
            {"role": "model", "parts": [{"functionCall": {"name": "weather", "args": {"city": "Paris"}}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "weather", "response": {"sky": "blue"}}}]}],
            "response": {"candidates": [{"content": {"role": "model", "parts": [{"text": "Blue."}]}}]}});
        let Found::Trace(trace) = found(&line) else { panic!() };
        let messages = trace.inputs.unwrap()["messages"].clone();
        let function = json!({"name": "weather", "arguments": "{\"city\":\"Paris\"}"});
        assert_eq!(messages[1]["tool_calls"], json!([{"id": null, "type": "function", "function": function}]));
        assert_eq!(messages[2], json!({"role": "tool", "tool_call_id": "weather", "content": {"sky": "blue"}}));
        assert_eq!(
            (trace.outputs, trace.trace_id.as_str(), &trace.expectations["e"]),
            (Some(json!("Blue.")), "own", &json!(1))
        );
    }
}
