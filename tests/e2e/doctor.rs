//! `judge-run doctor`: what is configured, whether it works, what would be sent where.

use serde_json::{Value, json};

use crate::common::{Fake, Finished, Place, answers};

/// The findings of one part: status, name and detail.
fn found(finished: &Finished, part: &str) -> Vec<(String, String, String)> {
    let diagnosis: Value = serde_json::from_str(&finished.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let findings = diagnosis["findings"].as_array().unwrap().iter().filter(|finding| finding["part"] == part);
    findings.map(|finding| (text(&finding["status"]), text(&finding["name"]), text(&finding["detail"]))).collect()
}

const KEY: &str = "sk-of-the-doctor-0123456789";

#[test]
fn everything_that_is_configured_is_asked_once_and_nothing_is_judged() {
    let place = Place::with_traces(2);
    let endpoint = Fake::start(|_| answers::response(200, &[], &json!({"data": [{"id": "m"}]})));
    let mlflow = Fake::start(|request| match request.line.split(' ').nth(1).unwrap() {
        "/v1/version" => answers::raw(200, &[], "3.17.2"),
        _ => answers::response(200, &[], &json!({"experiments": []})),
    });
    let langfuse = Fake::start(|_| answers::response(200, &[], &json!({"data": [{"id": "1", "name": "bot"}]})));
    let phoenix = Fake::start(|_| answers::response(200, &[], &json!({"data": [], "next_cursor": null})));
    let config = format!(
        "dataset = \"traces.jsonl\"\njudges = [\"safety\"]\nmodel = \"mine:/m\"\n[redact]\npatterns = [\"email\"]\n\
         [endpoints.mine]\nbase_url = \"{}\"\napi_key_env = \"MINE\"\n",
        endpoint.base_url()
    );
    place.write("judge-run.toml", config);
    let run = |args: &[&str]| {
        let command = place.command([&["doctor"], args].concat()).env("MINE", KEY);
        let command = command.env("MLFLOW_TRACKING_URI", mlflow.base_url()).env("PHOENIX_HOST", phoenix.base_url());
        let command = command.env("LANGFUSE_HOST", langfuse.base_url()).env("LANGFUSE_PUBLIC_KEY", "pk");
        let finished = command.env("LANGFUSE_SECRET_KEY", KEY).run().exits_with(0);
        assert!(!finished.stdout.contains(KEY) && !finished.stderr.contains(KEY));
        finished
    };
    let finished = run(&["--format", "json"]);
    for part in ["configuration", "dataset", "judge", "log", "endpoint", "mlflow", "phoenix", "langfuse"] {
        let found = found(&finished, part);
        assert!(matches!(found.as_slice(), [(status, ..)] if status == "ok"), "{part}: {found:?}");
    }
    assert!(found(&finished, "endpoint")[0].2.contains("the key of MINE"));
    assert!(found(&finished, "variables")[0].2.contains("LANGFUSE_SECRET_KEY, MLFLOW_TRACKING_URI"));
    assert!(endpoint.seen().iter().all(|request| request.line.starts_with("GET /v1/models ")));
    assert_eq!([endpoint.seen().len(), mlflow.seen().len(), phoenix.seen().len(), langfuse.seen().len()], [1, 2, 1, 1]);
    let sends: Value = serde_json::from_str(&finished.stdout).unwrap();
    let sends = sends["sends"].as_array().unwrap();
    let commands: Vec<_> = sends.iter().map(|one| one["command"].as_str().unwrap()).collect();
    assert_eq!(commands, ["a run", "--push, mlflow push", "phoenix push", "langfuse push"]);
    assert_eq!(sends[0]["redacted"], json!(["email"]));
    assert!(sends[0]["data"].as_str().unwrap().contains("answer"), "{}", sends[0]["data"]);
    let before = endpoint.seen().len();
    let offline = run(&["--offline", "--format", "json"]);
    assert_eq!(found(&offline, "endpoint")[0].0, "not_asked");
    assert_eq!((endpoint.seen().len(), mlflow.seen().len()), (before, 2), "nothing is asked");
    run(&[]).prints(&["ok", "judge-run.toml", "what would be sent:"]);
    assert_eq!(place.names().len(), 2, "nothing is written: {:?}", place.names());
}

#[test]
fn each_part_that_does_not_work_is_named_with_what_to_do() {
    let place = Place::with_traces(1);
    let refusing = Fake::start(|_| answers::error(401, "invalid_api_key", "Incorrect API key provided."));
    let config = format!(
        "dataset = \"none.jsonl\"\njudges = [\"safty\", \"safety\"]\nmodel = \"mine:/m\"\n\
         [endpoints.mine]\nbase_url = \"{}\"\napi_key_env = \"MINE\"\n[endpoints.other]\nbase_url = \"http://127.0.0.1:9/v1\"\n\
         api_key_env = \"UNSET\"\n",
        refusing.base_url()
    );
    place.write("judge-run.toml", config);
    let command = || place.command(["doctor", "--format", "json"]).env("MINE", KEY).env("JUDGE_RUN_RMP", "3");
    let finished = command().env("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db").run().exits_with(1);
    let statuses = |part| found(&finished, part).into_iter().map(|(status, ..)| status).collect::<Vec<_>>();
    assert_eq!(statuses("dataset"), ["fails"]);
    assert_eq!(statuses("judge"), ["fails", "ok"]);
    assert_eq!(statuses("endpoint"), ["fails", "fails"]);
    assert!(found(&finished, "endpoint")[0].2.contains("Incorrect API key"));
    assert!(found(&finished, "endpoint")[1].2.contains("UNSET"));
    assert_eq!(statuses("variables"), ["ok", "warning"]);
    // It may be meant for other programs alone; as a dataset it is not.
    assert_eq!(statuses("mlflow"), ["warning"]);
    let needed = place.command(["doctor", "-d", "mlflow:/bot", "-J", "safety", "--offline", "--format", "json"]);
    let needed = needed.env("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db").env("MINE", KEY).run().exits_with(1);
    assert_eq!(found(&needed, "mlflow")[0].0, "fails");
    command().run().exits_with(1);
    place.write("judge-run.toml", "model = 3\n");
    let broken = place.run(["doctor", "--format", "json"]).exits_with(1);
    assert_eq!(found(&broken, "configuration")[0].0, "fails");
    place.run(["doctor", "--header", "no colon", "--config", "none.toml"]).exits_with(1);
}

#[test]
fn an_endpoint_without_a_list_of_models_answers_and_a_model_that_is_not_listed_is_doubtful() {
    let place = Place::with_traces(1);
    let status = |endpoint: &Fake| {
        let url = endpoint.base_url();
        let args =
            ["doctor", "-d", "traces.jsonl", "-J", "safety", "-m", "mine:/m", "--base-url", &url, "--format", "json"];
        found(&place.run(args).exits_with(0), "endpoint")[0].0.clone()
    };
    assert_eq!(status(&Fake::start(|_| answers::raw(404, &[], "not found"))), "ok");
    assert_eq!(status(&Fake::start(|_| answers::response(200, &[], &json!({"data": [{"id": "other"}]})))), "warning");
    place.run(["doctor"]).exits_with(0).prints(&["a run would ask openai:/gpt-4.1-mini"]);
    place.run(["doctor", "-d", "traces.jsonl", "-J", "safety", "--simulate"]).exits_with(0).prints(&["made up"]);
}

#[test]
fn the_stronger_model_and_the_batch_api_are_asked_too() {
    let place = Place::with_traces(1);
    let endpoint = |has_batches: bool| {
        Fake::start(move |request| match request.line.split(' ').nth(1).unwrap() {
            "/v1/models" => answers::response(200, &[], &json!({"data": [{"id": "m"}, {"id": "strong"}]})),
            "/v1/batches?limit=1" if has_batches => {
                answers::response(200, &[], &json!({"data": [], "has_more": false}))
            }
            _ => answers::error(404, "not_found", "Not Found"),
        })
    };
    let args = ["-d", "traces.jsonl", "-J", "safety", "-m", "mine:/m", "--format", "json", "--batch"];
    let (with, without) = (endpoint(true), endpoint(false));
    let doctor = |fake: &Fake, more: &[&str]| {
        let url = fake.base_url();
        place.run([&["doctor", "--base-url", &url], &args[..], more].concat())
    };
    let finished = doctor(&with, &["--escalate-to", "mine:/strong"]).exits_with(0);
    let names = |part| found(&finished, part).into_iter().map(|(status, name, _)| (status, name)).collect::<Vec<_>>();
    let both = ["mine:/m", "mine:/strong"].map(|name| ("ok".to_owned(), name.to_owned()));
    assert_eq!((names("endpoint"), names("batches")), (both.to_vec(), both.to_vec()));
    assert_eq!(with.seen().len(), 4, "each is asked twice");
    assert!(found(&finished, "batches")[0].2.contains("the batch API of openai at"));
    let finished = doctor(&without, &[]).exits_with(1);
    assert_eq!(found(&finished, "batches")[0].0, "fails");
    let offline = doctor(&with, &["--offline"]).exits_with(0);
    assert_eq!((found(&offline, "batches")[0].0.as_str(), with.seen().len()), ("not_asked", 4));
}
