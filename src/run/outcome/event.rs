//! What happens in a run, as it happens. Sinks (progress, summary, logs) are synchronous folds over it.

use std::time::Duration;

use crate::dataset::{Notices, Reject};
use crate::endpoint::Failure;
use crate::endpoint::pacing::shared::QuotaNews;
use crate::endpoint::wire::answer::Usage;
use crate::feedback::Feedback;
use crate::judge::SubjectIds;
use crate::judge::parse::ParseMethod;
use crate::run::dispatch::stop::{GivenUp, StopReason};
use crate::run::planning::item::Settled;
use crate::run::setup::questions::{LaneIndex, QuestionIndex};
use crate::run::setup::selection::NotSelected;

/// Something that happened.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A trace was read.
    TraceRead {
        /// Of all files, so far.
        bytes_read: u64,
        /// `None` when the length is unknown.
        total_bytes: Option<u64>,
    },
    /// A trace was read that is not selected.
    NotSelected {
        /// Why not.
        why: &'a NotSelected,
        /// Of all files, so far.
        bytes_read: u64,
        /// `None` when the length is unknown.
        total_bytes: Option<u64>,
    },
    /// The whole dataset was read.
    DatasetRead,
    /// What the user should know about how the dataset was read.
    Noticed(&'a Notices),
    /// These ids were named, but the dataset has no such trace.
    AbsentTraceIds(&'a [String]),
    /// A line is not a trace.
    Rejected(&'a Reject),
    /// A trace was read before, with the same content.
    Duplicate,
    /// A judgment is not asked.
    Settled {
        /// Of this question.
        question: QuestionIndex,
        /// What became of it instead.
        settled: &'a Settled,
    },
    /// A trace or session has this many of the failures that the run retries.
    FailuresFound(u64),
    /// A judgment will be asked and recorded.
    Planned {
        /// Of this question.
        question: QuestionIndex,
        /// The log has another opinion, for another prompt, trace or parameter.
        changed: bool,
    },
    /// A planned judgment is in a batch, or goes with one.
    Batched {
        /// Of this question.
        question: QuestionIndex,
    },
    /// A request was sent.
    Sent {
        /// To this lane.
        lane: LaneIndex,
        /// For this question.
        question: QuestionIndex,
        /// What it is about.
        subject: &'a SubjectIds,
        /// 1 for the first request about its judgment.
        attempt: u32,
    },
    /// An attempt came back, well or not.
    Returned {
        /// From this lane.
        lane: LaneIndex,
        /// For this question.
        question: QuestionIndex,
        /// What it was about.
        subject: &'a SubjectIds,
        /// What it used.
        usage: Option<Usage>,
        /// What that cost, where prices are known.
        cost: Option<f64>,
        /// From sending to the last byte.
        latency: Duration,
        /// Why it gave no verdict, if so.
        failure: Option<&'a Failure>,
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
        /// Of this question.
        question: QuestionIndex,
        /// The record.
        feedback: &'a Feedback,
        /// What the judge wrote, if it answered.
        answer: Option<&'a str>,
        /// How the verdict was read, if there is one.
        method: Option<ParseMethod>,
    },
    /// One of several members of a lane's pool was given up; the others were not.
    MemberGivenUp {
        /// Of this lane.
        lane: LaneIndex,
        /// Which of its members.
        member: &'a str,
        /// Why.
        reason: &'a GivenUp,
    },
    /// A lane was given up; answers in flight are waited for, and other lanes continue.
    LaneStopped {
        /// This lane.
        lane: LaneIndex,
        /// Why.
        reason: &'a GivenUp,
    },
    /// The run sends nothing more.
    Stopping {
        /// Why.
        reason: &'a StopReason,
        /// Requests in flight, whose answers are waited for.
        in_flight: usize,
    },
    /// The run ends without the answers in flight.
    Abandoned {
        /// Requests in flight.
        in_flight: usize,
    },
    /// An endpoint reported limits that the user did not set. Once a second while they are known.
    LimitsReported {
        /// Of this lane.
        lane: LaneIndex,
        /// Requests a minute.
        requests: Option<u64>,
        /// Tokens a minute.
        tokens: Option<u64>,
    },
    /// The server of a quota that is shared with other processes went away, or came back.
    QuotaServer {
        /// Of this lane.
        lane: LaneIndex,
        /// What happened.
        news: &'a QuotaNews,
    },
    /// A second went by.
    Tick,
}
