//! Minimal pairs: traces that differ in one thing, with the verdicts that a judge should give. They test a judge on a model.
//!
//! A line of a suite is `{"pair", "differs", "both": {...}, "one": {...}, "other": {...}}`: what both traces have, and what differs. A trace is written in short form:
//! `question`, `answer` (or `answer_a` and `answer_b`, of which one is better), `system`, `history`, `context`, `documents`, `calls`, `tools`, `turns`, expectations, and `expected`, or `expected_any` where several verdicts are right.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::requires::EXPECTATIONS;

macro_rules! suites {
    ($($name:literal)+) => {
        &[$(($name, include_str!(concat!("../../judges/tests/", $name, ".jsonl")))),+]
    };
}

/// The suites of the built-in judges.
pub const SUITES: &[(&str, &str)] = suites! {
    "bias" "citation_support" "completeness" "conciseness" "conversation_completeness" "conversation_guidelines"
    "conversation_safety" "conversation_tool_efficiency" "correctness" "document_relevance" "equivalence" "factual_accuracy" "fluency"
    "groundedness" "guidelines" "hallucination" "harm_severity" "harms" "injection_success" "instruction_following"
    "knowledge_retention" "non_advice" "pii_leak" "preference" "refusal" "relevance" "retrieval_relevance"
    "retrieval_sufficiency" "role_adherence" "safety" "summarization" "task_completion" "tool_call_correctness"
    "tool_call_efficiency" "tool_result_use" "trajectory" "user_frustration"
};

/// Judges whose subject is the form of an answer: there a change of form may change the verdict.
const OF_FORM: [&str; 8] = [
    "conciseness",
    "conversation_guidelines",
    "equivalence",
    "fluency",
    "guidelines",
    "instruction_following",
    "role_adherence",
    "summarization",
];

/// How a trace is asked about again, without a reason for another verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variant {
    /// As it is.
    Plain,
    /// As it is, once more: how often the verdict changes by itself.
    Placebo,
    /// The documents, or two answers, in the opposite order.
    Order,
    /// With a courtesy at the end.
    Length,
    /// With a heading before it.
    Style,
}

impl Variant {
    /// All that are compared with [`Variant::Plain`].
    pub const OTHERS: [Self; 4] = [Self::Placebo, Self::Order, Self::Length, Self::Style];

    /// The name in reports and in trace ids.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Placebo => "placebo",
            Self::Order => "order",
            Self::Length => "length",
            Self::Style => "style",
        }
    }
}

/// The minimal pairs of a judge.
#[derive(Debug)]
pub struct Suite {
    is_of_form: bool,
    pairs: Vec<Pair>,
}

/// Two traces that differ in one thing.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    pair: String,
    differs: String,
    both: Map<String, Value>,
    one: Map<String, Value>,
    other: Map<String, Value>,
}

/// A trace of a suite, and the right verdicts about it.
#[derive(Debug, Clone)]
pub struct Case {
    /// The id of the trace that the feedback is about.
    pub trace_id: String,
    /// The pair's name.
    pub pair: String,
    /// In what the two of a pair differ.
    pub differs: String,
    /// How it is asked about.
    pub variant: Variant,
    /// Any of these is right; null is an abstention.
    pub expected: Vec<Value>,
    /// The trace, those of its session, or the two that are compared, in the plain form of datasets. None where two answers are compared in the opposite
    /// order: both orders are asked anyway.
    pub traces: Vec<Value>,
}

/// What is wrong with a suite.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct SuiteError {
    /// From 1.
    pub line: usize,
    /// What is wrong.
    pub reason: String,
}

impl Suite {
    /// Reads the suite of a judge, a pair each line.
    ///
    /// # Errors
    /// Which line is no pair, and why.
    pub fn read(judge: &str, text: &str) -> Result<Self, SuiteError> {
        let mut pairs: Vec<Pair> = Vec::new();
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let wrong = |reason: String| SuiteError { line: at + 1, reason };
            let pair: Pair = serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
            if pairs.iter().any(|other| other.pair == pair.pair) {
                return Err(wrong(format!("the pair `{}` appears twice", pair.pair)));
            }
            for side in [&pair.one, &pair.other] {
                let whole = merged(&pair.both, side);
                expected(&whole).map_err(wrong)?;
                traces("t", &whole, Variant::Plain).map_err(wrong)?;
            }
            pairs.push(pair);
        }
        if pairs.is_empty() {
            return Err(SuiteError { line: 1, reason: "no pairs".to_owned() });
        }
        Ok(Self { is_of_form: OF_FORM.contains(&judge), pairs })
    }

    /// How many pairs there are.
    pub fn pairs(&self) -> usize {
        self.pairs.len()
    }

    /// All cases: each trace as it is, and in those variants that leave the right verdict what it is.
    pub fn cases(&self) -> Vec<Case> {
        let mut cases = Vec::new();
        for pair in &self.pairs {
            for (side, own) in [("one", &pair.one), ("other", &pair.other)] {
                let whole = merged(&pair.both, own);
                for variant in [Variant::Plain].into_iter().chain(Variant::OTHERS) {
                    if !self.applies(variant, &whole) {
                        continue;
                    }
                    let trace_id = format!("{}/{side}/{}", pair.pair, variant.as_str());
                    // Both were checked when the suite was read.
                    let (Ok(expected), Ok(traces)) = (expected(&whole), traces(&trace_id, &whole, variant)) else {
                        continue;
                    };
                    cases.push(Case {
                        trace_id,
                        pair: pair.pair.clone(),
                        differs: pair.differs.clone(),
                        variant,
                        expected,
                        traces,
                    });
                }
            }
        }
        cases
    }

    fn applies(&self, variant: Variant, whole: &Map<String, Value>) -> bool {
        match variant {
            Variant::Plain | Variant::Placebo => true,
            Variant::Order | Variant::Length | Variant::Style if is_compared(whole) => true,
            // A citation by number would mean another document.
            Variant::Order => {
                let documents = whole.get("documents").and_then(Value::as_array);
                let cites = whole.get("answer").and_then(Value::as_str).is_some_and(|answer| answer.contains('['));
                documents.is_some_and(|documents| documents.len() > 1) && !cites
            }
            Variant::Length | Variant::Style => {
                let said = whole.get("answer").and_then(Value::as_str).is_some_and(|answer| !answer.is_empty());
                said && !self.is_of_form
            }
        }
    }
}

fn merged(both: &Map<String, Value>, own: &Map<String, Value>) -> Map<String, Value> {
    both.iter().chain(own).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Whether it is about which of two answers is better.
fn is_compared(whole: &Map<String, Value>) -> bool {
    whole.contains_key("answer_a")
}

fn expected(whole: &Map<String, Value>) -> Result<Vec<Value>, String> {
    match (whole.get("expected"), whole.get("expected_any")) {
        (Some(value), None) => Ok(vec![value.clone()]),
        (None, Some(Value::Array(values))) if !values.is_empty() => Ok(values.clone()),
        _ => Err("a trace needs `expected`, or `expected_any` with a list of verdicts".to_owned()),
    }
}

/// The traces of a case, as lines of a dataset.
fn traces(id: &str, whole: &Map<String, Value>, variant: Variant) -> Result<Vec<Value>, String> {
    const KNOWN: [&str; 13] = [
        "question",
        "answer",
        "answer_a",
        "answer_b",
        "system",
        "history",
        "context",
        "documents",
        "calls",
        "tools",
        "turns",
        "expected",
        "expected_any",
    ];
    if let Some(key) = whole.keys().find(|key| !KNOWN.contains(&key.as_str()) && !EXPECTATIONS.contains(&key.as_str()))
    {
        return Err(format!("a trace has no `{key}`"));
    }
    let list = |key: &str| whole.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let spans =
        spans(whole.get("question"), list("documents"), whole.contains_key("documents"), list("calls"), variant);
    let expectations: Map<String, Value> = whole
        .iter()
        .filter(|(key, _)| EXPECTATIONS.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let system = whole.get("system").and_then(Value::as_str);
    let trace = |id: String, messages: Vec<Value>, answer: Option<&Value>| {
        let mut trace = json!({"trace_id": id, "inputs": {"messages": messages}});
        if let Some(answer) = answer {
            trace["outputs"] = varied(answer, variant);
        }
        if !expectations.is_empty() {
            trace["expectations"] = expectations.clone().into();
        }
        trace
    };
    let said = |role: &str, text: &Value| json!({"role": role, "content": text});
    let mut messages: Vec<Value> = system.iter().map(|text| said("system", &(*text).into())).collect();
    if let Some(turns) = whole.get("turns").and_then(Value::as_array) {
        let mut session = Vec::new();
        for (at, turn) in turns.iter().enumerate() {
            let [user, assistant] = turn.as_array().map(Vec::as_slice).unwrap_or_default() else {
                return Err("a turn is a list of what the user and the assistant say".to_owned());
            };
            let is_last = at + 1 == turns.len();
            let turn_id = if is_last { id.to_owned() } else { format!("{id}/{at}") };
            let mut own = messages.clone();
            own.push(said("user", user));
            let mut trace = trace(turn_id, own, Some(assistant));
            trace["session_id"] = id.into();
            trace["request_time"] = (1_700_000_000_000_u64 + 1000 * at as u64).into();
            if is_last && !spans.is_empty() {
                trace["spans"] = spans.clone().into();
            }
            session.push(trace);
        }
        return if session.is_empty() { Err("`turns` is empty".to_owned()) } else { Ok(session) };
    }
    for turn in list("history") {
        let [user, assistant] = turn.as_array().map(Vec::as_slice).unwrap_or_default() else {
            return Err("a turn of the history is a list of what the user and the assistant say".to_owned());
        };
        messages.extend([said("user", user), said("assistant", assistant)]);
    }
    messages.extend(whole.get("question").map(|question| said("user", question)));
    if let Some(answer_a) = whole.get("answer_a") {
        let answer_b = whole.get("answer_b").ok_or("`answer_a` needs an `answer_b`")?;
        if variant == Variant::Order {
            return Ok(Vec::new());
        }
        // What is changed is the answer that should not win.
        let loser =
            if whole.get("expected").is_some_and(|expected| expected == "answer_b") { answer_a } else { answer_b };
        let side = |answer: &Value| {
            let mut side = trace(id.to_owned(), messages.clone(), None);
            side["outputs"] = if answer == loser { varied(answer, variant) } else { answer.clone() };
            side
        };
        return Ok(vec![side(answer_a), side(answer_b)]);
    }
    let mut trace = trace(id.to_owned(), messages.clone(), whole.get("answer"));
    trace["inputs"] = match (whole.get("context"), whole.get("tools")) {
        (Some(context), _) => json!({"question": whole.get("question"), "context": context}),
        (None, Some(tools)) => json!({"messages": messages, "tools": tools}),
        (None, None) => trace["inputs"].take(),
    };
    if messages.is_empty() {
        trace["inputs"] = json!({});
    }
    if !spans.is_empty() {
        trace["spans"] = spans.into();
    }
    Ok(vec![trace])
}

fn spans(
    question: Option<&Value>,
    documents: &[Value],
    has_documents: bool,
    calls: &[Value],
    variant: Variant,
) -> Vec<Value> {
    let mut spans = Vec::new();
    if has_documents {
        let document = |document: &Value| match document {
            Value::String(text) => json!({"page_content": text}),
            document => {
                let metadata: Map<_, _> = [("title", "title"), ("doc_uri", "uri")]
                    .into_iter()
                    .filter_map(|(key, own)| Some((key.to_owned(), document.get(own)?.clone())))
                    .collect();
                json!({"page_content": document["text"], "metadata": metadata})
            }
        };
        let mut found: Vec<Value> = documents.iter().map(document).collect();
        if variant == Variant::Order {
            found.reverse();
        }
        spans.push(json!({"span_id": "retrieval", "name": "search", "span_type": "RETRIEVER", "inputs": question, "outputs": found}));
    }
    for (at, call) in calls.iter().enumerate() {
        let mut span = json!({"span_id": format!("call-{}", at + 1), "name": call["name"], "span_type": "TOOL", "inputs": call["arguments"]});
        match call.get("error") {
            Some(error) => span["status"] = json!({"code": "ERROR", "message": error}),
            None => span["outputs"] = call["result"].clone(),
        }
        spans.push(span);
    }
    spans
}

/// The answer in a variant.
fn varied(answer: &Value, variant: Variant) -> Value {
    match (variant, answer.as_str()) {
        (Variant::Length, Some(text)) => format!("{text}\n\nThat is all on this; a good day to you.").into(),
        (Variant::Style, Some(text)) => format!("### Answer\n\n{text}").into(),
        _ => answer.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::{Judge, JudgeKind, library};

    #[test]
    fn every_built_in_judge_has_a_suite_of_8_to_20_pairs_with_allowed_verdicts() {
        let asks = |(name, text): &&(&str, &str)| Judge::compile(name, text, name).unwrap().kind() == JudgeKind::Llm;
        for (name, text) in library::BUILT_IN.iter().filter(asks) {
            let (_, suite) = SUITES.iter().find(|(suite, _)| suite == name).unwrap_or_else(|| panic!("{name}"));
            let suite = Suite::read(name, suite).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!((8..=20).contains(&suite.pairs()), "{name}: {}", suite.pairs());
            let judge = Judge::compile(name, text, name).unwrap();
            let mut sides = Vec::new();
            for case in suite.cases() {
                for value in &case.expected {
                    let is_allowed = judge.verdict.check(value).is_ok() || judge.can_abstain && value.is_null();
                    assert!(is_allowed, "{name}: {}: {value}", case.trace_id);
                }
                if case.variant == Variant::Plain {
                    sides.push(case.expected);
                }
            }
            // The one difference is a difference to the judge.
            assert!(sides.chunks(2).all(|pair| pair[0] != pair[1]), "{name}");
        }
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let pair = r#"{"pair": "a", "differs": "d", "both": {"question": "Q"}, "one": {"expected": true, "answer": "x"}, "other": {"expected": false, "answer": "y"}}"#;
        assert_eq!(Suite::read("j", pair).unwrap().pairs(), 1);
        for (text, words) in [
            ("", "line 1: no pairs"),
            (&format!("{pair}\n\n{pair}"), "line 3: the pair `a` appears twice"),
            (&pair.replace("\"expected\": true", "\"expect\": true"), "line 1: a trace needs `expected`"),
            (&pair.replace("\"question\"", "\"questoin\""), "line 1: a trace has no `questoin`"),
            (&pair.replace("differs", "differ"), "line 1: unknown field `differ`"),
        ] {
            let error = Suite::read("j", text).unwrap_err().to_string();
            assert!(error.starts_with(words), "{error}");
        }
    }
}
