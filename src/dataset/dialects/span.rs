//! Spans, in the spellings of all dialects.

use serde_json::{Map, Value};

use crate::dataset::dialects::any_value;
use crate::dataset::dialects::fields::{object, text, wrong};
use crate::dataset::dialects::times;
use crate::dataset::json;
use crate::dataset::notice::Notices;
use crate::trace::{Span, SpanStatus, SpanType};

/// How ids and attributes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// As they are meant.
    Plain,
    /// Ids in hex or base64, attributes as JSON text or as OpenTelemetry's typed list.
    Mlflow,
}

/// Reads a list of spans; `values` are its items.
///
/// # Errors
/// The field and the span that are wrong.
pub(crate) fn read_all(values: Vec<Value>, style: Style, notices: &mut Notices) -> Result<Vec<Span>, String> {
    values.into_iter().enumerate().map(|(index, value)| read(index, value, style, notices)).collect()
}

fn read(index: usize, value: Value, style: Style, notices: &mut Notices) -> Result<Span, String> {
    let Value::Object(fields) = value else {
        return Err(wrong(format_args!("spans[{index}]"), "an object", &value));
    };
    let mut span = Span::default();
    for (key, value) in fields {
        let name = format_args!("spans[{index}].{key}");
        match key.as_str() {
            "span_id" => span.span_id = id(text(name, value)?, style).unwrap_or_default(),
            "parent_id" | "parent_span_id" => span.parent_id = id(text(name, value)?, style).or(span.parent_id),
            "name" => span.name = text(name, value)?.unwrap_or_default(),
            "span_type" | "type" => {
                span.span_type = text(name, value)?.map_or_else(SpanType::default, |name| SpanType::new(&name))
            }
            "inputs" => span.inputs = Some(value),
            "outputs" => span.outputs = Some(value),
            "status" | "status_code" => read_status(name, value, &mut span)?,
            "status_message" => span.status_message = text(name, value)?,
            "start_time_unix_nano" => span.start_time_unix_nano = times::exact_ns(name, &value, notices),
            "end_time_unix_nano" => span.end_time_unix_nano = times::exact_ns(name, &value, notices),
            "start_time" => span.start_time_unix_nano = times::ns(name, &value, notices),
            "end_time" => span.end_time_unix_nano = times::ns(name, &value, notices),
            "attributes" if style == Style::Plain => span.attributes = object(name, value)?,
            "attributes" => read_attributes(name, value, &mut span)?,
            // MLflow 2 keeps the ids here.
            "context" => {
                let span_id = object(name, value)?.remove("span_id").unwrap_or_default();
                span.span_id = id(text(name, span_id)?, style).unwrap_or_default();
            }
            "trace_id" | "events" | "links" | "kind" | "trace_state" => {}
            _ => notices.unknown(format!("spans[].{key}")),
        }
    }
    if span.span_id.is_empty() {
        span.span_id = format!("{:016x}", index + 1);
    }
    Ok(span)
}

/// `"OK"`, or `{"code": "STATUS_CODE_ERROR", "message": "..."}`; codes also as OpenTelemetry's numbers. The SDK for Python writes
/// `{"status_code": "ERROR", "description": "..."}`.
pub(crate) fn read_status(name: std::fmt::Arguments<'_>, value: Value, span: &mut Span) -> Result<(), String> {
    let code = match value {
        Value::Object(mut fields) => {
            if let Some(message) = fields.remove("message").or_else(|| fields.remove("description")) {
                span.status_message = text(name, message)?;
            }
            fields.remove("code").or_else(|| fields.remove("status_code")).unwrap_or_default()
        }
        other => other,
    };
    span.status = match code.as_u64() {
        Some(1) => SpanStatus::Ok,
        Some(2) => SpanStatus::Error,
        Some(_) => SpanStatus::Unset,
        None => SpanStatus::from_name(&text(name, code)?.unwrap_or_default()),
    };
    Ok(())
}

/// Extracts inputs, outputs and type from MLflow's attributes and keeps the others, each decoded.
///
/// Source: `mlflow.tracing.constant.SpanAttributeKey`.
fn read_attributes(name: std::fmt::Arguments<'_>, value: Value, span: &mut Span) -> Result<(), String> {
    let attributes: Map<_, _> = match value {
        Value::Array(typed) => any_value::fields(typed),
        Value::Null => return Ok(()),
        Value::Object(fields) => fields.into_iter().map(|(key, value)| (key, json::from_text(value))).collect(),
        other => return Err(wrong(name, "an object", &other)),
    };
    for (key, value) in attributes {
        match key.as_str() {
            "mlflow.spanInputs" => span.inputs = Some(value),
            "mlflow.spanOutputs" => span.outputs = Some(value),
            "mlflow.spanType" => span.span_type = value.as_str().map_or_else(SpanType::default, SpanType::new),
            // The trace's id again.
            "mlflow.traceRequestId" => {}
            _ => drop(span.attributes.insert(key, value)),
        }
    }
    // Each form has its own order.
    span.attributes.sort_keys();
    Ok(())
}

fn id(text: Option<String>, style: Style) -> Option<String> {
    match style {
        Style::Plain => text,
        Style::Mlflow => span_id(text?),
    }
}

/// Eight bytes in hex or base64 as 16 lower-case hex digits; none for zeros, which is OpenTelemetry's "no span". What is
/// neither stays as it is.
pub(crate) fn span_id(text: String) -> Option<String> {
    match bytes_of(&text, 8) {
        Some(0) => None,
        Some(number) => Some(format!("{number:016x}")),
        None => Some(text),
    }
}

/// The same for the sixteen bytes of a trace's id: 32 digits.
pub(crate) fn trace_id(text: String) -> Option<String> {
    match bytes_of(&text, 16) {
        Some(0) => None,
        Some(number) => Some(format!("{number:032x}")),
        None => Some(text),
    }
}

/// This many bytes, 16 at most, in hex or base64.
fn bytes_of(text: &str, length: u32) -> Option<u128> {
    let hex = text.strip_prefix("0x").unwrap_or(text);
    if hex.len() == 2 * length as usize && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return u128::from_str_radix(hex, 16).ok();
    }
    from_base64(text, 8 * length)
}

/// A number of this many bits in base64, in either alphabet, padded to a multiple of four digits.
fn from_base64(text: &str, bits: u32) -> Option<u128> {
    let digits = text.trim_end_matches('=');
    if text.len() != bits.div_ceil(24) as usize * 4 || digits.len() != bits.div_ceil(6) as usize {
        return None;
    }
    let (mut number, mut missing) = (0_u128, bits);
    for byte in digits.bytes() {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        // The last digit has more bits than needed.
        let taken = missing.min(6);
        number = number << taken | u128::from(digit >> (6 - taken));
        missing -= taken;
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_one(span: Value) -> Span {
        read(0, span, Style::Mlflow, &mut Notices::default()).unwrap()
    }

    #[test]
    fn ids_become_sixteen_hex_digits() {
        let id = |text: &str| span_id(text.to_owned());
        for text in ["6j4UQo40W64=", "ea3e14428e345bae", "EA3E14428E345BAE", "0xea3e14428e345bae"] {
            assert_eq!(id(text).as_deref(), Some("ea3e14428e345bae"), "{text}");
        }
        assert_eq!(id("7S1geWFH+tM=").as_deref(), Some("ed2d60796147fad3"));
        assert_eq!(id("7S1geWFH-tM=").as_deref(), Some("ed2d60796147fad3"), "the alphabet for URLs");
        assert_eq!((id("AAAAAAAAAAA="), id("0000000000000000")), (None, None));
        assert_eq!(id("AAAAAAAAAAE=").as_deref(), Some("0000000000000001"));
        let trace = |text: &str| trace_id(text.to_owned());
        for text in
            ["ObrRbFpQ04uQ+z0M4WShBw==", "0x39bad16c5a50d38b90fb3d0ce164a107", "39BAD16C5A50D38B90FB3D0CE164A107"]
        {
            assert_eq!(trace(text).as_deref(), Some("39bad16c5a50d38b90fb3d0ce164a107"), "{text}");
        }
        assert_eq!((trace("AAAAAAAAAAAAAAAAAAAAAA=="), trace("mine").as_deref()), (None, Some("mine")));
        for own in ["span-1", "search_docs", "7S1geWFH*tM=", "ea3e14428e345bag"] {
            assert_eq!(id(own).as_deref(), Some(own));
        }
    }

    #[test]
    fn every_version_writes_parent_status_and_attributes_in_its_own_way() {
        let newest = json!({"span_id": "6j4UQo40W64=", "parent_span_id": "7S1geWFH+tM=", "name": "n",
            "start_time_unix_nano": 1_795_439_390_289_928_789_u64, "end_time_unix_nano": 1_795_439_390_289_928_790_u64,
            "status": {"code": "STATUS_CODE_ERROR", "message": "m"},
            "attributes": {"mlflow.spanType": "\"TOOL\"", "mlflow.spanInputs": "{\"a\": 1}", "k": "\"v\"", "n": "3"}});
        let plain_values = json!({"span_id": "ea3e14428e345bae", "parent_span_id": "ed2d60796147fad3", "name": "n",
            "start_time_unix_nano": "1795439390289928789", "end_time_unix_nano": "1795439390289928790", "status": {"code": 2, "message": "m"},
            "attributes": {"mlflow.spanType": "TOOL", "mlflow.spanInputs": {"a": 1}, "k": "v", "n": 3}});
        let typed = json!({"span_id": "6j4UQo40W64=", "parent_span_id": "7S1geWFH+tM=", "name": "n",
            "start_time_unix_nano": 1_795_439_390_289_928_789_u64, "end_time_unix_nano": 1_795_439_390_289_928_790_u64, "status": {"code": "ERROR", "message": "m"},
            "attributes": [{"key": "mlflow.spanType", "value": {"string_value": "TOOL"}},
                {"key": "mlflow.spanInputs", "value": {"kvlist_value": {"values": [{"key": "a", "value": {"int_value": "1"}}]}}},
                {"key": "k", "value": {"string_value": "v"}}, {"key": "n", "value": {"int_value": 3}}]});
        let second = json!({"context": {"span_id": "0xea3e14428e345bae", "trace_id": "x"}, "parent_id": "ed2d60796147fad3",
            "name": "n", "start_time": 1_795_439_390_289_928_789_u64, "end_time": 1_795_439_390_289_928_790_u64, "status_code": "ERROR", "status_message": "m",
            "attributes": {"mlflow.spanType": "\"TOOL\"", "mlflow.spanInputs": "{\"a\": 1}", "k": "\"v\"", "n": "3"}});
        let read = read_one(newest);
        assert_eq!(
            (read.span_type.as_str(), &read.inputs, read.status),
            ("TOOL", &Some(json!({"a": 1})), SpanStatus::Error)
        );
        assert_eq!(Value::Object(read.attributes.clone()), json!({"k": "v", "n": 3}));
        for other in [plain_values, typed, second] {
            assert_eq!(read_one(other), read);
        }
    }

    #[test]
    fn a_root_has_no_parent_however_that_is_written() {
        for parent in [json!(null), json!(""), json!("0000000000000000")] {
            assert_eq!(read_one(json!({"span_id": "a", "parent_span_id": parent})).parent_id, None);
        }
        assert_eq!(read_one(json!({"span_id": "a"})).parent_id, None);
    }

    #[test]
    fn an_attribute_that_is_no_json_text_stays_a_string() {
        let span = read_one(json!({"attributes": {"a": "{cut off", "b": "null", "mlflow.spanOutputs": "null"}}));
        assert_eq!(Value::Object(span.attributes), json!({"a": "{cut off", "b": null}));
        assert_eq!((span.outputs, span.inputs), (Some(Value::Null), None));
    }
}
