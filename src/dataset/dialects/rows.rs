//! Rows of evaluation and training sets, each with its own column names.
//!
//! ```json
//! {"question": "...", "answer": "...", "contexts": ["..."], "ground_truth": "..."}
//! {"instruction": "...", "input": "...", "output": "..."}
//! {"prompt": "...", "chosen": "...", "rejected": "..."}
//! ```
//! A row is read only if its names leave no doubt, and each name that was taken for a field is noted. Of two answers the first is read.

use serde_json::{Map, Value};

use crate::dataset::dialects::dialect::{Dialect, Found};
use crate::dataset::dialects::fields::expectations;
use crate::dataset::dialects::messages;
use crate::dataset::dialects::trace_fields::{self, add_documents};
use crate::dataset::names::Guess;
use crate::dataset::notice::{Notice, Notices};
use crate::trace::{SpanType, Trace};

pub(crate) const DIALECT: Dialect =
    Dialect { name: "rows", title: "rows of evaluation sets (`question` and `answer`, and the like)", fits, read };

fn fits(object: &Map<String, Value>) -> bool {
    Guess::of(object).is_clear()
}

fn read(fields: Map<String, Value>, notices: &mut Notices) -> Result<Found, String> {
    let (mut trace, mut rest) = trace_fields::read(fields, notices)?;
    for (field, names) in [("trace_id", ["id"].as_slice()), ("session_id", &["conversation_id", "thread_id"])] {
        let Some(key) = names.iter().find(|name| rest.get(**name).is_some_and(|id| id.is_string() || id.is_number()))
        else {
            continue;
        };
        let id = rest.shift_remove(*key).map(super::fields::json_text).unwrap_or_default();
        match field {
            "trace_id" if trace.trace_id.is_empty() => trace.trace_id = id,
            "session_id" if trace.session_id.is_none() => trace.session_id = Some(id),
            _ => continue,
        }
        notices.add(Notice::ReadAs { name: (*key).to_owned(), field });
    }
    fill(&mut trace, rest, notices);
    if trace.inputs.is_none() {
        return Err("no field in this row has a name that says what was asked".to_owned());
    }
    Ok(Found::Trace(trace))
}

/// Fills in what a trace lacks from fields with other names. The rest is unknown.
pub(crate) fn fill(trace: &mut Trace, mut rest: Map<String, Value>, notices: &mut Notices) {
    if !rest.is_empty() {
        let guess = Guess::of(&rest);
        if trace.inputs.is_none() {
            trace.inputs = take_inputs(&guess, &mut rest, notices);
        }
        if trace.outputs.is_none() && !guess.has_other_outputs {
            take_outputs(trace, &guess, &mut rest, notices);
        }
        if trace.expectations.is_empty() {
            trace.expectations = expectations(take(&guess.expected, "expectations", &mut rest, notices));
        }
        if !trace.spans.iter().any(|span| span.span_type.as_str() == SpanType::RETRIEVER) {
            add_documents(trace, take(&guess.documents, "documents", &mut rest, notices));
        }
    }
    rest.into_iter().for_each(|(key, _)| notices.unknown(key));
}

fn take(key: &Option<String>, field: &'static str, rest: &mut Map<String, Value>, notices: &mut Notices) -> Value {
    let Some((name, value)) = key.as_ref().and_then(|key| rest.shift_remove_entry(key)) else { return Value::Null };
    notices.add(Notice::ReadAs { name, field });
    value
}

fn take_inputs(guess: &Guess, rest: &mut Map<String, Value>, notices: &mut Notices) -> Option<Value> {
    if guess.other_inputs > 0 {
        return None;
    }
    let taken: Map<String, Value> =
        guess.inputs.iter().map(|key| (key.clone(), take(&Some(key.clone()), "inputs", rest, notices))).collect();
    match taken.len() {
        0 => None,
        1 => taken.into_iter().next().map(|(_, value)| as_messages(value)),
        _ => Some(Value::Object(taken)),
    }
}

/// A list of messages in the common spelling, any other value as it is.
fn as_messages(value: Value) -> Value {
    if messages::is_dialogue(&value) {
        Value::Object(Map::from_iter([("messages".to_owned(), messages::read(value, "user").into())]))
    } else {
        value
    }
}

/// The answer at the end of a dialogue, which replaces it.
pub(crate) fn take_answer(outputs: &mut Value) {
    if messages::is_dialogue(outputs) {
        let last = messages::read(outputs.take(), "assistant").pop();
        *outputs = last.and_then(|last| messages::answer(vec![last])).unwrap_or_default();
    }
}

fn take_outputs(trace: &mut Trace, guess: &Guess, rest: &mut Map<String, Value>, notices: &mut Notices) {
    let answer = take(&guess.outputs, "outputs", rest, notices);
    if let (Some(read), Some(other)) = (&guess.outputs, &guess.other_answer)
        && rest.shift_remove(other).is_some()
    {
        notices.add(Notice::OneOfSeveral { read: read.clone(), other: other.clone(), field: "outputs" });
    }
    if answer.is_null() {
        return;
    }
    if ![messages::is_message, messages::is_dialogue, messages::is_content].iter().any(|is| is(&answer)) {
        trace.outputs = Some(answer);
        return;
    }
    // A dialogue ends with the answer; what precedes it repeats the question, or is its only record.
    let mut said = messages::read(answer, "assistant");
    trace.outputs = said.pop().and_then(|last| messages::answer(vec![last]));
    if trace.inputs.is_none() && !said.is_empty() {
        trace.inputs = Some(Value::Object(Map::from_iter([("messages".to_owned(), said.into())])));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The trace, what was read under another name, and what was not read.
    fn row(line: &Value) -> (Trace, Vec<(String, &'static str)>, Vec<String>) {
        let fields = line.as_object().unwrap().clone();
        assert!(fits(&fields), "{line}");
        let mut notices = Notices::default();
        let Ok(Found::Trace(trace)) = read(fields, &mut notices) else { panic!("{line}") };
        let read_as = notices.iter().filter_map(|(notice, _)| match notice {
            Notice::ReadAs { name, field } => Some((name.clone(), *field)),
            _ => None,
        });
        let read_as = read_as.collect();
        let unknown = notices.unknown_names().into_iter().map(ToOwned::to_owned).collect();
        (trace, read_as, unknown)
    }

    #[test]
    fn every_field_of_a_row_has_its_place() {
        let (trace, mut read_as, unknown) =
            row(&json!({"id": 7, "conversation_id": "s", "question": "q", "answer": "a",
            "contexts": ["c"], "ground_truth": "g", "tags": ["t"], "metadata": {"m": 1}, "split": "test"}));
        read_as.sort();
        assert_eq!((trace.trace_id.as_str(), trace.session_id.as_deref()), ("7", Some("s")));
        assert_eq!((&trace.inputs, &trace.outputs), (&Some(json!("q")), &Some(json!("a"))));
        assert_eq!(Value::Object(trace.expectations), json!({"expected_response": "g"}));
        assert_eq!((trace.spans.len(), &trace.spans[0].outputs), (1, &Some(json!(["c"]))));
        assert_eq!((trace.tags["t"].as_str(), trace.metadata["m"].as_str()), ("true", "1"));
        let expected = [
            ("answer", "outputs"),
            ("contexts", "documents"),
            ("conversation_id", "session_id"),
            ("ground_truth", "expectations"),
            ("id", "trace_id"),
            ("question", "inputs"),
        ];
        assert_eq!(read_as, expected.map(|(name, field)| (name.to_owned(), field)));
        assert_eq!(unknown, ["split"]);
    }

    #[test]
    fn an_instruction_and_its_input_belong_together() {
        let (trace, _, _) = row(&json!({"instruction": "Translate.", "input": "Good evening", "output": "Bonsoir"}));
        assert_eq!(trace.inputs, Some(json!({"instruction": "Translate.", "input": "Good evening"})));
        let (trace, _, unknown) = row(&json!({"instruction": "Name a river.", "input": "", "output": "The Mur."}));
        assert_eq!((trace.inputs, unknown), (Some(json!("Name a river.")), vec!["input".to_owned()]));
    }

    #[test]
    fn messages_are_read_on_either_side() {
        let asked = json!([{"role": "user", "content": "q"}]);
        let messages = json!({"messages": asked});
        for answer in [
            json!("a"),
            json!({"role": "assistant", "content": "a"}),
            json!([{"role": "assistant", "content": "a"}]),
            json!([{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]),
            json!([{"type": "text", "text": "a"}]),
        ] {
            let (trace, _, _) = row(&json!({"prompt": asked, "completion": answer}));
            assert_eq!((trace.inputs, trace.outputs), (Some(messages.clone()), Some(json!("a"))), "{answer}");
        }
    }

    #[test]
    fn of_two_answers_the_first_is_read_and_said() {
        let mut notices = Notices::default();
        let fields = json!({"prompt": "q", "chosen": "good", "rejected": "bad"});
        let Ok(Found::Trace(trace)) = read(fields.as_object().unwrap().clone(), &mut notices) else { panic!() };
        assert_eq!((trace.inputs, trace.outputs), (Some(json!("q")), Some(json!("good"))));
        let of_several = Notice::OneOfSeveral { read: "chosen".into(), other: "rejected".into(), field: "outputs" };
        assert!(notices.iter().any(|(notice, _)| *notice == of_several), "{notices:?}");
        assert!(notices.unknown_names().is_empty());
    }

    #[test]
    fn what_is_in_doubt_is_not_read() {
        for line in [
            json!({"question": "q", "prompt": "p", "answer": "a"}),
            json!({"question": "q", "answer": "a", "response": "r"}),
            json!({"question": "q"}),
            json!({"answer": "a"}),
            json!({"question": null, "answer": "a"}),
            json!({}),
        ] {
            assert!(!fits(line.as_object().unwrap()), "{line}");
        }
    }
}
