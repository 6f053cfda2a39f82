//! What happens in a run, as it happens. Sinks (progress, summary, logs) are synchronous folds over it.

use std::time::Duration;

use crate::dataset::{Notices, Reject};
use crate::endpoint::Failure;
use crate::endpoint::wire::answer::Usage;
use crate::feedback::Feedback;
use crate::feedback::log::Standing;

use super::passed_over::PassOver;
use super::selection::LeftOut;
use super::summary::StopReason;

/// Something that happened.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A trace was read; so many bytes of the dataset are behind it.
    TraceRead {
        /// Of all files.
        bytes_read: u64,
        /// `None` when the length is not known.
        total_bytes: Option<u64>,
    },
    /// A trace was read that the run is not about; so many bytes of the dataset are behind it.
    LeftOut {
        /// Why not.
        why: &'a LeftOut,
        /// Of all files.
        bytes_read: u64,
        /// `None` when the length is not known.
        total_bytes: Option<u64>,
    },
    /// The whole dataset was read.
    DatasetRead,
    /// What the user should know of how the dataset was read.
    Noticed(&'a Notices),
    /// No trace of the dataset has these ids, which were named.
    AbsentTraceIds(&'a [String]),
    /// A line is no trace.
    Rejected(&'a Reject),
    /// A trace was there already, with the same content.
    Duplicate,
    /// The log already has this judgment, and it is not asked again.
    Kept {
        /// The index of the question.
        question: usize,
        /// What the log has.
        standing: Standing,
    },
    /// Another log has a verdict, which was taken over.
    Reused {
        /// The index of the question.
        question: usize,
        /// The verdict.
        standing: Standing,
    },
    /// The log has nothing of this judgment, and it is not asked: the run is about failures only.
    Missing {
        /// The index of the question.
        question: usize,
    },
    /// The log has a failure of this opinion that another prompt, trace or parameter led to, and it is not asked: the run is about that
    /// failure only.
    Unmatched {
        /// The index of the question.
        question: usize,
        /// The failure.
        standing: Standing,
    },
    /// There is nothing that the judge judges, and it is not asked.
    PassedOver {
        /// The index of the question.
        question: usize,
        /// Of what.
        what: &'a PassOver,
    },
    /// A trace or session has so many of the failures that the run is about.
    FailuresFound(u64),
    /// A judgment is to be asked.
    Planned {
        /// The index of the question.
        question: usize,
        /// The log has another opinion, given to another prompt, trace or parameter.
        changed: bool,
    },
    /// A request was sent.
    Sent {
        /// Not the first about its judgment.
        again: bool,
    },
    /// An attempt came back, well or not.
    Returned {
        /// The index of the question.
        question: usize,
        /// What it used.
        usage: Option<Usage>,
        /// What that cost, where prices are known.
        cost: Option<f64>,
        /// From sending to the last byte.
        latency: Duration,
    },
    /// An attempt failed and will be repeated.
    Retrying {
        /// What happened.
        failure: &'a Failure,
        /// How long it waits at least.
        delay: Duration,
    },
    /// A record went to the log.
    Recorded {
        /// The index of the question.
        question: usize,
        /// The record.
        feedback: &'a Feedback,
    },
    /// No more is admitted; what is in flight is waited for.
    Stopping(&'a StopReason),
    /// A second went by.
    Tick,
}
