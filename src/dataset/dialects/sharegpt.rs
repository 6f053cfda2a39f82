//! Dialogues of public data sets: ShareGPT, LMSYS, WildChat, Arena, TRL. Read as chats in OpenAI's form.
//!
//! ```json
//! {"conversations": [{"from": "human", "value": "..."}, {"from": "gpt", "value": "..."}]}
//! {"conversation_id": "c1", "conversation": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}
//! {"chosen": "\n\nHuman: ...\n\nAssistant: ...", "rejected": "\n\nHuman: ...\n\nAssistant: ..."}
//! ```
//! The last answer is the output. Of two dialogues the first is read.

use serde_json::{Map, Value};

use crate::dataset::dialects::dialect::{Dialect, Found};
use crate::dataset::dialects::messages;
use crate::dataset::dialects::openai;
use crate::dataset::json;
use crate::dataset::names::{DIALOGUES, PAIRS};
use crate::dataset::notice::{Notice, Notices};

pub(crate) const DIALECT: Dialect =
    Dialect { name: "sharegpt", title: "dialogues (ShareGPT, LMSYS, WildChat, Arena, TRL)", fits, read };

/// Names of what a turn says.
const CONTENTS: [&str; 4] = ["value", "content", "text", "message"];
/// Names of who says it.
const ROLES: [&str; 5] = ["from", "role", "speaker", "author", "sender"];
/// An exchange in one turn: a question and its answer.
const EXCHANGES: [(&str, &str); 4] =
    [("human", "assistant"), ("user", "assistant"), ("input", "output"), ("question", "answer")];

fn fits(object: &Map<String, Value>) -> bool {
    key(object).is_some()
}

/// The key of the dialogue.
fn key(object: &Map<String, Value>) -> Option<&'static str> {
    let is_dialogue = |key: &&&str| object.get(**key).is_some_and(|value| turns(value.clone()).is_some());
    ["messages"].iter().chain(DIALOGUES).find(is_dialogue).copied()
}

fn read(mut fields: Map<String, Value>, notices: &mut Notices) -> Result<Found, String> {
    let key = key(&fields).ok_or("no dialogue in this row")?;
    let mut turns = turns(fields.shift_remove(key).unwrap_or_default()).unwrap_or_default();
    let other = PAIRS.iter().find(|(first, second)| *first == key && fields.contains_key(*second));
    if let Some((first, second)) = other {
        fields.shift_remove(*second);
        let field = "messages";
        notices.add(Notice::OneOfSeveral { read: (*first).to_owned(), other: (*second).to_owned(), field });
    }
    let system = ["system", "system_prompt"].iter().find_map(|key| fields.shift_remove(*key)).unwrap_or_default();
    if system.as_str() != Some("") {
        turns.splice(0..0, messages::read(system, "system"));
    }
    if !fields.contains_key("session_id")
        && let Some(id) = ["conversation_id", "conversation_hash"].iter().find_map(|key| fields.shift_remove(*key))
    {
        fields.insert("session_id".to_owned(), id);
    }
    if key != "conversations" && key != "messages" {
        notices.add(Notice::ReadAs { name: key.to_owned(), field: "messages" });
    }
    fields.insert("messages".to_owned(), Value::Array(turns));
    (openai::DIALECT.read)(fields, notices)
}

/// The messages of a dialogue; `None` if it is not one.
fn turns(dialogue: Value) -> Option<Vec<Value>> {
    match dialogue {
        Value::Array(turns) if !turns.is_empty() => {
            let turns: Option<Vec<_>> = turns.into_iter().map(turn).collect();
            turns.map(|turns| turns.into_iter().flatten().collect())
        }
        Value::String(text) if text.trim_start().starts_with('[') => match json::from_text(Value::String(text)) {
            Value::String(_) => None,
            turns_of => turns(turns_of),
        },
        Value::String(text) => transcript(&text),
        _ => None,
    }
}

/// One turn: a message, or a question and its answer in one.
fn turn(value: Value) -> Option<Vec<Value>> {
    if value.is_array() {
        return messages::is_message(&value).then(|| messages::read(value, "user"));
    }
    let Value::Object(mut fields) = value else { return None };
    for (asked, answered) in EXCHANGES {
        if fields.contains_key(asked) && fields.contains_key(answered) {
            let pair = [("user", asked), ("assistant", answered)];
            let said = pair.map(|(role, key)| message(role, fields.shift_remove(key).unwrap_or_default()));
            return Some(said.into());
        }
    }
    let role = ROLES.iter().find_map(|key| fields.get(*key)?.as_str().map(ToOwned::to_owned));
    let Some(role) = role else {
        let value = Value::Object(fields);
        return messages::is_message(&value).then(|| messages::read(value, "user"));
    };
    if fields.contains_key("tool_calls") || fields.contains_key("parts") {
        return Some(messages::read(Value::Object(fields), "user"));
    }
    let content = CONTENTS.iter().find_map(|key| fields.shift_remove(*key))?;
    Some(vec![message(openai_role(&role), content)])
}

fn message(role: &str, content: Value) -> Value {
    Value::Object(Map::from_iter([("role".to_owned(), role.into()), ("content".to_owned(), content)]))
}

fn openai_role(from: &str) -> &str {
    match from.to_ascii_lowercase().as_str() {
        "human" | "user" | "prompter" => "user",
        "gpt" | "chatgpt" | "bot" | "model" | "assistant" | "ai" | "bard" | "bing" => "assistant",
        "observation" | "function_response" | "tool" => "tool",
        _ => from,
    }
}

/// A dialogue in one text: `Human: ...`, `Assistant: ...`, each after an empty line.
fn transcript(text: &str) -> Option<Vec<Value>> {
    const MARKS: [(&str, &str); 2] = [("\n\nHuman:", "user"), ("\n\nAssistant:", "assistant")];
    let text = format!("\n\n{}", text.trim_start());
    if !text.starts_with(MARKS[0].0) || !text.contains(MARKS[1].0) {
        return None;
    }
    let mut turns = Vec::new();
    let mut rest = text.as_str();
    while let Some((mark, role)) = MARKS.iter().find(|(mark, _)| rest.starts_with(*mark)) {
        let said = rest.get(mark.len()..).unwrap_or_default();
        let end = MARKS.iter().filter_map(|(mark, _)| said.find(*mark)).min().unwrap_or(said.len());
        let (said, after) = said.split_at(end);
        turns.push(message(role, said.trim().into()));
        rest = after;
    }
    Some(turns)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::trace::Trace;

    fn read_line(line: &Value) -> (Trace, Notices) {
        let fields = line.as_object().unwrap().clone();
        assert!(fits(&fields), "{line}");
        let mut notices = Notices::default();
        match read(fields, &mut notices) {
            Ok(Found::Trace(trace)) => (trace, notices),
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
        let (trace, notices) = read_line(&line);
        assert_eq!((trace.trace_id.as_str(), trace.inputs), ("identity_0", Some(json!({"messages": messages}))));
        assert_eq!((trace.outputs, notices.is_empty()), (Some(json!("4")), true));
    }

    #[test]
    fn a_dialogue_that_ends_with_the_user_has_no_answer() {
        assert_eq!(read_line(&json!({"conversations": [{"from": "human", "value": "Hi"}]})).0.outputs, None);
    }

    #[test]
    fn every_spelling_of_a_dialogue_is_the_same() {
        let wanted = (Some(json!({"messages": [{"role": "user", "content": "Hi"}]})), Some(json!("Hello.")));
        for line in [
            json!({"conversation": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]}),
            json!({"conversation": [{"role": "user", "content": "Hi", "country": "CH"}, {"role": "assistant", "content": "Hello.", "turn": 1}]}),
            json!({"dialog": [{"speaker": "human", "text": "Hi"}, {"speaker": "bot", "text": "Hello."}]}),
            json!({"turns": [["user", "Hi"], ["assistant", "Hello."]]}),
            json!({"conversation": [{"human": "Hi", "assistant": "Hello."}]}),
            json!({"conversation": "[{\"role\": \"user\", \"content\": \"Hi\"}, {\"role\": \"assistant\", \"content\": \"Hello.\"}]"}),
            json!({"conversation_a": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}],
                "conversation_b": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Go."}]}),
            json!({"chosen": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}], "rejected": []}),
            json!({"chosen": "\n\nHuman: Hi\n\nAssistant: Hello.", "rejected": "\n\nHuman: Hi\n\nAssistant: Go."}),
            json!({"messages": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello."}]}),
        ] {
            let (trace, notices) = read_line(&line);
            assert_eq!((trace.inputs, trace.outputs), wanted, "{line}");
            assert!(notices.unknown_names().is_empty(), "{notices:?}");
        }
    }

    #[test]
    fn what_stands_beside_a_dialogue_is_read() {
        let (trace, notices) = read_line(&json!({"conversation_id": "c-81", "model": "m", "language": "English",
            "conversation": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]}));
        assert_eq!((trace.session_id.as_deref(), trace.metadata["model"].as_str()), (Some("c-81"), "m"));
        let read_as = Notice::ReadAs { name: "conversation".into(), field: "messages" };
        let expected = [(read_as, 1), (Notice::UnknownField("language".into()), 1)];
        assert_eq!(notices, expected.into_iter().collect());
        let (_, notices) = read_line(&json!({"chosen": [{"role": "user", "content": "Hi"}], "rejected": []}));
        let one = Notice::OneOfSeveral { read: "chosen".into(), other: "rejected".into(), field: "messages" };
        assert!(notices.iter().any(|(notice, _)| *notice == one));
    }

    #[test]
    fn what_is_no_dialogue_is_left_to_others() {
        for line in [
            json!({"conversations": [{"from": "human", "value": "Hi"}, 5]}),
            json!({"conversation": []}),
            json!({"conversation": "a text"}),
            json!({"turns": 3}),
            json!({"chosen": "a text", "rejected": "b"}),
        ] {
            assert!(!fits(line.as_object().unwrap()), "{line}");
        }
    }
}
