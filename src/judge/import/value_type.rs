//! Converts the JSON schema of an answer to a verdict type.

use serde_json::Value;

/// A `[verdict]` table.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) enum ValueType {
    #[default]
    Boolean,
    Number,
    Labels(Vec<String>),
}

impl ValueType {
    /// The type of a schema, with what is lost.
    pub(super) fn of(schema: &Value, notes: &mut Vec<String>) -> Result<Self, String> {
        let texts =
            |values: &Vec<Value>| -> Vec<String> { values.iter().filter_map(Value::as_str).map(Into::into).collect() };
        if let Some(labels) = schema.get("enum").and_then(Value::as_array).map(texts).filter(|labels| labels.len() > 1)
        {
            return Ok(Self::Labels(labels));
        }
        if let Some(parts) = schema.get("anyOf").and_then(Value::as_array) {
            let is_null = |part: &&Value| part.get("type").is_some_and(|kind| kind == "null");
            let others: Vec<_> = parts.iter().filter(|part| !is_null(part)).collect();
            if let ([only], true) = (others.as_slice(), others.len() < parts.len()) {
                notes.push("the judge may answer nothing at all, which cannot be imported".to_owned());
                return Self::of(only, notes);
            }
        }
        match schema.get("type").and_then(Value::as_str) {
            Some("boolean") => Ok(Self::Boolean),
            Some("number") => {
                notes
                    .push("the scale of the numbers is unknown: set `min`, `max` and `better` in [verdict]".to_owned());
                Ok(Self::Number)
            }
            Some("integer") => {
                notes.push(
                    "the scale of the whole numbers is unknown: set type = \"integer\" with `min`, `max` and `better` in [verdict]".to_owned(),
                );
                Ok(Self::Number)
            }
            Some("string") => {
                notes.push(
                    "the judge may answer any text: `labels` are now yes and no; set those that it should give"
                        .to_owned(),
                );
                Ok(Self::Labels(vec!["yes".to_owned(), "no".to_owned()]))
            }
            Some(other) => Err(format!("answers with an {other}, but a verdict here is one value")),
            None => Err("answers with a value of several types, but a verdict here has one".to_owned()),
        }
    }
}
