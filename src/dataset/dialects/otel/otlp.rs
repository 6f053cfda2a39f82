//! OTLP/JSON: export requests, as OpenTelemetry's collectors and SDKs write them to files.
//!
//! ```json
//! {"resourceSpans": [{"resource": {"attributes": []}, "scopeSpans": [{"scope": {"name": "..."}, "spans": [
//!   {"traceId": "...", "spanId": "...", "parentSpanId": "...", "name": "chat", "startTimeUnixNano": "1795439390289928789",
//!    "attributes": [{"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}}]}]}]}]}
//! ```
//! Ids are hex, as in OTLP/JSON, or base64, as in protobuf's own JSON mapping; names are camelCase or snake_case.
//! Attributes of the resource become the trace's metadata. A trace of MLflow's has MLflow's id, `tr-` and the hex digits.
//!
//! Sources: `opentelemetry/proto/trace/v1/trace.proto`, <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};

use crate::dataset::dialects::any_value;
use crate::dataset::dialects::dialect::{Dialect, Found};
use crate::dataset::dialects::fields::{list, object, strings, text, wrong};
use crate::dataset::dialects::otel::attributes::Attributes;
use crate::dataset::dialects::otel::conventions;
use crate::dataset::dialects::otel::logs;
use crate::dataset::dialects::otel::recorded::{Event, Recorded};
use crate::dataset::dialects::part::Part;
use crate::dataset::dialects::span::{read_status, span_id, trace_id};
use crate::dataset::dialects::times;
use crate::dataset::notice::{Notice, Notices};
use crate::trace::{Span, Trace};

pub(crate) const DIALECT: Dialect = Dialect { name: "otlp", title: "OpenTelemetry's OTLP/JSON", fits, read };

/// What a collector may write to the same file.
const OTHER_SIGNALS: &[(&str, &str)] = &[
    ("resourceMetrics", "metrics"),
    ("resource_metrics", "metrics"),
    ("resourceProfiles", "profiles"),
    ("resource_profiles", "profiles"),
];

fn fits(object: &Map<String, Value>) -> bool {
    let own = ["resourceSpans", "resource_spans", "resourceLogs", "resource_logs"];
    own.iter().any(|key| object.contains_key(*key)) || OTHER_SIGNALS.iter().any(|(key, _)| object.contains_key(*key))
}

fn read(fields: Map<String, Value>, notices: &mut Notices) -> Result<Found, String> {
    let mut parts = Parts::default();
    let mut messages = Vec::new();
    for (key, value) in fields {
        match key.as_str() {
            "resourceSpans" | "resource_spans" => {
                let resources = list(&key, "a list of objects", value)?;
                resources.into_iter().try_for_each(|resource| read_resource(resource, &mut parts, notices))?;
            }
            "resourceLogs" | "resource_logs" => messages.extend(logs::read(value, notices)?),
            _ => match OTHER_SIGNALS.iter().find(|(signal, _)| *signal == key) {
                Some((_, signal)) => notices.add(Notice::OtherSignal(signal)),
                None => notices.unknown(key),
            },
        }
    }
    let mut parts = parts.into_parts();
    parts.append(&mut messages);
    Ok(Found::Parts(parts))
}

fn read_resource(value: Value, parts: &mut Parts, notices: &mut Notices) -> Result<(), String> {
    let (mut metadata, mut scopes) = (BTreeMap::new(), Vec::new());
    for (key, value) in object("resourceSpans[]", value)? {
        match key.as_str() {
            "resource" => {
                let attributes = object("resourceSpans[].resource", value)?.remove("attributes").unwrap_or_default();
                let name = "resourceSpans[].resource.attributes";
                metadata = strings(name, Value::Object(read_attributes(name, attributes)?))?;
            }
            "scopeSpans" | "scope_spans" | "instrumentationLibrarySpans" | "instrumentation_library_spans" => {
                scopes = list(format_args!("resourceSpans[].{key}"), "a list of objects", value)?;
            }
            "schemaUrl" | "schema_url" => {}
            _ => notices.unknown(format!("resourceSpans[].{key}")),
        }
    }
    parts.begin(metadata);
    for scope in scopes {
        for (key, value) in object("scopeSpans[]", scope)? {
            match key.as_str() {
                "spans" => {
                    for value in list("scopeSpans[].spans", "a list of objects", value)? {
                        let (trace_id, span) = read_span(value, notices)?;
                        parts.push(trace_id, span);
                    }
                }
                "scope" | "instrumentationLibrary" | "instrumentation_library" | "schemaUrl" | "schema_url" => {}
                _ => notices.unknown(format!("scopeSpans[].{key}")),
            }
        }
    }
    Ok(())
}

/// A span and the id of its trace.
pub(crate) fn read_span(value: Value, notices: &mut Notices) -> Result<(String, Span), String> {
    let Value::Object(fields) = value else { return Err(wrong("spans[]", "an object", &value)) };
    let mut trace = None;
    let mut recorded = Recorded::default();
    let span = &mut recorded.span;
    for (key, value) in fields {
        let name = format_args!("spans[].{key}");
        match key.as_str() {
            "traceId" | "trace_id" => trace = text(name, value)?.and_then(trace_id),
            "spanId" | "span_id" => span.span_id = text(name, value)?.and_then(span_id).unwrap_or_default(),
            "parentSpanId" | "parent_span_id" => span.parent_id = text(name, value)?.and_then(span_id),
            "name" => span.name = text(name, value)?.unwrap_or_default(),
            "startTimeUnixNano" | "start_time_unix_nano" => {
                span.start_time_unix_nano = times::exact_ns(name, &value, notices)
            }
            "endTimeUnixNano" | "end_time_unix_nano" => {
                span.end_time_unix_nano = times::exact_ns(name, &value, notices).filter(|&time| time > 0);
            }
            "status" => read_status(name, value, span)?,
            "attributes" => recorded.attributes = Attributes::new(read_attributes("spans[].attributes", value)?),
            "events" => recorded.events = read_events(value)?,
            "kind" | "links" | "flags" | "traceState" | "trace_state" => {}
            key if key.starts_with("dropped") => {}
            _ => notices.unknown(format!("spans[].{key}")),
        }
    }
    let Some(mut trace) = trace else { return Err("a span has no `traceId`".to_owned()) };
    if recorded.span.span_id.is_empty() {
        return Err("a span has no `spanId`".to_owned());
    }
    if let Some(id) = recorded.attributes.get_text("mlflow.traceRequestId") {
        trace = id.trim_matches('"').to_owned();
    }
    Ok((trace, conventions::read(recorded)))
}

/// Attributes as OTLP's typed pairs.
fn read_attributes(name: &str, value: Value) -> Result<Map<String, Value>, String> {
    list(name, "a list of keys and values", value).map(any_value::fields)
}

fn read_events(value: Value) -> Result<Vec<Event>, String> {
    let mut events = Vec::new();
    for event in list("spans[].events", "a list of objects", value)? {
        let mut fields = object("spans[].events[]", event)?;
        let name = text("spans[].events[].name", fields.remove("name").unwrap_or_default())?.unwrap_or_default();
        let attributes =
            read_attributes("spans[].events[].attributes", fields.remove("attributes").unwrap_or_default())?;
        events.push(Event { name, attributes: Attributes::new(attributes) });
    }
    Ok(events)
}

/// The traces of a request, each with the spans that the request has of it.
#[derive(Default)]
struct Parts {
    traces: Vec<Trace>,
    /// Where the traces of the present resource are.
    by_id: HashMap<String, usize>,
    metadata: BTreeMap<String, String>,
}

impl Parts {
    fn begin(&mut self, metadata: BTreeMap<String, String>) {
        self.by_id.clear();
        self.metadata = metadata;
    }

    fn push(&mut self, trace_id: String, span: Span) {
        let Self { traces, by_id, metadata } = self;
        let index = *by_id.entry(trace_id).or_insert_with_key(|trace_id| {
            let is_mlflows = metadata.get("telemetry.sdk.name").is_some_and(|name| name == "mlflow");
            let prefix = if is_mlflows && !trace_id.starts_with("tr-") { "tr-" } else { "" };
            traces.push(Trace {
                trace_id: format!("{prefix}{trace_id}"),
                metadata: metadata.clone(),
                ..Trace::default()
            });
            traces.len() - 1
        });
        if let Some(trace) = traces.get_mut(index) {
            trace.spans.push(span);
        }
    }

    fn into_parts(self) -> Vec<Part> {
        self.traces.into_iter().map(Part::Trace).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::trace::SpanStatus;

    fn read_request(request: Value) -> Result<Vec<Trace>, String> {
        let Value::Object(fields) = request else { panic!() };
        assert!(fits(&fields));
        let mut notices = Notices::default();
        let Found::Parts(parts) = read(fields, &mut notices)? else { panic!() };
        let trace = |part| match part {
            Part::Trace(trace) => trace,
            other => panic!("{other:?}"),
        };
        Ok(parts.into_iter().map(trace).collect())
    }

    const TRACE: &str = "39bad16c5a50d38b90fb3d0ce164a107";

    #[test]
    fn names_ids_and_numbers_are_read_in_every_spelling() {
        let camel = json!({"resourceSpans": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "a"}}]},
            "scopeSpans": [{"scope": {"name": "s"}, "spans": [{"traceId": TRACE, "spanId": "EA3E14428E345BAE", "parentSpanId": "",
                "name": "n", "kind": 1, "flags": 256, "startTimeUnixNano": "5", "endTimeUnixNano": "6", "droppedEventsCount": 1,
                "status": {"code": 2, "message": "m"}, "attributes": [{"key": "k", "value": {"bytesValue": "AAEC"}}]}]}]}]});
        let snake = json!({"resource_spans": [{"resource": {"attributes": [{"key": "service.name", "value": {"string_value": "a"}}]},
            "instrumentation_library_spans": [{"instrumentation_library": {}, "spans": [{"trace_id": "ObrRbFpQ04uQ+z0M4WShBw==",
                "span_id": "6j4UQo40W64=", "name": "n", "kind": "SPAN_KIND_SERVER", "start_time_unix_nano": 5, "end_time_unix_nano": 6,
                "status": {"code": "STATUS_CODE_ERROR", "message": "m"}, "links": [],
                "attributes": [{"key": "k", "value": {"bytes_value": "AAEC"}}]}]}]}]});
        let [camel, snake] = [camel, snake].map(|request| read_request(request).unwrap());
        assert_eq!(camel, snake);
        let [trace] = camel.as_slice() else { panic!() };
        assert_eq!((trace.trace_id.as_str(), &*trace.metadata["service.name"]), (TRACE, "a"));
        let span = &trace.spans[0];
        assert_eq!(
            (span.span_id.as_str(), &span.parent_id, span.start_time_unix_nano),
            ("ea3e14428e345bae", &None, Some(5))
        );
        assert_eq!(span.attributes["k"], json!("AAEC"));
        assert_eq!((span.end_time_unix_nano, span.name.as_str()), (Some(6), "n"));
        assert_eq!((span.status, span.status_message.as_deref()), (SpanStatus::Error, Some("m")));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let request = |span: Value| json!({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]});
        let reason = |request: Value| read_request(request).unwrap_err();
        assert_eq!(reason(request(json!({"spanId": "ea3e14428e345bae"}))), "a span has no `traceId`");
        assert_eq!(reason(request(json!({"traceId": TRACE}))), "a span has no `spanId`");
        assert_eq!(
            reason(request(json!({"traceId": TRACE, "attributes": {}}))),
            "`spans[].attributes` must be a list of keys and values, found an object"
        );
        for other in ["resourceSpans", "resourceLogs", "resourceMetrics", "resource_metrics", "resourceProfiles"] {
            assert_eq!(read_request(json!({other: []})), Ok(Vec::new()));
        }
    }
}
