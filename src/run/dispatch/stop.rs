//! Why something is no longer asked: one member of a lane, a lane, or the whole run.

use std::error::Error;
use std::time::Duration;

use crate::batch::BatchError;
use crate::dataset::{DatasetError, Reject};
use crate::feedback::ErrorCode;
use crate::feedback::log::{OpenError, WriteError};
use crate::run::setup::budget::Exhausted;

/// Why an endpoint, or one member of its pool, is given up. Other lanes continue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GivenUp {
    /// It says itself that asking again is useless, or its consecutive refusals do.
    #[error("{code}: {message}")]
    Refused {
        /// What it answered.
        code: ErrorCode,
        /// In its own words.
        message: String,
    },
    /// It asks for a longer pause than the run may wait.
    #[error("{code}: it asks to wait {} s, longer than this run may wait ({} s): {message}", wait.as_secs(), max.as_secs())]
    AsksTooLong {
        /// What it answered.
        code: ErrorCode,
        /// In its own words.
        message: String,
        /// What it asks for.
        wait: Duration,
        /// What the run may wait.
        max: Duration,
    },
    /// It no longer answers, or never has.
    #[error(
        "no answer to {judgments} judgments in a row, for {} min; the last failure was {code}: {message}",
        lasting.as_secs() / 60
    )]
    Outage {
        /// Consecutive judgments that it left without an answer.
        judgments: u64,
        /// Since its last answer.
        lasting: Duration,
        /// How the last of them failed.
        code: ErrorCode,
        /// In the last one's words.
        message: String,
    },
    /// It has never answered, and always fails in the same way.
    #[error("never an answer, and the same failure {attempts} times in a row: {code}: {message}")]
    Hopeless {
        /// Consecutive attempts.
        attempts: u32,
        /// How they failed.
        code: ErrorCode,
        /// In its own words.
        message: String,
    },
    /// As many requests were sent today as a day allows.
    #[error("all {limit} requests of the day are sent, {before} of them by earlier runs")]
    DailyLimit {
        /// Of a day.
        limit: u64,
        /// Today's requests of earlier runs in the log.
        before: u64,
    },
}

impl GivenUp {
    /// The code of the failure that decided it, if one did.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused { code, .. }
            | Self::AsksTooLong { code, .. }
            | Self::Outage { code, .. }
            | Self::Hopeless { code, .. } => Some(*code),
            Self::DailyLimit { .. } => None,
        }
    }
}

/// Why the whole run ended early, apart from lanes that were given up.
#[derive(Debug, thiserror::Error)]
pub enum StopReason {
    /// A limit on what the run may spend.
    #[error(transparent)]
    Budget(#[from] Exhausted),
    /// A line that is not a trace, in a run that accepts none.
    #[error("{0}")]
    Strict(Box<Reject>),
    /// The dataset broke off.
    #[error("cannot read the rest of the dataset")]
    Dataset(#[source] DatasetError),
    /// The file of rejected lines.
    #[error("cannot write the rejected lines")]
    Rejects(#[source] std::io::Error),
    /// The log.
    #[error(transparent)]
    Log(WriteError),
    /// The verdicts from which code derives others could not be read.
    #[error("cannot read the log for the aggregates of its verdicts; the same command makes them")]
    Votes(#[source] OpenError),
    /// Requests or results of batches.
    #[error("cannot go on with the batches")]
    Batch(#[source] BatchError),
    /// An attempt panicked.
    #[error("an attempt died of a bug; please report it. The judgments in flight are left for the next run")]
    Bug,
    /// The user ended it.
    #[error("interrupted")]
    Interrupted,
}

impl StopReason {
    /// The message with those of its causes.
    pub fn with_causes(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    }
}
