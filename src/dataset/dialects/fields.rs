//! Values of a JSON object by the type that a field should have; a complaint names the field and what was found.

use std::collections::BTreeMap;
use std::fmt::Display;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

/// How often each field that no dialect knows was met.
pub(crate) type UnknownFields = BTreeMap<String, u64>;

/// The name under which traces are counted whose form leaves their spans out: they may well have some.
pub const SPANS_LEFT_OUT: &str = "(spans left out)";

/// More names than this are counted together, so that odd data cannot fill the memory.
const MAX_UNKNOWN_NAMES: usize = 100;

pub(crate) fn count_unknown(fields: &mut UnknownFields, name: impl Into<String>) {
    let name = name.into();
    let name =
        if fields.len() < MAX_UNKNOWN_NAMES || fields.contains_key(&name) { name } else { "(others)".to_owned() };
    *fields.entry(name).or_default() += 1;
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

/// A string, or a number as its text; `null` and `""` are none.
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
    let text = |value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    match value {
        Value::Object(fields) => Ok(fields.into_iter().map(|(key, value)| (key, text(value))).collect()),
        Value::Null => Ok(BTreeMap::new()),
        other => Err(wrong(name, "an object of strings", &other)),
    }
}

/// A number that is not negative, rounded, or its text; `null` is none.
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

/// A time in milliseconds of Unix time, also as text, or in RFC 3339; `null` is none.
pub(crate) fn time_ms(name: impl Display, value: Value) -> Result<Option<i64>, String> {
    let time = match &value {
        Value::Null => return Ok(None),
        Value::String(text) => {
            text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond).or_else(|| text.parse().ok())
        }
        Value::Number(number) => number.as_i64(),
        _ => None,
    };
    match (time, &value) {
        (Some(time), _) => Ok(Some(time)),
        (None, Value::String(text)) => Err(format!("`{name}` must be an RFC 3339 time, found `{text}`")),
        (None, other) => Err(wrong(name, "a time in milliseconds or RFC 3339", other)),
    }
}

/// A time in nanoseconds of Unix time: a number of seconds, or of thousandths, millionths or billionths of them, told apart by
/// their size, or a text as ISO 8601 has it, UTC where it names no zone; `null` is none.
pub(crate) fn time_ns(name: impl Display, value: Value) -> Result<Option<u64>, String> {
    if let Value::String(text) = &value {
        let zoned = text.parse::<Timestamp>().ok();
        let civil = || TimeZone::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok();
        if let Some(time) = zoned.or_else(civil) {
            return Ok(u64::try_from(time.as_nanosecond()).ok());
        }
    }
    let Some(time) = count(&name, value).map_err(|_| format!("`{name}` must be a time: a number, or RFC 3339"))? else {
        return Ok(None);
    };
    // From 1973 on each unit has its own range of numbers.
    let to_nano = match time {
        ..100_000_000_000 => 1_000_000_000,
        100_000_000_000..100_000_000_000_000 => 1_000_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1_000,
        _ => 1,
    };
    Ok(time.checked_mul(to_nano))
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
        assert_eq!(time_ms("t", json!("noon")).unwrap_err(), "`t` must be an RFC 3339 time, found `noon`");
    }

    #[test]
    fn scalars_are_read_from_their_usual_spellings() {
        assert_eq!(text("f", json!(7)), Ok(Some("7".into())));
        assert_eq!(text("f", json!("")), Ok(None));
        assert_eq!(strings("f", json!({"a": 1, "b": "x"})).unwrap()["a"], "1");
        assert_eq!(count("f", json!(u64::MAX)), Ok(Some(u64::MAX)));
        assert_eq!(count("f", json!(12.6)), Ok(Some(13)));
        assert_eq!(count("f", json!("1795439390416478268")), Ok(Some(1_795_439_390_416_478_268)));
        assert_eq!(time_ms("f", json!("2026-11-23T13:09:50.289Z")), Ok(Some(1_795_439_390_289)));
        assert_eq!(time_ms("f", json!("2026-11-23T15:09:50.289+02:00")), Ok(Some(1_795_439_390_289)));
        assert_eq!((time_ms("f", json!(5)), time_ms("f", json!("5"))), (Ok(Some(5)), Ok(Some(5))));
    }

    #[test]
    fn times_of_any_unit_are_nanoseconds() {
        for value in [
            json!(1_795_439_390),
            json!(1_795_439_390_000_i64),
            json!(1_795_439_390_000_000_i64),
            json!("1795439390000000000"),
            json!("2026-11-23T13:09:50Z"),
            json!("2026-11-23T13:09:50.000000+00:00"),
            json!("2026-11-23 13:09:50"),
        ] {
            assert_eq!(time_ns("t", value.clone()), Ok(Some(1_795_439_390_000_000_000)), "{value}");
        }
        assert_eq!(time_ns("t", Value::Null), Ok(None));
        assert_eq!(time_ns("t", json!("noon")).unwrap_err(), "`t` must be a time: a number, or RFC 3339");
    }

    #[test]
    fn names_that_never_repeat_do_not_fill_the_memory() {
        let mut fields = UnknownFields::new();
        (0..1000).for_each(|i| count_unknown(&mut fields, format!("f{i}")));
        count_unknown(&mut fields, "f3");
        assert_eq!((fields.len(), fields["f3"], fields["(others)"]), (MAX_UNKNOWN_NAMES + 1, 2, 900));
    }
}
