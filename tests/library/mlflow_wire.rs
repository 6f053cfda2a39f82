//! Assessments that real MLflow servers and clients wrote survive being read and written again.

use std::collections::BTreeSet;

use judge_run::feedback::Feedback;
use judge_run::feedback::forms::{Form, Input, TableOptions, convert};
use judge_run::feedback::wire::{Assessment, Wire};
use serde_json::{Value, json};

const TO_DICTIONARY: &str = include_str!("../fixtures/mlflow/3.17.2/assessments.to_dictionary.jsonl");
const REST_GET: &str = include_str!("../fixtures/mlflow/3.17.2/assessments.rest_get.jsonl");
/// Bodies of requests and answers of POST, PATCH and GET, where they hold a whole assessment.
const REST_EXCHANGE: &str = include_str!("../fixtures/mlflow/3.17.2/assessments.rest_exchange.jsonl");

/// Every assessment of the fixtures, without what is around it.
fn assessments() -> Vec<Value> {
    let lines = [TO_DICTIONARY, REST_GET, REST_EXCHANGE].into_iter().flat_map(str::lines);
    let values = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
    let bare: Vec<_> = values.map(|value| value.get("assessment").cloned().unwrap_or(value)).collect();
    assert_eq!(bare.len(), 23 + 23 + 96, "the fixtures are whole");
    bare
}

fn feedbacks() -> Vec<Value> {
    assessments().into_iter().filter(|assessment| assessment.get("feedback").is_some()).collect()
}

/// JSON text inside `serialized_value` as the value that it represents: its spaces have no meaning.
fn meaning(mut assessment: Value) -> Value {
    if let Some(Value::String(text)) = assessment.pointer("/expectation/serialized_value/value") {
        let value: Value = serde_json::from_str(text).unwrap();
        assessment["expectation"]["serialized_value"]["value"] = value;
    }
    assessment
}

/// The pointers of all places where two values differ, with what is there before and after.
fn differences(path: &str, before: Option<&Value>, after: Option<&Value>, found: &mut BTreeSet<String>) {
    match (before, after) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let keys: BTreeSet<_> = a.keys().chain(b.keys()).collect();
            for key in keys {
                differences(&format!("{path}/{key}"), a.get(key), b.get(key), found);
            }
        }
        (a, b) if a == b => {}
        (a, b) => {
            let text = |value: Option<&Value>| value.map_or("absent".to_owned(), Value::to_string);
            found.insert(format!("{path}: {} -> {}", text(a), text(b)));
        }
    }
}

#[test]
fn every_assessment_is_written_as_it_was_read() {
    let mut found = BTreeSet::new();
    for before in assessments() {
        let read: Assessment =
            serde_json::from_value(before.clone()).unwrap_or_else(|error| panic!("{error}: {before}"));
        let written = serde_json::to_value(&read).unwrap();
        differences("", Some(&meaning(before)), Some(&meaning(written)), &mut found);
    }
    assert_eq!(found, BTreeSet::new(), "all that may differ");
}

#[test]
fn what_a_client_left_out_is_said() {
    // `Feedback.to_dictionary()` always says `valid` and the times, and `from_dictionary()` wants the times; a hand-written body may
    // have neither.
    let read: Assessment = serde_json::from_value(json!({"assessment_name": "n", "feedback": {"value": 1}})).unwrap();
    assert_eq!(
        serde_json::to_value(&read).unwrap(),
        json!({"assessment_name": "n", "source": {"source_type": "SOURCE_TYPE_UNSPECIFIED"},
            "create_time": "1970-01-01T00:00:00.000Z", "last_update_time": "1970-01-01T00:00:00.000Z",
            "feedback": {"value": 1}, "valid": true})
    );
}

#[test]
fn feedback_is_read_in_every_form_and_the_flat_one_is_a_fixed_point() {
    for wire in feedbacks() {
        let from_wire = Feedback::from_json(&wire.to_string()).unwrap();
        let enveloped = Feedback::from_json(&json!({"assessment": wire}).to_string()).unwrap();
        assert_eq!(enveloped, from_wire);

        let flat = serde_json::to_string(&from_wire).unwrap();
        let from_flat = Feedback::from_json(&flat).unwrap();
        assert_eq!(from_flat, from_wire, "{flat}");

        let back = serde_json::to_string(&Wire(&from_flat)).unwrap();
        let through_wire = Feedback::from_json(&back).unwrap();
        assert_eq!(serde_json::to_string(&through_wire).unwrap(), flat);
    }
}

#[test]
fn the_flat_form_loses_nothing_of_the_wire_form() {
    for wire in feedbacks() {
        let feedback = Feedback::from_json(&wire.to_string()).unwrap();
        let flat = serde_json::to_value(&feedback).unwrap();
        for (flat_key, wire_path) in [
            ("assessment_id", "/assessment_id"),
            ("name", "/assessment_name"),
            ("rationale", "/rationale"),
            ("source", "/source"),
            ("metadata", "/metadata"),
            ("trace_id", "/trace_id"),
            ("span_id", "/span_id"),
            ("overrides", "/overrides"),
            ("valid", "/valid"),
            ("error", "/feedback/error"),
        ] {
            assert_eq!(flat.get(flat_key), wire.pointer(wire_path), "{flat_key} of {wire}");
        }
        // A null value next to an error is not a verdict; MLflow also allows a real value next to one.
        let no_verdict =
            wire.pointer("/feedback/error").is_some() && wire.pointer("/feedback/value") == Some(&Value::Null);
        let value = wire.pointer("/feedback/value").filter(|_| !no_verdict);
        assert_eq!(flat.get("value"), value, "{wire}");
        for (ms, rfc3339) in [("create_time_ms", "create_time"), ("last_update_time_ms", "last_update_time")] {
            let time: jiff::Timestamp = wire[rfc3339].as_str().unwrap().parse().unwrap();
            assert_eq!(flat[ms], time.as_millisecond(), "{wire}");
        }
    }
}

fn converted(text: String, to: Form) -> String {
    let input = Input::of_reader(Box::new(std::io::Cursor::new(text)), None).unwrap();
    let mut out = Vec::new();
    convert(input, to, true, &mut TableOptions::default(), &mut out, &mut |line, reason| panic!("{line}: {reason}"))
        .unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_table_of_them_loses_nothing() {
    let wire: String = feedbacks().into_iter().map(|feedback| format!("{feedback}\n")).collect();
    let flat = converted(wire, Form::Jsonl);
    assert!(flat.lines().count() > 40, "{}", flat.lines().count());
    for form in [Form::Csv, Form::Mlflow] {
        assert_eq!(converted(converted(flat.clone(), form), Form::Jsonl), flat, "{form}");
    }
}

#[test]
fn every_key_that_from_dictionary_wants_is_there() {
    for record in [json!({"name": "n", "value": null}), json!({"name": "n", "error": {"error_code": "TIMEOUT"}})] {
        let feedback = Feedback::from_json(&record.to_string()).unwrap();
        let wire = serde_json::to_value(Wire(&feedback)).unwrap();
        for key in ["assessment_name", "source", "create_time", "last_update_time", "feedback"] {
            assert!(!wire[key].is_null(), "{key}: {wire}");
        }
        assert_eq!(wire["source"]["source_type"], "SOURCE_TYPE_UNSPECIFIED");
        assert_eq!(wire["feedback"].get("value"), Some(&Value::Null));
    }
}
