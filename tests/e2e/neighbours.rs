//! Feedback to Phoenix and Langfuse.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::common::{Fake, Place, answers};

/// A log of two verdicts and a failure.
fn log() -> (Place, Fake) {
    let place = Place::with_traces(3);
    let judge = Fake::start(|request| match request.trace() {
        2 => answers::error(400, "invalid_request", "no"),
        i => answers::verdict(i == 0),
    });
    let args = ["-o", "log.jsonl", "-m", "mine:/m"];
    place.judge(&judge.base_url(), &args).run().exits_with(3);
    (place, judge)
}

#[test]
fn phoenix_gets_annotations_and_one_that_is_about_nothing_fails_alone() {
    let (place, _judge) = log();
    let kept = std::sync::Arc::new(Mutex::new(BTreeMap::<String, Value>::new()));
    let shared = std::sync::Arc::clone(&kept);
    let phoenix = Fake::start(move |request| {
        assert!(request.line.starts_with("POST /v1/v1/trace_annotations?sync=true "), "{}", request.line);
        let body = request.json();
        let data = body["data"].as_array().unwrap();
        if data.iter().any(|one| one["trace_id"] == "trace-1") {
            return answers::raw(404, &[], "Traces with IDs trace-1 do not exist.");
        }
        let key = |one: &Value| format!("{} {} {}", one["trace_id"], one["name"], one["identifier"]);
        shared.lock().unwrap().extend(data.iter().map(|one| (key(one), one.clone())));
        answers::response(200, &[], &json!({"data": []}))
    });
    let url = phoenix.base_url();
    let args = ["phoenix", "push", "log.jsonl", "--url", &url];
    place.run(args).exits_with(3).prints(&["3 records", "2  sent", "1  not sent: HTTP 404"]);
    place.run(args).exits_with(3);
    let kept = kept.lock().unwrap();
    assert_eq!(kept.len(), 2, "the same again replaces it");
    let first = &kept["\"trace-0\" \"safety\" \"judge-run mine:/m\""];
    assert_eq!((&first["result"]["label"], &first["result"]["score"]), (&json!("true"), &json!(1.0)));
    let failed = &kept["\"trace-2\" \"safety\" \"judge-run mine:/m\""];
    assert_eq!((&failed["metadata"]["error_code"], failed["result"].get("score")), (&json!("INVALID_REQUEST"), None));
}

#[test]
fn langfuse_gets_scores_under_the_same_id_each_time() {
    let (place, _judge) = log();
    let langfuse = Fake::start(|request| {
        if request.header("authorization") != Some("Basic cGstMTpzay1sZi1zZWNyZXQ=") {
            return answers::raw(401, &[], request.header("authorization").unwrap());
        }
        answers::response(200, &[], &json!({"id": request.json()["id"]}))
    });
    let url = langfuse.base_url();
    let push = |secret: &str| {
        let command = place.command(["langfuse", "push", "log.jsonl", "--url", &url]);
        command.env("LANGFUSE_PUBLIC_KEY", "pk-1").env("LANGFUSE_SECRET_KEY", secret).run()
    };
    for _ in 0..2 {
        push("sk-lf-secret").exits_with(0).prints(&["2  sent", "1  left out: failures"]);
    }
    let seen = langfuse.seen();
    assert!(seen.iter().all(|request| request.line.starts_with("POST /v1/api/public/scores ")));
    assert_eq!((seen.len(), seen[0].json()), (4, seen[2].json()));
    assert_eq!((&seen[0].json()["traceId"], &seen[0].json()["dataType"]), (&json!("trace-0"), &json!("BOOLEAN")));
    let refused = push("sk-lf-secret-2").exits_with(4).says(&["401", "LANGFUSE_SECRET_KEY"]);
    assert!(!refused.stderr.contains("cGstMTpzay1sZi1zZWNyZXQ"), "{}", refused.stderr);
    place.run(["langfuse", "push", "log.jsonl"]).exits_with(2).says(&["LANGFUSE_HOST"]);
}
