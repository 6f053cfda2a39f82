//! Prompts that begin with the trace, so that the judges of one trace share their beginning.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::common::{Fake, Finished, Place, answers};

const LOG: &str = "traces.feedback.jsonl";

/// Two judges that are shown the same.
fn place(traces: usize) -> Place {
    let place = Place::with_traces(traces);
    for judge in ["brief", "kind"] {
        let prompt =
            format!("[prompt]\nsystem = \"Is it {judge}?\"\nuser = \"{{{{ outputs | fence('answer') }}}}\\n\"\n");
        place.write(&format!("{judge}.toml"), format!("[verdict]\ntype = \"boolean\"\ngood = true\n{prompt}"));
    }
    place
}

fn judge(place: &Place, fake: &Fake, more: &[&str]) -> Finished {
    let args = ["-d", "traces.jsonl", "-J", "./brief.toml", "-J", "./kind.toml", "--base-url", &fake.base_url()];
    place.run(args.iter().chain(more))
}

#[test]
fn with_the_trace_first_judges_share_the_beginning_of_their_prompts() {
    let (place, fake) = (place(2), Fake::start(|_| answers::verdict(true)));
    judge(&place, &fake, &["--layout", "trace-first"]).exits_with(0);
    let mut prompts: Vec<(usize, String)> = Vec::new();
    for request in fake.seen() {
        let messages = request.json()["messages"].as_array().unwrap().clone();
        assert_eq!((messages.len(), &messages[0]["role"]), (1, &json!("user")), "{messages:#?}");
        let text = messages[0]["content"].as_str().unwrap().to_owned();
        prompts.push((request.trace(), text.split_once("Is it ").unwrap().0.to_owned()));
    }
    prompts.sort();
    prompts.dedup();
    assert_eq!(prompts.len(), 2, "one beginning for each trace: {prompts:#?}");
    assert!(place.lines(LOG).iter().all(|record| record["metadata"]["layout"] == "trace-first"));
    judge(&place, &fake, &["--layout", "trace-first"]).exits_with(0);
    assert_eq!(fake.count(), 4, "nothing is asked twice");
    judge(&place, &fake, &[]).exits_with(0).prints(&["asked again"]);
    assert_eq!(fake.count(), 8, "another layout is another question");
    assert_eq!(fake.seen()[7].json()["messages"][0]["role"], "system");
}

#[test]
fn the_configuration_says_the_layout_and_the_command_line_another() {
    let (place, fake) = (place(1), Fake::start(|_| answers::verdict(true)));
    place.write("judge-run.toml", "layout = \"trace-first\"\n");
    judge(&place, &fake, &[]).exits_with(0);
    assert!(place.lines(LOG).iter().all(|record| record["metadata"]["layout"] == "trace-first"));
    judge(&place, &fake, &["--layout", "instructions-first", "--overwrite"]).exits_with(0);
    assert!(place.lines(LOG).iter().all(|record| record["metadata"].get("layout").is_none()));
    place.write("judge-run.toml", "layout = \"last\"\n");
    judge(&place, &fake, &[]).exits_with(2).says(&["layout"]);
}

#[test]
fn a_replay_asks_with_the_layout_of_the_run() {
    let place = place(1);
    let works = Arc::new(AtomicBool::new(false));
    let fake = Fake::start({
        let works = Arc::clone(&works);
        move |_| match works.load(Ordering::Relaxed) {
            true => answers::verdict(true),
            false => answers::completion("I would rather not say."),
        }
    });
    judge(&place, &fake, &["--layout", "trace-first", "--re-ask", "0"]).exits_with(4);
    works.store(true, Ordering::Relaxed);
    place.run(["replay", LOG]).exits_with(0);
    let requests: Vec<Value> = fake.seen().iter().map(crate::common::Request::json).collect();
    assert_eq!(requests.len(), 4);
    assert!(requests.iter().all(|request| request["messages"].as_array().unwrap().len() == 1));
}

#[test]
fn a_dry_run_says_what_caches_can_save() {
    let place = place(0);
    let trace =
        |n: usize| json!({"trace_id": format!("t{n}"), "inputs": "q", "outputs": format!("{n} words ").repeat(1250)});
    place.write("traces.jsonl", format!("{}\n{}\n", trace(1), trace(2)));
    let dry = |model: &str| {
        let args = ["-d", "traces.jsonl", "-J", "./brief.toml", "-J", "./kind.toml", "--dry-run", "-m", model];
        place.run(args).exits_with(0)
    };
    // Two traces of 10,000 bytes; the instructions of the second prompts are too short for a hosted API.
    dry("openai:/gpt-4.1-mini").prints(&["can save 0 of the", "; 5.0k with --layout trace-first"]);
    let local = dry("llamacpp:/m").stdout;
    assert!(!local.contains("can save 0 of") && local.contains("; 5.0k with --layout trace-first"), "{local}");
}
