use std::collections::BTreeSet;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::server::{Mlflow, path};
use crate::common::{Action, Fake, Finished, Place, answers};

/// A place with a log of judgments on the server's traces.
fn judged(server: &Mlflow, value: impl Fn(usize) -> Action + Send + Sync + 'static) -> (Place, Fake) {
    let place = Place::new();
    let uri = server.fake.base_url();
    place.run(["mlflow", "pull", "--experiment", "bot", "-o", "traces.jsonl", "--tracking-uri", &uri]).exits_with(0);
    let judge = Fake::start(move |request| value(request.trace()));
    judge_again(&place, &judge);
    (place, judge)
}

fn judge_again(place: &Place, judge: &Fake) {
    let run = place.judge(&judge.base_url(), &["-m", "mine:/m", "-o", "log.jsonl", "--max-retries", "0"]).run();
    assert!([Some(0), Some(3)].contains(&run.code), "{}", run.stderr);
}

fn push(place: &Place, server: &Mlflow) -> Finished {
    place.run(["mlflow", "push", "log.jsonl", "--tracking-uri", &server.fake.base_url()])
}

fn refusal() -> Action {
    answers::error(400, "invalid_request", "no")
}

#[test]
fn each_record_is_there_once_and_belongs_to_a_run() {
    let server = Mlflow::with_traces(120);
    let (place, _judge) = judged(&server, |i| if i == 7 { refusal() } else { answers::verdict(i % 2 == 0) });
    push(&place, &server).exits_with(0).prints(&["120 records", "120  sent", "/#/experiments/7/runs/r0"]);
    {
        let state = server.state();
        assert_eq!(state.assessments.len(), 120);
        let failed = state.assessments.values().filter(|(_, value)| !value["feedback"]["error"].is_null());
        let codes: Vec<_> =
            failed.map(|(trace, value)| (trace.as_str(), &value["feedback"]["error"]["error_code"])).collect();
        assert_eq!(codes, [("tr-7", &Value::from("INVALID_REQUEST"))]);
        let in_run = |value: &Value| value["metadata"]["mlflow.assessment.sourceRunId"] == "r0";
        assert!(state.assessments.values().all(|(_, value)| in_run(value)));
        let run = &state.runs[0];
        assert_eq!((state.runs.len(), &run["status"], state.links.len()), (1, &Value::from("FINISHED"), 120));
        assert_eq!((&run["metrics"]["safety/scored"], &run["metrics"]["safety/failed"]), (&119.0.into(), &1.0.into()));
        assert_eq!(run["params"]["judge.safety.model"], "mine:/m");
        assert_eq!(run["sent"]["tags"][0]["value"], "genai_evaluate");
    }
    let posts = server.count("POST", "/assessments");
    push(&place, &server).exits_with(0).prints(&["120  there already"]);
    assert_eq!(server.count("POST", "/assessments"), posts);
    assert_eq!(server.state().runs.len(), 1);
}

#[test]
fn an_answer_that_was_lost_and_a_killed_push_leave_nothing_twice() {
    let server = Mlflow::with(30, |_| None);
    let (place, _judge) = judged(&server, |_| answers::verdict(true));
    // A second server in front of the first loses every third answer.
    let uri = server.fake.base_url();
    let args = ["mlflow", "push", "log.jsonl", "--tracking-uri", &uri];
    let both = [place.command(args).start(), place.command(args).start()];
    for pusher in both {
        pusher.finish().exits_with(0);
    }
    assert_eq!(server.state().assessments.len(), 30);
    let taken: Vec<_> = server.state().assessments.keys().take(11).cloned().collect();
    for id in taken {
        server.state().assessments.remove(&id);
    }
    push(&place, &server).exits_with(0).prints(&["11  sent", "19  there already"]);
    let running = place.command(args).start();
    running.kill();
    push(&place, &server).exits_with(0).prints(&["30  there already"]);
}

#[test]
fn a_run_that_an_earlier_push_left_without_its_parameters_gets_them() {
    let was_refused = std::sync::atomic::AtomicBool::new(false);
    let server = Mlflow::with(3, move |request| {
        let is_first = path(request).ends_with("/log-batch") && !was_refused.swap(true, Relaxed);
        is_first.then(|| answers::response(400, &[], &json!({"error_code": "BAD_REQUEST", "message": "not now"})))
    });
    let (place, _judge) = judged(&server, |_| answers::verdict(true));
    push(&place, &server).exits_with(4).says(&["not now"]);
    assert_eq!(server.state().runs[0]["params"], Value::Null);
    // The judge as it is in the manifest; what is there already stays, even if it says otherwise.
    server.state().runs[0]["params"] = json!({"judge.safety.digest": "another"});
    push(&place, &server).exits_with(0).prints(&["3  sent"]);
    let state = server.state();
    let params = &state.runs[0]["params"];
    assert_eq!((state.runs.len(), &params["judge.safety.model"]), (1, &Value::from("mine:/m")));
    assert_eq!(params["judge.safety.digest"], "another");
}

#[test]
fn the_criteria_of_a_rubric_name_its_prompt() {
    let server = Mlflow::with_traces(1);
    let (place, judge) = judged(&server, |_| answers::verdict(true));
    let (endpoint, uri) = (judge.base_url(), server.fake.base_url());
    let args = ["-d", "traces.jsonl", "-J", "summarization", "-m", "mine:/m", "--base-url", &endpoint, "-o", "r.jsonl"];
    place.run(args).exits_with(0);
    place.run(["mlflow", "push", "r.jsonl", "--tracking-uri", &uri]).exits_with(0).prints(&["5  sent"]);
    let state = server.state();
    assert_eq!(state.runs[0]["params"]["judge.summarization.faithful"], "prompts:/summarization/2");
}

#[test]
fn an_assessment_whose_answer_was_lost_is_read_back() {
    let lost = std::sync::atomic::AtomicBool::new(false);
    let server = Arc::new(Mlflow::with_traces(1));
    let behind = Arc::clone(&server);
    let (place, _judge) = judged(&server, |_| answers::verdict(true));
    let args = ["mlflow", "push", "log.jsonl", "--no-run", "--tracking-uri"];
    // Stores the first assessment, and closes the connection without an answer.
    let front = Fake::start(move |request| {
        let is_post = request.line.starts_with("POST") && path(request).ends_with("/assessments");
        let answer = super::server::answer_of(&behind, request);
        if is_post && !lost.swap(true, Relaxed) { Action::Close } else { answer }
    });
    place.run(args.iter().copied().chain([front.base_url().as_str()])).exits_with(0).prints(&["1  sent"]);
    assert_eq!(server.state().assessments.len(), 1);
}

#[test]
fn a_failure_that_became_a_verdict_is_replaced_and_an_override_follows_what_it_overrides() {
    let server = Mlflow::with_traces(2);
    let (place, judge) =
        judged(&server, |i| if i == 0 { answers::error(500, "x", "down") } else { answers::verdict(true) });
    push(&place, &server).exits_with(0).prints(&["2  sent"]);
    drop(judge);
    let judge = Fake::start(|_| answers::verdict(false));
    judge_again(&place, &judge);
    push(&place, &server).exits_with(0).prints(&["1  there already", "1  replaced an earlier state"]);
    assert_eq!(server.state().assessments.len(), 2);
    assert_eq!(server.state().deletions, 1);
    // Another prompt is another judgment, which overrides the first; the server never saw that.
    let text = place.run(["judges", "safety"]).exits_with(0).stdout.replace("You review", "You carefully review");
    place.write("judges/safety.toml", text);
    let judge = Fake::start(|_| answers::verdict(true));
    judge_again(&place, &judge);
    server.state().assessments.clear();
    push(&place, &server).exits_with(0).prints(&["2 records", "2  sent"]);
    let state = server.state();
    assert_eq!(state.assessments.len(), 4, "what is overridden is there too");
    let overridden = |value: &Value| value["valid"] == false;
    assert_eq!(state.assessments.values().filter(|(_, value)| overridden(value)).count(), 2);
}

#[test]
fn a_rejected_verdict_is_not_valid_on_the_server() {
    let server = Mlflow::with_traces(1);
    let (place, _judge) = judged(&server, |_| answers::verdict(true));
    let mut rejected = place.lines("log.jsonl").remove(0);
    rejected["valid"] = false.into();
    let log = place.read("log.jsonl");
    place.write("log.jsonl", format!("{log}{rejected}\n"));
    push(&place, &server).exits_with(0).prints(&["1  of these rejected"]);
    let id = rejected["assessment_id"].as_str().unwrap().to_owned();
    assert_eq!(server.state().assessments[&id].1["valid"], false);
    push(&place, &server).exits_with(0).prints(&["1  there already"]);
    assert_eq!(server.state().assessments.len(), 2, "the verdict and the mark on it");
    // Accepted after all.
    place.write("log.jsonl", log);
    push(&place, &server).exits_with(0);
    assert_eq!(server.state().assessments.len(), 1);
    assert_eq!(server.state().assessments[&id].1["valid"], true);
}

#[test]
fn what_the_server_made_of_a_record_is_reported() {
    let server = Mlflow::with_traces(3);
    let (place, _judge) = judged(&server, |_| answers::verdict(true));
    push(&place, &server).exits_with(0);
    let ids: Vec<_> = server.state().assessments.keys().cloned().collect();
    server.state().assessments.get_mut(&ids[0]).unwrap().1["rationale"] = "something else".into();
    server.state().traces.retain(|trace| trace.id != "tr-2");
    let finished = push(&place, &server).exits_with(3);
    finished.prints(&["RESOURCE_DOES_NOT_EXIST 1"]);
    // The server answers no more.
    let gone = place.run(["mlflow", "push", "log.jsonl", "--tracking-uri", "http://127.0.0.1:9"]);
    gone.exits_with(4).says(&["does not answer", "to continue: judge-run mlflow push log.jsonl"]);
}

#[test]
fn people_s_feedback_comes_back_once() {
    let server = Mlflow::with_traces(2);
    let (place, judge) = judged(&server, |_| answers::verdict(true));
    push(&place, &server).exits_with(0);
    let (id, (trace, _)) =
        server.state().assessments.iter().next().map(|(id, value)| (id.clone(), value.clone())).unwrap();
    let human = serde_json::json!({
        "assessment_id": "a-human", "assessment_name": "safety", "trace_id": trace, "overrides": id,
        "source": {"source_type": "HUMAN", "source_id": "kim"}, "feedback": {"value": false}, "valid": true,
        "create_time": "2026-01-02T00:00:00Z", "last_update_time": "2026-01-02T00:00:00Z",
    });
    server.state().assessments.insert("a-human".into(), (trace.clone(), human));
    server.state().assessments.get_mut(&id).unwrap().1["valid"] = false.into();
    let uri = server.fake.base_url();
    let args = ["mlflow", "pull-feedback", "log.jsonl", "--tracking-uri", &uri];
    place.run(args).exits_with(0).prints(&["1 record from people"]);
    place.run(args).exits_with(0).prints(&["0 records from people"]);
    let lines = place.lines("log.jsonl");
    assert_eq!((lines.len(), &lines[2]["source"]["source_id"], &lines[2]["value"]), (3, &"kim".into(), &false.into()));
    // The run asks nothing again, and the push sends nothing.
    judge_again(&place, &judge);
    assert_eq!((judge.count(), place.lines("log.jsonl").len()), (2, 3));
    push(&place, &server).exits_with(0).prints(&["3  there already"]);
    assert_eq!(server.state().assessments.len(), 3);
    // Without the person's record the log does not know why.
    let text: String = place.read("log.jsonl").lines().take(2).map(|line| format!("{line}\n")).collect();
    place.write("log.jsonl", text);
    push(&place, &server).exits_with(0).prints(&["1  overridden by someone"]);
}

#[test]
fn a_run_pushes_what_it_found() {
    let (place, server) = (Place::new(), Mlflow::with_traces(4));
    let uri = server.fake.base_url();
    let judge = Fake::start(|_| answers::verdict(true));
    let args = ["-d", "mlflow:/bot", "-J", "safety", "-m", "mine:/m", "--tracking-uri", &uri, "--push", "--base-url"];
    let args: Vec<_> = args.iter().copied().chain([judge.base_url().leak() as &str]).collect();
    place.run(&args).exits_with(0).prints(&["4  sent"]);
    place.run(&args).exits_with(0).prints(&["4  there already"]);
    assert_eq!(server.state().assessments.len(), 4);
    let to_stdout: Vec<_> = args.iter().copied().chain(["-o", "-"]).collect();
    place.run(to_stdout).exits_with(2).says(&["`--push` needs a log"]);
}

#[test]
fn a_server_that_refuses_links_which_it_has_gets_the_others() {
    // As MLflow 3.5 does: all of a request, where one of its traces is linked already.
    let linked = Arc::new(Mutex::new(BTreeSet::from(["tr-1".to_owned()])));
    let shared = Arc::clone(&linked);
    let server = Mlflow::with(4, move |request| {
        if !path(request).ends_with("/link-to-run") {
            return None;
        }
        let ids: Vec<String> = serde_json::from_value(request.json()["trace_ids"].clone()).unwrap();
        let mut linked = shared.lock().unwrap();
        let message = "(sqlite3.IntegrityError) UNIQUE constraint failed: entity_associations.source_type";
        Some(match ids.iter().any(|id| linked.contains(id)) {
            true => answers::response(400, &[], &json!({"error_code": "BAD_REQUEST", "message": message})),
            false => {
                linked.extend(ids);
                answers::response(200, &[], &json!({}))
            }
        })
    });
    let (place, _judge) = judged(&server, |_| answers::verdict(true));
    for _ in 0..2 {
        push(&place, &server).exits_with(0);
        assert_eq!(linked.lock().unwrap().len(), 4);
    }
    assert_eq!(server.state().runs[0]["status"], "FINISHED");
}
