//! The forms that a trace can have in a dataset, and which one a line has.

use serde_json::{Map, Value};

use super::fields::{UnknownFields, count_unknown};
use super::parts::Part;
use super::{mlflow, otel, plain, syntax};
use crate::trace::Trace;

/// A form of traces in a dataset. A new one is a file with such a constant, and a line in [`Dialect::ALL`].
#[derive(Debug, Clone, Copy)]
pub struct Dialect {
    /// What users call it.
    pub name: &'static str,
    /// The keys that tell it.
    pub keys: &'static str,
    pub(super) fits: fn(&Map<String, Value>) -> bool,
    pub(super) read: fn(Map<String, Value>, &mut UnknownFields) -> Result<Found, String>,
}

/// What one JSON object of a dataset holds.
#[derive(Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly every object is a trace")]
pub(super) enum Found {
    /// A trace, whole.
    Trace(Trace),
    #[expect(dead_code, reason = "for the dialects that have several")]
    /// Any number of traces; what is none has its reason.
    Traces(Vec<Result<Trace, String>>),
    /// Parts of traces that may have others elsewhere in the dataset.
    Parts(Vec<Part>),
}

impl Dialect {
    /// Every dialect; the first that fits a line reads it.
    pub const ALL: &'static [Self] = &[plain::DIALECT, mlflow::DIALECT, otel::OTLP, otel::OBJECTS];

    /// The dialect of an object, told by its keys.
    pub fn of(object: &Map<String, Value>) -> Option<&'static Self> {
        Self::ALL.iter().find(|dialect| (dialect.fits)(object))
    }
}

/// Reads a line in whatever dialect it has.
///
/// # Errors
/// Why it is no trace and what to do about it.
pub(super) fn read_line(line: &[u8], byte_offset: u64, unknown: &mut UnknownFields) -> Result<Found, String> {
    let object = syntax::object(line, byte_offset)?;
    let Some(dialect) = Dialect::of(&object) else {
        object.keys().for_each(|key| count_unknown(unknown, key));
        return Err(no_dialect(&object));
    };
    (dialect.read)(object, unknown)
}

/// An id for a trace that has none: the same content gets the same id.
pub(super) fn derived_trace_id(digest: [u8; 16]) -> String {
    format!("tr-{:032x}", u128::from_be_bytes(digest))
}

fn no_dialect(object: &Map<String, Value>) -> String {
    const SHOWN: usize = 6;
    let mut found: Vec<_> = object.keys().take(SHOWN).map(|key| format!("`{key}`")).collect();
    if object.len() > SHOWN {
        found.push(format!("{} more", object.len() - SHOWN));
    }
    let found = if found.is_empty() { "no keys".to_owned() } else { format!("the keys {}", found.join(", ")) };
    let known: Vec<_> = Dialect::ALL.iter().map(|dialect| format!("{} ({})", dialect.name, dialect.keys)).collect();
    format!("no known form of a trace: found {found}; known are {}", known.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Found, String> {
        read_line(line.as_bytes(), 0, &mut UnknownFields::new())
    }

    #[test]
    fn the_keys_tell_the_dialect() {
        let name = |line: &str| {
            let object = serde_json::from_str(line).unwrap();
            Dialect::of(&object).map(|dialect| dialect.name)
        };
        assert_eq!(name(r#"{"inputs": 1}"#), Some(plain::DIALECT.name));
        assert_eq!(name(r#"{"inputs": 1, "info": {}}"#), Some(plain::DIALECT.name));
        assert_eq!(name(r#"{"outputs": 1}"#), Some(plain::DIALECT.name));
        assert_eq!(name(r#"{"info": {"trace_id": "tr-1"}}"#), Some(mlflow::DIALECT.name));
        assert_eq!(name(r#"{"trace_info": {}, "spans": []}"#), Some(mlflow::DIALECT.name));
        assert_eq!(name(r#"{"resourceSpans": []}"#), Some(otel::OTLP.name));
        for line in [
            r#"{"context": {"trace_id": "1"}}"#,
            r#"{"context.trace_id": "1"}"#,
            r#"{"data": [{"context": {"trace_id": "1"}}]}"#,
            r#"{"spans": [{"trace_id": "1", "span_id": "2", "attributes": []}]}"#,
        ] {
            assert_eq!(name(line), Some(otel::OBJECTS.name), "{line}");
        }
        assert_eq!(name(r#"{"data": [1], "context": {}}"#), None);
        assert_eq!(name(r#"{"info": "a text"}"#), None);
    }

    #[test]
    fn an_unknown_shape_is_told_by_its_keys() {
        let reason = read(r#"{"question": "q", "answer": "a"}"#).unwrap_err();
        let known =
            "known are plain (`inputs`, `outputs`, `expectations`), MLflow's Trace.to_json() (`info`, `data`), ";
        let found = "no known form of a trace: found the keys `question`, `answer`; ";
        assert!(reason.starts_with(&format!("{found}{known}")), "{reason}");
        assert!(read("{}").unwrap_err().starts_with("no known form of a trace: found no keys;"));
        let many = r#"{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1}"#;
        assert!(read(many).unwrap_err().contains("`f`, 2 more;"), "{many}");
    }

    #[test]
    fn the_keys_of_an_unknown_shape_are_counted() {
        let mut unknown = UnknownFields::new();
        for line in [r#"{"input": 1, "output": 2}"#, r#"{"input": 1}"#] {
            assert!(read_line(line.as_bytes(), 0, &mut unknown).is_err());
        }
        assert_eq!(unknown, UnknownFields::from([("input".to_owned(), 2), ("output".to_owned(), 1)]));
    }

    #[test]
    fn a_derived_id_has_mlflows_form() {
        assert_eq!(derived_trace_id([0x0a; 16]), "tr-0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a");
    }
}
