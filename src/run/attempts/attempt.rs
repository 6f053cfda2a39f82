//! The outcome of one attempt.

use super::reading::Scored;
use crate::endpoint::Failure;
use crate::endpoint::pacing::observed::ObservedLimits;
use crate::endpoint::wire::answer::{Answer, Usage};

/// What an attempt brought.
#[derive(Debug)]
pub(in crate::run) struct Attempt {
    pub result: Result<Scored, Box<Failure>>,
    /// The answer, verdict or not; kept until the record is made.
    pub answer: Option<Answer>,
    /// What the endpoint reported about its quota.
    pub limits: ObservedLimits,
}

impl Attempt {
    /// A failure that happened here: nothing was sent.
    pub(in crate::run) fn local(failure: Failure) -> Self {
        Self { result: Err(failure.into()), answer: None, limits: ObservedLimits::default() }
    }

    /// Tokens that were used, whether or not there is a verdict.
    pub(in crate::run) fn usage(&self) -> Option<Usage> {
        self.answer.as_ref()?.usage
    }
}
