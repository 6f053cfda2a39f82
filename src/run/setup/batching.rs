//! Requests that go to a provider's batch API: a run's input and output for it.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::millis;
use super::questions::QuestionIndex;
use crate::batch::{Answers, BatchLimits, Shard, Spool};
use crate::endpoint::wire::ladder::Ladder;
use crate::feedback::AssessmentId;

/// How judgments are asked in batches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchPlan {
    /// What to do with requests that a batch leaves without a verdict.
    pub on_expired: OnExpired,
    /// How large a batch may be.
    #[serde(default)]
    pub limits: BatchLimits,
    /// How often batches are polled, at first.
    #[serde(rename = "poll_ms", with = "millis")]
    pub poll: std::time::Duration,
    /// Whether the provider is asked to delete its files in the end.
    #[serde(default)]
    pub delete_files: bool,
}

impl BatchPlan {
    /// A batch takes minutes or hours.
    pub const DEFAULT_POLL: std::time::Duration = std::time::Duration::from_secs(30);
}

/// What to do with a request that a batch leaves without a verdict, if another attempt may give one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnExpired {
    /// It is asked by itself.
    Live,
    /// It goes with another batch.
    Batch,
    /// It is recorded as failed.
    Fail,
    /// Nothing, where a batch was cancelled.
    Leave,
}

/// What a run is given.
#[derive(Debug)]
pub struct Batching {
    /// What is known of requests in batches.
    pub answers: Answers,
    /// Where new ones go; without it they are skipped.
    pub spool: Option<Spool>,
    /// What to do with those that a batch leaves without a verdict.
    pub on_expired: OnExpired,
    /// Whether failures of the log are asked again that no batch has.
    pub asks_failures: bool,
    /// Whether endpoints are asked: the first request of each question is answered before others go to a batch, so that not all of them are refused
    /// for one reason.
    pub proves: bool,
    /// What earlier passes over the dataset learnt: nothing of it is asked live again.
    pub proofs: Proofs,
    /// The possible cost and tokens of batches that are not over.
    pub reserved: (f64, u64),
    /// What a simulator answered in the model's place in batches of earlier passes over the dataset. The log does not hold it as the model's, and it is
    /// not submitted again.
    pub made_up: HashSet<AssessmentId>,
}

/// What endpoints are known to take.
#[derive(Debug, Default)]
pub struct Proofs {
    /// Questions of which a request was answered.
    pub(in crate::run) questions: HashSet<QuestionIndex>,
    /// How each lane puts its requests.
    pub(in crate::run) ladders: Vec<Ladder>,
}

/// What a run leaves of it.
#[derive(Debug, Default)]
pub struct Batched {
    /// What it learnt, for the next pass.
    pub proofs: Proofs,
    /// Files of requests that are not yet planned.
    pub shards: Vec<Shard>,
    /// Batches whose results have all been taken in.
    pub settled: Vec<String>,
    /// Results in others that the run did not ask for.
    pub unsettled: u64,
    /// Results that were left out: about no request of their batch, or about one that already has a result.
    pub strays: u64,
    /// Whether something was skipped because of a budget.
    pub is_full: bool,
    /// What a simulator answered in the model's place, in this pass and those before.
    pub made_up: HashSet<AssessmentId>,
    /// How many judgments would be asked again for that.
    pub repeated: u64,
}
