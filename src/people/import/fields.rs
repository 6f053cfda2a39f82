//! The fields of a label, their other names, and what is common to all forms.

use std::str::FromStr;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::feedback::DOCUMENT_METADATA;

/// A field of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "named by what they are")]
pub enum Field {
    TraceId,
    SpanId,
    DocumentIndex,
    Name,
    Value,
    Rationale,
    SourceId,
    SourceType,
    CreateTime,
}

impl Field {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::TraceId,
        Self::SpanId,
        Self::DocumentIndex,
        Self::Name,
        Self::Value,
        Self::Rationale,
        Self::SourceId,
        Self::SourceType,
        Self::CreateTime,
    ];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TraceId => "trace_id",
            Self::SpanId => "span_id",
            Self::DocumentIndex => DOCUMENT_METADATA,
            Self::Name => "name",
            Self::Value => "value",
            Self::Rationale => "rationale",
            Self::SourceId => "source_id",
            Self::SourceType => "source_type",
            Self::CreateTime => "create_time",
        }
    }

    /// Its other names, in order of preference.
    const fn aliases(self) -> &'static [&'static str] {
        match self {
            Self::TraceId => &["traceId", "trace", "request_id"],
            Self::SpanId => &["spanId", "observation_id"],
            Self::DocumentIndex => &["document_position"],
            Self::Name => &["assessment_name", "metric", "criterion"],
            Self::Value => &["label", "score", "rating"],
            Self::Rationale => &["comment", "explanation", "reason", "critique"],
            Self::SourceId => &["annotator", "annotator_id", "rater", "user_id", "author"],
            Self::SourceType => &["annotator_kind"],
            Self::CreateTime => &["create_time_ms", "created_at", "timestamp"],
        }
    }

    /// The key of the field: its own name takes precedence.
    pub(super) fn of<'a, T>(self, get: impl Fn(&str) -> Option<&'a T>) -> Option<&'a T> {
        get(self.as_str()).or_else(|| self.aliases().iter().find_map(|alias| get(alias)))
    }
}

/// A field that goes by another name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The column or key.
    pub column: String,
    /// What it holds.
    pub field: Field,
}

/// Why a text is not a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected COLUMN=FIELD, where FIELD is trace_id, span_id, document_index, name, value, rationale, source_id, source_type or create_time"
)]
pub struct InvalidMapping;

impl FromStr for Mapping {
    type Err = InvalidMapping;

    /// `COLUMN=FIELD`; or the other way round if only that makes sense.
    fn from_str(text: &str) -> Result<Self, InvalidMapping> {
        let field = |text: &str| Field::ALL.into_iter().find(|field| field.as_str() == text.trim());
        let of = |column: &str, field| Self { column: column.trim().to_owned(), field };
        let last = text.rsplit_once('=').ok_or(InvalidMapping)?;
        let first = text.split_once('=').ok_or(InvalidMapping)?;
        match (field(last.1), field(first.0)) {
            (Some(field), _) if !last.0.trim().is_empty() => Ok(of(last.0, field)),
            (_, Some(field)) if !first.1.trim().is_empty() => Ok(of(first.1, field)),
            _ => Err(InvalidMapping),
        }
    }
}

/// An object with its fields under their own names.
pub(super) fn renamed(object: &Map<String, Value>, map: &[Mapping]) -> Map<String, Value> {
    let mut renamed = object.clone();
    for Mapping { column, field } in map {
        let found = column.split('.').try_fold(None, |inner: Option<&Value>, key| match inner {
            None => object.get(key).map(Some),
            Some(value) => value.get(key).map(Some),
        });
        let found = object.get(column).or(found.flatten());
        if let Some(value) = found {
            renamed.insert(field.as_str().to_owned(), value.clone());
        }
    }
    renamed
}

/// A text, or a number as one; nothing if it is empty.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The text of a member.
pub(super) fn member(object: &Map<String, Value>, key: &str) -> Option<String> {
    object.get(key).and_then(text)
}

/// Unix milliseconds: of a number of them or of seconds, or of RFC 3339; `None` if it is not a time.
pub(super) fn time_ms(value: &Value) -> Option<i64> {
    /// The year 5138 in seconds, 1973 in milliseconds.
    const LEAST_MILLISECONDS: f64 = 1e11;
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse::<f64>().ok(),
        _ => None,
    };
    #[expect(clippy::cast_possible_truncation, reason = "saturates")]
    match (number, value) {
        (Some(number), _) if number.abs() < LEAST_MILLISECONDS => Some((number * 1000.0) as i64),
        (Some(number), _) => Some(number as i64),
        (None, Value::String(text)) => {
            let text = text.trim();
            let zoned = text.parse::<Timestamp>().or_else(|_| format!("{text}Z").replacen(' ', "T", 1).parse());
            zoned.ok().map(Timestamp::as_millisecond)
        }
        _ => None,
    }
}

/// What the file does not say.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Options {
    /// What is judged.
    pub name: Option<String>,
    /// Who says it.
    pub author: Option<String>,
    /// Fields that go by other names.
    pub map: Vec<Mapping>,
    /// The time for feedback without one: Unix milliseconds.
    pub now_ms: i64,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_mapping_is_read_in_the_way_that_makes_sense() {
        let read = |text: &str| text.parse::<Mapping>().map(|mapping| (mapping.column, mapping.field));
        assert_eq!(read("Was it helpful?=value"), Ok(("Was it helpful?".into(), Field::Value)));
        assert_eq!(read("value=label"), Ok(("label".into(), Field::Value)));
        assert_eq!(read("a=b=trace_id"), Ok(("a=b".into(), Field::TraceId)));
        assert_eq!(read("name = value"), Ok(("name".into(), Field::Value)));
        for bad in ["value", "a=b", "=value", "value=", ""] {
            assert_eq!(read(bad), Err(InvalidMapping), "{bad}");
        }
    }

    #[test]
    fn times_are_read_in_the_usual_forms() {
        for value in [
            json!(1_767_607_200_000_i64),
            json!(1_767_607_200),
            json!("2026-01-05T10:00:00Z"),
            json!("2026-01-05T11:00:00.000+01:00"),
            json!("2026-01-05 10:00:00"),
            json!("1767607200"),
        ] {
            assert_eq!(time_ms(&value), Some(1_767_607_200_000), "{value}");
        }
        assert_eq!((time_ms(&json!("yesterday")), time_ms(&json!(null))), (None, None));
    }
}
