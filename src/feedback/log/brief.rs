//! What the index needs of a record, read without copying the rest: a log may have millions.

use std::borrow::Cow;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{OpinionKey, Standing};
use crate::feedback::{AssessmentId, Feedback, RecordedErrorCode, SAMPLE_METADATA, SourceType};

/// A record in brief.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Brief<'a> {
    /// `None` for other people's records.
    pub id: Option<AssessmentId>,
    pub opinion: OpinionKey,
    pub standing: Standing,
    pub source_type: SourceType,
    pub source_id: Option<Cow<'a, str>>,
}

impl<'a> Brief<'a> {
    /// Reads a line; `None` if it is no record, exactly where [`Feedback::from_json`] finds none.
    pub(super) fn read(line: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(line).ok()?;
        match serde_json::from_str::<Flat<'_>>(text) {
            Ok(flat) if flat.assessment.is_none() && flat.assessment_name.is_none() => Some(flat.brief()),
            _ => Feedback::from_json(text).ok().map(|feedback| Brief::of(&feedback).into_owned()),
        }
    }

    /// The same of a whole record.
    pub(super) fn of(feedback: &'a Feedback) -> Self {
        Self {
            id: feedback.assessment_id.as_deref().and_then(|id| id.parse().ok()),
            opinion: OpinionKey::new(
                feedback.trace_id.as_deref(),
                feedback.span_id.as_deref(),
                &feedback.name,
                &feedback.source,
            )
            .sample(feedback.sample()),
            standing: Standing::of(feedback),
            source_type: feedback.source.source_type,
            source_id: feedback.source.source_id.as_deref().map(Cow::Borrowed),
        }
    }

    fn into_owned<'b>(self) -> Brief<'b> {
        let source_id = self.source_id.map(|id| Cow::Owned(id.into_owned()));
        Brief { id: self.id, opinion: self.opinion, standing: self.standing, source_type: self.source_type, source_id }
    }
}

/// The flat form, of which the texts that nobody needs are checked and not kept.
#[derive(Deserialize)]
struct Flat<'a> {
    assessment: Option<IgnoredAny>,
    assessment_name: Option<IgnoredAny>,
    #[serde(borrow)]
    assessment_id: Option<Text<'a>>,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    #[serde(rename = "rationale")]
    _rationale: Option<Checked>,
    #[serde(borrow, default)]
    source: Source<'a>,
    error: Option<Error>,
    #[serde(default)]
    metadata: Option<Sample>,
    #[serde(default)]
    create_time_ms: i64,
    #[serde(rename = "last_update_time_ms")]
    _last_update_time_ms: Option<i64>,
    #[serde(borrow)]
    trace_id: Option<Text<'a>>,
    #[serde(borrow)]
    span_id: Option<Text<'a>>,
    #[serde(rename = "overrides")]
    _overrides: Option<Checked>,
    valid: Option<bool>,
}

#[derive(Deserialize, Default)]
struct Source<'a> {
    #[serde(default)]
    source_type: SourceType,
    #[serde(borrow)]
    source_id: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Error {
    error_code: RecordedErrorCode,
    #[serde(rename = "error_message")]
    _error_message: Option<Checked>,
    #[serde(rename = "stack_trace")]
    _stack_trace: Option<Checked>,
}

impl<'a> Flat<'a> {
    fn brief(self) -> Brief<'a> {
        let Self {
            assessment_id, name, value, source, error, metadata, create_time_ms, trace_id, span_id, valid, ..
        } = self;
        let text = |text: &Option<Text<'a>>| text.as_ref().map(|text| text.0.clone());
        let standing = match error {
            Some(Error { error_code, .. }) => Standing::failed(&error_code, create_time_ms),
            None if valid == Some(false) => Standing::Invalid { create_time_ms },
            None => value.map_or(Standing::Other, |value| standing(value.get())),
        };
        let source_id = text(&source.source_id);
        let opinion = OpinionKey::of(
            text(&trace_id).as_deref(),
            text(&span_id).as_deref(),
            &name.0,
            source.source_type,
            source_id.as_deref(),
        )
        .sample(metadata.map_or(0, |Sample(sample)| sample));
        let id = assessment_id.and_then(|id| id.0.parse().ok());
        Brief { id, opinion, standing, source_type: source.source_type, source_id }
    }
}

/// How a verdict stands, from its JSON text.
fn standing(value: &str) -> Standing {
    match value.as_bytes().first() {
        Some(b't') => Standing::Number(1.0),
        Some(b'f') => Standing::Number(0.0),
        Some(b'"') => {
            let label = serde_json::from_str::<Text<'_>>(value);
            label.map_or(Standing::Other, |label| Standing::Label(Standing::label_hash(&label.0)))
        }
        Some(b'-' | b'0'..=b'9') => serde_json::from_str(value).map_or(Standing::Other, Standing::Number),
        _ => Standing::Other,
    }
}

/// A string, borrowed where it has no escapes. (serde does not borrow inside an `Option<Cow<str>>`.)
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// A string that is only known to be one.
struct Checked;

/// Of an object of metadata, which of several answers it is about.
struct Sample(u32);

impl<'de> Deserialize<'de> for Checked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IsText;
        impl Visitor<'_> for IsText {
            type Value = Checked;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E>(self, _: &str) -> Result<Checked, E> {
                Ok(Checked)
            }
        }
        deserializer.deserialize_str(IsText)
    }
}

impl<'de> Deserialize<'de> for Sample {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IsMap;
        impl<'de> Visitor<'de> for IsMap {
            type Value = Sample;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Sample, A::Error> {
                let mut sample = 0;
                while let Some(Text(key)) = map.next_key()? {
                    if key == SAMPLE_METADATA {
                        let value: &RawValue = map.next_value()?;
                        sample = value.get().trim_matches('"').parse().unwrap_or(0);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(Sample(sample))
            }
        }
        deserializer.deserialize_map(IsMap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_in_brief_is_the_record_in_brief() {
        let id = "a-0123456789abcdef0123456789abcdef";
        let with = |fields: &str| {
            format!(
                r#"{{"assessment_id":"{id}","name":"j\u00e4","source":{{"source_type":"LLM_JUDGE","source_id":"openai:/m"}},"trace_id":"t","create_time_ms":7,{fields}}}"#
            )
        };
        let lines = [
            with(r#""value":true"#),
            with(r#""value":false,"rationale":"So\nit is.","metadata":{"a":"b","c":1}"#),
            with(r#""value":-0.25,"span_id":"0a""#),
            with(r#""value":true,"metadata":{"run_id":"r","sample":"2"}"#),
            with(r#""value":true,"metadata":{"sample":3,"x":[]}"#),
            with(r#""value":true,"metadata":{"sample":"-1"}"#),
            with(r#""value":18446744073709551615"#),
            with(r#""value":"gut \u263a""#),
            with(r#""value":null"#),
            with(r#""value":{"a":[1]}"#),
            with(r#""value":3,"valid":false,"overrides":"a-1""#),
            with(r#""value":null,"error":{"error_code":"TIMEOUT","error_message":"m","stack_trace":"s"}"#),
            with(r#""error":{"error_code":"ValueError"}"#),
            r#"{"name":"j","value":1,"metadata":null,"source":{"source_type":"ai_judge"}}"#.to_owned(),
            r#"{"assessment_name":"j","trace_id":"b","source":{"source_type":"HUMAN","source_id":"x"},"feedback":{"value":1},"valid":true}"#.to_owned(),
            r#"{"assessment":{"assessment_name":"j","trace_id":"b","source":{"source_type":"HUMAN"},"feedback":{"value":1}}}"#.to_owned(),
            // None of these is a record.
            r#"{"value":1}"#.to_owned(),
            with(r#""rationale":1"#),
            with(r#""metadata":"x""#),
            with(r#""overrides":[]"#),
            with(r#""error":{"error_code":"TIMEOUT","stack_trace":1}"#),
            with(r#""valid":"no""#),
            with(r#""last_update_time_ms":"x""#),
            r#"{"assessment_name":"x","expectation":{"value":1}}"#.to_owned(),
            "[]".to_owned(),
            String::new(),
        ];
        let mut records = 0;
        for line in &lines {
            let whole = Feedback::from_json(line).ok();
            records += usize::from(whole.is_some());
            assert_eq!(Brief::read(line.as_bytes()), whole.as_ref().map(Brief::of), "{line}");
        }
        assert_eq!(records, 16);
        assert_eq!(Brief::read(b"{\"name\":\"\xff\"}"), None);
    }
}
