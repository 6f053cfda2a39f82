//! Progress that programs read.

use serde_json::{Value, json};

use crate::common::{Fake, Place, answers};

#[test]
fn progress_as_json_is_one_object_a_line_and_the_last_has_the_result() {
    let place = Place::with_traces(6);
    let fake = Fake::start(|request| match request.trace() {
        0 => answers::error(424, "invalid_value", "Not today."),
        trace => answers::verdict(trace != 1),
    });
    let args = ["--progress", "json", "--rpm", "6000", "--max-tokens-total", "1000000"];
    let finished = place.judge(&fake.base_url(), &args).run().exits_with(3);
    let lines: Vec<Value> = finished
        .stderr
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let last = lines.last().unwrap();
    assert_eq!(last["state"], "ended");
    assert!(lines[..lines.len() - 1].iter().all(|line| line["state"] == "running"));
    assert_eq!(last["judgments"], json!({"done": 6, "expected": 6, "is_exact": true}));
    assert_eq!((&last["failed"], &last["in_flight"]), (&json!({"INVALID_REQUEST": 1}), &json!(0)));
    let pass = &last["pass"][0];
    assert_eq!((&pass["name"], &pass["n"], &pass["estimate"]), (&json!("safety"), &json!(5), &json!(0.8)));
    let lane = &last["lanes"][0];
    assert_eq!((&lane["requests_last_minute"], &lane["rpm"]), (&json!(6), &json!(6000)));
    assert_eq!(last["tokens"]["max"], 1_000_000);
    let silent = place.judge(&fake.base_url(), &["--progress", "json", "-q"]).run();
    assert!(!silent.stderr.contains("\"state\""), "{}", silent.stderr);
}
