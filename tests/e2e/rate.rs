//! How fast: the quota and the number of requests at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::common::{Fake, Latch, Place, answers};

#[test]
fn requests_never_run_ahead_of_the_quota() {
    let place = Place::with_traces(20);
    let fake = Fake::start(|_| answers::verdict(true));
    let started = Instant::now();
    place.judge(&fake.base_url(), &["--rpm", "600", "-j", "32"]).run().exits_with(0);
    // 600 a minute are one every 100 ms, after a burst of one second's worth. A request may arrive late, so the distance between two
    // arrivals proves nothing; but none can arrive before its time.
    let seen = fake.seen();
    assert_eq!(seen.len(), 20);
    for (i, request) in seen.iter().enumerate() {
        let earliest = Duration::from_millis(100) * u32::try_from(i.saturating_sub(9)).unwrap();
        let arrived = request.arrived - started;
        assert!(arrived >= earliest, "request {i} came after {arrived:?}, and not after {earliest:?}");
    }
}

#[test]
fn a_quota_of_tokens_is_reserved_before_a_request_is_sent() {
    let place = Place::with_traces(2);
    let prompt = "user = \"{{ outputs | fence }}\"\n[params]\nmax_output_tokens = 950\n";
    place.write("mine.toml", format!("[verdict]\ntype = \"boolean\"\n[prompt]\n{prompt}"));
    // No answer reports how little it used before the second request is there.
    let latch = Latch::default();
    let both = latch.clone();
    let fake = Fake::start(move |request| {
        if request.number == 1 {
            both.open();
        }
        both.wait();
        answers::verdict(true)
    });
    let started = Instant::now();
    place
        .run(["-d", "traces.jsonl", "-J", "mine.toml", "--tpm", "60000", "--base-url", &fake.base_url()])
        .exits_with(0);
    // 1,000 tokens a second, and as many in the burst: twice 950 and the prompts take 900 ms at least.
    let second = fake.seen()[1].arrived - started;
    assert!(second >= Duration::from_millis(900), "the second request came after {second:?}");
}

#[test]
fn no_more_requests_are_in_flight_than_allowed() {
    let place = Place::with_traces(30);
    let in_flight = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let (now, highest) = (Arc::clone(&in_flight), Arc::clone(&most));
    let full = Latch::default();
    let fake = Fake::start(move |request| {
        let flying = now.fetch_add(1, Ordering::SeqCst) + 1;
        highest.fetch_max(flying, Ordering::SeqCst);
        if flying == 3 {
            full.open();
        }
        // The first ones wait for each other, so that as many as allowed do fly at the same time.
        if request.number < 3 {
            full.wait();
        }
        now.fetch_sub(1, Ordering::SeqCst);
        answers::verdict(true)
    });
    place.judge(&fake.base_url(), &["-j", "3"]).run().exits_with(0);
    assert_eq!((most.load(Ordering::SeqCst), fake.count()), (3, 30));
}

#[test]
fn the_requests_of_a_day_are_each_endpoints_own_and_earlier_runs_count() {
    let place = Place::with_traces(8);
    let fakes = [0, 1].map(|_| Fake::start(|_| answers::verdict(true)));
    let mut config = String::new();
    for (name, fake) in ["a", "b"].iter().zip(&fakes) {
        let prompt = "[verdict]\ntype = \"boolean\"\n[prompt]\nuser = \"{{ outputs | fence }}\"\n";
        place.write(&format!("{name}.toml"), format!("model = \"{name}:/m\"\n{prompt}"));
        config.push_str(&format!("[endpoints.{name}]\nbase_url = \"{}\"\n", fake.base_url()));
    }
    place.write("judge-run.toml", config);
    let run = |rpd: &str| place.run(["-d", "traces.jsonl", "-J", "a.toml", "-J", "b.toml", "--rpd", rpd]);
    run("3").exits_with(4).prints(&[
        "stopped early: a:/m: all 3 requests of the day are sent, 0 of them by earlier runs",
        "stopped early: b:/m: all 3 requests of the day are sent",
        "--rpd",
    ]);
    assert_eq!(fakes.each_ref().map(Fake::count), [3, 3]);
    run("5").exits_with(4).prints(&["all 5 requests of the day are sent, 3 of them by earlier runs"]);
    assert_eq!(fakes.each_ref().map(Fake::count), [5, 5]);
    run("5").exits_with(4).prints(&["0 requests"]);
    run("8").exits_with(0);
    assert_eq!(fakes.each_ref().map(Fake::count), [8, 8]);
}
