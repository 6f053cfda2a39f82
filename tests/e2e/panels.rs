//! Several votes on one question, and what becomes of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::common::{Fake, Finished, Place, answers};

const LOG: &str = "traces.feedback.jsonl";

fn place(traces: usize) -> Place {
    let place = Place::with_traces(traces);
    let prompt = "[prompt]\nuser = \"{{ outputs | fence('answer') }}\"\n";
    place.write("own.toml", format!("[verdict]\ntype = \"boolean\"\ngood = true\n{prompt}"));
    place
}

fn judge(place: &Place, fake: &Fake, more: &[&str]) -> Finished {
    let args = ["-d", "traces.jsonl", "-J", "./own.toml", "--base-url", &fake.base_url()];
    place.run(args.iter().chain(more))
}

const THREE: [&str; 6] = ["-m", "openai:/a", "-m", "openai:/b", "-m", "openai:/c"];

/// Answers by the model that is asked.
fn by_model(verdict: impl Fn(&str) -> Option<bool> + Send + Sync + 'static) -> Fake {
    Fake::start(move |request| match verdict(request.json()["model"].as_str().unwrap()) {
        Some(value) => answers::completion(&json!({"rationale": "so", "value": value}).to_string()),
        None => answers::error(401, "invalid_api_key", "no such key"),
    })
}

fn aggregates(place: &Place) -> Vec<Value> {
    let is_aggregate = |record: &Value| record["source"]["source_type"] == "CODE";
    place.lines(LOG).into_iter().filter(is_aggregate).collect()
}

#[test]
fn votes_are_records_and_so_is_their_aggregate() {
    let place = place(3);
    let fake = by_model(|model| Some(model != "c"));
    judge(&place, &fake, &THREE).exits_with(0).prints(&["aggregate:majority of 3 votes"]);
    let all = place.lines(LOG);
    assert_eq!((all.len(), fake.seen().len()), (12, 9));
    let found = aggregates(&place);
    assert_eq!(found.len(), 3);
    let record = &found[0];
    assert_eq!((&record["name"], &record["value"]), (&json!("own"), &json!(true)));
    assert_eq!(record["source"], json!({"source_type": "CODE", "source_id": "aggregate:majority"}));
    assert_eq!((&record["metadata"]["votes"], &record["metadata"]["agreement"]), (&json!("3/3"), &json!("2/3")));
    assert_eq!(record["rationale"], "true: openai:/a, openai:/b\nfalse: openai:/c");
    assert_eq!(record["metadata"]["good"], "true");

    // Nothing changed: nothing is asked, and nothing is written.
    judge(&place, &fake, &THREE).exits_with(0);
    assert_eq!((fake.seen().len(), place.lines(LOG).len()), (9, 12));
    // A gate is about the aggregate, not about each vote.
    judge(&place, &fake, &[&THREE[..], &["--gate", "own.pass >= 1"]].concat()).exits_with(0);
}

#[test]
fn a_dead_endpoint_takes_no_aggregate_along_and_its_votes_may_come_later() {
    let place = place(3);
    let is_alive = Arc::new(AtomicBool::new(false));
    let alive = Arc::clone(&is_alive);
    let fake =
        by_model(move |model| if model == "c" { alive.load(Ordering::SeqCst).then_some(true) } else { Some(true) });
    let run = judge(&place, &fake, &THREE).exits_with(4);
    run.prints(&["the quorum of 2 is met", "3 votes without a verdict: openai:/c"]);
    let first = aggregates(&place);
    assert_eq!(first.len(), 3);
    assert!(first.iter().all(|record| record["value"] == true && record["metadata"]["votes"] == "2/3"));

    is_alive.store(true, Ordering::SeqCst);
    let asked = fake.seen().len();
    judge(&place, &fake, &THREE).exits_with(0);
    assert_eq!(fake.seen().len() - asked, 3, "only the dead one is asked again");
    let later = aggregates(&place).split_off(3);
    assert_eq!(later.len(), 3);
    for (before, after) in first.iter().zip(&later) {
        assert_eq!(after["metadata"]["votes"], "3/3");
        let of_same_trace = first.iter().find(|record| record["trace_id"] == after["trace_id"]).unwrap();
        assert_eq!(after["overrides"], of_same_trace["assessment_id"], "{before}");
    }
}

#[test]
fn a_tie_and_too_few_votes_are_failures_and_no_verdict() {
    let place = place(1);
    let fake = by_model(|model| Some(model == "a"));
    judge(&place, &fake, &THREE[..4]).exits_with(3);
    let record = &aggregates(&place)[0];
    assert_eq!(record["error"]["error_code"], "NO_CONSENSUS");
    assert_eq!(record["error"]["error_message"], "a tie: false and true have 1 of 2 votes each");
    // Another vote breaks the tie.
    judge(&place, &fake, &THREE).exits_with(0);
    let record = &aggregates(&place)[1];
    assert_eq!((&record["value"], fake.seen().len()), (&json!(false), 3));
    place.run(["replay", LOG, "-q"]).exits_with(0);
}

#[test]
fn one_model_may_vote_several_times() {
    let place = place(2);
    let fake = Fake::start(|request| {
        let value = request.number % 3 != 0;
        answers::completion(&json!({"rationale": "so", "value": value}).to_string())
    });
    judge(&place, &fake, &["-m", "openai:/a", "--samples", "3", "--quorum", "3", "-j", "1"]).exits_with(0);
    let votes: Vec<_> =
        place.lines(LOG).into_iter().filter(|record| record["source"]["source_id"] == "openai:/a").collect();
    let mut samples: Vec<_> = votes.iter().map(|vote| vote["metadata"]["sample"].as_str().unwrap_or("0")).collect();
    samples.sort_unstable();
    assert_eq!(samples, ["0", "0", "1", "1", "2", "2"]);
    assert_eq!(aggregates(&place).len(), 2);
    judge(&place, &fake, &["-m", "openai:/a", "--samples", "3", "--quorum", "3"]).exits_with(0);
    assert_eq!(fake.seen().len(), 6);
}

#[test]
fn a_panel_may_be_configured_and_is_checked_before_anything_is_asked() {
    let place = place(1);
    place.write("judge-run.toml", "[panel]\nmodels = [\"openai:/a\", \"openai:/b\"]\nquorum = 1\n");
    let fake = by_model(|_| Some(true));
    judge(&place, &fake, &["-q"]).exits_with(0);
    assert_eq!(aggregates(&place).len(), 1);
    let asked = fake.seen().len();
    for more in [
        &["--quorum", "3"][..],
        &["--aggregate", "mean"],
        &["-m", "openai:/a", "-m", "openai:/a"],
        &["-o", "-"],
        &["--until", "own.pass >= 0.5"],
        &["-m", "openai:/a", "--quorum", "2"],
    ] {
        assert_eq!(judge(&place, &fake, more).exits_with(2).stdout, "", "{more:?}");
    }
    assert_eq!(fake.seen().len(), asked);
}
