//! What the figures need from a record, read without copying the rest: a log may have millions.

use std::borrow::Cow;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::feedback::{Feedback, SourceType};

/// A part of a record.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Extract<'a> {
    pub name: Cow<'a, str>,
    pub source_type: SourceType,
    pub source_id: Cow<'a, str>,
    pub trace_id: Option<Cow<'a, str>>,
    pub span_id: Option<Cow<'a, str>>,
    pub value: Said<'a>,
    pub error_code: Option<Cow<'a, str>>,
    pub metadata: Metadata<'a>,
}

/// A verdict.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Said<'a> {
    Boolean(bool),
    Number(f64),
    Label(Cow<'a, str>),
    /// `null`, or nothing at all.
    Null,
    /// A list or an object.
    Other,
}

/// The members of `metadata`, in their order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Metadata<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl Metadata<'_> {
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| &**value)
    }

    /// A count, or nothing where it is none.
    pub(super) fn count(&self, key: &str) -> Option<u64> {
        self.get(key)?.parse().ok()
    }
}

impl<'a> Extract<'a> {
    /// Reads a line that is a record.
    pub(super) fn read(line: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(line).ok()?;
        match serde_json::from_str::<Flat<'_>>(text) {
            Ok(flat) if flat.assessment.is_none() && flat.assessment_name.is_none() => Some(flat.extract()),
            _ => Feedback::from_json(text).ok().map(Extract::of),
        }
    }

    pub(super) fn of(feedback: Feedback) -> Self {
        let Feedback { name, value, error, source, metadata, trace_id, span_id, .. } = feedback;
        Self {
            name: name.into(),
            source_type: source.source_type,
            source_id: source.source_id.unwrap_or_default().into(),
            trace_id: trace_id.map(Cow::Owned),
            span_id: span_id.map(Cow::Owned),
            value: match value {
                None | Some(Value::Null) => Said::Null,
                Some(Value::Bool(value)) => Said::Boolean(value),
                Some(Value::Number(number)) => number.as_f64().map_or(Said::Other, Said::Number),
                Some(Value::String(label)) => Said::Label(label.into()),
                Some(value @ Value::Array(_)) => several(&value.to_string()),
                Some(Value::Object(_)) => Said::Other,
            },
            error_code: error.map(|error| error.error_code.as_str().to_owned().into()),
            metadata: Metadata(metadata.into_iter().map(|(key, value)| (key.into(), value.into())).collect()),
        }
    }
}

/// The flat form.
#[derive(Deserialize)]
struct Flat<'a> {
    assessment: Option<IgnoredAny>,
    assessment_name: Option<IgnoredAny>,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    #[serde(borrow, default)]
    source: Source<'a>,
    #[serde(borrow)]
    error: Option<Error<'a>>,
    #[serde(borrow, default)]
    metadata: Option<Metadata<'a>>,
    #[serde(borrow)]
    trace_id: Option<Text<'a>>,
    #[serde(borrow)]
    span_id: Option<Text<'a>>,
}

#[derive(Deserialize, Default)]
struct Source<'a> {
    #[serde(default)]
    source_type: SourceType,
    #[serde(borrow)]
    source_id: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Error<'a> {
    #[serde(borrow)]
    error_code: Text<'a>,
}

impl<'a> Flat<'a> {
    fn extract(self) -> Extract<'a> {
        let Self { name, value, source, error, metadata, trace_id, span_id, .. } = self;
        Extract {
            name: name.0,
            source_type: source.source_type,
            source_id: source.source_id.map(|id| id.0).unwrap_or_default(),
            trace_id: trace_id.map(|id| id.0),
            span_id: span_id.map(|id| id.0),
            value: value.map_or(Said::Null, |value| said(value.get())),
            error_code: error.map(|error| error.error_code.0),
            metadata: metadata.unwrap_or_default(),
        }
    }
}

/// A verdict, from its JSON text.
fn said(value: &str) -> Said<'_> {
    match value.as_bytes().first() {
        Some(b't') => Said::Boolean(true),
        Some(b'f') => Said::Boolean(false),
        Some(b'n') => Said::Null,
        Some(b'"') => serde_json::from_str::<Text<'_>>(value).map_or(Said::Other, |label| Said::Label(label.0)),
        Some(b'-' | b'0'..=b'9') => serde_json::from_str(value).map_or(Said::Other, Said::Number),
        Some(b'[') => several(value),
        _ => Said::Other,
    }
}

/// Several labels at once count as a label: their list, as compact JSON.
fn several<'a>(value: &str) -> Said<'a> {
    let labels: Option<Vec<String>> = serde_json::from_str(value).ok();
    let text = labels.and_then(|labels| serde_json::to_string(&labels).ok());
    text.map_or(Said::Other, |text| Said::Label(text.into()))
}

/// A string, borrowed where it has no escapes. (serde does not borrow inside an `Option<Cow<str>>`.)
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Metadata<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Vec<(Cow<'de, str>, Cow<'de, str>)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(16);
                while let Some((Text(key), value)) = map.next_entry::<Text<'de>, &'de RawValue>()? {
                    let value = value.get();
                    let text = serde_json::from_str::<Text<'de>>(value).map_or(Cow::Borrowed(value), |text| text.0);
                    members.push((key, text));
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Members).map(Metadata)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_the_record_says() {
        let with = |fields: &str| {
            format!(
                r#"{{"name":"j\u00e4","source":{{"source_type":"LLM_JUDGE","source_id":"openai:/m"}},"trace_id":"t",{fields}}}"#
            )
        };
        for line in [
            with(r#""value":true"#),
            with(r#""value":false,"rationale":"So\nit is.","metadata":{"a":"b \"c\"","session_id":"s"}"#),
            with(r#""value":-0.25,"span_id":"0a","metadata":{}"#),
            with(r#""value":"gut \u263a""#),
            with(r#""value":null"#),
            with(r#""value":[1]"#),
            with(r#""error":{"error_code":"ValueError"},"metadata":null"#),
            r#"{"name":"j","value":1}"#.to_owned(),
            r#"{"assessment_name":"j","trace_id":"b","source":{"source_type":"HUMAN","source_id":"x"},"feedback":{"value":1},"metadata":{"k":"v"}}"#.to_owned(),
        ] {
            let whole = Extract::of(Feedback::from_json(&line).unwrap());
            assert_eq!(Extract::read(line.as_bytes()).unwrap(), whole, "{line}");
        }
        assert_eq!(Extract::read(b"[]"), None);
    }

    #[test]
    fn members_are_texts_and_counts() {
        let line = br#"{"name":"j","metadata":{"attempts":"3","latency_ms":12,"model":"m"}}"#;
        let metadata = Extract::read(line).unwrap().metadata;
        assert_eq!((metadata.count("attempts"), metadata.count("latency_ms")), (Some(3), Some(12)));
        assert_eq!((metadata.count("model"), metadata.get("none")), (None, None));
    }
}
