//! Instances of JSON schemas, filled at random.
//!
//! Covers what strict endpoints accept (OpenAI, "Structured model outputs", supported schemas): types, `enum`, `const`,
//! `anyOf`, `$ref` into the schema, bounds of numbers and lengths of arrays. Where a number has no bounds, they are taken
//! from its description.

use fastrand::Rng;
use serde_json::{Map, Value};

/// The text wherever a model would write some.
pub(super) const NO_MODEL: &str = "Simulated: no model was asked.";

/// Schemas that are nested deeper than this, mostly because they refer to themselves, are filled as briefly as possible.
const DEEP: usize = 6;
/// What is nested deeper still is `null`.
const TOO_DEEP: usize = 64;
/// So is what comes after this many values: a schema that has no end, or millions of items, must not stop the server.
const TOO_MANY: usize = 10_000;

/// An instance of `schema`, the same for the same seed.
pub(super) fn instance(schema: &Value, seed: u64) -> Value {
    Filler::new(schema, seed, false).fill(schema, 0)
}

/// An instance in which every number, label and boolean has a value that the schema does not allow.
pub(super) fn instance_out_of_range(schema: &Value, seed: u64) -> Value {
    Filler::new(schema, seed, true).fill(schema, 0)
}

const NO_SUCH_LABEL: &str = "no such label";
const NO_SUCH_INTEGER: i64 = 999;
const NO_SUCH_NUMBER: f64 = 1e9;

struct Filler<'a> {
    root: &'a Value,
    rng: Rng,
    out_of_range: bool,
    filled: usize,
}

impl<'a> Filler<'a> {
    fn new(root: &'a Value, seed: u64, out_of_range: bool) -> Self {
        Self { root, rng: Rng::with_seed(seed), out_of_range, filled: 0 }
    }

    fn fill(&mut self, schema: &'a Value, depth: usize) -> Value {
        self.filled += 1;
        if depth > TOO_DEEP || self.filled > TOO_MANY {
            return Value::Null;
        }
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            // `#` is the whole schema, `#/$defs/x` a JSON pointer into it.
            let target = target.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
            return target.map_or(Value::Null, |target| self.fill(target, depth + 1));
        }
        if let Some(value) = schema.get("const") {
            return value.clone();
        }
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            return self.one_of_enum(values);
        }
        if let Some(branches) = schema.get("anyOf").and_then(Value::as_array) {
            let flat = |branch: &&'a Value| branch.get("$ref").is_none() && !is_nested(branch);
            let branch = match branches.iter().find(flat) {
                Some(branch) if depth > DEEP => Some(branch),
                _ => self.rng.choice(branches),
            };
            return branch.map_or(Value::Null, |branch| self.fill(branch, depth + 1));
        }
        match self.type_of(schema) {
            "boolean" if self.out_of_range => NO_SUCH_LABEL.into(),
            "boolean" => self.rng.bool().into(),
            "integer" => self.integer(schema).into(),
            "number" => self.number(schema).into(),
            "array" => self.array(schema, depth),
            "object" => self.object(schema, depth),
            "null" => Value::Null,
            _ => text(schema).into(),
        }
    }

    fn type_of(&mut self, schema: &'a Value) -> &'a str {
        match schema.get("type") {
            Some(Value::String(name)) => name,
            Some(Value::Array(names)) => self.rng.choice(names).and_then(Value::as_str).unwrap_or("null"),
            _ if schema.get("properties").is_some() => "object",
            _ if schema.get("items").is_some() => "array",
            _ => "string",
        }
    }

    fn one_of_enum(&mut self, values: &[Value]) -> Value {
        if !self.out_of_range {
            return self.rng.choice(values).cloned().unwrap_or_default();
        }
        match values.first() {
            Some(first) if first.is_i64() => {
                values.iter().filter_map(Value::as_i64).fold(NO_SUCH_INTEGER, above).into()
            }
            Some(Value::Number(_)) => NO_SUCH_NUMBER.into(),
            _ => NO_SUCH_LABEL.into(),
        }
    }

    fn integer(&mut self, schema: &Value) -> i64 {
        let (min, max) = Bounds::of(schema).both(4.0, 1.0);
        let (min, max) = (min.ceil() as i64, max.floor() as i64);
        if self.out_of_range { above(NO_SUCH_INTEGER, max) } else { self.rng.i64(min..=max.max(min)) }
    }

    fn number(&mut self, schema: &Value) -> f64 {
        let (min, max) = Bounds::of(schema).both(1.0, 0.0);
        if self.out_of_range {
            return NO_SUCH_NUMBER.max(max * 2.0);
        }
        let number = min + self.rng.f64() * (max - min);
        ((number * 100.0).round() / 100.0).clamp(min, max.max(min))
    }

    fn array(&mut self, schema: &'a Value, depth: usize) -> Value {
        let length = |key: &str| schema.get(key).and_then(Value::as_u64);
        let min = length("minItems").unwrap_or(0).min(1000);
        let max = length("maxItems").unwrap_or(u64::MAX).max(min);
        let wanted = if depth > DEEP { 0 } else { self.rng.u64(1..=3) };
        let items = schema.get("items").unwrap_or(&Value::Null);
        (0..wanted.clamp(min, max)).map(|_| self.fill(items, depth + 1)).collect()
    }

    fn object(&mut self, schema: &'a Value, depth: usize) -> Value {
        let required = schema.get("required").and_then(Value::as_array);
        let is_required = |key: &str| required.is_some_and(|all| all.iter().any(|name| name == key));
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
            return Map::new().into();
        };
        let wanted = properties.iter().filter(|(key, _)| depth <= DEEP || is_required(key));
        wanted.map(|(key, schema)| (key.clone(), self.fill(schema, depth + 1))).collect::<Map<_, _>>().into()
    }
}

fn is_nested(schema: &Value) -> bool {
    schema.get("anyOf").is_some() || schema.get("type").is_some_and(|name| name == "object" || name == "array")
}

/// `value`, or the next above `limit` if that is higher.
fn above(value: i64, limit: i64) -> i64 {
    value.max(limit.saturating_add(1))
}

fn text(schema: &Value) -> String {
    let longest = schema.get("maxLength").and_then(Value::as_u64).and_then(|length| usize::try_from(length).ok());
    NO_MODEL.chars().take(longest.unwrap_or(usize::MAX)).collect()
}

/// The ends of a number's range, where they are known.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Bounds {
    min: Option<f64>,
    max: Option<f64>,
}

impl Bounds {
    /// `minimum` and `maximum`, else what the description says.
    fn of(schema: &Value) -> Self {
        let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
        let (min, max) = (bound("minimum"), bound("maximum"));
        if min.is_some() || max.is_some() {
            return Self { min, max };
        }
        schema.get("description").and_then(Value::as_str).map(Self::described).unwrap_or_default()
    }

    /// Reads "from 1 to 5", "between 1 and 5", "at least 1" and "at most 5"; the first that is there.
    fn described(text: &str) -> Self {
        let after =
            |phrase: &str| text.match_indices(phrase).map(|(at, _)| &text[at + phrase.len()..]).collect::<Vec<_>>();
        for (phrase, and) in [("from ", " to "), ("between ", " and ")] {
            for rest in after(phrase) {
                if let Some((min, rest)) = leading_number(rest)
                    && let Some((max, _)) = rest.strip_prefix(and).and_then(leading_number)
                    && min <= max
                {
                    return Self { min: Some(min), max: Some(max) };
                }
            }
        }
        let one = |phrase| after(phrase).into_iter().find_map(leading_number).map(|(number, _)| number);
        Self { min: one("at least "), max: one("at most ") }
    }

    /// Both ends: a missing one is `width` away from the other, and the lower one is `lowest` if both are.
    fn both(self, width: f64, lowest: f64) -> (f64, f64) {
        let min = self.min.unwrap_or_else(|| self.max.map_or(lowest, |max| max - width));
        (min, self.max.unwrap_or(min + width))
    }
}

/// The number at the start of a text, and what follows it. A full stop after it is not part of it.
fn leading_number(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || ".-+".contains(c))).unwrap_or(text.len());
    let digits = text[..end].trim_end_matches('.');
    Some((digits.parse().ok()?, &text[digits.len()..]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn instances_fit_their_schema_whatever_the_seed() {
        let schema = json!({
            "type": "object",
            "properties": {
                "rationale": {"type": "string"},
                "flag": {"type": "boolean"},
                "label": {"type": "string", "enum": ["good", "bad"]},
                "scale": {"type": "integer", "enum": [1, 2, 3]},
                "bounded": {"type": "number", "minimum": -0.004, "maximum": 0.004},
                "whole": {"type": "integer", "minimum": -3, "maximum": 7},
                "fixed": {"const": [1, null]},
                "maybe": {"type": ["string", "null"], "maxLength": 5},
                "either": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/tree"}]},
                "tree": {"$ref": "#/$defs/tree"},
                "list": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
                "optional": {"properties": {"x": {"type": "null"}}},
            },
            "required": ["rationale", "flag", "label", "scale", "bounded", "whole", "fixed", "maybe", "either", "tree", "list"],
            "additionalProperties": false,
            "$defs": {
                "tree": {
                    "type": "object",
                    "properties": {
                        "children": {"type": "array", "items": {"$ref": "#/$defs/tree"}},
                        "parent": {"anyOf": [{"$ref": "#/$defs/tree"}, {"type": "null"}]},
                    },
                    "required": ["children", "parent"],
                    "additionalProperties": false,
                },
            },
        });
        let validator = jsonschema::validator_for(&schema).unwrap();
        let mut distinct = std::collections::HashSet::new();
        for seed in 0..300 {
            let instance = instance(&schema, seed);
            let errors: Vec<_> = validator.iter_errors(&instance).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{seed}: {errors:?} in {instance}");
            assert!(instance.as_object().unwrap().keys().eq(schema["properties"].as_object().unwrap().keys()));
            distinct.insert(instance.to_string());
        }
        assert!(distinct.len() > 250, "{}", distinct.len());
        assert_eq!(instance(&schema, 7), instance(&schema, 7));
    }

    #[test]
    fn a_schema_without_an_end_is_left() {
        let node = json!({"$ref": "#"});
        let endless = json!({"type": "object", "properties": {"l": node, "r": node}, "required": ["l", "r"]});
        let items = json!({"type": "array", "minItems": 1000, "items": {"type": "array", "minItems": 1000, "items": {"$ref": "#"}}});
        for schema in [endless, items, node] {
            assert!(instance(&schema, 0).to_string().len() < 1_000_000);
        }
    }

    #[test]
    fn the_range_of_a_number_is_read_from_its_description() {
        for (text, min, max) in [
            ("the verdict: a number from 0 to 1", Some(0.0), Some(1.0)),
            ("an integer from 1 to 100.", Some(1.0), Some(100.0)),
            ("a number from -1.5 to 2.5, from bad to good", Some(-1.5), Some(2.5)),
            ("far from it; a score between 3 and 4", Some(3.0), Some(4.0)),
            ("a number of at least 0", Some(0.0), None),
            ("a number of at most 5", None, Some(5.0)),
            ("a number from 5 to 1", None, None),
            ("a number", None, None),
        ] {
            assert_eq!(Bounds::described(text), Bounds { min, max }, "{text}");
        }
    }

    #[test]
    fn numbers_stay_in_the_range_that_is_described_and_have_two_decimals() {
        for (kind, description, range) in [
            ("number", "the verdict: a number from 0 to 10", 0.0..=10.0),
            ("number", "a number of at least 3", 3.0..=4.0),
            ("number", "a number of at most 5", 4.0..=5.0),
            ("number", "", 0.0..=1.0),
            ("integer", "an integer from 1 to 100", 1.0..=100.0),
            ("integer", "", 1.0..=5.0),
        ] {
            let schema = json!({"type": kind, "description": description});
            let numbers: Vec<_> = (0..200).map(|seed| instance(&schema, seed).as_f64().unwrap()).collect();
            assert!(numbers.iter().all(|n| range.contains(n)), "{description}: {numbers:?}");
            assert!(numbers.iter().all(|n| ((n * 100.0).round() / 100.0 - n).abs() < 1e-12), "{numbers:?}");
            let spread =
                numbers.iter().copied().fold(f64::MIN, f64::max) - numbers.iter().copied().fold(f64::MAX, f64::min);
            assert!(spread > 0.8 * (range.end() - range.start()), "{description}: {spread}");
        }
    }
}
