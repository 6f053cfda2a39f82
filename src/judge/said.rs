//! The question and the answer, as texts: without the JSON that carried them, the model's name, usage and ids.

use minijinja::Value;
use minijinja::value::Serde;
use serde_json::{Map, Value as Json};

use super::calls::{calls_of, has_calls};
use super::conversation::{QUESTIONS, answered, asked, first_of, only_argument};
use super::messages::{fields, joined, messages, role_of, text_of};
use crate::trace::{Session, Span, Trace};

/// Members of requests and responses that only say how something was transported.
const TRANSPORT: [&str; 34] = [
    "model",
    "id",
    "object",
    "created",
    "created_at",
    "usage",
    "usage_metadata",
    "token_usage",
    "response_metadata",
    "llm_output",
    "system_fingerprint",
    "service_tier",
    "finish_reason",
    "stop_reason",
    "stop_sequence",
    "logprobs",
    "latency",
    "latency_ms",
    "temperature",
    "top_p",
    "top_k",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "frequency_penalty",
    "presence_penalty",
    "seed",
    "stop",
    "stream",
    "stream_options",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
];
/// Types of spans that record a model's input.
const MODEL_SPANS: [&str; 2] = ["CHAT_MODEL", "LLM"];

/// The user's last message. `None` where no inputs were recorded.
pub(super) fn question(trace: &Trace) -> Option<Value> {
    trace.inputs.as_ref().map(|inputs| readable(asked(inputs)))
}

/// The application's final answer. `None` if no outputs were recorded.
pub(super) fn answer(trace: &Trace) -> Option<Value> {
    trace.outputs.as_ref().map(|outputs| readable(answered(outputs)))
}

/// What the inputs contain besides the question, if they are not a chat: a passage to work on, for example. `None` if nothing.
pub(super) fn context(trace: &Trace) -> Option<Value> {
    let inputs = trace.inputs.as_ref()?;
    let object = inputs.as_object().map(|object| only_argument(object).and_then(Json::as_object).unwrap_or(object))?;
    if messages(inputs).is_some() {
        return None;
    }
    let question = QUESTIONS.iter().find(|name| object.contains_key(**name))?;
    let rest: Map<_, _> = without_transport(object).filter(|(key, _)| key != question).collect();
    (!rest.is_empty()).then(|| Value::from(Serde(&Json::Object(rest))))
}

/// The turns before the question, if the inputs are a chat.
pub(super) fn history(trace: &Trace) -> Vec<Value> {
    let Some(chat) = trace.inputs.as_ref().and_then(chat) else { return Vec::new() };
    let role = |message| match role_of(message)? {
        "user" | "human" => Some("user"),
        "assistant" | "ai" | "model" => Some("assistant"),
        _ => None,
    };
    let Some(last) = chat.iter().rposition(|message| role(message) == Some("user")) else { return Vec::new() };
    let turn = |message| {
        let content = text_of(message);
        // A tool call is not an utterance.
        if std::ptr::eq(content, message) {
            return None;
        }
        Some(Value::from_pairs([("role", Value::from(role(message)?)), ("content", readable(content))]))
    };
    chat[..last].iter().filter_map(turn).collect()
}

/// The application's instructions: the system message of the inputs, or of the first call of a model that has one.
pub(super) fn system(trace: &Trace) -> Option<String> {
    let of_spans = || {
        let of_models = trace.spans.iter().filter(|span| MODEL_SPANS.contains(&span.span_type.as_str()));
        of_models.filter_map(|span| span.inputs.as_ref()).find_map(system_of)
    };
    trace.inputs.as_ref().and_then(system_of).or_else(of_spans)
}

/// The same for a conversation: from its first trace that has one.
pub(super) fn system_of_session(session: &Session) -> Option<String> {
    session.traces().find_map(system)
}

fn system_of(inputs: &Json) -> Option<String> {
    let told = |value: &Json| match value {
        Json::String(text) => Some(text.clone()),
        value => joined(value),
    };
    let is_system = |message: &&Json| matches!(role_of(message), Some("system" | "developer"));
    let chat = chat(inputs)?;
    let mut texts: Vec<String> = chat.iter().filter(is_system).filter_map(|message| told(text_of(message))).collect();
    // Anthropic, OpenAI's responses, Gemini.
    let beside = [inputs.get("system"), inputs.get("instructions"), inputs.get("system_instruction").map(text_of)];
    texts.extend(beside.into_iter().flatten().filter_map(told));
    let text = texts.join("\n\n");
    (!text.trim().is_empty()).then_some(text)
}

/// The chat in the arguments of a function or a model.
fn chat(inputs: &Json) -> Option<&[Json]> {
    if let Some(list) = messages(inputs) {
        return list.iter().any(|message| role_of(message).is_some()).then_some(list);
    }
    let object = inputs.as_object()?;
    let inner = only_argument(object).or_else(|| object.values().next().filter(|_| object.len() == 1))?;
    messages(inner).filter(|list| list.iter().any(|message| role_of(message).is_some()))
}

/// All messages of a trace, including the application's final answer: its own, or those of the last call of a model.
pub(super) fn all_messages(trace: &Trace) -> Vec<&Json> {
    let own = said(trace.inputs.as_ref(), trace.outputs.as_ref());
    if own.iter().any(|message| has_calls(message)) {
        return own;
    }
    let last = trace.spans.iter().rev().find(|span| MODEL_SPANS.contains(&span.span_type.as_str()));
    last.map(|Span { inputs, outputs, .. }| said(inputs.as_ref(), outputs.as_ref())).unwrap_or_default()
}

fn said<'a>(inputs: Option<&'a Json>, outputs: Option<&'a Json>) -> Vec<&'a Json> {
    let mut all: Vec<&Json> = inputs.and_then(chat).unwrap_or_default().iter().collect();
    if let Some(outputs) = outputs {
        match messages(outputs) {
            Some(list) => all.extend(list),
            None => all.push(first_of(outputs, "choices").and_then(|choice| choice.get("message")).unwrap_or(outputs)),
        }
    }
    all
}

/// A text if there is one, otherwise the value without its wrappers.
fn readable(value: &Json) -> Value {
    match value {
        Json::String(text) => text.as_str().into(),
        Json::Array(_) => joined(value).map_or_else(|| Value::from(Serde(value)), Value::from),
        Json::Object(_) => {
            // A message with only tool calls.
            let calls = calls_of(fields(value));
            if !calls.is_empty() {
                return Value::from(calls);
            }
            let object = value.as_object().into_iter().flat_map(without_transport);
            let rest: Map<_, _> = object.collect();
            Value::from(Serde(&Json::Object(rest)))
        }
        value => Value::from(Serde(value)),
    }
}

fn without_transport(object: &Map<String, Json>) -> impl Iterator<Item = (String, Json)> {
    // What looks like a wrapper may be all there is.
    let is_all = object.keys().all(|key| TRANSPORT.contains(&key.as_str()));
    let kept = object.iter().filter(move |(key, _)| is_all || !TRANSPORT.contains(&key.as_str()));
    kept.map(|(key, value)| (key.clone(), value.clone()))
}
