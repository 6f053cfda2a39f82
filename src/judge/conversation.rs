//! A session as a chat: what the user said and what the application answered, trace by trace.

use serde::Serialize;
use serde_json::{Map, Value};

use super::messages::{last_message, text_of};
use crate::trace::{Session, Trace};

/// One side of an exchange, of the form that MLflow's judges have for `conversation`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Turn<'a> {
    role: &'static str,
    content: &'a Value,
}

/// Names under which applications put the one text that the user typed.
pub(super) const QUESTIONS: [&str; 6] = ["question", "query", "input", "prompt", "message", "text"];

/// The turns of all traces: two per trace, fewer if one was not recorded.
pub(super) fn turns(session: &Session) -> Vec<Turn<'_>> {
    session.traces().flat_map(of_trace).collect()
}

fn of_trace(trace: &Trace) -> impl Iterator<Item = Turn<'_>> {
    let user = trace.inputs.as_ref().map(|inputs| Turn { role: "user", content: asked(inputs) });
    let assistant = trace.outputs.as_ref().map(|outputs| Turn { role: "assistant", content: answered(outputs) });
    user.into_iter().chain(assistant)
}

/// The user's last message. (MLflow repeats the whole history with each trace, if the application records it as inputs.)
pub(crate) fn asked(inputs: &Value) -> &Value {
    if let Some(message) = last_message(inputs, &["user", "human"]) {
        return text_of(message);
    }
    let Some(object) = inputs.as_object() else { return inputs };
    if let Some(argument) = only_argument(object) {
        return asked(argument);
    }
    let named = QUESTIONS.iter().find_map(|name| object.get(*name));
    let only = || object.values().next().filter(|_| object.len() == 1);
    named.or_else(only).map_or(inputs, asked)
}

/// What a recorded function was called with, `{"args": ["..."], "kwargs": {}}`: its one argument, or its named ones.
pub(super) fn only_argument(object: &Map<String, Value>) -> Option<&Value> {
    let (args, kwargs) = (object.get("args")?.as_array()?, object.get("kwargs")?);
    match (args.as_slice(), kwargs.as_object()?.is_empty()) {
        _ if object.len() > 2 => None,
        ([argument], true) => Some(argument),
        ([], false) => Some(kwargs),
        _ => None,
    }
}

/// The first element of a member. (`Value::pointer` takes a thousand instructions where there is no such member.)
pub(super) fn first_of<'a>(value: &'a Value, member: &str) -> Option<&'a Value> {
    value.get(member)?.get(0)
}

/// What the application said in the end.
pub(super) fn answered(outputs: &Value) -> &Value {
    if let Some(message) = last_message(outputs, &["assistant", "ai", "model"]) {
        return text_of(message);
    }
    // OpenAI's chat completions, Gemini's API, LangChain's results of models.
    let choice = first_of(outputs, "choices");
    let generation = first_of(outputs, "generations").and_then(|generations| generations.get(0));
    let message = choice.and_then(|choice| choice.get("message"));
    let message = message.or_else(|| first_of(outputs, "candidates")?.get("content"));
    if let Some(message) = message.or_else(|| generation?.get("message")) {
        return text_of(message);
    }
    if let Some(text) = [choice, generation].into_iter().flatten().find_map(|found| found.get("text")) {
        return text;
    }
    if let [part] = outputs.as_array().map(Vec::as_slice).unwrap_or_default()
        && let Some(text) = part.get("text").filter(|text| text.is_string())
    {
        return text;
    }
    match outputs.as_object() {
        Some(object) if ["role", "type"].iter().any(|key| object.contains_key(*key)) => text_of(outputs),
        Some(object) if object.len() == 1 => object.values().next().map_or(outputs, answered),
        _ => outputs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_was_said_is_found_in_all_common_forms() {
        let chat = json!([
            {"role": "system", "content": "Be kind."}, {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"},
        ]);
        for (inputs, said) in [
            (json!("hi"), json!("hi")),
            (chat.clone(), json!("c")),
            (json!({"messages": chat, "temperature": 0}), json!("c")),
            (json!({"input": chat, "model": "m"}), json!("c")),
            (json!({"messages": [{"type": "human", "content": "x"}]}), json!("x")),
            (json!({"question": "q", "k": 3}), json!("q")),
            (json!({"text": "t", "question": "q"}), json!("q")),
            (json!({"anything": "x"}), json!("x")),
            (json!({"args": ["x"], "kwargs": {}}), json!("x")),
            (json!({"args": [], "kwargs": {"question": "x", "k": 3}}), json!("x")),
            (json!({"args": ["x", "y"], "kwargs": {}}), json!({"args": ["x", "y"], "kwargs": {}})),
            (json!({"a": 1, "b": 2}), json!({"a": 1, "b": 2})),
            (json!(["x"]), json!(["x"])),
            (json!([{"role": "system", "content": "s"}]), json!([{"role": "system", "content": "s"}])),
            (json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "p"}]}]}), json!("p")),
            (json!({"messages": [{"type": "human", "data": {"content": "x"}}]}), json!("x")),
            (json!({"messages": [[{"lc": 1, "id": ["m", "HumanMessage"], "kwargs": {"content": "x"}}]]}), json!("x")),
            (json!({"messages": [["system", "s"], ["human", "x"]]}), json!("x")),
        ] {
            assert_eq!(asked(&inputs), &said, "{inputs}");
        }
        let call = json!({"role": "assistant", "content": null, "tool_calls": [{"id": "1"}]});
        for (outputs, said) in [
            (json!("hi"), json!("hi")),
            (json!({"role": "assistant", "content": "x", "refusal": null}), json!("x")),
            (json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}}], "id": 1}), json!("x")),
            (
                json!({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "x"}]}),
                json!("x"),
            ),
            (
                json!({"messages": [{"type": "human", "data": {"content": "q"}}, {"type": "ai", "data": {"content": "x", "tool_calls": []}}]}),
                { json!("x") },
            ),
            (json!([["user", "q"], ["assistant", "x"]]), json!("x")),
            (json!([{"type": "text", "text": "x"}]), json!("x")),
            (json!({"response": "x"}), json!("x")),
            (json!({"answer": "x", "sources": []}), json!({"answer": "x", "sources": []})),
            (json!(null), json!(null)),
            (call.clone(), call),
        ] {
            assert_eq!(answered(&outputs), &said, "{outputs}");
        }
    }

    #[test]
    fn a_side_that_was_not_recorded_is_omitted() {
        let asked = Trace { inputs: Some("q".into()), ..Trace::default() };
        let both = Trace { outputs: Some("a".into()), ..asked.clone() };
        let session = Session::new(vec![asked, both]).unwrap();
        let roles: Vec<_> = turns(&session).iter().map(|turn| turn.role).collect();
        assert_eq!(roles, ["user", "user", "assistant"]);
    }
}
