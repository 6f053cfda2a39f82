//! What is retried, how often, and what the record says about it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use judge_run_simulator::{Simulator, SimulatorConfig};
use serde_json::Value;

use crate::common::{Action, Fake, Finished, Place, Request, answers};

const LOG: &str = "traces.feedback.jsonl";

/// An endpoint that does something else at the first request about each trace.
fn at_first(action: impl Fn(&Request) -> Action + Send + Sync + 'static) -> Fake {
    let met = Mutex::new(std::collections::HashSet::new());
    Fake::start(move |request| {
        let is_first = met.lock().unwrap().insert(request.trace());
        if is_first { action(request) } else { answers::verdict(true) }
    })
}

/// Judges traces at this endpoint, all well in the end, and returns the attempts that each of them took.
#[track_caller]
fn attempts(fake: &Fake, traces: usize) -> Vec<u64> {
    let place = Place::with_traces(traces);
    place.judge(&fake.base_url(), &[]).run().exits_with(0);
    let attempts = |record: &Value| record["metadata"]["attempts"].as_str().unwrap().parse().unwrap();
    let records = place.lines(LOG);
    assert_eq!(records.len(), traces);
    records.iter().map(attempts).collect()
}

#[test]
fn a_refusal_with_a_time_to_wait_pauses_all_requests() {
    let first_refusal = Arc::new(Mutex::new(None));
    let noted = Arc::clone(&first_refusal);
    let fake = Fake::start(move |request| {
        let refused_at = *noted.lock().unwrap().get_or_insert_with(Instant::now);
        if request.arrived < refused_at + Duration::from_secs(1) {
            return answers::error_with(429, &[("retry-after", "1")], "rate_limit_exceeded", "Rate limit reached.");
        }
        answers::verdict(true)
    });
    let place = Place::with_traces(12);
    let finished = place.judge(&fake.base_url(), &["-j", "8", "-v"]).run().exits_with(0);
    finished.says(&["retrying in 1.0 s: RATE_LIMIT_EXCEEDED (HTTP 429): Rate limit reached."]);
    // Usually it is one, which has a head start; all that are in flight when its refusal comes are refused as well.
    let refused_at = first_refusal.lock().unwrap().unwrap();
    let is_refused = |request: &&Request| request.arrived < refused_at + Duration::from_secs(1);
    let refused = fake.seen().iter().filter(is_refused).count();
    assert!((1..=8).contains(&refused), "{refused}");
    assert_eq!(fake.count(), 12 + refused);
    let records = place.lines(LOG);
    let again = records.iter().filter(|record| record["metadata"]["attempts"] == "2");
    assert_eq!((again.count(), records.len()), (refused, 12));
}

#[test]
fn a_server_error_is_retried() {
    let fake = at_first(|_| answers::response(500, &[], &serde_json::json!({"error": {"message": "Oops."}})));
    assert_eq!(attempts(&fake, 3), [2, 2, 2]);
    assert_eq!(fake.count(), 6);
    let bodies =
        |trace| fake.seen().into_iter().filter(move |r| r.trace() == trace).map(|r| r.body).collect::<Vec<_>>();
    assert_eq!(bodies(1)[0], bodies(1)[1], "the request is the same");
}

#[test]
fn a_connection_that_is_reset_or_closed_is_retried() {
    for action in [Action::Reset, Action::Close] {
        let fake = at_first(move |request| if request.trace() == 1 { action.clone() } else { answers::verdict(true) });
        attempts(&fake, 3);
        assert_eq!(fake.count(), 4);
    }
}

/// Judges one trace at an endpoint that gives these answers in turn, and the verdict `true` after them.
fn judged_after(answers: &'static [(&'static str, &'static str)], more: &[&str]) -> (Vec<Value>, Value, Finished) {
    let fake = Fake::start(|request| match answers.get(request.number) {
        Some((content, finish)) => answers::completion_ending(content, finish),
        None => answers::verdict(true),
    });
    let place = Place::with_traces(1);
    let finished = place.judge(&fake.base_url(), more).run();
    let requests = fake.seen().iter().map(Request::json).collect();
    (requests, place.lines(LOG).remove(0), finished)
}

fn prompt(request: &Value) -> &str {
    request["messages"][1]["content"].as_str().unwrap()
}

#[test]
fn an_answer_without_a_verdict_is_asked_for_once_more_and_paid_for_twice() {
    let (requests, record, finished) = judged_after(&[("I would rather not say.", "stop")], &[]);
    finished.exits_with(0).prints(&["2 requests (1 retry)", "tokens       200 in, 20 out"]);
    assert_eq!(record["metadata"]["attempts"], "2");
    assert_eq!(
        (&record["metadata"]["input_tokens"], &record["metadata"]["output_tokens"]),
        (&"200".into(), &"20".into())
    );
    assert_eq!(record["metadata"]["reask"], "hint");
    let added = prompt(&requests[1]).strip_prefix(prompt(&requests[0]).trim_end()).expect("the same prompt and more");
    assert!(added.contains("no verdict that could be read"), "{added}");
    let (requests, record, _) = judged_after(&[("I would rather not say.", "stop"); 2], &[]);
    assert_eq!((requests.len(), &record["error"]["error_code"]), (2, &"UNPARSEABLE_VERDICT".into()));
}

#[test]
fn a_verdict_out_of_range_is_named_when_it_is_asked_again() {
    let answers = &[(r#"{"rationale": "r", "value": "perhaps"}"#, "stop")];
    let (requests, record, finished) = judged_after(answers, &[]);
    finished.exits_with(0);
    assert_eq!((requests.len(), &record["metadata"]["reask"]), (2, &"hint".into()));
    assert!(prompt(&requests[1]).ends_with('.') && prompt(&requests[1]).len() > prompt(&requests[0]).len());
}

#[test]
fn what_looks_cut_or_empty_is_asked_again_twice() {
    for answer in [("{\"rationale\": \"ok\", \"va", "stop"), ("", "stop"), ("It is so long that", "length")] {
        let answers: &'static [_] = Box::leak(Box::new([answer; 3]));
        let (requests, record, finished) = judged_after(&answers[..2], &[]);
        finished.exits_with(0);
        assert_eq!((requests.len(), &record["value"]), (3, &true.into()), "{answer:?}");
        let (requests, _, finished) = judged_after(answers, &[]);
        finished.exits_with(4);
        assert_eq!(requests.len(), 3, "{answer:?}");
        let (requests, _, _) = judged_after(answers, &["--re-ask", "0"]);
        assert_eq!(requests.len(), 1, "{answer:?}");
        let (requests, record, _) = judged_after(answers, &["--re-ask", "3"]);
        assert_eq!((requests.len(), &record["value"]), (4, &true.into()), "{answer:?}");
    }
}

#[test]
fn an_answer_that_was_cut_is_asked_for_again_with_twice_the_room() {
    let (requests, record, finished) = judged_after(&[("{\"rationale\": \"There is so much to", "length")], &[]);
    finished.exits_with(0).prints(&["1 answer did not end within the limit: 10 of 20 output tokens (50%)"]);
    let room: Vec<_> = requests.iter().map(|request| request["max_tokens"].as_u64().unwrap()).collect();
    assert_eq!(room[1], 2 * room[0]);
    assert_eq!(record["metadata"]["reask"], "hint,room");
}

#[test]
fn an_answer_that_loops_gets_no_more_room_but_another_temperature() {
    let looping: &'static str =
        Box::leak(format!("{{\"rationale\": \"{}", "I am a judge, ".repeat(99)).into_boxed_str());
    let answers: &'static [_] = Box::leak(Box::new([(looping, "length"); 9]));
    let (requests, record, finished) = judged_after(answers, &[]);
    finished.exits_with(4).prints(&["TRUNCATED_RESPONSE", "3 answers did not end within the limit", "(100%)"]);
    assert_eq!((requests.len(), &record["metadata"]["reask"]), (3, &"hint,temperature".into()));
    for again in &requests[1..] {
        assert_eq!(again["max_tokens"], requests[0]["max_tokens"]);
        assert_ne!(again["temperature"], requests[0]["temperature"]);
    }
}

#[test]
fn what_took_too_long_is_not_asked_for_as_it_was() {
    let latch = crate::common::Latch::default();
    let held = latch.clone();
    let fake = at_first(move |_| {
        held.wait();
        Action::Close
    });
    let place = Place::with_traces(1);
    place.judge(&fake.base_url(), &["--timeout", "100ms"]).run().exits_with(0);
    let requests: Vec<_> = fake.seen().iter().map(Request::json).collect();
    assert_eq!(requests.len(), 2);
    assert!(requests[1]["max_tokens"].as_u64() < requests[0]["max_tokens"].as_u64());
    assert!(prompt(&requests[1]).len() > prompt(&requests[0]).len());
    assert_eq!(place.lines(LOG)[0]["metadata"]["reask"], "hint,room");
    latch.open();
}

#[test]
fn every_fault_of_an_unreliable_provider_ends_in_a_verdict() {
    let faults = "429=10%,500=10%,503=5%,reset=10%,close=5%,cut=5%,empty=5%,unparseable=5%,range=5%,error200=5%";
    let config = SimulatorConfig {
        latency: Duration::from_millis(1),
        faults: faults.parse::<judge_run_simulator::FaultPlan>().unwrap().clear_after(1),
        ..SimulatorConfig::default()
    };
    let simulator = Simulator::spawn(config).unwrap();
    let place = Place::with_traces(60);
    let finished = place.judge(&simulator.base_url(), &["--re-ask", "5"]).run().exits_with(0);
    finished.prints(&["scored        60", "failed         0"]);
    let stats = simulator.stats();
    assert!(stats.faults.len() >= 6, "{stats:#?}");
    assert_eq!((stats.answered, stats.answered_again), (60, 0));
    assert_eq!(stats.requests, 60 + stats.faults.values().sum::<u64>());
}

#[test]
fn without_retries_the_first_failure_is_the_record() {
    let fake = Fake::start(|request| match request.trace() {
        0 => answers::verdict(true),
        1 => answers::response(
            503,
            &[("x-request-id", "req-77")],
            &serde_json::json!({"error": {"message": "No capacity.", "type": "server_error", "code": "overloaded"}}),
        ),
        _ => Action::Close,
    });
    let place = Place::with_traces(3);
    place.judge(&fake.base_url(), &["-j", "1", "--max-retries", "0"]).run().exits_with(3);
    let records = place.lines(LOG);
    let overloaded = &records[1];
    assert_eq!(overloaded["error"]["error_code"], "OVERLOADED");
    assert_eq!(overloaded["error"]["error_message"], "No capacity.");
    for (key, value) in [
        ("http_status", "503"),
        ("provider_code", "overloaded"),
        ("provider_type", "server_error"),
        ("request_id", "req-77"),
        ("attempts", "1"),
    ] {
        assert_eq!(overloaded["metadata"][key], value, "{overloaded:#}");
    }
    assert_eq!(overloaded.get("value"), None);
    let closed = &records[2];
    assert_eq!(closed["error"]["error_code"], "CONNECTION_ERROR");
    assert_eq!(closed["metadata"].get("http_status"), None, "no response came");
}

#[test]
fn the_number_of_retries_is_a_limit() {
    let fake = Fake::start(|request| match request.trace() {
        0 => answers::verdict(true),
        _ => answers::error_with(500, &[("retry-after-ms", "1")], "server_error", "Oops."),
    });
    let place = Place::with_traces(2);
    place.judge(&fake.base_url(), &["-j", "1", "--max-retries", "3"]).run().exits_with(3);
    assert_eq!(place.lines(LOG)[1]["metadata"]["attempts"], "4");
    assert_eq!(fake.count(), 5);
}

#[test]
fn an_answer_that_takes_too_long_is_not_waited_for() {
    let latch = crate::common::Latch::default();
    let held = latch.clone();
    let fake = at_first(move |_| {
        held.wait();
        Action::Close
    });
    let place = Place::with_traces(1);
    let finished = place.judge(&fake.base_url(), &["--timeout", "100ms", "-v"]).run().exits_with(0);
    finished.says(&["TIMEOUT"]);
    assert_eq!(fake.count(), 2);
    latch.open();
}

#[test]
fn a_pause_that_is_longer_than_a_run_should_wait_stops_it() {
    let place = Place::with_traces(5);
    let fake =
        Fake::start(|_| answers::error_with(429, &[("retry-after", "86400")], "rate_limit_exceeded", "Tomorrow."));
    place.judge(&fake.base_url(), &["-j", "1"]).run().exits_with(4).prints(&[
        "RATE_LIMIT_EXCEEDED: it asks to wait 86400 s",
        "Tomorrow.",
        "--max-retry-after",
    ]);
    assert_eq!(fake.count(), 1);
}
