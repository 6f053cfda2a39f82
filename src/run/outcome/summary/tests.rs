//! Tests of the summary, and of the exit code that follows from it.

use super::super::exit::{Exit, RunReport};
use super::*;
use crate::endpoint::Failure;
use crate::endpoint::config::EndpointConfig;
use crate::feedback::{FeedbackError, Source};
use crate::judge::{Judge, SubjectIds};
use crate::run::dispatch::stop::StopReason;
use crate::run::planning::item::Settled;
use crate::run::planning::skipped::SkipReason;
use crate::run::setup::batching::Batched;
use crate::run::setup::budget::Exhausted;
use crate::run::setup::questions::{LaneIndex, QuestionIndex};
use crate::run::setup::selection::NotSelected;
use crate::run::setup::settings::EndpointLane;

const FIRST: QuestionIndex = QuestionIndex::new(0);
const SECOND: QuestionIndex = QuestionIndex::new(1);
const UNKNOWN: QuestionIndex = QuestionIndex::new(2);
const LANE: LaneIndex = LaneIndex::new(0);

/// Of two questions on one lane.
fn summary() -> Summary {
    let question = |model: &str| {
        let text = "[verdict]\ntype = \"number\"\nmin = 0\nmax = 1\n[prompt]\nuser = \"{{ outputs }}\"";
        let judge = Judge::compile("j", text, "j").unwrap();
        Question::new(judge, &model.parse().unwrap(), &serde_json::Map::new())
    };
    let lane = EndpointLane {
        pool: EndpointConfig::new("e", "http://h/v1").into(),
        model: "m".into(),
        prices: None,
        requests_per_day: None,
        requests_today: 0,
    };
    Summary::new([question("e:/m"), question("e:/n").with_sample(2)].iter(), &[lane.into()], None)
}

fn scored(value: f64) -> Feedback {
    Feedback { value: Some(value.into()), source: Source::llm_judge("e:/m"), ..Feedback::default() }
}

fn failed(code: ErrorCode, message: &str) -> Feedback {
    let error = FeedbackError { error_code: code.into(), error_message: Some(message.into()), stack_trace: None };
    Feedback { error: Some(error), source: Source::llm_judge("e:/m"), ..Feedback::default() }
}

fn record(summary: &mut Summary, question: QuestionIndex, feedback: &Feedback, method: Option<ParseMethod>) {
    summary.add(&Event::Planned { question, changed: false });
    summary.add(&Event::Recorded { question, feedback, answer: None, method });
}

fn kept(summary: &mut Summary, standing: Standing) {
    summary.add(&Event::Settled { question: FIRST, settled: &Settled::Kept(standing) });
}

fn returned(usage: Option<Usage>, cost: Option<f64>, failure: Option<&Failure>) -> Event<'_> {
    const SUBJECT: &SubjectIds = &SubjectIds {
        trace_id: String::new(),
        span_id: None,
        document: None,
        session_id: None,
        is_session: false,
        pair: None,
    };
    Event::Returned { lane: LANE, question: FIRST, subject: SUBJECT, usage, cost, latency: Duration::ZERO, failure }
}

fn used(input_tokens: u64, cached_tokens: u64, output_tokens: u64) -> Usage {
    Usage { input_tokens, cached_tokens, output_tokens, ..Usage::default() }
}

const FAILED: Standing = Standing::Failed { code: Some(ErrorCode::Timeout), create_time_ms: 0 };

#[test]
fn questions_and_lanes_are_named() {
    let summary = summary();
    let keys: Vec<_> = summary.questions.iter().map(|question| question.info.key().to_string()).collect();
    assert_eq!(keys, ["j  on e:/m", "j  on e:/n, sample 2"]);
    assert_eq!(summary.lanes, [LaneSummary { source_id: "e:/m".into(), ..LaneSummary::default() }]);
}

#[test]
fn each_line_of_the_dataset_is_counted_by_what_it_is() {
    let mut summary = summary();
    let read = Event::TraceRead { bytes_read: 1, total_bytes: None };
    let other = Event::NotSelected { why: &NotSelected::OtherShard, bytes_read: 1, total_bytes: None };
    let ids = ["a".to_owned(), "b".to_owned()];
    for event in [read, read, read, other, other, Event::Duplicate, Event::FailuresFound(3), Event::FailuresFound(4)] {
        summary.add(&event);
    }
    assert!(!summary.read_to_end);
    summary.add(&Event::DatasetRead);
    summary.add(&Event::AbsentTraceIds(&ids));
    assert_eq!((summary.traces, summary.not_selected.other_shards, summary.duplicates), (3, 2, 1));
    assert_eq!((summary.failures_found, summary.read_to_end, summary.absent_trace_ids.len()), (7, true, 2));
    assert_eq!((summary.rejects, summary.requests, summary.selected()), (0, 0, 0));
}

#[test]
fn requests_after_the_first_of_a_judgment_are_retries() {
    let mut summary = summary();
    let subject = &SubjectIds::default();
    for attempt in [1, 1, 2, 3] {
        summary.add(&Event::Sent { lane: LANE, question: FIRST, subject, attempt });
    }
    assert_eq!((summary.requests, summary.retries), (4, 2));
}

#[test]
fn failures_never_enter_a_mean() {
    let mut summary = summary();
    record(&mut summary, FIRST, &scored(0.25), None);
    record(&mut summary, FIRST, &failed(ErrorCode::Timeout, "late"), None);
    record(&mut summary, FIRST, &scored(0.75), None);
    kept(&mut summary, Standing::Number(0.8));
    kept(&mut summary, FAILED);
    kept(&mut summary, Standing::Rejected { create_time_ms: 0 });
    summary.add(&Event::Planned { question: FIRST, changed: true });
    let question = &summary.questions[0];
    assert!((question.distribution.mean().unwrap() - 0.6).abs() < 1e-12);
    let counts = &question.counts;
    assert_eq!((counts.all_scored(), counts.all_failed(), counts.unjudged(), counts.changed), (3, 2, 1, 1));
    record(&mut summary, SECOND, &scored(1.0), None);
    assert_eq!((summary.selected(), summary.scored(), summary.failed(), summary.unjudged()), (8, 4, 2, 1));
    assert_eq!(summary.unmatched(), 0);
    summary.add(&Event::Settled { question: SECOND, settled: &Settled::Unmatched(FAILED) });
    assert_eq!((summary.unmatched(), summary.failed(), summary.questions[1].counts.unmatched), (1, 3, 1));
}

#[test]
fn verdicts_from_prose_and_made_up_ones_are_counted() {
    let mut summary = summary();
    for method in [ParseMethod::Strict, ParseMethod::Pattern, ParseMethod::Extracted, ParseMethod::Pattern] {
        record(&mut summary, FIRST, &scored(1.0), Some(method));
    }
    record(&mut summary, FIRST, &failed(ErrorCode::Timeout, "late"), None);
    assert_eq!((summary.questions[0].from_prose, summary.questions[1].from_prose, summary.made_up), (2, 0, 0));
    let simulated = Feedback { source: Source::llm_judge("simulated:/m"), ..scored(1.0) };
    record(&mut summary, FIRST, &simulated, None);
    assert_eq!(summary.made_up, 1);
}

#[test]
fn the_first_message_of_each_code_is_kept() {
    let mut summary = summary();
    for (code, message) in [(ErrorCode::Timeout, "one"), (ErrorCode::Refused, "two"), (ErrorCode::Timeout, "three")] {
        record(&mut summary, FIRST, &failed(code, message), None);
    }
    record(&mut summary, FIRST, &scored(1.0), None);
    let messages = [(ErrorCode::Timeout, "one".to_owned()), (ErrorCode::Refused, "two".to_owned())];
    assert_eq!(summary.first_messages, messages.into());
}

#[test]
fn tokens_and_cost_of_all_attempts_are_added_up() {
    let mut summary = summary();
    summary.add(&returned(Some(used(100, 40, 10)), None, None));
    assert_eq!(summary.questions[0].cost, None);
    summary.add(&returned(Some(used(50, 0, 5)), Some(0.25), None));
    summary.add(&returned(Some(used(1, 0, 1)), Some(0.5), None));
    summary.add(&returned(Some(used(1, 0, 1)), None, None));
    summary.add(&returned(None, None, None));
    assert_eq!((summary.questions[0].usage, summary.questions[0].cost), (used(152, 40, 17), Some(0.75)));
    assert_eq!((summary.usage(), summary.questions[1].usage), (used(152, 40, 17), Usage::default()));
    assert_eq!(summary.endless, Endless::default());
}

#[test]
fn answers_that_never_ended_are_counted_with_what_they_took() {
    let mut summary = summary();
    let (cut, other) = (Failure::new(ErrorCode::TruncatedResponse, ""), Failure::new(ErrorCode::OutOfRange, ""));
    summary.add(&returned(Some(used(10, 0, 2000)), None, Some(&cut)));
    summary.add(&returned(Some(used(10, 0, 4000)), None, Some(&cut)));
    summary.add(&returned(Some(used(10, 0, 7)), None, Some(&other)));
    summary.add(&returned(None, None, Some(&cut)));
    assert_eq!(summary.endless, Endless { answers: 2, output_tokens: 6000 });
    assert_eq!(summary.usage().output_tokens, 6007);
}

#[test]
fn what_is_given_up_is_kept_with_its_reason() {
    let mut summary = summary();
    let reason = GivenUp::DailyLimit { limit: 5, before: 2 };
    summary.add(&Event::MemberGivenUp { lane: LANE, member: "http://h/v1", reason: &reason });
    assert_eq!(summary.lanes[0].members_given_up, [("http://h/v1".to_owned(), reason.clone())]);
    assert_eq!(summary.lanes[0].stopped, None);
    summary.add(&Event::LaneStopped { lane: LANE, reason: &reason });
    assert_eq!(summary.lanes[0].stopped, Some(reason));
}

#[test]
fn what_names_no_question_or_lane_of_the_run_is_ignored() {
    let mut summary = summary();
    record(&mut summary, UNKNOWN, &scored(1.0), None);
    summary.add(&Event::Settled { question: UNKNOWN, settled: &Settled::Missing });
    let reason = GivenUp::DailyLimit { limit: 5, before: 2 };
    summary.add(&Event::LaneStopped { lane: LaneIndex::new(1), reason: &reason });
    summary.add(&Event::MemberGivenUp { lane: LaneIndex::new(1), member: "x", reason: &reason });
    summary.add(&Event::Tick);
    assert_eq!((summary.selected(), summary.scored()), (0, 0));
}

fn exit(stop: Option<StopReason>, fill: impl FnOnce(&mut Summary)) -> Exit {
    let mut summary = summary();
    fill(&mut summary);
    RunReport { summary, stop, batched: Batched::default() }.exit()
}

#[test]
fn the_exit_code_says_how_a_run_ended() {
    let verdict = |summary: &mut Summary| record(summary, FIRST, &scored(1.0), None);
    let failure = |summary: &mut Summary| record(summary, FIRST, &failed(ErrorCode::Refused, "no"), None);
    assert_eq!(exit(None, verdict), Exit::AllJudged);
    assert_eq!(exit(None, |_| {}), Exit::Usage);
    let both = |summary: &mut Summary| {
        verdict(summary);
        failure(summary);
    };
    assert_eq!(exit(None, both), Exit::SomeFailed);
    assert_eq!(exit(None, failure), Exit::Stopped, "nothing but failures");
    let of_before = |summary: &mut Summary| {
        kept(summary, Standing::Number(1.0));
        failure(summary);
    };
    assert_eq!(exit(None, of_before), Exit::SomeFailed);
    assert_eq!(exit(None, |summary| kept(summary, FAILED)), Exit::Stopped);
    let unmatched = |summary: &mut Summary| {
        summary.add(&Event::Settled { question: FIRST, settled: &Settled::Unmatched(FAILED) });
    };
    assert_eq!(exit(None, unmatched), Exit::SomeFailed, "a replay that could not ask is not an outage");
    let skipped = Settled::Skipped(SkipReason::NoSession);
    let skip = |summary: &mut Summary| summary.add(&Event::Settled { question: FIRST, settled: &skipped });
    assert_eq!(exit(None, skip), Exit::Usage);
}

#[test]
fn an_empty_shard_is_done_and_rejects_and_failed_filters_are_failures() {
    let not_selected = |why: NotSelected| {
        move |summary: &mut Summary| summary.add(&Event::NotSelected { why: &why, bytes_read: 1, total_bytes: None })
    };
    assert_eq!(exit(None, not_selected(NotSelected::OtherShard)), Exit::AllJudged);
    let with_verdict = |change: fn(&mut Summary)| {
        exit(None, |summary| {
            record(summary, FIRST, &scored(1.0), None);
            change(summary);
        })
    };
    assert_eq!(with_verdict(|summary| summary.rejects += 1), Exit::SomeFailed);
    assert_eq!(with_verdict(|summary| summary.not_selected.failed += 1), Exit::SomeFailed);
    assert_eq!(with_verdict(|summary| summary.duplicates += 1), Exit::AllJudged);
}

#[test]
fn a_run_that_was_stopped_says_so_whatever_it_scored() {
    let verdict = |summary: &mut Summary| record(summary, FIRST, &scored(1.0), None);
    let budget = || StopReason::from(Exhausted::Time { limit: Duration::from_secs(1) });
    assert_eq!(exit(Some(budget()), verdict), Exit::Stopped);
    assert_eq!(exit(Some(StopReason::Bug), verdict), Exit::Stopped);
    assert_eq!(exit(Some(StopReason::Interrupted), verdict), Exit::Interrupted);
    let reason = GivenUp::Refused { code: ErrorCode::NotFound, message: "no".into() };
    let dead_lane = |summary: &mut Summary| {
        record(summary, FIRST, &scored(1.0), None);
        summary.add(&Event::LaneStopped { lane: LANE, reason: &reason });
    };
    assert_eq!(exit(None, dead_lane), Exit::Stopped);
    assert_eq!(exit(Some(StopReason::Interrupted), dead_lane), Exit::Interrupted);
    assert_eq!(
        [0, 1, 2, 3, 4, 130],
        [Exit::AllJudged, Exit::GateFailed, Exit::Usage, Exit::SomeFailed, Exit::Stopped, Exit::Interrupted]
            .map(Exit::code)
    );
}

#[test]
fn all_reasons_are_given_with_their_causes() {
    let none = RunReport { summary: summary(), stop: None, batched: Batched::default() };
    assert!(none.stop_reasons().is_empty() && !none.ended_early());
    let mut summary = summary();
    let reason = GivenUp::AsksTooLong {
        code: ErrorCode::RateLimitExceeded,
        message: "Tomorrow.".into(),
        wait: Duration::from_secs(600),
        max: Duration::from_secs(300),
    };
    summary.add(&Event::LaneStopped { lane: LANE, reason: &reason });
    let lost = std::io::Error::other("disk full");
    let report = RunReport { summary, stop: Some(StopReason::Rejects(lost)), batched: Batched::default() };
    let expected = [
        "cannot write the rejected lines: disk full",
        "e:/m: RATE_LIMIT_EXCEEDED: it asks to wait 600 s, longer than this run may wait (300 s): Tomorrow.",
    ];
    assert_eq!(report.stop_reasons(), expected);
    assert!(report.ended_early());
}
