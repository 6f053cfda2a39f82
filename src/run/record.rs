//! What came of a judgment, as the record that it leaves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::ask::Attempt;
use super::job::Job;
use super::reading::Scored;
use super::variation::Variation;
use crate::endpoint::Failure;
use crate::endpoint::wire::answer::Usage;
use crate::endpoint::wire::chat::{ResponseFormat, WireProfile};
use crate::feedback::{AssessmentId, Feedback, FeedbackError, SAMPLE_METADATA, Source};
use crate::judge::parse::ParseMethod;
use crate::judge::{Judgment, NotAskable, Question, SubjectIds};

/// What a record takes from the log that it goes to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct History {
    /// The opinion that this one replaces.
    pub overrides: Option<AssessmentId>,
    /// When the same judgment was first recorded, as an error.
    pub create_time_ms: Option<i64>,
}

/// A judgment whose last attempt has ended.
#[derive(Debug)]
pub(super) struct Outcome {
    pub judgment: Judgment,
    pub history: History,
    pub attempt: Attempt,
    pub attempts: u32,
    pub latency: Duration,
    /// How the request was put.
    pub profile: Arc<WireProfile>,
    /// Where it was asked, unless that is where its endpoint's name says.
    pub host: Option<Arc<str>>,
    /// How the last request differed from the judge's own.
    pub variation: Variation,
    /// Tokens of all attempts.
    pub used: Option<Usage>,
}

impl Outcome {
    /// Of a judgment of which an attempt came back.
    pub(super) fn of(job: Job, host: Option<Arc<str>>) -> Option<Self> {
        let Job { judgment, history, attempts, last, profile, variation, used, .. } = job;
        let (attempt, latency) = last?;
        Some(Self { judgment, history, attempt, attempts, latency, profile, host, variation, used })
    }
}

/// The record of a judgment that was asked, and what the judge wrote.
pub(super) fn of_attempt(question: &Question, run_id: &str, outcome: Outcome) -> (Feedback, Option<String>) {
    let Outcome { judgment, history, attempt, attempts, latency, profile, host, variation, used } = outcome;
    let Judgment { id, subject, work } = judgment;
    let Attempt { result, answer, limits: _ } = attempt;
    let answer = answer.unwrap_or_default();
    // What a simulator makes up in a model's place is not the model's, replaces nothing, and has an id of its own.
    let made_up = if answer.is_simulated { question.of_simulator() } else { None };
    let mut feedback = match &made_up {
        Some(question) => {
            let id = question.id(&subject.trace_id, subject.span_id.as_deref(), &work);
            base(question, run_id, id, subject, History::default())
        }
        None => base(question, run_id, id, subject, history),
    };
    let mut put = |key: &str, value: String| feedback.metadata.insert(key.to_owned(), value);
    if let Some(host) = host {
        put("host", host.to_string());
    }
    put("attempts", attempts.to_string());
    put("latency_ms", latency.as_millis().to_string());
    work.notes().metadata().for_each(|(key, value)| _ = put(key, value));
    if let Some(changes) = variation.names() {
        put("reask", changes);
    }
    if let Some(usage) = used {
        put("input_tokens", usage.input_tokens.to_string());
        put("output_tokens", usage.output_tokens.to_string());
        for (key, tokens) in [
            ("cached_tokens", usage.cached_tokens),
            ("cache_written_tokens", usage.cache_written_tokens),
            ("reasoning_tokens", usage.reasoning_tokens),
        ] {
            if tokens > 0 {
                put(key, tokens.to_string());
            }
        }
    }
    if let Some(model) = answer.model {
        put("model", model);
    }
    if profile.response_format != ResponseFormat::JsonSchema {
        put("response_format", profile.response_format.as_str().to_owned());
    }
    if !profile.dropped.is_empty() {
        put("dropped_parameters", profile.dropped.iter().map(String::as_str).collect::<Vec<_>>().join(","));
    }
    if let Some(request_id) = answer.request_id {
        put("request_id", request_id);
    }
    match result {
        Ok(Scored { verdict, method, truncated }) => {
            if method != ParseMethod::Strict {
                put("parse", method.to_string());
            }
            if truncated {
                put("truncated", "true".to_owned());
            }
            feedback.value = Some(verdict.value);
            feedback.rationale = verdict.rationale;
            feedback.overrides = history.overrides.filter(|_| made_up.is_none()).map(|id| id.to_string());
        }
        Err(failure) => {
            failure.metadata().for_each(|(key, value)| _ = put(key, value));
            feedback.error = Some(error(*failure));
        }
    }
    (feedback, Some(answer.content).filter(|text| !text.is_empty()))
}

/// The record of a trace, span or session that the judge cannot be asked about.
pub(super) fn of_input_error(question: &Question, run_id: &str, not_askable: NotAskable) -> Feedback {
    let NotAskable { id, subject, error } = not_askable;
    let error_code = error.code().into();
    Feedback {
        error: Some(FeedbackError { error_code, error_message: Some(error.to_string()), stack_trace: None }),
        ..base(question, run_id, id, subject, History::default())
    }
}

fn base(question: &Question, run_id: &str, id: AssessmentId, subject: SubjectIds, history: History) -> Feedback {
    let now = now_ms();
    let mut metadata = BTreeMap::from([
        ("judge_prompt".to_owned(), question.judge.prompt_uri()),
        ("run_id".to_owned(), run_id.to_owned()),
    ]);
    metadata.extend(subject.metadata().map(|(key, value)| (key.to_owned(), value.to_owned())));
    let sample = question.key().sample;
    if sample > 0 {
        metadata.insert(SAMPLE_METADATA.to_owned(), sample.to_string());
    }
    let SubjectIds { trace_id, span_id, session_id: _ } = subject;
    Feedback {
        assessment_id: Some(id.to_string()),
        name: question.judge.name.clone(),
        source: Source::llm_judge(question.source_id.clone()),
        create_time_ms: history.create_time_ms.unwrap_or(now),
        last_update_time_ms: now,
        trace_id: Some(trace_id),
        span_id,
        metadata,
        ..Feedback::default()
    }
}

fn error(failure: Failure) -> FeedbackError {
    FeedbackError {
        error_code: failure.code.into(),
        stack_trace: failure.stack_trace(),
        error_message: Some(failure.message),
    }
}

pub(super) fn now_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}
