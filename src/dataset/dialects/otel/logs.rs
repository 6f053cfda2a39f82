//! Messages of model calls in OpenTelemetry's logs, where some SDKs put them: each names its trace and span.
//!
//! ```json
//! {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"traceId": "...", "spanId": "...", "eventName": "gen_ai.user.message",
//!   "body": {"kvlistValue": {"values": [{"key": "content", "value": {"stringValue": "Hi"}}]}}}]}]}]}
//! ```
//! Other records are not kept.
//!
//! Sources: `opentelemetry/proto/logs/v1/logs.proto`; the conventions that [`super::events`] names.

use serde_json::{Map, Value};

use crate::dataset::dialects::any_value;
use crate::dataset::dialects::fields::{list, object, text};
use crate::dataset::dialects::messages;
use crate::dataset::dialects::otel::attributes::Attributes;
use crate::dataset::dialects::otel::events::{self, Side};
use crate::dataset::dialects::otel::gen_ai;
use crate::dataset::dialects::otel::recorded::Recorded;
use crate::dataset::dialects::part::{Part, SpanMessages};
use crate::dataset::dialects::span::{span_id, trace_id};
use crate::dataset::dialects::times;
use crate::dataset::notice::{Notice, Notices};

/// The messages in an export request's `resourceLogs`.
pub(crate) fn read(resources: Value, notices: &mut Notices) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut has_others = false;
    for resource in list("resourceLogs", "a list of objects", resources)? {
        let mut resource = object("resourceLogs[]", resource)?;
        for scope in lists(&mut resource, &["scopeLogs", "scope_logs", "instrumentationLibraryLogs"])? {
            let mut scope = object("scopeLogs[]", scope)?;
            for record in lists(&mut scope, &["logRecords", "log_records"])? {
                let part = read_record(object("logRecords[]", record)?, notices)?;
                has_others |= part.is_none();
                parts.extend(part);
            }
        }
    }
    if has_others && parts.is_empty() {
        notices.add(Notice::OtherSignal("logs"));
    }
    Ok(parts)
}

fn lists(fields: &mut Map<String, Value>, names: &[&str]) -> Result<Vec<Value>, String> {
    let found = names.iter().find_map(|name| Some((name, fields.remove(*name)?)));
    found.map_or(Ok(Vec::new()), |(name, value)| list(name, "a list of objects", value))
}

/// The messages of a record that is about a span of a model call.
pub(crate) fn read_record(mut record: Map<String, Value>, notices: &mut Notices) -> Result<Option<Part>, String> {
    let mut take = |names: &[&str]| names.iter().find_map(|name| record.remove(*name)).unwrap_or_default();
    let trace = text("traceId", take(&["traceId", "trace_id"]))?.and_then(trace_id);
    let span = text("spanId", take(&["spanId", "span_id"]))?.and_then(span_id);
    let mut attributes = match take(&["attributes"]) {
        Value::Array(pairs) => any_value::fields(pairs),
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    let time = take(&["timeUnixNano", "time_unix_nano", "timestamp"]);
    let observed = take(&["observedTimeUnixNano", "observed_time_unix_nano", "observed_timestamp"]);
    let time = times::ns("timeUnixNano", &time, notices).filter(|time| *time > 0);
    let time = time.or_else(|| times::ns("observedTimeUnixNano", &observed, notices));
    let named = text("eventName", take(&["eventName", "event_name"]))?;
    let name = named.or_else(|| attributes.remove("event.name")?.as_str().map(ToOwned::to_owned)).unwrap_or_default();
    let body = any_value::plain(take(&["body"]));
    let (Some(trace_id), Some(span_id)) = (trace, span) else { return Ok(None) };
    let mut said = SpanMessages { span_id, time: time.unwrap_or_default(), ..SpanMessages::default() };
    if name == DETAILS {
        let mut fields = attributes;
        fields.extend(body.as_object().cloned().unwrap_or_default());
        let mut recorded = Recorded { attributes: Attributes::new(fields), ..Recorded::default() };
        gen_ai::read_content(&mut recorded);
        if let Some(Value::Array(asked)) = recorded.span.inputs.as_mut().and_then(|inputs| inputs.get_mut("messages")) {
            said.asked = std::mem::take(asked);
        }
        said.answered = recorded.span.outputs.map(|answer| messages::read(answer, "assistant")).unwrap_or_default();
    } else {
        if !body.is_null() {
            attributes.insert("body".to_owned(), body);
        }
        match events::message(&name, Attributes::new(attributes)) {
            Some((Side::Asked, asked)) => said.asked = asked,
            Some((Side::Answered, answered)) => said.answered = answered,
            None => {}
        }
    }
    let is_empty = said.asked.is_empty() && said.answered.is_empty();
    Ok((!is_empty).then_some(Part::Messages { trace_id, messages: said }))
}

/// The event that holds all of a call.
const DETAILS: &str = "gen_ai.client.inference.operation.details";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of_records(records: Value) -> (Vec<SpanMessages>, Notices) {
        let mut notices = Notices::default();
        let resources = json!([{"resource": {}, "scopeLogs": [{"scope": {}, "logRecords": records}]}]);
        let parts = read(resources, &mut notices).unwrap();
        let messages = parts.into_iter().map(|part| match part {
            Part::Messages { trace_id, messages } => {
                assert_eq!(trace_id, "39bad16c5a50d38b90fb3d0ce164a107");
                messages
            }
            other => panic!("{other:?}"),
        });
        (messages.collect(), notices)
    }

    fn record(name: &str, body: Value) -> Value {
        json!({"traceId": "39BAD16C5A50D38B90FB3D0CE164A107", "spanId": "6j4UQo40W64=", "observedTimeUnixNano": "7",
            "attributes": [{"key": "gen_ai.system", "value": {"stringValue": "openai"}}], "eventName": name, "body": body})
    }

    #[test]
    fn a_record_is_a_message_to_or_by_the_model() {
        let content =
            |text: &str| json!({"kvlistValue": {"values": [{"key": "content", "value": {"stringValue": text}}]}});
        let message = json!({"key": "message", "value": content("It is 62 metres high.")});
        let choice = json!({"kvlistValue": {"values": [{"key": "index", "value": {"intValue": "0"}}, message]}});
        let (messages, notices) = of_records(json!([
            record("gen_ai.system.message", content("Be brief.")),
            record("gen_ai.user.message", json!({"stringValue": "How high?"})),
            record("gen_ai.choice", choice),
            record("other", json!({"stringValue": "x"})),
        ]));
        assert!(notices.is_empty());
        assert_eq!(
            (messages[0].span_id.as_str(), messages[0].time, messages.len()),
            ("ea3e14428e345bae", 7_000_000_000, 3)
        );
        assert_eq!(messages[0].asked, [json!({"role": "system", "content": "Be brief."})]);
        assert_eq!(messages[1].asked, [json!({"role": "user", "content": "How high?"})]);
        assert_eq!(messages[2].answered, [json!({"role": "assistant", "content": "It is 62 metres high."})]);
    }

    #[test]
    fn a_record_may_hold_all_of_a_call() {
        let mut all = record("", Value::Null);
        all["attributes"] = json!([{"key": "event.name", "value": {"stringValue": DETAILS}},
            {"key": "gen_ai.input.messages", "value": {"stringValue": "[{\"role\": \"user\", \"parts\": [{\"type\": \"text\", \"content\": \"Hi\"}]}]"}},
            {"key": "gen_ai.output.messages", "value": {"stringValue": "[{\"role\": \"assistant\", \"parts\": [{\"type\": \"text\", \"content\": \"Hello.\"}]}]"}}]);
        all["timeUnixNano"] = json!("1767607200000000000");
        let (messages, _) = of_records(json!([all]));
        assert_eq!(messages[0].time, 1_767_607_200_000_000_000);
        assert_eq!(messages[0].asked, [json!({"role": "user", "content": "Hi"})]);
        assert_eq!(messages[0].answered, [json!({"role": "assistant", "content": "Hello."})]);
    }

    #[test]
    fn records_without_messages_are_noted_and_no_failure() {
        let (messages, notices) = of_records(json!([{"body": {"stringValue": "started"}}, record("x", Value::Null)]));
        assert!(messages.is_empty());
        assert_eq!(notices, [(Notice::OtherSignal("logs"), 1)].into_iter().collect());
    }
}
