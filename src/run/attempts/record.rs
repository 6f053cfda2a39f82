//! The outcome of a judgment, as a record.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::attempt::Attempt;
use super::reading::{self, Scored};
use crate::endpoint::Failure;
use crate::endpoint::pacing::observed::ObservedLimits;
use crate::endpoint::wire::answer::{Answer, Usage};
use crate::endpoint::wire::chat::{ResponseFormat, WireProfile};
use crate::feedback::{ASKED_WITH_METADATA, AssessmentId, ErrorCode, Feedback, FeedbackError, SAMPLE_METADATA};
use crate::judge::parse::ParseMethod;
use crate::judge::verdict::Verdict;
use crate::judge::{Judgment, NotAskable, Question, SubjectIds, Work};
use crate::run::lanes::job::Job;
use crate::run::lanes::variation::Variation;
use crate::run::planning::item::{History, Rider};
use crate::run::setup::questions::Questions;

/// A judgment whose last attempt has ended.
#[derive(Debug)]
pub(in crate::run) struct Outcome {
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
    /// The provider's id of the batch that it was part of.
    pub batch: Option<Arc<str>>,
}

impl Outcome {
    /// For a judgment with a completed attempt.
    pub(in crate::run) fn of(job: Job, host: Option<Arc<str>>) -> Option<Self> {
        let Job { judgment, history, attempts, last, profile, variation, used, batch, .. } = job;
        let (attempt, latency) = last?;
        Some(Self { judgment, history, attempt, attempts, latency, profile, host, variation, used, batch })
    }
}

impl Outcome {
    /// For a criterion that is answered by another one's answer. The tokens and time of the answer are the other's.
    pub(in crate::run) fn of_rider(rider: &Rider, of: &Self, questions: &Questions) -> Self {
        let Self { judgment, attempt, attempts, latency, profile, host, variation, batch, .. } = of;
        let Judgment { subject, work, .. } = judgment;
        let result = match (&attempt.result, &attempt.answer) {
            (Err(failure), answer) if answer.is_none() || !reading::is_about_content(failure.code) => {
                Err(failure.clone())
            }
            (_, answer) => {
                let answer = answer.as_ref().map_or_else(|| Cow::Owned(Answer::default()), Cow::Borrowed);
                reading::read(work, &answer, &questions[rider.question].judge)
            }
        };
        let answer = attempt.answer.as_ref().map(|answer| Answer { content: String::new(), ..answer.clone() });
        Self {
            judgment: Judgment { id: rider.id, subject: subject.clone(), work: work.clone() },
            history: rider.history,
            attempt: Attempt { result, answer, limits: ObservedLimits::default() },
            attempts: *attempts,
            latency: *latency,
            profile: Arc::clone(profile),
            host: host.clone(),
            variation: variation.clone(),
            used: None,
            batch: batch.clone(),
        }
    }
}

/// What only one of several records with the same answer reports.
const OF_THE_ANSWER: [&str; 2] = ["attempts", "latency_ms"];

/// Leaves the tokens and time of the answer to the record with this id.
pub(in crate::run) fn ride(feedback: &mut Feedback, asked_with: Option<String>) {
    feedback.metadata.retain(|key, _| !OF_THE_ANSWER.contains(&key.as_str()));
    feedback.metadata.extend(asked_with.map(|id| (ASKED_WITH_METADATA.to_owned(), id)));
}

/// The record of a judgment that was asked, and the judge's answer.
pub(in crate::run) fn of_attempt(question: &Question, run_id: &str, outcome: Outcome) -> (Feedback, Option<String>) {
    let Outcome { judgment, history, attempt, attempts, latency, profile, host, variation, used, batch } = outcome;
    let Judgment { id, subject, work } = judgment;
    let Attempt { result, answer, limits: _ } = attempt;
    let answer = answer.unwrap_or_default();
    // What a simulator makes up in a model's place is not the model's, replaces nothing, and has its own id.
    let is_simulated = answer.is_simulated || result.as_ref().is_err_and(|failure| failure.is_simulated);
    let made_up = question.of_simulator().filter(|_| is_simulated);
    let pair = subject.pair.clone();
    let mut feedback = match made_up {
        Some(question) => {
            let id = question.id(&subject, &work);
            base(question, run_id, id, subject, History::default())
        }
        None => base(question, run_id, id, subject, history),
    };
    let mut put = |key: &str, value: String| _ = feedback.metadata.insert(key.to_owned(), value);
    if let Some(host) = host {
        put("host", host.to_string());
    }
    put("attempts", attempts.to_string());
    match batch {
        // The latency of an answer in a batch is unknown.
        Some(batch) => put("batch", batch.to_string()),
        None => put("latency_ms", latency.as_millis().to_string()),
    }
    work.notes().metadata().for_each(|(key, value)| put(key, value));
    if let Some(changes) = variation.names().filter(|_| matches!(work, Work::Chat(_))) {
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
    let is_chat = matches!(work, Work::Chat(_));
    if is_chat && profile.response_format != ResponseFormat::JsonSchema {
        put("response_format", profile.response_format.as_str().to_owned());
    }
    if is_chat && !profile.dropped.is_empty() {
        put("dropped_parameters", profile.dropped.iter().map(String::as_str).collect::<Vec<_>>().join(","));
    }
    if let Some(request_id) = answer.request_id {
        put("request_id", request_id);
    }
    match result {
        Ok(Scored { verdict, method, truncated, degenerate }) => {
            if method != ParseMethod::Strict {
                put("parse", method.to_string());
            }
            if truncated {
                put("truncated", "true".to_owned());
            }
            if degenerate {
                put("rationale", "degenerate".to_owned());
            }
            let Verdict { value, rationale, details } = verdict;
            details.into_iter().for_each(|(key, value)| put(key, value));
            if value.is_null() {
                let error_message = "the judge says that the material does not allow a verdict".to_owned();
                let error_code = ErrorCode::Abstained.into();
                feedback.error =
                    Some(FeedbackError { error_code, error_message: Some(error_message), stack_trace: None });
            } else {
                feedback.value = Some(match pair {
                    Some(pair) => pair.named(value),
                    None => value,
                });
            }
            feedback.rationale = rationale;
            feedback.overrides = history.overrides.filter(|_| made_up.is_none()).map(|id| id.to_string());
        }
        Err(failure) => {
            failure.metadata().for_each(|(key, value)| put(key, value));
            feedback.error = Some(error(*failure));
        }
    }
    (feedback, Some(answer.content).filter(|text| !text.is_empty()))
}

/// Keeps what the judge was asked, so that a verdict can be checked: the two messages, as JSON. (A hint of a re-ask is not part of them.)
pub(in crate::run) fn keep_request(feedback: &mut Feedback, work: &Work) {
    let (system, user) = work.texts();
    let request = serde_json::json!({"system": shortened(system), "user": shortened(user)});
    feedback.metadata.insert("request".to_owned(), request.to_string());
}

/// The record of a judgment whose verdict follows from the trace.
pub(in crate::run) fn of_computed(
    question: &Question,
    run_id: &str,
    id: AssessmentId,
    subject: SubjectIds,
    history: History,
    verdict: Verdict,
) -> Feedback {
    let Verdict { value, rationale, details: _ } = verdict;
    Feedback {
        value: Some(value),
        rationale,
        overrides: history.overrides.map(|id| id.to_string()),
        ..base(question, run_id, id, subject, history)
    }
}

/// A longer text keeps this many characters of either end.
const KEPT_END: usize = 10_000;

/// Keeps what the judge wrote, so that a reading can be checked.
pub(in crate::run) fn keep_answer(feedback: &mut Feedback, answer: &str) {
    feedback.metadata.insert("answer".to_owned(), shortened(answer));
}

fn shortened(text: &str) -> String {
    let length = text.chars().count();
    match length.checked_sub(2 * KEPT_END).filter(|omitted| *omitted > 0) {
        None => text.to_owned(),
        Some(omitted) => {
            let (head, tail): (String, String) =
                (text.chars().take(KEPT_END).collect(), text.chars().skip(length - KEPT_END).collect());
            format!("{head}\n[... {omitted} characters omitted ...]\n{tail}")
        }
    }
}

/// The record of a trace, span, session or pair that the judge cannot be asked about.
pub(in crate::run) fn of_input_error(question: &Question, run_id: &str, not_askable: NotAskable) -> Feedback {
    let NotAskable { id, subject, error } = not_askable;
    let error_code = error.code().into();
    Feedback {
        error: Some(FeedbackError { error_code, error_message: Some(error.to_string()), stack_trace: None }),
        ..base(question, run_id, id, subject, History::default())
    }
}

fn base(question: &Question, run_id: &str, id: AssessmentId, subject: SubjectIds, history: History) -> Feedback {
    let now = now_ms();
    let mut metadata = BTreeMap::from([("run_id".to_owned(), run_id.to_owned())]);
    metadata.extend(question.judge.metadata().iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    metadata.extend(subject.metadata().map(|(key, value)| (key.to_owned(), value.into_owned())));
    let sample = question.key().sample;
    if sample > 0 {
        metadata.insert(SAMPLE_METADATA.to_owned(), sample.to_string());
    }
    let SubjectIds { trace_id, span_id, .. } = subject;
    Feedback {
        assessment_id: Some(id.to_string()),
        name: question.judge.name.clone(),
        source: question.source(),
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

pub(in crate::run) fn now_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feedback::{GOOD_METADATA, IdHasher, SCALE_METADATA, SESSION_ID_METADATA, SESSION_METADATA, Source};
    use crate::judge::Judge;
    use crate::run::lanes::lane::tests::job;

    fn question(sample: u32) -> Question {
        let text = "version = 3\n[verdict]\ntype = \"boolean\"\n[prompt]\nuser = \"{{ outputs }}\"";
        let judge = Judge::compile("j", text, "j").unwrap();
        Question::new(judge, &"e:/m".parse().unwrap(), &serde_json::Map::new()).with_sample(sample)
    }

    fn verdict() -> Result<Scored, Box<Failure>> {
        let verdict = Verdict { value: true.into(), rationale: Some("so".into()), details: Vec::new() };
        Ok(Scored { verdict, method: ParseMethod::Strict, truncated: false, degenerate: false })
    }

    fn outcome(result: Result<Scored, Box<Failure>>, answer: Option<Answer>) -> Outcome {
        let mut job = job();
        job.attempts = 2;
        job.used = answer.as_ref().and_then(|answer| answer.usage);
        let attempt = Attempt { result, answer, limits: ObservedLimits::default() };
        job.last = Some((attempt, Duration::from_millis(1234)));
        Outcome::of(job, None).unwrap()
    }

    fn record(outcome: Outcome) -> Feedback {
        of_attempt(&question(0), "run-1", outcome).0
    }

    #[test]
    fn a_plain_verdict_says_what_it_took_and_nothing_else() {
        let usage = Usage { input_tokens: 100, output_tokens: 20, ..Usage::default() };
        let answer =
            Answer { content: "{}".into(), usage: Some(usage), model: Some("m-1".into()), ..Answer::default() };
        let mut outcome = outcome(verdict(), Some(answer));
        Arc::make_mut(&mut outcome.profile).response_format = ResponseFormat::JsonSchema;
        let id = outcome.judgment.id;
        let (feedback, text) = of_attempt(&question(0), "run-1", outcome);
        assert_eq!(
            (feedback.value, feedback.rationale.as_deref(), &feedback.error),
            (Some(true.into()), Some("so"), &None)
        );
        assert_eq!((feedback.assessment_id, feedback.trace_id.as_deref()), (Some(id.to_string()), Some("t")));
        assert_eq!((feedback.name.as_str(), feedback.source), ("j", Source::llm_judge("e:/m")));
        let metadata: Vec<_> = feedback.metadata.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let expected = [
            ("attempts", "2"),
            ("input_tokens", "100"),
            ("judge_digest", "de7a50e9431a4ae6"),
            ("judge_prompt", "prompts:/j/3"),
            ("latency_ms", "1234"),
            ("model", "m-1"),
            ("output_tokens", "20"),
            ("run_id", "run-1"),
        ];
        assert_eq!(metadata, expected);
        assert_eq!(text.as_deref(), Some("{}"), "what the judge wrote");
        assert!(feedback.create_time_ms == feedback.last_update_time_ms && feedback.create_time_ms > 1_600_000_000_000);
    }

    #[test]
    fn an_answer_is_kept_whole_or_by_its_ends() {
        let kept = |answer: &str| {
            let mut feedback = Feedback::default();
            keep_answer(&mut feedback, answer);
            feedback.metadata.remove("answer").unwrap()
        };
        assert_eq!(kept("Score: 4"), "Score: 4");
        let long = format!("begin {} end", "é".repeat(30_000));
        let short = kept(&long);
        assert!(short.starts_with("begin é") && short.ends_with("é end") && short.chars().count() < 20_100);
        assert!(short.contains("\n[... 10010 characters omitted ...]\n"), "{}", &short[short.len() / 2..]);
    }

    #[test]
    fn what_was_unusual_about_an_answer_is_in_the_metadata() {
        let scored = Scored { method: ParseMethod::Pattern, truncated: true, degenerate: true, ..verdict().unwrap() };
        let usage = Usage { cached_tokens: 7, ..Usage::default() };
        let answer = Answer { usage: Some(usage), request_id: Some("req-1".into()), ..Answer::default() };
        let mut outcome = outcome(Ok(scored), Some(answer));
        outcome.host = Some("gpu-box".into());
        let profile = Arc::make_mut(&mut outcome.profile);
        profile.response_format = ResponseFormat::Text;
        profile.dropped.extend(["top_p".to_owned(), "seed".to_owned()]);
        let metadata = record(outcome).metadata;
        for (key, value) in [
            ("parse", "pattern"),
            ("truncated", "true"),
            ("rationale", "degenerate"),
            ("cached_tokens", "7"),
            ("request_id", "req-1"),
            ("host", "gpu-box"),
            ("response_format", "text"),
            ("dropped_parameters", "seed,top_p"),
        ] {
            assert_eq!(metadata.get(key).map(String::as_str), Some(value), "{key}");
        }
    }

    #[test]
    fn a_failure_has_its_code_words_and_causes_and_no_value() {
        let failure = Failure {
            http_status: Some(503),
            causes: vec!["a".into(), "b".into()],
            ..Failure::new(ErrorCode::Overloaded, "No capacity.")
        };
        let (feedback, text) = of_attempt(&question(0), "run-1", outcome(Err(failure.into()), None));
        let error = FeedbackError {
            error_code: ErrorCode::Overloaded.into(),
            error_message: Some("No capacity.".into()),
            stack_trace: Some("a\nb".into()),
        };
        assert_eq!((feedback.error, feedback.value, text), (Some(error), None, None));
        assert_eq!(feedback.metadata["http_status"], "503");
        assert!(!feedback.metadata.contains_key("input_tokens"));
    }

    #[test]
    fn the_logs_history_and_the_subject_go_into_the_record() {
        let old = IdHasher::new("old").finish();
        let history = History { overrides: Some(old), create_time_ms: Some(5) };
        let with = |result| {
            let mut outcome = outcome(result, None);
            outcome.history = history;
            outcome.judgment.subject.span_id = Some("s".into());
            outcome.judgment.subject.session_id = Some("c".into());
            outcome.judgment.subject.is_session = true;
            of_attempt(&question(3), "run-1", outcome).0
        };
        let feedback = with(verdict());
        assert_eq!((feedback.overrides, feedback.create_time_ms), (Some(old.to_string()), 5));
        assert!(feedback.last_update_time_ms > 5);
        assert_eq!((feedback.span_id.as_deref(), feedback.metadata[SESSION_METADATA].as_str()), (Some("s"), "c"));
        assert_eq!(feedback.metadata[SAMPLE_METADATA], "3");
        let failure = with(Err(Failure::new(ErrorCode::Refused, "no").into()));
        assert_eq!(failure.overrides, None, "a failure replaces no opinion");
    }

    #[test]
    fn a_record_says_what_is_good_and_which_session_it_belongs_to() {
        let text = "[verdict]\ntype = \"integer\"\nmin = 1\nmax = 5\nbetter = \"higher\"\nthreshold = 4\n[prompt]\nuser = \"{{ outputs }}\"";
        let judge = Judge::compile("j", text, "j").unwrap();
        let question = Question::new(judge, &"e:/m".parse().unwrap(), &serde_json::Map::new());
        let mut outcome = outcome(verdict(), None);
        outcome.judgment.subject.session_id = Some("c".into());
        let metadata = of_attempt(&question, "run-1", outcome).0.metadata;
        let values = [GOOD_METADATA, SCALE_METADATA, SESSION_ID_METADATA].map(|key| metadata[key].as_str());
        assert_eq!(values, [">= 4", "1..5", "c"]);
        assert!(!metadata.contains_key(SESSION_METADATA), "it is not about the session");
    }

    #[test]
    fn what_a_simulator_made_up_goes_by_its_own_name() {
        let answer = || Some(Answer { is_simulated: true, ..Answer::default() });
        let mut made_up = outcome(verdict(), answer());
        made_up.history = History { overrides: Some(made_up.judgment.id), create_time_ms: Some(5) };
        let id = made_up.judgment.id;
        let feedback = record(made_up);
        assert_eq!(feedback.source, Source::llm_judge("simulated:/m"));
        assert_ne!(feedback.assessment_id, Some(id.to_string()));
        assert!(feedback.overrides.is_none() && feedback.create_time_ms > 5);
    }
}
