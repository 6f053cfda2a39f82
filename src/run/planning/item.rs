//! What the plan says to do about one question and one subject.

use super::skipped::SkipReason;
use crate::feedback::log::Standing;
use crate::feedback::{AssessmentId, Feedback};
use crate::judge::{Judgment, NotAskable};
use crate::run::lanes::job::History;
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
    /// Append the log's own record again: what overrides it was given to a prompt, trace or parameter that is not asked any more.
    Reinstate { standing: Standing, offset: u64, overrides: AssessmentId },
    /// Append another log's verdict.
    Reuse(Box<Feedback>),
    /// Nothing but to count it.
    Count(Settled),
}

/// Another question that the same answer answers: a criterion of the same rubric.
#[derive(Debug, Clone, Copy)]
pub(in crate::run) struct Rider {
    pub question: QuestionIndex,
    pub id: AssessmentId,
    pub history: History,
}

/// What became of a judgment that is not asked.
#[derive(Debug, Clone, PartialEq)]
pub enum Settled {
    /// The log has it, and it is kept.
    Kept(Standing),
    /// Another log has a verdict, which is copied.
    Reused(Standing),
    /// The log has nothing of it, and the run is about failures only.
    Missing,
    /// The log has a failure that another prompt, trace or parameter led to, and the run is about that failure only.
    Unmatched(Standing),
    /// There is nothing that the judge judges.
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
