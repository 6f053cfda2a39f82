//! How deep values may nest, so that whatever handles them needs a bounded stack.

use serde_json::Value;

/// Values that are nested deeper are kept as JSON text from there on. `serde_json` reads back 128 levels; a span in a trace uses a few.
pub(crate) const MAX_DEPTH: usize = 100;

/// Whether a value has more than this many levels of lists and objects.
pub(crate) fn is_deeper(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(values) => levels == 0 || values.iter().any(|value| is_deeper(value, levels - 1)),
        Value::Object(fields) => levels == 0 || fields.values().any(|value| is_deeper(value, levels - 1)),
        _ => false,
    }
}

/// Replaces lists and objects below this many levels by their JSON text.
pub(crate) fn flatten(value: &mut Value, levels: usize) {
    match value {
        Value::Array(_) | Value::Object(_) if levels == 0 => *value = Value::String(value.to_string()),
        Value::Array(values) => values.iter_mut().for_each(|value| flatten(value, levels - 1)),
        Value::Object(fields) => fields.values_mut().for_each(|value| flatten(value, levels - 1)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_too_deep_becomes_text_and_the_rest_stays() {
        let mut value = json!({"a": [1, {"b": [2]}], "c": "x"});
        assert!(is_deeper(&value, 3) && !is_deeper(&value, 4));
        flatten(&mut value, 4);
        assert_eq!(value, json!({"a": [1, {"b": [2]}], "c": "x"}));
        flatten(&mut value, 2);
        assert_eq!(value, json!({"a": [1, "{\"b\":[2]}"], "c": "x"}));
        assert!(!is_deeper(&value, 2));
    }
}
