//! Judgments that go in batches, or come from them: as the dataset is read, an answer that is here becomes a record, what is pending is counted, and what
//! is new goes to a file of requests, once a first request like it was answered. No lane and no gate takes part, except for what is asked by itself.

use std::time::Duration;

use super::dispatcher::Dispatcher;
use super::stop::StopReason;
use crate::batch::{BatchError, PRICE, Reply, Undone};
use crate::endpoint::Failure;
use crate::endpoint::pacing::observed::ObservedLimits;
use crate::endpoint::wire::answer::{Answer, Usage};
use crate::feedback::ErrorCode;
use crate::judge::{Judgment, Work};
use crate::run::attempts::ask::read_answer;
use crate::run::attempts::attempt::Attempt;
use crate::run::lanes::job::Job;
use crate::run::lanes::member::Asks;
use crate::run::lanes::retry::Next;
use crate::run::outcome::event::Event;
use crate::run::planning::item::{History, Rider};
use crate::run::setup::batching::OnExpired;
use crate::run::setup::questions::QuestionIndex;

impl Dispatcher<'_> {
    /// Deals with a judgment of a model that is to be asked.
    pub(in crate::run) fn in_batches(
        &mut self,
        question: QuestionIndex,
        judgment: Judgment,
        history: History,
        riders: Vec<Rider>,
    ) {
        let Some(of) = &mut self.parts.batching else { return };
        match of.take(&judgment, &riders) {
            // Another answer would be no better.
            Ok(None) if of.batching.made_up.contains(&judgment.id) => of.repeated += 1,
            Ok(None) => self.new_request(question, judgment, history, riders),
            Ok(Some((Reply::Pending, _))) => self.pending(question, &riders),
            Ok(Some((reply, batch))) => {
                let may_be_made_up = self.parts.questions[question].of_simulator().is_some();
                if may_be_made_up && matches!(&reply, Reply::Answered(answer) if answer.is_simulated) {
                    of.batching.made_up.insert(judgment.id);
                }
                let place = self.parts.questions.lane(question);
                let job = Job::new(question, judgment, history, self.lane(place).ladder.profile().clone());
                let job = Job { riders, attempts: 1, batch: Some(batch), ..job };
                self.is_on_disk = true;
                match reply {
                    Reply::Answered(answer) => self.answered(job, Ok(*answer)),
                    Reply::Failed(failure) => self.answered(job, Err(failure)),
                    Reply::Undone(undone) => self.undone(job, undone),
                    Reply::Pending => {}
                }
                self.is_on_disk = false;
            }
            Err(error) => self.stop_all(StopReason::Batch(error)),
        }
    }

    fn pending(&mut self, question: QuestionIndex, riders: &[Rider]) {
        self.emit(&Event::Batched { question });
        riders.iter().for_each(|rider| self.emit(&Event::Batched { question: rider.question }));
    }

    fn on_expired(&self) -> OnExpired {
        self.parts.batching.as_ref().map_or(OnExpired::Fail, |of| of.batching.on_expired)
    }

    /// A result that is here: the same code reads it that reads all answers.
    fn answered(&mut self, mut job: Job, result: Result<Answer, Box<Failure>>) {
        let attempt = match result {
            Ok(answer) => read_answer(answer, &job, &self.parts.questions, ObservedLimits::default()),
            Err(failure) => Attempt { result: Err(failure), answer: None, limits: ObservedLimits::default() },
        };
        let place = self.parts.questions.lane(job.question);
        let usage = attempt.usage();
        let prices = self.lane(place).prices;
        let cost = usage.and_then(|usage| Some(prices?.cost(&usage) * PRICE));
        self.spent.cost += cost.unwrap_or(0.0);
        self.spent.tokens += usage.map_or(0, |usage| usage.input_tokens + usage.output_tokens);
        self.emit(&Event::Returned {
            lane: place,
            question: job.question,
            subject: &job.judgment.subject,
            usage,
            cost,
            latency: Duration::ZERO,
            failure: attempt.result.as_ref().err().map(|failure| &**failure),
        });
        let may_retry = attempt.result.as_ref().is_err_and(|failure| failure.may_retry());
        job.last = Some((attempt, Duration::ZERO));
        match self.on_expired() {
            OnExpired::Live => match self.lane(place).returned_in_batch(job.into()) {
                Next::Retry { failure, delay } => self.emit(&Event::Retrying { failure: &failure, delay }),
                Next::Record(job) => self.finish(*job),
            },
            OnExpired::Batch if may_retry && self.has_spool() => self.spool_again(job),
            OnExpired::Batch | OnExpired::Fail | OnExpired::Leave => self.finish(job),
        }
    }

    /// A request that its batch did not ask. One that may have been asked is a failure of its own, and is not asked again by this run.
    fn undone(&mut self, mut job: Job, undone: Undone) {
        let failure = match (undone, self.on_expired()) {
            (Undone::Missing, _) => Failure::new(
                ErrorCode::BatchResultMissing,
                "the batch ended, and neither of its files has this request",
            ),
            (Undone::Expired | Undone::Cancelled, OnExpired::Live) => {
                let Job { question, judgment, history, riders, .. } = job;
                let place = self.parts.questions.lane(question);
                return self.lane(place).push(question, judgment, history, riders);
            }
            (Undone::Expired | Undone::Cancelled, OnExpired::Batch) if self.has_spool() => {
                return self.spool_again(job);
            }
            (Undone::Expired | Undone::Cancelled, OnExpired::Leave) => return,
            (Undone::Expired, _) => {
                Failure::new(ErrorCode::BatchExpired, "the batch expired before this request was done")
            }
            (Undone::Cancelled, _) => {
                Failure::new(ErrorCode::BatchCancelled, "the batch was cancelled before this request was done")
            }
        };
        job.last = Some((Attempt::local(failure), Duration::ZERO));
        self.finish(job);
    }

    fn has_spool(&self) -> bool {
        self.parts.batching.as_ref().is_some_and(|of| of.batching.spool.is_some())
    }

    fn spool_again(&mut self, job: Job) {
        let Job { question, judgment, history, riders, .. } = job;
        if let Some(of) = &mut self.parts.batching {
            // Its answer was none, so it may be submitted once more.
            of.batching.made_up.remove(&judgment.id);
        }
        self.new_request(question, judgment, history, riders);
    }

    /// A request that no batch has: the first of its question is asked by itself, the others wait for its answer.
    fn new_request(&mut self, question: QuestionIndex, judgment: Judgment, history: History, riders: Vec<Rider>) {
        let place = self.parts.questions.lane(question);
        let is_stopped = self.lane(place).stopped;
        let Some(of) = self.parts.batching.as_mut().filter(|of| !is_stopped && of.batching.spool.is_some()) else {
            return;
        };
        if !of.batching.proves || of.proven.contains(&question) {
            return self.spool(question, &judgment, &riders);
        }
        if of.proving.insert(question) {
            let lane = self.lane(place);
            lane.holds = true;
            lane.push(question, judgment, history, riders);
        } else {
            of.held.push((question, judgment, history, riders));
        }
    }

    /// Puts a request into a file, as the endpoint is known to take it.
    fn spool(&mut self, question: QuestionIndex, judgment: &Judgment, riders: &[Rider]) {
        let place = self.parts.questions.lane(question);
        let lane = &self.parts.lanes[place.place()];
        let (Work::Chat(request), Some(Asks::Endpoint(client))) =
            (&judgment.work, lane.members.first().map(|m| &m.asks))
        else {
            return;
        };
        let mut profile = std::borrow::Cow::Borrowed(&**lane.ladder.profile());
        if profile.stream {
            // What is in a file is not streamed.
            profile.to_mut().stream = false;
        }
        let max_output = judgment.work.max_output_tokens();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an estimate"
        )]
        let input = (judgment.work.estimated_input_tokens() as f64 * lane.input_ratio).ceil() as u64;
        let tokens = input + u64::from(max_output);
        let usage = Usage { input_tokens: input, output_tokens: max_output.into(), ..Usage::default() };
        let cost = lane.prices.map(|prices| prices.cost(&usage) * PRICE);
        let Some(of) = &mut self.parts.batching else { return };
        let (reserved, tokens_reserved) = &mut of.batching.reserved;
        let budget = &self.parts.budget;
        let exceeds = budget.cost.is_some_and(|limit| self.spent.cost + *reserved + cost.unwrap_or(0.0) > limit)
            || budget.tokens.is_some_and(|limit| self.spent.tokens + *tokens_reserved + tokens > limit);
        if exceeds {
            of.is_full = true;
            return;
        }
        let Some(spool) = &mut of.batching.spool else { return };
        let ids: Vec<_> = std::iter::once(judgment.id).chain(riders.iter().map(|rider| rider.id)).collect();
        let body = client.body(request, &profile, max_output).map_err(|error| BatchError::Unexpected {
            what: "write the request".to_owned(),
            reason: error.to_string(),
        });
        let source_id = &self.parts.lane_ids[place.place()];
        match body.and_then(|body| spool.add(source_id, &ids, &body, tokens, cost)) {
            Ok(()) => {
                *reserved += cost.unwrap_or(0.0);
                *tokens_reserved += tokens;
                self.pending(question, riders);
            }
            Err(error) => self.stop_all(StopReason::Batch(error)),
        }
    }

    /// Whether judgments wait for the first answer to their question.
    pub(in crate::run) fn holds_back(&self) -> bool {
        self.parts.batching.as_ref().is_some_and(|of| !of.held.is_empty())
    }

    /// Lets go what waited, where the first request of its question has its answer, or its failure.
    pub(in crate::run) fn release(&mut self) {
        let lanes = &mut self.parts.lanes;
        let Some(of) = self.parts.batching.as_mut().filter(|of| !of.proving.is_empty()) else { return };
        let questions = &self.parts.questions;
        let is_idle: Vec<bool> = lanes.iter().map(super::super::lanes::lane::Lane::is_idle).collect();
        of.proving.retain(|question| !is_idle[questions.lane(*question).place()]);
        for (lane, _) in lanes.iter_mut().zip(&is_idle).filter(|(_, is_idle)| **is_idle) {
            lane.holds = false;
        }
        let (released, held) = std::mem::take(&mut of.held)
            .into_iter()
            .partition(|(question, ..)| is_idle[questions.lane(*question).place()]);
        of.held = held;
        for (question, judgment, history, riders) in released {
            self.new_request(question, judgment, history, riders);
        }
    }
}
