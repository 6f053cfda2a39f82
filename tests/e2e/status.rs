//! The manifest, and `status`, which reads it.

use serde_json::Value;

use crate::common::{Fake, Latch, Place, answers};

const LOG: &str = "traces.feedback.jsonl";
const MANIFEST: &str = "traces.feedback.run.json";

/// An endpoint that gives this many answers and keeps the others waiting.
fn holding_after(n: usize) -> (Fake, Latch) {
    let latch = Latch::default();
    let held = latch.clone();
    let fake = Fake::start(move |request| {
        if request.number >= n {
            held.wait();
        }
        answers::verdict(true)
    });
    (fake, latch)
}

fn json(place: &Place) -> Value {
    serde_json::from_str(&place.run(["status", LOG, "--json"]).exits_with(0).stdout).unwrap()
}

#[test]
fn a_run_is_watched_from_outside_to_its_end() {
    let place = Place::with_traces(8);
    let (fake, latch) = holding_after(4);
    let running = place.judge(&fake.base_url(), &["-j", "2"]).start();
    place.wait_for_lines(LOG, 4);
    place.run(["status", LOG]).exits_with(0).prints(&[
        "traces.feedback.jsonl: run in progress for ",
        "4 records in the log",
        "safety  on openai:/gpt-4.1-mini\n  scored         4\n  failed         0",
    ]);
    let now = json(&place);
    assert_eq!((&now["state"], &now["log"]["is_locked"]), (&"running".into(), &true.into()));
    assert_eq!(now["log"]["judges"][0]["scored"], 4);

    // The second process reports which was first.
    let process = format!("it is process {}", now["pid"]);
    place.judge(&fake.base_url(), &[]).run().exits_with(2).says(&["another judge-run is writing", &process]);

    latch.open();
    running.finish().exits_with(0);
    place.run(["status"]).exits_with(0).prints(&[
        "the run finished after ",
        "8 of 8 judgments",
        "8 requests, 800 tokens in",
    ]);
    let then = json(&place);
    assert_eq!(
        (&then["state"], &then["exit_code"], &then["log"]["is_locked"]),
        (&"finished".into(), &0.into(), &false.into())
    );
    assert_eq!((&then["counts"]["judges"][0]["scored"], &then["counts"]["read_to_end"]), (&8.into(), &true.into()));
    assert_eq!(then["run_id"], now["run_id"]);
}

#[test]
fn a_run_that_was_killed_is_not_taken_for_one_that_goes_on() {
    let place = Place::with_traces(8);
    let (fake, _latch) = holding_after(4);
    let running = place.judge(&fake.base_url(), &["-j", "2"]).start();
    place.wait_for_lines(LOG, 4);
    running.kill();
    place
        .run(["status", LOG])
        .exits_with(0)
        .prints(&["the run was killed, or its machine stopped", "4 records in the log"]);
}

#[test]
fn how_a_run_ended_stands_in_the_manifest() {
    let place = Place::with_traces(3);
    let fake = Fake::start(|_| answers::error(401, "invalid_api_key", "Incorrect API key provided."));
    place.judge(&fake.base_url(), &[]).run().exits_with(4);
    place.run(["status"]).exits_with(0).prints(&["the run stopped early", "AUTHENTICATION_ERROR"]);
    let manifest = json(&place);
    assert_eq!((&manifest["state"], &manifest["exit_code"]), (&"stopped".into(), &4.into()));
    // Those that were in flight with the first one failed too.
    assert!(manifest["log"]["judges"][0]["failed"]["AUTHENTICATION_ERROR"].as_u64() >= Some(1), "{manifest:#}");
    let dataset = &manifest["plans"][0]["datasets"][0];
    assert_eq!(dataset["fingerprint"]["size_bytes"], place.read("traces.jsonl").len());
    let path = dataset["path"].as_str().unwrap();
    assert!(std::path::Path::new(path).is_absolute() && path.ends_with("traces.jsonl"), "{path}");
    assert_eq!(manifest["plans"][0]["judges"][0]["name"], "safety");
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_says_so_in_the_manifest() {
    let place = Place::with_traces(8);
    let (fake, latch) = holding_after(4);
    let running = place.judge(&fake.base_url(), &["-j", "2"]).start();
    fake.wait_for(6);
    running.signal("INT");
    running.wait_for_stderr("stopping: interrupted");
    latch.open();
    running.finish().exits_with(130);
    assert_eq!((&json(&place)["state"], &json(&place)["exit_code"]), (&"interrupted".into(), &130.into()));
    place.run(["status"]).exits_with(0).prints(&["the run was interrupted after "]);
}

#[test]
fn a_manifest_that_cannot_be_written_is_a_warning() {
    let place = Place::with_traces(2);
    place.write(&format!("{MANIFEST}/in-the-way"), "");
    let finished = place.run(["-d", "traces.jsonl", "-J", "safety", "--simulate"]).exits_with(0);
    assert_eq!(finished.stderr.matches("warning: cannot write the run's manifest").count(), 1, "{}", finished.stderr);
    assert_eq!(place.lines(LOG).len(), 2);
    assert_eq!(place.names(), [LOG, MANIFEST, "traces.jsonl"]);
}

#[test]
fn records_on_standard_output_have_no_manifest() {
    let place = Place::with_traces(2);
    place.run(["-d", "traces.jsonl", "-J", "safety", "--simulate", "-o", "-"]).exits_with(0);
    assert_eq!(place.names(), ["traces.jsonl"]);
}

#[test]
fn status_finds_the_only_log_and_asks_which_of_several() {
    let place = Place::with_traces(1);
    place.run(["status"]).exits_with(2).says(&["no `*.feedback.jsonl` in the current directory"]);
    for name in ["a", "b"] {
        place.run(["-d", "traces.jsonl", "-J", "safety", "--simulate", "-o", &format!("{name}.feedback.jsonl")]);
    }
    place.run(["status"]).exits_with(2).says(&["several logs", "a.feedback.jsonl, b.feedback.jsonl"]);
    std::fs::remove_file(place.path("a.feedback.run.json")).unwrap();
    place.run(["status", "a.feedback.jsonl"]).exits_with(0).prints(&["no manifest", "1 record in the log"]);
}

#[test]
fn a_file_that_is_not_a_log_is_refused_with_the_one_that_was_meant() {
    let place = Place::with_traces(1);
    place.run(["-d", "traces.jsonl", "-J", "safety", "--simulate"]).exits_with(0);
    for command in ["status", "compact"] {
        let finished = place.run([command, "traces.jsonl"]).exits_with(2);
        finished.says(&["`traces.jsonl` is not a feedback log", "did you mean `traces.feedback.jsonl`?"]);
        place.run([command, "none.jsonl"]).exits_with(2).says(&["none.jsonl"]);
        place.run([command, "."]).exits_with(2).says(&["directory"]);
    }
    place.run(["compact", MANIFEST]).exits_with(2).says(&["name its log `traces.feedback.jsonl`"]);
    place.run(["convert", LOG, "x.csv"]).exits_with(0);
    place.run(["compact", "x.csv"]).exits_with(2).says(&["`judge-run convert x.csv x.feedback.jsonl`"]);
    place.run(["merge", LOG, "x.csv", "-o", "all.jsonl"]).exits_with(2).says(&["`judge-run convert x.csv"]);
}
