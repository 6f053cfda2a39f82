//! A span's attributes: a flat map whose keys may spell a path, as in `llm.input_messages.0.message.role`.

use serde_json::{Map, Value};

use crate::dataset::json;

/// How deep a path may go; what is deeper is one key.
const MAX_DEPTH: usize = 32;

/// Attributes that no convention has consumed yet.
#[derive(Debug, Default)]
pub(crate) struct Attributes(Map<String, Value>);

impl Attributes {
    pub(crate) fn new(flat: Map<String, Value>) -> Self {
        Self(flat)
    }

    /// Attributes of an object that may nest, made flat; `null` is skipped. What is named in `whole` stays as it is, also
    /// at the end of a path.
    pub(crate) fn flattened(nested: Map<String, Value>, whole: &[&str]) -> Self {
        let mut flat = Map::new();
        nested.into_iter().for_each(|(key, value)| flatten(key, value, whole, &mut flat));
        Self(flat)
    }

    pub(crate) fn into_map(self) -> Map<String, Value> {
        self.0
    }

    pub(crate) fn get_text(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    pub(crate) fn contains(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// Whether any key begins so.
    pub(crate) fn has_prefix(&self, prefix: &str) -> bool {
        self.0.keys().any(|key| key.starts_with(prefix))
    }

    /// Takes a value as it is.
    pub(crate) fn take(&mut self, key: &str) -> Option<Value> {
        self.0.shift_remove(key)
    }

    /// Takes a text that is not empty.
    pub(crate) fn take_text(&mut self, key: &str) -> Option<String> {
        match self.0.get(key) {
            Some(Value::String(text)) if !text.is_empty() => match self.0.shift_remove(key) {
                Some(Value::String(text)) => Some(text),
                _ => None,
            },
            _ => None,
        }
    }

    /// Takes a value that is under its key, possibly as JSON text, or in pieces under keys that begin with it.
    pub(crate) fn take_value(&mut self, key: &str) -> Option<Value> {
        match self.take(key) {
            Some(value) => Some(json::from_text(value)),
            None => self.take_nested(key),
        }
    }

    /// Assembles a value under its key from JSON text, or from pieces.
    pub(crate) fn decode(&mut self, key: &str) {
        if let Some(value) = self.0.get_mut(key) {
            *value = json::from_text(value.take());
        } else if let Some(value) = self.take_nested(key) {
            self.0.insert(key.to_owned(), value);
        }
    }

    /// Decodes all values.
    pub(crate) fn decode_all(&mut self) {
        self.0.values_mut().for_each(|value| *value = json::from_text(value.take()));
    }

    /// Takes what comes in pieces: `k.0.a` and `k.1.a` as the value `[{"a": ...}, {"a": ...}]` of `k`.
    fn take_nested(&mut self, key: &str) -> Option<Value> {
        let is_piece = |path: &str| path.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'));
        if !self.0.keys().any(|path| is_piece(path)) {
            return None;
        }
        let mut nested = Map::new();
        let mut rest = Map::with_capacity(self.0.len());
        for (path, value) in std::mem::take(&mut self.0) {
            if is_piece(&path) {
                insert(&mut nested, path.get(key.len() + 1..).unwrap_or_default(), value);
            } else {
                rest.insert(path, value);
            }
        }
        self.0 = rest;
        Some(lists(Value::Object(nested)))
    }
}

fn insert(into: &mut Map<String, Value>, path: &str, value: Value) {
    let mut segments = path.splitn(MAX_DEPTH, '.').peekable();
    let mut into = into;
    while let Some(segment) = segments.next() {
        if segments.peek().is_none() {
            into.insert(segment.to_owned(), value);
            return;
        }
        let inner = into.entry(segment).or_insert_with(|| Value::Object(Map::new()));
        if !inner.is_object() {
            // A value and a path through it cannot both be kept; the path says more.
            *inner = Value::Object(Map::new());
        }
        match inner {
            Value::Object(inner) => into = inner,
            _ => return,
        }
    }
}

/// Objects whose keys are all numbers become lists, in the order of these numbers.
fn lists(value: Value) -> Value {
    let Value::Object(fields) = value else { return value };
    let numbered: Option<Vec<u64>> = fields.keys().map(|key| key.parse().ok()).collect();
    match numbered {
        Some(numbers) if !numbers.is_empty() => {
            let mut items: Vec<_> = numbers.into_iter().zip(fields.into_iter().map(|(_, value)| value)).collect();
            items.sort_by_key(|(number, _)| *number);
            items.into_iter().map(|(_, value)| lists(value)).collect()
        }
        _ => Value::Object(fields.into_iter().map(|(key, value)| (key, lists(value))).collect()),
    }
}

fn flatten(path: String, value: Value, whole: &[&str], into: &mut Map<String, Value>) {
    let is_whole =
        || whole.iter().any(|name| path.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')));
    match value {
        Value::Null => {}
        Value::Object(fields) if !is_whole() => {
            fields.into_iter().for_each(|(key, value)| flatten(format!("{path}.{key}"), value, whole, into));
        }
        Value::Array(items) if items.iter().any(Value::is_object) && !is_whole() => {
            let numbered = items.into_iter().enumerate();
            numbered.for_each(|(index, value)| flatten(format!("{path}.{index}"), value, whole, into));
        }
        value => drop(into.insert(path, value)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn attributes(value: Value) -> Attributes {
        let Value::Object(map) = value else { panic!() };
        Attributes::new(map)
    }

    #[test]
    fn pieces_come_together_in_the_order_of_their_numbers() {
        let mut attributes =
            attributes(json!({"m.10.role": "c", "m.2.role": "b", "other": 1, "m.0.t.1.x": 1, "m.0.t.0.x": 0,
            "more.0": 1}));
        assert_eq!(
            attributes.take_value("m"),
            Some(json!([{"t": [{"x": 0}, {"x": 1}]}, {"role": "b"}, {"role": "c"}]))
        );
        assert_eq!(attributes.take_value("m"), None);
        assert_eq!(Value::Object(attributes.into_map()), json!({"other": 1, "more.0": 1}));
    }

    #[test]
    fn a_value_may_be_whole_or_json_text_as_well() {
        let mut attributes = attributes(json!({"a": "[1]", "b": [2], "c": "x"}));
        let taken = ["a", "b", "c", "d"].map(|key| attributes.take_value(key));
        assert_eq!(taken, [Some(json!([1])), Some(json!([2])), Some(json!("x")), None]);
    }

    #[test]
    fn a_path_without_end_and_one_that_contradicts_itself_do_no_harm() {
        let mut attributes = attributes(json!({("k".to_owned() + &".a".repeat(100_000)): 1, "v.a": 1, "v.a.b": 2}));
        let deep = attributes.take_value("k").unwrap();
        assert_eq!(deep.to_string().matches('{').count(), MAX_DEPTH);
        assert_eq!(attributes.take_value("v"), Some(json!({"a": {"b": 2}})));
    }

    #[test]
    fn nested_attributes_become_the_flat_ones_that_were_sent() {
        let nested = json!({"llm": {"input_messages": [{"message.role": "user", "message": {"content": "Hi"}}], "n": null},
            "metadata": {"a": {"b": 1}}, "vector": [0.5, 1.0]});
        let Value::Object(nested) = nested else { panic!() };
        let flat = Attributes::flattened(nested, &["metadata"]).into_map();
        assert_eq!(
            Value::Object(flat),
            json!({"llm.input_messages.0.message.role": "user", "llm.input_messages.0.message.content": "Hi",
                "metadata": {"a": {"b": 1}}, "vector": [0.5, 1.0]})
        );
    }
}
