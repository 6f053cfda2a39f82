//! Trying an endpoint with one small question: whether it answers, what it accepts, what it reports about its quota.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::endpoint::client::{Client, Exchange};
use crate::endpoint::pacing::observed::ObservedLimits;
use crate::endpoint::wire::answer::Answer;
use crate::endpoint::wire::chat::{ChatRequest, Sampling};
use crate::endpoint::wire::ladder::{Asked, Ladder};
use crate::endpoint::wire::{Layout, PromptNotes};
use crate::endpoint::{Failure, Instructions};

/// What came of trying.
#[derive(Debug)]
pub struct Check {
    /// The answer, or why there is none.
    pub result: Result<Answer, Box<Failure>>,
    /// The form of the requests, and what the endpoint did not accept.
    pub ladder: Ladder,
    /// What the endpoint says of its quota.
    pub limits: ObservedLimits,
    /// How long the last request took.
    pub latency: Duration,
    /// Requests that were sent.
    pub requests: u32,
    /// The estimated tokens of the prompt.
    pub estimated_input_tokens: u64,
}

/// Asks one question that costs next to nothing, adapting it to what the endpoint refuses, as a run would.
pub async fn check(client: &Client, mut ladder: Ladder) -> Check {
    let request = question();
    let max_output = request.sampling.max_output_tokens;
    let mut requests = 0;
    loop {
        let started = Instant::now();
        let profile = ladder.profile().clone();
        let Exchange { result, limits } = client.ask(&request, &profile, max_output).await;
        let latency = started.elapsed();
        requests += 1;
        let asked = Asked { request: &request, profile: &profile, max_output };
        match &result {
            Ok(_) => ladder.answered(asked),
            Err(failure) if ladder.refused(asked, failure) => continue,
            Err(_) => {}
        }
        let estimated_input_tokens = request.estimated_input_tokens();
        return Check { result, ladder, limits, latency, requests, estimated_input_tokens };
    }
}

fn question() -> ChatRequest {
    let schema = json!({
        "type": "object",
        "properties": {"rationale": {"type": "string"}, "value": {"type": "boolean"}},
        "required": ["rationale", "value"],
        "additionalProperties": false,
    });
    let instructions = "You judge whether a statement is true. Answer with one JSON object with the keys \"rationale\" (a \
                        string of a few words) and \"value\" (true or false), and nothing else.";
    ChatRequest {
        system: Instructions::new(instructions).ok(),
        user: "Two and two are four.".to_owned(),
        images: Vec::new(),
        notes: PromptNotes::default(),
        schema: serde_json::value::to_raw_value(&schema)
            .unwrap_or_else(|_| serde_json::value::RawValue::NULL.to_owned())
            .into(),
        sampling: Sampling::default(),
        layout: Layout::default(),
    }
}
