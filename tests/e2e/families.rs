//! Which comparisons are corrected together, and which of them gates are about.

use serde_json::{Value, json};

use crate::common::Place;

/// Who says what of each of a hundred traces, before and now.
type Said = (&'static str, &'static str, fn(usize) -> Value, fn(usize) -> Value);

const LLM: &str = "e:/m";
const RANKING: &str = "ranking:e:/m";

/// Two judges, one of them of documents, with figures of its rankings, and a panel of two.
const ALL: [Said; 8] = [
    ("safety", LLM, |n| json!(n < 60), |n| json!(n < 35)),
    ("found", LLM, |n| json!(n < 60), |n| json!(n < 55)),
    ("found.precision", RANKING, |_| json!(0.5), |n| json!(if n % 9 == 0 { 0.0 } else { 0.5 })),
    ("found.reciprocal_rank", RANKING, |_| json!(0.5), |n| json!(if n % 8 == 0 { 0.0 } else { 0.5 })),
    ("found.ndcg", RANKING, |_| json!(0.5), |n| json!(if n % 7 == 0 { 0.0 } else { 0.5 })),
    ("tone", "e:/a", |n| json!(n < 60), |n| json!(n < 56)),
    ("tone", "e:/b", |n| json!(n < 60), |n| json!(n < 57)),
    ("tone", "aggregate:majority", |n| json!(n < 60), |n| json!(n < 56)),
];

fn log(all: &[Said], of: impl Fn(&Said) -> fn(usize) -> Value) -> String {
    let record = |(group, said): (usize, &Said), n: usize| {
        let (name, source_id, ..) = said;
        let value = of(said)(n);
        let good = if value.is_boolean() { "true" } else { "higher" };
        let source_type = if source_id.starts_with("e:/") { "LLM_JUDGE" } else { "CODE" };
        let record = json!({
            "assessment_id": format!("a-{group:016x}{n:016x}"), "name": name, "trace_id": format!("t{n}"), "value": value,
            "source": {"source_type": source_type, "source_id": source_id},
            "metadata": {"run_id": "r", "judge_digest": "d", "good": good},
        });
        format!("{record}\n")
    };
    (0..100).flat_map(|n| all.iter().enumerate().map(move |said| (said, n))).map(|(said, n)| record(said, n)).collect()
}

fn compared(gates: &[&str]) -> Value {
    compared_of(&ALL, gates)
}

fn compared_of(all: &[Said], gates: &[&str]) -> Value {
    let place = Place::new();
    place.write("base.jsonl", log(all, |(.., before, _)| *before));
    place.write("new.jsonl", log(all, |(.., now)| *now));
    let gates = gates.iter().flat_map(|gate| ["--gate", gate]);
    let found = place.run(["compare", "base.jsonl", "new.jsonl", "--format", "json"].into_iter().chain(gates));
    serde_json::from_str(&found.stdout).unwrap()
}

fn of<'a>(report: &'a Value, name: &str) -> Vec<&'a Value> {
    report["comparisons"].as_array().unwrap().iter().filter(|comparison| comparison["name"] == name).collect()
}

/// The factor by which Holm corrects the smallest p-value: the size of its family.
fn family(comparison: &Value) -> f64 {
    (comparison["p_adjusted"].as_f64().unwrap() / comparison["p_value"].as_f64().unwrap()).round()
}

#[test]
fn figures_of_rankings_and_votes_are_a_family_of_their_own() {
    let report = compared(&[]);
    let secondary: Vec<_> = report["comparisons"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|comparison| comparison["secondary"] == true)
        .map(|comparison| (comparison["name"].as_str().unwrap(), comparison["source_id"].as_str().unwrap()))
        .collect();
    let expected = [
        ("found.precision", RANKING),
        ("found.reciprocal_rank", RANKING),
        ("found.ndcg", RANKING),
        ("tone", "e:/a"),
        ("tone", "e:/b"),
    ];
    assert_eq!(secondary, expected);
    assert_eq!(report["comparisons"].as_array().unwrap().len(), 8, "all are shown");
    assert_eq!(family(of(&report, "safety")[0]), 3.0, "with `found` and the aggregate of `tone`");
    assert_eq!(family(of(&report, "found.ndcg")[0]), 5.0, "the smallest of the five");
    assert_eq!(of(&report, "found.ndcg")[0]["outcome"], "worse");
}

#[test]
fn a_gate_makes_the_figure_that_it_names_one_of_the_judges() {
    let report = compared(&["found.ndcg no worse than baseline"]);
    assert_eq!(family(of(&report, "safety")[0]), 4.0);
    assert!(of(&report, "found.ndcg")[0]["secondary"].is_null());
    let gates = report["gates"].as_array().unwrap();
    assert_eq!((gates.len(), &gates[0]["outcome"]), (1, &json!("fail")));
}

#[test]
fn gates_are_about_verdicts_and_not_about_votes() {
    let gates = |gate: &str| compared(&[gate])["gates"].as_array().unwrap().len();
    assert_eq!(gates("no worse than baseline"), 3);
    assert_eq!(gates("tone no worse than baseline"), 1);
}

#[test]
fn what_people_agree_on_is_no_panel_that_would_hide_the_judge_from_gates() {
    let place = Place::new();
    let judge =
        log(&ALL, |(.., now)| *now).lines().filter(|line| line.contains("\"safety\"")).collect::<Vec<_>>().join("\n");
    let agreed = json!({
        "assessment_id": format!("a-{:032x}", u128::MAX), "name": "safety", "trace_id": "t1", "value": true,
        "source": {"source_type": "CODE", "source_id": "aggregate:majority"}, "metadata": {"votes": "{\"anna\":true,\"ben\":true}"},
    });
    place.write("log.jsonl", format!("{judge}\n{agreed}\n"));
    place.run(["report", "log.jsonl", "--fail-under", "0.3"]).exits_with(0);
    place.run(["report", "log.jsonl", "--fail-under", "0.9"]).exits_with(1);
}

/// A rubric of two criteria that come to one, and another judge.
const RUBRIC: [Said; 4] = [
    ("safety", LLM, |n| json!(n < 60), |n| json!(n < 35)),
    ("sum.clear", LLM, |n| json!(n < 60), |n| json!(n < 50)),
    ("sum.faithful", LLM, |n| json!(n < 60), |n| json!(n < 55)),
    ("sum", "aggregate:all", |n| json!(n < 60), |n| json!(n < 40)),
];

#[test]
fn the_criteria_of_a_rubric_are_of_the_other_family_where_what_they_come_to_is_compared() {
    let secondary = |all: &[Said], gates: &[&str]| -> Vec<String> {
        let report = compared_of(all, gates);
        let all = report["comparisons"].as_array().unwrap().iter();
        all.filter(|of| of["secondary"] == true).map(|of| of["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(secondary(&RUBRIC, &[]), ["sum.clear", "sum.faithful"]);
    assert_eq!(family(of(&compared_of(&RUBRIC, &[]), "safety")[0]), 2.0, "with the rubric");
    assert_eq!(secondary(&RUBRIC[..3], &[]), [""; 0]);
    assert_eq!(secondary(&RUBRIC, &["sum.clear no worse than baseline"]), ["sum.faithful"]);
    let gates = |gate: &str| compared_of(&RUBRIC, &[gate])["gates"].as_array().unwrap().len();
    assert_eq!([gates("no worse than baseline"), gates("pass >= 0.1"), gates("sum.clear.pass >= 0.1")], [2, 2, 1]);
}
