//! Which traces of a dataset are judged.

use std::collections::BTreeSet;

use serde_json::json;

use crate::common::{Fake, Finished, Place, answers};

const LOG: &str = "traces.feedback.jsonl";

/// A place with 40 traces; every fifth is from production, and only these have a duration.
fn place() -> Place {
    let place = Place::new();
    place.write("traces.jsonl", traces(40));
    place
}

fn traces(n: usize) -> String {
    let lines = (0..n).map(|i| {
        let mut trace = answers::trace(i);
        let is_prod = i.is_multiple_of(5);
        trace["tags"] = json!({"env": if is_prod { "prod" } else { "dev" }});
        if is_prod {
            trace["execution_duration_ms"] = json!(100 * i);
        }
        trace.to_string() + "\n"
    });
    lines.collect()
}

/// The numbers of the traces that were judged.
fn judged(place: &Place) -> BTreeSet<usize> {
    let number = |id: &str| id.strip_prefix("trace-").unwrap().parse().unwrap();
    place.lines(LOG).iter().map(|record| number(record["trace_id"].as_str().unwrap())).collect()
}

fn run(place: &Place, fake: &Fake, args: &[&str]) -> Finished {
    place.judge(&fake.base_url(), args).run()
}

#[test]
fn a_filter_judges_what_it_holds_of_and_tells_what_it_left_out() {
    let place = place();
    let fake = Fake::start(|_| answers::verdict(true));
    let filter = ["--filter", "trace.tags.env == 'prod' and 'number 1' in inputs.question"];
    run(&place, &fake, &[&filter[..], &["--dry-run"]].concat())
        .exits_with(0)
        .prints(&["2 traces\nnot selected: 38 traces filtered out\n", "requests       2"]);
    run(&place, &fake, &filter)
        .exits_with(0)
        .prints(&["2 traces, 2 requests", "not selected: 38 traces filtered out\n"]);
    assert_eq!(judged(&place), [10, 15].into());
    // What a trace lacks is below nothing.
    run(&place, &fake, &["--filter", "trace.execution_duration_ms < 600"]).exits_with(0);
    assert_eq!(judged(&place), [0, 5, 10, 15].into());
    let named = &["--filter", "inputs", "--trace-id", "trace-7"];
    run(&place, &fake, named).exits_with(0).prints(&["not selected: 39 traces not named\n"]);
    run(&place, &fake, &["-n", "6", "--filter", "trace.tags.env == 'prod'"])
        .exits_with(0)
        .prints(&["6 traces, 2 requests"]);
}

#[test]
fn a_filter_that_is_none_is_refused_before_anything_is_made() {
    let place = place();
    for (filter, words) in [
        ("trace.tag.env == 'prod'", "--filter: no trace has `trace.tag`, known: `trace_id`"),
        ("outputs ==", "--filter: syntax error: "),
        ("outputs | shout", "--filter: unknown filter `shout`"),
    ] {
        place.judge("http://127.0.0.1:9/v1", &["--filter", filter]).run().exits_with(2).says(&[words]);
    }
    let stratify = ["--sample", "3", "--stratify", "kind"];
    place.judge("http://127.0.0.1:9/v1", &stratify).run().exits_with(2).says(&["--stratify: no trace has `kind`"]);
    place.judge("http://127.0.0.1:9/v1", &["--seed", "3"]).run().exits_with(2).says(&["--sample"]);
    assert_eq!(place.names(), ["traces.jsonl"]);
}

#[test]
fn a_selection_of_nothing_is_no_success() {
    let place = place();
    let fake = Fake::start(|_| answers::verdict(true));
    for more in [&[][..], &["--dry-run"]] {
        let args = [&["--filter", "trace.tags.env == 'test'"], more].concat();
        let finished = run(&place, &fake, &args).exits_with(2);
        let text = finished.stdout.clone() + &finished.stderr;
        assert!(text.contains("none of the 40 traces of the dataset is selected"), "{text}");
    }
    let ids = ["--trace-id", "trace-40", "--trace-id", "x"];
    run(&place, &fake, &ids).exits_with(2).prints(&["not in the dataset: 2 trace ids: trace-40, x\n"]);
    assert_eq!((fake.count(), place.names()), (0, vec!["traces.jsonl".to_owned()]));
}

#[test]
fn what_a_filter_cannot_be_told_of_is_counted_and_is_no_full_success() {
    let place = place();
    let fake = Fake::start(|_| answers::verdict(true));
    place.write("traces.jsonl", traces(3) + "{\"trace_id\": \"odd\", \"inputs\": {\"question\": 7}}\n");
    run(&place, &fake, &["--filter", "'number 1' in inputs.question"]).exits_with(3).prints(&[
        "1 trace, 1 request",
        "not selected: 2 traces filtered out\n",
        "not selected: 1 trace because an expression failed; the first: odd: the filter: cannot perform",
    ]);
}

#[test]
fn a_sample_is_the_same_whatever_the_order_and_grows_with_its_size() {
    let place = place();
    let fake = Fake::start(|_| answers::verdict(true));
    run(&place, &fake, &["--sample", "10"])
        .exits_with(0)
        .prints(&["10 traces, 10 requests", "30 traces not in the sample"]);
    let first = judged(&place);
    let backwards: Vec<_> = traces(40).lines().rev().map(|line| format!("{line}\n")).collect();
    place.write("traces.jsonl", backwards.concat());
    run(&place, &fake, &["--sample", "10"]).exits_with(0).prints(&["10 traces, 0 requests"]);
    run(&place, &fake, &["--sample", "15"]).exits_with(0).prints(&["15 traces, 5 requests"]);
    assert!(judged(&place).is_superset(&first));
    run(&place, &fake, &["--sample", "3", "--stratify", "trace.tags.env", "--seed", "9", "--dry-run"])
        .exits_with(0)
        .prints(&["6 traces\n"]);
    let share = ["--sample", "30%", "--stratify", "trace.tags.env", "-o", "share.jsonl"];
    run(&place, &fake, &share).exits_with(0);
    let half = run(&place, &fake, &["--sample", "30%", "--dry-run"]).exits_with(0).stdout;
    let n = place.lines("share.jsonl").len();
    assert!((4..25).contains(&n) && half.contains("not in the sample"), "{n}");
}

#[test]
fn shards_together_judge_the_sample_once() {
    let place = place();
    let fake = Fake::start(|_| answers::verdict(true));
    run(&place, &fake, &["--sample", "12", "--shard", "1/2"]).exits_with(0);
    let one = judged(&place);
    run(&place, &fake, &["--sample", "12", "--shard", "2/2"]).exits_with(0);
    assert_eq!((judged(&place).len(), fake.count()), (12, 12));
    assert!(one.len() < 12);
    run(&place, &fake, &["--sample", "12"]).exits_with(0).prints(&["12 traces, 0 requests"]);
}

#[test]
fn standard_input_can_be_drawn_from_by_share_alone() {
    let place = place();
    let fake = Fake::start(|_| answers::verdict(true));
    let args = |more: &[&'static str]| {
        let url = fake.base_url();
        let args = ["-d", "-", "-J", "safety", "-o", LOG, "--base-url", &url];
        place.command(args.iter().copied().chain(more.iter().copied())).stdin(traces(40)).run()
    };
    for more in [&["--sample", "5"][..], &["--sample", "5%", "--stratify", "trace.tags.env"]] {
        args(more).exits_with(2).says(&["has to read the dataset twice, but standard input", "--sample 5%"]);
    }
    args(&["--sample", "30%"]).exits_with(0);
    let streamed = judged(&place);
    run(&place, &fake, &["--sample", "30%"]).exits_with(0).prints(&[" 0 requests"]);
    assert_eq!(judged(&place), streamed);
}

#[test]
fn ids_are_named_one_by_one_in_files_and_by_variable() {
    let place = place();
    let fake = Fake::start(|_| answers::verdict(true));
    place.write("ids.txt", "trace-3\r\n\n  trace-5\ntrace-99\n");
    let ids = ["--trace-id", "@ids.txt", "--trace-id", "trace-8"];
    run(&place, &fake, &ids).exits_with(0).prints(&[
        "3 traces, 3 requests",
        "not selected: 37 traces not named\n",
        "not in the dataset: 1 trace id: trace-99\n",
    ]);
    assert_eq!(judged(&place), [3, 5, 8].into());
    let by_variable = place.judge(&fake.base_url(), &["--dry-run"]).env("JUDGE_RUN_TRACE_ID", "@ids.txt").run();
    by_variable.exits_with(0).prints(&["2 traces\n", "not in the dataset: 1 trace id: trace-99"]);
    place.write("ids.txt", "\n");
    run(&place, &fake, &["--trace-id", "@ids.txt"]).exits_with(2).says(&["@ids.txt names no trace"]);
    run(&place, &fake, &["--trace-id", "@none.txt"]).exits_with(2).says(&["cannot read none.txt"]);
}

#[test]
fn a_replay_asks_failures_whatever_selected_their_traces() {
    let place = place();
    let failing = Fake::start(|_| answers::error(500, "server_error", "Not now."));
    run(&place, &failing, &["--filter", "trace.tags.env == 'prod'", "--max-retries", "0", "-n", "2"]).exits_with(4);
    let manifest: serde_json::Value = serde_json::from_str(&place.read("traces.feedback.run.json")).unwrap();
    assert_eq!(manifest["plans"][0]["selection"]["filter"], "trace.tags.env == 'prod'");
    let fake = Fake::start(|_| answers::verdict(true));
    let replay = place.run(["replay", LOG, "--base-url", &fake.base_url()]);
    replay.exits_with(0).prints(&["scored         2", "missing       38  not in the log, not asked: "]);
    assert_eq!(judged(&place), [0, 5].into());
}
