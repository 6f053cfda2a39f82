//! A session as a chat: what the user said and what the application answered, trace by trace.

use serde::Serialize;
use serde_json::Value;

use crate::trace::{Session, Trace};

/// One side of an exchange, of the form that MLflow's judges have for `conversation`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Turn<'a> {
    role: &'static str,
    content: &'a Value,
}

/// Names under which applications put the one text that the user typed.
const QUESTIONS: [&str; 6] = ["question", "query", "input", "prompt", "message", "text"];

/// The turns of all traces: two a trace, fewer where one was not recorded.
pub(super) fn turns(session: &Session) -> Vec<Turn<'_>> {
    session.traces().flat_map(of_trace).collect()
}

fn of_trace(trace: &Trace) -> impl Iterator<Item = Turn<'_>> {
    let user = trace.inputs.as_ref().map(|inputs| Turn { role: "user", content: asked(inputs) });
    let assistant = trace.outputs.as_ref().map(|outputs| Turn { role: "assistant", content: answered(outputs) });
    user.into_iter().chain(assistant)
}

/// What the user said last. (MLflow repeats the whole history with each trace, where the application records it as inputs.)
fn asked(inputs: &Value) -> &Value {
    if let Some(message) = last_message(inputs, &["user", "human"]) {
        return text_of(message);
    }
    let Some(object) = inputs.as_object() else { return inputs };
    let named = QUESTIONS.iter().find_map(|name| object.get(*name));
    let only = || object.values().next().filter(|_| object.len() == 1);
    named.or_else(only).map_or(inputs, asked)
}

/// What the application said in the end.
fn answered(outputs: &Value) -> &Value {
    if let Some(message) = last_message(outputs, &["assistant", "ai"]) {
        return text_of(message);
    }
    if let Some(message) = outputs.pointer("/choices/0/message") {
        return text_of(message);
    }
    match outputs.as_object() {
        Some(object) if object.contains_key("role") || object.contains_key("type") => text_of(outputs),
        Some(object) if object.len() == 1 => object.values().next().map_or(outputs, answered),
        _ => outputs,
    }
}

/// The last message by one of these, of a list of messages or an object that has one.
fn last_message<'a>(value: &'a Value, roles: &[&str]) -> Option<&'a Value> {
    let messages = value.get("messages").unwrap_or(value).as_array()?;
    let is_by = |message: &&Value| {
        // LangChain tells it by `type`.
        let role = message.get("role").or_else(|| message.get("type")).and_then(Value::as_str);
        role.is_some_and(|role| roles.contains(&role))
    };
    messages.iter().rev().find(is_by)
}

/// What a message says; the message itself if that is nothing but a call of a tool.
fn text_of(message: &Value) -> &Value {
    message.get("content").filter(|content| !content.is_null()).unwrap_or(message)
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
            (json!({"a": 1, "b": 2}), json!({"a": 1, "b": 2})),
            (json!(["x"]), json!(["x"])),
            (json!([{"role": "system", "content": "s"}]), json!([{"role": "system", "content": "s"}])),
            (
                json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "p"}]}]}),
                json!([{"type": "text", "text": "p"}]),
            ),
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
            (json!({"response": "x"}), json!("x")),
            (json!({"answer": "x", "sources": []}), json!({"answer": "x", "sources": []})),
            (json!(null), json!(null)),
            (call.clone(), call),
        ] {
            assert_eq!(answered(&outputs), &said, "{outputs}");
        }
    }

    #[test]
    fn a_side_that_was_not_recorded_is_left_out() {
        let asked = Trace { inputs: Some("q".into()), ..Trace::default() };
        let both = Trace { outputs: Some("a".into()), ..asked.clone() };
        let session = Session::new(vec![asked, both]).unwrap();
        let roles: Vec<_> = turns(&session).iter().map(|turn| turn.role).collect();
        assert_eq!(roles, ["user", "user", "assistant"]);
    }
}
