//! Traces in short form, as suites write them.

use serde_json::{Map, Value, json};

use super::Variant;
use crate::judge::requires::EXPECTATIONS;

/// Whether it is about which of two answers is better.
pub(super) fn is_compared(whole: &Map<String, Value>) -> bool {
    whole.contains_key("answer_a")
}

/// Whether another order of the documents is another order only: a citation by number would mean another document.
pub(super) fn has_documents_in_any_order(whole: &Map<String, Value>) -> bool {
    let documents = whole.get("documents").and_then(Value::as_array);
    documents.is_some_and(|documents| documents.len() > 1) && !text(whole, "answer").contains('[')
}

/// Whether there is an answer that something can be added to.
pub(super) fn has_answer(whole: &Map<String, Value>) -> bool {
    !text(whole, "answer").is_empty()
}

fn text<'a>(whole: &'a Map<String, Value>, key: &str) -> &'a str {
    whole.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The traces of a case, as lines of a dataset.
///
/// # Errors
/// What is no part of a trace, or in another form.
pub(super) fn traces(id: &str, whole: &Map<String, Value>, variant: Variant) -> Result<Vec<Value>, String> {
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
