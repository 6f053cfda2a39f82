//! The path of a chat request: read, admitted, given its lot, answered.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, State};
use axum::http::{Response, StatusCode};
use tokio::sync::watch;

use super::batch::store::Batches;
use super::completion::Completion;
use super::config::SimulatorConfig;
use super::connection::{Ending, Hangup};
use super::dialect::{Dialect, text};
use super::error::{ApiError, JSON, answer};
use super::failure;
use super::fault::Fault;
use super::limits::{Limits, Refusal};
use super::lot::Lot;
use super::paced::Paced;
use super::request::ChatRequest;
use super::stats::{Counters, InFlight, Stats};
use super::unsupported;

/// What all requests share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: SimulatorConfig,
    pub(super) counters: Counters,
    pub(super) batches: Batches,
    /// Becomes true when the simulator shuts down: requests that hang end.
    pub(super) stopping: watch::Sender<bool>,
    limits: Limits,
    /// How often the requests that drew a fault have failed, by key.
    failures: Mutex<HashMap<u64, u32>>,
    answers: AtomicU64,
}

impl Shared {
    pub(super) fn new(config: SimulatorConfig) -> Self {
        Self {
            limits: Limits::new(config.rpm, config.tpm, config.burst),
            counters: Counters::default(),
            batches: Batches::default(),
            stopping: watch::Sender::new(false),
            failures: Mutex::default(),
            answers: AtomicU64::default(),
            config,
        }
    }

    /// What it has seen and done.
    pub(super) fn stats(&self) -> Stats {
        let (batches, batch_lines, batch_lines_again) = self.batches.counts();
        Stats { batches, batch_lines, batch_lines_again, ..self.counters.stats() }
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
            // From here on the prompts are not needed: waiting requests hold no large body.
            drop(body);
            match shared.limits.admit(request.reserved_tokens()) {
                Ok(()) => {
                    let response = respond(&shared, &hangup, &request, &lot, &mut in_flight).await;
                    if shared.config.refund {
                        let used = in_flight.outcome.usage.map_or(0, |(prompt, completion)| prompt + completion);
                        shared.limits.refund(request.reserved_tokens().saturating_sub(used));
                    }
                    response
                }
                Err(refusal) => {
                    in_flight.outcome.rate_limited = true;
                    shared.config.dialect.refuse(&refusal, &request.model)
                }
            }
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
    if let Some((prompt, completion)) = in_flight.outcome.usage {
        shared.config.dialect.write_cost(headers, prompt + completion);
    }
    shared.config.dialect.write_levels(headers, shared.limits.levels());
    response
}

/// The answer to an admitted request.
async fn respond(
    shared: &Shared,
    hangup: &Hangup,
    request: &ChatRequest,
    lot: &Lot,
    in_flight: &mut InFlight<'_>,
) -> Response<Body> {
    let mut standing = shared.config.faults.standing(lot.fault);
    if let Some((fault, refusal)) = standing.find_map(|fault| Some((fault, unsupported::refuse(fault, request)?))) {
        in_flight.outcome.fault = Some(fault);
        return refusal;
    }
    let fault = shared.fault(lot);
    in_flight.outcome.fault = fault;
    let factor = match fault {
        Some(Fault::Slow) => 10,
        // It takes its time after the head of the answer.
        Some(Fault::Blank) => 0,
        _ => 1,
    };
    let SimulatorConfig { latency, jitter, .. } = shared.config;
    let latency = lot.latency(latency, jitter).saturating_mul(factor);
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    match fault {
        Some(Fault::Status(status)) => {
            let status = StatusCode::from_u16(status).unwrap_or_default();
            failure::with_status(status, shared.config.dialect, &request.model)
        }
        Some(Fault::Quota) => failure::quota(),
        Some(Fault::Array) => failure::in_array(),
        Some(Fault::Flat) => Dialect::Mistral.refuse(&Refusal::PRETENDED, &request.model),
        Some(Fault::Context) => failure::context(request.prompt_tokens),
        Some(Fault::Html) => failure::html(),
        Some(Fault::Error200) => failure::error_under_200(),
        Some(Fault::Reset) => end(hangup, Ending::Reset),
        Some(Fault::Close) => end(hangup, Ending::Close),
        Some(Fault::Hang) => {
            // If the client disconnects first, this is dropped here.
            _ = shared.stopping.subscribe().wait_for(|stopping| *stopping).await;
            end(hangup, Ending::Close)
        }
        _ => completion(shared, hangup, request, lot, in_flight),
    }
}

fn end(hangup: &Hangup, ending: Ending) -> Response<Body> {
    hangup.end(ending);
    Response::default()
}

fn completion(
    shared: &Shared,
    hangup: &Hangup,
    request: &ChatRequest,
    lot: &Lot,
    in_flight: &mut InFlight<'_>,
) -> Response<Body> {
    let fault = in_flight.outcome.fault;
    let mut completion = Completion::new(request, lot, fault);
    if let Some(context) = shared.config.context {
        completion.usage.truncate_prompt(context);
    }
    in_flight.outcome.usage(&completion.usage);
    let json = || serde_json::to_vec(&completion).unwrap_or_default();
    let latency = shared.config.latency;
    match fault {
        Some(Fault::Malformed) => {
            let mut body = json();
            body.truncate(body.len() / 2);
            answer(StatusCode::OK, JSON, body)
        }
        Some(Fault::Drip) => answer(StatusCode::OK, JSON, Body::new(Paced::drip(json(), latency))),
        Some(Fault::Blank) => answer(StatusCode::OK, JSON, Body::new(Paced::after_blank_lines(json(), latency))),
        Some(Fault::ContentType) => answer(StatusCode::OK, failure::HTML, json()),
        _ => {
            if fault == Some(Fault::Cut) {
                hangup.end(Ending::Cut);
            }
            answer(StatusCode::OK, JSON, json())
        }
    }
}
