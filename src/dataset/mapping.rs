//! Fields with other names: `--map inputs.question=Frage`.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};

use crate::dataset::dialects::trace_fields::FIELDS;
use crate::dataset::names;

/// A dialogue, which is read like a chat: everything before its last answer is the question.
pub(crate) const MESSAGES: &str = "messages";

/// The fields whose members have their own names.
const WITH_MEMBERS: [&str; 6] = ["inputs", "outputs", "expectations", "token_usage", "tags", "metadata"];

/// The source of a field of a trace.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mapping {
    /// The field: `inputs`, or a member of it with dots, `inputs.question`.
    pub target: String,
    /// A column or a key; with dots a nested member, `completion.text`, `messages.0.content`.
    pub source: String,
}

impl FromStr for Mapping {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (target, source) = text.split_once('=').unwrap_or_default();
        let (target, source) = (target.trim().to_owned(), source.trim().to_owned());
        if target.is_empty() || source.is_empty() || target.split('.').any(str::is_empty) {
            return Err("expected FIELD=NAME, such as inputs.question=Frage".to_owned());
        }
        let (field, member) = target.split_once('.').map_or((target.as_str(), None), |(field, m)| (field, Some(m)));
        if field != MESSAGES && !FIELDS.contains(&field) {
            let meant = names::meant(field).map(|meant| format!("; did you mean `{meant}`?"));
            let known = || format!("; expected one of {}", FIELDS.join(", "));
            return Err(format!("a trace has no field `{field}`{}", meant.unwrap_or_else(known)));
        }
        if let Some(member) = member.filter(|_| !WITH_MEMBERS.contains(&field)) {
            let instead = match (field, member) {
                ("spans", "outputs") => "; retrieved documents go to `documents`".to_owned(),
                _ => format!("; only those of {} have", WITH_MEMBERS.join(", ")),
            };
            return Err(format!("`{field}` has no members to map to{instead}"));
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

/// Applies the mappings, and marks in `used` which of them had something to move; returns whether any had.
///
/// # Errors
/// When a field would be there twice.
pub(crate) fn apply(mappings: &[Mapping], used: &mut [bool], object: &mut Map<String, Value>) -> Result<bool, String> {
    let mut found = Vec::new();
    for (mapping, used) in mappings.iter().zip(used) {
        if let Some(value) = get(object, &mapping.source) {
            *used = true;
            found.push((mapping, value.clone()));
        }
    }
    for (mapping, _) in &found {
        remove(object, &mapping.source);
    }
    let is_mapped = !found.is_empty();
    for (mapping, value) in found {
        put(object, &mapping.target, value)?;
    }
    Ok(is_mapped)
}

/// The names that one field is mapped from, where an object has several of them; empty where there is no such field. Then it is several
/// traces, one a name.
pub(crate) fn alternatives(mappings: &[Mapping], object: &Map<String, Value>) -> Vec<usize> {
    let of = |target: &str| {
        let is_there = |mapping: &Mapping| mapping.target == target && get(object, &mapping.source).is_some();
        (0..mappings.len()).filter(|i| is_there(&mappings[*i])).collect::<Vec<_>>()
    };
    let mut repeated = repeated(mappings).into_iter();
    repeated.find_map(|mapping| Some(of(&mapping.target)).filter(|names| names.len() > 1)).unwrap_or_default()
}

/// The mappings to a field that has several.
pub(crate) fn repeated(mappings: &[Mapping]) -> Vec<Mapping> {
    let is_repeated = |mapping: &&Mapping| mappings.iter().filter(|other| other.target == mapping.target).count() > 1;
    mappings.iter().filter(is_repeated).cloned().collect()
}

/// The index of a mapping among those to its field.
pub(crate) fn place_among(mappings: &[Mapping], which: usize) -> usize {
    let target = mappings.get(which).map(|mapping| &mapping.target);
    mappings.iter().take(which).filter(|mapping| Some(&mapping.target) == target).count()
}

/// The names that the first field with several of them is mapped from: its traces have one each.
pub fn sides(mappings: &[Mapping]) -> Vec<String> {
    let repeated = repeated(mappings);
    let of_first = repeated.iter().filter(|mapping| mapping.target == repeated[0].target);
    of_first.map(|mapping| mapping.source.clone()).collect()
}

/// An object without what these mappings name.
pub(crate) fn without(mut object: Map<String, Value>, mappings: &[&Mapping]) -> Map<String, Value> {
    mappings.iter().for_each(|mapping| remove(&mut object, &mapping.source));
    object
}

/// Puts a value at a dotted name. Dots mean members only if the field is an object of a trace; tags and metadata
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
    let twice = |field: &str| format!("`{field}` is set twice: by its own name, and by a mapping or a name with dots");
    let Some((last, parents)) = path.split_last() else { return Ok(()) };
    let mut object = object;
    for parent in parents {
        let inner = object.entry(*parent).or_insert(Value::Null);
        if inner.is_null() {
            *inner = Value::Object(Map::new());
        }
        object = inner.as_object_mut().ok_or_else(|| twice(parent))?;
    }
    match object.insert((*last).to_owned(), value) {
        // A field of `null` says nothing.
        None | Some(Value::Null) => Ok(()),
        Some(_) => Err(twice(name)),
    }
}

/// The member of this name, or a nested one if the name has dots.
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

/// Removes the member, and containers that are then empty. An item of a list stays.
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
        apply(&mappings, &mut vec![false; mappings.len()], &mut object).map(|found| (found, Value::Object(object)))
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
    fn an_object_with_several_names_of_one_field_stands_for_several_traces() {
        let names = |texts: &[&str], object: Value| {
            let mappings: Vec<Mapping> = texts.iter().map(|mapping| mapping.parse().unwrap()).collect();
            alternatives(&mappings, object.as_object().unwrap())
        };
        let texts = ["inputs=q", "outputs=a", "user=u", "outputs=b.c", "outputs=d"];
        assert_eq!(names(&texts, json!({"q": 1, "a": 2, "b": {"c": 3}, "u": 4})), [1, 3]);
        assert_eq!(names(&texts, json!({"q": 1, "d": 2})), [] as [usize; 0]);
        assert_eq!(names(&texts[..3], json!({"q": 1, "a": 2, "u": 3})), [] as [usize; 0]);
        let Value::Object(object) = json!({"q": 1, "b": {"c": 3}, "a": 2}) else { panic!() };
        let all: Vec<Mapping> = texts.iter().map(|mapping| mapping.parse().unwrap()).collect();
        assert_eq!(sides(&all), ["a", "b.c", "d"]);
        assert_eq!([1, 3, 4].map(|which| place_among(&all, which)), [0, 1, 2]);
        assert!(sides(&all[..2]).is_empty());
        assert_eq!(json!(without(object, &[&"outputs=b.c".parse().unwrap()])), json!({"q": 1, "a": 2}));
    }

    #[test]
    fn nothing_is_written_over() {
        let error = mapped(&["inputs=prompt"], &json!({"prompt": 1, "inputs": 2})).unwrap_err();
        assert!(error.starts_with("`inputs` is set twice"), "{error}");
        assert_eq!(mapped(&["inputs=a"], &json!({"inputs": null, "a": 1})), Ok((true, json!({"inputs": 1}))));
        let nested = mapped(&["expectations.e=a"], &json!({"expectations": null, "a": 1}));
        assert_eq!(nested, Ok((true, json!({"expectations": {"e": 1}}))));
        assert!(mapped(&["inputs.a=prompt"], &json!({"prompt": 1, "inputs": 2})).is_err());
        assert_eq!(mapped(&["inputs=inputs.a"], &json!({"inputs": {"a": 1}})), Ok((true, json!({"inputs": 1}))));
    }

    #[test]
    fn a_mapping_names_a_field_of_a_trace() {
        let error = |text: &str| text.parse::<Mapping>().unwrap_err();
        assert_eq!(error("question=Frage"), "a trace has no field `question`; did you mean `inputs`?");
        assert!(error("colour=Frage").starts_with("a trace has no field `colour`; expected one of trace_id, inputs,"));
        assert!(error("spans.outputs=a").contains("go to `documents`"), "{}", error("spans.outputs=a"));
        assert!(error("user.name=a").starts_with("`user` has no members to map to; only those of inputs,"));
        for text in ["inputs", "=a", "inputs=", "inputs.=a", ""] {
            assert!(error(text).starts_with("expected FIELD=NAME"), "{text}");
        }
        assert!("messages=conversation".parse::<Mapping>().is_ok() && "documents=contexts".parse::<Mapping>().is_ok());
        assert_eq!("inputs.q = a=b".parse::<Mapping>().unwrap().to_string(), "inputs.q=a=b");
    }
}
