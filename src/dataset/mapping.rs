//! Fields of other names: `--map inputs.question=Frage`.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};

use crate::dataset::dialects::plain;

/// Where a field of a trace is to be taken from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The field: `inputs`, or a member of it with dots, `inputs.question`.
    pub target: String,
    /// A column or a key; with dots a member further in, `completion.text`, `messages.0.content`.
    pub source: String,
}

impl FromStr for Mapping {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (target, source) = text.split_once('=').unwrap_or_default();
        let (target, source) = (target.trim().to_owned(), source.trim().to_owned());
        if target.is_empty() || source.is_empty() || target.split('.').any(str::is_empty) {
            return Err("write FIELD=NAME, such as inputs.question=Frage".to_owned());
        }
        let field = target.split('.').next().unwrap_or_default();
        if !plain::FIELDS.contains(&field) {
            let fields = plain::FIELDS.join(", ");
            return Err(format!("`{field}` is no field of a trace; there are {fields}"));
        }
        Ok(Self { target, source })
    }
}

impl fmt::Display for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.target, self.source)
    }
}

serde_as_text!(Mapping);

/// Moves what the mappings name to where they say; whether anything was there to move.
///
/// # Errors
/// When a field would be there twice.
pub(crate) fn apply(mappings: &[Mapping], object: &mut Map<String, Value>) -> Result<bool, String> {
    let found: Vec<_> = mappings.iter().filter_map(|m| Some((m, get(object, &m.source)?.clone()))).collect();
    for (mapping, _) in &found {
        remove(object, &mapping.source);
    }
    for (mapping, value) in &found {
        put(object, &mapping.target, value.clone())?;
    }
    Ok(!found.is_empty())
}

/// Puts a value where a name with dots says. Dots mean members only where the field is an object of a trace's; tags and metadata
/// have members with dots in their names.
///
/// # Errors
/// When something is there already.
pub(crate) fn put(object: &mut Map<String, Value>, name: &str, value: Value) -> Result<(), String> {
    let path: Vec<&str> = match name.split_once('.') {
        Some(("inputs" | "outputs" | "expectations" | "token_usage", _)) => name.split('.').collect(),
        Some((field @ ("tags" | "metadata"), member)) => vec![field, member],
        _ => vec![name],
    };
    let twice =
        |field: &str| format!("`{field}` is there twice: as a field of its own, and by a name with dots or --map");
    let Some((last, parents)) = path.split_last() else { return Ok(()) };
    let mut object = object;
    for parent in parents {
        let inner = object.entry(*parent).or_insert_with(|| Value::Object(Map::new()));
        object = inner.as_object_mut().ok_or_else(|| twice(parent))?;
    }
    match object.insert((*last).to_owned(), value) {
        None => Ok(()),
        Some(_) => Err(twice(name)),
    }
}

/// The member of this name, or further in where the name has dots.
fn get<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    if let Some(value) = object.get(name) {
        return Some(value);
    }
    let (first, rest) = name.split_once('.')?;
    rest.split('.').try_fold(object.get(first)?, |value, name| match value {
        Value::Object(members) => members.get(name),
        Value::Array(items) => items.get(name.parse::<usize>().ok()?),
        _ => None,
    })
}

/// Removes the member, and what holds nothing else. An item of a list stays.
fn remove(object: &mut Map<String, Value>, name: &str) {
    if object.shift_remove(name).is_some() {
        return;
    }
    if let Some((first, rest)) = name.split_once('.')
        && let Some(Value::Object(inner)) = object.get_mut(first)
    {
        remove(inner, rest);
        if inner.is_empty() {
            object.shift_remove(first);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mapped(mappings: &[&str], object: &Value) -> Result<(bool, Value), String> {
        let mappings: Vec<Mapping> = mappings.iter().map(|mapping| mapping.parse().unwrap()).collect();
        let Value::Object(mut object) = object.clone() else { panic!("{object}") };
        apply(&mappings, &mut object).map(|found| (found, Value::Object(object)))
    }

    #[test]
    fn values_are_moved_and_the_rest_stays() {
        let object =
            json!({"prompt": "p", "completion": {"text": "c", "n": 1}, "messages": [{"content": "m"}], "other": 2});
        let mappings = ["inputs=prompt", "outputs=completion.text", "tags.a.b=messages.0.content", "user=none"];
        let expected = json!({"completion": {"n": 1}, "messages": [{"content": "m"}], "other": 2,
                              "inputs": "p", "outputs": "c", "tags": {"a.b": "m"}});
        assert_eq!(mapped(&mappings, &object), Ok((true, expected)));
        let twice = mapped(&["inputs.a=q", "inputs.b.c=q"], &json!({"q": {"x": 1}}));
        assert_eq!(twice, Ok((true, json!({"inputs": {"a": {"x": 1}, "b": {"c": {"x": 1}}}}))));
        assert_eq!(mapped(&["inputs=a.b.c"], &json!({"a": {"b": {"c": 1}}})), Ok((true, json!({"inputs": 1}))));
        assert_eq!(mapped(&["inputs=a"], &json!({"b": 1})), Ok((false, json!({"b": 1}))));
    }

    #[test]
    fn nothing_is_written_over() {
        let error = mapped(&["inputs=prompt"], &json!({"prompt": 1, "inputs": 2})).unwrap_err();
        assert!(error.starts_with("`inputs` is there twice"), "{error}");
        assert!(mapped(&["inputs.a=prompt"], &json!({"prompt": 1, "inputs": 2})).is_err());
        assert_eq!(mapped(&["inputs=inputs.a"], &json!({"inputs": {"a": 1}})), Ok((true, json!({"inputs": 1}))));
    }

    #[test]
    fn a_mapping_names_a_field_of_a_trace() {
        let error = |text: &str| text.parse::<Mapping>().unwrap_err();
        assert!(error("question=Frage").starts_with("`question` is no field of a trace; there are trace_id, inputs,"));
        for text in ["inputs", "=a", "inputs=", "inputs.=a", ""] {
            assert!(error(text).starts_with("write FIELD=NAME"), "{text}");
        }
        assert_eq!("inputs.q = a=b".parse::<Mapping>().unwrap().to_string(), "inputs.q=a=b");
    }
}
