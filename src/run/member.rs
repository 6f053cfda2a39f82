//! One deployment or key behind a lane: a client, its own gate, its own health.
//!
//! Most lanes have one. A pool of several shares the lane's judgments: whichever has quota and room left is asked next, and what one of them refuses
//! goes to another.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::health::{GivenUp, Health};
use super::job::Job;
use super::settings::Policy;
use crate::endpoint::client::{Client, ClientError};
use crate::endpoint::config::EndpointConfig;
use crate::endpoint::pacing::gate::{Admission, Gate};
use crate::endpoint::pacing::quota::Quota;
use crate::endpoint::{Failure, provider};
use crate::feedback::{ErrorCode, Pause};

/// One deployment or key.
pub(super) struct Member {
    pub client: Arc<Client>,
    pub gate: Gate,
    pub health: Health,
    /// It is asked no more.
    pub stopped: bool,
}

impl Member {
    pub(super) fn new(
        endpoint: &EndpointConfig,
        model: &str,
        policy: &Policy,
        proven: bool,
    ) -> Result<Self, ClientError> {
        let quota = Quota::new(endpoint.limits, !provider::is_openai(&endpoint.base_url));
        Ok(Self {
            client: Arc::new(Client::new(endpoint, model)?),
            gate: Gate::new(quota, endpoint.concurrency),
            health: Health::new(proven, policy.longest_pause, endpoint.concurrency, endpoint.timeout),
            stopped: false,
        })
    }

    /// The most tokens that a request to it can ever have, and no limit if it is asked no more.
    pub(super) fn largest_request(&self) -> u64 {
        if self.stopped { 0 } else { self.gate.quota().largest_request().unwrap_or(u64::MAX) }
    }

    /// Asks to send a request of `cost` tokens, of which `input` are the prompt's.
    pub(super) fn admit(&mut self, now: Instant, cost: u64, input: u64) -> (Admission, u64) {
        let largest = self.largest_request();
        if self.stopped || input > largest {
            return (Admission::Busy, cost);
        }
        // An output limit that goes beyond the quota may pass all the same.
        let cost = cost.min(largest);
        (self.gate.admit(now, cost), cost)
    }

    /// What a failure means for the gate. Returns the pause that it set, if it set one.
    pub(super) fn settle(&mut self, job: &Job, failure: &Failure, used: Option<u64>) -> Option<Duration> {
        let broken = self.health.failed(job, failure);
        let load = failure.pause_scope() == Pause::Endpoint;
        if used.is_some() {
            self.gate.answered(job.pass, job.reserved, used);
        } else if failure.may_retry() && (load || broken) {
            let (now, wait) = (Instant::now(), self.health.pause(failure));
            let certain = broken || failure.concurrency_limit;
            let for_rate = failure.code == ErrorCode::RateLimitExceeded && !failure.concurrency_limit;
            if certain || !self.gate.was_chance(job.pass, now, wait, for_rate) {
                return Some(self.gate.refused(job.pass, now, wait, for_rate));
            }
            self.gate.released(job.pass);
        } else {
            self.gate.released(job.pass);
        }
        None
    }

    /// Whether it is to be asked no more after this failure, which was final if `recorded`.
    pub(super) fn given_up(&mut self, failure: &Failure, recorded: bool) -> Option<GivenUp> {
        let given_up = self.health.given_up(failure, recorded)?;
        self.stopped = true;
        Some(given_up)
    }
}
