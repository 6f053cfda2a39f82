//! One attempt: a request, and what came of it.

use super::attempt::Attempt;
use super::reading;
use crate::endpoint::Failure;
use crate::endpoint::client::Exchange;
use crate::endpoint::pacing::observed::ObservedLimits;
use crate::feedback::ErrorCode;
use crate::judge::{Judge, Work};
use crate::run::lanes::job::Job;
use crate::run::lanes::member::Asks;

/// Does once what the judgment takes. Sending is one thing, reading what comes back another: an answer that comes by another way is read by
/// the same code.
pub(in crate::run) async fn ask(asks: &Asks, job: &Job, judge: &Judge) -> Attempt {
    let Exchange { result, limits } = match (&job.judgment.work, asks) {
        (Work::Chat(request), Asks::Endpoint(client)) => {
            client.ask(&job.variation.applied(request), &job.profile, job.max_output).await
        }
        (Work::Program(request), Asks::Program(program)) => {
            let result = program.ask(&job.judgment.id.to_string(), request.members()).await;
            Exchange { result, limits: ObservedLimits::default() }
        }
        (Work::Chat(_) | Work::Program(_) | Work::Computed(_), _) => {
            let words = "the judgment came to a lane that cannot judge it; please report it";
            return Attempt::local(Failure::new(ErrorCode::InvalidRequest, words));
        }
    };
    match result {
        Ok(answer) => {
            Attempt { result: reading::read(&job.judgment.work, &answer, judge), answer: Some(answer), limits }
        }
        Err(failure) => Attempt { result: Err(failure), answer: None, limits },
    }
}
