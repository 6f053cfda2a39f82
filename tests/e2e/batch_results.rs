//! Results in every form in which servers hand them out, and what is done where they are not whole; queues without room; batches that are gone.

use std::collections::BTreeMap;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::batch_dialects::{message, route};
use crate::batch_provider::{Asked, Provider};
use crate::batches::{LOG, errors, values};
use crate::common::{Action, Fake, Place, SimulatorProcess, answers};

fn gzip(text: &str) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    out.write_all(text.as_bytes()).unwrap();
    out.finish().unwrap()
}

/// A run whose results come in this form: all are there, at the first look.
fn all_are_read(respond: impl Fn(&str) -> Action + Send + Sync + 'static) {
    let provider = Provider::start(move |_, asked| match asked {
        Asked::Results(_, text) => Some(respond(text)),
        _ => None,
    });
    let place = Place::with_traces(6);
    provider.judge(&place, &[]).exits_with(0).prints(&["6 traces, 1 request", "scored         6  "]);
    assert_eq!((values(&place), provider.uploaded().len(), provider.count("GET", "files/")), (6, 1, 1));
}

#[test]
fn results_are_read_with_a_byte_order_mark_other_line_ends_and_compressed() {
    all_are_read(|text| answers::raw(200, &[], &format!("\u{feff}{}", text.replace('\n', "\r\n\r\n"))));
    all_are_read(|text| answers::raw(200, &[("content-type", "text/html")], text.trim_end()));
    all_are_read(|text| answers::bytes(200, &[("content-encoding", "gzip")], &gzip(text)));
    all_are_read(|text| answers::bytes(200, &[], &gzip(text)));
}

#[test]
fn results_are_fetched_from_the_storage_to_which_a_provider_redirects_without_the_key() {
    let storage = Fake::start(|request| answers::raw(200, &[], &String::from_utf8_lossy(&stored(&request.line))));
    let address = storage.base_url();
    let provider = Provider::start(move |_, asked| match asked {
        Asked::Results(_, text) => {
            let location = format!("{address}/stored?signature={}", hex(text.as_bytes()));
            Some(answers::raw(302, &[("location", &location)], ""))
        }
        _ => None,
    });
    let place = Place::with_traces(3);
    let run = place.judge(&provider.fake.base_url(), &["-m", "openai:/m", "--batch", "--poll-every", "1ms"]);
    run.env("OPENAI_API_KEY", "sk-test-1234").run().exits_with(0);
    assert_eq!(values(&place), 3);
    let keys = |fake: &Fake| fake.seen().iter().filter(|request| request.header("authorization").is_some()).count();
    assert_eq!((storage.count(), keys(&storage)), (1, 0));
    assert!(keys(&provider.fake) > 3);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a signature says is stored.
fn stored(line: &str) -> Vec<u8> {
    let hex = line.split("signature=").nth(1).unwrap().split(' ').next().unwrap();
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

#[test]
fn results_that_are_not_whole_are_fetched_again() {
    let odd: [fn(&str) -> Action; 3] = [
        |_| answers::error(404, "not_found", "No such File object"),
        // A transfer that ends early, between two lines and within one.
        |text| answers::raw(200, &[], text.split_inclusive('\n').next().unwrap()),
        |text| answers::raw(200, &[], &text[..text.len() - 40]),
    ];
    for respond in odd {
        let provider = Provider::start(move |before, asked| match asked {
            Asked::Results(_, text) if before == 0 => Some(respond(text)),
            _ => None,
        });
        let place = Place::with_traces(4);
        provider.judge(&place, &[]).exits_with(0);
        assert_eq!((values(&place), provider.uploaded().len(), provider.count("GET", "files/")), (4, 1, 2));
    }
}

#[test]
fn results_that_stay_incomplete_are_told_of() {
    let provider = Provider::start(|_, asked| match asked {
        Asked::Results(_, text) => Some(answers::raw(200, &[], text.split_inclusive('\n').next().unwrap())),
        _ => None,
    });
    let place = Place::with_traces(4);
    let said = "warning: batch batch-0: its results are not whole: the provider counts 3, and sent 1";
    provider.judge(&place, &[]).exits_with(3).says(&[said]);
    assert_eq!((values(&place), errors(&place)), (2, BTreeMap::from([("BATCH_RESULT_MISSING".to_owned(), 2)])));
}

#[test]
fn what_is_no_result_is_never_taken_for_a_missing_one_and_holds_up_no_other_batch() {
    let provider = Provider::start(|_, asked| match asked {
        Asked::Results(_, text) if text.lines().count() == 2 => {
            Some(answers::raw(200, &[], "<html>\nDown for maintenance\n</html>"))
        }
        _ => None,
    });
    let place = Place::with_traces(6);
    // A batch of three requests, and one of two.
    for _ in 0..2 {
        let run = provider.judge(&place, &["--batch-max-requests", "3"]);
        run.exits_with(4).says(&["cannot read the results of batch batch-", ": no line of `traces.feedback.batches"]);
    }
    assert_eq!((values(&place), errors(&place), provider.uploaded().len()), (4, BTreeMap::new(), 2));
}

#[test]
fn a_submission_for_which_the_queue_has_no_room_is_halved_one_by_one() {
    for status in [400, 429] {
        let provider = Provider::start(move |_, asked| match asked {
            Asked::Submission(n) if *n > 4 => {
                let body =
                    json!({"error": {"code": "token_limit_exceeded", "message": "Enqueued token limit reached."}});
                Some(answers::response(status, &[], &body))
            }
            _ => None,
        });
        let place = Place::with_traces(33);
        provider.judge(&place, &["--batch-max-requests", "16", "--delete-files"]).exits_with(0);
        let sizes: Vec<_> = provider.uploaded().iter().map(std::collections::BTreeSet::len).collect();
        assert_eq!((values(&place), sizes), (33, vec![16, 8, 4, 4, 8, 4, 4, 16, 8, 4, 4, 8, 4, 4]), "{status}");
        // Files of requests that became others are deleted, too.
        assert_eq!(provider.count("DELETE", "files/file-"), 14);
    }
    // A queue that others fill: the smallest part is refused, and the rest stays as large as it was.
    let provider = Provider::start(|_, asked| match asked {
        Asked::Submission(_) => Some(answers::error(400, "token_limit_exceeded", "Enqueued token limit reached.")),
        _ => None,
    });
    let place = Place::with_traces(33);
    provider.judge(&place, &[]).exits_with(4).says(&["no room in its queue for a single request"]);
    assert_eq!(
        provider.uploaded().iter().map(std::collections::BTreeSet::len).collect::<Vec<_>>(),
        [32, 16, 8, 4, 2, 1]
    );
}

#[test]
fn a_submission_that_comes_too_soon_after_others_waits_for_none_of_them() {
    let provider = Provider::start(|before, asked| match asked {
        Asked::Submission(_) if before == 1 => {
            Some(answers::error(429, "rate_limit_exceeded", "Too many batches created in this minute."))
        }
        // None of them ends.
        Asked::Other(path) => Some(crate::batch_dialects::ok(json!({"id": path, "status": "in_progress"}))),
        _ => None,
    });
    let place = Place::with_traces(7);
    let more = ["--batch-max-requests", "2", "--detach"];
    provider.judge(&place, &more).exits_with(5).says(&["Too many batches", "trying again"]);
    provider.judge(&place, &more).exits_with(5);
    assert_eq!((provider.count("POST", "batches"), provider.uploaded().len()), (4, 3));
}

#[test]
fn a_batch_that_the_provider_no_longer_has_can_be_given_up() {
    let provider = Provider::start(|_, asked| match asked {
        Asked::Other(_) => Some(answers::error(404, "not_found", "No batch found.")),
        _ => None,
    });
    let place = Place::with_traces(4);
    provider.judge(&place, &[]).exits_with(4).says(&["no longer has batch batch-0", "collect LOG --cancel"]);
    let cancelled = place.run(["collect", LOG, "--cancel"]);
    cancelled
        .exits_with(0)
        .says(&["batch batch-0: given up"])
        .prints(&["next: the command that submitted the batches"]);
    assert_eq!((values(&place), errors(&place)), (1, BTreeMap::new()));
    place.run(["collect", LOG]).exits_with(0);
    assert_eq!(provider.uploaded().len(), 1);
    // From now on its requests are new.
    provider.judge(&place, &["--detach"]).exits_with(5);
    assert_eq!(provider.uploaded().len(), 2);
}

#[test]
fn a_batch_is_found_however_many_are_newer() {
    // A page has two of 5,000 that are newer.
    let name = std::sync::Mutex::new(String::new());
    let fake = Fake::start(move |request| match route(request) {
        (_, path) if path == "models" => answers::error(404, "not_found", "Not Found"),
        (_, path) if path == "chat/completions" => answers::verdict(true),
        (_, path) if path == "files" => crate::batch_dialects::ok(json!({"id": "file-1"})),
        (method, path) if (method.as_str(), path.as_str()) == ("POST", "batches") => {
            *name.lock().unwrap() = request.json()["metadata"]["judge_run_batch"].as_str().unwrap().to_owned();
            Action::Close
        }
        (_, path) if path == "batches" => {
            let after = request.line.split("after=batch-").nth(1);
            let after = after.map_or(0, |after| after.split([' ', '&']).next().unwrap().parse::<usize>().unwrap());
            let batch = |i: usize| match i {
                61 => json!({"id": "batch-61", "metadata": {"judge_run_batch": *name.lock().unwrap()}}),
                _ => json!({"id": format!("batch-{i}"), "metadata": {"judge_run_batch": "another"}}),
            };
            let page: Vec<Value> = (after + 1..=(after + 2).min(61)).map(batch).collect();
            crate::batch_dialects::ok(json!({"object": "list", "data": page, "has_more": after + 2 < 61}))
        }
        (_, path) if path == "batches/batch-61" => {
            crate::batch_dialects::ok(json!({"id": "batch-61", "status": "in_progress"}))
        }
        other => panic!("{other:?}"),
    });
    let place = Place::with_traces(3);
    let run = place.judge(&fake.base_url(), &["--batch", "--detach"]);
    run.run().exits_with(5).says(&["found batch batch-61"]);
    let submissions = fake.seen().iter().filter(|request| request.line.starts_with("POST /v1/batches")).count();
    assert_eq!(submissions, 1);
}

#[test]
fn results_are_imported_in_parts() {
    let place = Place::with_traces(5);
    let export = ["batch", "export", "-d", "traces.jsonl", "-J", "safety", "-m", "openai:/m", "--to", "requests"];
    place.command(export).env("OPENAI_API_KEY", "sk-test-1234").run().exits_with(5);
    let file = std::fs::read_dir(place.path("requests")).unwrap().next().unwrap().unwrap().path();
    let requests = std::fs::read_to_string(file).unwrap();
    let answer = |line: &str| {
        let request: Value = serde_json::from_str(line).unwrap();
        let choice = json!({"finish_reason": "stop", "message": {"content": message(true)}});
        json!({"custom_id": request["custom_id"], "response": {"choices": [choice]}}).to_string() + "\r\n"
    };
    let results: Vec<String> = requests.lines().map(answer).collect();
    for (name, part) in [("a", &results[..2]), ("b", &results[1..3]), ("c", &results[3..])] {
        place.write(&format!("{name}.jsonl"), part.concat());
    }
    let import = |name: &str| {
        let file = format!("{name}.jsonl");
        place.command(["batch", "import", LOG, &file]).env("OPENAI_API_KEY", "sk-test-1234").run()
    };
    import("a")
        .exits_with(5)
        .prints(&["batched        3"])
        .says(&["2 results taken in", "1 batch pending, 3 requests"]);
    import("b").exits_with(5).says(&["1 result taken in", "left out 1 line", "1 batch pending, 2 requests"]);
    // On another machine the requests need not be.
    std::fs::remove_dir_all(place.path("traces.feedback.batches")).unwrap();
    import("c").exits_with(0).prints(&["scored         5"]);
    assert_eq!((values(&place), place.lines(LOG).len()), (5, 5));
}

#[test]
fn what_one_request_showed_is_known_to_all_batches_of_the_command() {
    // It takes no schema, which the first request of all finds out.
    let simulator = SimulatorProcess::start(&["--fail", "schema=100%"]);
    let place = Place::with_traces(21);
    place.write("judge-run.toml", "[endpoints.openai.prices.\"gpt-4.1-mini\"]\ninput = 1.0\noutput = 1000.0\n");
    // An answer may cost 2048 tokens, in a batch at half the price: 1.03 each. So there are several batches, one after the other.
    let args = ["-m", "openai:/gpt-4.1-mini", "--max-cost", "5.5", "--batch", "--poll-every", "1ms"];
    let run = place.judge(&simulator.base_url(), &args).env("OPENAI_API_KEY", "sk-test-1234").run();
    run.exits_with(0).prints(&["scored        21  ", "were adapted: "]);
    let stats = simulator.stats();
    let of = |name: &str| stats[name].as_u64().unwrap();
    assert_eq!((of("batch_lines"), of("batch_lines_again"), values(&place)), (20, 0, 21));
    assert!(of("batches") > 3, "{stats}");
}
