//! What others do to the log while a run writes to it, and what cannot be a log at all.

#![cfg(unix)]

use crate::common::{Fake, Latch, Place, Running, SimulatorProcess, answers};

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
    assert_eq!(traces.len(), 8);
    assert_eq!(place.lines(LOG).len(), 8);
    assert!(fake.count() <= 8 + 2, "{} requests", fake.count());
}

#[test]
fn a_log_that_is_deleted_comes_back_and_the_run_continues() {
    let (place, fake, latch, running) = half_done();
    std::fs::remove_file(place.path(LOG)).unwrap();
    latch.open();
    running.finish().exits_with(0).prints(&["deleted"]);
    assert_eq!((place.lines(LOG).len(), fake.count()), (8, 8));
    nothing_is_lost(&place, &fake);
}

#[test]
fn a_log_that_is_moved_keeps_its_records_where_it_is() {
    let (place, fake, latch, running) = half_done();
    std::fs::rename(place.path(LOG), place.path("moved.jsonl")).unwrap();
    latch.open();
    let finished = running.finish().exits_with(4);
    if cfg!(target_os = "linux") {
        finished.prints(&["moved.jsonl"]);
    }
    std::fs::rename(place.path("moved.jsonl"), place.path(LOG)).unwrap();
    nothing_is_lost(&place, &fake);
}

#[test]
fn a_log_that_another_file_replaces_is_kept_beside_it() {
    let (place, fake, latch, running) = half_done();
    place.write("other", "someone else's\n");
    std::fs::rename(place.path("other"), place.path(LOG)).unwrap();
    latch.open();
    let rescued = format!("{LOG}.rescued");
    running.finish().exits_with(4).prints(&[&rescued]);
    assert_eq!(place.read(LOG), "someone else's\n");
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

#[test]
fn nothing_is_lost_beside_a_program_that_appends_as_fast_as_it_can() {
    use std::io::Write;
    use std::sync::atomic::{AtomicBool, Ordering};
    const TRACES: usize = 300;
    let place = Place::with_traces(TRACES);
    let simulator = SimulatorProcess::start(&["--latency", "1ms"]);
    let running = place.judge(&simulator.base_url(), &["-j", "16"]).start();
    place.wait_for_lines(LOG, 10);
    let is_over = AtomicBool::new(false);
    let append = || {
        let mut log = std::fs::OpenOptions::new().append(true).open(place.path(LOG)).unwrap();
        let mut appended = 0;
        while !is_over.load(Ordering::Relaxed) && appended < 20_000 {
            let source = r#"{"source_type":"HUMAN","source_id":"kim"}"#;
            let line = format!("{{\"name\":\"seen\",\"value\":{appended},\"source\":{source},\"trace_id\":\"t\"}}\n");
            log.write_all(line.as_bytes()).unwrap();
            appended += 1;
        }
        appended
    };
    let (appended, finished) = std::thread::scope(|scope| {
        let appending = scope.spawn(append);
        let finished = running.finish();
        is_over.store(true, Ordering::Relaxed);
        (appending.join().unwrap(), finished)
    });
    finished.exits_with(0);
    let (theirs, ours): (Vec<_>, Vec<_>) = place.lines(LOG).into_iter().partition(|record| record["name"] == "seen");
    assert!(appended > 0);
    assert_eq!((theirs.len(), ours.len()), (appended, TRACES));
}

#[test]
fn a_log_that_is_truncated_gets_its_records_back_and_the_run_continues() {
    for length in [0, 700] {
        let (place, fake, latch, running) = half_done();
        let log = std::fs::OpenOptions::new().write(true).open(place.path(LOG)).unwrap();
        log.set_len(length).unwrap();
        drop(log);
        latch.open();
        running.finish().exits_with(0).prints(&["truncated"]);
        assert_eq!(fake.count(), 8);
        // Half a line that the cut left is moved aside by the next run.
        nothing_is_lost(&place, &fake);
    }
}

#[test]
fn what_a_truncated_log_had_from_before_is_said_to_be_lost() {
    let place = Place::with_traces(4);
    let latch = Latch::default();
    let held = latch.clone();
    let fake = Fake::start(move |request| {
        if request.number >= 6 {
            held.wait();
        }
        answers::verdict(true)
    });
    place.judge(&fake.base_url(), &[]).run().exits_with(0);
    place.write("traces.jsonl", answers::traces(8));
    let running = place.judge(&fake.base_url(), &["-j", "2"]).start();
    place.wait_for_lines(LOG, 6);
    place.write(LOG, "");
    latch.open();
    running.finish().exits_with(4).prints(&["4 from before lost", "next: the same command"]);
    assert_eq!((place.lines(LOG).len(), fake.count()), (4, 8));
    place.judge(&fake.base_url(), &[]).run().exits_with(0);
    assert_eq!((place.lines(LOG).len(), fake.count()), (8, 12));
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
fn an_output_that_is_not_a_log_is_refused_before_anything_is_sent() {
    let place = Place::with_traces(1);
    let fake = Fake::start(|_| answers::verdict(true));
    std::fs::create_dir(place.path("folder")).unwrap();
    for (output, words) in [
        ("folder", "`-o folder/feedback.jsonl`"),
        ("/dev/full", "`-o - > /dev/full`"),
        ("/dev/stdout", "`/dev/stdout` is a pipe or a device"),
        ("traces.jsonl/out.jsonl", "Not a directory"),
    ] {
        place.judge(&fake.base_url(), &["-o", output]).run().exits_with(2).says(&[words]);
    }
    assert_eq!((fake.count(), place.names()), (0, vec!["folder".to_owned(), "traces.jsonl".to_owned()]));
}
