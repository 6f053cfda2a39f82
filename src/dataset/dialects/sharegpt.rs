//! ShareGPT's conversations, a usual form of public data sets: read as chats in OpenAI's form.
//!
//! ```json
//! {"conversations": [{"from": "human", "value": "..."}, {"from": "gpt", "value": "..."}]}
//! ```

use serde_json::{Map, Value};

use crate::dataset::dialects::dialect::{Dialect, Found};
use crate::dataset::dialects::fields::{UnknownFields, count_unknown, list, object, text};
use crate::dataset::dialects::openai;

pub(crate) const DIALECT: Dialect =
    Dialect { name: "sharegpt", title: "ShareGPT's conversations", keys: "`conversations`", fits, read };

fn fits(object: &Map<String, Value>) -> bool {
    let first = object.get("conversations").and_then(Value::as_array).and_then(|turns| turns.first());
    first.is_some_and(|turn| turn.get("from").is_some() && turn.get("value").is_some())
}

fn read(mut fields: Map<String, Value>, unknown: &mut UnknownFields) -> Result<Found, String> {
    let turns = list("conversations", "a list of objects", fields.remove("conversations").unwrap_or_default())?;
    let system = text("system", fields.remove("system").unwrap_or_default())?;
    let mut messages: Vec<Value> = system.into_iter().map(|text| message("system", text.into())).collect();
    for (index, turn) in turns.into_iter().enumerate() {
        let name = format!("conversations[{index}]");
        let mut turn = object(&name, turn)?;
        let from = text(format_args!("{name}.from"), turn.remove("from").unwrap_or_default())?;
        let value = turn.remove("value").ok_or_else(|| format!("`{name}.value` is missing"))?;
        turn.keys().for_each(|key| count_unknown(unknown, format!("conversations[].{key}")));
        messages.push(message(role(from.as_deref().unwrap_or("user")), value));
    }
    fields.insert("messages".to_owned(), Value::Array(messages));
    (openai::DIALECT.read)(fields, unknown)
}

fn message(role: &str, content: Value) -> Value {
    Value::Object(Map::from_iter([("role".to_owned(), role.into()), ("content".to_owned(), content)]))
}

fn role(from: &str) -> &str {
    match from {
        "human" => "user",
        "gpt" | "chatgpt" | "bot" | "model" => "assistant",
        "observation" | "function_response" => "tool",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::trace::Trace;

    fn trace(line: &Value) -> Trace {
        let fields = line.as_object().unwrap().clone();
        assert_eq!(Dialect::of(&fields).map(|dialect| dialect.name), Some("sharegpt"));
        match read(fields, &mut UnknownFields::new()) {
            Ok(Found::Trace(trace)) => trace,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_last_turn_of_the_model_is_the_answer() {
        let line = json!({"id": "identity_0", "system": "Be brief.", "conversations": [
            {"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello!"},
            {"from": "human", "value": "2+2?"}, {"from": "gpt", "value": "4"}]});
        let messages = json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello!"}, {"role": "user", "content": "2+2?"}]);
        let trace = trace(&line);
        assert_eq!((trace.trace_id.as_str(), trace.inputs), ("identity_0", Some(json!({"messages": messages}))));
        assert_eq!(trace.outputs, Some(json!("4")));
    }

    #[test]
    fn a_conversation_that_ends_with_the_user_has_no_answer() {
        assert_eq!(trace(&json!({"conversations": [{"from": "human", "value": "Hi"}]})).outputs, None);
    }

    #[test]
    fn a_broken_turn_is_named() {
        let line = json!({"conversations": [{"from": "human", "value": "Hi"}, 5]});
        let reason = read(line.as_object().unwrap().clone(), &mut UnknownFields::new()).unwrap_err();
        assert_eq!(reason, "`conversations[1]` must be an object, found a number");
    }
}
