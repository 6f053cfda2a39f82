//! Langfuse's SDKs over OpenTelemetry: `langfuse.observation.input`, `langfuse.observation.type`.
//!
//! Source: `langfuse._client.attributes.LangfuseOtelSpanAttributes`. What they say of the whole trace (`langfuse.trace.*`) is read when
//! its spans are together.

use serde_json::Value;

use crate::dataset::dialects::messages;
use crate::dataset::dialects::otel::recorded::Recorded;
use crate::dataset::dialects::wrapped;
use crate::dataset::json;
use crate::trace::SpanStatus;

pub(crate) fn read(recorded: &mut Recorded) {
    let attributes = &mut recorded.attributes;
    if !attributes.has_prefix("langfuse.") {
        return;
    }
    let kind = attributes.take_text("langfuse.observation.type");
    let mut take = |name: &str| attributes.take(name).filter(|value| *value != "").map(json::from_text);
    let inputs = take("langfuse.observation.input");
    let outputs = take("langfuse.observation.output");
    if let Some(kind) = kind {
        recorded.note_type(if kind.eq_ignore_ascii_case("generation") { "LLM" } else { &kind });
    }
    let is_error = recorded.attributes.get_text("langfuse.observation.level").is_some_and(|level| level == "ERROR");
    if is_error {
        recorded.span.status = SpanStatus::Error;
    }
    let message = recorded.attributes.take_text("langfuse.observation.status_message");
    recorded.span.status_message = recorded.span.status_message.take().or(message);
    match inputs {
        Some(asked @ Value::Array(_)) if messages::is_dialogue(&asked) => {
            recorded.note_messages(messages::read(asked, "user"));
        }
        inputs => recorded.note_inputs(inputs.map(wrapped::inputs)),
    }
    match outputs {
        Some(answer) if messages::is_message(&answer) => recorded.note_answer(messages::read(answer, "assistant")),
        outputs => recorded.note_outputs(outputs.map(wrapped::outputs)),
    }
    recorded.attributes.decode("langfuse.observation.usage_details");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_observation_is_a_span() {
        let span = Recorded::with(&json!({"langfuse.observation.type": "generation",
            "langfuse.observation.input": "[{\"role\": \"user\", \"content\": \"q\"}]",
            "langfuse.observation.output": "{\"role\": \"assistant\", \"content\": \"a\"}",
            "langfuse.observation.level": "ERROR", "langfuse.observation.status_message": "late",
            "langfuse.observation.usage_details": "{\"input\": 1}", "langfuse.observation.model.name": "m"}));
        let span = span.read_by(read);
        assert_eq!((span.span_type.as_str(), span.inputs), {
            ("LLM", Some(json!({"messages": [{"role": "user", "content": "q"}]})))
        });
        assert_eq!((span.outputs, span.status), (Some(json!("a")), SpanStatus::Error));
        assert_eq!(span.status_message.as_deref(), Some("late"));
        assert_eq!(span.attributes["langfuse.observation.usage_details"], json!({"input": 1}));
        assert_eq!(span.attributes["langfuse.observation.model.name"], "m");
    }

    #[test]
    fn a_function_has_its_arguments_and_its_result() {
        let span = Recorded::with(
            &json!({"langfuse.observation.type": "retriever", "langfuse.observation.output": "[{\"page_content\": \"d\"}]",
            "langfuse.observation.input": "{\"args\": [\"q\"], \"kwargs\": {}}"}),
        );
        let span = span.read_by(read);
        assert_eq!((span.span_type.as_str(), span.inputs, span.outputs), {
            ("RETRIEVER", Some(json!("q")), Some(json!([{"page_content": "d"}])))
        });
        let text = Recorded::with(&json!({"langfuse.observation.output": "At 21:40."})).read_by(read);
        assert_eq!((text.outputs, text.status), (Some(json!("At 21:40.")), SpanStatus::Unset));
    }
}
