//! `review`: the page's server, as a browser and an attacker see it.

use serde_json::{Value, json};

use crate::common::http::{Answer, exchange, request};
use crate::common::{Place, Running};

const LOG: &str = "traces.feedback.jsonl";

struct Review {
    place: Place,
    server: Running,
    address: String,
    token: String,
    cookie: String,
}

/// A log of a run over these many traces.
fn judged(n: usize) -> Place {
    let place = Place::with_traces(n);
    place.run(["-d", "traces.jsonl", "-J", "safety", "--simulate", "-q"]).exits_with(0);
    place
}

impl Review {
    fn start(place: Place, args: &[&str]) -> Self {
        let server = place.command(["review", LOG].iter().chain(args)).start();
        let line = server.first_line();
        let (address, token) = line.split_once("/?token=").unwrap();
        let (address, token) = (address.to_owned(), token.to_owned());
        let welcome = request(&address, "GET", &format!("/?token={token}"), &[], b"").is(303);
        assert_eq!(welcome.header("location"), Some("/"), "the token leaves the address");
        let cookie = welcome.header("set-cookie").unwrap();
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
        let cookie = cookie.split(';').next().unwrap().to_owned();
        Self { place, server, address, token, cookie }
    }

    fn get(&self, path: &str) -> Answer {
        request(&self.address, "GET", path, &[("cookie", &self.cookie)], b"")
    }

    fn post(&self, path: &str, more: &[(&str, &str)], body: &Value) -> Answer {
        let ours = [("cookie", self.cookie.as_str()), ("content-type", "application/json"), ("x-judge-run", "review")];
        request(&self.address, "POST", path, &[&ours[..], more].concat(), body.to_string().as_bytes())
    }

    fn item(&self, at: usize) -> Value {
        self.get(&format!("/api/item/{at}?by=anna")).is(200).json()
    }
}

fn answer(trace: &str, value: bool, base: Option<i64>) -> Value {
    json!({"by": "anna", "what": {"trace_id": trace, "span_id": null, "name": "safety", "value": value, "rationale": "So I think.",
        "overrides": null, "base": base, "seconds": 2.5}})
}

#[test]
fn a_trace_is_shown_and_what_is_said_of_it_is_a_record() {
    let review = Review::start(judged(3), &[]);
    let page = review.get("/").is(200);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert!(!page.body.contains("<style") && !page.body.contains("onclick"));
    for file in ["/style.css", "/script.js"] {
        assert!(review.get(file).is(200).body.len() > 1000);
    }
    let item = review.item(1);
    assert_eq!(
        (&item["total"], &item["done"], &item["trace"]["inputs"]),
        (&json!(3), &json!(0), &json!({"question": "Question number 1?"}))
    );
    assert_eq!(
        (&item["questions"][0]["name"], &item["questions"][0]["schema"]),
        (&json!("safety"), &json!({"type": "boolean"}))
    );
    assert_eq!(item["said"][0]["source_type"], "LLM_JUDGE");
    let trace = item["trace_id"].as_str().unwrap();

    assert_eq!(
        review.post("/api/answer", &[], &answer(trace, false, None)).is(200).json(),
        json!({"saved": true, "done": 1})
    );
    assert_eq!(review.get("/api/next?from=1&by=anna").is(200).json()["at"], 2);
    assert_eq!(review.get("/api/next?from=0&by=ben").is(200).json()["done"], 0);
    let lines = review.place.lines(LOG);
    let record = lines.last().unwrap();
    assert_eq!(
        (&record["source"], &record["value"]),
        (&json!({"source_type": "HUMAN", "source_id": "anna"}), &json!(false))
    );
    assert_eq!((lines.len(), record["trace_id"].as_str()), (4, Some(trace)));

    // A window that does not know of it changes nothing.
    assert_eq!(review.post("/api/answer", &[], &answer(trace, true, None)).is(409).json()["problem"], "changed");
    let base = review.item(1)["questions"][0]["mine"]["time_ms"].as_i64();
    review.post("/api/answer", &[], &answer(trace, true, base)).is(200);
    let id = &item["said"][0]["id"];
    review
        .post("/api/mark", &[], &json!({"by": "anna", "what": {"trace_id": trace, "id": id, "valid": false}}))
        .is(200);
    assert_eq!(review.item(1)["said"][0]["rejected_by"], "anna");
    // After a restart the page shows the same.
    let (place, server) = (review.place, review.server);
    server.kill();
    let review = Review::start(place, &[]);
    assert_eq!(review.item(1)["questions"][0]["mine"]["value"], true);
    review.place.run(["status", LOG]).exits_with(0).prints(&["1  rejected by a person"]);
}

#[test]
fn nobody_is_let_in_without_the_token_or_from_elsewhere() {
    let review = Review::start(judged(1), &[]);
    let before = review.place.lines(LOG).len();
    let trace = review.item(0)["trace_id"].as_str().unwrap().to_owned();
    let body = answer(&trace, true, None);
    for path in
        ["/", "/api/item/0?by=anna", "/script.js", "/?token=0123456789abcdef0123456789abcdef", "/api/item/0?token=x"]
    {
        request(&review.address, "GET", path, &[], b"").is(403);
    }
    request(&review.address, "GET", &format!("/api/item/0?by=anna&token={}", review.token), &[], b"").is(403);
    let cookie = ("cookie", review.cookie.as_str());
    // DNS rebinding.
    for host in ["attacker.example", "127.0.0.1:1", "localhost"] {
        request(&review.address, "GET", "/", &[cookie, ("host", host)], b"").is(403);
    }
    // Another site's page, with the reviewer's cookie.
    let json = ("content-type", "application/json");
    let script = ("x-judge-run", "review");
    for headers in [
        &[json, script, ("origin", "https://attacker.example")][..],
        &[json, script, ("origin", "null")],
        &[json, script, ("sec-fetch-site", "cross-site")],
        &[json],
        &[("content-type", "text/plain"), script],
        &[("content-type", "application/x-www-form-urlencoded")],
    ] {
        request(&review.address, "POST", "/api/answer", &[&[cookie], headers].concat(), body.to_string().as_bytes())
            .is(403);
    }
    // Nothing is changed by looking.
    for path in [
        "/api/answer",
        "/api/mark",
        "/login",
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/style.css/..%2f..%2fetc%2fpasswd",
        "/api/item/-1?by=anna",
    ] {
        review.get(path).is(404);
    }
    assert_eq!(review.place.lines(LOG).len(), before);
    review.post("/api/answer", &[], &body).is(200);
}

#[test]
fn what_is_too_long_or_no_answer_is_refused() {
    let review = Review::start(judged(1), &[]);
    let trace = review.item(0)["trace_id"].as_str().unwrap().to_owned();
    let head = format!(
        "POST /api/answer HTTP/1.1\r\nhost: {}\r\ncookie: {}\r\nx-judge-run: 1\r\ncontent-type: application/json\r\ncontent-length: 100000000\r\n\r\n",
        &review.address[7..],
        review.cookie
    );
    exchange(&review.address, head.as_bytes()).unwrap().is(413);
    let long = format!("GET / HTTP/1.1\r\nhost: {}\r\nx: {}\r\n\r\n", &review.address[7..], "x".repeat(1 << 20));
    assert!(exchange(&review.address, long.as_bytes()).is_none_or(|answer| answer.status >= 400));
    let what = |value: Value| json!({"by": "anna", "what": {"trace_id": trace, "name": "safety", "value": value}});
    for value in [json!("true"), json!(1), json!([])] {
        assert_eq!(review.post("/api/answer", &[], &what(value)).is(422).json()["problem"], "invalid");
    }
    assert_eq!(
        review.post("/api/answer", &[], &what(json!(false))).is(422).json()["message"],
        "a verdict that is not good needs a reason"
    );
    review.post("/api/answer", &[], &answer("no-such-trace", true, None)).is(422);
    review
        .post("/api/answer", &[], &json!({"by": "", "what": {"trace_id": trace, "name": "safety", "value": true}}))
        .is(422);
    review.post("/api/answer", &[], &json!("nonsense")).is(400);
    assert_eq!(review.place.lines(LOG).len(), 1);
}

#[test]
fn others_are_hidden_until_the_decision_and_a_plan_says_what_is_asked() {
    let place = judged(5);
    let trace = place.lines(LOG)[3]["trace_id"].as_str().unwrap().to_owned();
    place.write("plan.csv", format!("trace_id,name,inclusion_probability,verdict\n{trace},safety,0.25,true\n"));
    let review = Review::start(place, &["--blind", "--plan", "plan.csv", "--as", "anna"]);
    let item = review.item(0);
    assert_eq!((&item["total"], &item["hidden"], &item["said"]), (&json!(1), &json!(true), &json!([])));
    review.post("/api/answer", &[], &answer(&trace, true, None)).is(200);
    let item = review.item(0);
    assert_eq!((&item["hidden"], item["said"].as_array().unwrap().len()), (&json!(false), 2));
    let record = review.place.lines(LOG).pop().unwrap();
    assert_eq!(
        (&record["metadata"]["blind"], &record["metadata"]["inclusion_probability"]),
        (&json!("true"), &json!("0.25"))
    );
    assert_eq!(review.get("/api/next?from=0").is(200).json()["at"], Value::Null);
}

#[test]
fn beyond_this_machine_a_password_is_needed() {
    let place = judged(1);
    place
        .run(["review", LOG, "--listen", "0.0.0.0:0"])
        .exits_with(2)
        .says(&["a password is required", "--password-file"]);
    let server =
        place.command(["review", LOG, "--listen", "0.0.0.0:0"]).env("JUDGE_RUN_REVIEW_PASSWORD", "open sesame").start();
    let line = server.first_line();
    assert!(!line.contains("token"), "{line}");
    let address = line.trim_end_matches('/').replace("0.0.0.0", "127.0.0.1");
    assert!(request(&address, "GET", "/", &[], b"").is(200).body.contains("type=\"password\""));
    request(&address, "GET", "/api/item/0?by=anna", &[], b"").is(403);
    let form = ("content-type", "application/x-www-form-urlencoded");
    request(&address, "POST", "/login", &[form], b"password=wrong").is(403);
    request(&address, "POST", "/login", &[form, ("origin", "https://attacker.example")], b"password=open+sesame")
        .is(403);
    let welcome = request(&address, "POST", "/login", &[form], b"password=open+sesame").is(303);
    let cookie = welcome.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    request(&address, "GET", "/api/item/0?by=anna", &[("cookie", &cookie)], b"").is(200);
}

#[test]
fn it_ends_when_nobody_is_there_and_says_what_is_wrong() {
    let place = judged(1);
    place.run(["review", LOG, "--idle", "100ms"]).exits_with(0).says(&["without use"]);
    place.run(["review", "none.jsonl"]).exits_with(2).says(&["no log `none.jsonl`", "--label"]);
    place.run(["review", LOG, "--name", "tone"]).exits_with(2).says(&["no feedback named `tone`", "safety"]);
    place.run(["review", LOG, "--queue", "disagreement"]).exits_with(2).says(&["no trace to review"]);
    place.run(["review", LOG, "--label", "tone"]).exits_with(2).says(&["NAME=boolean"]);
    place.write("plan.csv", "id\n1\n");
    place.run(["review", LOG, "--plan", "plan.csv"]).exits_with(2).says(&["is not a label plan", "line 2", "trace_id"]);
    place.write("new.jsonl", "");
    let review =
        place.command(["review", "new.feedback.jsonl", "-d", "traces.jsonl", "--label", "helpful=1..5"]).start();
    assert!(review.first_line().contains("token="));
}
