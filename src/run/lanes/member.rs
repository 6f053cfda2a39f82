//! One deployment or key behind a lane: a client, its own gate, its own health.
//!
//! Most lanes have one. A pool of several shares the lane's judgments: the idlest with quota and room left is asked next, and a judgment that
//! fails for good because its member is given up goes to another.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::health::Health;
use super::job::Job;
use crate::endpoint::client::{Client, ClientError, without_credentials};
use crate::endpoint::config::EndpointConfig;
use crate::endpoint::pacing::gate::{Admission, Gate};
use crate::endpoint::pacing::quota::{Limits, Quota};
use crate::endpoint::program::{Program, ProgramConfig};
use crate::endpoint::{Failure, ModelUri, provider};
use crate::feedback::Pause;
use crate::run::dispatch::stop::GivenUp;
use crate::run::setup::settings::Policy;

/// Who is asked.
#[derive(Debug, Clone)]
pub(in crate::run) enum Asks {
    Endpoint(Arc<Client>),
    Program(Arc<Program>),
}

impl Asks {
    pub(in crate::run) async fn close(&self) {
        if let Self::Program(program) = self {
            let program = Arc::clone(program);
            // A process that is not waited for is killed when dropped.
            let _ = tokio::task::spawn_blocking(move || program.close()).await;
        }
    }
}

/// One deployment or key.
pub(in crate::run) struct Member {
    /// Its address, and where its key comes from.
    pub name: String,
    /// Its host, unless that is where the endpoint's name says.
    pub other_host: Option<Arc<str>>,
    pub asks: Asks,
    pub gate: Gate,
    pub health: Health,
    /// It is asked no more.
    pub stopped: bool,
    /// For one answer.
    pub timeout: Duration,
}

/// The host of an endpoint that is not at its preset's address; the simulator is never elsewhere.
fn other_host(endpoint: &EndpointConfig) -> Option<Arc<str>> {
    let host = provider::host(&endpoint.base_url);
    let own = endpoint.preset.and_then(|preset| preset.base_url).map(provider::host);
    let is_simulated = endpoint.name == ModelUri::SIMULATED;
    (own != Some(host) && !is_simulated).then(|| host.into())
}

impl Member {
    pub(in crate::run) fn new(
        endpoint: &EndpointConfig,
        model: &str,
        policy: &Policy,
        proven: bool,
    ) -> Result<Self, ClientError> {
        let quota = Quota::new(endpoint.limits, !provider::is_openai(&endpoint.base_url));
        let address = without_credentials(&endpoint.base_url);
        Ok(Self {
            name: match &endpoint.api_key_env {
                Some(variable) => format!("{address} with the key in {variable}"),
                None => address,
            },
            other_host: other_host(endpoint),
            asks: Asks::Endpoint(Arc::new(Client::new(endpoint, model)?)),
            gate: Gate::new(quota, endpoint.concurrency),
            health: Health::new(proven, policy.max_pause, endpoint.concurrency, endpoint.timeout),
            stopped: false,
            timeout: endpoint.timeout,
        })
    }

    /// The only member of a program's lane.
    pub(in crate::run) fn of_program(program: &ProgramConfig, policy: &Policy, proven: bool) -> Self {
        Self {
            name: program.source_id.clone(),
            other_host: None,
            asks: Asks::Program(Arc::new(Program::new(program.clone()))),
            gate: Gate::new(Quota::new(Limits::default(), false), program.processes),
            health: Health::new(proven, policy.max_pause, program.processes, program.timeout),
            stopped: false,
            timeout: program.timeout,
        }
    }

    /// From now on it shares the quota of all processes that ask the same model at this address with the same key.
    pub(in crate::run) fn share_quota(&mut self, endpoint: &EndpointConfig, model: &str, wake: &Arc<Notify>) {
        let Some(server) = &endpoint.quota_server else { return };
        let key = endpoint.api_key_env.as_deref().unwrap_or_default();
        let place = blake3::hash(format!("{}\n{key}", without_credentials(&endpoint.base_url)).as_bytes()).to_hex();
        let name = format!("{}:/{model} {}", endpoint.name, &place[..16]);
        self.gate.share(server, &name, wake);
    }

    /// The most tokens that a request to it can ever have: 0 if it is no longer asked.
    pub(in crate::run) fn largest_request(&self) -> u64 {
        if self.stopped { 0 } else { self.gate.quota().largest_request().unwrap_or(u64::MAX) }
    }

    /// Asks to send a request of `cost` tokens, of which `input` are the prompt's. Also returns the cost that was charged.
    pub(in crate::run) fn admit(&mut self, now: Instant, cost: u64, input: u64) -> (Admission, u64) {
        let largest = self.largest_request();
        if self.stopped || input > largest {
            return (Admission::Busy, cost);
        }
        // An output limit that exceeds the quota may still pass.
        let cost = cost.min(largest);
        (self.gate.admit(now, cost), cost)
    }

    /// What a failure means for the gate. Returns the pause that it set, if it set one.
    pub(in crate::run) fn settle(&mut self, job: &Job, failure: &Failure, used: Option<u64>) -> Option<Duration> {
        let harmless = failure.free_retry && !job.had_free_retry;
        let is_broken = self.health.failed(failure, job.sent_at, harmless);
        let is_load = failure.pause_scope() == Pause::Endpoint;
        if used.is_some() {
            self.gate.answered(job.pass, job.reserved, used);
        } else if failure.may_retry() && (is_load || is_broken) {
            let (now, wait) = (Instant::now(), self.health.pause(failure));
            let is_certain = is_broken || failure.concurrency_limit;
            let for_rate = failure.code.traits().is_rate && !failure.concurrency_limit;
            if is_certain || !self.gate.was_chance(job.pass, now, wait, for_rate) {
                return Some(self.gate.refused(job.pass, now, wait, for_rate));
            }
            self.gate.released(job.pass);
        } else {
            self.gate.released(job.pass);
        }
        None
    }

    /// Gives it up if this failure, which was final for its judgment if `is_final`, is a reason to. Returns the reason if it is new:
    /// requests in flight together may fail for the same reason.
    pub(in crate::run) fn give_up(&mut self, failure: &Failure, is_final: bool) -> Option<GivenUp> {
        let reason = self.health.given_up(failure, is_final).filter(|_| !self.stopped)?;
        self.stopped = true;
        Some(reason)
    }
}
