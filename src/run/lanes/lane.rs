//! One lane of the run: an endpoint and a model, and the judgments that wait for it. What follows from an attempt is in `retry`.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::followers::Followers;
use super::job::{Due, Job};
use super::member::{Asks, Member};
use crate::endpoint::client::ClientError;
use crate::endpoint::pacing::gate::{Admission, Pass};
use crate::endpoint::pacing::shared::QuotaNews;
use crate::endpoint::prices::Prices;
use crate::endpoint::provider;
use crate::endpoint::wire::chat::WireProfile;
use crate::endpoint::wire::ladder::Ladder;
use crate::judge::Judgment;
use crate::run::attempts::prompt_check::PromptCheck;
use crate::run::dispatch::stop::GivenUp;
use crate::run::outcome::summary::{LaneSummary, PromptLimit};
use crate::run::planning::item::{History, Rider};
use crate::run::setup::questions::QuestionIndex;
use crate::run::setup::settings::{EndpointLane, LaneSettings, Policy};

/// What a lane does next.
#[derive(Debug)]
pub(in crate::run) enum Step {
    /// Send this.
    Send(Box<Job>),
    /// This can never be sent: it may use more tokens than the endpoint allows in a minute.
    TooLarge { job: Box<Job>, needs: u64, allowed: u64 },
    /// Ask no more.
    Stop(GivenUp),
    /// Nothing before this time, if there is one; something in flight or something new may change that.
    Wait(Option<Instant>),
}

/// An endpoint and a model.
pub(in crate::run) struct Lane {
    pub(in crate::run) members: Vec<Member>,
    /// The maximum number of requests in flight, over all members.
    pub(in crate::run) concurrency: usize,
    fresh: VecDeque<Box<Job>>,
    followers: Followers,
    pub(in crate::run) retries: BinaryHeap<Reverse<Due>>,
    pub(in crate::run) sequence: u64,
    pub(in crate::run) policy: Policy,
    pub(in crate::run) stopped: bool,
    pub(in crate::run) ladder: Ladder,
    has_sent: bool,
    /// Until then the first request goes alone: most endpoints report immediately what is wrong with all of them.
    pub(in crate::run) head_start: Option<Instant>,
    /// Questions without an answer yet, which therefore go one by one, so that the others find their prompts cached.
    pub(in crate::run) to_warm_up: usize,
    /// The observed ratio of prompt tokens to their estimates.
    pub(in crate::run) input_ratio: f64,
    pub(in crate::run) prices: Option<Prices>,
    requests_today: Option<RequestsToday>,
    /// Takes nothing more before it is idle.
    pub(in crate::run) holds: bool,
    pub(in crate::run) prompts: PromptCheck,
}

/// The number of requests allowed per day, and sent so far.
#[derive(Debug, Clone, Copy)]
pub(in crate::run) struct RequestsToday {
    limit: u64,
    before: u64,
    sent: u64,
}

/// The lead of the first request over the others.
const HEAD_START: Duration = Duration::from_millis(10);

impl Lane {
    /// `questions` is the number of questions on the lane, and `proven` whether the log has a verdict from it.
    pub(in crate::run) fn new(
        settings: &LaneSettings,
        policy: &Policy,
        questions: usize,
        proven: bool,
    ) -> Result<Self, ClientError> {
        let lane = match settings {
            LaneSettings::Endpoint(lane) => lane,
            LaneSettings::Program(program) => {
                let member = Member::of_program(program, policy, proven);
                return Ok(Self::plain(vec![member], program.processes, policy));
            }
            // It holds nothing, and is never full.
            LaneSettings::Code => return Ok(Self::plain(Vec::new(), 1, policy)),
        };
        let &EndpointLane { ref pool, ref model, prices, requests_per_day, requests_today } = &**lane;
        let first = pool.first();
        let members = pool.iter().map(|member| Member::new(member, model, policy, proven));
        let members = members.collect::<Result<_, _>>()?;
        let concurrency = pool.iter().map(|member| member.concurrency).sum();
        Ok(Self {
            ladder: Ladder::new(
                provider::wire_profile(first.preset, &first.base_url, model),
                first.extra_body.keys().cloned(),
            ),
            prices,
            to_warm_up: if policy.warm_up { questions } else { 0 },
            requests_today: requests_per_day.map(|limit| RequestsToday { limit, before: requests_today, sent: 0 }),
            ..Self::plain(members, concurrency, policy)
        })
    }

    /// Joins the quotas that are shared with other processes. `wake` is notified when more may be sent. Returns whether there are any.
    pub(in crate::run) fn share_quotas(&mut self, lane: &EndpointLane, wake: &Arc<Notify>) -> bool {
        let members = self.members.iter_mut().zip(lane.pool.iter());
        members.for_each(|(member, endpoint)| member.share_quota(endpoint, &lane.model, wake));
        lane.pool.iter().any(|endpoint| endpoint.quota_server.is_some())
    }

    /// What changed about the servers of shared quotas.
    pub(in crate::run) fn quota_news(&self) -> Vec<QuotaNews> {
        self.members.iter().flat_map(|member| member.gate.quota().news()).collect()
    }

    /// One without an endpoint.
    fn plain(members: Vec<Member>, concurrency: usize, policy: &Policy) -> Self {
        Self {
            members,
            concurrency,
            ladder: Ladder::new(WireProfile::default(), []),
            has_sent: false,
            head_start: None,
            input_ratio: 1.0,
            prices: None,
            fresh: VecDeque::new(),
            followers: Followers::default(),
            retries: BinaryHeap::new(),
            sequence: 0,
            policy: *policy,
            to_warm_up: 0,
            stopped: false,
            requests_today: None,
            holds: false,
            prompts: PromptCheck::default(),
        }
    }

    /// Whether the lane should be given more judgments. It holds few: memory must not grow with the dataset.
    pub(in crate::run) fn wants_more(&self) -> bool {
        let has_room = if self.holds { self.is_idle() } else { self.has_room() };
        self.stopped || has_room
    }

    fn has_room(&self) -> bool {
        self.fresh.len() < self.concurrency && self.retries.len() < 2 * self.concurrency
    }

    /// Accepts a judgment, and those that share its answer.
    pub(in crate::run) fn push(
        &mut self,
        question: QuestionIndex,
        judgment: Judgment,
        history: History,
        riders: Vec<Rider>,
    ) {
        if !self.stopped {
            let job = Job::new(question, judgment, history, Arc::clone(self.ladder.profile()));
            self.fresh.extend(self.followers.leader(Box::new(Job { riders, ..job })));
        }
    }

    /// What the endpoint itself reports about its limits, on requests and on tokens.
    pub(in crate::run) fn learnt_limits(&self) -> (Option<u64>, Option<u64>) {
        let learnt: Vec<_> = self.members.iter().map(|member| member.gate.quota().learnt()).collect();
        if learnt.is_empty() {
            return (None, None);
        }
        (learnt.iter().map(|(requests, _)| *requests).sum(), learnt.iter().map(|(_, tokens)| *tokens).sum())
    }

    /// Adds what was learnt about the endpoint.
    pub(in crate::run) fn summarize(&self, summary: &mut LaneSummary) {
        summary.adapted = self.ladder.adapted().to_vec();
        (summary.learnt_requests, summary.learnt_tokens) = self.learnt_limits();
        summary.prompt_limit = self.prompts.limit().map(|(tokens, unnoticed)| PromptLimit { tokens, unnoticed });
    }

    fn has_waiting(&self) -> bool {
        !self.fresh.is_empty() || !self.retries.is_empty() || !self.followers.is_empty()
    }

    fn in_flight(&self) -> usize {
        self.members.iter().map(|member| member.gate.in_flight()).sum()
    }

    /// The endpoint or program of the member that a judgment was given to.
    pub(in crate::run) fn asks(&self, job: &Job) -> Asks {
        self.members[job.member].asks.clone()
    }

    /// Ends programs. Nothing is in flight any more.
    pub(in crate::run) async fn close(&self) {
        for member in &self.members {
            member.asks.close().await;
        }
    }

    /// Where a judgment was asked, unless that is where the endpoint's name says.
    pub(in crate::run) fn host(&self, job: &Job) -> Option<Arc<str>> {
        self.members.get(job.member)?.other_host.clone()
    }

    /// Neither waiting nor in flight.
    pub(in crate::run) fn is_idle(&self) -> bool {
        self.in_flight() == 0 && (self.stopped || !self.has_waiting())
    }

    /// Whether no member is left to be asked.
    pub(in crate::run) fn is_given_up(&self) -> bool {
        self.members.iter().all(|member| member.stopped)
    }

    /// Admits nothing more. What was never asked remains unjudged; what was asked and failed is returned.
    pub(in crate::run) fn stop(&mut self) -> Vec<Job> {
        self.stopped = true;
        self.fresh.clear();
        self.followers = Followers::default();
        std::mem::take(&mut self.retries).into_iter().map(|Reverse(due)| *due.job).collect()
    }

    /// Releases those that waited for this judgment, which is back. They go before others, because caches are short-lived.
    pub(super) fn release_followers(&mut self, leader: &Job) {
        for follower in self.followers.of(leader).into_iter().rev() {
            self.fresh.push_front(follower);
        }
    }

    /// The next judgment that may be sent now: retries that are due before new ones.
    pub(in crate::run) fn next(&mut self, now: Instant) -> Step {
        if !self.followers.is_empty() && self.fresh.is_empty() && self.retries.is_empty() && self.in_flight() == 0 {
            // What they wait for will not come back: it was not sent.
            self.fresh.extend(self.followers.take_all());
        }
        let one_by_one = self.ladder.is_learning() || self.to_warm_up > 0;
        if self.stopped || (one_by_one && self.in_flight() > 0) {
            return Step::Wait(None);
        }
        if let Some(RequestsToday { limit, before, sent }) = self.requests_today
            && before + sent >= limit
        {
            return if self.has_waiting() {
                Step::Stop(GivenUp::DailyLimit { limit, before })
            } else {
                Step::Wait(None)
            };
        }
        if let Some(until) = self.head_start.filter(|until| now < *until) {
            return Step::Wait(Some(until));
        }
        let next_retry = self.retries.peek().map(|Reverse(due)| due.at);
        // Piled-up retries mean trouble: new judgments would only join them, especially if nothing was ever answered.
        let is_proven = self.members.iter().any(|member| member.health.is_proven());
        let max_retries_waiting = if is_proven { 2 * self.concurrency } else { self.concurrency.max(2) };
        let may_start_fresh = self.retries.len() < max_retries_waiting;
        // What was just refused is a bad probe: the refusal may have been its own.
        let probes_with_fresh =
            may_start_fresh && !self.fresh.is_empty() && self.members.iter().all(|member| member.gate.is_probing());
        let retry_is_due = !probes_with_fresh && next_retry.is_some_and(|at| at <= now);
        let job = match (self.retries.peek(), self.fresh.front()) {
            (Some(Reverse(due)), _) if retry_is_due => &due.job,
            (_, Some(job)) if may_start_fresh => job,
            _ => return Step::Wait(next_retry),
        };
        let (cost, input) = (job.cost(self.input_ratio), job.input_estimate(self.input_ratio));
        let take = |lane: &mut Self| match retry_is_due {
            true => lane.retries.pop().map(|Reverse(due)| due.job),
            false => lane.fresh.pop_front(),
        };
        let allowed = self.members.iter().map(Member::largest_request).max().unwrap_or(0);
        if input > allowed {
            // The prompt alone can never pass.
            return take(self).map_or(Step::Wait(None), |job| Step::TooLarge { job, needs: input, allowed });
        }
        let (member, pass, cost) = match self.admit(now, cost, input) {
            Ok(admitted) => admitted,
            Err(at) => return Step::Wait(at),
        };
        let Some(mut job) = take(self) else { return Step::Wait(next_retry) };
        if !self.has_sent {
            self.has_sent = true;
            self.head_start = Some(now + HEAD_START);
        }
        if let Some(today) = &mut self.requests_today {
            today.sent += 1;
        }
        job.attempts += 1;
        job.batch = None;
        job.member = member;
        job.reserved = cost;
        job.pass = pass;
        job.sent_at = Some(now);
        job.profile = Arc::clone(self.ladder.profile());
        Step::Send(job)
    }

    /// The member that takes a request now, the idlest first; or the earliest time at which one may.
    fn admit(&mut self, now: Instant, cost: u64, input: u64) -> Result<(usize, Pass, u64), Option<Instant>> {
        let mut order: Vec<usize> = (0..self.members.len()).collect();
        if order.len() > 1 {
            order.sort_by_key(|i| self.members[*i].gate.in_flight());
        }
        let mut earliest: Option<Instant> = None;
        for i in order {
            match self.members[i].admit(now, cost, input) {
                (Admission::Granted(pass), cost) => return Ok((i, pass, cost)),
                (Admission::At(at), _) => earliest = Some(earliest.map_or(at, |earliest| earliest.min(at))),
                (Admission::Busy, _) => {}
            }
        }
        Err(earliest)
    }
}

#[cfg(test)]
pub(in crate::run) mod tests;
