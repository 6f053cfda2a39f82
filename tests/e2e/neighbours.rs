//! Feedback to Phoenix and Langfuse, and people's from there.

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

/// What the log has of people: trace, span, value and who said it; what was overridden is left out.
fn of_people(place: &Place) -> Vec<(String, Option<String>, Value, String)> {
    let lines = place.lines("log.jsonl");
    let overridden: Vec<_> = lines.iter().filter_map(|line| line["overrides"].as_str()).collect();
    let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
    lines
        .iter()
        .filter(|line| line["source"]["source_type"] == "HUMAN")
        .filter(|line| !overridden.contains(&line["assessment_id"].as_str().unwrap()))
        .map(|line| {
            let who = text(&line["source"]["source_id"]).unwrap();
            (text(&line["trace_id"]).unwrap(), text(&line["span_id"]), line["value"].clone(), who)
        })
        .collect()
}

#[test]
fn peoples_scores_come_from_langfuse_each_once_and_a_changed_one_takes_its_place() {
    let (place, _judge) = log();
    let helpful = std::sync::Arc::new(Mutex::new(json!(true)));
    let shared = std::sync::Arc::clone(&helpful);
    // Version 3 of the API, which pages with a cursor, as in Langfuse's specification.
    let score = |id: &str, value: &Value, subject: Value| {
        json!({"id": id, "projectId": "p", "name": "helpful", "value": value, "dataType": "BOOLEAN", "source": "ANNOTATION",
            "timestamp": "2026-01-05T10:00:00.000Z", "createdAt": "2026-01-05T10:00:00.000Z", "updatedAt": "2026-01-05T10:00:00.000Z",
            "environment": "default", "comment": "so", "configId": null, "metadata": {}, "authorUserId": "u1", "queueId": null,
            "subject": subject})
    };
    let langfuse = Fake::start(move |request| {
        let query = request.line.split_once('?').unwrap().1.to_owned();
        assert!(request.line.starts_with("GET /v1/api/public/v3/scores?") && query.contains("source=ANNOTATION"));
        let (data, cursor) = match query.contains("cursor=next") {
            false => (score("1", &shared.lock().unwrap(), json!({"kind": "trace", "id": "trace-0"})), json!("next")),
            true => (
                score("2", &json!(false), json!({"kind": "observation", "id": "o", "traceId": "trace-1"})),
                Value::Null,
            ),
        };
        let elsewhere = score("3", &json!(true), json!({"kind": "trace", "id": "elsewhere"}));
        let session = score("4", &json!(true), json!({"kind": "session", "id": "s"}));
        answers::response(
            200,
            &[],
            &json!({"data": [data, elsewhere, session], "meta": {"limit": 100, "cursor": cursor}}),
        )
    });
    let url = langfuse.base_url();
    let pull = || place.run(["langfuse", "pull-feedback", "log.jsonl", "--url", &url]).exits_with(0);
    pull().prints(&["2 records from people about 3 traces"]);
    pull().prints(&["0 records from people"]);
    let span = |text: &str| Some(text.to_owned());
    let (first, second) = ("trace-0".to_owned(), "trace-1".to_owned());
    let said = |value: bool| {
        [
            (first.clone(), None, json!(value), "u1".to_owned()),
            (second.clone(), span("o"), json!(false), "u1".to_owned()),
        ]
    };
    assert_eq!(of_people(&place), said(true));
    *helpful.lock().unwrap() = json!(false);
    pull().prints(&["1 record from people"]);
    let mut now = of_people(&place);
    now.sort_by_key(|one| one.0.clone());
    assert_eq!(now, said(false));
}

#[test]
fn a_langfuse_server_of_before_the_cursor_is_asked_page_by_page() {
    let (place, _judge) = log();
    let langfuse = Fake::start(|request| {
        let Some(query) = request.line.strip_prefix("GET /v1/api/public/v2/scores?") else {
            return answers::raw(404, &[], "<!DOCTYPE html><title>404: This page could not be found</title>");
        };
        let page = if query.contains("page=2") { 2 } else { 1 };
        let score = json!({"id": page.to_string(), "traceId": format!("trace-{page}"), "observationId": null, "name": "stars", "value": 4,
            "dataType": "NUMERIC", "source": "ANNOTATION", "authorUserId": "u1", "comment": null, "timestamp": "2026-01-05T10:00:00.000Z"});
        let meta = json!({"page": page, "limit": 100, "totalItems": 2, "totalPages": 2});
        answers::response(200, &[], &json!({"data": [score], "meta": meta}))
    });
    let url = langfuse.base_url();
    place
        .run(["langfuse", "pull-feedback", "log.jsonl", "--url", &url])
        .exits_with(0)
        .prints(&["2 records from people"]);
    assert_eq!(of_people(&place).iter().map(|one| one.0.as_str()).collect::<Vec<_>>(), ["trace-1", "trace-2"]);
}

#[test]
fn peoples_annotations_of_traces_and_spans_come_from_phoenix_and_what_was_pushed_does_not() {
    let (place, _judge) = log();
    let annotation = |about: (&str, &str), kind: &str, identifier: &str| {
        json!({"id": "a", about.0: about.1, "name": "helpful", "annotator_kind": kind, "identifier": identifier, "source": "APP",
            "result": {"label": "yes", "score": 1.0, "explanation": "so"}, "metadata": {}, "user_id": null,
            "created_at": "2026-01-05T10:00:00+00:00", "updated_at": "2026-01-05T10:00:00+00:00"})
    };
    let phoenix = Fake::start(move |request| {
        let path = request.line.split(' ').nth(1).unwrap().to_owned();
        let list = |data: Value| answers::response(200, &[], &json!({"data": data, "next_cursor": null}));
        let path = path.strip_prefix("/v1/v1/projects/").unwrap();
        match path.split('?').next().unwrap() {
            "bot" => answers::response(200, &[], &json!({"data": {"id": "1", "name": "bot"}})),
            "bot/spans" => list(json!([{"name": "s", "context": {"trace_id": "trace-1", "span_id": "00ff"}}])),
            "bot/trace_annotations" => list(json!([
                annotation(("trace_id", "trace-0"), "HUMAN", "px-app:kim"),
                annotation(("trace_id", "trace-1"), "HUMAN", "judge-run kim"),
                annotation(("trace_id", "trace-2"), "LLM", "other"),
            ])),
            "bot/span_annotations" if path.contains("span_ids=00ff") => {
                list(json!([annotation(("span_id", "00ff"), "HUMAN", "")]))
            }
            _ => answers::response(404, &[], &json!({"detail": "not found"})),
        }
    });
    let url = phoenix.base_url();
    let pull =
        |project: &str| place.run(["phoenix", "pull-feedback", "log.jsonl", "--url", &url, "--project", project]);
    pull("bot").exits_with(0).prints(&["2 records from people about 3 traces"]);
    pull("bot").exits_with(0).prints(&["0 records from people"]);
    let expected = [
        ("trace-0".to_owned(), None, json!("yes"), "px-app:kim".to_owned()),
        ("trace-1".to_owned(), Some("00ff".to_owned()), json!("yes"), "phoenix".to_owned()),
    ];
    assert_eq!(of_people(&place), expected);
    pull("none").exits_with(2).says(&["no project `none`", "--project"]);
}
