//! Errors for clients, in the form of MLflow's own.

use std::time::Duration;

use judge_run_web::{Answer, header};
use serde_json::json;

/// An error as MLflow's server words it. The codes are those of `mlflow/protos/databricks.proto`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiError {
    status: u16,
    code: &'static str,
    message: String,
    retry_after: Option<Duration>,
}

impl ApiError {
    fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after: None }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "INVALID_PARAMETER_VALUE", message)
    }

    pub(super) fn unknown(assessment_id: &str, trace_id: &str) -> Self {
        let message = format!("Assessment with ID '{assessment_id}' not found for trace '{trace_id}'");
        Self::new(404, "RESOURCE_DOES_NOT_EXIST", message)
    }

    pub(super) fn no_such_route(method: &str, path: &str) -> Self {
        Self::new(404, "ENDPOINT_NOT_FOUND", format!("No API found for '{method} {path}'"))
    }

    /// The id is taken by something else.
    pub(super) fn conflict(assessment_id: &str) -> Self {
        let message = format!("Assessment with ID '{assessment_id}' already exists with different content");
        Self::new(409, "RESOURCE_ALREADY_EXISTS", message)
    }

    pub(super) fn unauthenticated() -> Self {
        Self::new(401, "UNAUTHENTICATED", "A valid token is required, as in 'Authorization: Bearer TOKEN'")
    }

    pub(super) fn denied(message: impl Into<String>) -> Self {
        Self::new(403, "PERMISSION_DENIED", message)
    }

    pub(super) fn too_long(max_body: usize) -> Self {
        Self::new(413, "INVALID_PARAMETER_VALUE", format!("The body is longer than {max_body} bytes"))
    }

    pub(super) fn too_slow() -> Self {
        Self::new(408, "INVALID_STATE", "The body did not arrive in time")
    }

    pub(super) fn too_many(wait: Duration) -> Self {
        let error = Self::new(429, "REQUEST_LIMIT_EXCEEDED", "Too many requests from this application");
        Self { retry_after: Some(wait), ..error }
    }

    /// Nothing was saved; the same request may be sent again.
    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        let error = Self::new(503, "TEMPORARILY_UNAVAILABLE", message);
        Self { retry_after: Some(Duration::from_secs(1)), ..error }
    }

    pub(super) fn answer(self) -> Answer {
        let body = json!({"error_code": self.code, "message": self.message}).to_string();
        let answer = Answer::json(self.status, body);
        match self.retry_after {
            Some(wait) => answer.with(header::RETRY_AFTER, &wait.as_secs_f64().ceil().max(1.0).to_string()),
            None if self.status == 401 => answer.with(header::WWW_AUTHENTICATE, "Bearer"),
            None => answer,
        }
    }
}
