//! A run spread over machines, and last night's verdicts taken over.

use std::collections::BTreeSet;

use crate::common::{Fake, Place, answers};

const LOG: &str = "traces.feedback.jsonl";

/// The traces that a log has records on.
fn traces(place: &Place, log: &str) -> BTreeSet<String> {
    place.lines(log).iter().map(|record| record["trace_id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn shards_together_judge_every_trace_once() {
    let place = Place::with_traces(60);
    let fake = Fake::start(|_| answers::verdict(true));
    let mut all = BTreeSet::new();
    let mut judged = 0;
    for shard in ["1/3", "2/3", "3/3"] {
        let log = format!("{}.jsonl", &shard[..1]);
        let finished = place.judge(&fake.base_url(), &["--shard", shard, "-o", &log]).run().exits_with(0);
        let n = place.lines(&log).len();
        finished.prints(&[&format!("{n} traces, {n} requests"), &format!("\nshard {shard}: {n} of 60 traces\n")]);
        judged += n;
        all.extend(traces(&place, &log));
    }
    assert_eq!((judged, all.len(), fake.count()), (60, 60, 60));
}

#[test]
fn one_command_on_every_machine_judges_every_trace_once() {
    let place = Place::with_traces(40);
    let run = |index: &str, shard: &str| {
        let command = place.command(["-d", "traces.jsonl", "-J", "safety", "--simulate", "--shard", shard]);
        command.env("JOB_COMPLETION_INDEX", index).run()
    };
    for index in ["0", "1", "2"] {
        run(index, "auto/3").exits_with(0).says(&["by JOB_COMPLETION_INDEX"]);
    }
    let logs = ["1", "2", "3"].map(|number| format!("traces.shard-{number}-of-3.feedback.jsonl"));
    let all: Vec<_> = logs.iter().flat_map(|log| traces(&place, log)).collect();
    assert_eq!((all.len(), all.iter().collect::<BTreeSet<_>>().len()), (40, 40));
    // Once more, as when a pod is started again.
    run("1", "auto/3").exits_with(0).prints(&[" 0 requests"]);
    // A replay judges the same part, wherever it runs.
    place.run(["replay", &logs[1]]).exits_with(0).prints(&["nothing to replay"]);
}

#[test]
fn a_part_that_the_environment_does_not_name_is_refused() {
    let place = Place::with_traces(1);
    let command = || place.command(["-d", "traces.jsonl", "-J", "safety", "--simulate", "--shard", "auto"]);
    command().run().exits_with(2).says(&["JUDGE_RUN_SHARD_INDEX"]);
    command().env("JOB_COMPLETION_INDEX", "0").run().exits_with(2).says(&["auto/16"]);
    let matrix = || command().env("JUDGE_RUN_SHARD_INDEX", "0").env("JUDGE_RUN_SHARD_COUNT", "2");
    matrix().env("CI_NODE_INDEX", "2").env("CI_NODE_TOTAL", "2").run().exits_with(2).says(&["GitLab says 2/2"]);
    let finished = matrix().run().exits_with(0);
    assert!(!finished.stderr.contains("warning"), "{}", finished.stderr);
}

#[test]
fn the_limit_counts_traces_of_the_shard() {
    let place = Place::with_traces(60);
    let fake = Fake::start(|_| answers::verdict(true));
    let run = |more: &[&str]| place.judge(&fake.base_url(), more).env("JUDGE_RUN_SHARD", "2/4").run().exits_with(0);
    run(&["-n", "5", "--dry-run"]).prints(&["5 traces\nshard 2/4: 5 of ", "requests       5"]);
    run(&["-n", "5"]).prints(&["5 traces, 5 requests", "shard 2/4: 5 of "]);
    let first = traces(&place, LOG);
    run(&[]);
    assert!(first.len() == 5 && traces(&place, LOG).len() > 5 && traces(&place, LOG).is_superset(&first));
}

#[test]
fn an_empty_shard_is_no_failure_and_an_impossible_one_is_refused() {
    let place = Place::with_traces(1);
    let fake = Fake::start(|_| answers::verdict(true));
    for shard in ["1/2", "2/2"] {
        for more in [&["--dry-run"] as &[&str], &[]] {
            let args = [&["--shard", shard, "-o", "out.jsonl"], more].concat();
            place.judge(&fake.base_url(), &args).run().exits_with(0);
        }
    }
    assert_eq!(fake.count(), 1);
    for shard in ["0/2", "3/2", "2"] {
        place.judge(&fake.base_url(), &["--shard", shard]).run().exits_with(2).says(&["--shard", "such as 3/16"]);
    }
}

#[test]
fn a_night_over_a_grown_dataset_pays_for_the_new_traces_alone() {
    let place = Place::with_traces(4);
    let failing = Fake::start(|request| match request.trace() {
        1 => answers::error(424, "invalid_value", "Not today."),
        _ => answers::verdict(true),
    });
    place.judge(&failing.base_url(), &["-o", "monday.jsonl"]).run().exits_with(3);
    let monday = place.read("monday.jsonl");
    place.write("traces.jsonl", answers::traces(6));
    let fake = Fake::start(|_| answers::verdict(false));
    let args = ["-o", "tuesday.jsonl", "--reuse", "monday.jsonl"];
    let dry = place.judge(&fake.base_url(), &args).arg("--dry-run").run().exits_with(0);
    dry.prints(&["requests       3", "reused         3  from other logs"]);
    let run = || place.judge(&fake.base_url(), &args).run().exits_with(0);
    run().prints(&["6 traces, 3 requests", "(3 now, 3 before)", "reused         3  from other logs, at no cost"]);
    let asked: BTreeSet<_> = fake.seen().iter().map(|request| request.trace()).collect();
    assert_eq!(asked, [1, 4, 5].into(), "errors are not reused");

    let tuesday = place.lines("tuesday.jsonl");
    for old in place.lines("monday.jsonl").iter().filter(|record| record.get("error").is_none()) {
        let new = tuesday.iter().find(|new| new["assessment_id"] == old["assessment_id"]).unwrap();
        for part in ["value", "rationale", "source", "create_time_ms", "trace_id", "name"] {
            assert_eq!(new[part], old[part], "{part}");
        }
        let mut metadata = old["metadata"].clone();
        metadata["reused_from"] = "monday.jsonl".into();
        assert_eq!(new["metadata"], metadata);
        assert!(new["last_update_time_ms"].as_i64() > old["last_update_time_ms"].as_i64());
    }
    run().prints(&["6 traces, 0 requests", "skipped        6  already in the log"]);
    assert_eq!((place.lines("tuesday.jsonl").len(), place.read("monday.jsonl")), (6, monday));
}

#[test]
fn several_logs_are_reused_by_pattern_by_variable_and_as_a_shell_expands_them() {
    let place = Place::with_traces(8);
    let fake = Fake::start(|_| answers::verdict(true));
    for (n, log) in ["1/2", "2/2"].into_iter().zip(["night-1.jsonl", "night-2.jsonl"]) {
        place.judge(&fake.base_url(), &["--shard", n, "-o", log]).run().exits_with(0);
    }
    let args: [&[&str]; 3] = [
        &["--reuse", "night-*.jsonl", "-o", "-"],
        &["--reuse", "night-1.jsonl", "night-2.jsonl", "-o", "-"],
        &["--reuse", "night-1.jsonl", "--reuse", "night-2.jsonl", "-o", "-"],
    ];
    for args in args {
        let finished = place.judge(&fake.base_url(), args).run().exits_with(0);
        assert_eq!(finished.stdout.lines().count(), 8, "{args:?}");
    }
    let by_variable = place.judge(&fake.base_url(), &["-o", "-"]).env("JUDGE_RUN_REUSE", "night-?.jsonl").run();
    assert_eq!(by_variable.exits_with(0).stdout.lines().count(), 8);
    assert_eq!(fake.count(), 8);
}

#[test]
fn what_cannot_be_reused_is_refused_before_anything_is_made() {
    let place = Place::with_traces(1);
    for (log, words) in [
        ("none.jsonl", "cannot open `none.jsonl`"),
        ("none-*.jsonl", "--reuse none-*.jsonl: no file matches the pattern"),
        ("traces.jsonl", "`traces.jsonl` is not a feedback log"),
        (".", "is a directory"),
    ] {
        place.judge("http://127.0.0.1:9/v1", &["--reuse", log]).run().exits_with(2).says(&[words]);
    }
    assert_eq!(place.names(), ["traces.jsonl"]);
}
