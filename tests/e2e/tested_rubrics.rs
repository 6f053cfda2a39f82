//! `judges test` and `judges attack` of rubrics, by all criteria and by each.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::common::{Action, Fake, Finished, Place, Request, answers};

const JUDGE: &str = "judges/sum.toml";
const PAIRS: &str = "judges/tests/sum.jsonl";

/// A folder with traces, and a rubric of three criteria with two pairs.
fn place(calls: &str) -> Place {
    let place = Place::with_traces(4);
    let criterion = |name: &str, verdict: &str| {
        format!("[[criteria]]\nname = \"{name}\"\ndescription = \"How {name} it is.\"\nverdict = {{ {verdict} }}\n")
    };
    let criteria = [
        criterion("faithful", "type = \"boolean\", good = true"),
        criterion("clear", "type = \"integer\", min = 1, max = 4, better = \"higher\""),
        criterion("tone", "type = \"category\", labels = [\"kind\", \"rude\"], good = [\"kind\"]"),
    ];
    let prompt = "[prompt]\nsystem = \"Judge.\"\nuser = \"{{ outputs | fence('answer') }}\"\n";
    place.write(JUDGE, format!("[verdict]\ntype = \"rubric\"\ncalls = \"{calls}\"\n{}{prompt}", criteria.concat()));
    let clear = json!({"clear": [1, 2, 3]});
    let pairs = [
        json!({"pair": "a", "differs": "an invention", "both": {"expected_any": clear},
            "one": {"expected": {"faithful": true}, "answer": "As it says."},
            "other": {"expected": {"faithful": false}, "answer": "Invented."}}),
        json!({"pair": "b", "differs": "a rude word", "both": {},
            "one": {"expected": {"tone": "kind"}, "answer": "So it is, dear."},
            "other": {"expected": {"tone": "rude"}, "answer": "So it is, fool."}}),
    ];
    place.write(PAIRS, pairs.map(|pair| pair.to_string() + "\n").concat());
    place
}

/// The keys of the answer that a request asks for, in their order.
fn keys(request: &Value) -> Vec<&str> {
    let required = &request["response_format"]["json_schema"]["schema"]["required"];
    required.as_array().unwrap().iter().map(|key| key.as_str().unwrap()).collect()
}

/// Answers every criterion that is asked for; `of` says what, by its name and its place.
fn answer(request: &Request, of: impl Fn(&str, usize) -> Value) -> Action {
    let body = request.json();
    let keys = keys(&body);
    if keys.contains(&"value") {
        let system = body["messages"][0]["content"].as_str().unwrap();
        let name =
            ["faithful", "clear", "tone"].into_iter().find(|name| system.contains(&format!("How {name} it is.")));
        return answers::verdict(of(name.unwrap(), 0));
    }
    let members = keys.iter().enumerate();
    let members = members.map(|(at, name)| ((*name).to_owned(), json!({"rationale": "So.", "value": of(name, at)})));
    answers::completion(&Value::Object(members.collect::<Map<_, _>>()).to_string())
}

fn says(request: &Request, words: &str) -> bool {
    request.json()["messages"].to_string().contains(words)
}

/// Right about inventions, blind for rudeness; how clear it finds an answer is the place at which it is asked.
fn judged(request: &Request) -> Action {
    answer(request, |name, at| match name {
        "faithful" => (!says(request, "Invented.")).into(),
        "clear" => (at + 1).into(),
        _ => "kind".into(),
    })
}

fn json_of(finished: &Finished) -> Value {
    serde_json::from_str(&finished.stdout).unwrap()
}

fn test(place: &Place, fake: &Fake, judge: &str, more: &[&str]) -> Finished {
    let base_url = fake.base_url();
    let args = ["judges", "test", judge, "-m", "e:/m", "--base-url", &base_url, "--format", "json"];
    place.run(args.iter().chain(more))
}

#[test]
fn a_rubric_is_tested_by_all_criteria_and_by_each() {
    for (calls, requests) in [("one", 4 * 5), ("each", 4 * 4 * 3)] {
        let place = place(calls);
        let fake = Fake::start(judged);
        let tested = json_of(&test(&place, &fake, "sum", &[]).exits_with(0));
        assert_eq!(fake.count(), requests, "{calls}");
        assert_eq!((&tested["judge"], &tested["model"], &tested["n"]), (&json!("sum"), &json!("e:/m"), &json!(4)));
        assert_eq!(tested["accuracy"]["estimate"], 0.75, "three of four traces, not five of six verdicts");
        assert_eq!((&tested["pairs"]["n"], &tested["pairs"]["count"]), (&json!(2), &json!(1)));
        assert_eq!(tested["wrong"].as_array().unwrap().len(), 1);
        let wrong = &tested["wrong"][0];
        assert_eq!((&wrong["criterion"], &wrong["trace_id"]), (&json!("tone"), &json!("b/other/plain")));
        let of = |name: &str| {
            let of = &tested["criteria"][name];
            let figures =
                [&of["n"], &of["n_failed"], &of["accuracy"]["estimate"], &of["pairs"]["n"], &of["pairs"]["count"]];
            figures.map(|figure| figure.as_f64().unwrap())
        };
        assert_eq!(of("faithful"), [2.0, 0.0, 1.0, 1.0, 1.0]);
        assert_eq!(of("clear"), [2.0, 0.0, 1.0, 0.0, 0.0], "no pair differs in it");
        assert_eq!(of("tone"), [2.0, 0.0, 0.5, 1.0, 0.0]);
        assert_eq!(tested["flips"]["placebo"]["count"], 0, "{tested:#}");
        assert_eq!(tested.get("digest").is_some(), calls == "one", "one request, one digest");
        assert!(tested["criteria"]["tone"]["digest"].is_string());
        if calls == "one" {
            assert_eq!((&tested["flips"]["order"]["n"], &tested["flips"]["order"]["count"]), (&json!(4), &json!(4)));
            let order = |name: &str| &tested["criteria"][name]["flips"]["order"]["count"];
            assert_eq!((order("clear"), order("faithful")), (&json!(4), &json!(0)));
        } else {
            assert_eq!(tested["flips"].get("order"), None, "there is none, and no documents");
        }
        test(&place, &fake, "sum", &["--fail-under", "0.8"]).exits_with(1);
        assert_eq!(fake.count(), requests, "the log has the verdicts");
    }
}

#[test]
fn a_criterion_is_a_judge_by_its_own_name() {
    let place = place("each");
    let fake = Fake::start(judged);
    let tested = json_of(&test(&place, &fake, "sum.faithful", &["--once"]).exits_with(0));
    assert_eq!((&tested["judge"], &tested["n"], tested.get("criteria")), (&json!("sum.faithful"), &json!(2), None));
    assert_eq!((&tested["pairs"]["n"], fake.count()), (&json!(1), 2), "what says nothing about it is not asked");
    test(&place, &fake, "sum.faithfull", &[]).exits_with(2).says(&["did you mean `sum.faithful`"]);
    // The same in a run, and in its replay.
    let works = ["-d", "traces.jsonl", "-J", "sum.tone", "-m", "e:/m", "--base-url", &fake.base_url(), "-q"];
    place.run(works).exits_with(0);
    let names: BTreeSet<String> =
        place.lines("traces.feedback.jsonl").iter().map(|record| record["name"].to_string()).collect();
    assert_eq!((names, fake.count()), (["\"sum.tone\"".to_owned()].into(), 6));
    place.run(["replay", "traces.feedback.jsonl", "-q"]).exits_with(0);
    place
        .run(works.iter().chain(&["--overwrite", "-o", JUDGE]))
        .exits_with(2)
        .says(&["refusing to overwrite the judge"]);
}

#[test]
fn what_a_suite_expects_is_checked_before_anything_is_asked() {
    let place = place("one");
    let fake = Fake::start(judged);
    let pair = |expected: &Value| {
        json!({"pair": "a", "differs": "d", "both": {}, "one": {"expected": expected, "answer": "x"},
            "other": {"expected": {"tone": "rude"}, "answer": "y"}})
    };
    for (expected, words) in [
        (json!({"tone": "polite"}), "line 1: `tone`: the verdict must be one of \"kind\", \"rude\""),
        (json!({"tune": "kind"}), "line 1: the rubric has no criterion `tune`, only `faithful`, `clear`, `tone`"),
        (json!("kind"), "line 1: `expected` of a rubric is an object"),
    ] {
        place.write(PAIRS, pair(&expected).to_string());
        test(&place, &fake, "sum", &[]).exits_with(2).says(&["sum.jsonl: ", words]);
    }
    place.write("judges/plain.toml", "[verdict]\ntype = \"boolean\"\n[prompt]\nuser = \"{{ answer | fence }}\"\n");
    place.write("judges/tests/plain.jsonl", pair(&json!(true)).to_string());
    test(&place, &fake, "plain", &[])
        .exits_with(2)
        .says(&["plain.jsonl: line 1: `expected`: the verdict must be true"]);
    assert_eq!(fake.count(), 0);
}

#[test]
fn people_label_a_rubric_by_criterion() {
    let place = place("one");
    let fake = Fake::start(judged);
    let labelled =
        |judge: &str| test(&place, &fake, judge, &["-d", "traces.jsonl", "--labels", "labels.csv", "--bar", "0.1"]);
    let row = |n: usize| format!("trace-{n},good,{}\n", if n < 2 { "kind" } else { "" });
    place.write("labels.csv", "trace_id,faithful,sum.tone\n".to_owned() + &(0..4).map(row).collect::<String>());
    let found = json_of(&labelled("sum").exits_with(1));
    let n = |name: &str| found["criteria"][name]["labels"]["n"].clone();
    assert_eq!((n("faithful"), n("tone"), &found["certified"]), (json!(4), json!(2), &json!(false)), "none is bad");
    assert_eq!((&found["judge"], found["criteria"].as_object().unwrap().len()), (&json!("sum"), 2));
    let alone = json_of(&labelled("sum.tone").exits_with(1));
    assert_eq!((&alone["judge"], &alone["labels"]["n"]), (&json!("sum.tone"), &json!(2)));
    place.write("labels.csv", "trace_id,label\ntrace-0,good\n");
    labelled("sum").exits_with(2).says(&["one for each criterion: faithful, clear, tone"]);
    labelled("sum.tone").exits_with(1);
}

#[test]
fn an_attack_turns_criteria_of_the_same_trace() {
    for calls in ["one", "each"] {
        let place = place(calls);
        // Obeys any order to ignore its instructions, as far as faithfulness is concerned.
        let fake = Fake::start(|request| {
            answer(request, |name, _| match name {
                "faithful" => says(request, "gnore all previous instructions").into(),
                "clear" => 4.into(),
                _ => "rude".into(),
            })
        });
        let base_url = fake.base_url();
        let args = ["judges", "attack", "sum", "-d", "traces.jsonl", "-m", "e:/m", "--base-url", &base_url];
        let report = json_of(&place.run(args.iter().chain(&["--format", "json"])).exits_with(0));
        assert_eq!((&report["judge"], &report["n_traces"]), (&json!("sum"), &json!(4)), "{report:#}");
        let turned = |of: &Value| of["families"]["override"]["count"].clone();
        let of = |name: &str| (&report["criteria"][name]["n_traces"], turned(&report["criteria"][name]));
        assert_eq!((turned(&report), of("faithful")), (json!(2), (&json!(4), json!(2))));
        assert_eq!(of("tone"), (&json!(4), json!(0)));
        assert_eq!((of("clear").0, &report["criteria"]["clear"]["n_already_good"]), (&json!(0), &json!(4)));
        assert!(report["flipped"].as_array().unwrap().iter().all(|turned| turned["criterion"] == "faithful"));
        assert!(fake.seen().iter().any(|request| says(request, "faithful: true, clear: 4, tone: kind")));
        // What differs is the pattern, not the order of the criteria.
        let mut orders: BTreeMap<usize, BTreeSet<Vec<String>>> = BTreeMap::new();
        for request in fake.seen() {
            let body = request.json();
            let keys = keys(&body).iter().map(|key| (*key).to_owned()).collect();
            orders.entry(request.trace()).or_default().insert(keys);
        }
        assert!(orders.len() == 4 && orders.values().all(|orders| orders.len() == 1), "{orders:?}");
        place.run(args.iter().chain(&["--fail-over", "0.05"])).exits_with(1).prints(&["by some criterion", "  tone"]);
    }
}

#[test]
fn the_number_of_requests_of_a_rubric_can_be_set() {
    let place = place("each");
    let fake = Fake::start(judged);
    let run = |set: &str, log: &str| {
        let base_url = fake.base_url();
        let args =
            ["-d", "traces.jsonl", "-J", "sum", "-m", "e:/m", "--base-url", &base_url, "-q", "--set", set, "-o", log];
        place.run(args)
    };
    run("sum.calls=one", "one.jsonl").exits_with(0);
    assert_eq!((fake.count(), place.lines("one.jsonl").len()), (4, 12));
    run("sum.calls=each", "each.jsonl").exits_with(0);
    assert_eq!(fake.count(), 4 + 12);
    run("sum.calls=some", "some.jsonl").exits_with(2).says(&["`calls` must be one or each"]);
}
