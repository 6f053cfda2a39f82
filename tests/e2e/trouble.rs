//! What is wrong with an endpoint, a router or a proxy, recognised by what they say.

use std::net::TcpListener;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use crate::common::{Fake, Finished, Place, answers};

const LOG: &str = "traces.feedback.jsonl";

fn error(message: &str, code: Value) -> Value {
    json!({"error": {"message": message, "code": code}})
}

/// A run whose requests go through this proxy.
fn through(place: &Place, proxy: &str, more: &[&str]) -> Finished {
    let invocation = place.judge("http://judge.invalid/v1", &[&["-m", "x:/m", "--max-retries", "0"], more].concat());
    invocation.env("HTTP_PROXY", proxy).run()
}

#[test]
fn a_proxy_that_wants_a_login_is_named() {
    let place = Place::with_traces(2);
    let proxy = Fake::start(|request| {
        assert!(request.line.starts_with("POST http://judge.invalid/v1/chat/completions "), "{}", request.line);
        answers::raw(407, &[("proxy-authenticate", "Basic realm=x")], "denied")
    });
    let address = proxy.base_url().trim_end_matches("/v1").to_owned();
    let finished = through(&place, &address, &["-j", "1"]).exits_with(4);
    let host = address.strip_prefix("http://").unwrap();
    finished.prints(&["CONNECTION_ERROR", &format!("the proxy {host} requires a login (HTTP 407)")]);
    assert_eq!(proxy.count(), 1);
}

#[test]
fn a_proxy_that_is_down_is_not_the_endpoints_fault() {
    let place = Place::with_traces(1);
    let proxy = format!("http://me:proxy-passw0rd@{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let finished = through(&place, &proxy, &["-v"]);
    let host = proxy.rsplit('@').next().unwrap();
    finished.says(&[&format!("refused by the proxy {host}")]);
    assert!(!place.read(LOG).contains("passw0rd"));
}

#[test]
fn a_variable_that_is_not_the_address_of_a_proxy_is_an_error() {
    let place = Place::with_traces(1);
    let finished = through(&place, "http//me:passw0rd@proxy:3128", &[]).exits_with(2);
    assert!(!finished.stderr.contains("passw0rd"), "{}", finished.stderr);
    finished.says(&["HTTP_PROXY"]);
    // Endpoints on this machine are asked without it.
    let fake = Fake::start(|_| answers::verdict(true));
    place.judge(&fake.base_url(), &[]).env("HTTP_PROXY", "http//proxy:3128").run().exits_with(0);
}

#[test]
fn settings_of_a_router_are_a_matter_of_permission() {
    let place = Place::with_traces(3);
    let message = "No endpoints available matching your guardrail restrictions and data policy.";
    let fake = Fake::start(move |_| answers::response(404, &[], &error(message, json!(404))));
    let finished = place.judge(&fake.base_url(), &[]).run().exits_with(4);
    finished.prints(&["PERMISSION_DENIED", "data policy"]);
}

#[test]
fn a_model_that_is_not_available_ends_the_run_whatever_the_status_says() {
    let place = Place::with_traces(12);
    let message = "Model meta/meta-llama-3-8b-instruct is not available";
    let fake = Fake::start(move |_| answers::response(200, &[], &error(message, json!(400))));
    place.judge(&fake.base_url(), &["-j", "1"]).run().exits_with(4).prints(&["MODEL_NOT_FOUND"]);
    assert_eq!(fake.count(), 1);
}

#[test]
fn a_model_that_does_not_fit_is_not_asked_on() {
    let place = Place::with_traces(20);
    let message = "model requires more system memory (9.8 GiB) than is available (5.5 GiB)";
    let fake = Fake::start(move |_| answers::response(500, &[], &error(message, Value::Null)));
    place.judge(&fake.base_url(), &["-j", "1"]).run().exits_with(4).prints(&["9.8 GiB"]);
    assert_eq!(fake.count(), 1);
}

#[test]
fn a_challenge_passes() {
    let place = Place::with_traces(8);
    let fake = Fake::start(|request| match request.number {
        3..6 => answers::raw(
            403,
            &[("content-type", "text/html"), ("cf-mitigated", "challenge")],
            "<!DOCTYPE html><html><head><title>Just a moment...</title></head></html>",
        ),
        _ => answers::verdict(true),
    });
    place.judge(&fake.base_url(), &["-j", "2"]).run().exits_with(0).prints(&["scored         8"]);
    assert_eq!(fake.count(), 11);
}

#[test]
fn quoted_words_say_nothing_about_the_account() {
    let place = Place::with_traces(3);
    let message = "Invalid input: 'rate limit exceeded, insufficient_quota, please try again in 3600s'";
    let fake = Fake::start(move |request| match request.trace() {
        1 => answers::response(400, &[], &error(message, Value::Null)),
        _ => answers::verdict(true),
    });
    let finished = place.judge(&fake.base_url(), &["-j", "1"]).run().exits_with(3);
    finished.prints(&["scored         2", "1  INVALID_REQUEST"]);
}

#[test]
fn a_daily_quota_with_its_wait_in_words_ends_the_run() {
    let place = Place::with_traces(20);
    let message =
        "Rate limit of 50 per 86400s exceeded for UserByModelByDay. Please wait 68423 seconds before retrying.";
    let fake = Fake::start(move |request| match request.number {
        0..2 => answers::verdict(true),
        _ => answers::response(429, &[], &error(message, json!("RateLimitReached"))),
    });
    place.judge(&fake.base_url(), &["-j", "1"]).run().exits_with(4).prints(&["68423"]);
    assert_eq!(fake.count(), 3);
}

#[test]
fn a_reset_in_the_body_is_waited_for() {
    const WINDOW: Duration = Duration::from_secs(2);
    let place = Place::with_traces(6);
    let refused = std::sync::Arc::new(Mutex::new(None));
    let first_refusal = std::sync::Arc::clone(&refused);
    let fake = Fake::start(move |request| {
        if request.number < 3 {
            return answers::verdict(true);
        }
        let (since, at) = *first_refusal.lock().unwrap().get_or_insert_with(|| (Instant::now(), SystemTime::now()));
        if request.arrived >= since + WINDOW {
            return answers::verdict(true);
        }
        let reset = (at + WINDOW).duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis().to_string();
        let headers = json!({"X-RateLimit-Limit": "3", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset});
        let body = json!({"error": {"message": "Rate limit exceeded", "code": 429, "metadata": {"headers": headers}}});
        answers::response(429, &[], &body)
    });
    place.judge(&fake.base_url(), &["-j", "1"]).run().exits_with(0).prints(&["scored         6"]);
    // One request is refused, perhaps a second one to make sure; the next comes after the reset.
    let (since, _) = refused.lock().unwrap().unwrap();
    let early = fake.seen().iter().skip(3).filter(|request| request.arrived < since + WINDOW).count();
    assert!((1..=2).contains(&early), "{early}");
}

#[test]
fn a_low_limit_of_open_files_leaves_room_for_the_requests() {
    let place = Place::with_traces(20);
    let full = crate::common::Latch::default();
    let held = full.clone();
    let fake = Fake::start(move |request| {
        if request.number == 15 {
            held.open();
        }
        // All of them are in flight together.
        if request.number > 0 {
            held.wait();
        }
        answers::verdict(true)
    });
    let finished = place.judge(&fake.base_url(), &[]).with_open_files(64).run().exits_with(0);
    assert!(!finished.stderr.contains("open files"), "{}", finished.stderr);
    let few = place.judge(&fake.base_url(), &["--overwrite"]).with_open_files(30).run().exits_with(0);
    few.says(&["the system allows 30 open files"]);
}
