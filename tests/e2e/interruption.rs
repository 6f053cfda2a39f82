//! Ctrl-C: nothing more is sent, and what is paid for is kept.

use std::io::Write;

use crate::common::{Fake, Latch, Place, answers};

/// An endpoint that holds all answers until the latch is open.
fn holding(latch: &Latch) -> Fake {
    let latch = latch.clone();
    Fake::start(move |_| {
        latch.wait();
        answers::verdict(true)
    })
}

fn interrupted_with(signal: &str) {
    let place = Place::with_traces(20);
    let latch = Latch::default();
    let fake = holding(&latch);
    let running = place.judge(&fake.base_url(), &["-j", "4"]).start();
    fake.wait_for(4);
    running.signal(signal);
    running.wait_for_stderr("stopping: interrupted; waiting for 4 answers in flight");
    latch.open();
    running.finish().exits_with(130).prints(&[
        "scored         4",
        "stopped early: interrupted",
        "next: the same command",
    ]);
    let records = place.lines("traces.feedback.jsonl");
    assert!(records.iter().all(|record| record["value"] == true), "{records:#?}");
    assert_eq!((records.len(), fake.count()), (4, 4), "what was in flight is saved, and nothing else was sent");

    // The same command resumes from there.
    place.judge(&fake.base_url(), &[]).run().exits_with(0).prints(&["(16 now, 4 before)"]);
    assert_eq!((place.lines("traces.feedback.jsonl").len(), fake.count()), (20, 20));
}

#[test]
fn an_interrupted_run_saves_what_is_in_flight_and_ends_with_130() {
    interrupted_with("INT");
}

#[test]
fn a_terminated_run_does_the_same() {
    interrupted_with("TERM");
}

#[cfg(target_os = "linux")]
#[test]
fn a_run_whose_terminal_is_closed_does_the_same() {
    // These tests may themselves run under nohup, which their children inherit.
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    if u64::from_str_radix(ignored.trim(), 16).unwrap() & 1 == 0 {
        interrupted_with("HUP");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn under_nohup_a_run_continues_without_its_terminal() {
    let place = Place::with_traces(8);
    let latch = Latch::default();
    let fake = holding(&latch);
    let running = place.judge(&fake.base_url(), &["-j", "4"]).ignoring("HUP").start();
    fake.wait_for(4);
    running.signal("HUP");
    latch.open();
    running.finish().exits_with(0).prints(&["scored         8"]);
}

#[test]
fn a_second_interruption_ends_the_run() {
    let place = Place::with_traces(20);
    let latch = Latch::default();
    let fake = holding(&latch);
    let running = place.judge(&fake.base_url(), &["-j", "4", "--grace", "1h"]).start();
    fake.wait_for(4);
    running.signal("INT");
    running.wait_for_stderr("press Ctrl-C again to stop without them");
    running.signal("INT");
    // The answers are held back, so only the second signal can end it.
    let finished = running.finish().exits_with(130).prints(&["scored         0", "unjudged"]);
    finished.says(&["ending without 4 answers in flight"]);
    assert_eq!((place.names(), fake.count()), (vec!["traces.jsonl".to_owned()], 4));
    latch.open();
}

#[test]
fn after_the_grace_period_answers_are_no_longer_waited_for() {
    let place = Place::with_traces(20);
    let latch = Latch::default();
    let fake = holding(&latch);
    let running = place.judge(&fake.base_url(), &["-j", "4", "--grace", "50ms"]).start();
    fake.wait_for(4);
    running.signal("INT");
    running.finish().exits_with(130).prints(&["scored         0"]);
    latch.open();
}

/// A standard output that takes nothing, and its other end, which is never read.
#[cfg(unix)]
fn blocked_output() -> (std::os::fd::OwnedFd, std::os::unix::net::UnixStream) {
    let (mut writer, reader) = std::os::unix::net::UnixStream::pair().unwrap();
    writer.set_nonblocking(true).unwrap();
    for size in [1 << 16, 1] {
        while writer.write(&vec![b' '; size]).is_ok() {}
    }
    writer.set_nonblocking(false).unwrap();
    (writer.into(), reader)
}

#[cfg(unix)]
#[test]
fn output_that_blocks_does_not_make_it_immune_to_signals() {
    let place = Place::with_traces(3);
    let fake = Fake::start(|_| answers::error(424, "invalid_value", "Bad trace."));
    let (output, _reader) = blocked_output();
    let args = ["-j", "1", "-o", "-", "-v", "--grace", "50ms"];
    let running = place.judge(&fake.base_url(), &args).start_with_stdout(output);
    // This is printed just before the record is written.
    running.wait_for_stderr("trace-0 safety: INVALID_REQUEST");
    running.signal("INT");
    running.finish().exits_with(4).says(&[
        "standard output accepts no more data; 1 judgment(s) were not saved",
        "1 judgment could not be saved",
        "next: the same command",
    ]);
    assert_eq!(fake.count(), 1, "nothing is asked while the last answer is not saved");
}

#[test]
fn a_dataset_that_never_ends_is_judged_as_it_comes_and_can_be_interrupted() {
    let place = Place::new();
    let fake = Fake::start(|_| answers::verdict(true));
    let args = ["-d", "-", "-J", "safety", "-o", "live.jsonl", "--base-url", &fake.base_url()];
    let (running, mut input) = place.command(args).start_with_open_stdin();
    for n in 0..3 {
        input.write_all(format!("{}\n", answers::trace(n)).as_bytes()).unwrap();
        place.wait_for_lines("live.jsonl", n + 1);
    }
    running.signal("INT");
    let finished = running.finish().exits_with(130);
    finished.prints(&["3 traces, 3 requests", "the rest of the dataset was not read"]);
    drop(input);
}

#[test]
fn what_was_waiting_for_a_retry_is_left_to_the_next_run() {
    let place = Place::with_traces(3);
    let latch = Latch::default();
    let held = latch.clone();
    let fake = Fake::start(move |request| match request.trace() {
        2 => answers::error_with(429, &[("retry-after", "250")], "rate_limit_exceeded", "Slow down."),
        _ => {
            held.wait();
            answers::verdict(true)
        }
    });
    let running = place.judge(&fake.base_url(), &["-v"]).start();
    running.wait_for_stderr("retrying in 250.0 s: RATE_LIMIT_EXCEEDED (HTTP 429): Slow down.");
    fake.wait_for(3);
    running.signal("INT");
    running.wait_for_stderr("stopping: interrupted");
    latch.open();
    running.finish().exits_with(130).prints(&["scored         2", "failed         0", "unjudged       1"]);
    assert_eq!(place.lines("traces.feedback.jsonl").len(), 2);
}

#[test]
fn the_first_interruption_of_a_run_with_a_dead_lane_is_still_the_first() {
    let place = Place::with_traces(20);
    let latch = Latch::default();
    let alive = holding(&latch);
    let dead = Fake::start(|_| answers::error(401, "invalid_api_key", "Incorrect API key provided."));
    let judge = |name: &str| {
        format!(
            "model = \"{name}:/m\"\n[verdict]\ntype = \"boolean\"\n[prompt]\nuser = \"{{{{ outputs | fence }}}}\"\n"
        )
    };
    place.write("alive.toml", judge("alive"));
    place.write("dead.toml", judge("dead"));
    let endpoint = |name: &str, fake: &Fake, concurrency: u8| {
        format!("[endpoints.{name}]\nbase_url = \"{}\"\nconcurrency = {concurrency}\n", fake.base_url())
    };
    place.write("judge-run.toml", endpoint("alive", &alive, 2) + &endpoint("dead", &dead, 1));
    let running = place.command(["-d", "traces.jsonl", "-J", "alive.toml", "-J", "dead.toml"]).start();
    running.wait_for_stderr("dead:/m: giving up: AUTHENTICATION_ERROR");
    alive.wait_for(2);
    running.signal("INT");
    running.wait_for_stderr("waiting for 2 answers in flight; press Ctrl-C again");
    latch.open();
    running.finish().exits_with(130).prints(&[
        "scored         2",
        "stopped early: interrupted",
        "stopped early: dead:/m: AUTHENTICATION_ERROR: Incorrect API key",
    ]);
    assert_eq!((alive.count(), dead.count()), (2, 1));
}
