//! OpenTelemetry's typed values as plain JSON.
//!
//! Source: `opentelemetry/proto/common/v1/common.proto`, `AnyValue`; protobuf's JSON mapping writes the names in either case
//! and 64-bit integers also as strings.

use serde_json::{Map, Value};

/// `[{"key": "k", "value": {"int_value": 1}}]` as `{"k": 1}`. Items without a key are skipped.
pub(crate) fn fields(pairs: Vec<Value>) -> Map<String, Value> {
    let pair = |pair| match pair {
        Value::Object(mut pair) => match pair.remove("key") {
            Some(Value::String(key)) => Some((key, pair.remove("value").map_or(Value::Null, plain))),
            _ => None,
        },
        _ => None,
    };
    pairs.into_iter().filter_map(pair).collect()
}

/// `{"string_value": "x"}` as `"x"`; an empty object, which means `null`, as `null`.
pub(crate) fn plain(typed: Value) -> Value {
    let Value::Object(typed) = typed else { return typed };
    // Phoenix writes all kinds, all but one of them `null`.
    let Some((kind, value)) = typed.into_iter().find(|(_, value)| !value.is_null()) else { return Value::Null };
    match (kind.as_str(), value) {
        ("int_value" | "intValue", Value::String(text)) => text.parse::<i64>().map_or(Value::String(text), Value::from),
        ("array_value" | "arrayValue", list) => values(list).into_iter().map(plain).collect(),
        ("kvlist_value" | "kvlistValue", list) => Value::Object(fields(values(list))),
        (_, value) => value,
    }
}

fn values(list: Value) -> Vec<Value> {
    match list {
        Value::Object(mut list) => match list.remove("values") {
            Some(Value::Array(values)) => values,
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn typed_values_become_plain_ones() {
        let typed = json!([
            {"key": "s", "value": {"string_value": "{\"not\": \"decoded\"}"}},
            {"key": "i", "value": {"intValue": "1700000000123000000"}},
            {"key": "d", "value": {"double_value": 2.5}},
            {"key": "b", "value": {"boolValue": true}},
            {"key": "n", "value": {}},
            {"key": "p", "value": {"array_value": null, "int_value": 5, "string_value": null}},
            {"key": "m"},
            {"key": "l", "value": {"array_value": {"values": [{"int_value": 1}, {}]}}},
            {"key": "e", "value": {"arrayValue": {}}},
            {"key": "o", "value": {"kvlist_value": {"values": [{"key": "k", "value": {"string_value": "v"}}]}}},
            {"value": {"int_value": 1}},
        ]);
        let Value::Array(typed) = typed else { panic!() };
        let plain = json!({"s": "{\"not\": \"decoded\"}", "i": 1_700_000_000_123_000_000_i64, "d": 2.5, "b": true,
            "n": null, "p": 5, "m": null, "l": [1, null], "e": [], "o": {"k": "v"}});
        assert_eq!(Value::Object(fields(typed)), plain);
    }
}
