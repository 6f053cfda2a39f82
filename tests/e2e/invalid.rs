//! Verdicts that a person marked invalid: left alone by every run, reported, and asked again on request.

use serde_json::Value;

use crate::common::{Fake, Place, answers};

const LOG: &str = "traces.feedback.jsonl";

/// Three judged traces; the verdict on trace 1 is marked invalid, as a person does: its record once more, with `"valid": false`.
fn with_an_invalid_verdict() -> (Place, Fake) {
    let place = Place::with_traces(3);
    let fake = Fake::start(|request| answers::verdict(request.number < 3));
    place.judge(&fake.base_url(), &["-o", "traces.csv"]).run().exits_with(0);
    mark(&place, "trace-1");
    (place, fake)
}

fn mark(place: &Place, trace: &str) {
    let mut record = of_trace(place, trace).pop().unwrap();
    record["valid"] = false.into();
    place.write(LOG, format!("{}{record}\n", place.read(LOG)));
}

fn of_trace(place: &Place, trace: &str) -> Vec<Value> {
    place.lines(LOG).into_iter().filter(|record| record["trace_id"] == trace).collect()
}

/// The value and the validity of a trace in the table.
fn row(place: &Place, trace: &str) -> (String, String) {
    let mut table = csv::Reader::from_path(place.path("traces.csv")).unwrap();
    let headers = table.headers().unwrap().clone();
    let column = |name| headers.iter().position(|header| header == name).unwrap();
    let row = table.records().map(Result::unwrap).find(|row| row[0] == *trace).unwrap();
    (row[column("value")].to_owned(), row[column("valid")].to_owned())
}

#[test]
fn a_plain_run_leaves_an_invalid_verdict_alone_and_tells_of_it() {
    let (place, fake) = with_an_invalid_verdict();
    let log = place.read(LOG);
    let run =
        |more: &[&str]| place.judge(&fake.base_url(), &[&["-o", "traces.csv"], more].concat()).run().exits_with(0);
    run(&[]).prints(&[
        "3 traces, 0 requests",
        "scored         2  (0 now, 2 before)  100.0% true (2 true, 0 false)",
        "skipped        2",
        "rejected       1  marked invalid in the log; judge-run replay --include-invalid asks again",
    ]);
    assert_eq!((place.read(LOG), row(&place, "trace-1")), (log, ("true".to_owned(), "false".to_owned())));
    run(&["--dry-run"]).prints(&["requests       0", "skipped        2", "rejected       1"]);
    place.run(["status", LOG]).exits_with(0).prints(&["3 of 3 judgments", "scored         2", "invalid        1"]);
    assert_eq!(fake.count(), 3);
}

#[test]
fn a_replay_asks_it_again_only_on_wish_and_it_stays_the_same_record() {
    let (place, fake) = with_an_invalid_verdict();
    let finished = place.run(["replay", LOG]).exits_with(0);
    finished.prints(&["no judgment failed\n1 rejected verdict in the log; `--include-invalid` asks again"]);
    assert_eq!(fake.count(), 3);
    let replay = ["replay", LOG, "--include-invalid"];
    place.run([&replay[..], &["--dry-run"]].concat()).exits_with(0).prints(&["requests       1", "skipped        2"]);
    place.run(replay).exits_with(0).prints(&["3 traces, 1 request ", "scored         3  (1 now, 2 before)"]);
    let history = of_trace(&place, "trace-1");
    let [first, marked, again] = &history[..] else { panic!("{history:#?}") };
    assert_eq!((&marked["valid"], &again["valid"], &again["value"]), (&false.into(), &Value::Null, &false.into()));
    for part in ["assessment_id", "create_time_ms"] {
        assert_eq!(again[part], first[part], "{part}");
    }
    assert_eq!(row(&place, "trace-1"), ("false".to_owned(), "true".to_owned()));
    // Once is enough.
    place.run(replay).exits_with(0).prints(&["nothing to replay"]);
    place.judge(&fake.base_url(), &[]).run().exits_with(0).prints(&["3 traces, 0 requests"]);
    assert_eq!(fake.count(), 4);
}

#[test]
fn where_asking_again_fails_it_is_a_failure_as_any_other() {
    let (place, _) = with_an_invalid_verdict();
    let failing = Fake::start(|_| answers::error(424, "invalid_value", "Not today."));
    place.run(["replay", LOG, "--include-invalid", "--base-url", &failing.base_url()]).exits_with(3);
    let fake = Fake::start(|_| answers::verdict(true));
    place.judge(&fake.base_url(), &[]).run().exits_with(0).prints(&["(1 now, 2 before)"]);
    assert_eq!(of_trace(&place, "trace-1").len(), 4);
}

#[test]
fn it_is_not_used_again_by_another_run_and_stays_invalid_through_compact_and_merge() {
    let (place, fake) = with_an_invalid_verdict();
    place.judge(&fake.base_url(), &["--reuse", LOG, "-o", "new.jsonl"]).run().exits_with(0).prints(&["1 request "]);
    place.run(["compact", LOG]).exits_with(0).prints(&["4 records, none superseded"]);
    place.run(["merge", LOG, "-o", "all.jsonl"]).exits_with(0);
    place.judge(&fake.base_url(), &["-o", "all.jsonl"]).run().exits_with(0).prints(&["0 requests", "rejected       1"]);
}
