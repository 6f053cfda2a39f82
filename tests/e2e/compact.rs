//! `judge-run compact`: a log without what later records supersede.

use crate::common::{Fake, Latch, Place, answers};

const LOG: &str = "traces.feedback.jsonl";

/// A log in which one of three judgments failed twice before it had a verdict.
fn with_superseded_errors() -> Place {
    let place = Place::with_traces(3);
    for code in [3, 3, 0] {
        let fake = Fake::start(move |request| match request.trace() {
            1 if code != 0 => answers::error(424, "invalid_value", "Not today."),
            _ => answers::verdict(true),
        });
        place.judge(&fake.base_url(), &[]).run().exits_with(code);
    }
    assert_eq!(place.lines(LOG).len(), 5);
    place
}

#[test]
fn superseded_errors_go_and_the_next_run_asks_nothing() {
    let place = with_superseded_errors();
    let (before, names) = (place.read(LOG), place.names());
    let dry = place.run(["compact", LOG, "--dry-run"]).exits_with(0);
    dry.prints(&["5 records, 3 would be kept; would be dropped: 2 superseded failures, 0 superseded verdicts"]);
    assert_eq!(place.read(LOG), before);
    place.run(["compact", LOG]).exits_with(0).prints(&["5 records, 3 kept; dropped: 2 superseded failures"]);
    assert!(place.lines(LOG).iter().all(|record| record["value"] == true));
    assert!(place.read(LOG).lines().all(|line| before.contains(line)), "lines are as they were");
    place.run(["compact", LOG]).exits_with(0).prints(&["3 records, none superseded"]);
    assert_eq!(place.names(), names);
    let fake = Fake::start(|_| answers::verdict(false));
    place.judge(&fake.base_url(), &[]).run().exits_with(0).prints(&["3 traces, 0 requests"]);
}

#[test]
fn a_torn_line_is_moved_and_reported() {
    let place = with_superseded_errors();
    place.write(LOG, place.read(LOG) + "torn");
    let words = ["3 kept", "1 damaged line moved to traces.feedback.jsonl.damaged"];
    place.run(["compact", LOG]).exits_with(0).prints(&words);
    assert_eq!((place.lines(LOG).len(), place.read("traces.feedback.jsonl.damaged")), (3, "torn\n".to_owned()));
}

#[test]
fn a_log_that_a_run_is_writing_to_is_left_alone() {
    let place = Place::with_traces(2);
    let latch = Latch::default();
    let held = latch.clone();
    let fake = Fake::start(move |_| {
        held.wait();
        answers::verdict(true)
    });
    let run = place.judge(&fake.base_url(), &[]).start();
    fake.wait_for(1);
    place.run(["compact", LOG]).exits_with(2).says(&["another judge-run is writing to"]);
    latch.open();
    run.finish().exits_with(0);
    assert_eq!(place.lines(LOG).len(), 2);
}

/// A log in which one of ten thousand failures is followed by a verdict.
fn with_many_failures() -> Place {
    let place = Place::new();
    let record = |n: usize, what: &str| {
        format!(
            "{{\"assessment_id\":\"a-{n:032x}\",\"name\":\"j\",{what},\"source\":{{\"source_type\":\"LLM_JUDGE\",\
             \"source_id\":\"e:/m\"}},\"trace_id\":\"t{n}\"}}\n"
        )
    };
    let failed = |n| record(n, r#""error":{"error_code":"TIMEOUT"}"#);
    let log: String = (0..10_000).map(|n| failed(n) + &failed(n)).collect();
    place.write(LOG, log + &record(0, r#""value":true"#));
    place
}

#[cfg(target_os = "linux")]
#[test]
fn what_others_append_while_a_log_is_compacted_is_kept() {
    use std::io::Write;
    use std::os::unix::fs::MetadataExt;
    let place = with_many_failures();
    let line = |who: &str, n: usize| {
        format!("{{\"name\":\"{who}\",\"value\":{n},\"source\":{{\"source_type\":\"HUMAN\"}},\"trace_id\":\"t\"}}\n")
    };
    let open = || std::fs::OpenOptions::new().append(true).open(place.path(LOG)).unwrap();
    let mut holding = open();
    let running = place.command(["compact", LOG]).start();
    // One that opens the log for each line, and one that opened it before and keeps it open until after the exchange.
    let (mut quick, mut held) = (0, 0);
    while holding.metadata().unwrap().ino() == std::fs::metadata(place.path(LOG)).unwrap().ino() {
        open().write_all(line("quick", quick).as_bytes()).unwrap();
        holding.write_all(line("holding", held).as_bytes()).unwrap();
        (quick, held) = (quick + 1, held + 1);
    }
    for _ in 0..50 {
        holding.write_all(line("holding", held).as_bytes()).unwrap();
        held += 1;
    }
    drop(holding);
    running.finish().exits_with(0);
    let count = |who: &str| place.lines(LOG).iter().filter(|record| record["name"] == who).count();
    assert_eq!((count("quick"), count("holding"), count("j")), (quick, held, 10_000));
    assert_eq!(place.names(), [LOG]);
}

#[test]
fn what_is_not_a_log_is_refused_and_left_alone() {
    let place = Place::with_traces(1);
    for more in [&[] as &[&str], &["--dry-run"]] {
        for (file, words) in [
            ("none.jsonl", "cannot open `none.jsonl`"),
            ("traces.jsonl", "`traces.jsonl` is not a feedback log"),
            (".", "is a directory"),
            ("/dev/null", "not a regular file"),
        ] {
            place.run([&["compact", file], more].concat()).exits_with(2).says(&[words]);
        }
    }
    assert_eq!((place.names(), place.read("traces.jsonl")), (vec!["traces.jsonl".to_owned()], answers::traces(1)));
}
