//! Batches whose submission was cut off: found again, never submitted twice, and never taken for another run's.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::batch_dialects::{lines, message, ok, results, route};
use crate::batches::{LOG, values};
use crate::common::{Action, Fake, Finished, Invocation, Place, Request, answers};

#[test]
fn a_submission_whose_answer_is_lost_is_found_and_not_repeated() {
    // The batch that the provider has, once it was submitted.
    let batch: Mutex<Option<Value>> = Mutex::new(None);
    let requests: Mutex<String> = Mutex::new(String::new());
    let fake = Fake::start(move |request| match route(request) {
        (_, path) if path == "chat/completions" => answers::verdict(true),
        (_, path) if path == "files" => {
            *requests.lock().unwrap() = String::from_utf8(request.body.clone()).unwrap();
            ok(json!({"id": "file-1", "object": "file"}))
        }
        (method, path) if (method.as_str(), path.as_str()) == ("POST", "batches") => {
            let mut whole = request.json();
            whole["id"] = "batch_1".into();
            whole["status"] = "completed".into();
            whole["output_file_id"] = "file-2".into();
            *batch.lock().unwrap() = Some(whole);
            Action::Close
        }
        (_, path) if path == "batches" => {
            ok(json!({"object": "list", "data": [*batch.lock().unwrap()], "has_more": false}))
        }
        (_, path) if path == "batches/batch_1" => ok(batch.lock().unwrap().clone().unwrap()),
        (_, path) if path == "files/file-2/content" => lines(&results(&requests.lock().unwrap())),
        other => panic!("{other:?}"),
    });
    let place = Place::with_traces(4);
    place
        .judge(&fake.base_url(), &["--batch", "--poll-every", "1ms"])
        .run()
        .exits_with(0)
        .says(&["found batch batch_1"]);
    let submitted = fake.seen().iter().filter(|request| request.line.starts_with("POST /v1/batches ")).count();
    assert_eq!((submitted, values(&place)), (1, 4));
    let uploaded = fake.seen().into_iter().find(|request| request.line.starts_with("POST /v1/files")).unwrap();
    let form = String::from_utf8(uploaded.body).unwrap();
    assert!(form.contains("name=\"purpose\"\r\n\r\nbatch\r\n") && form.contains("filename=\"judge-run-"), "{form}");
}

/// A provider whose batches have no name, and which ends all of them at once.
#[derive(Default)]
struct Nameless {
    is_anthropic: bool,
    /// The requests of each batch.
    submitted: Mutex<Vec<Vec<Value>>>,
    /// Submissions arrive, though their answers are lost.
    arrives: AtomicBool,
    /// The answers to submissions are not lost.
    answers: AtomicBool,
    is_over: AtomicBool,
}

impl Nameless {
    /// It has a batch of three requests already, which another program submitted.
    fn start(model: &str) -> (Fake, Arc<Self>) {
        let foreign = (0..3).map(|n| json!({"custom_id": format!("a-{n:032x}")})).collect();
        let submitted = Mutex::new(vec![foreign]);
        let provider = Arc::new(Self { is_anthropic: model.starts_with("anthropic"), submitted, ..Self::default() });
        let its = Arc::clone(&provider);
        (Fake::start(move |request| its.respond(request)), provider)
    }

    fn respond(&self, request: &Request) -> Action {
        let (method, path) = route(request);
        let path = path.strip_prefix("messages/").unwrap_or(&path);
        let mut submitted = self.submitted.lock().unwrap();
        match (method.as_str(), path.split('/').collect::<Vec<_>>().as_slice()) {
            ("GET", ["models"]) => answers::error(404, "not_found", "Not Found"),
            ("POST", ["chat", "completions"]) => answers::verdict(true),
            ("POST", ["batches"]) => {
                if self.arrives.load(Ordering::SeqCst) {
                    submitted.push(request.json()["requests"].as_array().unwrap().clone());
                }
                match self.answers.load(Ordering::SeqCst) {
                    true => ok(self.batch(submitted.len() - 1, &submitted)),
                    false => Action::Close,
                }
            }
            ("GET", ["batches"]) => {
                // One on a page, the newest first.
                let after = if self.is_anthropic { "after_id=batch_" } else { "after=batch_" };
                let after = request.line.split(['?', '&', ' ']).find_map(|part| part.strip_prefix(after));
                let i = after.map_or(submitted.len(), |after| after.parse().unwrap()) - 1;
                let page = [self.batch(i, &submitted)];
                ok(json!({"data": page, "has_more": i > 0, "last_id": format!("batch_{i}")}))
            }
            ("GET", ["batches", id]) => {
                let i = id.trim_start_matches("batch_").parse().unwrap();
                let mut batch = self.batch(i, &submitted);
                batch["results"] = self.results(&submitted[i]).into();
                ok(batch)
            }
            ("GET", ["batches", id, "results"]) => {
                lines(&self.results(&submitted[id.trim_start_matches("batch_").parse::<usize>().unwrap()]))
            }
            other => panic!("{other:?}"),
        }
    }

    fn batch(&self, i: usize, submitted: &[Vec<Value>]) -> Value {
        let (id, n, now) = (format!("batch_{i}"), submitted[i].len(), jiff::Timestamp::now());
        let is_over = self.is_over.load(Ordering::SeqCst);
        if self.is_anthropic {
            let (status, count) = if is_over { ("ended", "succeeded") } else { ("in_progress", "processing") };
            return json!({"id": id, "processing_status": status, "created_at": now.to_string(), "request_counts": {count: n}});
        }
        let status = if is_over { "completed" } else { "in_progress" };
        let counts = json!({"total": n, "completed": 0, "failed": 0});
        json!({"id": id, "model": "m", "status": status, "created_at": now.as_second(), "request_counts": counts, "results": null})
    }

    fn results(&self, requests: &[Value]) -> Vec<Value> {
        if !self.is_over.load(Ordering::SeqCst) {
            return Vec::new();
        }
        let form: Vec<_> =
            requests.iter().map(|request| json!({"custom_id": request["custom_id"]}).to_string()).collect();
        let results = results(&form.join("\n"));
        if !self.is_anthropic {
            return results;
        }
        let message = json!({"content": [{"type": "text", "text": message(false)}], "stop_reason": "end_turn"});
        let of = |result: &Value| json!({"custom_id": result["custom_id"], "result": {"type": "succeeded", "message": message}});
        results.iter().map(of).collect()
    }
}

fn run(place: &Place, fake: &Fake, model: &str, more: &[&str]) -> Finished {
    let args = [&["-m", model, "--batch", "--poll-every", "1ms"], more].concat();
    with_keys(place.judge(&fake.base_url(), &args)).run()
}

fn with_keys(command: Invocation) -> Invocation {
    command.env("ANTHROPIC_API_KEY", "sk-test-1234").env("OPENROUTER_API_KEY", "sk-test-1234")
}

fn submissions(fake: &Fake) -> usize {
    fake.seen().iter().filter(|request| request.line.starts_with("POST") && request.line.contains("batches")).count()
}

#[test]
fn runs_whose_submissions_are_cut_off_at_once_each_find_their_own_batch() {
    for model in ["anthropic:/m", "openrouter:/m"] {
        let (fake, provider) = Nameless::start(model);
        provider.arrives.store(true, Ordering::SeqCst);
        let (first, second) = (Place::with_traces(4), Place::new());
        second.write("traces.jsonl", (4..8).map(|i| format!("{}\n", answers::trace(i))).collect::<String>());
        run(&first, &fake, model, &["--detach"]).exits_with(5).says(&["2 batches at the provider may be it"]);
        run(&second, &fake, model, &["--detach"]).exits_with(5).says(&["3 batches at the provider may be it"]);
        // As long as nothing is known, nothing is done.
        run(&first, &fake, model, &["--detach"]).exits_with(5);
        provider.is_over.store(true, Ordering::SeqCst);
        for (place, id) in [(&second, "batch_2"), (&first, "batch_1")] {
            let collect = with_keys(place.command(["collect", LOG, "--wait", "--poll-every", "1ms"]));
            collect.run().exits_with(0).says(&[&format!("found batch {id}")]);
            let of_batch = place.lines(LOG).iter().filter(|record| record["metadata"]["batch"] == id).count();
            assert_eq!((values(place), of_batch), (4, 3), "{model}");
        }
        assert_eq!(submissions(&fake), 2, "{model}");
    }
}

#[test]
fn a_submission_that_did_not_arrive_is_repeated_once_the_others_batches_are_known() {
    for model in ["anthropic:/m", "openrouter:/m"] {
        let (fake, provider) = Nameless::start(model);
        let place = Place::with_traces(4);
        run(&place, &fake, model, &["--detach"]).exits_with(5).says(&["1 batch at the provider may be it"]);
        assert_eq!(submissions(&fake), 1);
        for switch in [&provider.is_over, &provider.arrives, &provider.answers] {
            switch.store(true, Ordering::SeqCst);
        }
        run(&place, &fake, model, &[]).exits_with(0);
        assert_eq!((submissions(&fake), values(&place)), (2, 4), "{model}");
    }
}
