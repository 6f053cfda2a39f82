//! Tests of a lane: what it sends next, and what follows from what comes back.

use super::super::retry::Next;
use crate::run::attempts::attempt::Attempt;
use crate::run::attempts::reading::Scored;
use std::sync::LazyLock;

use super::*;
use crate::endpoint::config::{EndpointConfig, Pool};
use crate::endpoint::pacing::observed::ObservedLimits;
use crate::endpoint::wire::PromptNotes;
use crate::endpoint::wire::answer::{Answer, Usage};
use crate::endpoint::wire::chat::{ChatRequest, Sampling};
use crate::endpoint::wire::{AnswerSchema, Layout};
use crate::endpoint::{Failure, Rejected};
use crate::feedback::{ErrorCode, IdHasher};
use crate::judge::parse::ParseMethod;
use crate::judge::verdict::Verdict;
use crate::judge::{SubjectIds, Work};

fn endpoint(concurrency: usize) -> EndpointConfig {
    EndpointConfig { concurrency, ..EndpointConfig::new("e", "http://127.0.0.1:9/v1") }
}

fn settings(pool: impl Into<Pool>) -> LaneSettings {
    of_endpoint(pool).into()
}

fn of_endpoint(pool: impl Into<Pool>) -> EndpointLane {
    let pool = pool.into();
    EndpointLane { pool, model: "m".into(), prices: None, requests_per_day: None, requests_today: 0 }
}

pub(in crate::run) fn lane(concurrency: usize) -> Lane {
    Lane::new(&settings(endpoint(concurrency)), &Policy::default(), 1, false).unwrap()
}

/// A lane that has answered before and has no head start, with these judgments before it.
fn busy(concurrency: usize, policy: Policy, judgments: usize) -> Lane {
    let mut lane = Lane::new(&settings(endpoint(concurrency)), &policy, 1, true).unwrap();
    lane.has_sent = true;
    push(&mut lane, judgments);
    lane
}

pub(in crate::run) fn push(lane: &mut Lane, judgments: usize) {
    (0..judgments).for_each(|_| lane.push(QuestionIndex::new(0), judgment("u"), History::default(), Vec::new()));
}

/// A judgment that was not sent yet.
pub(in crate::run) fn job() -> Job {
    Job::new(QuestionIndex::new(0), judgment("u"), History::default(), Arc::clone(lane(1).ladder.profile()))
}

/// One judge's judgments share their schema.
static SCHEMA: LazyLock<AnswerSchema> =
    LazyLock::new(|| serde_json::value::RawValue::from_string("{}".into()).unwrap().into());

fn judgment(user: &str) -> Judgment {
    Judgment {
        id: IdHasher::new("test").finish(),
        subject: SubjectIds { trace_id: "t".into(), ..SubjectIds::default() },
        work: Work::Chat(ChatRequest {
            system: None,
            user: user.into(),
            images: Vec::new(),
            notes: PromptNotes::default(),
            schema: SCHEMA.clone(),
            sampling: Sampling::default(),
            layout: Layout::default(),
        }),
    }
}

fn next(lane: &mut Lane) -> Option<Box<Job>> {
    match lane.next(Instant::now()) {
        Step::Send(job) => Some(job),
        Step::Wait(_) => None,
        other => panic!("{other:?}"),
    }
}

#[expect(clippy::vec_box, reason = "a lane hands its jobs over in boxes")]
fn sent(lane: &mut Lane) -> Vec<Box<Job>> {
    std::iter::from_fn(|| next(lane)).collect()
}

fn failed(mut job: Box<Job>, failure: Failure) -> Box<Job> {
    job.last = Some((Attempt::local(failure), Duration::from_secs(1)));
    job
}

fn failed_with(job: Box<Job>, code: ErrorCode) -> Box<Job> {
    failed(job, Failure::new(code, "no"))
}

pub(in crate::run) fn answered(mut job: Box<Job>, usage: Usage) -> Box<Job> {
    let verdict = Verdict { value: true.into(), rationale: None, details: Vec::new() };
    let result = Ok(Scored { verdict, method: ParseMethod::Strict, truncated: false, degenerate: false });
    let answer = Some(Answer { usage: Some(usage), ..Answer::default() });
    job.last = Some((Attempt { result, answer, limits: ObservedLimits::default() }, Duration::from_secs(1)));
    job
}

/// A model's answer without a usable verdict.
fn unusable(mut job: Box<Job>, code: ErrorCode, content: &str) -> Box<Job> {
    let answer = Some(Answer { content: content.into(), usage: Some(used(10, 5)), ..Answer::default() });
    let result = Err(Failure::new(code, "no").into());
    job.last = Some((Attempt { result, answer, limits: ObservedLimits::default() }, Duration::from_secs(1)));
    job
}

pub(in crate::run) fn used(input_tokens: u64, output_tokens: u64) -> Usage {
    Usage { input_tokens, output_tokens, ..Usage::default() }
}

/// After how many attempts a judgment is recorded that fails each time as `fail` makes it.
async fn attempts(policy: Policy, fail: impl Fn(Box<Job>) -> Box<Job>) -> u32 {
    let mut lane = busy(1, policy, 1);
    loop {
        let Some(job) = next(&mut lane) else {
            tokio::time::advance(Duration::from_secs(1)).await;
            continue;
        };
        if let (Next::Record(job), _) = lane.returned(fail(job)) {
            return job.attempts;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_request_has_a_head_start_and_the_others_go_together() {
    let mut lane = lane(4);
    push(&mut lane, 9);
    let start = Instant::now();
    assert_eq!(sent(&mut lane).len(), 1);
    assert!(matches!(lane.next(start), Step::Wait(Some(until)) if until == start + HEAD_START));
    tokio::time::advance(HEAD_START).await;
    assert_eq!(sent(&mut lane).len(), 3);
    assert!(matches!(lane.next(Instant::now()), Step::Wait(None)), "four are in flight");
}

#[tokio::test(start_paused = true)]
async fn an_answer_ends_the_head_start() {
    let mut lane = lane(4);
    push(&mut lane, 9);
    let first = next(&mut lane).unwrap();
    lane.returned(answered(first, used(1, 1)));
    assert_eq!(sent(&mut lane).len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_lane_wants_no_more_than_it_can_have_in_flight() {
    let mut lane = lane(3);
    assert!(lane.wants_more() && lane.is_idle());
    push(&mut lane, 2);
    assert!(lane.wants_more() && !lane.is_idle());
    push(&mut lane, 1);
    assert!(!lane.wants_more());
    assert!(lane.stop().is_empty(), "what was never asked is left for the next run");
    assert!(lane.wants_more() && lane.is_idle(), "what still comes is let go");
    push(&mut lane, 5);
    assert!(lane.is_idle() && sent(&mut lane).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_stopped_lane_is_idle_once_what_is_in_flight_is_back() {
    let mut lane = busy(2, Policy::default(), 2);
    let (a, b) = (next(&mut lane).unwrap(), next(&mut lane).unwrap());
    assert!(matches!(lane.returned(failed_with(a, ErrorCode::ServerError)).0, Next::Retry { .. }));
    assert_eq!(lane.stop().len(), 1, "what was asked and failed is returned");
    assert!(!lane.is_idle());
    assert!(matches!(lane.returned(failed_with(b, ErrorCode::ServerError)).0, Next::Record(_)), "no retry any more");
    assert!(lane.is_idle());
}

#[tokio::test(start_paused = true)]
async fn each_code_is_retried_as_often_as_its_row_says() {
    let policy = Policy { max_retries: 6, ..Policy::default() };
    for (code, expected) in [
        (ErrorCode::ServerError, 7),
        (ErrorCode::Timeout, 3),
        (ErrorCode::MalformedResponse, 3),
        (ErrorCode::Refused, 1),
        (ErrorCode::InvalidRequest, 1),
    ] {
        assert_eq!(attempts(policy, |job| failed_with(job, code)).await, expected, "{code}");
    }
    let few = Policy { max_retries: 1, ..policy };
    assert_eq!(attempts(few, |job| failed_with(job, ErrorCode::ServerError)).await, 2);
    assert_eq!(attempts(few, |job| failed_with(job, ErrorCode::Timeout)).await, 2);
    let known_better =
        |retryable| move |job| failed(job, Failure { retryable, ..Failure::new(ErrorCode::Refused, "no") });
    assert_eq!(attempts(policy, known_better(Some(true))).await, 2, "it is tried once more");
    assert_eq!(attempts(policy, known_better(Some(false))).await, 1);
}

#[tokio::test(start_paused = true)]
async fn what_looks_cut_or_empty_is_asked_again_twice_and_prose_once() {
    let by_default = Policy::default();
    let prose = |job| unusable(job, ErrorCode::UnparseableVerdict, "I would rather not say.");
    let cut = |job| unusable(job, ErrorCode::UnparseableVerdict, "{\"rationale\": \"ok\", \"va");
    let out_of_range = |job| unusable(job, ErrorCode::OutOfRange, "{\"value\": 7}");
    let empty = |job| unusable(job, ErrorCode::EmptyResponse, "");
    let truncated = |job| unusable(job, ErrorCode::TruncatedResponse, "so long");
    type Fail<'a> = &'a dyn Fn(Box<Job>) -> Box<Job>;
    let all: [(Fail<'_>, u32); 5] = [(&prose, 2), (&cut, 3), (&out_of_range, 2), (&empty, 3), (&truncated, 3)];
    for (i, (fail, expected)) in all.iter().enumerate() {
        assert_eq!(attempts(by_default, fail).await, *expected, "{i}");
        // The user's setting applies to all of them.
        for re_asks in [0, 1, 4] {
            let policy = Policy { re_asks: Some(re_asks), ..by_default };
            assert_eq!(attempts(policy, fail).await, u32::from(re_asks) + 1, "{i}");
        }
    }
    let none = Policy { max_retries: 0, re_asks: Some(4), ..by_default };
    assert_eq!(attempts(none, empty).await, 1, "a re-ask is a retry");
}

#[tokio::test(start_paused = true)]
async fn re_asks_of_one_judgment_are_counted_together() {
    let kinds = std::cell::Cell::new(0);
    let in_turn = |job: Box<Job>| {
        kinds.set(kinds.get() + 1);
        match kinds.get() {
            1 | 3 => unusable(job, ErrorCode::UnparseableVerdict, "Well."),
            _ => unusable(job, ErrorCode::EmptyResponse, ""),
        }
    };
    assert_eq!(attempts(Policy::default(), in_turn).await, 3);
    kinds.set(0);
    let policy = Policy { re_asks: Some(1), ..Policy::default() };
    assert_eq!(attempts(policy, in_turn).await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_re_ask_waits_for_nothing_and_says_what_was_wrong() {
    let mut lane = busy(1, Policy::default(), 1);
    let job = next(&mut lane).unwrap();
    let (next_step, given_up) = lane.returned(unusable(job, ErrorCode::UnparseableVerdict, "Well."));
    assert!(matches!(next_step, Next::Retry { delay: Duration::ZERO, .. }) && given_up.is_none());
    let again = next(&mut lane).unwrap();
    assert_eq!((again.attempts, again.variation.names().as_deref()), (2, Some("hint")));
}

#[tokio::test(start_paused = true)]
async fn tokens_of_all_attempts_are_added_up() {
    let mut lane = busy(1, Policy::default(), 1);
    let job = next(&mut lane).unwrap();
    lane.returned(unusable(job, ErrorCode::UnparseableVerdict, "Well."));
    let again = next(&mut lane).unwrap();
    let (Next::Record(job), None) = lane.returned(answered(again, used(12, 7))) else { panic!("not recorded") };
    assert_eq!(job.used, Some(used(22, 12)));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_had_been_closed_costs_no_attempt_once() {
    let closed = |job| failed(job, Failure { free_retry: true, ..Failure::new(ErrorCode::ConnectionError, "closed") });
    let policy = Policy { max_retries: 2, ..Policy::default() };
    assert_eq!(attempts(policy, closed).await, 4, "one is free, and then three");
}

#[tokio::test(start_paused = true)]
async fn an_endpoints_own_time_to_wait_is_kept() {
    let asks = |wait| Failure { retry_after: Some(wait), ..Failure::new(ErrorCode::ServerError, "later") };
    let mut lane = busy(1, Policy::default(), 1);
    let job = next(&mut lane).unwrap();
    let (Next::Retry { delay, .. }, _) = lane.returned(failed(job, asks(Duration::from_secs(7)))) else { panic!() };
    assert_eq!(delay, Duration::from_secs(7));
    let due = Instant::now() + delay;
    assert!(matches!(lane.next(Instant::now()), Step::Wait(Some(at)) if at == due));
    tokio::time::advance(delay).await;
    let again = next(&mut lane).unwrap();
    // It said so before, and was wrong.
    let (Next::Retry { delay, .. }, _) = lane.returned(failed(again, asks(Duration::from_millis(1)))) else { panic!() };
    assert!(delay >= Duration::from_millis(1));
}

#[tokio::test(start_paused = true)]
async fn retries_that_are_due_go_before_new_judgments() {
    let mut lane = busy(2, Policy::default(), 3);
    let first = next(&mut lane).unwrap();
    lane.returned(unusable(first, ErrorCode::UnparseableVerdict, "Well."));
    assert_eq!(next(&mut lane).unwrap().attempts, 2);
    assert_eq!(next(&mut lane).unwrap().attempts, 1);
}

#[tokio::test(start_paused = true)]
async fn retries_that_pile_up_keep_new_judgments_back() {
    let waiting = |proven: bool| {
        let mut lane = Lane::new(&settings(endpoint(3)), &Policy::default(), 1, proven).unwrap();
        lane.has_sent = true;
        let mut begun = 0;
        for _ in 0..20 {
            push(&mut lane, 1);
            let later =
                Failure { retry_after: Some(Duration::from_secs(60)), ..Failure::new(ErrorCode::ServerError, "") };
            let Some(job) = next(&mut lane) else { break };
            begun += 1;
            lane.returned(failed(job, later));
        }
        begun
    };
    assert_eq!(waiting(true), 6, "twice what may be in flight");
    assert_eq!(waiting(false), 3, "an endpoint that never answered gets no more than may be in flight");
}

#[tokio::test(start_paused = true)]
async fn all_requests_of_the_day_stop_the_lane_and_earlier_ones_count() {
    let limited = |limit, today| {
        let settings =
            EndpointLane { requests_per_day: Some(limit), requests_today: today, ..of_endpoint(endpoint(9)) };
        let mut lane = Lane::new(&settings.into(), &Policy::default(), 1, true).unwrap();
        lane.has_sent = true;
        lane
    };
    let mut lane = limited(5, 2);
    push(&mut lane, 3);
    let jobs: Vec<_> = (0..3).map(|_| next(&mut lane).unwrap()).collect();
    assert!(matches!(lane.next(Instant::now()), Step::Wait(None)), "nothing waits");
    push(&mut lane, 1);
    let Step::Stop(reason) = lane.next(Instant::now()) else { panic!("not stopped") };
    assert_eq!(reason, GivenUp::DailyLimit { limit: 5, before: 2 });
    drop(jobs);
    let mut used_up = limited(5, 7);
    push(&mut used_up, 1);
    assert!(matches!(used_up.next(Instant::now()), Step::Stop(GivenUp::DailyLimit { limit: 5, before: 7 })));
}

#[tokio::test(start_paused = true)]
async fn a_prompt_that_no_minutes_quota_holds_is_not_sent() {
    let limits = crate::endpoint::pacing::quota::Limits { tpm: std::num::NonZeroU32::new(1_000), ..Default::default() };
    let mut lane = Lane::new(&settings(EndpointConfig { limits, ..endpoint(2) }), &Policy::default(), 1, true).unwrap();
    lane.push(QuestionIndex::new(0), judgment(&"x".repeat(8_000)), History::default(), Vec::new());
    push(&mut lane, 1);
    let Step::TooLarge { needs, allowed, .. } = lane.next(Instant::now()) else { panic!("sent") };
    assert_eq!((needs, allowed), (2_004, 1_000));
    assert!(matches!(lane.next(Instant::now()), Step::Wait(Some(_))), "an output limit above the quota only waits");
}

#[tokio::test(start_paused = true)]
async fn a_part_of_the_request_that_is_refused_is_left_out_by_one_that_goes_ahead() {
    let mut lane = lane(3);
    lane.has_sent = true;
    push(&mut lane, 4);
    let refused = || {
        let rejected = Some(Rejected::Parameter("temperature".into()));
        Failure { rejected, ..Failure::new(ErrorCode::UnsupportedParameter, "no temperature") }
    };
    let [a, b, c]: [Box<Job>; 3] = sent(&mut lane).try_into().unwrap();
    for job in [a, b] {
        assert!(matches!(lane.returned(failed(job, refused())), (Next::Retry { .. }, None)));
    }
    assert_eq!(lane.ladder.adapted().len(), 1, "adapted once, though two were refused");
    assert!(next(&mut lane).is_none(), "one is still in flight");
    lane.returned(failed(c, refused()));
    let ahead = next(&mut lane).unwrap();
    assert!(ahead.profile.dropped.contains("temperature") && next(&mut lane).is_none());
    lane.returned(answered(ahead, used(1, 1)));
    assert_eq!(sent(&mut lane).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn once_a_request_gave_a_verdict_a_refusal_is_the_requests_own_fault() {
    let mut lane = busy(1, Policy::default(), 2);
    let first = next(&mut lane).unwrap();
    lane.returned(answered(first, used(1, 1)));
    let rejected = Some(Rejected::Parameter("temperature".into()));
    let refusal = Failure { rejected, ..Failure::new(ErrorCode::UnsupportedParameter, "no temperature") };
    let second = next(&mut lane).unwrap();
    let next = lane.returned(failed(second, refusal)).0;
    assert!(matches!(next, Next::Record(_)), "{:?}", lane.ladder);
    assert!(lane.ladder.adapted().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_member_that_is_given_up_leaves_its_work_to_the_others() {
    let member = |n: u8| EndpointConfig {
        api_key_env: Some(format!("KEY_{n}")),
        ..EndpointConfig { concurrency: 1, ..EndpointConfig::new("e", &format!("http://127.0.0.{n}:9/v1")) }
    };
    let pool = Pool::new(member(1), vec![member(2)]);
    let mut lane = Lane::new(&settings(pool), &Policy::default(), 1, true).unwrap();
    lane.has_sent = true;
    push(&mut lane, 2);
    let (a, b) = (next(&mut lane).unwrap(), next(&mut lane).unwrap());
    assert_eq!((a.member, b.member), (0, 1));
    let fatal = || Failure { fatal: true, ..Failure::new(ErrorCode::AuthenticationError, "wrong key") };
    let (step, Some((Some(name), reason))) = lane.returned(failed(a, fatal())) else { panic!("not given up") };
    assert!(matches!(step, Next::Retry { delay: Duration::ZERO, .. }), "the other may do better");
    assert_eq!(name, "http://127.0.0.1:9/v1 with the key in KEY_1");
    assert_eq!(reason, GivenUp::Refused { code: ErrorCode::AuthenticationError, message: "wrong key".into() });
    assert!(!lane.is_given_up() && next(&mut lane).is_none(), "the other is busy");
    // Those in flight with the first one say nothing new, and go to the other as well.
    let late = Box::new(job());
    let (Next::Retry { .. }, None) = lane.returned(failed(late, fatal())) else { panic!("given up twice") };
    let (step, Some((Some(_), _))) = lane.returned(failed(b, fatal())) else { panic!("not given up") };
    assert!(matches!(step, Next::Record(_)) && lane.is_given_up());
}

#[tokio::test(start_paused = true)]
async fn a_lane_with_one_member_gives_it_up_without_a_name() {
    let mut lane = busy(1, Policy::default(), 1);
    let job = next(&mut lane).unwrap();
    let fatal = Failure { fatal: true, ..Failure::new(ErrorCode::NotFound, "wrong address") };
    let (Next::Record(_), Some((None, _))) = lane.returned(failed(job, fatal)) else { panic!("not given up") };
    assert!(lane.is_given_up());
}

#[tokio::test(start_paused = true)]
async fn the_estimate_of_prompts_follows_what_the_endpoint_counts() {
    let mut lane = busy(1, Policy::default(), 60);
    for _ in 0..60 {
        let job = next(&mut lane).unwrap();
        let estimate = job.judgment.work.estimated_input_tokens();
        lane.returned(answered(job, used(2 * estimate, 1)));
    }
    assert!((lane.input_ratio - 2.0).abs() < 0.01, "{}", lane.input_ratio);
    push(&mut lane, 1);
    let job = next(&mut lane).unwrap();
    assert_eq!(job.reserved, 2 * job.judgment.work.estimated_input_tokens() + 2048);
}

#[tokio::test(start_paused = true)]
async fn a_verdict_on_a_cut_prompt_is_a_failure() {
    let mut lane = busy(1, Policy::default(), 0);
    for (chars, read) in [(8_000, 2_050), (14_000, 2_050)] {
        lane.push(QuestionIndex::new(0), judgment(&"x".repeat(chars)), History::default(), Vec::new());
        let job = next(&mut lane).unwrap();
        let (Next::Record(job), None) = lane.returned(answered(job, used(read, 1))) else { panic!("not recorded") };
        let code = job.last.unwrap().0.result.err().map(|failure| failure.code);
        assert_eq!(code, (chars > 8_000).then_some(ErrorCode::PromptTruncated));
    }
    let mut summary = LaneSummary::default();
    lane.summarize(&mut summary);
    assert_eq!(summary.prompt_limit, Some(PromptLimit { tokens: 2_050, unnoticed: 0 }));
}

#[tokio::test(start_paused = true)]
async fn questions_go_one_by_one_until_each_has_warmed_the_cache() {
    let policy = Policy { warm_up: true, ..Policy::default() };
    let mut lane = Lane::new(&settings(endpoint(5)), &policy, 2, true).unwrap();
    lane.has_sent = true;
    push(&mut lane, 6);
    for _ in 0..2 {
        let [job]: [Box<Job>; 1] = sent(&mut lane).try_into().unwrap();
        lane.returned(answered(job, used(1, 1)));
    }
    assert_eq!(sent(&mut lane).len(), 4);
}

/// A judgment of this trace, with the trace first.
fn trace_first(trace: &str) -> Judgment {
    let mut judgment = judgment(trace);
    judgment.subject.trace_id = trace.to_owned();
    if let Work::Chat(request) = &mut judgment.work {
        request.layout = Layout::TraceFirst;
    }
    judgment
}

#[tokio::test(start_paused = true)]
async fn judgments_of_a_trace_follow_the_first_one_where_the_trace_comes_first() {
    let mut lane = busy(9, Policy::default(), 0);
    for trace in ["a", "a", "a", "b", "b"] {
        lane.push(QuestionIndex::new(0), trace_first(trace), History::default(), Vec::new());
    }
    let of = |jobs: &[Box<Job>]| jobs.iter().map(|job| job.judgment.subject.trace_id.clone()).collect::<Vec<_>>();
    let [a, b]: [Box<Job>; 2] = sent(&mut lane).try_into().unwrap();
    assert_eq!((a.judgment.subject.trace_id.as_str(), b.judgment.subject.trace_id.as_str()), ("a", "b"));
    lane.returned(answered(a, used(1, 1)));
    let followers = sent(&mut lane);
    assert_eq!(of(&followers), ["a", "a"]);
    assert!(!lane.is_idle());
    // Whatever the outcome of the first one, the others are asked.
    lane.returned(failed_with(b, ErrorCode::Refused));
    assert_eq!(of(&sent(&mut lane)), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_one_that_is_never_sent() {
    let mut lane = busy(2, Policy::default(), 0);
    for _ in 0..2 {
        lane.push(QuestionIndex::new(0), trace_first("a"), History::default(), Vec::new());
    }
    lane.fresh.clear();
    assert!(!lane.is_idle() && sent(&mut lane).len() == 1 && lane.stop().is_empty());
}
