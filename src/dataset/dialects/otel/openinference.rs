//! OpenInference (Arize Phoenix): `input.value`, `llm.input_messages.0.message.role`, `retrieval.documents.0.document.content`.
//!
//! Source: <https://github.com/Arize-ai/openinference/blob/main/spec/semantic_conventions.md>.

use serde_json::{Map, Value};

use crate::dataset::dialects::messages;
use crate::dataset::dialects::otel::recorded::Recorded;
use crate::dataset::dialects::wrapped;
use crate::dataset::json;

/// Attributes that are an object as JSON text; Phoenix decodes them.
pub(crate) const JSON_VALUES: &[&str] =
    &["metadata", "llm.invocation_parameters", "llm.prompt_template.variables", "tool.parameters"];

pub(crate) fn read(recorded: &mut Recorded) {
    let attributes = &mut recorded.attributes;
    let kind = attributes.take_text("openinference.span.kind");
    let is_known = ["input.value", "output.value"].iter().any(|key| attributes.contains(key));
    if kind.is_none() && !is_known && !["llm.", "retrieval."].iter().any(|prefix| attributes.has_prefix(prefix)) {
        return;
    }
    JSON_VALUES.iter().for_each(|key| attributes.decode(key));
    let asked = attributes.take_value("llm.input_messages").map(|value| messages::read(unwrapped(value), "user"));
    let answered =
        attributes.take_value("llm.output_messages").map(|value| messages::read(unwrapped(value), "assistant"));
    let found = ["retrieval.documents", "reranker.output_documents"].iter().find_map(|key| attributes.take_value(key));
    if let Some(kind) = kind {
        let is_chat = kind == "LLM" && asked.is_some();
        recorded.note_type(if is_chat { "CHAT_MODEL" } else { &kind });
    }
    recorded.note_messages(asked.unwrap_or_default());
    recorded.note_answer(answered.unwrap_or_default());
    recorded.note_outputs(found.map(documents));
    // If the specific attribute is missing, this general one is used. Otherwise it repeats it, and stays an attribute.
    if recorded.span.inputs.is_none() {
        let inputs = value(recorded, "input").map(wrapped::inputs);
        recorded.note_inputs(inputs);
    }
    if recorded.span.outputs.is_none() {
        let outputs = value(recorded, "output").map(wrapped::outputs);
        recorded.note_outputs(outputs);
    }
}

/// `input.value`, decoded as `input.mime_type` says.
fn value(recorded: &mut Recorded, side: &str) -> Option<Value> {
    let value = recorded.attributes.take(&format!("{side}.value"))?;
    let is_json = match recorded.attributes.take_text(&format!("{side}.mime_type")) {
        Some(mime_type) => mime_type.contains("json"),
        None => value.as_str().is_some_and(|text| text.starts_with(['{', '['])),
    };
    Some(if is_json { json::from_text(value) } else { value })
}

/// `[{"message": {...}}]` as `[{...}]`; within a message `contents`, `tool_calls` and `function_call_*` keep their names.
fn unwrapped(messages: Value) -> Value {
    let message = |value| match value {
        Value::Object(mut item) => match item.shift_remove("message") {
            Some(Value::Object(message)) => with_function_call(message),
            _ => Value::Object(item),
        },
        other => other,
    };
    match messages {
        Value::Array(items) => items.into_iter().map(message).collect(),
        other => other,
    }
}

/// OpenAI's function calls, older than tools.
fn with_function_call(mut message: Map<String, Value>) -> Value {
    if let Some(name) = message.shift_remove("function_call_name") {
        let arguments = message.shift_remove("function_call_arguments_json").unwrap_or_default();
        let call = Map::from_iter([("name".to_owned(), name), ("arguments".to_owned(), arguments)]);
        message.insert("tool_calls".to_owned(), Value::Array(vec![Value::Object(call)]));
    }
    Value::Object(message)
}

/// `[{"document": {"content": "...", "metadata": "{...}", "id": "...", "score": 1}}]` as in the module's documentation.
fn documents(documents: Value) -> Value {
    let document = |value| match value {
        Value::Object(mut item) => match item.shift_remove("document") {
            Some(Value::Object(mut fields)) => {
                let mut document = Map::new();
                for (from, to) in
                    [("content", "page_content"), ("metadata", "metadata"), ("id", "id"), ("score", "score")]
                {
                    let value = fields.shift_remove(from);
                    document.extend(value.map(|value| match to {
                        "metadata" => (to.to_owned(), json::from_text(value)),
                        _ => (to.to_owned(), value),
                    }));
                }
                document.extend(fields);
                Value::Object(document)
            }
            _ => Value::Object(item),
        },
        other => other,
    };
    match documents {
        Value::Array(items) => items.into_iter().map(document).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::dataset::dialects::otel::attributes::Attributes;
    use crate::trace::Span;

    fn read_span(attributes: Value) -> Span {
        let Value::Object(attributes) = attributes else { panic!() };
        Recorded { attributes: Attributes::new(attributes), ..Recorded::default() }.read_by(read)
    }

    #[test]
    fn a_model_call_is_its_messages_whatever_else_repeats_them() {
        let span = read_span(json!({"openinference.span.kind": "LLM", "input.value": "{\"messages\": []}",
            "input.mime_type": "application/json", "llm.input_messages.0.message.role": "user",
            "llm.input_messages.0.message.content": "Hi", "llm.output_messages.0.message.role": "assistant",
            "llm.output_messages.0.message.function_call_name": "f",
            "llm.output_messages.0.message.function_call_arguments_json": "{}"}));
        assert_eq!(span.span_type.as_str(), "CHAT_MODEL");
        assert_eq!(span.inputs, Some(json!({"messages": [{"role": "user", "content": "Hi"}]})));
        let call = json!({"id": null, "type": "function", "function": {"name": "f", "arguments": "{}"}});
        assert_eq!(span.outputs, Some(json!({"role": "assistant", "content": null, "tool_calls": [call]})));
        assert!(span.attributes.contains_key("input.value"));
    }

    #[test]
    fn documents_have_mlflows_keys() {
        let span = read_span(json!({"openinference.span.kind": "RETRIEVER", "input.value": "q",
            "retrieval.documents.0.document.score": 0.5, "retrieval.documents.0.document.content": "Text.",
            "retrieval.documents.0.document.metadata": "{\"uri\": \"a\"}", "retrieval.documents.1.document.id": "7"}));
        assert_eq!(
            (span.span_type.as_str(), span.inputs, span.outputs),
            (
                "RETRIEVER",
                Some(json!("q")),
                Some(json!([{"page_content": "Text.", "metadata": {"uri": "a"}, "score": 0.5}, {"id": "7"}]))
            )
        );
    }

    #[test]
    fn the_mime_type_tells_json_from_text() {
        let inputs = |value: &str, mime_type: Value| {
            read_span(json!({"input.value": value, "input.mime_type": mime_type})).inputs.unwrap()
        };
        assert_eq!(inputs("{\"q\": 1}", json!("application/json")), json!({"q": 1}));
        assert_eq!(inputs("{\"q\": 1}", json!("text/plain")), json!("{\"q\": 1}"));
        assert_eq!(inputs("{\"q\": 1}", json!(null)), json!({"q": 1}));
        assert_eq!(inputs("12", json!(null)), json!("12"));
    }
}
