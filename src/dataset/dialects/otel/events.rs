//! Messages as events of a span, as in earlier conventions for generative AI.
//!
//! Source: <https://github.com/open-telemetry/semantic-conventions/blob/v1.28.0/docs/gen-ai/gen-ai-events.md> and the events
//! `gen_ai.content.prompt` and `gen_ai.content.completion` before it.

use serde_json::{Map, Value};

use crate::dataset::dialects::messages;
use crate::dataset::dialects::otel::attributes::Attributes;
use crate::dataset::dialects::otel::gen_ai;
use crate::dataset::dialects::otel::recorded::{Event, Recorded};
use crate::dataset::json;

pub(crate) fn read(recorded: &mut Recorded) {
    let (mut asked, mut answered, mut found) = (Vec::new(), Vec::new(), Vec::new());
    for Event { name, mut attributes } in std::mem::take(&mut recorded.events) {
        match name.as_str() {
            "gen_ai.client.inference.operation.details" => {
                // The event's attributes override the span's own.
                let mut event = Recorded { attributes, ..Recorded::default() };
                gen_ai::read_content(&mut event);
                recorded.note_inputs(event.span.inputs);
                recorded.note_outputs(event.span.outputs);
            }
            "gen_ai.content.prompt" => {
                let prompt = attributes.take_value("gen_ai.prompt").unwrap_or_default();
                asked.extend(messages::read(prompt, "user"));
            }
            "gen_ai.content.completion" => {
                let completion = attributes.take_value("gen_ai.completion").unwrap_or_default();
                answered.extend(messages::read(completion, "assistant"));
            }
            "db.query.result" => found.extend(document(attributes)),
            _ => match message(&name, attributes) {
                Some((Side::Asked, messages)) => asked.extend(messages),
                Some((Side::Answered, messages)) => answered.extend(messages),
                None => {}
            },
        }
    }
    recorded.note_messages(asked);
    recorded.note_answer(answered);
    if !found.is_empty() {
        recorded.note_type("RETRIEVER");
        recorded.note_outputs(Some(Value::Array(found)));
    }
}

/// Where in a model call a message belongs.
pub(crate) enum Side {
    Asked,
    Answered,
}

/// The messages of an event that is named after them: `gen_ai.user.message`, `gen_ai.choice`, ... Its fields are attributes,
/// or are together in one that is their JSON text.
pub(crate) fn message(name: &str, mut attributes: Attributes) -> Option<(Side, Vec<Value>)> {
    let role = name.strip_prefix("gen_ai.")?.strip_suffix(".message");
    if role.is_none() && name != "gen_ai.choice" {
        return None;
    }
    ["tool_calls", "message"].iter().for_each(|key| attributes.decode(key));
    let body = ["gen_ai.event.content", "event_body", "body"].iter().find_map(|key| attributes.take(key));
    let mut fields = match body.map(json::from_text) {
        Some(Value::Object(fields)) => fields,
        Some(content) => Map::from_iter([("content".to_owned(), content)]),
        None => attributes.into_map(),
    };
    // The identification of the event says nothing about the message.
    fields.retain(|key, _| {
        !["gen_ai.system", "gen_ai.provider.name", "event.name", "index", "finish_reason"].contains(&key.as_str())
    });
    fields.retain(|key, _| key != "gen_ai.message.index");
    let Some(role) = role else {
        let message = fields.shift_remove("message").map(|message| messages::read(message, "assistant"));
        let messages = message.unwrap_or_else(|| messages::read(Value::Object(fields), "assistant"));
        return Some((Side::Answered, messages));
    };
    Some((Side::Asked, messages::read(Value::Object(fields), role)))
}

/// OpenLLMetry's vector stores: `db.query.result.document` and `db.query.result.metadata`.
fn document(mut attributes: Attributes) -> Option<Value> {
    let mut document = Map::new();
    for (from, to) in [
        ("document", "page_content"),
        ("metadata", "metadata"),
        ("id", "id"),
        ("score", "score"),
        ("distance", "distance"),
    ] {
        let value = attributes.take(&format!("db.query.result.{from}"));
        document.extend(
            value.map(|value| (to.to_owned(), if from == "metadata" { json::from_text(value) } else { value })),
        );
    }
    (!document.is_empty()).then_some(Value::Object(document))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::trace::Span;

    fn read_span(events: Value) -> Span {
        let event = |event: &Value| Event {
            name: event["name"].as_str().unwrap().to_owned(),
            attributes: Attributes::new(event["attributes"].as_object().unwrap().clone()),
        };
        let events = events.as_array().unwrap().iter().map(event).collect();
        Recorded { events, ..Recorded::default() }.read_by(read)
    }

    #[test]
    fn a_message_may_be_an_event_in_every_generation() {
        let asked =
            json!({"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]});
        for events in [
            json!([
                {"name": "gen_ai.system.message", "attributes": {"gen_ai.system": "openai", "content": "Be brief."}},
                {"name": "gen_ai.user.message", "attributes": {"content": "Hi"}},
                {"name": "gen_ai.choice", "attributes": {"index": 0, "finish_reason": "stop",
                    "message": "{\"role\": \"assistant\", \"content\": \"Hello.\"}"}},
            ]),
            json!([
                {"name": "gen_ai.system.message", "attributes": {"gen_ai.event.content": "{\"content\": \"Be brief.\"}"}},
                {"name": "gen_ai.user.message", "attributes": {"gen_ai.event.content": "{\"role\": \"user\", \"content\": \"Hi\"}"}},
                {"name": "gen_ai.choice", "attributes": {"gen_ai.event.content":
                    "{\"message\": {\"content\": \"Hello.\"}, \"finish_reason\": \"stop\", \"index\": 0}"}},
            ]),
            json!([
                {"name": "gen_ai.content.prompt", "attributes": {"gen_ai.prompt":
                    "[{\"role\": \"system\", \"content\": \"Be brief.\"}, {\"role\": \"user\", \"content\": \"Hi\"}]"}},
                {"name": "gen_ai.content.completion", "attributes": {"gen_ai.completion":
                    "[{\"role\": \"assistant\", \"content\": \"Hello.\"}]"}},
            ]),
            json!([
                {"name": "exception", "attributes": {"exception.message": "none of it"}},
                {"name": "gen_ai.client.inference.operation.details", "attributes": {
                    "gen_ai.system_instructions": [{"type": "text", "content": "Be brief."}],
                    "gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}],
                    "gen_ai.output.messages": [{"role": "assistant", "parts": [{"type": "text", "content": "Hello."}]}]}},
            ]),
        ] {
            let span = read_span(events);
            assert_eq!((span.inputs, span.outputs), (Some(asked.clone()), Some(json!("Hello."))));
        }
    }

    #[test]
    fn results_of_a_vector_store_are_documents() {
        let span = read_span(json!([{"name": "db.query.result", "attributes": {"db.query.result.document": "Text.",
            "db.query.result.metadata": "{\"uri\": \"a\"}"}}]));
        assert_eq!(span.span_type.as_str(), "RETRIEVER");
        assert_eq!(span.outputs, Some(json!([{"page_content": "Text.", "metadata": {"uri": "a"}}])));
    }
}
