//! Abstention: a judge with `unknown = true` may say that the material does not allow a verdict.

use serde_json::{Value, json};

use super::form::VALUE_KEY;

/// The words for it in place of a verdict, in addition to JSON's `null`.
pub(super) const WORDS: [&str; 6] =
    ["unknown", "null", "n/a", "not applicable", "undetermined", "cannot be determined"];

/// What the instructions say about it, after the form of the answer.
pub(super) const INSTRUCTIONS: &str =
    "\nWhere the material does not allow a verdict, \"value\" is null, and the rationale says what is missing.";

/// The same for these criteria of a rubric.
pub(super) fn instructions_for(criteria: &str) -> String {
    format!(
        "\nWhere the material does not allow a verdict on one of these, its \"value\" is null, and its rationale says what is missing: {criteria}."
    )
}

/// The schema of the answer with `null` as a further value. (`anyOf` is in the subset of every strict endpoint.)
pub(super) fn schema(mut schema: Value) -> Value {
    let value = &mut schema["properties"][VALUE_KEY];
    let mut of_type = value.take();
    let description = of_type.as_object_mut().and_then(|of_type| of_type.remove("description"));
    let words = description.as_ref().and_then(Value::as_str).unwrap_or("the verdict");
    *value = json!({
        "anyOf": [of_type, {"type": "null"}],
        "description": format!("{words}; null where the material does not allow one"),
    });
    schema
}

/// Whether a value under the verdict's key says so.
pub(super) fn is_meant(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => {
            let text = text.trim().trim_end_matches('.');
            WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::verdict::VerdictType;

    #[test]
    fn null_is_a_further_value_of_the_schema() {
        let schema = schema(VerdictType::Boolean.json_schema());
        let expected = json!({
            "anyOf": [{"type": "boolean"}, {"type": "null"}],
            "description": "the verdict: true or false; null where the material does not allow one",
        });
        assert_eq!(schema["properties"]["value"], expected);
        assert!([json!(null), json!(" Unknown"), json!("N/A"), json!("Not applicable.")].iter().all(is_meant));
        assert!(!is_meant(&json!("known")));
    }
}
