//! Verdicts that are lists of claims, and quotations that are looked up in what was judged.

use serde_json::{Value, json};

use crate::common::{Fake, Place, answers};

const LOG: &str = "traces.feedback.jsonl";
const CLAIMS: &str = "type = \"claims\"\nmarks = [\"supported\", \"wrong\"]\nvalue = \"supported / total\"\nmin = 0\nmax = 1\nbetter = \"higher\"\nthreshold = 0.8\nmax_items = 3";

/// A folder with a trace and a judge of this verdict.
fn place(verdict: &str) -> Place {
    let place = Place::new();
    let trace = json!({"trace_id": "t", "inputs": "q", "outputs": "Paris has “two million”\ninhabitants, and is old."});
    place.write("traces.jsonl", trace.to_string());
    let prompt = "[prompt]\nsystem = \"Judge.\"\nuser = \"{{ outputs | fence('answer') }}\"\n";
    place.write("own.toml", format!("[verdict]\n{verdict}\n{prompt}"));
    place
}

fn judge(place: &Place, answer: &str, more: &[&str]) -> (i32, Value, Value) {
    let answer = answer.to_owned();
    let fake = Fake::start(move |_| answers::completion(&answer));
    let args = ["-d", "traces.jsonl", "-J", "./own.toml", "--base-url", &fake.base_url(), "--re-ask", "0", "-q"];
    let run = place.run(args.iter().chain(more));
    let record = place.lines(LOG).pop().unwrap();
    (run.code.unwrap(), record, fake.seen()[0].json())
}

fn items(items: &[(&str, &str, &str)]) -> String {
    let items: Vec<_> =
        items.iter().map(|(text, quote, mark)| json!({"text": text, "quote": quote, "mark": mark})).collect();
    json!({ "items": items }).to_string()
}

#[test]
fn the_value_of_claims_is_computed_and_their_quotations_are_looked_up() {
    let place = place(CLAIMS);
    let answer = items(&[
        ("It is populous.", "Paris has \"two million\" inhabitants", "supported"),
        ("It is new.", "and is new", "wrong"),
    ]);
    let (code, record, request) = judge(&place, &answer, &[]);
    assert_eq!((code, &record["value"]), (0, &json!(0.5)));
    assert_eq!(record["rationale"], "supported: It is populous.\nwrong: It is new.");
    let metadata = &record["metadata"];
    assert_eq!((&metadata["evidence"], &metadata["evidence_missing"]), (&json!("1/2"), &json!("[\"and is new\"]")));
    assert_eq!((&metadata["good"], &metadata["scale"]), (&json!(">= 0.8"), &json!("0..1")));
    let kept: Value = serde_json::from_str(metadata["items"].as_str().unwrap()).unwrap();
    assert_eq!(kept[1], json!({"text": "It is new.", "quote": "and is new", "mark": "wrong"}));
    let item = &request["response_format"]["json_schema"]["schema"]["properties"]["items"]["items"];
    assert_eq!(item["properties"]["mark"]["enum"], json!(["supported", "wrong"]));
    place.run(["show", LOG, "t"]).exits_with(0).prints(&["evidence: 1/2 quotes found", "│ and is new"]);
}

#[test]
fn claims_that_are_no_list_are_no_verdict_and_nothing_is_guessed() {
    for (answer, error_code) in [
        ("Supported: 4 of 5, so 0.8".to_owned(), "UNPARSEABLE_VERDICT"),
        (format!("Here: {}", items(&[("a", "", "supported")])), "UNPARSEABLE_VERDICT"),
        (items(&[("a", "", "doubtful")]), "OUT_OF_RANGE"),
        (items(&[("a", "", "supported"); 4]), "OUT_OF_RANGE"),
        (items(&[]), "OUT_OF_RANGE"),
    ] {
        let (code, record, _) = judge(&place(CLAIMS), &answer, &[]);
        assert_eq!((code, &record["error"]["error_code"]), (4, &json!(error_code)), "{answer}: {record}");
        assert!(record["value"].is_null(), "{record}");
    }
    let (code, record, _) = judge(&place(&format!("{CLAIMS}\nempty = 1")), &items(&[]), &[]);
    assert_eq!((code, &record["value"], &record["metadata"]["evidence"]), (0, &json!(1.0), &json!("0/0")));
}

#[test]
fn any_judge_may_be_asked_for_quotations() {
    let verdict = "type = \"boolean\"\ngood = true\nevidence = true";
    let answer = json!({"quotes": ["and is old", "and is big"], "rationale": "so", "value": true}).to_string();
    let (code, record, request) = judge(&place(verdict), &answer, &[]);
    assert_eq!((code, &record["value"], &record["rationale"]), (0, &json!(true), &json!("so")));
    assert_eq!(record["metadata"]["evidence"], "1/2");
    let schema = &request["response_format"]["json_schema"]["schema"];
    assert_eq!(schema["required"], json!(["quotes", "rationale", "value"]));
    let (_, record, _) = judge(&place(verdict), "It is old.\nVerdict: true", &[]);
    assert_eq!((&record["value"], &record["metadata"]["evidence"]), (&json!(true), &json!("0/0")));
    let (_, record, _) = judge(&place("type = \"boolean\""), &answer, &[]);
    assert!(record["metadata"]["evidence"].is_null(), "{record}");
}

#[test]
fn the_simulator_fills_lists_of_claims() {
    let place = place(CLAIMS);
    let run = place.run(["-d", "traces.jsonl", "-J", "./own.toml", "--simulate", "-q"]);
    let record = place.lines(LOG).pop().unwrap();
    let is_share = record["value"].as_f64().is_some_and(|share| (0.0..=1.0).contains(&share));
    // No items have no value: what the simulator makes up decides.
    assert!(run.code == Some(0) && is_share || record["error"]["error_code"] == "OUT_OF_RANGE", "{record}");
}
