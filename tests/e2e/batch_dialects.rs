//! Providers' batch APIs, each as in its own documentation, against scripted servers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::batches::{LEDGER, LOG, errors, values};
use crate::common::{Action, Fake, Place, Request, answers};

/// The parts of a request's first line.
pub(crate) fn route(request: &Request) -> (String, String) {
    let mut words = request.line.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    (method.to_owned(), target.split('?').next().unwrap().trim_start_matches("/v1/").to_owned())
}

pub(crate) fn ok(body: Value) -> Action {
    answers::response(200, &[], &body)
}

pub(crate) fn message(value: bool) -> String {
    json!({"rationale": "So it is.", "value": value}).to_string()
}

/// Results for the requests of a form that was uploaded, in OpenAI's form: all `false`.
pub(crate) fn results(form: &str) -> Vec<Value> {
    let completion = json!({"choices": [{"message": {"content": message(false)}, "finish_reason": "stop"}]});
    let result = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let response = json!({"status_code": 200, "body": completion});
        json!({"custom_id": line["custom_id"], "response": response, "error": null})
    };
    form.lines().filter(|line| line.starts_with("{\"custom_id\"")).map(result).collect()
}

pub(crate) fn lines(results: &[Value]) -> Action {
    answers::raw(200, &[], &results.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

#[test]
fn anthropic_s_message_batches_are_spoken() {
    let submitted: Mutex<Value> = Mutex::new(Value::Null);
    let fake = Fake::start(move |request| match route(request) {
        (_, path) if path == "chat/completions" => answers::verdict(true),
        (method, path) if (method.as_str(), path.as_str()) == ("POST", "messages/batches") => {
            assert_eq!(request.header("x-api-key"), Some("sk-test-1234"));
            assert_eq!(request.header("anthropic-version"), Some("2023-06-01"));
            *submitted.lock().unwrap() = request.json();
            ok(json!({"id": "msgbatch_1", "processing_status": "in_progress", "request_counts": {"processing": 3}}))
        }
        (_, path) if path == "messages/batches/msgbatch_1" => {
            ok(json!({"id": "msgbatch_1", "processing_status": "ended", "request_counts": {"succeeded": 3}}))
        }
        (_, path) if path == "messages/batches/msgbatch_1/results" => {
            let submitted = submitted.lock().unwrap();
            let result = |request: &Value| {
                assert!(request["params"]["system"].is_string() && request["params"]["max_tokens"].is_u64());
                let content = json!([{"type": "text", "text": message(false)}]);
                let message = json!({"content": content, "stop_reason": "end_turn", "usage": {"input_tokens": 9, "output_tokens": 3}});
                json!({"custom_id": request["custom_id"], "result": {"type": "succeeded", "message": message}})
                    .to_string()
            };
            let lines: Vec<_> = submitted["requests"].as_array().unwrap().iter().map(result).collect();
            answers::raw(200, &[], &lines.join("\n"))
        }
        other => panic!("{other:?}"),
    });
    let place = Place::with_traces(4);
    let run = place.judge(&fake.base_url(), &["-m", "anthropic:/claude", "--batch", "--poll-every", "1ms"]);
    run.env("ANTHROPIC_API_KEY", "sk-test-1234").run().exits_with(0);
    assert_eq!(values(&place), 4);
    let of_batch = place.lines(LOG).into_iter().find(|record| record["metadata"]["batch"] == "msgbatch_1").unwrap();
    assert_eq!((&of_batch["metadata"]["input_tokens"], &of_batch["value"]), (&json!("9"), &json!(false)));
}

#[test]
fn mistral_s_jobs_are_spoken() {
    let requests: Mutex<String> = Mutex::new(String::new());
    let fake = Fake::start(move |request| match route(request) {
        (_, path) if path == "chat/completions" => answers::verdict(true),
        (_, path) if path == "files" => {
            *requests.lock().unwrap() = String::from_utf8(request.body.clone()).unwrap();
            ok(json!({"id": "f1"}))
        }
        (method, path) if (method.as_str(), path.as_str()) == ("POST", "batch/jobs") => {
            let job = request.json();
            assert_eq!((&job["model"], &job["input_files"]), (&json!("small"), &json!(["f1"])));
            ok(json!({"id": "job1", "status": "QUEUED"}))
        }
        (_, path) if path == "batch/jobs/job1" => {
            ok(json!({"id": "job1", "status": "SUCCESS", "output_file": "f2", "error_file": null}))
        }
        (_, path) if path == "files/f2/content" => {
            let form = requests.lock().unwrap();
            assert!(!form.contains("\"model\""), "the model belongs to the job");
            lines(&results(&form))
        }
        other => panic!("{other:?}"),
    });
    let place = Place::with_traces(4);
    let run = place.judge(&fake.base_url(), &["-m", "mistral:/small", "--batch", "--poll-every", "1ms"]);
    run.env("MISTRAL_API_KEY", "sk-test-1234").run().exits_with(0);
    assert_eq!(values(&place), 4);
}

#[test]
fn together_s_differences_are_spoken() {
    let requests: Mutex<String> = Mutex::new(String::new());
    let submitted = Mutex::new(false);
    let fake = Fake::start(move |request| match route(request) {
        (_, path) if path == "chat/completions" => answers::verdict(true),
        (_, path) if path == "files/upload" => {
            let form = String::from_utf8(request.body.clone()).unwrap();
            assert!(form.contains("name=\"purpose\"\r\n\r\nbatch-api\r\n") && form.contains("name=\"file_name\""));
            *requests.lock().unwrap() = form;
            ok(json!({"id": "file-1"}))
        }
        (method, path) if (method.as_str(), path.as_str()) == ("POST", "batches") => {
            assert_eq!(request.json().get("metadata"), None);
            // The first answer is lost.
            match std::mem::replace(&mut *submitted.lock().unwrap(), true) {
                false => Action::Close,
                true => panic!("submitted twice"),
            }
        }
        // No page, but a list.
        (_, path) if path == "batches" => ok(json!([
            {"id": "other", "status": "COMPLETED", "input_file_id": "file-0"},
            {"id": "b1", "status": "VALIDATING", "input_file_id": "file-1", "progress": 0},
        ])),
        (_, path) if path == "batches/b1" => ok(json!({
            "id": "b1", "status": "COMPLETED", "input_file_id": "file-1", "output_file_id": "file-2",
            "error_file_id": "file-3", "error": "", "progress": 100,
        })),
        (_, path) if path == "files/file-2/content" => lines(&results(&requests.lock().unwrap())[1..]),
        (_, path) if path == "files/file-3/content" => {
            let mut error = results(&requests.lock().unwrap())[0].clone();
            error["response"] = json!({"status_code": 422, "body": {"error": {"message": "Input validation error"}}});
            lines(&[error])
        }
        other => panic!("{other:?}"),
    });
    let place = Place::with_traces(4);
    let run =
        place.judge(&fake.base_url(), &["-m", "together:/m", "--batch", "--poll-every", "1ms", "--on-expired", "fail"]);
    run.env("TOGETHER_API_KEY", "sk-test-1234").run().exits_with(3).says(&["found batch b1"]);
    assert_eq!((values(&place), errors(&place).values().sum::<usize>()), (3, 1));
}

/// A simulator that was not recognised before, as behind a proxy that drops its header. Its answers are not records of the model that was named.
#[test]
fn answers_of_a_simulator_are_not_asked_for_again_and_again() {
    let files: Mutex<Vec<String>> = Mutex::default();
    let is_over = Arc::new(AtomicBool::new(false));
    let ended = is_over.clone();
    let batch = move |id: &str| {
        let status = if ended.load(Ordering::SeqCst) { "completed" } else { "in_progress" };
        let (input, output) = (format!("file-{id}"), format!("out-{id}"));
        json!({"id": format!("b{id}"), "status": status, "input_file_id": input, "output_file_id": output})
    };
    let fake = Fake::start(move |request| match route(request) {
        (_, path) if path == "models" => answers::response(404, &[], &json!({})),
        (_, path) if path == "chat/completions" => answers::verdict(true),
        (method, path) if (method.as_str(), path.as_str()) == ("POST", "files") => {
            let mut files = files.lock().unwrap();
            files.push(String::from_utf8(request.body.clone()).unwrap());
            assert!(files.len() < 3, "submitted again");
            ok(json!({"id": format!("file-{}", files.len())}))
        }
        (method, path) if (method.as_str(), path.as_str()) == ("POST", "batches") => {
            ok(batch(request.json()["input_file_id"].as_str().unwrap().trim_start_matches("file-")))
        }
        (_, path) if path == "batches" => ok(json!({"data": []})),
        (_, path) if path.starts_with("batches/b") => ok(batch(path.trim_start_matches("batches/b"))),
        (_, path) if path.starts_with("files/out-") => {
            let place = path.trim_start_matches("files/out-").trim_end_matches("/content").parse::<usize>().unwrap();
            let mut found = results(&files.lock().unwrap()[place - 1]);
            for result in &mut found {
                result["response"]["body"]["system_fingerprint"] = json!("judge-run-simulator");
            }
            lines(&found)
        }
        other => panic!("{other:?}"),
    });
    let place = Place::with_traces(3);
    let args = ["--batch", "--poll-every", "1ms", "--detach"];
    place.judge(&fake.base_url(), &args).run().exits_with(5);
    is_over.store(true, Ordering::SeqCst);
    place.write("traces.jsonl", answers::traces(6));
    // It takes in the first batch and submits another, so that there is a pass after the next one.
    let run = place.judge(&fake.base_url(), &args[..3]).run();
    assert!(run.stderr.contains("not submitted again"), "{}", run.stderr);
    let of_simulator = |record: &&Value| record["source"]["source_id"].as_str().unwrap().starts_with("simulated:/");
    assert_eq!(place.lines(LOG).iter().filter(of_simulator).count(), 4);
}

#[test]
fn a_submission_is_answered_with_together_s_wrapping() {
    let fake = Fake::start(|request| match route(request) {
        (_, path) if path == "chat/completions" => answers::verdict(true),
        (_, path) if path == "files/upload" => ok(json!({"id": "file-1"})),
        (method, path) if (method.as_str(), path.as_str()) == ("POST", "batches") => {
            ok(json!({"job": {"id": "b1", "status": "VALIDATING", "input_file_id": "file-1"}, "warning": ""}))
        }
        (_, path) if path == "batches/b1" => ok(json!({"id": "b1", "status": "IN_PROGRESS", "progress": 50})),
        other => panic!("{other:?}"),
    });
    let place = Place::with_traces(2);
    let run = place.judge(&fake.base_url(), &["-m", "together:/m", "--batch", "--detach"]);
    run.env("TOGETHER_API_KEY", "sk-test-1234").run().exits_with(5);
    assert_eq!(place.lines(LEDGER).last().unwrap()["id"], "b1");
}

#[test]
fn openrouter_s_inline_batches_are_spoken() {
    let submitted: Mutex<Value> = Mutex::new(Value::Null);
    let fake = Fake::start(move |request| match route(request) {
        (_, path) if path == "chat/completions" => answers::verdict(true),
        (method, path) if (method.as_str(), path.as_str()) == ("POST", "batches") => {
            // It is read as it arrives: what is about all requests comes before them.
            let text = String::from_utf8(request.body.clone()).unwrap();
            let before = r#"{"endpoint":"/v1/chat/completions","model":"openai/gpt-4o","requests":["#;
            assert!(text.starts_with(before), "{text}");
            *submitted.lock().unwrap() = request.json();
            answers::response(202, &[], &json!({"id": "batch_1", "status": "validating", "results": null}))
        }
        (method, path) if (method.as_str(), path.as_str()) == ("GET", "batches/batch_1") => {
            let requests = submitted.lock().unwrap();
            let form = requests["requests"].as_array().unwrap().iter().map(|request| {
                assert!(request.as_object().unwrap().len() == 2 && request["body"].is_object());
                json!({"custom_id": request["custom_id"]}).to_string()
            });
            let mut results = results(&form.collect::<Vec<_>>().join("\n"));
            results[0]["response"] = Value::Null;
            results[0]["error"] = json!({"code": "server_error", "message": "Internal error, sk-test-1234"});
            let counts = json!({"total": 3, "completed": 2, "failed": 1});
            let whole = json!({"id": "batch_1", "status": "completed", "request_counts": counts, "results": results});
            // As a person would write it.
            answers::raw(200, &[], &serde_json::to_string_pretty(&whole).unwrap())
        }
        (method, path) if (method.as_str(), path.as_str()) == ("DELETE", "batches/batch_1") => {
            ok(json!({"id": "batch_1", "deleted": true}))
        }
        other => panic!("{other:?}"),
    });
    let place = Place::with_traces(4);
    let args =
        ["-m", "openrouter:/openai/gpt-4o", "--batch", "--poll-every", "1ms", "--delete-files", "--on-expired", "fail"];
    let run = place.judge(&fake.base_url(), &args);
    run.env("OPENROUTER_API_KEY", "sk-test-1234").run().exits_with(3);
    assert_eq!((values(&place), errors(&place)), (3, BTreeMap::from([("SERVER_ERROR".to_owned(), 1)])));
    assert!(!std::fs::read_to_string(place.path(LOG)).unwrap().contains("sk-test-1234"));
}

#[test]
fn a_batch_of_openrouter_s_cannot_be_cancelled() {
    let batch = || json!({"id": "batch_1", "model": "m", "status": "in_progress", "results": null});
    let fake = Fake::start(move |request| match route(request) {
        (_, path) if path == "chat/completions" => answers::verdict(true),
        (_, path) if path == "batches" || path == "batches/batch_1" => ok(batch()),
        other => panic!("{other:?}"),
    });
    let place = Place::with_traces(4);
    let run = place.judge(&fake.base_url(), &["-m", "openrouter:/m", "--batch", "--detach"]);
    run.env("OPENROUTER_API_KEY", "sk-test-1234").run().exits_with(5);
    let collect = place.command(["collect", LOG, "--cancel", "--poll-every", "1ms"]);
    collect.env("OPENROUTER_API_KEY", "sk-test-1234").run().exits_with(4).says(&["cannot cancel a batch"]);
}

#[test]
fn azure_s_older_addresses_have_files_and_batches_beside_the_deployment() {
    let requests: Mutex<String> = Mutex::new(String::new());
    let target = |request: &Request| {
        let mut words = request.line.split(' ');
        (words.next().unwrap().to_owned(), words.next().unwrap().trim_end_matches("?api-version=1").to_owned())
    };
    let fake = Fake::start(move |request| match target(request) {
        (_, path) if path == "/openai/deployments/gpt-batch/chat/completions" => answers::verdict(true),
        (method, path) if (method.as_str(), path.as_str()) == ("POST", "/openai/files") => {
            *requests.lock().unwrap() = String::from_utf8(request.body.clone()).unwrap();
            ok(json!({"id": "file-1", "status": "pending"}))
        }
        // A batch of a file that was not looked through would be refused.
        (_, path) if path == "/openai/files/file-1" => ok(json!({"id": "file-1", "status": "processed"})),
        (_, path) if path == "/openai/batches" => {
            assert_eq!(request.json()["endpoint"], "/chat/completions");
            ok(json!({"id": "b1", "status": "validating"}))
        }
        (_, path) if path == "/openai/batches/b1" => ok(json!({
            "id": "b1", "status": "completed", "output_file_id": "file-2", "error_file_id": "file-3",
        })),
        (_, path) if path == "/openai/files/file-2/content" => {
            let form = requests.lock().unwrap();
            assert_eq!(form.matches("\"url\":\"/chat/completions\"").count(), 1);
            assert!(form.contains("\"model\":\"gpt-batch\""), "{form}");
            lines(&results(&form))
        }
        (_, path) if path == "/openai/files/file-3/content" => answers::error(404, "not_found", "no such file"),
        other => panic!("{other:?}"),
    });
    let place = Place::with_traces(2);
    let url = fake.base_url().replace("/v1", "/openai/deployments/gpt-batch?api-version=1");
    place.judge(&url, &["--batch", "--poll-every", "1ms"]).run().exits_with(0);
    assert_eq!(values(&place), 2);
}
