//! An answer that is one JSON object, for verdicts of several parts: prose is not searched for them.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::outcome::{DIFFERING, Miss, ParseMethod};
use super::{limits, strip, turn};

/// The object that a text is, as it is or without reasoning, control tokens and code fence.
pub(super) fn read(text: &str) -> Result<(Map<String, Value>, ParseMethod), Miss> {
    if let Some(object) = object(text) {
        return object.map(|object| (object, ParseMethod::Strict));
    }
    let fenced = strip::fence(text.trim_start_matches('\u{feff}'));
    let body = strip::fence(turn::own(strip::reasoning(text)));
    let found = [fenced, body].into_iter().find_map(object);
    match found {
        Some(object) => object.map(|object| (object, ParseMethod::Extracted)),
        None if body.is_empty() => Err(Miss::Unparseable("the answer is empty, or only reasoning")),
        None => Err(Miss::Unparseable("the answer is not one JSON object")),
    }
}

/// Marks the one error that is not a syntax error.
const TWICE: &str = "the same key twice";

fn object(text: &str) -> Option<Result<Map<String, Value>, Miss>> {
    if !text.trim_start().starts_with('{') {
        return None;
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Once { levels: limits::MAX_NESTING }.deserialize(&mut deserializer);
    match (value, deserializer.end()) {
        (Ok(Value::Object(object)), Ok(())) => Some(Ok(object)),
        (Err(error), _) if error.to_string().starts_with(TWICE) => Some(Err(Miss::Unparseable(DIFFERING))),
        _ => None,
    }
}

/// Reads a value in which no object has a key twice with different values. JSON itself would silently take the last.
#[derive(Clone, Copy)]
struct Once {
    levels: usize,
}

impl Once {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        let levels = self.levels.checked_sub(1).ok_or_else(|| E::custom("nested too deeply"))?;
        Ok(Self { levels })
    }
}

impl<'de> DeserializeSeed<'de> for Once {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Once {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = map.next_value_seed(inner)?;
            match object.get(&key) {
                Some(other) if *other != value => return Err(A::Error::custom(TWICE)),
                _ => _ = object.insert(key, value),
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_read_as_it_stands_or_out_of_its_wrapping() {
        for (text, method) in [
            (r#" {"a": [1, -2, 0.5, "x", null, true]} "#, ParseMethod::Strict),
            ("```json\n{\"a\": 1}\n```", ParseMethod::Extracted),
            ("<think>{\"a\": 2}</think>{\"a\": 1}", ParseMethod::Extracted),
            ("{\"a\": 1}<|im_end|>", ParseMethod::Extracted),
        ] {
            assert_eq!(read(text).unwrap().1, method, "{text}");
        }
        for text in
            ["", "[1]", "Here: {\"a\": 1}", "{\"a\": 1} {\"a\": 1}", "{\"a\": 1", "{'a': 1}", "<think>x</think>"]
        {
            assert!(matches!(read(text), Err(Miss::Unparseable(_))), "{text}");
        }
    }

    #[test]
    fn what_contradicts_itself_anywhere_is_no_verdict() {
        for text in [r#"{"a": 1, "a": 2}"#, r#"{"a": [{"b": "x", "b": "y"}]}"#] {
            assert_eq!(read(text), Err(Miss::Unparseable(DIFFERING)), "{text}");
        }
        assert!(read(r#"{"a": 1, "a": 1}"#).is_ok());
        let nested = format!("{{\"a\": {}{}}}", "[".repeat(limits::MAX_NESTING), "]".repeat(limits::MAX_NESTING));
        assert!(read(&nested).is_err());
    }
}
