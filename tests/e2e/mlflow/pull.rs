use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::server::{Mlflow, START_MS, Trace, path};
use crate::common::{Fake, Finished, Place, Request, answers};

fn pull(place: &Place, server: &Mlflow, more: &[&str]) -> Finished {
    let args = ["mlflow", "pull", "--experiment", "bot", "-o", "t.jsonl"];
    place.command(args.iter().chain(more)).env("MLFLOW_TRACKING_URI", server.fake.base_url()).run()
}

/// The ids in a file of traces, each once.
fn ids(place: &Place) -> BTreeSet<String> {
    let lines = place.lines("t.jsonl");
    let ids: Vec<_> = lines.iter().map(|line| line["trace_info"]["trace_id"].as_str().unwrap().to_owned()).collect();
    let once: BTreeSet<_> = ids.iter().cloned().collect();
    assert_eq!(once.len(), ids.len(), "a trace is there twice");
    once
}

#[test]
fn pages_are_bounded_by_time_and_nothing_is_skipped_or_repeated() {
    let (place, server) = (Place::new(), Mlflow::with_traces(250));
    // More traces of one millisecond than a page has, and some whose spans are elsewhere.
    let (artifacts, crowd) = (3, 130);
    for trace in server.state().traces.iter_mut().skip(20).take(crowd) {
        trace.time_ms = START_MS + 20_000;
    }
    for trace in server.state().traces.iter_mut().take(artifacts) {
        trace.in_artifacts = true;
    }
    server.state().traces[249].state = "IN_PROGRESS";
    server.state().traces[248].is_partial = true;
    pull(&place, &server, &[]).exits_with(0).prints(&[
        "249 new traces",
        "artifact",
        "1 with only some of their spans",
        "not complete yet",
        "bot",
    ]);
    assert_eq!(ids(&place).len(), 249);
    // It is a dataset.
    let run = place.run(["-d", "t.jsonl", "-J", "safety", "--simulate"]).exits_with(0);
    run.prints(&["249"]);
}

#[test]
fn pulling_again_adds_only_what_is_new_also_after_a_torn_line() {
    let (place, server) = (Place::new(), Mlflow::with_traces(120));
    let all: Vec<Trace> = server.state().traces.clone();
    server.state().traces.truncate(110);
    pull(&place, &server, &[]).exits_with(0).prints(&["110 new traces"]);
    let text = place.read("t.jsonl");
    // Killed in the middle of a line.
    place.write("t.jsonl", &text[..text.len() - 40]);
    server.state().traces = all;
    let asked = server.count("GET", "/batchGet");
    pull(&place, &server, &[]).exits_with(0).prints(&["11 new traces", "120 in t.jsonl"]);
    assert_eq!(ids(&place).len(), 120);
    assert_eq!(server.count("GET", "/batchGet") - asked, 2, "spans of known traces are not asked for");
    pull(&place, &server, &[]).exits_with(0).prints(&["0 new traces"]);
}

#[test]
fn an_experiment_is_a_dataset_and_its_traces_stay_beside_the_log() {
    let (place, server) = (Place::new(), Mlflow::with_traces(5));
    let uri = server.fake.base_url();
    let args = ["-d", "mlflow:/bot", "-J", "safety", "--simulate", "--tracking-uri", &uri];
    place.run(args).exits_with(0).says(&["5 new traces", "bot.traces.jsonl"]);
    assert_eq!(place.lines("bot.feedback.jsonl").len(), 5);
    assert_eq!(place.lines("bot.traces.jsonl").len(), 5);
    let mut late = server.state().traces[4].clone();
    late.id = "tr-5".to_owned();
    server.state().traces.push(late);
    place.run(args).exits_with(0).says(&["1 new trace "]);
    assert_eq!(place.lines("bot.feedback.jsonl").len(), 6);
    // A filter has its own files.
    let filtered = [&args[..], &["--mlflow-filter", "tag.a = 'b'", "--since", "24h"]].concat();
    // None of these traces is that young.
    place.run(filtered).exits_with(2).says(&["0 new traces"]);
    assert!(place.names().iter().any(|name| name.starts_with("bot-") && name.ends_with(".traces.jsonl")));
    place.run(["-d", "x.jsonl", "-J", "safety", "--simulate", "--since", "1h"]).exits_with(2).says(&["mlflow:/"]);
}

#[test]
fn what_a_server_cannot_answer_now_is_asked_again() {
    let (place, server) = (
        Place::new(),
        Mlflow::with(3, |request| match request.number {
            1 => Some(answers::raw(503, &[("retry-after", "0")], "<html>busy</html>")),
            2 => Some(crate::common::Action::Close),
            _ => None,
        }),
    );
    pull(&place, &server, &[]).exits_with(0).prints(&["3 new traces"]);
}

#[test]
fn a_wrong_token_and_a_server_that_is_not_there_end_it_with_a_remedy() {
    let place = Place::new();
    let server = Mlflow::with(1, |request| {
        let may = request.header("authorization") == Some("Bearer token-12345");
        (!may).then(|| answers::raw(401, &[], &format!("not {:?}", request.header("authorization"))))
    });
    let refused = place.command(["mlflow", "pull", "--experiment", "bot", "-o", "t.jsonl"]);
    let refused =
        refused.env("MLFLOW_TRACKING_URI", server.fake.base_url()).env("MLFLOW_TRACKING_TOKEN", "wrong-12345");
    let refused = refused.run().exits_with(4).says(&["401", "MLFLOW_TRACKING_TOKEN"]);
    assert!(!refused.stderr.contains("wrong-12345"));
    let args = ["mlflow", "pull", "--experiment", "bot", "-o", "t.jsonl"];
    let admitted = place.command(args).env("MLFLOW_TRACKING_URI", server.fake.base_url());
    admitted.env("MLFLOW_TRACKING_TOKEN", "token-12345").run().exits_with(0);
    place.run(args).exits_with(2).says(&["MLFLOW_TRACKING_URI"]);
    place.command(args).env("MLFLOW_TRACKING_URI", "sqlite:///x.db").run().exits_with(2).says(&["sqlite:///x.db"]);
    let other =
        ["mlflow", "pull", "--experiment", "nobody", "-o", "u.jsonl", "--tracking-uri", &server.fake.base_url()];
    place.command(other).env("MLFLOW_TRACKING_TOKEN", "token-12345").run().exits_with(2).says(&["nobody"]);
    assert!(server.fake.seen().iter().all(|request| path(request).starts_with("/v1/")));
}

#[test]
fn a_registered_judge_is_asked_from_a_file_beside_the_log() {
    let scorer = include_str!("../../fixtures/mlflow/3.17.2/scorer.registered_make_judge.rest_get.json");
    let (place, server) = (
        Place::new(),
        Mlflow::with(2, move |request| path(request).ends_with("/scorers/get").then(|| answers::raw(200, &[], scorer))),
    );
    let uri = server.fake.base_url();
    let args = ["-d", "mlflow:/bot", "-J", "mlflow:/scorers/quality_judge", "--simulate", "--tracking-uri", &uri];
    place.run(args).exits_with(0).says(&["mlflow-judges/quality_judge.toml"]);
    let records = place.lines("bot.feedback.jsonl");
    assert_eq!((records.len(), &records[0]["name"]), (2, &"quality_judge".into()));
    assert_eq!(records[0]["metadata"]["judge_prompt"], "prompts:/quality_judge/1");
    place.run(args).exits_with(0);
    assert_eq!(place.lines("bot.feedback.jsonl").len(), 2, "the same judge");
    let unknown = ["-d", "mlflow:/bot", "-J", "prompts:/none/1", "--simulate", "--tracking-uri", &uri];
    place.run(unknown).exits_with(2).says(&["has no `prompts:/none/1`"]);
    let wrong = ["-d", "mlflow:/bot", "-J", "prompts:/none", "--simulate", "--tracking-uri", &uri];
    place.run(wrong).exits_with(2).says(&["prompts:/NAME/VERSION"]);
}

#[test]
fn judges_of_the_server_become_files() {
    let scorer: Value =
        serde_json::from_str(include_str!("../../fixtures/mlflow/3.17.2/scorer.registered_make_judge.rest_get.json"))
            .unwrap();
    let mut code = scorer["scorer"].clone();
    code["serialized_scorer"] =
        json!({"name": "own", "call_source": "return 1", "instructions_judge_pydantic_data": null}).to_string().into();
    let list = json!({"scorers": [scorer["scorer"], code]}).to_string();
    let place = Place::new();
    let server =
        Mlflow::with(0, move |request| path(request).ends_with("/scorers/list").then(|| answers::raw(200, &[], &list)));
    let uri = server.fake.base_url();
    let import =
        |more: &[&str]| place.run(["judges", "import", "--tracking-uri", &uri].into_iter().chain(more.iter().copied()));
    import(&["--from-server", "--experiment", "bot"])
        .exits_with(3)
        .prints(&["judges/quality_judge.toml"])
        .says(&["warning: the server: "]);
    place.run(["judges", "check", "quality_judge"]).exits_with(0);
    import(&["--from-server"]).exits_with(2).says(&["--experiment NAME"]);
    import(&["mlflow:/other/x"]).exits_with(2).says(&["mlflow:/scorers/NAME"]);
    import(&["--from-server", "--experiment", "none"]).exits_with(2).says(&["none"]);
}

#[test]
fn images_that_traces_refer_to_are_fetched_for_judges_that_show_them() {
    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
    let fault = |request: &Request| match path(request) {
        path if path.ends_with("/batchGet") => {
            let url =
                |id: &str, kind: &str| format!("mlflow-attachment://{id}?content_type={kind}&trace_id=tr-0&size=8");
            let content = json!([
                {"type": "text", "text": "What is it?"},
                {"type": "image_url", "image_url": {"url": url("picture", "image%2Fpng")}},
                {"type": "image_url", "image_url": {"url": url("lost", "image%2Fpng")}},
                {"type": "file", "file": {"url": url("paper", "application%2Fpdf")}},
            ]);
            let inputs = json!({"messages": [{"role": "user", "content": content}]});
            let span = json!({
                "trace_id": "4hxrVPUSOLr32/7ZCttnVA==", "span_id": "5AhwCilh1iQ=", "name": "bot", "start_time_unix_nano": 1,
                "end_time_unix_nano": 2, "status": {"code": "STATUS_CODE_OK"},
                "attributes": {"mlflow.spanInputs": inputs.to_string(), "mlflow.spanOutputs": "\"Answer number 0.\""},
            });
            let traces = json!({"traces": [{"trace_info": {"trace_id": "tr-0"}, "spans": [span]}]});
            Some(answers::response(200, &[], &traces))
        }
        path if path.ends_with("/ajax-api/3.0/mlflow/get-trace-artifact") => {
            let is_there = request.line.contains("request_id=tr-0&path=picture ");
            Some(if is_there { answers::bytes(200, &[], PNG) } else { answers::raw(404, &[], "{}") })
        }
        _ => None,
    };
    let (place, server) = (Place::new(), Mlflow::with(1, fault));
    let endpoint = Fake::start(|_| answers::verdict(true));
    let judge = "description = \"A picture.\"\n[verdict]\ntype = \"boolean\"\n[prompt]\n\
                 user = \"{{ inputs | images }}\\n{{ outputs | fence('answer') }}\"\n";
    place.write("picture.toml", judge);
    let (uri, url) = (server.fake.base_url(), endpoint.base_url());
    let args = ["-d", "mlflow:/bot", "-J", "picture.toml", "-m", "mine:/m", "--base-url", &url, "--tracking-uri", &uri];
    place.run(args).exits_with(0).says(&["1 new trace, 1 image, 1 image unavailable", "bot.images.traces.jsonl"]);
    let image = "data:image/png;base64,iVBORw0KGgo=";
    let request = endpoint.seen()[0].json();
    assert!(request["messages"].to_string().contains(image), "{request}");
    let pulled = place.read("bot.images.traces.jsonl");
    assert!(
        pulled.contains(image) && pulled.contains("mlflow-attachment://paper") && pulled.contains("attachment://lost")
    );
    assert_eq!(server.count("GET", "/get-trace-artifact"), 2, "an attachment that is no image is not fetched");
    // Others have no use for them.
    pull(&place, &server, &[]).exits_with(0).prints(&["1 new trace of"]);
    assert!(place.read("t.jsonl").contains("mlflow-attachment://picture"));
}

#[test]
fn from_an_old_server_traces_are_pulled_and_feedback_to_it_ends_with_the_reason() {
    let fault = |request: &Request| match path(request) {
        path if path.ends_with("/version") => Some(answers::raw(200, &[], "2.22.4")),
        path if path.ends_with("/api/2.0/mlflow/traces") => {
            assert!(
                request.line.contains("experiment_ids=7&max_results=100&order_by=timestamp_ms+ASC"),
                "{}",
                request.line
            );
            let info = json!({"request_id": "r-1", "experiment_id": "7", "timestamp_ms": START_MS, "execution_time_ms": 20,
                "status": "OK", "request_metadata": [], "tags": [{"key": "env", "value": "prod"}]});
            Some(answers::response(200, &[], &json!({"traces": [info]})))
        }
        path if path.ends_with("/get-trace-artifact") => {
            let span = json!({"name": "bot", "context": {"span_id": "0x1", "trace_id": "0x2"}, "parent_id": null, "start_time": 1,
                "end_time": 2, "status_code": "OK", "status_message": "", "events": [],
                "attributes": {"mlflow.spanInputs": "{\"question\": \"Why?\"}", "mlflow.spanOutputs": "\"Answer number 1.\""}});
            Some(answers::response(200, &[], &json!({"spans": [span], "request": "", "response": ""})))
        }
        path if path.contains("/api/3.0/") => {
            Some(answers::raw(404, &[], "<!doctype html><title>404 Not Found</title>"))
        }
        _ => None,
    };
    let (place, server) = (Place::new(), Mlflow::with(0, fault));
    pull(&place, &server, &[]).exits_with(0).prints(&["1 new trace", "1 with spans from the artifact store"]);
    pull(&place, &server, &[]).exits_with(0).prints(&["0 new traces"]);
    let endpoint = Fake::start(|_| answers::verdict(true));
    let url = endpoint.base_url();
    let args = ["-d", "t.jsonl", "-J", "safety", "-m", "mine:/m", "--base-url", &url, "-o", "log.jsonl"];
    place.run(args).exits_with(0);
    assert_eq!(place.lines("log.jsonl")[0]["trace_id"], "r-1");
    assert_eq!(endpoint.seen()[0].trace(), 1);
    let uri = server.fake.base_url();
    place
        .run(["mlflow", "push", "log.jsonl", "--tracking-uri", &uri])
        .exits_with(4)
        .says(&["MLflow 2.22.4", "3.2 or later"]);
}
