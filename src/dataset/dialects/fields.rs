//! Values of a JSON object, by the type that a field should have; an error names the field and what was found.

use std::collections::BTreeMap;
use std::fmt::Display;

use serde_json::{Map, Value};

use crate::dataset::json;

/// Of so many members, one is found sooner by a look at each than by the hash of its name.
const FEW: usize = 16;

/// As `object.get(name)`.
pub(crate) fn member<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    if object.len() > FEW {
        return object.get(name);
    }
    object.iter().find_map(|(key, value)| (key == name).then_some(value))
}

pub(crate) fn wrong(name: impl Display, wanted: &str, found: &Value) -> String {
    format!("`{name}` must be {wanted}, found {}", kind(found))
}

/// The type of a value in words.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// An object; `null` is an empty one.
pub(crate) fn object(name: impl Display, value: Value) -> Result<Map<String, Value>, String> {
    match value {
        Value::Object(fields) => Ok(fields),
        Value::Null => Ok(Map::new()),
        other => Err(wrong(name, "an object", &other)),
    }
}

/// A list; `null` is an empty one.
pub(crate) fn list(name: impl Display, wanted: &str, value: Value) -> Result<Vec<Value>, String> {
    match value {
        Value::Array(values) => Ok(values),
        Value::Null => Ok(Vec::new()),
        other => Err(wrong(name, wanted, &other)),
    }
}

/// A string, or a number as its text; `null` and `""` count as missing.
pub(crate) fn text(name: impl Display, value: Value) -> Result<Option<String>, String> {
    match value {
        Value::String(text) => Ok(Some(text).filter(|text| !text.is_empty())),
        Value::Number(number) => Ok(Some(number.to_string())),
        Value::Null => Ok(None),
        other => Err(wrong(name, "a string", &other)),
    }
}

/// An object of strings; other values are kept as their JSON text, `null` is an empty object.
pub(crate) fn strings(name: impl Display, value: Value) -> Result<BTreeMap<String, String>, String> {
    match value {
        Value::Object(fields) => Ok(fields.into_iter().map(|(key, value)| (key, json_text(value))).collect()),
        Value::Null => Ok(BTreeMap::new()),
        other => Err(wrong(name, "an object of strings", &other)),
    }
}

/// Labels: an object of strings, OpenTelemetry's and MLflow 2's pairs, or a list of tags, each of which is then `true`.
pub(crate) fn labels(name: impl Display, value: Value) -> Result<BTreeMap<String, String>, String> {
    match value {
        Value::Object(_) | Value::Null => strings(name, value),
        Value::Array(tags) => {
            let labels = tags.into_iter().map(|tag| label(&name, tag));
            labels.filter_map(Result::transpose).collect()
        }
        Value::String(text) if text.is_empty() => Ok(BTreeMap::new()),
        Value::String(text) if text.trim_start().starts_with(['{', '[']) => {
            match json::from_text(Value::String(text)) {
                Value::String(text) => Ok(BTreeMap::from([(text, "true".to_owned())])),
                nested => labels(name, nested),
            }
        }
        Value::String(text) => Ok(BTreeMap::from([(text, "true".to_owned())])),
        other => Err(wrong(name, "an object or a list of strings", &other)),
    }
}

/// One of a list: a tag, or a pair.
fn label(name: impl Display, value: Value) -> Result<Option<(String, String)>, String> {
    match value {
        Value::Object(mut pair) if pair.contains_key("key") => {
            let value = pair.remove("value").map(json_text).unwrap_or_default();
            Ok(text(name, pair.remove("key").unwrap_or_default())?.map(|key| (key, value)))
        }
        tag => Ok(text(name, tag)?.map(|tag| (tag, "true".to_owned()))),
    }
}

/// Facts: an object of strings, also as its JSON text; anything else is kept under the field's own name.
pub(crate) fn facts(name: &str, value: Value) -> BTreeMap<String, String> {
    match json::from_text(value) {
        Value::Object(fields) => fields.into_iter().map(|(key, value)| (key, json_text(value))).collect(),
        Value::Null => BTreeMap::new(),
        other => BTreeMap::from([(name.to_owned(), json_text(other))]),
    }
}

/// A text as it is, any other value as its JSON text.
pub(crate) fn json_text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// Expectations, under the names that judges know: an object that has one of them as it is, anything else as the expected response.
pub(crate) fn expectations(value: Value) -> Map<String, Value> {
    const NAMES: [&str; 4] = ["expected_response", "expected_facts", "guidelines", "expected_retrieved_context"];
    match value {
        Value::Null => Map::new(),
        Value::Object(fields) if NAMES.iter().any(|name| fields.contains_key(*name)) => fields,
        Value::Object(fields) if fields.len() == 1 => {
            fields.into_iter().map(|(_, value)| ("expected_response".to_owned(), value)).collect()
        }
        other => Map::from_iter([("expected_response".to_owned(), other)]),
    }
}

/// A non-negative number, rounded, or its text; `null` counts as missing.
pub(crate) fn count(name: impl Display, value: Value) -> Result<Option<u64>, String> {
    let number = match &value {
        Value::Null => return Ok(None),
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.as_u64().or_else(|| {
            let number = number.as_f64().filter(|number| (0.0..9e15).contains(number))?;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
            Some(number.round() as u64)
        }),
        _ => None,
    };
    number.map(Some).ok_or_else(|| wrong(name, "a number that is not negative", &value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_complaint_names_the_field_and_what_was_found() {
        assert_eq!(strings("tags", json!([1])).unwrap_err(), "`tags` must be an object of strings, found a list");
        assert_eq!(text("trace_id", json!(true)).unwrap_err(), "`trace_id` must be a string, found a boolean");
        assert_eq!(count("n", json!(-1)).unwrap_err(), "`n` must be a number that is not negative, found a number");
        assert_eq!(
            labels("tags", json!(true)).unwrap_err(),
            "`tags` must be an object or a list of strings, found a boolean"
        );
    }

    #[test]
    fn scalars_are_read_from_their_usual_spellings() {
        assert_eq!(text("f", json!(7)), Ok(Some("7".into())));
        assert_eq!(text("f", json!("")), Ok(None));
        assert_eq!(strings("f", json!({"a": 1, "b": "x"})).unwrap()["a"], "1");
        assert_eq!(count("f", json!(u64::MAX)), Ok(Some(u64::MAX)));
        assert_eq!(count("f", json!(12.6)), Ok(Some(13)));
        assert_eq!(count("f", json!("1795439390416478268")), Ok(Some(1_795_439_390_416_478_268)));
    }

    #[test]
    fn labels_and_facts_are_read_from_their_usual_spellings() {
        let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        for (value, expected) in [
            (json!({"a": "b", "n": 1}), map(&[("a", "b"), ("n", "1")])),
            (json!(["a", 7, "", null]), map(&[("a", "true"), ("7", "true")])),
            (json!([{"key": "a", "value": "b"}, {"key": "n", "value": 1}]), map(&[("a", "b"), ("n", "1")])),
            (json!("[\"a\"]"), map(&[("a", "true")])),
            (json!("a"), map(&[("a", "true")])),
            (json!("{a"), map(&[("{a", "true")])),
            (json!(""), map(&[])),
            (json!(null), map(&[])),
        ] {
            assert_eq!(labels("tags", value.clone()), Ok(expected), "{value}");
        }
        assert_eq!(facts("metadata", json!("{\"a\": 1}")), map(&[("a", "1")]));
        assert_eq!(facts("metadata", json!(["x"])), map(&[("metadata", "[\"x\"]")]));
        assert_eq!(facts("metadata", json!(null)), map(&[]));
    }

    #[test]
    fn what_is_expected_has_a_name_that_judges_know() {
        let named = |value| Value::Object(expectations(value));
        assert_eq!(named(json!("x")), json!({"expected_response": "x"}));
        assert_eq!(named(json!({"answer": "x"})), json!({"expected_response": "x"}));
        assert_eq!(named(json!({"a": 1, "b": 2})), json!({"expected_response": {"a": 1, "b": 2}}));
        assert_eq!(named(json!({"expected_facts": ["x"], "b": 2})), json!({"expected_facts": ["x"], "b": 2}));
        assert_eq!(named(json!(null)), json!({}));
    }
}
