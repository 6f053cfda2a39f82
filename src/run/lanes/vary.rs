//! How a further attempt at a judgment differs from the one before: a model that is asked the same again gives the same answer, and takes as long.

use std::time::Duration;

use super::job::Job;
use crate::endpoint::Failure;
use crate::endpoint::wire::chat::WireProfile;
use crate::feedback::{Hint, Room};
use crate::judge::parse::has_periodic_tail;

/// A model that loops at a lower temperature than this may find its way out at this one.
const LOOP_TEMPERATURE: f64 = 0.3;
/// No attempt gets less room for its answer than this, unless the judge gives it less.
const MIN_ROOM: u32 = 512;

impl Job {
    /// Varies a request that would only repeat the failure. `timeout` is the member's, for one answer.
    pub(in crate::run) fn vary(&mut self, failure: &Failure, timeout: Duration) {
        let traits = failure.code.traits();
        let (answer, latency) = match &self.last {
            Some((attempt, latency)) => (attempt.answer.as_ref(), *latency),
            None => (None, Duration::ZERO),
        };
        let loops = answer.is_some_and(|answer| has_periodic_tail(&answer.content));
        let room = match traits.room {
            // A loop fills any limit, and an answer of twice the length takes twice the time.
            Room::More if !loops && latency.saturating_mul(2) < timeout => self.max_output.saturating_mul(2),
            Room::Less => (self.max_output / 2).max(MIN_ROOM).min(self.max_output),
            Room::More | Room::Same => self.max_output,
        };
        self.variation.has_other_room |= room != self.max_output;
        self.max_output = room;
        match traits.hint {
            Hint::None => {}
            Hint::Says(words) => self.variation.hint = Some(words.to_owned()),
            Hint::Quotes(words) => self.variation.hint = Some(format!("{words}{}.", failure.message)),
        }
        if loops && self.takes_temperature(&self.profile) {
            self.variation.temperature = Some(LOOP_TEMPERATURE);
        }
    }

    /// Whether the endpoint is known to accept a temperature, and the judge's is too low to end a loop.
    fn takes_temperature(&self, profile: &WireProfile) -> bool {
        let own = self.judgment.work.temperature();
        own.is_some_and(|own| own < LOOP_TEMPERATURE) && !profile.dropped.contains("temperature")
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::super::lane::tests::job;
    use super::*;
    use crate::endpoint::pacing::observed::ObservedLimits;
    use crate::endpoint::wire::answer::Answer;
    use crate::endpoint::wire::chat::ChatRequest;
    use crate::feedback::ErrorCode;
    use crate::judge::Work;
    use crate::run::attempts::attempt::Attempt;

    const TIMEOUT: Duration = Duration::from_secs(600);

    /// A job that got this answer, or none.
    fn after(code: ErrorCode, message: &str, answer: Option<&str>, latency: Duration) -> Job {
        let failure = Failure::new(code, message);
        let mut job = job();
        let answer = answer.map(|content| Answer { content: content.into(), ..Answer::default() });
        let attempt = Attempt { result: Err(failure.clone().into()), answer, limits: ObservedLimits::default() };
        job.last = Some((attempt, latency));
        job.vary(&failure, TIMEOUT);
        job
    }

    fn request(job: &Job) -> &ChatRequest {
        match &job.judgment.work {
            Work::Chat(request) => request,
            other => panic!("{other:?}"),
        }
    }

    fn request_mut(job: &mut Job) -> &mut ChatRequest {
        match &mut job.judgment.work {
            Work::Chat(request) => request,
            other => panic!("{other:?}"),
        }
    }

    fn sent(job: &Job) -> ChatRequest {
        job.variation.applied(request(job)).into_owned()
    }

    #[test]
    fn a_plain_request_is_sent_as_it_is() {
        let job = job();
        let request = request(&job);
        assert!(matches!(job.variation.applied(request), Cow::Borrowed(_)));
        assert_eq!(job.variation.names(), None);
        let job = after(ErrorCode::ServerError, "Oops.", None, Duration::ZERO);
        assert_eq!((job.variation.names(), job.max_output), (None, 2048), "the fault is not the model's");
    }

    #[test]
    fn a_value_out_of_range_is_named_with_what_is_allowed() {
        let message = "the verdict must be a number from 0 to 1, but is 149.0";
        let job = after(ErrorCode::OutOfRange, message, Some("{}"), Duration::ZERO);
        assert_eq!(sent(&job).user, format!("u\n\nYour last verdict was rejected: {message}."));
        assert_eq!((job.variation.names().as_deref(), job.max_output), (Some("hint"), 2048));
        let request = request(&job);
        assert_eq!(request.user, "u", "the judgment itself stays what it was");
    }

    #[test]
    fn a_cut_answer_gets_twice_the_room_unless_it_loops_or_would_take_too_long() {
        let cut = |answer: Option<&str>, latency| {
            let job = after(ErrorCode::TruncatedResponse, "cut", answer, latency);
            (job.max_output, job.variation.names().unwrap())
        };
        let seconds = Duration::from_secs;
        assert_eq!(cut(Some("There is so much to"), seconds(299)), (4096, "hint,room".into()));
        assert_eq!(cut(None, seconds(1)), (4096, "hint,room".into()), "the endpoint said so itself");
        assert_eq!(cut(Some("There is so much to"), seconds(300)), (2048, "hint".into()));
        let looping = "I am a judge, ".repeat(100);
        assert_eq!(cut(Some(&looping), seconds(1)), (2048, "hint,temperature".into()));
    }

    #[test]
    fn a_loop_is_asked_again_at_another_temperature_where_one_is_taken() {
        let looping = "ha ".repeat(400);
        let temperature = |job: &Job| sent(job).sampling.temperature;
        let job = after(ErrorCode::TruncatedResponse, "cut", Some(&looping), Duration::ZERO);
        assert_eq!(temperature(&job), Some(LOOP_TEMPERATURE));
        let mut job = super::super::lane::tests::job();
        std::sync::Arc::make_mut(&mut job.profile).dropped.insert("temperature".into());
        assert!(!job.takes_temperature(&job.profile));
        let request = request_mut(&mut job);
        request.sampling.temperature = None;
        std::sync::Arc::make_mut(&mut job.profile).dropped.clear();
        assert!(!job.takes_temperature(&job.profile), "a judge that names none has its reason");
        let request = request_mut(&mut job);
        request.sampling.temperature = Some(LOOP_TEMPERATURE);
        assert!(!job.takes_temperature(&job.profile));
    }

    #[test]
    fn what_timed_out_is_asked_for_a_shorter_answer() {
        let job = after(ErrorCode::Timeout, "no answer", None, TIMEOUT);
        assert_eq!((job.max_output, job.variation.names().as_deref()), (1024, Some("hint,room")));
        let mut small = super::super::lane::tests::job();
        small.max_output = 300;
        small.vary(&Failure::new(ErrorCode::Timeout, "no answer"), TIMEOUT);
        assert_eq!(small.max_output, 300, "not below what a verdict takes");
        small.max_output = 600;
        small.vary(&Failure::new(ErrorCode::Timeout, "no answer"), TIMEOUT);
        assert_eq!(small.max_output, MIN_ROOM);
    }
}
