//! LangSmith over OpenTelemetry: `langsmith.span.kind`; the question and the answer are in `gen_ai.prompt` and `gen_ai.completion`.
//!
//! Source: `langsmith._internal.otel._otel_exporter`.

use crate::dataset::dialects::otel::recorded::Recorded;
use crate::dataset::dialects::wrapped;

pub(crate) fn read(recorded: &mut Recorded) {
    let Some(kind) = recorded.attributes.take_text("langsmith.span.kind") else { return };
    recorded.note_type(&kind);
    if kind.eq_ignore_ascii_case("llm") {
        return;
    }
    let inputs = recorded.attributes.take_value("gen_ai.prompt").map(wrapped::inputs);
    let outputs = recorded.attributes.take_value("gen_ai.completion").map(wrapped::outputs);
    recorded.note_inputs(inputs);
    recorded.note_outputs(outputs);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_step_has_its_inputs_and_outputs() {
        let span = Recorded::with(&json!({"langsmith.span.kind": "chain", "gen_ai.prompt": "{\"question\": \"q\"}",
            "gen_ai.completion": "{\"output\": \"a\"}", "gen_ai.system": "langchain"}));
        let span = span.read_by(read);
        assert_eq!((span.span_type.as_str(), span.inputs, span.outputs), {
            ("CHAIN", Some(json!({"question": "q"})), Some(json!("a")))
        });
        let none = Recorded::with(&json!({"gen_ai.prompt": "p"})).read_by(read);
        assert_eq!((none.inputs, none.span_type.as_str()), (None, "UNKNOWN"));
    }
}
