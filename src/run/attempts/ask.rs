//! One attempt: a request and its outcome.

use super::attempt::Attempt;
use super::reading;
use crate::endpoint::Failure;
use crate::endpoint::client::Exchange;
use crate::endpoint::pacing::observed::ObservedLimits;
use crate::endpoint::wire::answer::Answer;
use crate::feedback::ErrorCode;
use crate::judge::Work;
use crate::run::lanes::job::Job;
use crate::run::lanes::member::Asks;
use crate::run::setup::questions::Questions;

/// Does the judgment's work once. Sending and reading the answer are separate: an answer that comes by another way is read by
/// the same code.
pub(in crate::run) async fn ask(asks: &Asks, job: &Job, questions: &Questions) -> Attempt {
    let Exchange { result, limits } = match (&job.judgment.work, asks) {
        (Work::Chat(request), Asks::Endpoint(client)) => {
            client.ask(&job.variation.applied(request), &job.profile, job.max_output).await
        }
        (Work::Program(request), Asks::Program(program)) => {
            let result = program.ask(&job.judgment.id.to_string(), request.members()).await;
            Exchange { result, limits: ObservedLimits::default() }
        }
        (Work::Chat(_) | Work::Program(_) | Work::Computed(_), _) => {
            let words = "the judgment reached a lane that cannot judge it; please report this bug";
            return Attempt::local(Failure::new(ErrorCode::InvalidRequest, words));
        }
    };
    match result {
        Ok(answer) => read_answer(answer, job, questions, limits),
        Err(failure) => Attempt { result: Err(failure), answer: None, limits },
    }
}

/// What an answer says, however it came.
pub(in crate::run) fn read_answer(answer: Answer, job: &Job, questions: &Questions, limits: ObservedLimits) -> Attempt {
    let result = reading::read(&job.judgment.work, &answer, &questions[job.question].judge);
    let result = result.map_err(|failure| final_if_partial(failure, &answer, job, questions));
    Attempt { result, answer: Some(answer), limits }
}

/// An answer with verdicts on other criteria is not asked for again: those are paid for.
fn final_if_partial(mut failure: Box<Failure>, answer: &Answer, job: &Job, questions: &Questions) -> Box<Failure> {
    let is_read = |judge| reading::read(&job.judgment.work, answer, judge).is_ok();
    if reading::is_about_content(failure.code)
        && job.riders.iter().any(|rider| is_read(&questions[rider.question].judge))
    {
        failure.retryable = Some(false);
    }
    failure
}
