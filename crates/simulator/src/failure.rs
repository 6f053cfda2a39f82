//! Failures with their own body, in the words and formats of real providers.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use serde_json::{Value, json};

use super::dialect::Dialect;
use super::error::{ApiError, answer, json as json_answer};
use super::limits::Refusal;

pub(super) const HTML: &str = "text/html";

/// The answer with an HTTP error that a real endpoint gives; a 429 in the dialect of the quota.
pub(super) fn with_status(status: StatusCode, dialect: Dialect, model: &str) -> Response<Body> {
    let error = |message: &str, kind| ApiError::invalid(message).status(status).kind(kind);
    let invalid = |message: &str| error(message, "invalid_request_error");
    match status.as_u16() {
        401 => invalid("Incorrect API key provided: sk-simul****ated. You can find your API key at your provider.")
            .code("invalid_api_key")
            .response(),
        // DeepSeek.
        402 => error("Insufficient Balance", "unknown_error").code("invalid_request_error").response(),
        403 => error("Country, region, or territory not supported", "request_forbidden")
            .code("unsupported_country_region_territory")
            .response(),
        404 => invalid(&format!("The model `{model}` does not exist or you do not have access to it."))
            .code("model_not_found")
            .response(),
        // FastAPI.
        422 => json_answer(status, &json!({"detail": [{"loc": ["body"], "msg": "simulated", "type": "value_error"}]})),
        429 => dialect.refuse(&Refusal::PRETENDED, model),
        // Groq.
        498 => error("Capacity exceeded, please try again later.", "server_error").code("capacity_exceeded").response(),
        500 => error("The server had an error processing your request. Sorry about that!", "server_error").response(),
        // llama.cpp.
        501 => error("This server does not support chat completions.", "not_supported_error").response(),
        503 => error("The server is currently overloaded. Please try again later.", "service_unavailable_error")
            .code("server_is_overloaded")
            .response(),
        // Anthropic.
        529 => {
            let error = json!({"type": "overloaded_error", "message": "Overloaded"});
            json_answer(status, &json!({"type": "error", "error": error, "request_id": "req_simulated"}))
        }
        // What is in front of the server: nginx and the like.
        413 | 502 | 504 | 520..=524 => answer(status, HTML, page(status)),
        400..=499 => invalid("Simulated: this request is not valid.").response(),
        _ => error("Simulated: something went wrong.", "server_error").response(),
    }
}

fn page(status: StatusCode) -> String {
    let title = format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or("Error"));
    format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n\
         <hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    )
}

/// 429, but no wait will help. Source: OpenAI, "Error codes".
pub(super) fn quota() -> Response<Body> {
    ApiError::invalid("You exceeded your current quota, please check your plan and billing details.")
        .status(StatusCode::TOO_MANY_REQUESTS)
        .kind("insufficient_quota")
        .code("insufficient_quota")
        .response()
}

/// Gemini's 429: in an array, with the wait in its details. Source: Google, `google.rpc.RetryInfo`.
pub(super) fn in_array() -> Response<Body> {
    let detail = json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "0.200s"});
    let message = "Resource has been exhausted (e.g. check quota).";
    let error = json!({"code": 429, "message": message, "status": "RESOURCE_EXHAUSTED", "details": [detail]});
    json_answer(StatusCode::TOO_MANY_REQUESTS, &json!([{"error": error}]))
}

/// The prompt is too long for the model, whatever its length is.
pub(super) fn context(prompt_tokens: u64) -> Response<Body> {
    ApiError::invalid(format!(
        "This model's maximum context length is {} tokens. However, your messages resulted in {prompt_tokens} tokens. \
         Please reduce the length of the messages.",
        prompt_tokens.saturating_sub(1)
    ))
    .param("messages")
    .code("context_length_exceeded")
    .response()
}

/// A page where JSON was expected, as behind a login.
pub(super) fn html() -> Response<Body> {
    let page = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Please sign in.</body></html>\n";
    answer(StatusCode::OK, HTML, page)
}

/// An error under the status 200. Source: OpenRouter, "Errors".
pub(super) fn error_under_200() -> Response<Body> {
    let raw = json!({"error": {"message": "Simulated upstream failure", "code": "server_error"}}).to_string();
    let metadata: Value = json!({"provider_name": "Simulated", "raw": raw});
    let error = json!({"message": "Provider returned error", "code": 502, "metadata": metadata});
    json_answer(StatusCode::OK, &json!({"error": error, "user_id": "user_simulated"}))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn body(response: Response<Body>) -> String {
        let bytes = axum::body::to_bytes(response.into_body(), 100_000).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn every_status_has_a_body_of_its_declared_type() {
        for status in (400..=599).map(|status| StatusCode::from_u16(status).unwrap()) {
            let response = with_status(status, Dialect::OpenAi, "m");
            assert_eq!(response.status(), status);
            let is_json = response.headers()["content-type"] == "application/json";
            let body = body(response).await;
            assert_eq!(serde_json::from_str::<Value>(&body).is_ok(), is_json, "{body}");
            assert!(is_json || body.contains(&format!("<title>{}", status.as_u16())), "{body}");
        }
    }

    #[tokio::test]
    async fn failures_name_the_code_of_the_real_ones() {
        for (status, words) in [
            (401, r#""code":"invalid_api_key""#),
            (402, "Insufficient Balance"),
            (404, r#""code":"model_not_found""#),
            (429, r#""type":"requests","param":null,"code":"rate_limit_exceeded""#),
            (500, r#""type":"server_error""#),
            (502, "<h1>502 Bad Gateway</h1>"),
            (503, r#""code":"server_is_overloaded""#),
            (529, r#""type":"overloaded_error""#),
        ] {
            let body = body(with_status(StatusCode::from_u16(status).unwrap(), Dialect::OpenAi, "m")).await;
            assert!(body.contains(words), "{status}: {body}");
        }
        let headers = with_status(StatusCode::TOO_MANY_REQUESTS, Dialect::OpenAi, "m").headers().clone();
        assert_eq!((&headers["retry-after"], &headers["retry-after-ms"]), (&1.into(), &200.into()));
        assert!(quota().headers().get("retry-after").is_none());
        assert!(body(quota()).await.contains(r#""code":"insufficient_quota""#));
        let error: Value = serde_json::from_str(&body(error_under_200()).await).unwrap();
        assert!(error["error"]["message"].is_string() && error.get("choices").is_none());
        let array: Value = serde_json::from_str(&body(in_array()).await).unwrap();
        assert_eq!(array[0]["error"]["details"][0]["retryDelay"], "0.200s");
        assert!(body(context(9)).await.contains("length is 8 tokens. However, your messages resulted in 9 tokens."));
    }
}
