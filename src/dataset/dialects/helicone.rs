//! Helicone's requests, as in its API and exports: logged calls in OpenAI's, Anthropic's or Gemini's format.
//!
//! ```json
//! {"request_id": "...", "request_created_at": "...", "request_body": {"messages": []}, "response_body": {"choices": []}}
//! ```
//! Source: Helicone's API reference, `HeliconeRequest`.

use serde_json::{Map, Value};

use crate::dataset::dialects::dialect::{Dialect, Found};
use crate::dataset::dialects::fields::facts;
use crate::dataset::dialects::{gemini, openai};
use crate::dataset::json;
use crate::dataset::notice::Notices;

pub(crate) const DIALECT: Dialect = Dialect { name: "helicone", title: "Helicone's requests", fits, read };

fn fits(object: &Map<String, Value>) -> bool {
    object.contains_key("request_body") && object.contains_key("response_body")
}

fn read(mut fields: Map<String, Value>, notices: &mut Notices) -> Result<Found, String> {
    let mut take =
        |names: &[&str]| names.iter().find_map(|name| fields.shift_remove(*name)).filter(|value| !value.is_null());
    let mut call = Map::new();
    let properties =
        take(&["request_properties", "properties"]).map(|found| facts("properties", found)).unwrap_or_default();
    let session = properties.iter().find(|(key, _)| key.eq_ignore_ascii_case("Helicone-Session-Id"));
    let moved = [
        ("trace_id", take(&["request_id"])),
        ("request_time", take(&["request_created_at"])),
        ("execution_duration_ms", take(&["delay_ms"])),
        ("user", take(&["request_user_id"])),
        ("session_id", session.map(|(_, id)| id.as_str().into())),
        ("request", take(&["request_body"]).map(json::from_text)),
        ("response", take(&["response_body"]).map(json::from_text)),
    ];
    call.extend(moved.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
    if !properties.is_empty() {
        call.insert(
            "metadata".to_owned(),
            properties.into_iter().map(|(key, value)| (key, value.into())).collect::<Map<_, _>>().into(),
        );
    }
    let is_gemini = call.get("request").is_some_and(|request| request.get("contents").is_some());
    let dialect = if is_gemini { gemini::DIALECT } else { openai::DIALECT };
    (dialect.read)(call, notices)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_request_is_a_chat() {
        let line = json!({"request_id": "r1", "request_created_at": "2026-01-05T10:00:00Z", "delay_ms": 7, "request_user_id": "u",
            "request_properties": {"Helicone-Session-Id": "s", "env": "prod"}, "request_path": "/v1", "cost": 1,
            "request_body": {"model": "m", "messages": [{"role": "user", "content": "q"}]},
            "response_body": "{\"choices\": [{\"message\": {\"role\": \"assistant\", \"content\": \"a\"}}]}"});
        let fields = line.as_object().unwrap().clone();
        assert!(fits(&fields));
        let mut notices = Notices::default();
        let Ok(Found::Trace(trace)) = read(fields, &mut notices) else { panic!() };
        assert!(notices.is_empty(), "{notices:?}");
        assert_eq!(
            (trace.trace_id.as_str(), trace.session_id.as_deref(), trace.user.as_deref()),
            ("r1", Some("s"), Some("u"))
        );
        assert_eq!((trace.request_time_ms, trace.execution_duration_ms), (Some(1_767_607_200_000), Some(7)));
        assert_eq!(trace.inputs, Some(json!({"messages": [{"role": "user", "content": "q"}]})));
        assert_eq!((trace.outputs, trace.metadata["env"].as_str()), (Some(json!("a")), "prod"));
    }
}
