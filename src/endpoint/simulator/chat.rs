//! The way of a chat request: read, admitted, given its lot, answered.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, State};
use axum::http::{Response, StatusCode};
use tokio::sync::watch;

use super::completion::Completion;
use super::connection::{Ending, Hangup};
use super::error::{ApiError, answer, json};
use super::failure;
use super::fault::Fault;
use super::limits::{Limits, text};
use super::lot::Lot;
use super::request::ChatRequest;
use super::server::SimulatorConfig;
use super::stats::{Counters, InFlight};

/// What all requests share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: SimulatorConfig,
    pub(super) counters: Counters,
    /// Becomes true when the simulator shuts down: whoever hangs lets go.
    pub(super) stopping: watch::Sender<bool>,
    limits: Limits,
    /// How often the requests that drew a fault have failed, by their keys.
    failures: Mutex<HashMap<u64, u32>>,
    answers: AtomicU64,
}

impl Shared {
    pub(super) fn new(config: SimulatorConfig) -> Self {
        Self {
            limits: Limits::new(config.rpm, config.tpm),
            counters: Counters::default(),
            stopping: watch::Sender::new(false),
            failures: Mutex::default(),
            answers: AtomicU64::default(),
            config,
        }
    }

    /// The fault that this request gets this time.
    fn fault(&self, lot: &Lot) -> Option<Fault> {
        let plan = &self.config.faults;
        let fault = plan.draw(lot.fault)?;
        if plan.tries() > 0 {
            let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
            let failures = failures.entry(lot.key).or_default();
            if *failures >= plan.tries() {
                return None;
            }
            *failures += 1;
        }
        Some(fault)
    }
}

/// `POST /v1/chat/completions`.
pub(super) async fn complete(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(hangup): ConnectInfo<Hangup>,
    body: Result<Bytes, BytesRejection>,
) -> Response<Body> {
    let started = Instant::now();
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return ApiError::invalid(rejection.body_text()).status(rejection.status()).response(),
    };
    let lot = Lot::draw(&body);
    let mut in_flight = shared.counters.enter(lot.key);
    let mut response = match ChatRequest::parse(&body) {
        Ok(request) => {
            // From here on the prompts are not needed: what waits holds no large body.
            drop(body);
            respond(&shared, &hangup, &request, &lot, &mut in_flight).await
        }
        Err(error) => error.response(),
    };
    if !hangup.is_silent() {
        in_flight.outcome.status = Some(response.status().as_u16());
    }
    let headers = response.headers_mut();
    let number = shared.answers.fetch_add(1, Ordering::Relaxed);
    headers.insert("x-request-id", text(format!("req_{number:032x}")));
    headers.insert("openai-processing-ms", u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX).into());
    shared.limits.write_headers(headers);
    response
}

/// The answer to a valid request.
async fn respond(
    shared: &Shared,
    hangup: &Hangup,
    request: &ChatRequest,
    lot: &Lot,
    in_flight: &mut InFlight<'_>,
) -> Response<Body> {
    if let Err(refusal) = shared.limits.admit(request.reserved_tokens()) {
        in_flight.outcome.rate_limited = true;
        return refusal.response(&request.model);
    }
    let fault = shared.fault(lot);
    in_flight.outcome.fault = fault;
    let factor = if fault == Some(Fault::Slow) { 10 } else { 1 };
    let latency = lot.latency(shared.config.latency).saturating_mul(factor);
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    match fault {
        Some(Fault::Status(status)) => {
            failure::with_status(StatusCode::from_u16(status).unwrap_or_default(), &request.model)
        }
        Some(Fault::Quota) => failure::quota(),
        Some(Fault::Html) => failure::html(),
        Some(Fault::Error200) => failure::error_under_200(),
        Some(Fault::Reset) => end(hangup, Ending::Reset),
        Some(Fault::Close) => end(hangup, Ending::Close),
        Some(Fault::Hang) => {
            // If the client goes first, this is dropped here.
            _ = shared.stopping.subscribe().wait_for(|stopping| *stopping).await;
            end(hangup, Ending::Close)
        }
        _ => completion(hangup, request, lot, fault, in_flight),
    }
}

fn end(hangup: &Hangup, ending: Ending) -> Response<Body> {
    hangup.end(ending);
    Response::default()
}

fn completion(
    hangup: &Hangup,
    request: &ChatRequest,
    lot: &Lot,
    fault: Option<Fault>,
    in_flight: &mut InFlight<'_>,
) -> Response<Body> {
    let completion = Completion::new(request, lot, fault);
    in_flight.outcome.usage(&completion.usage);
    match fault {
        Some(Fault::Malformed) => {
            let mut body = serde_json::to_vec(&completion).unwrap_or_default();
            body.truncate(body.len() / 2);
            return answer(StatusCode::OK, "application/json", body);
        }
        Some(Fault::Cut) => hangup.end(Ending::Cut),
        _ => {}
    }
    json(StatusCode::OK, &completion)
}
