//! OpenLLMetry's spans around functions and frameworks: `traceloop.entity.input`, `traceloop.span.kind`.
//!
//! Source: `opentelemetry.semconv_ai.SpanAttributes`; `opentelemetry.instrumentation.langchain.callback_handler`.

use crate::dataset::dialects::otel::recorded::Recorded;
use crate::dataset::dialects::wrapped;

pub(crate) fn read(recorded: &mut Recorded) {
    let attributes = &mut recorded.attributes;
    let inputs = attributes.take_value("traceloop.entity.input").map(wrapped::inputs);
    let outputs = attributes.take_value("traceloop.entity.output").map(wrapped::outputs);
    if let Some(kind) = attributes.take_text("traceloop.span.kind") {
        recorded.note_type(&kind);
    }
    recorded.note_inputs(inputs);
    recorded.note_outputs(outputs);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn kind_input_and_output_are_read() {
        let span = Recorded::with(&json!({"traceloop.span.kind": "task", "traceloop.entity.name": "n",
            "traceloop.entity.input": "{\"inputs\": \"q\", \"tags\": [], \"metadata\": {}, \"kwargs\": {}}",
            "traceloop.entity.output": "{\"outputs\": {\"answer\": \"a\", \"n\": 1}, \"kwargs\": {\"tags\": []}}"}));
        let span = span.read_by(read);
        assert_eq!((span.span_type.as_str(), span.inputs), ("TASK", Some(json!("q"))));
        assert_eq!(span.outputs, Some(json!({"answer": "a", "n": 1})));
        assert_eq!(span.attributes["traceloop.entity.name"], "n");
    }
}
