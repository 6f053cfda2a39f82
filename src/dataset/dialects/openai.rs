//! Chats as in OpenAI's API: logged requests with their answers, the files of a batch, examples for fine-tuning.
//!
//! ```json
//! {"messages": [{"role": "user", "content": "..."}], "response": {"choices": [{"message": {"content": "..."}}]}}
//! {"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}
//! ```
//! The inputs are `{"messages": [...]}` as they were sent, with `tools` if there are any; of the Responses API `instructions` and
//! `input`. Without a separate answer, a last message by the assistant is the output. An answer of text is that text, any
//! other the whole message. Parameters, model and reason to finish are kept in the metadata.
//! Anthropic's `system` is the first message, and its answers are read as well.
//! Source: OpenAI's API reference; its guides on batches and fine-tuning.

mod answer;

use serde_json::{Map, Value};

use crate::dataset::dialects::dialect::{Dialect, Found};
use crate::dataset::dialects::fields::{object, strings, text, wrong};
use crate::dataset::dialects::messages;
use crate::dataset::dialects::part::Part;
use crate::dataset::dialects::rows;
use crate::dataset::dialects::times;
use crate::dataset::dialects::trace_fields::{self, token_usage};
use crate::dataset::notice::Notices;
use crate::trace::{Trace, TraceState};

pub(crate) const DIALECT: Dialect = Dialect { name: "openai", title: "OpenAI's chats and batches", fits, read };

/// The parts of a request that are its input, in this order.
const INPUTS: &[&str] = &["instructions", "system", "messages", "prompt", "input", "tools", "functions"];

/// Other members of a request or a response that are worth keeping.
const PARAMETERS: &[&str] = &[
    "model",
    "temperature",
    "top_p",
    "n",
    "seed",
    "stop",
    "stream",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "stop_sequence",
    "stop_sequences",
    "top_k",
    "thinking",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "response_format",
    "text",
    "tool_choice",
    "parallel_tool_calls",
    "function_call",
    "reasoning",
    "reasoning_effort",
    "verbosity",
    "modalities",
    "service_tier",
    "system_fingerprint",
    "truncation",
    "previous_response_id",
    "conversation",
    "incomplete_details",
    "max_tool_calls",
    "include",
    "audio",
    "prediction",
    "web_search_options",
    "method",
    "url",
];

/// Members of every response that mean nothing to a judge.
const HOUSEKEEPING: &[&str] =
    &["object", "store", "stream_options", "background", "prompt_cache_key", "prompt_cache_retention", "completed_at"];

fn fits(object: &Map<String, Value>) -> bool {
    let is = |key: &str, test: fn(&Value) -> bool| object.get(key).is_some_and(test);
    let asks = |body: &Value| ["messages", "input", "prompt"].iter().any(|key| body.get(*key).is_some());
    is("messages", Value::is_array)
        || is("custom_id", Value::is_string) && (is("body", Value::is_object) || object.contains_key("response"))
        || object.get("request").is_some_and(asks)
        || matches!(object.get("object").and_then(Value::as_str), Some("chat.completion" | "response"))
        || is("prompt", Value::is_string) && is("completion", Value::is_string)
        || is("preferred_output", Value::is_array) && object.get("input").is_some_and(asks)
}

fn read(mut fields: Map<String, Value>, notices: &mut Notices) -> Result<Found, String> {
    if let Some(custom_id) = fields.remove("custom_id") {
        let trace = read_batch(fields, notices)?;
        let trace_id =
            text("custom_id", custom_id)?.ok_or("`custom_id` is empty; it joins a request with its answer")?;
        return Ok(Found::Parts(vec![Part::Trace(Trace { trace_id, ..trace })]));
    }
    let mut chat = Chat::default();
    // The answer may name the model more precisely than the request.
    for key in ["request", "input"] {
        if fields.get(key).is_some_and(|body| key == "request" || body.get("messages").is_some()) {
            chat.take_body(key, fields.remove(key).unwrap_or_default(), notices)?;
        }
    }
    let mut rest = Map::new();
    for (key, value) in fields {
        match key.as_str() {
            "response" | "completion" if is_body(&value) => chat.take_body(&key, value, notices)?,
            "response" | "completion" | "outputs" => chat.answer = Some(answer::of_message(value)),
            "preferred_output" => chat.answer = answer::last(value),
            _ => rest.extend(chat.take(&key, value, notices)?.map(|value| (key, value))),
        }
    }
    // What remains belongs to the trace: expectations, tags, a session.
    let (mut trace, rest) = trace_fields::read(rest, notices)?;
    let has_answer = chat.answer.is_some() || chat.trace.state == TraceState::Error;
    if !has_answer && let Some(Value::Array(messages)) = chat.inputs.get_mut("messages") {
        chat.answer = messages.pop_if(|last| last.get("role") == Some(&"assistant".into())).map(answer::of_message);
    }
    if chat.inputs.is_empty() {
        return Err("`messages` is missing: this is an answer without its request".to_owned());
    }
    let read = chat.finish();
    if trace.trace_id.is_empty() {
        trace.trace_id = read.trace_id;
    }
    trace.inputs = read.inputs;
    trace.outputs = trace.outputs.or(read.outputs);
    rows::fill(&mut trace, rest, notices);
    trace.metadata.extend(read.metadata);
    trace.user = trace.user.or(read.user);
    if trace.state == TraceState::default() {
        trace.state = read.state;
    }
    trace.request_time_ms = trace.request_time_ms.or(read.request_time_ms);
    trace.token_usage = trace.token_usage.or(read.token_usage);
    Ok(Found::Trace(trace))
}

/// A line of a batch's input or output file. They are joined by `custom_id`, because answers are not in the order of requests.
fn read_batch(fields: Map<String, Value>, notices: &mut Notices) -> Result<Trace, String> {
    let mut chat = Chat::default();
    for (key, value) in fields {
        match (key.as_str(), value) {
            ("body", value) => chat.take_body("body", value, notices)?,
            ("response", Value::Object(response)) => {
                for (key, value) in response {
                    match key.as_str() {
                        "body" => chat.take_body("response.body", value, notices)?,
                        "status_code" if value.as_u64().is_some_and(|status| status >= 400) => chat.fail(),
                        "status_code" => {}
                        "request_id" => chat.keep("request_id", value),
                        _ => notices.unknown(format!("response.{key}")),
                    }
                }
            }
            ("response", Value::Null) => {}
            ("response", other) => return Err(wrong("response", "an object", &other)),
            // The batch's own name for the line; `custom_id` is the trace's.
            ("id", value) => chat.keep("batch_request_id", value),
            (_, value) => {
                if chat.take(&key, value, notices)?.is_some() {
                    notices.unknown(key);
                }
            }
        }
    }
    Ok(chat.finish())
}

/// Whether it is a response's body rather than the answer itself.
fn is_body(value: &Value) -> bool {
    is_of_anthropic(value) || ["choices", "output", "output_text", "error"].iter().any(|key| value.get(*key).is_some())
}

/// Whether it is a message of Anthropic's API.
fn is_of_anthropic(body: &Value) -> bool {
    body.get("type").is_some_and(|kind| kind == "message") && body.get("content").is_some()
}

#[derive(Debug, Default)]
struct Chat {
    inputs: Map<String, Value>,
    answer: Option<Value>,
    /// All else.
    trace: Trace,
}

impl Chat {
    fn finish(self) -> Trace {
        let Self { mut inputs, answer, mut trace } = self;
        if inputs.get("messages").is_some_and(Value::is_array)
            && let Some(system) = inputs.shift_remove("system")
            && let Some(Value::Array(asked)) = inputs.get_mut("messages")
        {
            // Anthropic's instructions are next to the messages.
            asked.splice(0..0, messages::read(system, "system"));
        }
        let ordered: Map<_, _> = INPUTS.iter().filter_map(|key| inputs.remove_entry(*key)).collect();
        trace.inputs = Some(Value::Object(ordered)).filter(|inputs| *inputs != Value::Object(Map::new()));
        trace.outputs = answer;
        trace
    }

    fn fail(&mut self) {
        self.trace.state = TraceState::Error;
    }

    fn keep(&mut self, name: &str, value: Value) {
        let text = match value {
            Value::Null => return,
            Value::String(text) => text,
            other => other.to_string(),
        };
        self.trace.metadata.insert(name.to_owned(), text);
    }

    /// A request's or a response's body.
    fn take_body(&mut self, name: &str, mut body: Value, notices: &mut Notices) -> Result<(), String> {
        if is_of_anthropic(&body) {
            let content = body.get_mut("content").map(Value::take).unwrap_or_default();
            self.answer = Some(answer::of_content(content));
            self.succeed();
        }
        for (key, value) in object(name, body)? {
            let left =
                self.take(&key, value, notices).map_err(|reason| reason.replacen('`', &format!("`{name}."), 1))?;
            if left.is_some() {
                notices.unknown(format!("{name}.{key}"));
            }
        }
        Ok(())
    }

    /// A field of a request or a response; a value that belongs to neither is given back.
    fn take(&mut self, key: &str, value: Value, notices: &mut Notices) -> Result<Option<Value>, String> {
        let trace = &mut self.trace;
        match key {
            _ if value.is_null() => {}
            "choices" => {
                let choices = answer::of_choices(value)?;
                self.answer = choices.answer;
                if let Some(reason) = choices.finish_reason {
                    self.keep("finish_reason", reason);
                }
                self.succeed();
            }
            "output" => self.answer = Some(answer::of_items(value)),
            "type" | "role" | "content" if self.answer.is_some() && (value.is_string() || value.is_null()) => {}
            "stop_reason" => self.keep("finish_reason", value),
            "output_text" => self.answer = self.answer.take().or(Some(value)),
            "error" => {
                self.keep("error", value);
                self.fail();
            }
            "status" => match value.as_str() {
                Some("completed") => self.succeed(),
                Some("failed" | "cancelled") => self.fail(),
                Some("in_progress" | "queued") => trace.state = TraceState::InProgress,
                Some("incomplete") => self.keep("status", value),
                _ => return Ok(Some(value)),
            },
            "id" => trace.trace_id = text(key, value)?.unwrap_or_default(),
            "created" | "created_at" => trace.request_time_ms = times::ms(key, &value, notices),
            "usage" => trace.token_usage = Some(token_usage(key, value)?),
            "metadata" => trace.metadata.extend(strings(key, value)?),
            "user" => trace.user = text(key, value)?,
            "safety_identifier" => trace.user = trace.user.take().or(text(key, value)?),
            _ if INPUTS.contains(&key) => {
                if value != Value::Array(Vec::new()) {
                    self.inputs.entry(key).or_insert(value);
                }
            }
            _ if PARAMETERS.contains(&key) => self.keep(key, value),
            _ if HOUSEKEEPING.contains(&key) => {}
            _ => return Ok(Some(value)),
        }
        Ok(None)
    }

    /// What failed stays so.
    fn succeed(&mut self) {
        if self.trace.state == TraceState::default() {
            self.trace.state = TraceState::Ok;
        }
    }
}

#[cfg(test)]
mod tests;
