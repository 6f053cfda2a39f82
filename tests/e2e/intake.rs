//! `serve-feedback`: what applications post, and what is refused.

use serde_json::{Value, json};

use crate::common::http::{Answer, exchange, request};
use crate::common::{Place, Running, SimulatorProcess};

const LOG: &str = "f.feedback.jsonl";
const JSON: (&str, &str) = ("content-type", "application/json");

struct Intake {
    place: Place,
    server: Running,
    address: String,
}

impl Intake {
    fn start(args: &[&str]) -> Self {
        Self::start_in(Place::new(), args)
    }

    fn start_in(place: Place, args: &[&str]) -> Self {
        let server = place.command(["serve-feedback", LOG, "--listen", "127.0.0.1:0"].iter().chain(args)).start();
        let address = server.first_line();
        Self { place, server, address }
    }

    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let path = format!("/api/3.0/mlflow/traces/{path}");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        request(&self.address, method, &path, &[&[JSON], headers].concat(), body.as_bytes())
    }

    fn post(&self, assessment: &Value) -> Answer {
        self.ask("POST", "tr-1/assessments", &[], &json!({"assessment": assessment}))
    }
}

fn thumbs(id: &str, value: bool) -> Value {
    json!({"assessment_id": id, "assessment_name": "helpful", "feedback": {"value": value}, "rationale": "So it is.",
        "source": {"source_type": "HUMAN", "source_id": "anna"}, "metadata": {"page": "faq"}})
}

#[test]
fn feedback_is_added_read_changed_overridden_and_deleted_as_on_mlflows_server() {
    let intake = Intake::start(&[]);
    let posted = intake.post(&thumbs("a-1", true)).is(200).json();
    let assessment = &posted["assessment"];
    assert_eq!((&assessment["feedback"], &assessment["valid"]), (&json!({"value": true}), &json!(true)));
    assert_eq!(assessment["metadata"], json!({"page": "faq"}));
    assert_eq!(intake.ask("GET", "tr-1/assessments/a-1", &[], &Value::Null).is(200).json(), posted);

    let change = json!({"assessment": {"assessment_name": "helpful", "feedback": {"value": false}, "metadata": {"k": "v"}},
        "update_mask": "assessmentName,feedback,metadata"});
    let changed = intake.ask("PATCH", "tr-1/assessments/a-1", &[], &change).is(200).json();
    assert_eq!(changed["assessment"]["feedback"], json!({"value": false}));
    assert_eq!(changed["assessment"]["metadata"], json!({"page": "faq", "k": "v"}));
    assert_eq!(changed["assessment"]["create_time"], assessment["create_time"]);

    let mut override_it = thumbs("a-2", true);
    override_it["overrides"] = json!("a-1");
    intake.post(&override_it).is(200);
    let valid = |id: &str| {
        intake.ask("GET", &format!("tr-1/assessments/{id}"), &[], &Value::Null).is(200).json()["assessment"]["valid"]
            .clone()
    };
    assert_eq!((valid("a-1"), valid("a-2")), (json!(false), json!(true)));
    assert_eq!(intake.ask("DELETE", "tr-1/assessments/a-2", &[], &Value::Null).is(200).json(), json!({}));
    assert_eq!(valid("a-1"), json!(true));
    let gone = intake.ask("GET", "tr-1/assessments/a-2", &[], &Value::Null).is(404).json();
    assert_eq!(gone["error_code"], "RESOURCE_DOES_NOT_EXIST");

    intake.server.signal("TERM");
    assert_eq!(intake.server.finish().code, Some(0));
    let lines = intake.place.lines(LOG);
    assert_eq!(lines.len(), 4, "each change is a line of its own");
    assert!(lines.iter().all(|line| line["trace_id"] == "tr-1" && line["metadata"]["received_by"] == "anyone"));
    intake.place.run(["convert", LOG, "x.csv"]).exits_with(0);
}

/// What `logFeedback` of MLflow's TypeScript SDK sends (`Feedback.toJson` in `libs/typescript/core/src/core/entities/assessment.ts`): without
/// id and times, the error within the feedback, and a source of code where none is named.
#[test]
fn feedback_of_mlflows_typescript_sdk_is_taken() {
    let intake = Intake::start(&[]);
    let sent = |feedback: Value| {
        json!({"assessment_name": "helpful", "source": {"source_type": "CODE", "source_id": "default"}, "trace_id": "tr-1",
            "span_id": "0000000000000001", "metadata": {"page": "faq"}, "feedback": feedback})
    };
    let verdict = intake.post(&sent(json!({"value": {"tone": "kind", "marks": [1, 2.5]}}))).is(200).json();
    let error = json!({"error_code": "ASSESSMENT_ERROR", "error_message": "no answer", "stack_trace": "at judge.ts:1"});
    let failed = intake.post(&sent(json!({"error": error}))).is(200).json();
    assert_eq!(verdict["assessment"]["feedback"]["value"]["marks"], json!([1, 2.5]));
    assert_eq!(failed["assessment"]["feedback"]["error"], error);
    for answer in [&verdict, &failed] {
        let id = answer["assessment"]["assessment_id"].as_str().expect("an id");
        assert_eq!(intake.ask("GET", &format!("tr-1/assessments/{id}"), &[], &Value::Null).is(200).json(), *answer);
        assert_eq!(answer["assessment"]["span_id"], "0000000000000001");
    }
    let lines = intake.place.lines(LOG);
    assert_eq!((lines.len(), &lines[0]["value"]["tone"], &lines[1]["error"]), (2, &json!("kind"), &error));
}

#[test]
fn the_same_again_is_answered_and_not_written_also_after_a_kill() {
    let mut intake = Intake::start(&[]);
    let first = intake.post(&thumbs("a-1", true)).is(200).json();
    intake.server.kill();
    intake = Intake::start_in(intake.place, &[]);
    assert_eq!(intake.post(&thumbs("a-1", true)).is(200).json(), first);
    assert_eq!(intake.post(&thumbs("a-1", false)).is(409).json()["error_code"], "RESOURCE_ALREADY_EXISTS");
    // A client that says when it was said is known without an id.
    let mut timed = thumbs("", true);
    timed.as_object_mut().unwrap().remove("assessment_id");
    timed["create_time"] = json!("2026-11-23T12:49:56.378Z");
    assert_eq!(intake.post(&timed).is(200).json(), intake.post(&timed).is(200).json());
    assert_eq!(intake.place.lines(LOG).len(), 2);
}

#[test]
fn many_clients_at_once_and_a_run_share_the_log() {
    let place = Place::with_traces(30);
    let simulator = SimulatorProcess::start(&["--latency", "5ms"]);
    let run = place.judge(&simulator.base_url(), &["-o", LOG]).start();
    place.wait_for_lines(LOG, 1);
    let intake = Intake::start_in(place, &[]);
    std::thread::scope(|scope| {
        for client in 0..8 {
            let address = intake.address.clone();
            scope.spawn(move || {
                for n in 0..25 {
                    let body = json!({"assessment": thumbs(&format!("a-{client}-{n}"), n % 2 == 0)}).to_string();
                    request(&address, "POST", "/api/3.0/mlflow/traces/tr-1/assessments", &[JSON], body.as_bytes())
                        .is(200);
                }
            });
        }
    });
    run.finish().exits_with(0);
    let lines = intake.place.lines(LOG);
    let people = lines.iter().filter(|line| line["source"]["source_type"] == "HUMAN").count();
    assert_eq!((people, lines.len()), (200, 230));
    intake.place.run(["status", LOG]).exits_with(0);
}

#[test]
fn without_a_token_only_this_machine_is_let_in() {
    let place = Place::new();
    for args in [&["--listen", "0.0.0.0:0"][..], &["--cors", "*"], &["--listen", "[::]:0"]] {
        place.run(["serve-feedback", LOG].iter().chain(args)).exits_with(2).says(&["without tokens", "--tokens"]);
    }
    let intake = Intake::start(&[]);
    let body = json!({"assessment": thumbs("a-1", true)});
    for header in [
        ("host", "attacker.example"),
        ("host", "127.0.0.1:1"),
        ("origin", "https://attacker.example"),
        ("origin", "null"),
    ] {
        let refused = intake.ask("POST", "tr-1/assessments", &[header], &body).is(403);
        assert_eq!(refused.json()["error_code"], "PERMISSION_DENIED", "{header:?}");
    }
    let path = "/api/3.0/mlflow/traces/tr-1/assessments";
    // What a page can send without asking first.
    let plain = request(&intake.address, "POST", path, &[("content-type", "text/plain")], body.to_string().as_bytes());
    assert_eq!(plain.is(400).json()["error_code"], "INVALID_PARAMETER_VALUE");
    assert!(!intake.place.path(LOG).exists());
}

#[test]
fn each_application_has_its_token_and_its_rights() {
    let place = Place::new();
    place.write("tokens", "shop 0123456789abcdef\npage fedcba9876543210 post-only\n");
    let intake = Intake::start_in(place, &["--tokens", "tokens", "--cors", "https://shop.example"]);
    let body = json!({"assessment": thumbs("a-1", true)});
    let refused = intake.ask("POST", "tr-1/assessments", &[], &body).is(401);
    assert_eq!(
        (refused.json()["error_code"].as_str(), refused.header("www-authenticate")),
        (Some("UNAUTHENTICATED"), Some("Bearer"))
    );
    let (shop, page) = (("authorization", "Bearer 0123456789abcdef"), ("authorization", "Bearer fedcba9876543210"));
    intake.ask("POST", "tr-1/assessments", &[page], &body).is(200);
    intake.ask("GET", "tr-1/assessments/a-1", &[page], &Value::Null).is(403);
    intake.ask("GET", "tr-1/assessments/a-1", &[shop], &Value::Null).is(200);
    intake.ask("DELETE", "tr-1/assessments/a-1", &[shop], &Value::Null).is(403);
    assert_eq!(intake.place.lines(LOG)[0]["metadata"]["received_by"], "page");

    // From a browser.
    let origin = ("origin", "https://shop.example");
    let path = "/api/3.0/mlflow/traces/tr-1/assessments";
    let asked =
        request(&intake.address, "OPTIONS", path, &[origin, ("access-control-request-method", "POST")], b"").is(204);
    assert_eq!(asked.header("access-control-allow-origin"), Some("https://shop.example"));
    assert!(asked.header("access-control-allow-headers").unwrap().contains("Authorization"));
    let posted =
        intake.ask("POST", "tr-2/assessments", &[origin, page], &json!({"assessment": thumbs("a-2", true)})).is(200);
    assert_eq!(posted.header("access-control-allow-origin"), Some("https://shop.example"));
}

#[test]
fn wrong_tokens_are_named_without_being_shown() {
    let place = Place::new();
    place.write("tokens", "shop secret-but-short\npage\n");
    let finished = place.run(["serve-feedback", LOG, "--tokens", "tokens"]).exits_with(2).says(&["`tokens`", "line 2"]);
    assert!(!finished.stderr.contains("secret"));
    place.run(["serve-feedback", LOG, "--tokens", "none"]).exits_with(2).says(&["cannot read `none`"]);
    place.write("traces.jsonl", "{\"inputs\": 1}\n");
    place.run(["serve-feedback", "traces.jsonl"]).exits_with(2).says(&["is not a feedback log"]);
}

#[test]
fn what_is_too_much_is_refused() {
    let intake = Intake::start(&["--max-body-bytes", "1000", "--rate-limit", "3"]);
    let path = "/api/3.0/mlflow/traces/tr-1/assessments";
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: 100000000\r\n\r\n",
        &intake.address[7..]
    );
    exchange(&intake.address, head.as_bytes()).unwrap().is(413);
    let codes: Vec<_> = (0..20).map(|n| intake.post(&thumbs(&format!("a-{n}"), true)).status).collect();
    assert!(codes.contains(&200) && codes.contains(&429), "{codes:?}");
    let limited = (0..20)
        .map(|_| intake.ask("GET", "t/assessments/a", &[], &Value::Null))
        .find(|answer| answer.status == 429)
        .unwrap();
    assert!(limited.header("retry-after").is_some());
    for path in ["/", "/api/2.0/mlflow/traces", "/api/3.0/mlflow/traces//assessments", "/../../etc/passwd"] {
        assert_eq!(request(&intake.address, "GET", path, &[], b"").is(404).json()["error_code"], "ENDPOINT_NOT_FOUND");
    }
}
