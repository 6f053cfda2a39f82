//! The forms that a trace can have in a dataset, and which one a line has.

use serde_json::{Map, Value};

use crate::dataset::dialects::dialect::{Dialect, Found};
use crate::dataset::dialects::fields::{UnknownFields, count_unknown, kind};
use crate::dataset::dialects::{langfuse, langsmith, mlflow, openai, otel, plain, sharegpt};
use crate::dataset::framing::record::{Content, Record};
use crate::dataset::mapping::{self, Mapping};
use crate::dataset::other_names;
use crate::trace::Trace;

impl Dialect {
    /// Every dialect; the first that fits a line reads it.
    pub const ALL: &'static [Self] = &[
        // Its keys are the plain ones and others.
        langsmith::DIALECT,
        plain::DIALECT,
        mlflow::DIALECT,
        otel::OTLP,
        otel::OBJECTS,
        langfuse::DIALECT,
        openai::DIALECT,
        sharegpt::DIALECT,
    ];

    /// The dialect of an object, told by its keys.
    pub fn of(object: &Map<String, Value>) -> Option<&'static Self> {
        Self::ALL.iter().find(|dialect| (dialect.fits)(object))
    }
}

/// Reads a record in whatever dialect it has, or in this one. An object that has what the mappings name is of the plain dialect.
///
/// # Errors
/// Why it is no trace and what to do about it.
pub(crate) fn read_record(
    record: &Record<'_>,
    forced: Option<&Dialect>,
    mappings: &[Mapping],
    unknown: &mut UnknownFields,
) -> Result<Found, String> {
    let mut object = record.object()?;
    // The columns of a table are mapped once, with its header.
    let is_row = matches!(record.content, Content::Row(_));
    let is_mapped = !is_row && !mappings.is_empty() && mapping::apply(mappings, &mut object)?;
    let mapped = is_mapped.then_some(&plain::DIALECT);
    match forced.or(mapped) {
        Some(dialect) => (dialect.read)(object, unknown),
        None => read_object(object, unknown),
    }
}

/// Reads an object in the dialect that its keys tell; an answer of a server, `{"traces": [...]}`, is the traces in it.
fn read_object(mut object: Map<String, Value>, unknown: &mut UnknownFields) -> Result<Found, String> {
    if let Some(dialect) = Dialect::of(&object) {
        return (dialect.read)(object, unknown);
    }
    if let Some(Value::Array(items)) = object.get_mut(LIST) {
        let items = std::mem::take(items);
        object.keys().filter(|key| *key != LIST).for_each(|key| count_unknown(unknown, key));
        return Ok(Found::Traces(items.into_iter().map(|item| read_item(item, unknown)).collect()));
    }
    object.keys().for_each(|key| count_unknown(unknown, key));
    Err(no_dialect(&object))
}

/// The key of a list of traces.
const LIST: &str = "traces";

fn read_item(item: Value, unknown: &mut UnknownFields) -> Result<Trace, String> {
    let Value::Object(object) = item else {
        return Err(format!("{} in `{LIST}` where a trace's object should be", kind(&item)));
    };
    let Some(dialect) = Dialect::of(&object) else { return Err(no_dialect(&object)) };
    match (dialect.read)(object, unknown)? {
        Found::Trace(trace) => Ok(trace),
        Found::Traces(_) | Found::Parts(_) => {
            Err(format!("an item of `{LIST}` is not one trace; put it on a line of its own: `jq -c '.{LIST}[]' file`"))
        }
    }
}

/// An id for a trace that has none: the same content gets the same id.
pub(crate) fn derived_trace_id(digest: [u8; 16]) -> String {
    format!("tr-{:032x}", u128::from_be_bytes(digest))
}

fn no_dialect(object: &Map<String, Value>) -> String {
    const SHOWN: usize = 6;
    let mut found: Vec<_> = object.keys().take(SHOWN).map(|key| format!("`{key}`")).collect();
    if object.len() > SHOWN {
        found.push(format!("{} more", object.len() - SHOWN));
    }
    let found = if found.is_empty() { "no keys".to_owned() } else { format!("the keys {}", found.join(", ")) };
    let known: Vec<_> = Dialect::ALL.iter().map(|dialect| format!("{} ({})", dialect.title, dialect.keys)).collect();
    let map = other_names::suggested(object);
    format!(
        "no known form of a trace: found {found}; known are {}; or say which is which, as in `{map}`",
        known.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_with(line: &str, forced: Option<&Dialect>, unknown: &mut UnknownFields) -> Result<Found, String> {
        let bytes = line.as_bytes();
        let record = Record { bytes, length: bytes.len() as u64, line: 1, byte_offset: 0, content: Content::Line };
        read_record(&record, forced, &["inputs.q=prompt.text".parse().unwrap()], unknown)
    }

    fn read(line: &str) -> Result<Found, String> {
        read_with(line, None, &mut UnknownFields::new())
    }

    #[test]
    fn an_object_with_mapped_fields_is_of_the_plain_dialect() {
        let mut unknown = UnknownFields::new();
        let found = read_with(r#"{"prompt": {"text": "why?", "n": 1}, "info": {}}"#, None, &mut unknown).unwrap();
        let Found::Trace(trace) = found else { panic!("{found:?}") };
        assert_eq!(trace.inputs, Some(serde_json::json!({"q": "why?"})));
        assert_eq!(unknown, UnknownFields::from([("prompt".to_owned(), 1), ("info".to_owned(), 1)]));
        assert!(matches!(read(r#"{"info": {}}"#), Ok(Found::Trace(_))), "what has none of them is told by its keys");
    }

    #[test]
    fn a_list_of_traces_in_an_object_is_read() {
        let found = read(r#"{"traces": [{"inputs": 1}, {"info": {}}, 7, {"x": 1}], "next_page_token": ""}"#).unwrap();
        let Found::Traces(traces) = found else { panic!("{found:?}") };
        let reasons: Vec<_> = traces.iter().map(|trace| trace.as_ref().err().map_or("", String::as_str)).collect();
        assert_eq!(reasons[..3], ["", "", "a number in `traces` where a trace's object should be"]);
        assert!(reasons[3].starts_with("no known form of a trace: found the keys `x`"), "{}", reasons[3]);
    }

    #[test]
    fn the_user_may_say_which_dialect_it_is() {
        let plain = read_with(r#"{"info": {}, "inputs": 1}"#, Some(&mlflow::DIALECT), &mut UnknownFields::new());
        let Ok(Found::Trace(trace)) = plain else { panic!("{plain:?}") };
        assert_eq!(trace.inputs, None);
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
    fn a_name_can_be_typed_and_is_there_once() {
        let names: std::collections::BTreeSet<_> = Dialect::ALL.iter().map(|dialect| dialect.name).collect();
        assert_eq!(names.len(), Dialect::ALL.len());
        assert!(
            names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')),
            "{names:?}"
        );
    }

    #[test]
    fn an_unknown_shape_is_told_by_its_keys() {
        let reason = read(r#"{"question": "q", "answer": "a"}"#).unwrap_err();
        assert!(
            reason.starts_with("no known form of a trace: found the keys `question`, `answer`; known are "),
            "{reason}"
        );
        assert!(
            reason.contains("plain (`inputs`, `outputs`, `expectations`), MLflow's Trace.to_json() (`info`, `data`), ")
        );
        assert!(Dialect::ALL.iter().all(|dialect| reason.contains(dialect.title)), "{reason}");
        assert!(read("{}").unwrap_err().starts_with("no known form of a trace: found no keys;"));
        let many = r#"{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1}"#;
        assert!(read(many).unwrap_err().contains("`f`, 2 more;"), "{many}");
    }

    #[test]
    fn the_keys_of_an_unknown_shape_are_counted() {
        let mut unknown = UnknownFields::new();
        for line in [r#"{"input": 1, "output": 2}"#, r#"{"input": 1}"#] {
            assert!(read_with(line, None, &mut unknown).is_err());
        }
        assert_eq!(unknown, UnknownFields::from([("input".to_owned(), 2), ("output".to_owned(), 1)]));
    }

    #[test]
    fn a_derived_id_has_mlflows_form() {
        assert_eq!(derived_trace_id([0x0a; 16]), "tr-0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a");
    }
}
