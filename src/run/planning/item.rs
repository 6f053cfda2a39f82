//! The plan for one question about one subject.

use super::skipped::SkipReason;
use crate::feedback::log::Standing;
use crate::feedback::{AssessmentId, Feedback};
use crate::judge::{Judgment, NotAskable};
use crate::run::setup::questions::QuestionIndex;

/// What to do about one question and one trace, span or session.
#[derive(Debug)]
pub(in crate::run) struct Item {
    pub question: QuestionIndex,
    pub action: Action,
}

/// What to do.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly every judgment is asked")]
pub(in crate::run) enum Action {
    /// Ask, and record the answer.
    Ask { judgment: Judgment, history: History, riders: Vec<Rider> },
    /// Record that it cannot be asked.
    Fail(Box<NotAskable>),
    /// Append the log's own record again: what overrides it was for a prompt, trace or parameter that is no longer asked.
    Reinstate { standing: Standing, offset: u64, overrides: AssessmentId },
    /// Append another log's verdict.
    Reuse(Box<Feedback>),
    /// Nothing but to count it.
    Count(Settled),
}

/// What a record takes over from the log that it goes to.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::run) struct History {
    /// The opinion that this one replaces.
    pub overrides: Option<AssessmentId>,
    /// When the same judgment was first recorded, as an error.
    pub create_time_ms: Option<i64>,
}

/// Another question that the same answer answers: a criterion of the same rubric.
#[derive(Debug, Clone, Copy)]
pub(in crate::run) struct Rider {
    pub question: QuestionIndex,
    pub id: AssessmentId,
    pub history: History,
}

/// The outcome of a judgment that is not asked.
#[derive(Debug, Clone, PartialEq)]
pub enum Settled {
    /// It is in the log, and kept.
    Kept(Standing),
    /// Another log has a verdict, which is copied.
    Reused(Standing),
    /// The log has no record of it, and the run retries only failures.
    Missing,
    /// The log has a failure for another prompt, trace or parameter, and the run retries only that failure.
    Unmatched(Standing),
    /// There is nothing for the judge to judge.
    Skipped(SkipReason),
}

impl Item {
    /// Whether there is nothing to do but to count it.
    pub(in crate::run) fn is_counted_only(&self) -> bool {
        match self.action {
            Action::Ask { .. } | Action::Fail(_) | Action::Reinstate { .. } | Action::Reuse(_) => false,
            Action::Count(_) => true,
        }
    }

    /// Bytes of the trace that it holds.
    pub(in crate::run) fn bytes(&self) -> usize {
        match &self.action {
            Action::Ask { judgment, .. } => judgment.work.bytes(),
            Action::Reuse(feedback) => feedback.rationale.as_ref().map_or(0, String::len),
            Action::Fail(_) | Action::Reinstate { .. } | Action::Count(_) => 0,
        }
    }
}
