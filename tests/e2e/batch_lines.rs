//! What is submitted to batch APIs, compared withOpenAI's own document.

use std::collections::BTreeSet;

use judge_run::judge::library;
use serde_json::{Value, json};

use crate::common::{Fake, Place, answers};
use crate::requests::{OWN_JUDGES, assert_valid, openai, own_judge};

/// The forms of verdicts that one schema of a value does not cover, and what changes a request further.
const OTHER_JUDGES: &[(&str, &str)] = &[
    ("labels", "type = \"category\"\nlabels = [\"none\", \"a\", \"b\"]\nmultiple = true\n"),
    ("unknown", "type = \"boolean\"\nunknown = true\n"),
    ("quotes", "type = \"boolean\"\nevidence = true\n"),
    ("claims", "type = \"claims\"\nmarks = [\"right\", \"wrong\"]\nvalue = \"right / total\"\nmin = 0\nmax = 1\n"),
    (
        "rubric",
        "type = \"rubric\"\n[[criteria]]\nname = \"first\"\ndescription = \"One.\"\nverdict = { type = \"boolean\" }\n\
         [[criteria]]\nname = \"second\"\ndescription = \"Two.\"\nverdict = { type = \"integer\", min = 1, max = 4 }\n",
    ),
];

#[test]
fn every_line_of_every_form_of_verdict_is_a_request_that_openai_documents() {
    let place = Place::new();
    place.write("traces.jsonl", include_str!("../../datasets/quickstart.jsonl"));
    let mut args = vec!["batch", "export", "-d", "traces.jsonl", "-m", "openai:/gpt-4.1-mini", "--to", "requests"];
    let others = ["type = \"code\"", "unit = \"pair\""];
    let of_models = library::BUILT_IN.iter().filter(|(_, text)| !others.iter().any(|line| text.contains(line)));
    let own: Vec<_> = OWN_JUDGES.iter().chain(OTHER_JUDGES).map(|(name, _)| format!("{name}.toml")).collect();
    for (name, verdict) in OWN_JUDGES.iter().chain(OTHER_JUDGES) {
        place.write(&format!("{name}.toml"), own_judge(verdict));
    }
    for judge in of_models.map(|(name, _)| *name).chain(own.iter().map(String::as_str)) {
        args.extend(["-J", judge]);
    }
    place.command(args).env("OPENAI_API_KEY", "sk-test-1234").run().exits_with(5);

    let openai = openai("CreateChatCompletionRequest");
    let (mut ids, mut schemas) = (BTreeSet::new(), BTreeSet::new());
    for file in std::fs::read_dir(place.path("requests")).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            // A line of the input file, as the Batch API reference describes it.
            let names: BTreeSet<_> = line.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(names, BTreeSet::from(["body", "custom_id", "method", "url"]));
            assert_eq!((&line["method"], &line["url"]), (&json!("POST"), &json!("/v1/chat/completions")));
            let id = line["custom_id"].as_str().unwrap();
            // Anthropic's form of it, the narrowest.
            assert!(id.len() <= 64 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'), "{id}");
            assert!(ids.insert(id.to_owned()), "twice: {id}");
            assert_valid(&openai, &line["body"]);
            assert_eq!(line["body"].get("stream"), None);
            schemas.insert(line["body"]["response_format"]["json_schema"]["schema"].to_string());
        }
    }
    assert!(ids.len() > 400 && schemas.len() > 15, "{} lines, {} schemas", ids.len(), schemas.len());
}

#[test]
fn a_submission_is_one_that_openai_documents() {
    let ok = |body: Value| answers::response(200, &[], &body);
    let fake = Fake::start(move |request| match request.line.as_str() {
        "POST /v1/files HTTP/1.1" => ok(json!({"id": "file-1"})),
        "POST /v1/batches HTTP/1.1" => ok(json!({"id": "batch_1"})),
        "GET /v1/batches/batch_1 HTTP/1.1" => ok(json!({"id": "batch_1", "status": "in_progress"})),
        _ => answers::verdict(true),
    });
    let place = Place::with_traces(2);
    place.judge(&fake.base_url(), &["--batch", "--detach"]).run().exits_with(5);
    let submitted = fake.seen().into_iter().find(|request| request.line.starts_with("POST /v1/batches ")).unwrap();
    assert_valid(&openai("CreateBatchRequest"), &submitted.json());
    assert_eq!(submitted.json()["metadata"].as_object().unwrap().len(), 1);
}
