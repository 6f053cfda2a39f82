//! Vercel's AI SDK: `ai.prompt`, `ai.response.text`, `ai.toolCall.args`.
//!
//! Source: <https://ai-sdk.dev/docs/ai-sdk-core/telemetry>.

use serde_json::{Value, json};

use crate::dataset::dialects::messages;
use crate::dataset::dialects::otel::recorded::Recorded;
use crate::dataset::json;

pub(crate) fn read(recorded: &mut Recorded) {
    let attributes = &mut recorded.attributes;
    if !attributes.has_prefix("ai.") {
        return;
    }
    if let Some(kind) = attributes.get_text("ai.operationId").and_then(span_type) {
        recorded.note_type(kind);
    }
    let attributes = &mut recorded.attributes;
    // `ai.prompt` is what the application passed, `ai.prompt.messages` what the provider was asked.
    let asked = match attributes.take("ai.prompt.messages") {
        Some(messages) => messages::read(json::from_text(messages), "user"),
        None => attributes.take("ai.prompt").map(|prompt| passed(json::from_text(prompt))).unwrap_or_default(),
    };
    let answered = answer(recorded);
    let attributes = &mut recorded.attributes;
    let arguments = ["ai.toolCall.args", "ai.toolCall.input"].iter().find_map(|key| attributes.take_value(key));
    let result = ["ai.toolCall.result", "ai.toolCall.output"].iter().find_map(|key| attributes.take_value(key));
    let embedded = ["ai.value", "ai.values"].iter().find_map(|key| attributes.take_value(key));
    recorded.note_messages(asked);
    recorded.note_answer(answered);
    recorded.note_inputs(arguments);
    recorded.note_outputs(result);
    recorded.note_inputs(embedded);
}

/// `ai.generateText` is a loop over calls and tools, each call is `ai.generateText.doGenerate`.
fn span_type(operation: &str) -> Option<&'static str> {
    match operation.strip_prefix("ai.")? {
        "toolCall" => Some("TOOL"),
        name if name.contains(".do") && name.starts_with("embed") => Some("EMBEDDING"),
        name if name.contains(".do") => Some("CHAT_MODEL"),
        name if name.starts_with("embed") => Some("EMBEDDING"),
        name if name.starts_with("rerank") => Some("RERANKER"),
        name if ["generate", "stream"].iter().any(|verb| name.starts_with(verb)) => Some("AGENT"),
        _ => None,
    }
}

/// `{"system": "...", "prompt": "..."}` or `{"system": "...", "messages": [...]}`.
fn passed(prompt: Value) -> Vec<Value> {
    let Value::Object(mut fields) = prompt else { return messages::read(prompt, "user") };
    let mut asked = fields.shift_remove("system").map(|system| messages::read(system, "system")).unwrap_or_default();
    for key in ["messages", "prompt"] {
        asked.extend(fields.shift_remove(key).map(|value| messages::read(value, "user")).unwrap_or_default());
    }
    asked
}

fn answer(recorded: &mut Recorded) -> Vec<Value> {
    let attributes = &mut recorded.attributes;
    let mut take = |names: &[&str]| names.iter().find_map(|name| attributes.take(name)).filter(|value| value != "");
    let text = take(&["ai.response.text", "ai.result.text", "ai.response.object", "ai.result.object"]);
    let calls = take(&["ai.response.toolCalls", "ai.result.toolCalls"]).map(json::from_text);
    if text.is_none() && calls.is_none() {
        return Vec::new();
    }
    let mut parts: Vec<Value> = text.map(|text| json!({"type": "text", "text": text})).into_iter().collect();
    if let Some(Value::Array(calls)) = calls {
        for call in calls {
            let Value::Object(mut call) = call else { continue };
            call.insert("type".to_owned(), json!("tool-call"));
            parts.push(Value::Object(call));
        }
    }
    messages::read(json!({"role": "assistant", "content": parts}), "assistant")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Span;

    fn read_span(attributes: &Value) -> Span {
        Recorded::with(attributes).read_by(read)
    }

    #[test]
    fn the_loop_the_call_and_the_tool_are_told_apart() {
        let outer = read_span(&json!({"ai.operationId": "ai.generateText", "ai.response.text": "Sunny.",
            "ai.prompt": "{\"system\": \"Be brief.\", \"prompt\": \"Weather?\"}"}));
        let asked =
            json!({"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Weather?"}]});
        assert_eq!(
            (outer.span_type.as_str(), outer.inputs, outer.outputs),
            ("AGENT", Some(asked), Some(json!("Sunny.")))
        );

        let inner = read_span(&json!({"ai.operationId": "ai.generateText.doGenerate", "gen_ai.system": "openai",
            "ai.prompt.messages": "[{\"role\": \"user\", \"content\": [{\"type\": \"text\", \"text\": \"Weather?\"}]}]",
            "ai.response.toolCalls": "[{\"toolCallId\": \"c\", \"toolName\": \"weather\", \"input\": {\"city\": \"Paris\"}}]"}));
        let function = json!({"name": "weather", "arguments": "{\"city\":\"Paris\"}"});
        let call = json!({"role": "assistant", "content": null,
            "tool_calls": [{"id": "c", "type": "function", "function": function}]});
        assert_eq!((inner.span_type.as_str(), inner.outputs), ("CHAT_MODEL", Some(call)));
        assert_eq!(inner.inputs, Some(json!({"messages": [{"role": "user", "content": "Weather?"}]})));

        let tool = read_span(&json!({"ai.operationId": "ai.toolCall", "ai.toolCall.args": "{\"city\": \"Paris\"}",
            "ai.toolCall.result": "\"sunny\""}));
        assert_eq!(
            (tool.span_type.as_str(), tool.inputs, tool.outputs),
            ("TOOL", Some(json!({"city": "Paris"})), Some(json!("sunny")))
        );
    }
}
