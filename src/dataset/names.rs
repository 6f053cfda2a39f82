//! The names that other tools and data sets use for the fields of a trace.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::{Map, Value};

/// Names of what the user asked; the best ones first.
const INPUTS: &[&str] = &[
    "question",
    "query",
    "user_input",
    "user_query",
    "user_question",
    "user_message",
    "user_prompt",
    "instruction",
    "input",
    "prompt",
    "problem",
    "request",
];
/// Names of what the application answered; the best ones first.
const OUTPUTS: &[&str] = &[
    "actual_output",
    "generated_answer",
    "generated_response",
    "generated_text",
    "model_output",
    "model_answer",
    "model_response",
    "llm_output",
    "llm_response",
    "llm_answer",
    "predicted_answer",
    "prediction",
    "response",
    "completion",
    "generation",
    "output",
    "result",
    "reply",
    "answer",
    "chosen",
];
/// Names of what a right answer looks like.
const EXPECTED: &[&str] = &[
    "expected_response",
    "expected_output",
    "expected_answer",
    "expected",
    "expectation",
    "reference",
    "reference_answer",
    "reference_output",
    "reference_outputs",
    "reference_response",
    "ground_truth",
    "ground_truths",
    "ground_truth_answer",
    "gold",
    "gold_answer",
    "golden_answer",
    "correct_answer",
    "best_answer",
    "ideal",
    "target",
];
/// Names of what was retrieved for the answer; the best ones first.
const DOCUMENTS: &[&str] = &[
    "retrieved_contexts",
    "retrieved_context",
    "retrieval_context",
    "retrieved_documents",
    "retrieved_docs",
    "retrieved_chunks",
    "source_documents",
    "contexts",
    "context",
    "documents",
    "docs",
    "passages",
    "chunks",
    "ctxs",
];
/// Instructions next to a question.
const SYSTEM: &[&str] = &["system_prompt", "system_message", "system"];
/// Names of a dialogue: a list of messages or turns.
pub(crate) const DIALOGUES: &[&str] = &[
    "conversations",
    "conversation",
    "dialogue",
    "dialog",
    "chat",
    "chat_history",
    "turns",
    "conversation_a",
    "chosen",
];
/// Rows with two answers; the first is read.
pub(crate) const PAIRS: &[(&str, &str)] = &[
    ("chosen", "rejected"),
    ("response_a", "response_b"),
    ("answer_a", "answer_b"),
    ("output_a", "output_b"),
    ("completion_a", "completion_b"),
    ("response_0", "response_1"),
    ("response_1", "response_2"),
    ("output_1", "output_2"),
    ("conversation_a", "conversation_b"),
];
/// Other fields by other names.
const OTHERS: &[(&str, &[&str])] = &[
    ("trace_id", &["id", "request_id", "example_id", "run_id"]),
    ("session_id", &["session", "conversation_id", "thread_id"]),
    ("user", &["user_id"]),
    ("spans", &["span", "steps"]),
    ("tags", &["tag"]),
];

/// A name without the differences between tools: case, underscores and the like.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// The meaning of a column's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Input,
    Output,
    Expected,
    Documents,
    System,
}

/// Every name of a row's column, with its rank among those of its kind.
static KNOWN: LazyLock<HashMap<String, (Kind, usize)>> = LazyLock::new(|| {
    let tables = [
        (Kind::Input, INPUTS),
        (Kind::Output, OUTPUTS),
        (Kind::Expected, EXPECTED),
        (Kind::Documents, DOCUMENTS),
        (Kind::System, SYSTEM),
    ];
    let names = tables
        .into_iter()
        .flat_map(|(kind, names)| names.iter().zip(0..).map(move |(n, rank)| (plain(n), (kind, rank))));
    names.collect()
});

fn known(name: &str) -> Option<(Kind, usize)> {
    KNOWN.get(&plain(name)).copied()
}

/// The last name of a path.
fn leaf(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

/// The field that this name most likely means; `None` for a field's own name.
pub fn meant(name: &str) -> Option<&'static str> {
    // `info.x` and `spans[].x` are fields of something else.
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ' ')) {
        return None;
    }
    let by_kind = known(name).and_then(|(kind, _)| match kind {
        Kind::Input => Some("inputs"),
        Kind::Output => Some("outputs"),
        Kind::Expected => Some("expectations"),
        Kind::Documents => Some("documents"),
        Kind::System => None,
    });
    let is_one_of = |names: &[&str]| names.iter().any(|known| plain(known) == plain(name));
    let other =
        || OTHERS.iter().find(|(field, names)| is_one_of(names) || is_one_of(&[field])).map(|(field, _)| *field);
    let own = || ["inputs", "outputs", "expectations"].into_iter().find(|field| is_one_of(&[field]));
    by_kind.or_else(other).or_else(own).filter(|field| *field != name)
}

/// Whether a table's column of this name may hold a list or an object as text.
pub(crate) fn is_structured(name: &str) -> bool {
    known(name).is_some() || ["messages", "source", "extra"].contains(&name) || DIALOGUES.contains(&name)
}

/// Which keys of an object are which fields, judging by their names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Guess {
    /// The question: one key, or several that belong together.
    pub inputs: Vec<String>,
    /// Other keys that could be the question.
    pub other_inputs: usize,
    /// The answer.
    pub outputs: Option<String>,
    /// Whether other keys could be the answer.
    pub has_other_outputs: bool,
    /// The other answer of a row that has two.
    pub other_answer: Option<String>,
    pub expected: Option<String>,
    pub documents: Option<String>,
}

impl Guess {
    /// Considers only keys with non-empty values.
    pub(crate) fn of(object: &Map<String, Value>) -> Self {
        let holds = |value: &Value| match value {
            Value::Null => false,
            Value::String(text) => !text.is_empty(),
            _ => true,
        };
        let mut found: Vec<_> = object
            .iter()
            .filter(|(_, value)| holds(value))
            .filter_map(|(key, _)| known(leaf(key)).map(|(kind, rank)| (kind, rank, key)))
            .collect();
        // By rank in the table, then by place in the object.
        found.sort_by_key(|(_, rank, _)| *rank);
        let named = |kind: Kind| -> Vec<String> {
            found.iter().filter(|(other, ..)| *other == kind).map(|(.., key)| (*key).clone()).collect()
        };
        let mut guess = Self::default();
        let inputs = named(Kind::Input);
        let has = |name: &str| inputs.iter().position(|key| plain(leaf(key)) == name);
        match (has("instruction"), has("input")) {
            // Alpaca: the input is what the instruction is about.
            (Some(instruction), Some(input)) => {
                guess.inputs = [instruction, input].iter().filter_map(|at| inputs.get(*at).cloned()).collect();
                guess.other_inputs = inputs.len() - 2;
            }
            _ => {
                guess.other_inputs = inputs.len().saturating_sub(1);
                guess.inputs.extend(inputs.into_iter().next());
            }
        }
        if !guess.inputs.is_empty() {
            guess.inputs.extend(named(Kind::System).into_iter().next());
        }
        let mut outputs = named(Kind::Output);
        guess.expected = named(Kind::Expected).into_iter().next();
        // Next to an answer of the application, an `answer` is the right one.
        if outputs.len() > 1 && outputs.last().is_some_and(|last| plain(last) == "answer") && guess.expected.is_none() {
            guess.expected = outputs.pop();
            guess.has_other_outputs = true;
        }
        guess.has_other_outputs |= outputs.len() > 1;
        guess.outputs = outputs.into_iter().next();
        let pair = PAIRS.iter().find_map(|(first, second)| {
            let find = |name: &str| object.keys().find(|key| plain(key) == plain(name)).cloned();
            find(first).zip(find(second))
        });
        if let Some((first, second)) = pair {
            guess.has_other_outputs |= guess.outputs.as_ref().is_some_and(|output| *output != first);
            (guess.outputs, guess.other_answer) = (Some(first), Some(second));
        }
        guess.documents = named(Kind::Documents).into_iter().next();
        guess
    }

    /// Whether the names are unambiguous about question and answer.
    pub(crate) fn is_clear(&self) -> bool {
        !self.inputs.is_empty() && self.other_inputs == 0 && self.outputs.is_some() && !self.has_other_outputs
    }

    /// Which field to take from which key, each as `field`, `key`; empty if no name means the question.
    pub(crate) fn mappings(&self) -> Vec<(String, String)> {
        let inputs = self.inputs.iter().map(|key| match self.inputs.len() {
            1 => ("inputs".to_owned(), key.clone()),
            _ => (format!("inputs.{}", key.replace('.', "_")), key.clone()),
        });
        let field = |field: &str, key: &Option<String>| key.clone().map(|key| (field.to_owned(), key));
        let others = [
            field("outputs", &self.outputs),
            field("expectations.expected_response", &self.expected),
            field("documents", &self.documents),
        ];
        if self.inputs.is_empty() { Vec::new() } else { inputs.chain(others.into_iter().flatten()).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_tools_name_stands_for_a_field_and_no_field_for_itself() {
        for (name, ours) in [
            ("output", "outputs"),
            ("Input", "inputs"),
            ("question", "inputs"),
            ("expected", "expectations"),
            ("expected_output", "expectations"),
            ("groundTruth", "expectations"),
            ("retrieved_contexts", "documents"),
            ("id", "trace_id"),
            ("traceId", "trace_id"),
            ("Tags", "tags"),
            ("conversation_id", "session_id"),
            ("color", "none"),
            ("info.id", "none"),
            ("spans[].input", "none"),
            ("tags", "none"),
            ("trace_id", "none"),
            ("documents", "none"),
        ] {
            assert_eq!(meant(name).unwrap_or("none"), ours, "{name}");
        }
    }

    fn guess(names: &[&str]) -> Guess {
        Guess::of(&names.iter().map(|name| ((*name).to_owned(), Value::from("x"))).collect())
    }

    fn mapped(names: &[&str]) -> String {
        let mappings = guess(names).mappings();
        mappings.iter().map(|(field, key)| format!("{field}={key}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn names_tell_which_key_is_which_field() {
        for (names, is_clear, mappings) in [
            (&["id", "Question", "answer"][..], true, "inputs=Question outputs=answer"),
            (&["input", "output", "expected"], true, {
                "inputs=input outputs=output expectations.expected_response=expected"
            }),
            (
                &["instruction", "input", "output"],
                true,
                "inputs.instruction=instruction inputs.input=input outputs=output",
            ),
            (&["system_prompt", "question", "response"], true, {
                "inputs.question=question inputs.system_prompt=system_prompt outputs=response"
            }),
            (&["user_input", "retrieved_contexts", "response", "reference"], true, {
                "inputs=user_input outputs=response expectations.expected_response=reference documents=retrieved_contexts"
            }),
            (&["prompt", "chosen", "rejected"], true, "inputs=prompt outputs=chosen"),
            (&["question", "prompt", "answer"], false, "inputs=question outputs=answer"),
            (&["question", "model_answer", "answer"], false, {
                "inputs=question outputs=model_answer expectations.expected_response=answer"
            }),
            (&["question", "output", "response"], false, "inputs=question outputs=response"),
            (&["question"], false, "inputs=question"),
            (&["answer"], false, ""),
            (&["color"], false, ""),
        ] {
            assert_eq!((guess(names).is_clear(), mapped(names).as_str()), (is_clear, mappings), "{names:?}");
        }
        let pair = guess(&["prompt", "response_a", "response_b"]);
        assert_eq!((pair.outputs.as_deref(), pair.other_answer.as_deref()), (Some("response_a"), Some("response_b")));
    }

    #[test]
    fn what_holds_nothing_stands_for_nothing() {
        let object = serde_json::json!({"instruction": "a", "input": "", "context": null, "output": "b"});
        let guess = Guess::of(object.as_object().unwrap());
        assert_eq!((guess.inputs, guess.documents), (vec!["instruction".to_owned()], None));
    }
}
