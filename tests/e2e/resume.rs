//! The same command again: only what is missing is asked, and nothing is judged twice.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::common::{Fake, Latch, Place, SimulatorProcess, answers};

const LOG: &str = "traces.feedback.jsonl";

/// The numbers of the traces that a log has verdicts on, each of them once.
#[track_caller]
fn judged_once(place: &Place) -> BTreeSet<usize> {
    let mut judged = BTreeSet::new();
    for record in place.lines(LOG) {
        assert!(record.get("value").is_some(), "{record}");
        let number = record["trace_id"].as_str().unwrap().strip_prefix("trace-").unwrap().parse().unwrap();
        assert!(judged.insert(number), "trace {number} was judged twice");
    }
    judged
}

#[test]
fn the_same_command_again_sends_nothing() {
    let place = Place::with_traces(10);
    let simulator = SimulatorProcess::start(&["--latency", "1ms"]);
    let run = || place.judge(&simulator.base_url(), &[]).run().exits_with(0);
    run().prints(&["10 traces, 10 requests"]);
    let log = place.read(LOG);
    run().prints(&["10 traces, 0 requests", "(0 now, 10 before)", "skipped       10  already in the log"]);
    assert_eq!(place.read(LOG), log);
    assert_eq!((&simulator.stats()["requests"], &simulator.stats()["answered_again"]), (&10.into(), &0.into()));
}

#[test]
fn more_traces_and_more_judges_are_added_to_what_is_there() {
    let place = Place::with_traces(3);
    let fake = Fake::start(|_| answers::verdict(true));
    place.judge(&fake.base_url(), &[]).run().exits_with(0);
    place.write("traces.jsonl", answers::traces(5));
    place.judge(&fake.base_url(), &["-J", "relevance"]).run().exits_with(0).prints(&["5 traces, 7 requests"]);
    assert_eq!((fake.count(), place.lines(LOG).len()), (10, 10));
}

#[test]
fn a_killed_run_goes_on_where_it_was() {
    const TRACES: usize = 60;
    const CONCURRENCY: usize = 4;
    let place = Place::with_traces(TRACES);
    // The first run gets twenty answers and no more.
    let latch = Latch::default();
    let held = latch.clone();
    let fake = Fake::start(move |request| {
        if request.number >= 20 {
            held.wait();
        }
        answers::verdict(true)
    });
    let args = ["-j", &CONCURRENCY.to_string()];
    let running = place.judge(&fake.base_url(), &args).start();
    place.wait_for_lines(LOG, 20);
    running.kill();
    assert_eq!(judged_once(&place).len(), 20);
    latch.open();

    place.judge(&fake.base_url(), &args).run().exits_with(0).prints(&["(40 now, 20 before)"]);
    assert_eq!(judged_once(&place), (0..TRACES).collect());
    assert!(fake.count() <= TRACES + CONCURRENCY, "{} requests for {TRACES} judgments", fake.count());
}

#[test]
fn a_run_that_is_killed_again_and_again_still_judges_everything_once() {
    const TRACES: usize = 60;
    const KILLS: usize = 4;
    let place = Place::with_traces(TRACES);
    let simulator = SimulatorProcess::start(&["--latency", "10ms"]);
    for kill in 1..=KILLS {
        let running = place.judge(&simulator.base_url(), &["-j", "4"]).start();
        place.wait_for_lines(LOG, 10 * kill);
        running.signal("KILL");
        running.finish();
    }
    place.judge(&simulator.base_url(), &["-j", "4"]).run().exits_with(0);
    assert_eq!(judged_once(&place), (0..TRACES).collect());
    let requests = simulator.stats()["requests"].as_u64().unwrap();
    assert!(requests <= (TRACES + KILLS * 4) as u64, "{requests} requests");
}

#[test]
fn a_torn_last_line_is_put_aside_and_judged_again() {
    let place = Place::with_traces(3);
    let fake = Fake::start(|_| answers::verdict(true));
    place.judge(&fake.base_url(), &[]).run().exits_with(0);
    let whole = place.read(LOG);
    let (last, _) = whole.trim_end().rsplit_once('\n').unwrap();
    let torn = &whole[..last.len() + 100];
    place.write(LOG, torn);
    let finished = place.judge(&fake.base_url(), &[]).run().exits_with(0).prints(&["(1 now, 2 before)"]);
    finished.says(&["note: traces.feedback.jsonl: 1 damaged line moved to traces.feedback.jsonl.damaged"]);
    assert_eq!(judged_once(&place), (0..3).collect());
    assert_eq!(place.read("traces.feedback.jsonl.damaged"), format!("{}\n", &torn[last.len() + 1..]));
    assert_eq!(fake.count(), 4);
}

#[test]
fn an_error_is_asked_again_and_stays_the_same_record() {
    let place = Place::with_traces(3);
    let failing = Fake::start(|request| match request.trace() {
        1 => answers::error(424, "invalid_value", "Not today."),
        _ => answers::verdict(true),
    });
    place.judge(&failing.base_url(), &[]).run().exits_with(3);
    let fake = Fake::start(|_| answers::verdict(false));
    place.judge(&fake.base_url(), &[]).run().exits_with(0).prints(&["3 traces, 1 request ", "(1 now, 2 before)"]);
    assert_eq!(fake.seen().iter().map(|request| request.trace()).collect::<Vec<_>>(), [1]);

    let records = place.lines(LOG);
    let history: Vec<&Value> = records.iter().filter(|record| record["trace_id"] == "trace-1").collect();
    let [error, verdict] = history[..] else { panic!("{history:#?}") };
    assert_eq!(error["error"]["error_code"], "INVALID_REQUEST");
    assert_eq!((&verdict["value"], verdict.get("error")), (&Value::Bool(false), None));
    assert_eq!(verdict["assessment_id"], error["assessment_id"]);
    assert_eq!(verdict["create_time_ms"], error["create_time_ms"]);
    assert!(verdict["last_update_time_ms"].as_i64() > error["last_update_time_ms"].as_i64());
    assert_eq!(verdict.get("overrides"), None, "an error is no opinion");
}

#[test]
fn what_fails_for_ever_is_not_asked_again_and_still_counts() {
    let place = Place::with_traces(2);
    let fake = Fake::start(|request| match request.trace() {
        1 => answers::error(400, "context_length_exceeded", "This model's maximum context length is 8192 tokens."),
        _ => answers::verdict(true),
    });
    place.judge(&fake.base_url(), &[]).run().exits_with(3);
    let finished = place.judge(&fake.base_url(), &[]).run().exits_with(3);
    finished.prints(&[
        "2 traces, 0 requests",
        "failed         1",
        "1  CONTEXT_LENGTH_EXCEEDED",
        "put less of the trace",
    ]);
    assert_eq!((fake.count(), place.lines(LOG).len()), (2, 2));
}

#[test]
fn a_changed_judge_gives_a_new_opinion_that_overrides_the_old_one() {
    let place = Place::with_traces(2);
    let judge = |question: &str| {
        let prompt = format!("user = \"\"\"{question}\n{{{{ outputs | fence }}}}\"\"\"");
        place.write("mine.toml", format!("[verdict]\ntype = \"boolean\"\n[prompt]\n{prompt}\n"));
    };
    let fake = Fake::start(|request| answers::verdict(request.json().to_string().contains("Is it short?")));
    let run = || place.run(["-d", "traces.jsonl", "-J", "mine.toml", "--base-url", &fake.base_url()]).exits_with(0);
    judge("Is it long?");
    run();
    judge("Is it short?");
    run().prints(&["2 traces, 2 requests", "changed        2", "100.0% true (2 true, 0 false)"]);
    run().prints(&["2 traces, 0 requests"]);

    let records = place.lines(LOG);
    assert_eq!(records.len(), 4, "nothing that was an opinion is deleted");
    for new in &records[2..] {
        let old = records[..2].iter().find(|old| old["trace_id"] == new["trace_id"]).unwrap();
        assert_eq!((&new["overrides"], &new["value"]), (&old["assessment_id"], &Value::Bool(true)));
        assert_ne!(new["assessment_id"], old["assessment_id"]);
        assert_eq!(old["value"], false);
    }
}

#[test]
fn overwrite_starts_anew() {
    let place = Place::with_traces(3);
    let fake = Fake::start(|_| answers::verdict(true));
    place.judge(&fake.base_url(), &[]).run().exits_with(0);
    let finished = place.judge(&fake.base_url(), &["--overwrite", "-n", "1"]).run().exits_with(0);
    finished.prints(&["1 trace, 1 request "]);
    assert_eq!((fake.count(), place.lines(LOG).len()), (4, 1));
    assert_eq!(place.lines("traces.feedback.jsonl.bak").len(), 3, "what was paid for is kept aside");
}

#[test]
fn a_run_that_cannot_begin_overwrites_nothing() {
    let place = Place::with_traces(3);
    let fake = Fake::start(|_| answers::verdict(true));
    place.judge(&fake.base_url(), &[]).run().exits_with(0);
    let (log, names) = (place.read(LOG), place.names());
    place.judge(&fake.base_url(), &["--overwrite", "-H", "bad name: x"]).run().exits_with(2);
    assert_eq!((place.read(LOG), place.names()), (log, names));
}

#[test]
fn going_back_to_an_earlier_judge_makes_its_verdicts_hold_again_at_no_cost() {
    let place = Place::with_traces(2);
    let judge = |question: &str| {
        let prompt = format!("user = \"\"\"{question}\n{{{{ outputs | fence }}}}\"\"\"");
        place.write("mine.toml", format!("[verdict]\ntype = \"boolean\"\n[prompt]\n{prompt}\n"));
    };
    let fake = Fake::start(|request| answers::verdict(request.json().to_string().contains("Is it short?")));
    let run = || place.run(["-d", "traces.jsonl", "-J", "mine.toml", "--base-url", &fake.base_url()]).exits_with(0);
    for question in ["Is it long?", "Is it short?"] {
        judge(question);
        run();
    }
    judge("Is it long?");
    run().prints(&["2 traces, 0 requests", "0.0% true (0 true, 2 false)"]);
    let records = place.lines(LOG);
    assert_eq!(records.len(), 6);
    for again in &records[4..] {
        let same = |earlier: &&Value| earlier["trace_id"] == again["trace_id"];
        let first = records[..2].iter().find(same).unwrap();
        let second = records[2..4].iter().find(same).unwrap();
        for part in ["assessment_id", "value", "rationale", "metadata", "create_time_ms"] {
            assert_eq!(again[part], first[part], "{part}");
        }
        assert_eq!(again["overrides"], second["assessment_id"]);
        assert!(again["last_update_time_ms"].as_i64() > first["last_update_time_ms"].as_i64());
    }
    run();
    assert_eq!(place.lines(LOG).len(), 6, "once is enough");
}

#[test]
fn a_dry_run_neither_locks_nor_mends_the_log() {
    let place = Place::with_traces(3);
    let latch = Latch::default();
    let held = latch.clone();
    let fake = Fake::start(move |request| {
        if request.number > 0 {
            held.wait();
        }
        answers::verdict(true)
    });
    let first = place.judge(&fake.base_url(), &["-j", "1"]).start();
    place.wait_for_lines(LOG, 1);
    let dry = || place.judge(&fake.base_url(), &["--dry-run"]).run().exits_with(0);
    dry().prints(&["requests       2", "skipped        1"]);
    latch.open();
    first.finish().exits_with(0);

    let torn = format!("{}torn", place.read(LOG));
    place.write(LOG, &torn);
    let names = place.names();
    dry().prints(&["requests       0", "skipped        3"]);
    assert_eq!((place.read(LOG), place.names()), (torn, names));
}

#[cfg(target_os = "linux")]
#[test]
fn the_process_that_has_the_log_is_named_even_by_an_old_manifest_or_none() {
    let place = Place::with_traces(3);
    place.write(LOG, "");
    let held = std::fs::File::open(place.path(LOG)).unwrap();
    held.lock().unwrap();
    let process = format!("it is process {};", std::process::id());
    let second = || place.judge("http://127.0.0.1:9/v1", &[]).run().exits_with(2).says(&[&process]);
    second();
    let killed = r#"{"format":1,"version":"0","run_id":"r","pid":1,"is_replay":false,"state":"running","start_time_ms":1,
        "update_time_ms":1,"datasets":[],"judges":[],"endpoints":[],"options":{},"counts":{}}"#;
    place.write("traces.feedback.run.json", killed);
    second();
}

#[test]
fn two_runs_at_once_do_not_share_a_log() {
    let place = Place::with_traces(3);
    let latch = Latch::default();
    let held = latch.clone();
    let fake = Fake::start(move |_| {
        held.wait();
        answers::verdict(true)
    });
    let first = place.judge(&fake.base_url(), &[]).start();
    fake.wait_for(3);
    for more in [&[] as &[&str], &["--overwrite"]] {
        let second = place.judge(&fake.base_url(), more).run().exits_with(2);
        second.says(&["another judge-run is writing to `traces.feedback.jsonl`", "judge-run status"]);
    }
    latch.open();
    first.finish().exits_with(0);
    assert_eq!(judged_once(&place), (0..3).collect());
    assert_eq!(fake.count(), 3);
}
