//! Inputs and outputs without what frameworks wrap them in.
//!
//! | recorded | read as |
//! | --- | --- |
//! | a function's `{"args": ["q"], "kwargs": {}}` | its one argument, or its named ones |
//! | OpenLLMetry's `{"inputs": ..., "tags": [], "metadata": {}, "kwargs": {}}` | the inputs |
//! | LangGraph's `{"messages": [...]}` in LangChain's spelling | messages; as an output, the last one's text |
//! | `{"output": ...}`, `{"outputs": ...}` alone | what is inside |

use serde_json::{Map, Value};

use crate::dataset::dialects::messages;

/// What a step was given.
pub(crate) fn inputs(value: Value) -> Value {
    match value {
        Value::Object(fields) if has_only(&fields, &["args", "kwargs"]) => arguments(fields),
        Value::Object(fields) => messages_of(callback(fields, &["inputs", "input", "input_str"])),
        other => other,
    }
}

/// What a step gave.
pub(crate) fn outputs(value: Value) -> Value {
    let Value::Object(fields) = value else { return value };
    let unwrapped = callback(fields, &["outputs", "output"]);
    let Some(said) =
        unwrapped.get("messages").filter(|_| unwrapped.as_object().is_some_and(|fields| fields.len() == 1))
    else {
        return unwrapped;
    };
    if !messages::is_of_langchain(said) {
        return unwrapped;
    }
    let last = messages::read(said.clone(), "assistant").pop().filter(|last| last["role"] == "assistant");
    last.and_then(|last| messages::answer(vec![last])).unwrap_or(unwrapped)
}

fn has_only(fields: &Map<String, Value>, names: &[&str]) -> bool {
    !fields.is_empty() && fields.keys().all(|key| names.contains(&key.as_str()))
}

/// The arguments of a function: one alone, the named ones, or all as they are.
fn arguments(mut fields: Map<String, Value>) -> Value {
    if let Some(Value::Array(args)) = fields.get_mut("args") {
        // The object that a method belongs to.
        args.retain(|arg| !arg.as_str().is_some_and(|text| text.starts_with('<') && text.contains(" object at 0x")));
    }
    let is_empty = |value: Option<&Value>| match value {
        None | Some(Value::Null) => true,
        Some(Value::Array(values)) => values.is_empty(),
        Some(Value::Object(fields)) => fields.is_empty(),
        Some(_) => false,
    };
    let (no_args, no_kwargs) = (is_empty(fields.get("args")), is_empty(fields.get("kwargs")));
    match (fields.get_mut("args"), no_kwargs) {
        (Some(Value::Array(args)), true) if args.len() == 1 => args.pop().unwrap_or_default(),
        _ if no_args && !no_kwargs => fields.shift_remove("kwargs").unwrap_or_default(),
        _ => Value::Object(fields),
    }
}

/// The content of what a callback was given, without its context.
fn callback(mut fields: Map<String, Value>, names: &[&str]) -> Value {
    const TOLD: &[&str] = &["tags", "metadata", "kwargs"];
    let is_wrapper = fields.keys().all(|key| names.contains(&key.as_str()) || TOLD.contains(&key.as_str()));
    let is_told = TOLD.iter().any(|key| fields.contains_key(*key));
    // A single `input` is the application's own name.
    if is_wrapper && (is_told || names.contains(&"output") && fields.len() == 1) {
        let content = names.iter().find_map(|name| fields.shift_remove(*name).filter(|value| !value.is_null()));
        if let Some(content) = content {
            return content;
        }
    }
    if ["query", "documents"].iter().any(|key| fields.contains_key(*key)) && is_told {
        fields.retain(|key, _| !TOLD.contains(&key.as_str()));
    }
    Value::Object(fields)
}

/// Messages in LangChain's spelling, converted to the common one, if they are the only content.
fn messages_of(value: Value) -> Value {
    match value {
        Value::Object(mut fields) if fields.get("messages").is_some_and(messages::is_of_langchain) => {
            if let Some(said) = fields.get_mut("messages") {
                *said = Value::Array(messages::read(said.take(), "user"));
            }
            Value::Object(fields)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_functions_arguments_are_what_it_was_given() {
        for (recorded, read) in [
            (json!({"args": ["q"], "kwargs": {}}), json!("q")),
            (json!({"args": ["<app.Bot object at 0x7f00>", {"q": 1}], "kwargs": {}}), json!({"q": 1})),
            (json!({"args": [], "kwargs": {"q": 1}}), json!({"q": 1})),
            (json!({"args": ["q", 2], "kwargs": {}}), json!({"args": ["q", 2], "kwargs": {}})),
            (json!({"args": ["q"], "kwargs": {"k": 2}}), json!({"args": ["q"], "kwargs": {"k": 2}})),
            (json!({"args": [], "kwargs": {}}), json!({"args": [], "kwargs": {}})),
            (json!({"args": ["q"], "other": 1}), json!({"args": ["q"], "other": 1})),
            (json!({}), json!({})),
            (json!("q"), json!("q")),
        ] {
            assert_eq!(inputs(recorded.clone()), read, "{recorded}");
        }
    }

    #[test]
    fn callbacks_wrappers_are_taken_off() {
        for (recorded, read) in [
            (json!({"inputs": {"q": 1}, "tags": [], "metadata": {}, "kwargs": {}}), json!({"q": 1})),
            (json!({"input_str": "q", "inputs": null, "tags": []}), json!("q")),
            (json!({"query": "q", "tags": [], "metadata": {}}), json!({"query": "q"})),
            (json!({"inputs": "q", "top_k": 3, "tags": []}), json!({"inputs": "q", "top_k": 3, "tags": []})),
            (json!({"input": "q"}), json!({"input": "q"})),
            (json!({"tags": ["a"]}), json!({"tags": ["a"]})),
        ] {
            assert_eq!(inputs(recorded.clone()), read, "{recorded}");
        }
        for (recorded, read) in [
            (json!({"outputs": "a", "kwargs": {"tags": []}}), json!("a")),
            (json!({"output": "a"}), json!("a")),
            (json!({"output": "a", "score": 1}), json!({"output": "a", "score": 1})),
            (json!({"answer": "a"}), json!({"answer": "a"})),
            (json!({"documents": [], "count": 0, "tags": []}), json!({"documents": [], "count": 0})),
            (json!(["a"]), json!(["a"])),
        ] {
            assert_eq!(outputs(recorded.clone()), read, "{recorded}");
        }
    }

    #[test]
    fn messages_of_langchain_are_messages() {
        let asked = json!({"messages": [{"type": "human", "data": {"content": "q"}}]});
        assert_eq!(inputs(asked.clone()), json!({"messages": [{"role": "user", "content": "q"}]}));
        let state =
            json!({"messages": [{"type": "human", "content": "q"}, {"type": "ai", "content": "a", "tool_calls": []}]});
        assert_eq!(outputs(state), json!("a"));
        assert_eq!(outputs(asked.clone()), asked, "no answer is among them");
        let openai = json!({"messages": [{"role": "user", "content": "q"}]});
        assert_eq!((inputs(openai.clone()), outputs(openai.clone())), (openai.clone(), openai));
    }
}
