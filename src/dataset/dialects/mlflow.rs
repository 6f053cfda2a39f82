//! MLflow's own traces, in all forms that MLflow 2 and 3 write or answer them in.
//!
//! ```json
//! {"info": {"trace_id": "tr-...", "state": "OK", "trace_metadata": {}, "assessments": []}, "data": {"spans": []}}
//! ```
//! `Trace.to_json()` and `mlflow traces get`; the REST API's `traces/get`, `batchGet` and search; a row of what
//! `search_traces()` returns; the artifact that holds a trace's spans.
//! Sources: `mlflow.entities.Trace`, `TraceInfo`, `mlflow.tracing.constant.TraceMetadataKey`, `mlflow/protos/service.proto`.

mod whole;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::dataset::dialects::any_value;
use crate::dataset::dialects::dialect::{Dialect, Found};
use crate::dataset::dialects::fields::{count, labels, list, object, text, wrong};
use crate::dataset::dialects::mlflow::whole::Sources;
use crate::dataset::dialects::part::Part;
use crate::dataset::dialects::span::{self, Style};
use crate::dataset::dialects::times;
use crate::dataset::dialects::trace_fields::token_usage;
use crate::dataset::json;
use crate::dataset::notice::{Notice, Notices};
use crate::dataset::python;
use crate::feedback::wire::{Assessment, Expectation};
use crate::trace::{SpanStatus, Trace, TraceState};

pub(crate) const DIALECT: Dialect = Dialect { name: "mlflow", title: "MLflow's traces", fits, read };

/// What an object holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A trace: `info` and `data`, or `trace_info` and `spans`.
    Trace,
    /// A trace under the key `trace`, as an object or as JSON text: an answer of the REST API, a row of a table.
    Inside,
    /// Traces, or infos alone, under the key `traces`: a page of a search.
    Several,
    /// The fields of `info` themselves, alone or next to a row's `request`, `response` and `spans`.
    Flat,
    /// Spans that name their trace in an attribute.
    Spans,
    /// One such span: `Span.to_dict()`.
    Span,
}

fn form(object: &Map<String, Value>) -> Option<Form> {
    let any = |keys: &[&str], is: fn(&Value) -> bool| keys.iter().any(|key| object.get(*key).is_some_and(is));
    if any(&["info", "trace_info"], Value::is_object) {
        return Some(Form::Trace);
    }
    let is_row = any(&["trace_metadata", "request_metadata"], Value::is_object) && any(&["spans"], Value::is_array);
    match object.get("trace") {
        // The column that holds the whole trace, if pandas wrote the fields of a Python object instead of a trace.
        Some(Value::Object(_)) if is_row => return Some(Form::Flat),
        Some(Value::Object(trace)) if form(trace) == Some(Form::Trace) => return Some(Form::Inside),
        Some(Value::String(text)) if text.trim_start().starts_with('{') => return Some(Form::Inside),
        _ => {}
    }
    if let Some(Value::Array(traces)) = object.get("traces") {
        let fits = |trace: &Value| trace.as_object().is_some_and(|trace| form(trace).is_some());
        return traces.first().is_none_or(fits).then_some(Form::Several);
    }
    if is_span(object) {
        return Some(Form::Span);
    }
    let has_id = any(&["trace_id", "request_id"], Value::is_string);
    if has_id && any(&["trace_metadata", "request_metadata", "trace_location"], |value| !value.is_null()) {
        return Some(Form::Flat);
    }
    let spans = object.get("spans").and_then(Value::as_array)?;
    trace_id_of(spans).is_some().then_some(Form::Spans)
}

/// Whether it is a span with MLflow's attributes.
fn is_span(object: &Map<String, Value>) -> bool {
    let has_id =
        object.contains_key("span_id") || object.get("context").is_some_and(|ids| ids.get("span_id").is_some());
    has_id && object.get("attributes").is_some_and(|attributes| attributes.get(TRACE_ID).is_some())
}

fn fits(object: &Map<String, Value>) -> bool {
    form(object).is_some()
}

fn read(fields: Map<String, Value>, notices: &mut Notices) -> Result<Found, String> {
    if form(&fields) == Some(Form::Span) {
        let trace_id = trace_id_of(&[Value::Object(fields.clone())]).unwrap_or_default();
        let spans = span::read_all(vec![Value::Object(fields)], Style::Mlflow, notices)?;
        return Ok(Found::Parts(
            spans.into_iter().map(|span| Part::Span { trace_id: trace_id.clone(), span }).collect(),
        ));
    }
    if form(&fields) != Some(Form::Several) {
        return read_trace(fields, notices).map(Found::Trace);
    }
    let mut traces = Vec::new();
    for (key, value) in fields {
        match (key.as_str(), value) {
            ("traces", Value::Array(values)) => traces = values,
            ("next_page_token", _) => {}
            _ => notices.unknown(key),
        }
    }
    let read_item = |(index, value): (usize, Value)| {
        let fields = object(format_args!("traces[{index}]"), value)?;
        // Every reason begins with the field that it is about.
        read_trace(fields, notices).map_err(|reason| reason.replacen('`', &format!("`traces[{index}]."), 1))
    };
    Ok(Found::Traces(traces.into_iter().enumerate().map(read_item).collect()))
}

fn read_trace(mut fields: Map<String, Value>, notices: &mut Notices) -> Result<Trace, String> {
    let mut draft = Draft::default();
    match form(&fields) {
        Some(Form::Inside) => {
            let trace = nested("trace", fields.remove("trace").unwrap_or_default())?;
            // The other columns repeat it.
            fields.keys().filter(|key| !is_column(key)).for_each(|key| notices.unknown(key));
            draft.read_parts(object("trace", trace)?, notices)?;
        }
        Some(Form::Flat) => draft.read_row(fields, notices)?,
        Some(Form::Spans) => draft.read_spans_alone(fields, notices)?,
        _ => draft.read_parts(fields, notices)?,
    }
    if !draft.has_spans {
        notices.add(Notice::WithoutSpans);
    }
    draft.finish()
}

/// The columns of `search_traces()` and the fields of `info`. pandas gives its row numbers no name.
fn is_column(key: &str) -> bool {
    const COLUMNS: &[&str] = &[
        "",
        "Unnamed: 0",
        "trace_id",
        "request_id",
        "client_request_id",
        "state",
        "status",
        "request_time",
        "timestamp_ms",
        "execution_duration",
        "execution_time_ms",
        "request",
        "response",
        "trace_metadata",
        "request_metadata",
        "tags",
        "spans",
        "assessments",
    ];
    COLUMNS.contains(&key)
}

#[derive(Default)]
struct Draft {
    trace: Trace,
    request: Sources,
    response: Sources,
    /// Whether the form states the spans of the trace, even if none.
    has_spans: bool,
}

impl Draft {
    fn finish(self) -> Result<Trace, String> {
        let Self { mut trace, request, response, has_spans: _ } = self;
        let root = trace.root_span();
        let has_root = root.is_some();
        let (inputs, outputs) = root.map_or((None, None), |root| (root.inputs.clone(), root.outputs.clone()));
        let id = &trace.trace_id;
        // A root span that recorded none takes precedence; a preview may be anything.
        let stand_in = |sources: Sources, what: &str| match sources.whole() {
            Ok(value) => Ok(value),
            Err(_) if has_root => Ok(None),
            Err(part) => Err(format!(
                "`info` has only {part} of the {what}, and no spans: export the trace whole, e.g. \
                 `mlflow traces get --trace-id {id}`"
            )),
        };
        let inputs = inputs.map_or_else(|| stand_in(request, "inputs"), |inputs| Ok(Some(inputs)))?;
        let outputs = outputs.map_or_else(|| stand_in(response, "outputs"), |outputs| Ok(Some(outputs)))?;
        trace.inputs = inputs;
        trace.outputs = outputs;
        Ok(trace)
    }

    fn read_parts(&mut self, fields: Map<String, Value>, notices: &mut Notices) -> Result<(), String> {
        for (key, value) in fields {
            match key.as_str() {
                "info" | "trace_info" => {
                    for (key, value) in object("info", value)? {
                        self.read_info(&key, value, notices)?;
                    }
                    self.lift_metadata();
                }
                "data" => self.read_data(object("data", value)?, notices)?,
                "spans" => self.read_spans(value, notices)?,
                _ => notices.unknown(key),
            }
        }
        Ok(())
    }

    fn read_info(&mut self, key: &str, value: Value, notices: &mut Notices) -> Result<(), String> {
        let trace = &mut self.trace;
        let name = format_args!("info.{key}");
        match key {
            "trace_id" | "request_id" => trace.trace_id = text(name, value)?.unwrap_or_default(),
            "request_time" => trace.request_time_ms = times::ms(name, &value, notices),
            "timestamp_ms" => trace.request_time_ms = times::exact_ms(name, &value, notices),
            "execution_duration_ms" | "execution_time_ms" => trace.execution_duration_ms = count(name, value)?,
            "execution_duration" => trace.execution_duration_ms = duration_ms(name, &value)?,
            "state" | "status" => trace.state = TraceState::from_name(&text(name, value)?.unwrap_or_default()),
            "trace_metadata" | "request_metadata" => trace.metadata = labels(name, value)?,
            "tags" => trace.tags = labels(name, value)?,
            "assessments" => read_assessments(value, trace, notices)?,
            "request_preview" => self.request.preview = text(name, value)?,
            "response_preview" => self.response.preview = text(name, value)?,
            "client_request_id" | "trace_location" | "experiment_id" => {}
            _ => notices.unknown(format!("info.{key}")),
        }
        Ok(())
    }

    /// What MLflow keeps in the metadata but a trace has fields for.
    fn lift_metadata(&mut self) {
        let trace = &mut self.trace;
        let mut lift = |key| trace.metadata.remove(key).filter(|text| !text.is_empty());
        self.request.metadata = lift("mlflow.traceInputs");
        self.response.metadata = lift("mlflow.traceOutputs");
        trace.session_id = lift("mlflow.trace.session");
        trace.user = lift("mlflow.trace.user");
        // An unreadable number must not cost the trace.
        let usage = lift("mlflow.trace.tokenUsage").map(|text| json::from_text(Value::String(text)));
        trace.token_usage = usage.and_then(|usage| token_usage("mlflow.trace.tokenUsage", usage).ok());
    }

    fn read_data(&mut self, fields: Map<String, Value>, notices: &mut Notices) -> Result<(), String> {
        for (key, value) in fields {
            match (key.as_str(), value) {
                ("spans", value) => self.read_spans(value, notices)?,
                ("request" | "response", Value::Null) => {}
                ("request", value) => self.request.data = Some(json::from_text(value)),
                ("response", value) => self.response.data = Some(json::from_text(value)),
                _ => notices.unknown(format!("data.{key}")),
            }
        }
        Ok(())
    }

    fn read_spans(&mut self, value: Value, notices: &mut Notices) -> Result<(), String> {
        self.has_spans = !value.is_null();
        let values = list("spans", "a list of objects", value)?;
        self.trace.spans = span::read_all(values, Style::Mlflow, notices)?;
        Ok(())
    }

    /// A row of `search_traces()` without the column `trace`, or an info alone. In a table every cell is a text.
    fn read_row(&mut self, fields: Map<String, Value>, notices: &mut Notices) -> Result<(), String> {
        let nests = ["trace_metadata", "request_metadata", "tags", "spans"];
        let is_table = nests.iter().any(|key| fields.get(*key).is_some_and(Value::is_string));
        for (key, value) in fields {
            let value = match value {
                Value::String(cell) if is_table && cell.is_empty() => continue,
                value => value,
            };
            match key.as_str() {
                // Python's representation of a trace, or its inner fields: the other columns have everything.
                "" | "Unnamed: 0" | "trace" => {}
                "request" => self.request.data = cell(value, is_table)?,
                "response" => self.response.data = cell(value, is_table)?,
                "spans" => self.read_spans(nested("spans", value)?, notices)?,
                "trace_metadata" | "request_metadata" | "tags" | "assessments" | "trace_location" => {
                    self.read_info(&key, nested(&key, value)?, notices)?;
                }
                _ => self.read_info(&key, value, notices)?,
            }
        }
        self.lift_metadata();
        Ok(())
    }

    /// The artifact with a trace's spans, which says nothing about the trace beyond its root span.
    fn read_spans_alone(&mut self, fields: Map<String, Value>, notices: &mut Notices) -> Result<(), String> {
        let spans = fields.get("spans").and_then(Value::as_array);
        self.trace.trace_id = spans.and_then(|spans| trace_id_of(spans)).unwrap_or_default();
        self.read_data(fields, notices)?;
        let trace = &mut self.trace;
        let Some(root) = trace.root_span() else { return Ok(()) };
        let (start, end) = (root.start_time_unix_nano, root.end_time_unix_nano);
        let state = match root.status {
            SpanStatus::Ok => TraceState::Ok,
            SpanStatus::Error => TraceState::Error,
            SpanStatus::Unset => TraceState::StateUnspecified,
        };
        trace.state = state;
        trace.request_time_ms = start.and_then(|start| i64::try_from(start / 1_000_000).ok());
        trace.execution_duration_ms = start.zip(end).map(|(start, end)| end.saturating_sub(start) / 1_000_000);
        Ok(())
    }
}

/// The attribute by which a span names its trace.
const TRACE_ID: &str = "mlflow.traceRequestId";

/// The id of the trace that spans of MLflow belong to.
fn trace_id_of(spans: &[Value]) -> Option<String> {
    let id = match spans.first()?.get("attributes")? {
        Value::Object(attributes) => json::from_text(attributes.get(TRACE_ID)?.clone()),
        Value::Array(typed) => any_value::fields(typed.clone()).remove(TRACE_ID)?,
        _ => return None,
    };
    id.as_str().map(ToOwned::to_owned)
}

/// A value that a table has as text: JSON, or as Python prints it.
fn nested(name: &str, value: Value) -> Result<Value, String> {
    let Value::String(text) = value else { return Ok(value) };
    json::from_str(&text)
        .or_else(|_| python::literal(&text))
        .map_err(|at| format!("`{name}` is neither JSON nor a Python value, from byte {} on", at + 1))
}

/// A `request` or `response`: in a table a text unless it is a list or an object.
fn cell(value: Value, is_table: bool) -> Result<Option<Value>, String> {
    let value = match value {
        Value::Null => return Ok(None),
        Value::String(text) if is_table && text.starts_with(['{', '[']) => {
            nested("request", Value::String(text.clone())).unwrap_or(Value::String(text))
        }
        other => other,
    };
    Ok(Some(value))
}

/// Protobuf's durations, `"0.125s"`; in tables milliseconds.
fn duration_ms(name: std::fmt::Arguments<'_>, value: &Value) -> Result<Option<u64>, String> {
    let seconds = match value {
        Value::Null => return Ok(None),
        Value::String(text) => match text.strip_suffix('s') {
            Some(seconds) => seconds.parse::<f64>().ok(),
            None => text.parse::<f64>().ok().map(|ms| ms / 1000.0),
        },
        other => other.as_f64().map(|ms| ms / 1000.0),
    };
    let ms = seconds.map(|seconds| (seconds * 1000.0).round()).filter(|ms| (0.0..9e15).contains(ms));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    ms.map(|ms| Some(ms as u64)).ok_or_else(|| wrong(name, "a duration such as `0.125s`", value))
}

/// Valid expectations go to the trace's expectations: of several with one name the latest, and one about the whole trace
/// before one about a span. Feedback is kept separately. Newer kinds of assessment are only counted.
fn read_assessments(value: Value, trace: &mut Trace, notices: &mut Notices) -> Result<(), String> {
    let mut expectations = Vec::new();
    for (index, value) in list("info.assessments", "a list of objects", value)?.into_iter().enumerate() {
        if value.get("feedback").is_none() && value.get("expectation").is_none() {
            notices.unknown("info.assessments[]");
            continue;
        }
        match Assessment::deserialize(value).map_err(|error| format!("`info.assessments[{index}]`: {error}"))? {
            Assessment::Feedback(feedback) => trace.assessments.push(feedback),
            Assessment::Expectation(expectation) if expectation.valid != Some(false) => expectations.push(expectation),
            Assessment::Expectation(_) => {}
        }
    }
    // Servers return them in any order; a prompt that shows them all must not depend on it.
    expectations.sort_by(|a, b| {
        let key = |x: &Expectation| (x.span_id.is_none(), x.last_update_time_ms);
        key(a).cmp(&key(b)).then_with(|| a.name.cmp(&b.name))
    });
    trace.expectations = expectations.into_iter().map(|expectation| (expectation.name, expectation.value)).collect();
    Ok(())
}

#[cfg(test)]
mod forms_tests;
#[cfg(test)]
mod tests;
