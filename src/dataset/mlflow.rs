//! MLflow's own traces: `Trace.to_json()` of MLflow 3 and 2, and the `trace` of the REST API's `traces/get`.
//!
//! ```json
//! {"info": {"trace_id": "tr-...", "state": "OK", "trace_metadata": {}, "assessments": []}, "data": {"spans": []}}
//! ```
//! Sources: `mlflow.entities.Trace`, `TraceInfo`, `mlflow.tracing.constant.TraceMetadataKey`.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::dialect::{Dialect, Found};
use super::fields::{UnknownFields, count, count_unknown, list, object, strings, text, time_ms, wrong};
use super::plain::token_usage;
use super::span::{self, Style, from_json_text};
use crate::feedback::wire::Assessment;
use crate::trace::{Trace, TraceState};

pub(super) const DIALECT: Dialect =
    Dialect { name: "mlflow", title: "MLflow's Trace.to_json()", keys: "`info`, `data`", fits, read };

fn fits(object: &Map<String, Value>) -> bool {
    object.get("info").or_else(|| object.get("trace_info")).is_some_and(Value::is_object)
}

/// What stands in for the root span's inputs, or outputs, where there is no such span; the best first.
#[derive(Default)]
struct Fallback {
    /// `data.request` of MLflow 2: whole.
    data: Option<Value>,
    /// `mlflow.traceInputs` in the metadata: JSON text, cut off when long.
    metadata: Option<String>,
    /// `request_preview`: JSON or just the last message, cut off when long.
    preview: Option<String>,
}

impl Fallback {
    fn value(self) -> Option<Value> {
        let metadata = self.metadata.and_then(|text| serde_json::from_str(&text).ok());
        let preview =
            self.preview.filter(|text| !text.ends_with("...")).map(|text| from_json_text(Value::String(text)));
        self.data.or(metadata).or(preview)
    }
}

#[derive(Default)]
struct Draft {
    trace: Trace,
    request: Fallback,
    response: Fallback,
}

fn read(fields: Map<String, Value>, unknown: &mut UnknownFields) -> Result<Found, String> {
    read_trace(fields, unknown).map(Found::Trace)
}

fn read_trace(fields: Map<String, Value>, unknown: &mut UnknownFields) -> Result<Trace, String> {
    let mut draft = Draft::default();
    for (key, value) in fields {
        match key.as_str() {
            "info" | "trace_info" => draft.read_info(value, unknown)?,
            "data" => draft.read_data(value, unknown)?,
            "spans" => draft.read_spans(value, unknown)?,
            _ => count_unknown(unknown, key),
        }
    }
    let Draft { mut trace, request, response } = draft;
    let root = trace.root_span();
    let (inputs, outputs) = root.map_or((None, None), |root| (root.inputs.clone(), root.outputs.clone()));
    trace.inputs = inputs.or_else(|| request.value());
    trace.outputs = outputs.or_else(|| response.value());
    Ok(trace)
}

impl Draft {
    fn read_info(&mut self, value: Value, unknown: &mut UnknownFields) -> Result<(), String> {
        let trace = &mut self.trace;
        for (key, value) in object("info", value)? {
            let name = format_args!("info.{key}");
            match key.as_str() {
                "trace_id" | "request_id" => trace.trace_id = text(name, value)?.unwrap_or_default(),
                "request_time" | "timestamp_ms" => trace.request_time_ms = time_ms(name, value)?,
                "execution_duration_ms" | "execution_time_ms" => trace.execution_duration_ms = count(name, value)?,
                "execution_duration" => trace.execution_duration_ms = duration_ms(name, &value)?,
                "state" | "status" => trace.state = TraceState::from_name(&text(name, value)?.unwrap_or_default()),
                "trace_metadata" | "request_metadata" => trace.metadata = strings(name, value)?,
                "tags" => trace.tags = strings(name, value)?,
                "assessments" => read_assessments(value, trace, unknown)?,
                "request_preview" => self.request.preview = text(name, value)?,
                "response_preview" => self.response.preview = text(name, value)?,
                "client_request_id" | "trace_location" | "experiment_id" => {}
                _ => count_unknown(unknown, format!("info.{key}")),
            }
        }
        let mut lift = |key| trace.metadata.remove(key).filter(|text| !text.is_empty());
        self.request.metadata = lift("mlflow.traceInputs");
        self.response.metadata = lift("mlflow.traceOutputs");
        trace.session_id = lift("mlflow.trace.session");
        trace.user = lift("mlflow.trace.user");
        // A figure that cannot be read is no reason to refuse the trace.
        let usage = lift("mlflow.trace.tokenUsage").map(|text| from_json_text(Value::String(text)));
        trace.token_usage = usage.and_then(|usage| token_usage("mlflow.trace.tokenUsage", usage).ok());
        Ok(())
    }

    fn read_data(&mut self, value: Value, unknown: &mut UnknownFields) -> Result<(), String> {
        for (key, value) in object("data", value)? {
            match (key.as_str(), value) {
                ("spans", value) => self.read_spans(value, unknown)?,
                ("request" | "response", Value::Null) => {}
                ("request", value) => self.request.data = Some(from_json_text(value)),
                ("response", value) => self.response.data = Some(from_json_text(value)),
                _ => count_unknown(unknown, format!("data.{key}")),
            }
        }
        Ok(())
    }

    fn read_spans(&mut self, value: Value, unknown: &mut UnknownFields) -> Result<(), String> {
        let values = list("spans", "a list of objects", value)?;
        self.trace.spans = span::read_all(values, Style::Mlflow, unknown)?;
        Ok(())
    }
}

/// Protobuf's durations: `"0.125s"`.
fn duration_ms(name: std::fmt::Arguments<'_>, value: &Value) -> Result<Option<u64>, String> {
    if value.is_null() {
        return Ok(None);
    }
    let seconds = value.as_str().and_then(|text| text.strip_suffix('s')?.parse::<f64>().ok());
    let ms = seconds.map(|seconds| (seconds * 1000.0).round()).filter(|ms| (0.0..9e15).contains(ms));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    ms.map(|ms| Some(ms as u64)).ok_or_else(|| wrong(name, "a duration such as `0.125s`", value))
}

/// Expectations that hold go to the trace's expectations: of several with one name the latest, and one about the whole trace
/// before one about a span. Feedback is kept aside. Kinds of assessment that came after this was written are counted only.
fn read_assessments(value: Value, trace: &mut Trace, unknown: &mut UnknownFields) -> Result<(), String> {
    let mut expectations = Vec::new();
    for (index, value) in list("info.assessments", "a list of objects", value)?.into_iter().enumerate() {
        if value.get("feedback").is_none() && value.get("expectation").is_none() {
            count_unknown(unknown, "info.assessments[]");
            continue;
        }
        match Assessment::deserialize(value).map_err(|error| format!("`info.assessments[{index}]`: {error}"))? {
            Assessment::Feedback(feedback) => trace.assessments.push(feedback),
            Assessment::Expectation(expectation) if expectation.valid != Some(false) => expectations.push(expectation),
            Assessment::Expectation(_) => {}
        }
    }
    expectations.sort_by_key(|expectation| (expectation.span_id.is_none(), expectation.last_update_time_ms));
    trace.expectations = expectations.into_iter().map(|expectation| (expectation.name, expectation.value)).collect();
    Ok(())
}

#[cfg(test)]
mod tests;
