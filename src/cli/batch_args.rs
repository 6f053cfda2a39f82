//! The arguments of runs in batches, and of `judge-run collect`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum, ValueHint};
use judge_run::batch::BatchLimits;
use judge_run::run::{BatchPlan, OnExpired};

use super::duration;
use super::override_args::OverrideArgs;

const BATCH: &str = "Batches";

/// Whether and how a run goes through a provider's batch API.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = BATCH)]
pub(crate) struct BatchArgs {
    /// Send requests through the provider's batch API, at half the price, and wait for the answers; interrupt it at any time, and the
    /// same command continues
    #[arg(long, env = "JUDGE_RUN_BATCH", conflicts_with_all = ["until", "escalate_to"])]
    pub batch: bool,

    /// With --batch: submit and exit (code 5 while batches are pending); the same command or `judge-run collect` continues
    #[arg(long, env = "JUDGE_RUN_DETACH", requires = "batch")]
    pub detach: bool,

    /// What to do with requests that a batch leaves without a verdict: ask them live, in another batch, or record the failure
    #[arg(long, value_name = "HOW", env = "JUDGE_RUN_ON_EXPIRED", value_enum, default_value_t)]
    pub on_expired: Expired,

    /// Maximum number of requests in a batch [default: the provider's limit, such as 50000]
    #[arg(long, value_name = "N", env = "JUDGE_RUN_BATCH_MAX_REQUESTS", value_parser = clap::value_parser!(u32).range(1..))]
    pub batch_max_requests: Option<u32>,

    /// Maximum size of a batch's file, in bytes [default: the provider's limit, such as 190 MB]
    #[arg(long, value_name = "BYTES", env = "JUDGE_RUN_BATCH_MAX_BYTES", value_parser = clap::value_parser!(u64).range(1..))]
    pub batch_max_bytes: Option<u64>,

    /// Maximum number of tokens in a batch, in prompts and answers: for the provider's limit on enqueued tokens
    #[arg(long, value_name = "N", env = "JUDGE_RUN_BATCH_MAX_TOKENS", value_parser = clap::value_parser!(u64).range(1..))]
    pub batch_max_tokens: Option<u64>,

    /// Poll batches this often at first, later less often [default: 30s]
    #[arg(long, value_name = "DURATION", env = "JUDGE_RUN_POLL_EVERY", value_parser = duration::parse_positive)]
    pub poll_every: Option<Duration>,

    /// Delete the files at the provider once their results are in the log
    #[arg(long, env = "JUDGE_RUN_DELETE_FILES")]
    pub delete_files: bool,
}

/// What to do with requests that a batch leaves without a verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Expired {
    /// Ask them live
    #[default]
    Live,
    /// Put them into another batch
    Batch,
    /// Record the failure
    Fail,
}

impl BatchArgs {
    /// How requests go in batches, if they do.
    pub(crate) fn plan(self) -> Option<BatchPlan> {
        let Self {
            batch,
            detach: _,
            on_expired,
            batch_max_requests,
            batch_max_bytes,
            batch_max_tokens,
            poll_every,
            delete_files,
        } = self;
        batch.then(|| BatchPlan {
            on_expired: match on_expired {
                Expired::Live => OnExpired::Live,
                Expired::Batch => OnExpired::Batch,
                Expired::Fail => OnExpired::Fail,
            },
            limits: BatchLimits {
                requests: batch_max_requests.and_then(|n| n.try_into().ok()),
                bytes: batch_max_bytes,
                tokens: batch_max_tokens,
            },
            poll: poll_every.unwrap_or(BatchPlan::DEFAULT_POLL),
            delete_files,
        })
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  Submit in the evening, collect in the morning:
    judge-run -d traces.jsonl -J safety -m openai:/gpt-4.1-mini --batch --detach
    judge-run collect traces.feedback.jsonl
  Wait until all results are there:
    judge-run collect traces.feedback.jsonl --wait
  Cancel the batches, and keep their results so far:
    judge-run collect traces.feedback.jsonl --cancel

Exits with code 5 while batches are pending.")]
pub(crate) struct CollectArgs {
    /// The log that the batches were submitted for
    #[arg(value_hint = ValueHint::FilePath)]
    pub log: PathBuf,

    /// Wait until all batches have ended
    #[arg(long)]
    pub wait: bool,

    /// Cancel the batches, wait until they end, and collect their results so far
    #[arg(long)]
    pub cancel: bool,

    /// Poll batches this often at first, later less often [default: as the run did]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse_positive)]
    pub poll_every: Option<Duration>,

    /// Delete the files at the provider once their results are in the log
    #[arg(long)]
    pub delete_files: bool,

    #[command(flatten)]
    pub overrides: OverrideArgs,
}
