//! JSON objects in which only some members matter, read in one pass.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// The members of an object that matter. The others are only scanned for their end: compatible servers put odd things there.
pub(crate) trait Members<'a>: Default {
    /// Reads the value of a member, which comes next in `map`; or leaves it there and returns `false`, if it does not matter.
    ///
    /// If a name occurs twice, the last one counts.
    fn take<A: MapAccess<'a>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error>;
}

/// An object, reduced to what matters.
pub(crate) struct Object<T>(pub T);

impl<'a, T: Members<'a>> Deserialize<'a> for Object<T> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        struct Take<T>(T);

        impl<'a, T: Members<'a>> Visitor<'a> for Take<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'a>>(mut self, mut map: A) -> Result<Object<T>, A::Error> {
                while let Some(Name(name)) = map.next_key()? {
                    if !self.0.take(&name, &mut map)? {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(Object(self.0))
            }
        }

        deserializer.deserialize_map(Take(T::default()))
    }
}

/// Borrowed, unless it has an escape.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// The first element of a list, if it has one.
pub(crate) struct First<T>(pub Option<T>);

impl<'a, T: Deserialize<'a>> Deserialize<'a> for First<T> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        struct Take<T>(PhantomData<T>);

        impl<'a, T: Deserialize<'a>> Visitor<'a> for Take<T> {
            type Value = First<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'a>>(self, mut list: A) -> Result<First<T>, A::Error> {
                let first = list.next_element()?;
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(First(first))
            }
        }

        deserializer.deserialize_seq(Take(PhantomData))
    }
}

/// As written, to be parsed once the form of everything around it is known; `None` also for `null`.
pub(crate) type Raw<'a> = Option<&'a RawValue>;

/// `None` if it cannot be parsed (half a surrogate pair, a number beyond all bounds).
pub(crate) fn value(raw: Raw<'_>) -> Option<Value> {
    let raw = raw?;
    plain(raw).map_or_else(|| serde_json::from_str(raw.get()).ok(), |text| Some(text.into()))
}

/// The text of a string without escapes, which needs no second parsing.
fn plain(raw: &RawValue) -> Option<&str> {
    raw.get().strip_prefix('"')?.strip_suffix('"').filter(|text| memchr::memchr(b'\\', text.as_bytes()).is_none())
}

/// What was deferred until the form of everything around it was known; `None` if it has another form or is missing.
pub(crate) fn if_object<'a, T: Members<'a>>(raw: Raw<'a>) -> T {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).map_or_else(T::default, |Object(members)| members)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq)]
    struct Some2 {
        a: Value,
        c: Value,
    }

    impl<'a> Members<'a> for Some2 {
        fn take<A: MapAccess<'a>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
            match name {
                "a" => self.a = map.next_value()?,
                "c" => self.c = map.next_value()?,
                _ => return Ok(false),
            }
            Ok(true)
        }
    }

    fn read(text: &str) -> Option<Some2> {
        serde_json::from_str(text).ok().map(|Object(members)| members)
    }

    #[test]
    fn only_what_matters_is_read_and_of_two_the_last_counts() {
        let text = r#"{"b":1e999,"a":7,"\u0063":{"d":2},"z":[{"a":8}],"a":"y"}"#;
        assert_eq!(read(text), Some(Some2 { a: "y".into(), c: serde_json::json!({"d": 2}) }));
        assert_eq!(read("{}"), Some(Some2::default()));
        for none in ["[]", "7", "null", r#"{"a":1"#, r#"{"a":}"#, r#"{"b":}"#, r#"{"b":[1}"#, "{} 1"] {
            assert_eq!(read(none), None, "{none}");
        }
    }

    #[test]
    fn of_a_list_the_first_element_is_read() {
        let first = |text: &str| serde_json::from_str::<First<u8>>(text).ok().map(|First(first)| first);
        assert_eq!(first("[]"), Some(None));
        assert_eq!(first("[1,{},\"x\"]"), Some(Some(1)));
        for none in ["{}", "[\"x\"]", "[1,}", "[1"] {
            assert_eq!(first(none), None, "{none}");
        }
    }

    #[test]
    fn a_value_is_what_serde_json_reads() {
        for text in [
            r#""""#,
            r#""stop""#,
            r#""a\"b""#,
            r#""\u00e9""#,
            r#""\ud83d""#,
            "7",
            "1e999",
            "null",
            "[1]",
            r#"{"a":"b"}"#,
        ] {
            let raw = RawValue::from_string(text.to_owned()).unwrap();
            assert_eq!(value(Some(&raw)), serde_json::from_str(text).ok(), "{text}");
        }
    }

    #[test]
    fn what_is_no_object_has_no_members() {
        let of = |text: &str| {
            let raw = RawValue::from_string(text.to_owned()).unwrap();
            if_object::<Some2>(Some(&raw)).a
        };
        assert_eq!(
            (of(r#"{"a":1}"#), of("[1]"), of("null"), of("\"none\"")),
            (1.into(), Value::Null, Value::Null, Value::Null)
        );
        assert_eq!(if_object::<Some2>(None), Some2::default());
    }
}
