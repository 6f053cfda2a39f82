//! OpenLLMetry's spans around functions and frameworks: `traceloop.entity.input`, `traceloop.span.kind`.
//!
//! Source: `opentelemetry.semconv_ai.SpanAttributes`.

use crate::dataset::dialects::otel::recorded::Recorded;

pub(crate) fn read(recorded: &mut Recorded) {
    let attributes = &mut recorded.attributes;
    let inputs = attributes.take_value("traceloop.entity.input");
    let outputs = attributes.take_value("traceloop.entity.output");
    if let Some(kind) = attributes.take_text("traceloop.span.kind") {
        recorded.note_type(&kind);
    }
    recorded.note_inputs(inputs);
    recorded.note_outputs(outputs);
}
