//! The fold over a run's events that it ends with: scored, failed and kept side by side, never a mean without its number.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::budget::Exhausted;
use super::event::Event;
use super::passed_over::PassedOver;
use super::selection::LeftOutCounts;
use super::shard::Shard;
use crate::dataset::{DatasetError, Reject};
use crate::endpoint::wire::answer::Usage;
use crate::feedback::log::{Standing, WriteError};
use crate::feedback::{ErrorCode, RecordedErrorCode};
use crate::judge::Question;
use crate::judge::verdict::VerdictType;

/// How a run ended.
#[derive(Debug)]
pub struct RunReport {
    /// What was counted.
    pub summary: Summary,
    /// Why it ended before everything was asked, if it did.
    pub stop: Option<StopReason>,
}

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum StopReason {
    #[error("{source_id}: {code}: {message}")]
    Fatal { source_id: String, code: ErrorCode, message: String },
    #[error(
        "{source_id}: no answer any more: {failures} judgments in a row, for {minutes} minutes, the last one with {code}: {message}"
    )]
    NothingButFailures { source_id: String, failures: u64, minutes: u64, code: ErrorCode, message: String },
    #[error("{0}")]
    Budget(Exhausted),
    #[error("{0} (--strict)")]
    Strict(Box<Reject>),
    #[error("the dataset cannot be read any further: {0}")]
    Dataset(DatasetError),
    #[error("cannot write the rejected lines: {0}")]
    Rejects(std::io::Error),
    #[error("{0}")]
    Log(WriteError),
    #[error("an attempt died of a bug; please report it. The judgments in flight are left for the next run")]
    Bug,
    #[error("interrupted")]
    Interrupted,
}

/// What was counted.
#[derive(Debug)]
pub struct Summary {
    /// Traces that were read and taken.
    pub traces: u64,
    /// The part of the dataset that the run was about, if not all.
    pub shard: Option<Shard>,
    /// Traces that were read and that the run was not about.
    pub left_out: LeftOutCounts,
    /// Ids that were named and that no trace has.
    pub absent_trace_ids: Vec<String>,
    /// Lines that are no trace.
    pub rejects: u64,
    /// Traces that were there already.
    pub duplicates: u64,
    /// Failures that were to be asked again and whose traces are in the dataset; only of a run about failures.
    pub failures_found: u64,
    /// Whether the dataset was read to its end, or as far as the run's limit.
    pub read_to_end: bool,
    /// Requests sent, retries included.
    pub requests: u64,
    /// Of these, not the first about their judgment.
    pub retries: u64,
    /// One for each question, in the run's order.
    pub questions: Vec<QuestionSummary>,
    /// One for each endpoint and model.
    pub lanes: Vec<LaneSummary>,
    /// Judgments that are counted above, and that the log could not take.
    pub unsaved: u64,
    /// From the start to now.
    started: Instant,
    /// The whole run, once it has ended.
    pub elapsed: Duration,
}

/// What one judge on one model brought.
#[derive(Debug)]
pub struct QuestionSummary {
    /// The judge's name.
    pub judge: String,
    /// The model URI.
    pub source_id: String,
    /// Judgments to be asked in this run.
    pub planned: u64,
    /// Verdicts given in this run.
    pub scored: u64,
    /// Verdicts that there were already, in the log or another that is reused.
    pub kept_scored: u64,
    /// Of these, from other logs.
    pub reused: u64,
    /// Failures of this run.
    pub failed: BTreeMap<ErrorCode, u64>,
    /// Failures that the log already had and that were not asked again; `None` counts other tools' codes.
    pub kept_failed: BTreeMap<Option<ErrorCode>, u64>,
    /// Verdicts that somebody marked invalid, and that were not asked again.
    pub kept_invalid: u64,
    /// Of the planned ones: asked again because prompt, model, parameter or trace changed.
    pub changed: u64,
    /// Of a run about failures: not in the log, and not asked.
    pub missing: u64,
    /// Of a run about failures: kept, since prompt, parameter or trace are not those that failed.
    pub unmatched: u64,
    /// What there was nothing to judge of.
    pub passed_over: PassedOver,
    /// All verdicts, new and kept.
    pub distribution: Distribution,
    /// Tokens of all attempts that reported them.
    pub usage: Usage,
    /// What they cost, where prices are known.
    pub cost: Option<f64>,
}

/// What a run learnt of an endpoint and a model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LaneSummary {
    /// The model URI.
    pub source_id: String,
    /// What the endpoint did not take, and what was done instead.
    pub adapted: Vec<String>,
    /// The endpoint's own limit of requests, where it tells and the user did not.
    pub learnt_requests: Option<u64>,
    /// The same of tokens.
    pub learnt_tokens: Option<u64>,
}

/// The verdicts of one judge.
#[derive(Debug, Clone, PartialEq)]
pub enum Distribution {
    /// How many are true and false.
    Boolean {
        /// `true`.
        yes: u64,
        /// `false`.
        no: u64,
    },
    /// How many of each label, in the judge's order.
    Category(Vec<(String, u64)>),
    /// Numbers and integer scales.
    Number {
        /// How many.
        count: u64,
        /// Their sum; the mean is `sum / count`.
        sum: f64,
        /// The lowest.
        min: f64,
        /// The highest.
        max: f64,
    },
}

impl Distribution {
    fn of(verdict: &VerdictType) -> Self {
        match verdict {
            VerdictType::Boolean => Self::Boolean { yes: 0, no: 0 },
            VerdictType::Category { labels } => Self::Category(labels.iter().map(|label| (label.clone(), 0)).collect()),
            VerdictType::Integer { .. } | VerdictType::Number { .. } => {
                Self::Number { count: 0, sum: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY }
            }
        }
    }

    fn add(&mut self, standing: Standing) {
        match (self, standing) {
            (Self::Boolean { yes, no }, Standing::Number(n)) => *if n == 0.0 { no } else { yes } += 1,
            (Self::Category(labels), Standing::Label(hash)) => {
                for (label, count) in labels {
                    *count += u64::from(Standing::label_hash(label) == hash);
                }
            }
            (Self::Number { count, sum, min, max }, Standing::Number(n)) => {
                *count += 1;
                *sum += n;
                *min = min.min(n);
                *max = max.max(n);
            }
            _ => {}
        }
    }

    /// The mean of numbers, or the share of `true`; `None` of nothing, and of labels.
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    pub fn mean(&self) -> Option<f64> {
        match self {
            Self::Boolean { yes, no } => (yes + no > 0).then(|| *yes as f64 / (yes + no) as f64),
            Self::Number { count, sum, .. } => (*count > 0).then(|| sum / *count as f64),
            Self::Category(_) => None,
        }
    }
}

impl QuestionSummary {
    /// Counts what the log has and what is no verdict that holds; whether it is that.
    fn keep_without_verdict(&mut self, standing: Standing) -> bool {
        match standing {
            Standing::Failed { code, .. } => *self.kept_failed.entry(code).or_default() += 1,
            Standing::Invalid { .. } => self.kept_invalid += 1,
            Standing::Number(_) | Standing::Label(_) | Standing::Other => return false,
        }
        true
    }

    /// Verdicts that there are now.
    pub fn scored_in_all(&self) -> u64 {
        self.scored + self.kept_scored
    }

    /// Failures that stand now.
    pub fn failed_in_all(&self) -> u64 {
        self.failed.values().chain(self.kept_failed.values()).sum()
    }

    /// Judgments that were planned and have neither verdict nor failure, because the run stopped before.
    pub fn unjudged(&self) -> u64 {
        self.planned.saturating_sub(self.scored + self.failed.values().sum::<u64>())
    }
}

impl Summary {
    /// Nothing yet.
    pub fn new<'a>(questions: impl Iterator<Item = &'a Question>, shard: Option<Shard>) -> Self {
        let questions = questions.map(|question| QuestionSummary {
            judge: question.judge.name.clone(),
            source_id: question.source_id.clone(),
            planned: 0,
            scored: 0,
            kept_scored: 0,
            reused: 0,
            failed: BTreeMap::new(),
            kept_failed: BTreeMap::new(),
            kept_invalid: 0,
            changed: 0,
            missing: 0,
            unmatched: 0,
            passed_over: PassedOver::of(question.judge.select.unit()),
            distribution: Distribution::of(&question.judge.verdict),
            usage: Usage::default(),
            cost: None,
        });
        Self {
            traces: 0,
            shard,
            left_out: LeftOutCounts::default(),
            absent_trace_ids: Vec::new(),
            rejects: 0,
            duplicates: 0,
            failures_found: 0,
            read_to_end: false,
            requests: 0,
            retries: 0,
            questions: questions.collect(),
            lanes: Vec::new(),
            unsaved: 0,
            started: Instant::now(),
            elapsed: Duration::ZERO,
        }
    }

    /// Takes in what happened.
    pub fn add(&mut self, event: &Event<'_>) {
        match event {
            Event::TraceRead { .. } => self.traces += 1,
            Event::LeftOut { why, .. } => self.left_out.add(why),
            Event::AbsentTraceIds(ids) => self.absent_trace_ids = ids.to_vec(),
            Event::Rejected(_) => self.rejects += 1,
            Event::Duplicate => self.duplicates += 1,
            Event::DatasetRead => self.read_to_end = true,
            Event::Sent { again } => {
                self.requests += 1;
                self.retries += u64::from(*again);
            }
            Event::Kept { question, standing } => {
                let Some(question) = self.questions.get_mut(*question) else { return };
                if !question.keep_without_verdict(*standing) {
                    question.kept_scored += 1;
                    question.distribution.add(*standing);
                }
            }
            Event::Reused { question, standing } => {
                let Some(question) = self.questions.get_mut(*question) else { return };
                question.kept_scored += 1;
                question.reused += 1;
                question.distribution.add(*standing);
            }
            Event::Missing { question } => {
                let Some(question) = self.questions.get_mut(*question) else { return };
                question.missing += 1;
            }
            Event::Unmatched { question, standing } => {
                let Some(question) = self.questions.get_mut(*question) else { return };
                question.unmatched += 1;
                question.keep_without_verdict(*standing);
            }
            Event::PassedOver { question, what } => {
                let Some(question) = self.questions.get_mut(*question) else { return };
                question.passed_over.add(what);
            }
            Event::FailuresFound(n) => self.failures_found += n,
            Event::Planned { question, changed } => {
                let Some(question) = self.questions.get_mut(*question) else { return };
                question.planned += 1;
                question.changed += u64::from(*changed);
            }
            Event::Returned { question, usage: Some(usage), cost, .. } => {
                let Some(question) = self.questions.get_mut(*question) else { return };
                question.cost = cost.map(|cost| question.cost.unwrap_or(0.0) + cost).or(question.cost);
                question.usage.input_tokens += usage.input_tokens;
                question.usage.cached_tokens += usage.cached_tokens;
                question.usage.output_tokens += usage.output_tokens;
            }
            Event::Recorded { question, feedback } => {
                let Some(question) = self.questions.get_mut(*question) else { return };
                match &feedback.error {
                    None => {
                        question.scored += 1;
                        question.distribution.add(Standing::of(feedback));
                    }
                    Some(error) => {
                        if let RecordedErrorCode::Known(code) = error.error_code {
                            *question.failed.entry(code).or_default() += 1;
                        }
                    }
                }
            }
            Event::Returned { usage: None, .. }
            | Event::Noticed(_)
            | Event::Retrying { .. }
            | Event::Stopping(_)
            | Event::Tick => {}
        }
    }

    pub(super) fn finish(&mut self) {
        self.elapsed = self.started.elapsed();
    }

    /// Judgments that the run was about: planned, or found in the log.
    pub fn selected(&self) -> u64 {
        let kept = |q: &QuestionSummary| q.kept_scored + q.kept_failed.values().sum::<u64>() + q.kept_invalid;
        self.questions.iter().map(|q| q.planned + kept(q)).sum()
    }

    /// Verdicts that there are now.
    pub fn scored(&self) -> u64 {
        self.questions.iter().map(QuestionSummary::scored_in_all).sum()
    }

    /// Failures that stand now.
    pub fn failed(&self) -> u64 {
        self.questions.iter().map(QuestionSummary::failed_in_all).sum()
    }

    /// Whether there are failures and no verdict, and the endpoint left judgments without an answer: nothing but failures.
    pub fn was_never_answered(&self) -> bool {
        let codes = || self.questions.iter().flat_map(|question| question.failed.keys());
        self.scored() == 0 && codes().any(|code| code.traits().unanswered)
    }

    /// Judgments that were planned and not come to.
    pub fn unjudged(&self) -> u64 {
        self.questions.iter().map(QuestionSummary::unjudged).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feedback::{Feedback, FeedbackError};
    use crate::judge::Judge;

    fn scored(value: impl Into<serde_json::Value>) -> Feedback {
        Feedback { value: Some(value.into()), ..Feedback::default() }
    }

    fn summary(verdict: &str) -> Summary {
        let text = format!("[verdict]\n{verdict}\n[prompt]\nuser = \"{{{{ outputs }}}}\"");
        let question =
            Question::new(Judge::compile("j", &text, "j").unwrap(), &"m".parse().unwrap(), &serde_json::Map::new());
        Summary::new(std::iter::once(&question), None)
    }

    #[test]
    fn failures_never_enter_a_mean() {
        let mut summary = summary("type = \"number\"\nmin = 0\nmax = 1");
        let failed = Feedback {
            error: Some(FeedbackError {
                error_code: ErrorCode::Timeout.into(),
                error_message: None,
                stack_trace: None,
            }),
            ..Feedback::default()
        };
        for feedback in [&scored(0.25), &failed, &scored(0.75)] {
            summary.add(&Event::Planned { question: 0, changed: false });
            summary.add(&Event::Recorded { question: 0, feedback });
        }
        summary.add(&Event::Kept { question: 0, standing: Standing::Number(0.8) });
        summary.add(&Event::Kept { question: 0, standing: Standing::Failed { code: None, create_time_ms: 0 } });
        summary.add(&Event::Planned { question: 0, changed: true });
        let question = &summary.questions[0];
        assert!((question.distribution.mean().unwrap() - 0.6).abs() < 1e-12);
        assert_eq!((question.scored_in_all(), question.failed_in_all(), question.unjudged()), (3, 2, 1));
        assert_eq!((summary.selected(), summary.scored(), summary.failed()), (6, 3, 2));
    }

    #[test]
    fn shares_and_labels_are_counted() {
        let mut booleans = summary("type = \"boolean\"");
        booleans.add(&Event::Recorded { question: 0, feedback: &scored(true) });
        booleans.add(&Event::Kept { question: 0, standing: Standing::Number(0.0) });
        assert_eq!(booleans.questions[0].distribution, Distribution::Boolean { yes: 1, no: 1 });
        let mut labels = summary("type = \"category\"\nlabels = [\"a\", \"b\"]");
        labels.add(&Event::Recorded { question: 0, feedback: &scored("b") });
        labels.add(&Event::Kept { question: 0, standing: Standing::Label(Standing::label_hash("b")) });
        assert_eq!(labels.questions[0].distribution, Distribution::Category(vec![("a".into(), 0), ("b".into(), 2)]));
    }
}
