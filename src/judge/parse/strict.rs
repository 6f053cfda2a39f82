//! An answer that is exact JSON.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Value};

use super::keys::is_value_key;

/// JSON as a whole.
pub(super) enum Whole {
    Object {
        object: Map<String, Value>,
        /// Whether it has one verdict key twice, with different values. JSON itself would silently take the last.
        contradicts_itself: bool,
    },
    Other(Value),
}

impl Whole {
    /// Reads a text that is one JSON value, and nothing else.
    pub(super) fn read(text: &str) -> Option<Self> {
        if !text.trim_start().starts_with('{') {
            return serde_json::from_str(text).ok().map(Self::Other);
        }
        let Object { object, contradicts_itself } = serde_json::from_str(text).ok()?;
        Some(Self::Object { object, contradicts_itself })
    }
}

struct Object {
    object: Map<String, Value>,
    contradicts_itself: bool,
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Object;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
        let mut object = Map::new();
        let mut contradicts_itself = false;
        while let Some((key, value)) = map.next_entry::<String, Value>()? {
            match object.entry(key) {
                Entry::Vacant(entry) => _ = entry.insert(value),
                Entry::Occupied(mut entry) => {
                    contradicts_itself |= is_value_key(entry.key()) && *entry.get() != value;
                    entry.insert(value);
                }
            }
        }
        Ok(Object { object, contradicts_itself })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_with_two_verdicts_is_noticed() {
        let contradicts = |text: &str| match Whole::read(text) {
            Some(Whole::Object { contradicts_itself, .. }) => Some(contradicts_itself),
            _ => None,
        };
        assert_eq!(contradicts(r#" {"value": 4, "rationale": "x", "value": 2}"#), Some(true));
        assert_eq!(contradicts(r#"{"score": 4, "score": 2}"#), Some(true));
        assert_eq!(contradicts(r#"{"value": 4, "value": 4, "x": 1, "x": 2}"#), Some(false));
        assert_eq!(contradicts(r#"{"value": 4} {"value": 4}"#), None);
        assert!(matches!(Whole::read("[1]"), Some(Whole::Other(_))));
    }
}
