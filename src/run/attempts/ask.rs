//! One attempt: a request, and what came of it.

use super::attempt::Attempt;
use super::reading;
use crate::endpoint::client::{Client, Exchange};
use crate::judge::{Judge, Work};
use crate::run::lanes::job::Job;

/// Does once what the judgment takes. Sending is one thing, reading what comes back another: an answer that comes by another way is read by
/// the same code.
pub(in crate::run) async fn ask(client: &Client, job: &Job, judge: &Judge) -> Attempt {
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
