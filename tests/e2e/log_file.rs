//! What others do to the log while a run writes to it, and what can be no log at all.

#![cfg(unix)]

use crate::common::{Fake, Latch, Place, Running, answers};

const LOG: &str = "traces.feedback.jsonl";

/// A run that has saved four of eight verdicts and waits for the others.
fn half_done() -> (Place, Fake, Latch, Running) {
    let place = Place::with_traces(8);
    let latch = Latch::default();
    let held = latch.clone();
    let fake = Fake::start(move |request| {
        if request.number >= 4 {
            held.wait();
        }
        answers::verdict(true)
    });
    let running = place.judge(&fake.base_url(), &["-j", "2"]).start();
    place.wait_for_lines(LOG, 4);
    (place, fake, latch, running)
}

/// The same command again asks what is missing, and at most what was in flight twice.
#[track_caller]
fn nothing_is_lost(place: &Place, fake: &Fake) {
    place.judge(&fake.base_url(), &[]).run().exits_with(0);
    let mut traces: Vec<_> = place.lines(LOG).iter().map(|record| record["trace_id"].to_string()).collect();
    traces.sort();
    traces.dedup();
    assert_eq!((traces.len(), place.lines(LOG).len()), (8, 8));
    assert!(fake.count() <= 8 + 2, "{} requests", fake.count());
}

#[test]
fn a_log_that_is_deleted_comes_back_with_all_that_was_paid_for() {
    let (place, fake, latch, running) = half_done();
    std::fs::remove_file(place.path(LOG)).unwrap();
    latch.open();
    let words =
        "somebody deleted it while the run wrote to it; it is back, with all its records; 0 judgment(s) were not";
    running.finish().exits_with(4).prints(&[words]);
    assert!(place.lines(LOG).len() >= 4);
    nothing_is_lost(&place, &fake);
}

#[test]
fn a_log_that_is_moved_keeps_its_records_where_it_is() {
    let (place, fake, latch, running) = half_done();
    std::fs::rename(place.path(LOG), place.path("moved.jsonl")).unwrap();
    latch.open();
    running.finish().exits_with(4).prints(&["somebody moved it while the run wrote to it"]);
    std::fs::rename(place.path("moved.jsonl"), place.path(LOG)).unwrap();
    nothing_is_lost(&place, &fake);
}

#[test]
fn a_log_that_another_file_replaces_is_kept_beside_it() {
    let (place, fake, latch, running) = half_done();
    place.write("other", "somebody else's\n");
    std::fs::rename(place.path("other"), place.path(LOG)).unwrap();
    latch.open();
    let rescued = format!("{LOG}.rescued");
    running.finish().exits_with(4).prints(&["somebody put another file in its place", &rescued]);
    assert_eq!(place.read(LOG), "somebody else's\n");
    std::fs::rename(place.path(&rescued), place.path(LOG)).unwrap();
    nothing_is_lost(&place, &fake);
}

#[test]
fn a_line_that_a_person_adds_meanwhile_stays_whole() {
    use std::io::Write;
    let (place, _fake, latch, running) = half_done();
    let line = r#"{"name":"mine","value":1,"source":{"source_type":"HUMAN","source_id":"kim"},"trace_id":"trace-1"}"#;
    let mut log = std::fs::OpenOptions::new().append(true).open(place.path(LOG)).unwrap();
    writeln!(log, "{line}").unwrap();
    latch.open();
    running.finish().exits_with(0);
    assert_eq!(place.lines(LOG).len(), 9);
    assert!(place.read(LOG).contains(line));
}

#[cfg(target_os = "linux")]
#[test]
fn a_summary_that_cannot_be_printed_costs_no_judgment() {
    let place = Place::with_traces(3);
    let fake = Fake::start(|_| answers::verdict(true));
    let full = std::fs::File::create("/dev/full").unwrap();
    let finished = place.judge(&fake.base_url(), &[]).run_with_stdout(full).exits_with(4);
    finished.says(&["cannot write to standard output: No space left on device"]);
    assert_eq!(place.lines(LOG).len(), 3);
}

#[test]
fn what_can_be_no_log_is_refused_before_anything_is_sent() {
    let place = Place::with_traces(1);
    let fake = Fake::start(|_| answers::verdict(true));
    std::fs::create_dir(place.path("folder")).unwrap();
    for (output, words) in [
        ("folder", "folder is a directory; name a file: -o folder/feedback.jsonl"),
        ("/dev/full", "/dev/full is a pipe or a device; write to it with -o - > /dev/full"),
        ("/dev/stdout", "/dev/stdout is a pipe or a device"),
        ("traces.jsonl/out.jsonl", "cannot open traces.jsonl/out.jsonl: Not a directory"),
    ] {
        place.judge(&fake.base_url(), &["-o", output]).run().exits_with(2).says(&[words]);
    }
    assert_eq!((fake.count(), place.names()), (0, vec!["folder".to_owned(), "traces.jsonl".to_owned()]));
}
