//! The fold over a run's events for the report at its end: scored, failed and kept side by side, never a mean without its count.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::counts::Counts;
use super::distribution::Distribution;
use super::event::Event;
use crate::endpoint::ModelUri;
use crate::endpoint::wire::answer::Usage;
use crate::feedback::log::{Restored, Standing};
use crate::feedback::{ErrorCode, Feedback, NOT_WEIGHED_METADATA, Room};
use crate::judge::parse::ParseMethod;
use crate::judge::{JudgeKind, Question, QuestionKey, Unit};
use crate::run::dispatch::stop::GivenUp;
use crate::run::panel::PanelSummary;
use crate::run::rankings::RankingSummary;
use crate::run::rubrics::RubricSummary;
use crate::run::setup::selection::NotSelectedCounts;
use crate::run::setup::settings::LaneSettings;
use crate::run::setup::shard::Shard;
use crate::run::until::UntilSummary;

/// What was counted.
#[derive(Debug)]
pub struct Summary {
    /// Traces that were read and selected.
    pub traces: u64,
    /// The part of the dataset that the run covered, if not all.
    pub shard: Option<Shard>,
    /// Traces that were read and not selected.
    pub not_selected: NotSelectedCounts,
    /// Named ids that are not in the dataset.
    pub absent_trace_ids: Vec<String>,
    /// Lines that are not a trace.
    pub rejects: u64,
    /// Traces that were read before.
    pub duplicates: u64,
    /// Failures to retry whose traces are in the dataset; only for a run that retries failures.
    pub failures_found: u64,
    /// Whether the dataset was read to its end, or as far as the run's limit.
    pub read_to_end: bool,
    /// Requests sent, retries included.
    pub requests: u64,
    /// Of these, retries.
    pub retries: u64,
    /// Verdicts of a simulator, whichever model was asked.
    pub made_up: u64,
    /// Answers that reached the output limit before they had a verdict.
    pub endless: Endless,
    /// The message of the first failure with each code.
    pub first_messages: BTreeMap<ErrorCode, String>,
    /// One for each question, in the run's order.
    pub questions: Vec<QuestionSummary>,
    /// One for each panel.
    pub panels: Vec<PanelSummary>,
    /// What verdicts on documents say of their rankings, one for each judge and source.
    pub rankings: Vec<RankingSummary>,
    /// What the verdicts on the criteria of rubrics come to.
    pub rubrics: Vec<RubricSummary>,
    /// One for each endpoint and model.
    pub lanes: Vec<LaneSummary>,
    /// What was decided about the conditions that end the run.
    pub until: Vec<UntilSummary>,
    /// Judgments that are counted above but could not be saved.
    pub unsaved: u64,
    /// What happened to the log while the run wrote to it.
    pub log: Restored,
    started: Instant,
    /// The whole run, once it has ended.
    pub elapsed: Duration,
}

/// Answers that did not end within the limit, and their tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Endless {
    /// How many.
    pub answers: u64,
    /// Tokens of these answers.
    pub output_tokens: u64,
}

/// What a question is called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QuestionInfo {
    /// The judge's name.
    pub judge: String,
    /// The model URI.
    pub source_id: String,
    /// Which of several independent answers.
    pub sample: u32,
    /// What the judge judges.
    pub unit: Unit,
    /// Who gives the verdict.
    pub kind: JudgeKind,
}

impl QuestionInfo {
    /// Of this question.
    pub fn of(question: &Question) -> Self {
        let QuestionKey { judge, source_id, sample } = question.key();
        let (unit, kind) = (question.judge.select.unit(), question.judge.kind());
        Self { judge: judge.to_owned(), source_id: source_id.to_owned(), sample, unit, kind }
    }

    /// What distinguishes it.
    pub fn key(&self) -> QuestionKey<'_> {
        QuestionKey { judge: &self.judge, source_id: &self.source_id, sample: self.sample }
    }
}

/// What one question brought.
#[derive(Debug)]
pub struct QuestionSummary {
    /// Which question.
    pub info: QuestionInfo,
    /// How many judgments had which outcome.
    pub counts: Counts,
    /// All verdicts, new and kept.
    pub distribution: Distribution,
    /// Of the new ones, those that were read from prose.
    pub from_prose: u64,
    /// New verdicts that should have been weighed by the probabilities of their labels, but could not be.
    pub not_weighed: u64,
    /// Tokens of all attempts that reported them.
    pub usage: Usage,
    /// What they cost, where prices are known.
    pub cost: Option<f64>,
}

/// What a run learnt about an endpoint and a model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LaneSummary {
    /// The model URI.
    pub source_id: String,
    /// What the endpoint did not accept, and what was done instead.
    pub adapted: Vec<String>,
    /// The endpoint's own limit of requests, where it reports one and the user set none.
    pub learnt_requests: Option<u64>,
    /// The same of tokens.
    pub learnt_tokens: Option<u64>,
    /// Members of its pool that were given up, and why.
    pub members_given_up: Vec<(String, GivenUp)>,
    /// Why it was given up before the run ended, if it was.
    pub stopped: Option<GivenUp>,
    /// Where the endpoint cuts prompts, if it does.
    pub prompt_limit: Option<PromptLimit>,
}

/// An endpoint reads no more of a prompt than this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PromptLimit {
    /// What it reads.
    pub tokens: u64,
    /// Verdicts on cut prompts that were given before this was known.
    pub unnoticed: u64,
}

impl Summary {
    /// For these questions and lanes, with nothing counted yet.
    pub fn new<'a>(
        questions: impl Iterator<Item = &'a Question>,
        lanes: &[LaneSettings],
        shard: Option<Shard>,
    ) -> Self {
        let questions = questions.map(|question| QuestionSummary {
            info: QuestionInfo::of(question),
            counts: Counts::default(),
            distribution: Distribution::of(question.judge.recorded()),
            from_prose: 0,
            not_weighed: 0,
            usage: Usage::default(),
            cost: None,
        });
        let lane = |lane: &LaneSettings| LaneSummary { source_id: lane.source_id(), ..LaneSummary::default() };
        Self {
            traces: 0,
            shard,
            not_selected: NotSelectedCounts::default(),
            absent_trace_ids: Vec::new(),
            rejects: 0,
            duplicates: 0,
            failures_found: 0,
            read_to_end: false,
            requests: 0,
            retries: 0,
            made_up: 0,
            endless: Endless::default(),
            first_messages: BTreeMap::new(),
            questions: questions.collect(),
            panels: Vec::new(),
            rankings: Vec::new(),
            rubrics: Vec::new(),
            lanes: lanes.iter().map(lane).collect(),
            until: Vec::new(),
            unsaved: 0,
            log: Restored::default(),
            started: Instant::now(),
            elapsed: Duration::ZERO,
        }
    }

    /// Takes in what happened.
    pub fn add(&mut self, event: &Event<'_>) {
        match event {
            Event::TraceRead { .. } => self.traces += 1,
            Event::NotSelected { why, .. } => self.not_selected.add(why),
            Event::AbsentTraceIds(ids) => self.absent_trace_ids = ids.to_vec(),
            Event::Rejected(_) => self.rejects += 1,
            Event::Duplicate => self.duplicates += 1,
            Event::DatasetRead => self.read_to_end = true,
            Event::FailuresFound(n) => self.failures_found += n,
            Event::Sent { attempt, .. } => {
                self.requests += 1;
                self.retries += u64::from(*attempt > 1);
            }
            Event::Settled { question, settled } => {
                let Some(question) = self.questions.get_mut(question.place()) else { return };
                if let Some(verdict) = question.counts.settle(settled) {
                    question.distribution.add(verdict);
                }
            }
            Event::Planned { question, changed } => {
                let Some(question) = self.questions.get_mut(question.place()) else { return };
                question.counts.plan(*changed);
            }
            Event::Batched { question } => {
                let Some(question) = self.questions.get_mut(question.place()) else { return };
                question.counts.batched += 1;
            }
            Event::Returned { question, usage: Some(usage), cost, failure, .. } => {
                if failure.is_some_and(|failure| failure.code.traits().room == Room::More) {
                    self.endless.answers += 1;
                    self.endless.output_tokens += usage.output_tokens;
                }
                let Some(question) = self.questions.get_mut(question.place()) else { return };
                question.usage += *usage;
                question.cost = cost.map(|cost| question.cost.unwrap_or(0.0) + cost).or(question.cost);
            }
            Event::Recorded { question, feedback, method, .. } => {
                self.first_message(feedback);
                let is_made_up = feedback.source.source_id.as_deref().is_some_and(ModelUri::is_simulated_source);
                self.made_up += u64::from(is_made_up && !feedback.is_error());
                let Some(question) = self.questions.get_mut(question.place()) else { return };
                question.record(feedback, *method);
            }
            Event::MemberGivenUp { lane, member, reason } => {
                let Some(lane) = self.lanes.get_mut(lane.place()) else { return };
                lane.members_given_up.push(((*member).to_owned(), (*reason).clone()));
            }
            Event::LaneStopped { lane, reason } => {
                let Some(lane) = self.lanes.get_mut(lane.place()) else { return };
                lane.stopped = Some((*reason).clone());
            }
            Event::Returned { usage: None, .. }
            | Event::Noticed(_)
            | Event::Retrying { .. }
            | Event::Stopping { .. }
            | Event::Abandoned { .. }
            | Event::LimitsReported { .. }
            | Event::QuotaServer { .. }
            | Event::Tick => {}
        }
    }

    /// Counts what an earlier pass of the same command over the dataset did, as done by this one.
    pub fn add_earlier(&mut self, earlier: &Self) {
        self.started = earlier.started;
        self.finish();
        self.requests += earlier.requests;
        self.retries += earlier.retries;
        self.made_up += earlier.made_up;
        self.unsaved += earlier.unsaved;
        self.endless.answers += earlier.endless.answers;
        self.endless.output_tokens += earlier.endless.output_tokens;
        for (code, message) in &earlier.first_messages {
            self.first_messages.entry(*code).or_insert_with(|| message.clone());
        }
        for (question, earlier) in self.questions.iter_mut().zip(&earlier.questions) {
            question.counts.add_earlier(&earlier.counts);
            question.from_prose += earlier.from_prose;
            question.not_weighed += earlier.not_weighed;
            question.usage += earlier.usage;
            question.cost = earlier.cost.map(|cost| question.cost.unwrap_or(0.0) + cost).or(question.cost);
        }
        for (lane, earlier) in self.lanes.iter_mut().zip(&earlier.lanes) {
            for adapted in &earlier.adapted {
                if !lane.adapted.contains(adapted) {
                    lane.adapted.push(adapted.clone());
                }
            }
        }
    }

    fn first_message(&mut self, feedback: &Feedback) {
        if let Some(code) = feedback.error_code()
            && !self.first_messages.contains_key(&code)
            && feedback.is_error()
            && let Some(message) = feedback.error.as_ref().and_then(|error| error.error_message.clone())
        {
            self.first_messages.insert(code, message);
        }
    }

    pub(in crate::run) fn finish(&mut self) {
        self.elapsed = self.started.elapsed();
    }

    fn sum(&self, of: fn(&Counts) -> u64) -> u64 {
        self.questions.iter().map(|question| of(&question.counts)).sum()
    }

    /// Judgments that the run covered: planned, or found in the log.
    pub fn selected(&self) -> u64 {
        self.sum(Counts::selected)
    }

    /// All verdicts, earlier ones and this run's.
    pub fn scored(&self) -> u64 {
        self.sum(Counts::all_scored)
    }

    /// All failures, earlier ones and this run's.
    pub fn failed(&self) -> u64 {
        self.sum(Counts::all_failed)
    }

    /// Of these, failures that a replay cannot retry.
    pub fn unmatched(&self) -> u64 {
        self.sum(|counts| counts.unmatched)
    }

    /// Aggregates of votes that are not a verdict.
    pub fn without_consensus(&self) -> u64 {
        self.panels.iter().map(|panel| panel.failed).sum()
    }

    /// Judgments that were planned but not reached.
    pub fn unjudged(&self) -> u64 {
        self.sum(Counts::unjudged)
    }

    /// Judgments in batches that have not ended.
    pub fn batched(&self) -> u64 {
        self.sum(|counts| counts.batched)
    }

    /// Tokens of all attempts that reported them.
    pub fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        self.questions.iter().for_each(|question| usage += question.usage);
        usage
    }
}

impl QuestionSummary {
    fn record(&mut self, feedback: &Feedback, method: Option<ParseMethod>) {
        self.counts.record(feedback);
        if !feedback.is_error() {
            self.distribution.add(Standing::of(feedback));
            self.from_prose += u64::from(method == Some(ParseMethod::Pattern));
            self.not_weighed += u64::from(feedback.metadata.contains_key(NOT_WEIGHED_METADATA));
        }
    }
}

#[cfg(test)]
mod tests;
