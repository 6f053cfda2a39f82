//! MLflow's own attributes: each a JSON text, as its SDK exports them, or typed, as its server does.
//!
//! Source: `mlflow.tracing.constant.SpanAttributeKey`.

use crate::dataset::dialects::otel::recorded::Recorded;

pub(crate) fn read(recorded: &mut Recorded) {
    let attributes = &mut recorded.attributes;
    if !attributes.has_prefix("mlflow.") {
        return;
    }
    // The trace's id again: a text that shows how the others are written.
    let id = attributes.take_text("mlflow.traceRequestId");
    if id.is_none_or(|id| id.starts_with('"')) {
        attributes.decode_all();
    }
    let inputs = attributes.take("mlflow.spanInputs");
    let outputs = attributes.take("mlflow.spanOutputs");
    if let Some(kind) = attributes.take_text("mlflow.spanType") {
        recorded.note_type(&kind);
    }
    recorded.note_inputs(inputs);
    recorded.note_outputs(outputs);
}
