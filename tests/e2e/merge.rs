//! `judge-run merge`: combines several logs.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::common::{Fake, Place, answers};

fn record(id: u8, value: &Value, time: i64) -> String {
    let record = json!({
        "assessment_id": format!("a-{id:032x}"), "name": "j", "value": value,
        "source": {"source_type": "LLM_JUDGE", "source_id": "e:/m"},
        "create_time_ms": 1, "last_update_time_ms": time, "trace_id": "t",
    });
    format!("{record}\n")
}

#[test]
fn merged_shards_are_a_log_that_a_run_goes_on_from() {
    let place = Place::with_traces(30);
    let fake = Fake::start(|request| match request.trace() {
        7 => answers::error(424, "invalid_value", "Not today."),
        _ => answers::verdict(true),
    });
    for shard in ["1/3", "2/3", "3/3"] {
        let log = format!("shard-{}.jsonl", &shard[..1]);
        place.judge(&fake.base_url(), &["--shard", shard, "-o", &log, "-q"]).run();
    }
    let finished = place.run(["merge", "shard-1.jsonl", "shard-2.jsonl", "shard-3.jsonl", "-o", "all.jsonl"]);
    finished.exits_with(0).prints(&["  in shard-2.jsonl\n", "       30  in all.jsonl; 0 records superseded"]);
    let traces: BTreeSet<_> = place.lines("all.jsonl").iter().map(|line| line["trace_id"].to_string()).collect();
    assert_eq!(traces.len(), 30);
    let all = place.judge(&fake.base_url(), &["-o", "all.jsonl"]).run().exits_with(3);
    all.prints(&["30 traces, 1 request ", "skipped       29"]);
}

#[test]
fn a_log_merged_with_itself_is_the_same_log() {
    let place = Place::with_traces(5);
    let fake = Fake::start(|_| answers::verdict(true));
    place.judge(&fake.base_url(), &["-j", "1", "-o", "a.jsonl"]).run().exits_with(0);
    place.write("b.jsonl", place.read("a.jsonl"));
    let finished = place.run(["merge", "a.jsonl", "b.jsonl", "a.jsonl", "-o", "all.jsonl"]).exits_with(0);
    finished.prints(&["5  in all.jsonl; 10 records superseded or duplicate"]);
    assert_eq!(place.read("all.jsonl"), place.read("a.jsonl"));
}

#[test]
fn a_conflict_names_the_judgment_and_both_logs_and_writes_nothing() {
    let place = Place::new();
    place.write("a.jsonl", record(1, &json!(true), 5) + &record(2, &json!(1), 5));
    place.write("b.jsonl", record(1, &json!(false), 5) + &record(2, &json!(2), 6));
    let finished = place.run(["merge", "a.jsonl", "b.jsonl", "-o", "all.jsonl"]).exits_with(2);
    finished.says(&["1 judgment with different verdicts", "a-00000000000000000000000000000001 in a.jsonl and b.jsonl"]);
    assert_eq!(place.names(), ["a.jsonl", "b.jsonl"]);
}

#[test]
fn an_output_that_is_there_is_spared_unless_it_may_be_overwritten() {
    let place = Place::new();
    place.write("a.jsonl", record(1, &json!(true), 5));
    place.write("all.jsonl", record(2, &json!(true), 5));
    place.run(["merge", "a.jsonl", "-o", "all.jsonl"]).exits_with(2).says(&["`all.jsonl` exists", "--overwrite"]);
    place
        .run(["merge", "a.jsonl", "all.jsonl", "-o", "all.jsonl", "--overwrite"])
        .exits_with(2)
        .says(&["both input and output"]);
    assert_eq!(place.read("all.jsonl"), record(2, &json!(true), 5));
    place.run(["merge", "a.jsonl", "-o", "all.jsonl", "--overwrite"]).exits_with(0);
    assert_eq!(
        (place.read("all.jsonl"), place.read("all.jsonl.bak")),
        (place.read("a.jsonl"), record(2, &json!(true), 5))
    );
    assert_eq!(place.names(), ["a.jsonl", "all.jsonl", "all.jsonl.bak"]);
}

#[test]
fn what_cannot_be_merged_is_refused_before_anything_is_made() {
    let place = Place::with_traces(1);
    place.write("a.jsonl", record(1, &json!(true), 5));
    for (args, words) in [
        (&["a.jsonl", "none.jsonl", "-o", "all.jsonl"][..], "cannot open `none.jsonl`"),
        (&["a.jsonl", "traces.jsonl", "-o", "all.jsonl"], "`traces.jsonl` is not a feedback log"),
        (&["a.jsonl", ".", "-o", "all.jsonl"], "is a directory"),
        (&["a.jsonl", "/dev/null", "-o", "all.jsonl"], "`/dev/null` is not a regular file"),
        (&["a.jsonl", "-o", "all.csv"], "the output of a merge is a log"),
        (&["a.jsonl", "-o", "-"], "the output of a merge is a log"),
        (&["a.jsonl", "-o", "none/all.jsonl"], "cannot open `none/all.jsonl`"),
        (&["a.jsonl"], "--output"),
    ] {
        place.run([&["merge"], args].concat()).exits_with(2).says(&[words]);
        assert_eq!(place.names(), ["a.jsonl", "traces.jsonl"]);
    }
}
