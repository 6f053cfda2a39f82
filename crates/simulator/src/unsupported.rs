//! What an endpoint does not accept: refused for as long as the request contains it.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use serde_json::json;

use super::error::{ApiError, json as json_answer};
use super::fault::Fault;
use super::request::ChatRequest;

/// The refusal, if the request carries what an endpoint with this fault does not take.
pub(super) fn refuse(fault: Fault, request: &ChatRequest) -> Option<Response<Body>> {
    let applies = match fault {
        Fault::Schema | Fault::Schema500 | Fault::FastApi | Fault::String => request.asks_for_json_schema,
        Fault::Temperature => request.temperature.is_some(),
        Fault::MaxTokens => request.has_old_max_tokens,
        Fault::System => request.has_system_message,
        _ => false,
    };
    applies.then(|| response(fault, request))
}

fn response(fault: Fault, request: &ChatRequest) -> Response<Body> {
    match fault {
        // llama-cpp-python.
        Fault::Schema500 => {
            let input = "[{'type': 'literal_error', 'loc': ('body', 'response_format', 'type'), 'msg': \"Input should be \
                         'text' or 'json_object'\", 'input': 'json_schema'}]";
            let error = ApiError::invalid(format!("1 validation error: {input}"));
            error.status(StatusCode::INTERNAL_SERVER_ERROR).kind("internal_server_error").response()
        }
        Fault::FastApi => {
            let detail = json!({
                "type": "literal_error", "loc": ["body", "response_format", "type"],
                "msg": "Input should be 'text' or 'json_object'", "input": "json_schema",
            });
            json_answer(StatusCode::UNPROCESSABLE_ENTITY, &json!({"detail": [detail]}))
        }
        // LM Studio.
        Fault::String => json_answer(StatusCode::BAD_REQUEST, &json!({"error": "'response_format.type' must be 'json_object' or 'text'"})),
        Fault::Temperature => ApiError::invalid(format!(
            "Unsupported value: 'temperature' does not support {} with this model. Only the default (1) value is supported.",
            request.temperature.unwrap_or_default()
        ))
        .param("temperature")
        .code("unsupported_value")
        .response(),
        Fault::MaxTokens => ApiError::invalid(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        )
        .param("max_tokens")
        .code("unsupported_parameter")
        .response(),
        // vLLM, with a chat template such as Gemma's.
        Fault::System => {
            let error = json!({
                "message": "System role not supported", "type": "BadRequestError", "param": null, "code": 400,
            });
            json_answer(StatusCode::BAD_REQUEST, &json!({"error": error}))
        }
        // DeepSeek.
        _ => ApiError::invalid("This response_format type is unavailable now").code("invalid_request_error").response(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::FaultPlan;

    fn refused(fault: Fault, body: &Value) -> Option<u16> {
        let request = ChatRequest::parse(body.to_string().as_bytes()).unwrap();
        refuse(fault, &request).map(|response| response.status().as_u16())
    }

    #[test]
    fn only_what_is_not_taken_is_refused() {
        let plain = json!({"model": "m", "messages": [{"role": "user", "content": "x"}], "max_completion_tokens": 9});
        let with = |key: &str, value: Value| {
            let mut body = plain.clone();
            body[key] = value;
            body
        };
        let schema = with("response_format", json!({"type": "json_schema", "json_schema": {"schema": {}}}));
        let object = with("response_format", json!({"type": "json_object", "schema": {}}));
        let system = with("messages", json!([{"role": "system", "content": "x"}]));
        for (fault, status, carries, without) in [
            (Fault::Schema, 400, &schema, &object),
            (Fault::Schema500, 500, &schema, &object),
            (Fault::FastApi, 422, &schema, &object),
            (Fault::String, 400, &schema, &object),
            (Fault::Temperature, 400, &with("temperature", json!(0.0)), &with("temperature", Value::Null)),
            (Fault::MaxTokens, 400, &with("max_tokens", json!(9)), &plain),
            (Fault::System, 400, &system, &plain),
        ] {
            assert_eq!((refused(fault, carries), refused(fault, without)), (Some(status), None), "{fault}");
        }
        assert_eq!(refused(Fault::Context, &schema), None);
    }

    #[tokio::test]
    async fn every_fault_that_depends_on_the_request_has_its_own_refusal() {
        let body = json!({
            "model": "m", "messages": [{"role": "system", "content": "x"}], "max_tokens": 9, "temperature": 0.0,
            "response_format": {"type": "json_schema", "json_schema": {"schema": {}}},
        });
        let request = ChatRequest::parse(body.to_string().as_bytes()).unwrap();
        let mut bodies = std::collections::BTreeSet::new();
        for (name, _) in FaultPlan::names() {
            let fault: Fault = name.parse().unwrap();
            let refusal = refuse(fault, &request);
            assert_eq!(refusal.is_some(), fault.depends_on_request(), "{name}");
            if let Some(refusal) = refusal {
                assert!(bodies.insert(axum::body::to_bytes(refusal.into_body(), 10_000).await.unwrap()), "{name}");
            }
        }
        assert_eq!(bodies.len(), 7);
    }
}
