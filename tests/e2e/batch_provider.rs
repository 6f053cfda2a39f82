//! An endpoint with OpenAI's files and batches, whose batches end at once. Tests say how it takes submissions, and how it hands out results.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::batch_dialects::{ok, results, route};
use crate::common::{Action, Fake, Finished, Place, answers};

/// What a provider is asked for that a test answers in its own way; each with how often it was asked for before.
pub(crate) enum Asked<'a> {
    /// To make a batch of this many requests.
    Submission(usize),
    /// The results of a batch: its number, and the text of the file.
    Results(usize, &'a str),
    /// Another address.
    Other(&'a str),
}

/// The number in a name or an address.
pub(crate) fn number(text: &str) -> usize {
    text.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap()
}

/// The provider.
pub(crate) struct Provider {
    pub(crate) fake: Fake,
    forms: Arc<Mutex<Vec<String>>>,
}

impl Provider {
    /// One that answers as OpenAI does, except where `odd` answers.
    pub(crate) fn start(odd: impl Fn(usize, &Asked<'_>) -> Option<Action> + Send + Sync + 'static) -> Self {
        let forms = Arc::new(Mutex::new(Vec::<String>::new()));
        let (its, submissions, fetched) = (Arc::clone(&forms), AtomicUsize::new(0), AtomicUsize::new(0));
        let fake = Fake::start(move |request| {
            let mut forms = its.lock().unwrap();
            match route(request) {
                (_, path) if path == "models" => answers::error(404, "not_found", "Not Found"),
                (_, path) if path == "chat/completions" => answers::verdict(true),
                (_, path) if path == "files" => {
                    forms.push(String::from_utf8(request.body.clone()).unwrap());
                    ok(json!({"id": format!("file-{}", forms.len() - 1)}))
                }
                (method, path) if (method.as_str(), path.as_str()) == ("POST", "batches") => {
                    let i = number(request.json()["input_file_id"].as_str().unwrap());
                    let asked = Asked::Submission(results(&forms[i]).len());
                    let odd = odd(submissions.fetch_add(1, Ordering::SeqCst), &asked);
                    odd.unwrap_or_else(|| ok(json!({"id": format!("batch-{i}"), "status": "validating"})))
                }
                (method, path) if path.starts_with("batches/") && method == "GET" => {
                    match odd(0, &Asked::Other(&path)) {
                        Some(action) => action,
                        None => ok(ended(number(&path), results(&forms[number(&path)]).len())),
                    }
                }
                (method, _) if method == "DELETE" => ok(json!({"deleted": true})),
                (_, path) if path.ends_with("/content") => {
                    let lines: Vec<_> = results(&forms[number(&path)]).iter().map(ToString::to_string).collect();
                    let text = lines.join("\n") + "\n";
                    let odd = odd(fetched.fetch_add(1, Ordering::SeqCst), &Asked::Results(number(&path), &text));
                    odd.unwrap_or_else(|| answers::raw(200, &[], &text))
                }
                (_, path) => odd(0, &Asked::Other(&path)).unwrap_or_else(|| panic!("{path}")),
            }
        });
        Self { fake, forms }
    }

    /// The ids of the requests in each file that was uploaded.
    pub(crate) fn uploaded(&self) -> Vec<BTreeSet<String>> {
        let ids = |form: &String| results(form).iter().map(|result| result["custom_id"].to_string()).collect();
        self.forms.lock().unwrap().iter().map(ids).collect()
    }

    /// Requests of a method whose path begins so.
    pub(crate) fn count(&self, method: &str, path: &str) -> usize {
        let is_it = |request: &&crate::common::Request| {
            let (its_method, its_path) = route(request);
            its_method == method && its_path.starts_with(path)
        };
        self.fake.seen().iter().filter(is_it).count()
    }

    /// Judges the traces of a place in its batches.
    pub(crate) fn judge(&self, place: &Place, more: &[&str]) -> Finished {
        let args = [&["--batch", "--poll-every", "1ms"], more].concat();
        place.judge(&self.fake.base_url(), &args).run()
    }
}

fn ended(i: usize, n: usize) -> Value {
    let counts = json!({"total": n, "completed": n, "failed": 0});
    json!({"id": format!("batch-{i}"), "status": "completed", "output_file_id": format!("out-{i}"), "request_counts": counts})
}
