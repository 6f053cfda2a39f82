//! Judges that compare two outputs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::common::{Fake, Finished, Place, Request, answers};

const LOG: &str = "old.feedback.jsonl";

const JUDGE: &str = r#"
[select]
unit = "pair"
[verdict]
type = "preference"
[prompt]
user = "{{ question }}: {{ answer_a | fence('answer_a') }} or {{ answer_b | fence('answer_b') }}"
"#;

/// A dataset of a system: item by item, with what it answers.
fn system(place: &Place, name: &str, answers: &[(&str, &str)]) {
    let line = |(item, answer): &(&str, &str)| {
        let trace = json!({"trace_id": item, "inputs": {"question": format!("Question {item}")}, "outputs": answer});
        format!("{trace}\n")
    };
    place.write(&format!("{name}.jsonl"), answers.iter().map(line).collect::<String>());
}

/// `old` and `new`, which share their trace ids.
fn place() -> Place {
    let place = Place::new();
    place.write("pick.toml", JUDGE);
    system(&place, "old", &[("t1", "bad"), ("t2", "good"), ("t3", "same")]);
    system(&place, "new", &[("t1", "good"), ("t2", "bad"), ("t3", "same"), ("t4", "good")]);
    place
}

/// The order of things in the prompt.
fn shown(request: &Request) -> [String; 2] {
    let prompt = request.json()["messages"][1]["content"].as_str().unwrap().to_owned();
    ["answer_a", "answer_b"].map(|tag| {
        let (_, rest) = prompt.split_once(&format!("<{tag}")).unwrap();
        rest.split_once('\n').unwrap().1.split('\n').next().unwrap().trim().to_owned()
    })
}

/// Prefers what is good, and otherwise what is shown first.
fn fair_or_first(request: &Request) -> &'static str {
    match shown(request) {
        [_, b] if b == "good" => "answer_b",
        _ => "answer_a",
    }
}

fn fake() -> Fake {
    Fake::start(|request| answers::verdict(fair_or_first(request)))
}

fn run(place: &Place, fake: &Fake, more: &[&str]) -> Finished {
    let args = ["-J", "./pick.toml", "--base-url", &fake.base_url(), "-m", "openai:/m"];
    place.run(args.iter().chain(more))
}

const SIDES: [&str; 4] = ["--side", "old.jsonl", "--side", "new.jsonl"];

fn by_source(place: &Place, log: &str, source: &str) -> Vec<Value> {
    place.lines(log).into_iter().filter(|record| record["source"]["source_id"] == source).collect()
}

fn aggregates(place: &Place, log: &str) -> Vec<Value> {
    by_source(place, log, "aggregate:pair")
}

/// Of each pair: its trace, the verdict, and why it is a tie.
fn decided(records: &[Value]) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut all: Vec<_> = records
        .iter()
        .map(|record| (text(&record["trace_id"]), text(&record["value"]), text(&record["metadata"]["tie"])))
        .collect();
    all.sort();
    all
}

fn expected(all: &[(&str, &str, &str)]) -> Vec<(String, String, String)> {
    all.iter().map(|(a, b, c)| ((*a).to_owned(), (*b).to_owned(), (*c).to_owned())).collect()
}

#[test]
fn both_orders_are_asked_and_a_side_wins_only_in_both() {
    let (place, fake) = (place(), fake());
    run(&place, &fake, &SIDES).exits_with(0).prints(&["aggregate:pair of 2 votes", "without an output of old"]);
    assert_eq!(fake.count(), 6);
    let votes = by_source(&place, LOG, "openai:/m");
    let of_first: Vec<_> = votes.iter().filter(|vote| vote["trace_id"] == "t1").collect();
    assert_eq!(of_first.len(), 2);
    for vote in &of_first {
        assert_eq!(vote["value"], "new");
        assert_eq!(vote["metadata"]["answer_a_trace_id"], "t1");
    }
    let mut shown_first: Vec<_> = of_first.iter().map(|vote| vote["metadata"]["answer_a"].as_str().unwrap()).collect();
    shown_first.sort_unstable();
    assert_eq!(shown_first, ["new", "old"]);
    let all = aggregates(&place, LOG);
    assert_eq!(decided(&all), expected(&[("t1", "new", ""), ("t2", "old", ""), ("t3", "tie", "inconsistent")]));
    let metadata = &all[0]["metadata"];
    assert_eq!((&metadata["answer_a"], &metadata["answer_b"]), (&json!("old"), &json!("new")));
    assert_eq!((&metadata["votes"], &metadata["consistent"]), (&json!("2/2"), &json!("1/1")));

    // Nothing changed: nothing is asked, and nothing is written.
    let before = place.lines(LOG).len();
    run(&place, &fake, &SIDES).exits_with(0);
    assert_eq!((fake.count(), place.lines(LOG).len()), (6, before));
    // Another output is another pair.
    system(&place, "new", &[("t1", "better"), ("t2", "bad"), ("t3", "same")]);
    run(&place, &fake, &SIDES).exits_with(0);
    assert_eq!(fake.count(), 8);
    let overriding: Vec<_> =
        aggregates(&place, LOG).into_iter().filter(|record| record["overrides"].is_string()).collect();
    assert_eq!(decided(&overriding), expected(&[("t1", "tie", "inconsistent")]));
}

#[test]
fn the_report_says_whose_outputs_are_preferred_and_whether_position_decides() {
    let (place, fake) = (place(), fake());
    run(&place, &fake, &SIDES).exits_with(0);
    let report = place.run(["report", LOG, "--format", "json"]).exits_with(0);
    let report: Value = serde_json::from_str(&report.stdout).unwrap();
    for judge in report["judges"].as_array().unwrap() {
        let pairwise = &judge["pairwise"];
        assert_eq!(pairwise["n"], 3, "{judge}");
        assert!((pairwise["consistency"]["estimate"].as_f64().unwrap() - 2.0 / 3.0).abs() < 1e-9);
        let wins: Vec<_> = pairwise["sides"].as_array().unwrap().iter().map(|side| &side["wins"]).collect();
        assert_eq!(wins, [&json!(1), &json!(1)]);
        assert_eq!(pairwise["pairs"][0]["inconsistent"], 1);
        assert_eq!(pairwise["sides"][0]["win_rate"]["estimate"], 0.5);
        assert!(pairwise["sides"][0].get("strength").is_none(), "two sides have no strengths");
    }
    let of_votes = report["judges"].as_array().unwrap().iter().find(|judge| judge["source_id"] == "openai:/m").unwrap();
    assert!((of_votes["pairwise"]["first_preferred"]["estimate"].as_f64().unwrap() - 4.0 / 6.0).abs() < 1e-9);
    place.run(["report", LOG]).exits_with(0).prints(&["the same in both orders", "win rate"]);
}

#[test]
fn more_than_two_sides_are_compared_each_with_each_and_ranked() {
    let (place, fake) = (place(), fake());
    system(&place, "third", &[("t1", "good"), ("t2", "good"), ("t3", "good")]);
    run(&place, &fake, &[&SIDES[..], &["--side", "best=third.jsonl"]].concat()).exits_with(0);
    assert_eq!((fake.count(), aggregates(&place, LOG).len()), (18, 9));
    let report = place.run(["report", LOG, "--format", "json"]).exits_with(0);
    let report: Value = serde_json::from_str(&report.stdout).unwrap();
    let pairwise = &report["judges"][0]["pairwise"];
    assert_eq!(pairwise["sides"][0]["name"], "best");
    assert!(pairwise["sides"][0]["strength"]["elo"].as_f64().unwrap() > 1000.0);
    assert_eq!(pairwise["pairs"].as_array().unwrap().len(), 3);
}

#[test]
fn two_columns_of_one_row_are_two_sides() {
    let (place, fake) = (place(), fake());
    place.write("prefs.csv", "prompt,chosen,rejected\nHow?,good,bad\nWhy?,same,same\n");
    let map = ["-d", "prefs.csv", "--map", "inputs=prompt", "--map", "outputs=chosen", "--map", "outputs=rejected"];
    run(&place, &fake, &map).exits_with(0);
    let all = aggregates(&place, "prefs.feedback.jsonl");
    let values: Vec<_> = decided(&all).into_iter().map(|(_, value, why)| (value, why)).collect();
    assert_eq!(values.len(), 2);
    assert!(values.contains(&("chosen".to_owned(), String::new())) && values.iter().any(|(value, _)| value == "tie"));
}

#[test]
fn traces_with_ids_of_their_own_are_paired_by_what_the_user_says() {
    let (place, fake) = (Place::new(), fake());
    place.write("pick.toml", JUDGE);
    let line = |id: &str, item: &str, answer: &str| {
        json!({"trace_id": id, "inputs": {"question": "Q"}, "outputs": answer, "tags": {"item": item}}).to_string()
            + "\n"
    };
    place.write("old.jsonl", line("o1", "x", "bad") + &line("o2", "y", "good"));
    place.write("new.jsonl", line("n1", "y", "bad") + &line("n2", "x", "good"));
    run(&place, &fake, &[&SIDES[..], &["--pair-by", "trace.tags.item"]].concat()).exits_with(0);
    assert_eq!(decided(&aggregates(&place, LOG)), expected(&[("o1", "new", ""), ("o2", "old", "")]));
    // Without it no ids meet.
    let nothing = run(&place, &fake, &[&SIDES[..], &["-o", "other.jsonl"]].concat());
    nothing.exits_with(2).prints(&["an output of new"]);
}

#[test]
fn an_order_that_fails_is_a_record_and_is_retried_alone() {
    let place = place();
    let is_well = Arc::new(AtomicBool::new(false));
    let well = Arc::clone(&is_well);
    let fake = Fake::start(move |request| {
        let is_swapped = shown(request)[0] == "good";
        if is_swapped && !well.load(Ordering::SeqCst) {
            return answers::completion("I would rather not say.");
        }
        answers::verdict(fair_or_first(request))
    });
    run(&place, &fake, &[&SIDES[..], &["--re-ask", "0", "--trace-id", "t1"]].concat()).exits_with(3);
    let failed = aggregates(&place, LOG);
    assert_eq!(failed[0]["error"]["error_code"], "NO_CONSENSUS");
    let asked = fake.count();
    is_well.store(true, Ordering::SeqCst);
    // What the failures of a log are is known before the replay, which makes another aggregate of the votes at its end.
    place.run(["replay", LOG, "--only", "UNPARSEABLE_VERDICT", "-q"]).exits_with(3);
    assert_eq!(fake.count() - asked, 1);
    assert_eq!(decided(&aggregates(&place, LOG)[1..]), expected(&[("t1", "new", "")]));
}

#[test]
fn verdicts_on_pairs_are_reused_at_no_cost() {
    let (place, fake) = (place(), fake());
    run(&place, &fake, &SIDES).exits_with(0);
    run(&place, &fake, &[&SIDES[..], &["-o", "second.jsonl", "--reuse", LOG]].concat()).exits_with(0);
    assert_eq!((fake.count(), aggregates(&place, "second.jsonl").len()), (6, 3));
}

#[test]
fn what_cannot_be_compared_is_refused_before_anything_is_sent() {
    let (place, fake) = (place(), fake());
    let refused = |more: &[&str], words: &str| run(&place, &fake, more).exits_with(2).says(&[words]);
    refused(&["-d", "old.jsonl"], "has only one");
    refused(&["--side", "old.jsonl"], "two sides or more");
    refused(&["--side", "old.jsonl", "--side", "old=new.jsonl"], "two sides are named `old`");
    refused(&["--side", "tie=old.jsonl", "--side", "new.jsonl"], "cannot be named `tie`");
    refused(&[&SIDES[..], &["-J", "safety"]].concat(), "two runs");
    refused(&[&SIDES[..], &["--pair-by", "nonsense"]].concat(), "nonsense");
    refused(&[&SIDES[..], &["-d", "old.jsonl"]].concat(), "both name traces");
    place.run(["-J", "safety", "-m", "openai:/m"].iter().chain(&SIDES)).exits_with(2).says(&["`preference`"]);
    assert_eq!(fake.count(), 0);
}

#[test]
fn the_built_in_judge_runs_over_a_simulator_and_is_tested_in_both_orders() {
    let place = place();
    place.run(["-J", "preference", "--simulate"].iter().chain(&SIDES)).exits_with(0);
    assert_eq!(aggregates(&place, LOG).len(), 3);
    let test = place.run(["judges", "test", "preference", "--simulate", "--format", "json"]).exits_with(0);
    let test: Value = serde_json::from_str(&test.stdout).unwrap();
    assert_eq!((&test["judge"], &test["n_failed"]), (&json!("preference"), &json!(0)));
    assert!(test["flips"]["order"]["n"].as_u64().unwrap() >= 16, "{test}");
    let list = place.run(["judges", "--format", "json"]).exits_with(0);
    let list: Value = serde_json::from_str(&list.stdout).unwrap();
    let preference = list.as_array().unwrap().iter().find(|judge| judge["name"] == "preference").unwrap();
    assert_eq!((&preference["unit"], &preference["verdict"]["type"]), (&json!("pair"), &json!("preference")));
}

#[test]
fn a_gate_may_be_about_what_a_side_wins() {
    let (place, fake) = (place(), fake());
    run(&place, &fake, &[&SIDES[..], &["-q", "--gate", "pick[side = new].win_rate >= 50%"]].concat()).exits_with(0);
    let gates = |gate: &str, code: i32| {
        let report = place.run(["report", LOG, "--format", "json", "--gate", gate]).exits_with(code);
        serde_json::from_str::<Value>(&report.stdout).unwrap()["gates"].clone()
    };
    // One pair is won, one lost and one tied.
    let failed = gates("pick[side = new].win_rate.lower >= 0.5", 1);
    assert_eq!((&failed[0]["estimate"], &failed[0]["outcome"]), (&json!(0.5), &json!("fail")));
    let lost: Vec<_> = failed[0]["traces"].as_array().unwrap().iter().map(|of| of["trace_id"].clone()).collect();
    assert_eq!(lost, ["t2"]);
    assert_eq!(gates("[side = old].win_rate <= 0.5", 0)[0]["gate"], "pick[side = old].win_rate <= 0.5");
    let unknown = gates("pick[side = next].win_rate >= 0.5", 0);
    assert_eq!((&unknown[0]["outcome"], &unknown[0]["cause"]), (&json!("inconclusive"), &json!("no_figure")));
    // Before a run it is an error.
    let asked = fake.count();
    let args = [&SIDES[..], &["-o", "other.jsonl", "--gate", "pick[side = nwe].win_rate >= 0.5"]].concat();
    run(&place, &fake, &args).exits_with(2).says(&["the side `nwe`", "did you mean `new`"]);
    assert_eq!(fake.count(), asked);
}

#[test]
fn one_order_costs_half_and_is_reported_as_biased() {
    let (place, fake) = (place(), fake());
    run(&place, &fake, &[&SIDES[..], &["--orders", "1"]].concat()).exits_with(0).prints(&["in one order"]);
    assert_eq!(fake.count(), 3);
    let all = aggregates(&place, LOG);
    assert_eq!(decided(&all)[..2], expected(&[("t1", "new", ""), ("t2", "old", "")]));
    assert!(all.iter().all(|record| record["metadata"]["orders"] == "1" && record["metadata"]["votes"] == "1/1"));
    let report = place.run(["report", LOG, "--format", "json"]).exits_with(0);
    let report: Value = serde_json::from_str(&report.stdout).unwrap();
    let of = |source: &str| {
        let judges = report["judges"].as_array().unwrap();
        judges.iter().find(|judge| judge["source_id"] == source).unwrap()["pairwise"].clone()
    };
    let aggregate = of("aggregate:pair");
    assert_eq!((&aggregate["n"], &aggregate["n_position_biased"]), (&json!(3), &json!(3)));
    assert!(aggregate.get("consistency").is_none());
    place.run(["report", LOG]).exits_with(0).prints(&["position-biased: 3 shown in one order only"]);
    // The other order is asked when it is wanted after all.
    run(&place, &fake, &[&SIDES[..], &["-q"]].concat()).exits_with(0);
    assert_eq!(fake.count(), 6);
    let last = aggregates(&place, LOG);
    assert_eq!(decided(&last[3..]), expected(&[("t1", "new", ""), ("t2", "old", ""), ("t3", "tie", "inconsistent")]));
}
