//! An answer that comes as a stream of events, asked for or not, assembled into the equivalent completion.
//!
//! Source: OpenAI API reference, "Chat completion chunk object"; the HTML standard, "Server-sent events".

use std::borrow::Cow;

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// How the lines of a stream begin.
const FIELDS: &[&str] = &["data:", "event:", "id:", "retry:", ":"];
const END: &str = "[DONE]";
/// Members of a chunk that a completion has as well.
const COMMON: &[&str] = &["model", "system_fingerprint", "usage"];

/// The stream ends before the answer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CutStream;

/// Whether a body is a stream of events.
pub(crate) fn is_stream(text: &str) -> bool {
    FIELDS.iter().any(|field| text.trim_start().starts_with(field))
}

/// The body of the completion, or of the error, that a stream of events amounts to; also of a whole completion with the end of a stream
/// behind it. `None` where the body is neither.
pub(crate) fn whole(body: &[u8]) -> Option<Result<Vec<u8>, CutStream>> {
    let text = String::from_utf8_lossy(body);
    if is_stream(&text) {
        return Some(joined(&text));
    }
    let mut values = serde_json::Deserializer::from_str(&text).into_iter::<&RawValue>();
    let first = values.next()?.ok()?;
    let rest = text[values.byte_offset()..].trim_start();
    rest.starts_with("data:").then(|| Ok(first.get().as_bytes().to_vec()))
}

fn joined(text: &str) -> Result<Vec<u8>, CutStream> {
    let mut answer = Joined::default();
    for data in events(text) {
        if data.trim() == END {
            answer.is_done = true;
            break;
        }
        if let Ok(Value::Object(chunk)) = serde_json::from_str(&data)
            && let Some(error) = answer.add(chunk)
        {
            return Ok(json!({"error": error}).to_string().into_bytes());
        }
    }
    answer.completion()
}

/// The data of each event: its lines, joined.
fn events(text: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let mut lines = text.lines();
    std::iter::from_fn(move || {
        let mut event: Option<Cow<'_, str>> = None;
        for line in lines.by_ref() {
            match (line.strip_prefix("data:"), &mut event) {
                (Some(data), None) => event = Some(data.into()),
                (Some(data), Some(event)) => {
                    let event = event.to_mut();
                    event.push('\n');
                    event.push_str(data);
                }
                (None, Some(_)) if line.trim().is_empty() => break,
                (None, _) => {}
            }
        }
        event
    })
}

/// What the chunks so far amount to.
#[derive(Default)]
struct Joined {
    common: Map<String, Value>,
    content: String,
    refusal: String,
    reasoning: String,
    arguments: String,
    finish: Map<String, Value>,
    has_choice: bool,
    is_done: bool,
}

impl Joined {
    /// Adds a chunk. Returns the error that it is instead.
    fn add(&mut self, mut chunk: Map<String, Value>) -> Option<Value> {
        let take = |from: &mut Map<String, Value>, name: &str| from.remove(name).filter(|value| !value.is_null());
        if let Some(error) = take(&mut chunk, "error") {
            return Some(error);
        }
        for name in COMMON {
            if let Some(value) = take(&mut chunk, name) {
                self.common.insert((*name).to_owned(), value);
            }
        }
        let choices = take(&mut chunk, "choices");
        let Some(Value::Object(mut choice)) = choices.and_then(|choices| choices.as_array()?.first().cloned()) else {
            return None;
        };
        self.has_choice = true;
        if let Some(error) = take(&mut choice, "error") {
            return Some(error);
        }
        for name in ["finish_reason", "native_finish_reason"] {
            if let Some(reason) = take(&mut choice, name) {
                self.finish.insert(name.to_owned(), reason);
            }
        }
        // Some servers send the whole message at the end, or in one event.
        let whole = take(&mut choice, "message");
        if whole.is_some() {
            let pieces = [&mut self.content, &mut self.refusal, &mut self.reasoning, &mut self.arguments];
            pieces.into_iter().for_each(String::clear);
        }
        if let Some(Value::Object(piece)) = whole.or_else(|| take(&mut choice, "delta")) {
            self.add_piece(&piece);
        }
        None
    }

    fn add_piece(&mut self, piece: &Map<String, Value>) {
        let text = |name: &str| piece.get(name).and_then(Value::as_str).unwrap_or_default();
        match piece.get("content") {
            Some(Value::Array(parts)) => {
                parts.iter().filter_map(|part| part.get("text")?.as_str()).for_each(|text| self.content.push_str(text));
            }
            _ => self.content.push_str(text("content")),
        }
        self.refusal.push_str(text("refusal"));
        self.reasoning.push_str(text("reasoning_content"));
        self.reasoning.push_str(text("reasoning"));
        let call = piece.get("tool_calls").and_then(|calls| calls.get(0)?.get("function"));
        let arguments = call.or_else(|| piece.get("function_call")).and_then(|call| call.get("arguments")?.as_str());
        self.arguments.push_str(arguments.unwrap_or_default());
    }

    fn completion(self) -> Result<Vec<u8>, CutStream> {
        let Self {
            common: mut completion,
            content,
            refusal,
            reasoning,
            arguments,
            finish: mut choice,
            has_choice,
            is_done,
        } = self;
        if !is_done && choice.is_empty() {
            return Err(CutStream);
        }
        let message = json!({
            "content": content,
            "refusal": refusal,
            "reasoning_content": reasoning,
            "tool_calls": [{"function": {"arguments": arguments}}],
        });
        choice.insert("message".to_owned(), message);
        completion.insert("choices".to_owned(), if has_choice { json!([choice]) } else { json!([]) });
        Ok(Value::Object(completion).to_string().into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Result<Value, CutStream>> {
        whole(text.as_bytes()).map(|whole| whole.map(|bytes| serde_json::from_slice(&bytes).unwrap()))
    }

    fn completion(text: &str) -> Value {
        read(text).unwrap().unwrap()
    }

    fn chunk(delta: &str, rest: &str) -> String {
        format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{delta}{rest}}}]}}\n\n")
    }

    #[test]
    fn chunks_are_put_together() {
        let text = [
            ": keep-alive\n\n",
            "event: message\n",
            &chunk(r#"{"role":"assistant","content":""}"#, r#","finish_reason":null"#),
            &chunk(r#"{"reasoning_content":"hm"}"#, ""),
            &chunk(r#"{"reasoning":"m"}"#, "").replace("data: ", "data:"),
            &chunk(r#"{"content":"{\"value\":"}"#, "").replace('\n', "\r\n"),
            &chunk(r#"{"content":[{"type":"text","text":"true}"}]}"#, r#","finish_reason":"stop","native_finish_reason":"STOP""#),
            "data: {\"choices\":[],\"model\":\"m-1\",\"usage\":{\"prompt_tokens\":9},\"system_fingerprint\":\"fp\"}\n\n",
            "data: [DONE]\n\n",
            &chunk(r#"{"content":"after the end"}"#, ""),
        ]
        .concat();
        let answer = completion(&text);
        let choice = &answer["choices"][0];
        assert_eq!(choice["message"]["content"], "{\"value\":true}");
        assert_eq!(choice["message"]["reasoning_content"], "hmm");
        assert_eq!((&choice["finish_reason"], &choice["native_finish_reason"]), (&json!("stop"), &json!("STOP")));
        assert_eq!((&answer["model"], &answer["usage"]["prompt_tokens"]), (&json!("m-1"), &json!(9)));
        assert_eq!(answer["system_fingerprint"], "fp");
    }

    #[test]
    fn refusals_and_calls_are_put_together_too() {
        let answer = completion(
            &[chunk(r#"{"refusal":"I "}"#, ""), chunk(r#"{"refusal":"can't"}"#, r#","finish_reason":"stop""#)].concat(),
        );
        assert_eq!(answer["choices"][0]["message"]["refusal"], "I can't");
        let call = |arguments: &str| {
            chunk(&json!({"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]}).to_string(), "")
        };
        let answer = completion(&[call("{\"val"), call("ue\":1}"), "data: [DONE]".to_owned()].concat());
        assert_eq!(answer["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"], "{\"value\":1}");
        let call = |arguments: &str| chunk(&json!({"function_call": {"arguments": arguments}}).to_string(), "");
        let answer = completion(&[call("{"), call("}"), "data: [DONE]".to_owned()].concat());
        assert_eq!(answer["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"], "{}");
    }

    #[test]
    fn a_whole_message_replaces_its_pieces() {
        let message = "data: {\"choices\":[{\"message\":{\"content\":\"whole\"},\"finish_reason\":\"stop\"}]}\n";
        assert_eq!(completion(message)["choices"][0]["message"]["content"], "whole");
        let after_pieces = [&chunk(r#"{"content":"who"}"#, ""), message].concat();
        assert_eq!(completion(&after_pieces)["choices"][0]["message"]["content"], "whole");
    }

    #[test]
    fn the_end_of_a_stream_behind_a_whole_completion_is_ignored() {
        let text = "{\"choices\": [7]}data: [DONE]\n\n";
        assert_eq!(completion(text), json!({"choices": [7]}));
        assert_eq!(completion("{\"choices\": [7]}\n\ndata: [DONE]"), json!({"choices": [7]}));
        for neither in ["{\"choices\": [7]} and more", "{\"choices\": [7]", "<html>", "", "{} {}"] {
            assert_eq!(read(neither), None, "{neither}");
        }
    }

    #[test]
    fn a_stream_that_ends_in_the_middle_is_cut() {
        let piece = chunk(r#"{"content":"x"}"#, "");
        assert_eq!(read(&piece), Some(Err(CutStream)));
        assert_eq!(read("data: {\"cho"), Some(Err(CutStream)));
        assert!(read(&[&piece, "data: [DONE]"].concat()).unwrap().is_ok());
        assert_eq!(completion("data: [DONE]"), json!({"choices": []}));
    }

    #[test]
    fn an_error_in_a_stream_is_the_answer() {
        let piece = chunk(r#"{"content":"x"}"#, "");
        let error = "data: {\"error\":{\"code\":529,\"message\":\"busy\"},\"choices\":[]}\n\n";
        assert_eq!(completion(&[&piece, error].concat())["error"]["message"], "busy");
        let in_choice = "data: {\"choices\":[{\"error\":{\"code\":502},\"delta\":{}}]}\n\n";
        assert_eq!(completion(in_choice)["error"]["code"], 502);
    }
}
