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
