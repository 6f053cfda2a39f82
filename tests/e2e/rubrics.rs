//! Several criteria in one request: one record for each.

use serde_json::{Map, Value, json};

use crate::common::{Fake, Finished, Place, answers};

const LOG: &str = "traces.feedback.jsonl";

/// A folder with traces and a rubric of three criteria.
fn place(traces: usize, more: &str) -> Place {
    let place = Place::with_traces(traces);
    let criteria = "[[criteria]]\nname = \"faithful\"\ndescription = \"Says nothing that the source lacks.\"\n\
                    verdict = { type = \"boolean\", good = true }\n\
                    [[criteria]]\nname = \"clear\"\ndescription = \"1 = unclear, 4 = clear.\"\n\
                    verdict = { type = \"integer\", min = 1, max = 4, better = \"higher\" }\n\
                    [[criteria]]\nname = \"tone\"\ndescription = \"Kind or rude.\"\n\
                    verdict = { type = \"category\", labels = [\"kind\", \"rude\"], good = [\"kind\"] }\n";
    let prompt = "[prompt]\nsystem = \"Judge.\"\nuser = \"{{ outputs | fence('answer') }}\"\n";
    place.write("sum.toml", format!("[verdict]\ntype = \"rubric\"\n{more}\n{criteria}{prompt}"));
    place
}

fn judge(place: &Place, fake: &Fake, more: &[&str]) -> Finished {
    let args = ["-d", "traces.jsonl", "-J", "./sum.toml", "--base-url", &fake.base_url(), "-q"];
    place.run(args.iter().chain(more))
}

/// The keys of the answer that a request asks for, in their order.
fn keys(request: &Value) -> Vec<String> {
    let required = &request["response_format"]["json_schema"]["schema"]["required"];
    required.as_array().unwrap().iter().map(|key| key.as_str().unwrap().to_owned()).collect()
}

/// An answer with these criteria.
fn answer(of: &[(&str, Value)]) -> String {
    let of = of
        .iter()
        .map(|(name, value)| ((*name).to_owned(), json!({"rationale": format!("So {name}."), "value": value})));
    Value::Object(of.collect::<Map<_, _>>()).to_string()
}

fn whole() -> String {
    answer(&[("faithful", json!(true)), ("clear", json!(3)), ("tone", json!("rude"))])
}

fn named<'a>(records: &'a [Value], name: &str) -> &'a Value {
    records.iter().rfind(|record| record["name"] == name).unwrap()
}

#[test]
fn one_request_gives_a_record_for_each_criterion() {
    let place = place(1, "");
    let fake = Fake::start(|_| answers::completion(&whole()));
    judge(&place, &fake, &["--keep-answers"]).exits_with(0);
    let records = place.lines(LOG);
    assert_eq!((fake.seen().len(), records.len()), (1, 3));
    for (name, value, good) in [
        ("sum.faithful", json!(true), "true"),
        ("sum.clear", json!(3), "higher"),
        ("sum.tone", json!("rude"), "[\"kind\"]"),
    ] {
        let record = named(&records, name);
        assert_eq!((&record["value"], &record["metadata"]["good"]), (&value, &json!(good)), "{record}");
        assert_eq!(record["metadata"]["judge_prompt"], "prompts:/sum/1");
    }
    assert_eq!(named(&records, "sum.clear")["rationale"], "So clear.");
    // The tokens and time of the answer are reported once.
    let payers: Vec<_> = records.iter().filter(|record| record["metadata"]["input_tokens"] == "100").collect();
    assert_eq!(payers.len(), 1);
    let riders: Vec<_> = records.iter().filter(|record| record["metadata"]["attempts"].is_null()).collect();
    assert_eq!(riders.len(), 2);
    assert!(riders.iter().all(|record| record["metadata"]["asked_with"] == payers[0]["assessment_id"]));
    judge(&place, &fake, &[]).exits_with(0);
    assert_eq!((fake.seen().len(), place.lines(LOG).len()), (1, 3), "all of it is there");
    judge(&place, &fake, &["--gate", "sum.clear.mean >= 3", "--gate", "sum.faithful.pass >= 1"]).exits_with(0);
}

#[test]
fn what_an_answer_lacks_is_asked_again_and_the_rest_is_kept() {
    let place = place(1, "");
    let part = answer(&[("faithful", json!(true)), ("tone", json!("polite"))]);
    let fake =
        Fake::start(move |request| answers::completion(&if request.number == 0 { part.clone() } else { whole() }));
    judge(&place, &fake, &[]).exits_with(3);
    let first = place.lines(LOG);
    assert_eq!((fake.seen().len(), first.len()), (1, 3), "a verdict that is there is not asked for again");
    assert_eq!(named(&first, "sum.faithful")["value"], true);
    assert_eq!(named(&first, "sum.clear")["error"]["error_code"], "UNPARSEABLE_VERDICT");
    assert_eq!(named(&first, "sum.tone")["error"]["error_code"], "OUT_OF_RANGE");
    judge(&place, &fake, &[]).exits_with(0);
    let records = place.lines(LOG);
    assert_eq!((fake.seen().len(), records.len()), (2, 5));
    assert!(records[3..].iter().all(|record| record["name"] != "sum.faithful"));
    assert_eq!(named(&records, "sum.clear")["value"], 3);
    // One of the two was asked, and paid for, with the other.
    let payers = records[3..].iter().filter(|record| record["metadata"]["input_tokens"] == "100").count();
    assert_eq!(payers, 1);
}

#[test]
fn a_failure_of_the_request_is_one_of_every_criterion() {
    let place = place(1, "");
    let fake = Fake::start(|_| answers::error(424, "invalid_value", "Not today."));
    judge(&place, &fake, &[]).exits_with(4);
    let records = place.lines(LOG);
    let codes: Vec<_> = records.iter().map(|record| record["error"]["error_code"].as_str().unwrap()).collect();
    assert_eq!((codes.len(), fake.seen().len()), (3, 1));
    assert!(codes.iter().all(|code| *code == codes[0]), "{codes:?}");
}

#[test]
fn the_order_of_criteria_differs_from_trace_to_trace_unless_it_is_fixed() {
    let of = |more: &str| {
        let place = place(12, more);
        let fake = Fake::start(|_| answers::completion(&whole()));
        judge(&place, &fake, &[]).exits_with(0);
        let mut orders: Vec<_> = fake.seen().iter().map(|request| keys(&request.json())).collect();
        orders.sort();
        orders.dedup();
        orders
    };
    assert_eq!(of("").len(), 3);
    assert_eq!(of("order = \"fixed\""), [["faithful", "clear", "tone"]]);
}

#[test]
fn criteria_may_have_a_request_each() {
    let place = place(1, "calls = \"each\"");
    let fake = Fake::start(|request| {
        let schema = request.json()["response_format"]["json_schema"]["schema"]["properties"]["value"].clone();
        answers::verdict(match schema["type"].as_str() {
            Some("boolean") => json!(true),
            Some("integer") => json!(2),
            _ => json!("kind"),
        })
    });
    judge(&place, &fake, &[]).exits_with(0);
    let records = place.lines(LOG);
    assert_eq!((fake.seen().len(), records.len()), (3, 3));
    assert_eq!(named(&records, "sum.clear")["value"], 2);
    let system = |n: usize| fake.seen()[n].json()["messages"][0]["content"].as_str().unwrap().to_owned();
    assert_eq!((0..3).filter(|n| system(*n).contains("Criterion: Kind or rude.")).count(), 1);
}

#[test]
fn a_dry_run_counts_the_requests_and_a_replay_asks_the_rubric_again() {
    let place = place(2, "");
    let fake = Fake::start(|request| match request.number {
        0 | 1 => answers::error(424, "invalid_value", "Not today."),
        _ => answers::completion(&whole()),
    });
    judge(&place, &fake, &[]).exits_with(4);
    place.run(["replay", LOG, "-q"]).exits_with(0);
    assert_eq!(fake.seen().len(), 4);
    let dry = ["-d", "traces.jsonl", "-J", "./sum.toml", "-o", "x.jsonl", "--dry-run"];
    place.run(dry).exits_with(0).prints(&["sum.faithful", "requests       2", "requests       0"]);
}

#[test]
fn a_rubric_is_checked_before_anything_is_asked() {
    for (text, words) in [
        ("[verdict]\ntype = \"rubric\"", "a rubric has 2 to 20 [[criteria]]"),
        ("[verdict]\ntype = \"boolean\"\ncalls = \"one\"", "`calls` requires type = \"rubric\""),
        ("[verdict]\ntype = \"rubric\"\ngood = true", "a rubric has no verdict itself"),
    ] {
        let place = Place::with_traces(1);
        place.write("sum.toml", format!("{text}\n[prompt]\nuser = \"{{{{ outputs }}}}\"\n"));
        place.run(["-d", "traces.jsonl", "-J", "./sum.toml", "--simulate"]).exits_with(2).says(&[words]);
    }
}
