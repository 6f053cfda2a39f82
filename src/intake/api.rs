//! The routes of MLflow's REST API that are about assessments.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use judge_run_web::{Answer, BodyError, Hosts, Method, Request, header};
use serde_json::json;

use super::access::{Access, Rights};
use super::assessment::{Change, New, shown};
use super::counter::Counter;
use super::desk::{Asked, Wish};
use super::error::ApiError;

/// MLflow's clients ask a server for its version, and use what that version supports. Its assessments are like ours.
const MLFLOW_VERSION: &str = "3.17.2";
const IDEMPOTENCY_KEY: header::HeaderName = header::HeaderName::from_static("idempotency-key");
/// Of `Idempotency-Key`.
const MAX_KEY: usize = 200;

/// The server's answers.
#[derive(Debug)]
pub struct Intake {
    /// Who may post.
    pub access: Access,
    /// Where it is addressed.
    pub hosts: Hosts,
    /// Where it listens.
    pub listening: std::net::IpAddr,
    /// The longest body, in bytes, for messages.
    pub max_body: usize,
    /// What decides.
    pub counter: Counter,
}

impl Intake {
    /// Answers a request.
    pub async fn answer(self: Arc<Self>, request: Request) -> Answer {
        let origin = request.header(&header::ORIGIN).map(str::to_owned);
        if let Some(origin) = &origin
            && !self.access.allows_origin(origin)
        {
            return ApiError::denied(format!("Pages of {origin} may not post here")).answer();
        }
        let answer = if request.method == Method::OPTIONS && origin.is_some() {
            preflight()
        } else {
            self.route(&request).await.unwrap_or_else(ApiError::answer)
        };
        match origin {
            Some(origin) => answer.with(header::ACCESS_CONTROL_ALLOW_ORIGIN, &origin).with(header::VARY, "Origin"),
            None => answer,
        }
    }

    async fn route(&self, request: &Request) -> Result<Answer, ApiError> {
        // If tokens are required, a page that reaches the server under another name has none.
        if !self.access.is_restricted() && !self.hosts.allow(request, self.listening) {
            return Err(ApiError::denied("Invalid Host header - possible DNS rebinding attack detected"));
        }
        let segments = request.segments().unwrap_or_default();
        let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
        let method = request.method.as_str();
        match (method, &parts[..]) {
            ("GET", ["health"]) => Ok(Answer::text(200, "OK")),
            ("GET", ["version"]) => Ok(Answer::text(200, MLFLOW_VERSION)),
            ("GET", ["api" | "ajax-api", "3.0", "mlflow", "server-info"]) => {
                Ok(Answer::json(200, json!({"store_type": "judge-run", "trace_archival_enabled": false}).to_string()))
            }
            (_, ["api" | "ajax-api", "3.0", "mlflow", "traces", trace_id, "assessments", rest @ ..])
                if !trace_id.is_empty() =>
            {
                self.assessment(request, trace_id, rest).await
            }
            _ => Err(ApiError::no_such_route(method, &request.path)),
        }
    }

    async fn assessment(&self, request: &Request, trace_id: &str, rest: &[&str]) -> Result<Answer, ApiError> {
        let by = self.access.application(request)?;
        let method = request.method.as_str();
        if by.rights == Rights::PostOnly && method != "POST" {
            return Err(ApiError::denied("This token may only post"));
        }
        let now_ms = now_ms();
        let body = || match &request.body {
            Ok(body) => Ok(body),
            Err(BodyError::TooLong) => Err(ApiError::too_long(self.max_body)),
            Err(BodyError::TooSlow) => Err(ApiError::too_slow()),
            Err(BodyError::Broken) => Err(ApiError::invalid("The body is incomplete")),
        };
        let json_body = || {
            // A page can send other types without a preflight.
            let content_type = request.header(&header::CONTENT_TYPE).unwrap_or_default();
            match content_type.split(';').next().unwrap_or_default().trim() {
                "application/json" => body(),
                _ => Err(ApiError::invalid("Bad Request. Content-Type must be application/json")),
            }
        };
        let mut bytes = 0;
        let (assessment_id, wish) = match (method, rest) {
            ("POST", []) => {
                let key = request.header(&IDEMPOTENCY_KEY);
                if key.is_some_and(|key| key.len() > MAX_KEY) {
                    return Err(ApiError::invalid("The Idempotency-Key is longer than 200 characters"));
                }
                let body = json_body()?;
                bytes = body.len();
                let new = New::read(body, trace_id, &by, key, now_ms)?;
                let id = new.feedback.assessment_id.clone();
                let id = id.ok_or_else(|| ApiError::unavailable("The system cannot supply random numbers"))?;
                (id, Wish::Create(Box::new(new)))
            }
            ("GET", [id]) => ((*id).to_owned(), Wish::Get),
            ("PATCH", [id]) => {
                let body = json_body()?;
                bytes = body.len();
                ((*id).to_owned(), Wish::Change(Box::new(Change::read(body, now_ms)?)))
            }
            ("DELETE", [id]) => ((*id).to_owned(), Wish::Delete),
            _ => return Err(ApiError::no_such_route(method, &request.path)),
        };
        let asked = Asked { trace_id: trace_id.to_owned(), assessment_id, by: Arc::clone(&by), wish, now_ms };
        let feedback = self.counter.ask(asked, bytes).await?;
        Ok(Answer::json(200, feedback.as_ref().map_or_else(|| "{}".to_owned(), shown)))
    }
}

/// A browser's preflight before a page of another origin may send JSON.
fn preflight() -> Answer {
    Answer::new(204, "text/plain; charset=utf-8", "")
        .with(header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PATCH, DELETE")
        .with(header::ACCESS_CONTROL_ALLOW_HEADERS, "Authorization, Content-Type, Idempotency-Key")
        .with(header::ACCESS_CONTROL_MAX_AGE, "600")
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
