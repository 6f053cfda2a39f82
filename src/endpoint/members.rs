//! JSON objects of which only some members matter.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// The members of a JSON object, each as it is written: what nobody asks for is never parsed. Where a name is there twice, the last counts.
#[derive(Debug, Default)]
pub(super) struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

/// Parses what is written.
///
/// # Errors
/// When it has another form.
pub(super) fn read<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> serde_json::Result<T> {
    serde_json::from_str(raw.get())
}

impl<'a> Members<'a> {
    /// The member of this name, if it is there and not `null`.
    pub(super) fn raw(&self, name: &str) -> Option<&'a RawValue> {
        let found = self.0.iter().rev().find(|(key, _)| key == name);
        found.map(|(_, raw)| *raw).filter(|raw| raw.get() != "null")
    }

    /// The same, parsed; `None` also if it cannot be.
    pub(super) fn value(&self, name: &str) -> Option<Value> {
        self.raw(name).and_then(|raw| read(raw).ok())
    }

    /// The same, as an object; without members if it is none.
    pub(super) fn object(&self, name: &str) -> Self {
        self.raw(name).and_then(|raw| read(raw).ok()).unwrap_or_default()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::with_capacity(8);
                while let Some((Key(name), raw)) = map.next_entry()? {
                    members.push((name, raw));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Collect)
    }
}

/// Borrowed, unless it has an escape.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_asked_for_is_parsed_and_of_two_the_last_counts() {
        let members: Members<'_> =
            serde_json::from_str(r#"{"a":1e999,"b":null,"\u0063":"x","c":{"d":2},"a":"y"}"#).unwrap();
        assert_eq!((members.value("a"), members.value("b"), members.value("d")), (Some("y".into()), None, None));
        assert_eq!(members.object("c").value("d"), Some(2.into()));
        assert_eq!(members.object("a").value("d"), None);
        for none in ["[]", "7", r#"{"a":1"#, r#"{"a":}"#] {
            assert!(serde_json::from_str::<Members<'_>>(none).is_err(), "{none}");
        }
    }
}
