//! One attempt: a request, and what came of it.

use super::job::Job;
use super::reading::{self, Scored};
use crate::endpoint::Failure;
use crate::endpoint::client::{Client, Exchange};
use crate::endpoint::pacing::observed::ObservedLimits;
use crate::endpoint::wire::answer::{Answer, Usage};
use crate::judge::{Judge, Work};

/// What an attempt brought.
#[derive(Debug)]
pub(super) struct Attempt {
    pub result: Result<Scored, Box<Failure>>,
    /// What came back, verdict or not; kept until the record is made.
    pub answer: Option<Answer>,
    /// What the endpoint reported of its quota.
    pub limits: ObservedLimits,
}

impl Attempt {
    /// A failure that happened here: nothing was sent.
    pub(super) fn local(failure: Failure) -> Self {
        Self { result: Err(failure.into()), answer: None, limits: ObservedLimits::default() }
    }

    /// Tokens that were used, whether or not there is a verdict.
    pub(super) fn usage(&self) -> Option<Usage> {
        self.answer.as_ref()?.usage
    }
}

/// Does once what the judgment takes. Sending is one thing, reading what comes back another: an answer that comes by another way is read by
/// the same code.
pub(super) async fn ask(client: &Client, job: &Job, judge: &Judge) -> Attempt {
    let Exchange { result, limits } = match &job.judgment.work {
        Work::Chat(request) => client.ask(&job.variation.applied(request), &job.profile, job.max_output).await,
    };
    match result {
        Ok(answer) => {
            Attempt { result: reading::read(&job.judgment.work, &answer, judge), answer: Some(answer), limits }
        }
        Err(failure) => Attempt { result: Err(failure), answer: None, limits },
    }
}
