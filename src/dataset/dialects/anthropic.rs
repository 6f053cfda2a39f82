//! The files of Anthropic's message batches, read as OpenAI's: a request and its result are joined by `custom_id`.
//!
//! ```json
//! {"custom_id": "1", "params": {"model": "...", "system": "...", "messages": []}}
//! {"custom_id": "1", "result": {"type": "succeeded", "message": {"type": "message", "content": []}}}
//! ```
//! Source: Anthropic's API reference, "Message Batches".

use serde_json::{Map, Value, json};

use crate::dataset::dialects::dialect::{Dialect, Found};
use crate::dataset::dialects::fields::object;
use crate::dataset::dialects::openai;
use crate::dataset::notice::Notices;

pub(crate) const DIALECT: Dialect = Dialect { name: "anthropic", title: "Anthropic's batches", fits, read };

fn fits(object: &Map<String, Value>) -> bool {
    let is_result = object.get("result").is_some_and(|result| result.get("type").is_some());
    object.contains_key("custom_id") && (object.get("params").is_some_and(Value::is_object) || is_result)
}

fn read(mut fields: Map<String, Value>, notices: &mut Notices) -> Result<Found, String> {
    if let Some(params) = fields.shift_remove("params") {
        fields.insert("body".to_owned(), params);
    }
    if let Some(result) = fields.shift_remove("result") {
        let mut result = object("result", result)?;
        let is_error = result.shift_remove("type").is_some_and(|kind| kind != "succeeded");
        if let Some(message) = result.shift_remove("message") {
            fields.insert("response".to_owned(), json!({ "body": message }));
        }
        if is_error {
            let error = result.shift_remove("error").unwrap_or_else(|| "canceled or expired".into());
            fields.insert("error".to_owned(), error);
        }
        result.keys().for_each(|key| notices.unknown(format!("result.{key}")));
    }
    (openai::DIALECT.read)(fields, notices)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::dialects::part::Part;
    use crate::trace::{TokenUsage, Trace, TraceState};

    fn part(line: &Value) -> Trace {
        let fields = line.as_object().unwrap().clone();
        assert!(fits(&fields), "{line}");
        let mut notices = Notices::default();
        let Ok(Found::Parts(parts)) = read(fields, &mut notices) else { panic!("{line}") };
        assert!(notices.is_empty(), "{notices:?}");
        let [Part::Trace(trace)] = &*parts else { panic!("{parts:?}") };
        trace.clone()
    }

    #[test]
    fn a_request_and_its_result_are_two_parts_of_a_trace() {
        let asked = part(
            &json!({"custom_id": "1", "params": {"model": "m", "max_tokens": 9, "system": [{"type": "text", "text": "Be brief."}],
            "messages": [{"role": "user", "content": "Hi"}]}}),
        );
        let messages = json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]);
        assert_eq!((asked.trace_id.as_str(), asked.inputs), ("1", Some(json!({"messages": messages}))));
        assert_eq!(asked.metadata["model"], "m");
        let answered = part(
            &json!({"custom_id": "1", "result": {"type": "succeeded", "message": {"id": "msg_1", "type": "message",
            "role": "assistant", "model": "m", "content": [{"type": "thinking", "thinking": "..."}, {"type": "text", "text": "Hello."}],
            "stop_reason": "end_turn", "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 2}}}}),
        );
        assert_eq!((answered.trace_id.as_str(), answered.outputs), ("1", Some(json!("Hello."))));
        assert_eq!((answered.state, answered.metadata["finish_reason"].as_str()), (TraceState::Ok, "end_turn"));
        assert_eq!(answered.token_usage, Some(TokenUsage { input_tokens: 1, output_tokens: 2, total_tokens: 3 }));
    }

    #[test]
    fn a_request_that_failed_has_no_answer() {
        for result in [
            json!({"type": "errored", "error": {"type": "error", "error": {"message": "m"}}}),
            json!({"type": "expired"}),
        ] {
            let failed = part(&json!({"custom_id": "1", "result": result}));
            assert_eq!((failed.outputs, failed.state), (None, TraceState::Error));
        }
    }
}
