//! How the simulated endpoint behaves.

use std::time::Duration;

use super::batch::faults::BatchFaults;
use super::dialect::Dialect;
use super::fault::FaultPlan;

/// How the simulated endpoint behaves.
#[derive(Debug, Clone, PartialEq)]
pub struct SimulatorConfig {
    /// The mean time to an answer. Requests over a limit are refused at once.
    pub latency: Duration,
    /// Whether a request takes 0.5 to 1.5 times as long; otherwise all take the same time.
    pub jitter: bool,
    /// Requests per minute; 0 counts as 1.
    pub rpm: Option<u32>,
    /// Tokens per minute; 0 counts as 1. A request uses its prompt and all the output that it allows.
    pub tpm: Option<u64>,
    /// How much of the quota may be spent at once, as the time in which it flows in; at least one request.
    pub burst: Duration,
    /// Whether tokens that a request reserved but did not use are given back when it is answered.
    pub refund: bool,
    /// How the quota is reported.
    pub dialect: Dialect,
    /// The most tokens of a prompt that are read and reported; the rest is silently cut off, as Ollama does it.
    pub context: Option<u64>,
    /// What goes wrong.
    pub faults: FaultPlan,
    /// What goes wrong with batches.
    pub batch_faults: BatchFaults,
    /// The model that `GET /v1/models` lists. Chat requests are answered whatever model they name.
    pub model: String,
}

impl Default for SimulatorConfig {
    /// 20 ms with jitter, no limits, bursts of one second, no refunds, OpenAI's headers, no faults.
    fn default() -> Self {
        Self {
            latency: Duration::from_millis(20),
            jitter: true,
            rpm: None,
            tpm: None,
            burst: Duration::from_secs(1),
            refund: false,
            dialect: Dialect::default(),
            context: None,
            faults: FaultPlan::default(),
            batch_faults: BatchFaults::default(),
            model: "simulated".to_owned(),
        }
    }
}
