//! Providers' batch APIs, against the simulator's files and batches.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::{Finished, PATIENCE, Place, SimulatorProcess, answers};

pub(crate) const LOG: &str = "traces.feedback.jsonl";
pub(crate) const LEDGER: &str = "traces.feedback.batches.jsonl";

/// Judges `traces.jsonl` in batches that are looked at without a pause.
fn batch(place: &Place, simulator: &SimulatorProcess, more: &[&str]) -> Finished {
    let args = [&["--batch", "--poll-every", "1ms"], more].concat();
    place.judge(&simulator.base_url(), &args).run()
}

pub(crate) fn values(place: &Place) -> usize {
    place.lines(LOG).iter().filter(|record| record.get("value").is_some()).count()
}

pub(crate) fn errors(place: &Place) -> BTreeMap<String, usize> {
    let mut errors = BTreeMap::new();
    for record in place.lines(LOG) {
        if let Some(code) = record["error"]["error_code"].as_str() {
            *errors.entry(code.to_owned()).or_default() += 1;
        }
    }
    errors
}

/// Every trace has one record, and no line was submitted twice.
fn all_judged_once(place: &Place, simulator: &SimulatorProcess, n: usize) {
    let records = place.lines(LOG);
    let ids: HashSet<_> = records.iter().map(|record| record["assessment_id"].as_str().unwrap()).collect();
    assert_eq!((records.len(), ids.len(), values(place)), (n, n, n), "{records:#?}");
    assert_eq!(simulator.stats()["batch_lines_again"], 0);
}

fn events(place: &Place) -> Vec<String> {
    place.lines(LEDGER).iter().map(|entry| entry["event"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_run_in_batches_judges_everything_once() {
    let (place, simulator) = (Place::with_traces(30), SimulatorProcess::start(&[]));
    batch(&place, &simulator, &[]).exits_with(0).prints(&["scored        30"]);
    all_judged_once(&place, &simulator, 30);
    let stats = simulator.stats();
    assert_eq!((&stats["batches"], &stats["batch_lines"]), (&json!(1), &json!(29)), "the first request is live");
    let in_batch = place.lines(LOG).iter().filter(|record| record["metadata"]["batch"] == "batch_1").count();
    assert_eq!(in_batch, 29);
    let steps = ["ids", "planned", "uploaded", "submitting", "submitted", "ended", "downloaded", "collected"];
    assert_eq!(events(&place), steps);
    assert!(!place.names().contains(&"traces.feedback.batches".to_owned()), "{:?}", place.names());
    // Nothing is left to be done, and nothing is asked.
    batch(&place, &simulator, &[]).exits_with(0);
    assert_eq!(simulator.stats()["requests"], stats["requests"]);
}

#[test]
fn what_is_submitted_and_left_is_collected_later() {
    let (place, simulator) = (Place::with_traces(10), SimulatorProcess::start(&["--fail-batches", "slow"]));
    batch(&place, &simulator, &["--detach"]).exits_with(5).prints(&["batched        9"]);
    assert_eq!(values(&place), 1);
    place.run(["status", LOG]).exits_with(0).prints(&["batch batch_1: 9 requests, submitted"]);
    place.run(["collect", LOG]).exits_with(5);
    place.run(["collect", LOG, "--wait", "--poll-every", "1ms"]).exits_with(0).prints(&["scored        10"]);
    all_judged_once(&place, &simulator, 10);
    place.run(["collect", LOG]).exits_with(0);
    assert_eq!(simulator.stats()["batches"], 1);
}

#[test]
fn the_same_command_continues_and_new_traces_go_with_another_batch() {
    let (place, simulator) = (Place::with_traces(10), SimulatorProcess::start(&["--fail-batches", "slow"]));
    batch(&place, &simulator, &["--detach"]).exits_with(5);
    batch(&place, &simulator, &["--detach"]).exits_with(5);
    assert_eq!(simulator.stats()["batch_lines"], 9);
    place.write("traces.jsonl", answers::traces(15));
    batch(&place, &simulator, &["--detach"]).exits_with(5);
    assert_eq!(simulator.stats()["batch_lines"], 13, "the first of the new ones is live");
    batch(&place, &simulator, &[]).exits_with(0);
    all_judged_once(&place, &simulator, 15);
}

#[test]
fn batches_are_as_large_as_they_may_be() {
    let (place, simulator) = (Place::with_traces(31), SimulatorProcess::start(&["--fail-batches", "disorder,upper"]));
    batch(&place, &simulator, &["--batch-max-requests", "10"]).exits_with(0);
    all_judged_once(&place, &simulator, 31);
    assert_eq!(simulator.stats()["batches"], 3);
}

#[test]
fn what_expired_is_asked_live_or_in_another_batch_or_recorded() {
    let expired = |how: &str| {
        let (place, simulator) = (Place::with_traces(40), SimulatorProcess::start(&["--fail-batches", "expired=30%"]));
        let finished = batch(&place, &simulator, &["--on-expired", how]);
        (place, simulator.stats(), finished)
    };
    let (place, stats, finished) = expired("live");
    finished.exits_with(0);
    assert_eq!((values(&place), &stats["batches"]), (40, &json!(1)));
    let (place, stats, finished) = expired("fail");
    finished.exits_with(3);
    assert_eq!(stats["batches"], 1);
    let failed = errors(&place)["BATCH_EXPIRED"];
    assert_eq!((failed > 3, values(&place) + failed), (true, 40));
    // The simulator has the same requests expire each time: in the end they are recorded.
    let (place, stats, finished) = expired("batch");
    finished.exits_with(3);
    assert_eq!((stats["batches"].as_u64() > Some(1), values(&place) + errors(&place)["BATCH_EXPIRED"]), (true, 40));
}

#[test]
fn a_result_that_is_missing_is_a_failure_of_its_own() {
    let (place, simulator) = (Place::with_traces(40), SimulatorProcess::start(&["--fail-batches", "missing=20%"]));
    batch(&place, &simulator, &[]).exits_with(3);
    let missing = errors(&place)["BATCH_RESULT_MISSING"];
    assert_eq!((missing > 2, values(&place) + missing), (true, 40));
    assert_eq!(simulator.stats()["batch_lines_again"], 0);
}

#[test]
fn a_batch_that_fails_its_validation_costs_only_the_line_that_is_wrong() {
    let (place, simulator) = (Place::with_traces(10), SimulatorProcess::start(&["--fail-batches", "invalid"]));
    batch(&place, &simulator, &[]).exits_with(3);
    assert_eq!((values(&place), &errors(&place)), (9, &BTreeMap::from([("BATCH_REJECTED".to_owned(), 1)])));
    assert_eq!(simulator.stats()["batch_lines_again"], 0);
}

#[test]
fn a_full_queue_is_waited_for() {
    let (place, simulator) = (Place::with_traces(31), SimulatorProcess::start(&["--fail-batches", "queue"]));
    batch(&place, &simulator, &["--batch-max-requests", "10"]).exits_with(0);
    all_judged_once(&place, &simulator, 31);
    assert!(events(&place).contains(&"returned".to_owned()));
}

#[test]
fn a_batch_that_finds_no_room_is_submitted_in_halves() {
    let (place, simulator) = (Place::with_traces(31), SimulatorProcess::start(&["--fail-batches", "room=8"]));
    batch(&place, &simulator, &[]).exits_with(0);
    all_judged_once(&place, &simulator, 31);
    // 30, 15 and 15, and the halves of these: 8 and 7.
    let count = |event: &str| events(&place).iter().filter(|name| *name == event).count();
    assert_eq!((count("split"), count("collected")), (3, 4));
    // A single request that finds none is refused.
    let (place, simulator) = (Place::with_traces(2), SimulatorProcess::start(&["--fail-batches", "room=0"]));
    batch(&place, &simulator, &[]).exits_with(4).says(&["no room in its queue"]);
    assert_eq!(values(&place), 1);
}

#[test]
fn unreadable_answers_are_asked_again_live() {
    let (place, simulator) = (Place::with_traces(40), SimulatorProcess::start(&["--fail", "unparseable=20%,500=10%"]));
    batch(&place, &simulator, &[]);
    let (records, stats) = (place.lines(LOG), simulator.stats());
    assert_eq!((records.len(), &stats["batch_lines_again"]), (40, &json!(0)));
    assert!(stats["requests"].as_u64() > stats["batch_lines"].as_u64());
}

#[test]
fn a_budget_holds_over_what_is_submitted() {
    let (place, simulator) = (Place::with_traces(40), SimulatorProcess::start(&[]));
    place.write("judge-run.toml", "[endpoints.openai.prices.\"gpt-4.1-mini\"]\ninput = 1.0\noutput = 1000.0\n");
    // An answer may cost 2048 tokens, in a batch at half the price: 1.03 each.
    let args = ["-m", "openai:/gpt-4.1-mini", "--max-cost", "5.5", "--detach"];
    let run =
        place.judge(&simulator.base_url(), &[&["--batch"], &args[..]].concat()).env("OPENAI_API_KEY", "sk-test-1234");
    run.run().exits_with(5);
    let lines = simulator.stats()["batch_lines"].as_u64().unwrap();
    assert!((1..=5).contains(&lines), "{lines}");
}

#[test]
fn a_cancelled_batch_is_collected_and_the_rest_is_left() {
    let (place, simulator) = (Place::with_traces(10), SimulatorProcess::start(&["--fail-batches", "slow"]));
    batch(&place, &simulator, &["--detach"]).exits_with(5);
    place.run(["collect", LOG, "--cancel", "--poll-every", "1ms"]).exits_with(0);
    assert_eq!(values(&place), 1, "the simulator cancels all of it");
    assert_eq!(events(&place).last().unwrap(), "collected");
    assert_eq!(errors(&place), BTreeMap::new());
}

#[test]
fn requests_are_exported_and_their_results_imported() {
    let place = Place::with_traces(3);
    let export = ["batch", "export", "-d", "traces.jsonl", "-J", "safety", "-m", "openai:/m", "--to", "requests"];
    let export = || place.command(export).env("OPENAI_API_KEY", "sk-test-1234").run();
    export().exits_with(5);
    let files: Vec<_> = std::fs::read_dir(place.path("requests")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1);
    let requests = std::fs::read_to_string(&files[0]).unwrap();
    let answer = |line: &str| {
        let request: Value = serde_json::from_str(line).unwrap();
        assert_eq!((&request["method"], &request["url"]), (&json!("POST"), &json!("/v1/chat/completions")));
        let message = json!({"role": "assistant", "content": "{\"rationale\": \"r\", \"value\": true}"});
        let body = json!({"model": "m", "choices": [{"index": 0, "finish_reason": "stop", "message": message}]});
        let response = json!({"status_code": 200, "request_id": "r", "body": body});
        json!({"id": "x", "custom_id": request["custom_id"], "response": response, "error": null}).to_string() + "\n"
    };
    let mut results: Vec<_> = requests.lines().map(answer).collect();
    assert_eq!(results.len(), 3);
    results.reverse();
    place.write("results.jsonl", results.concat());
    // What is exported is not exported again.
    export().exits_with(5);
    assert_eq!(std::fs::read_dir(place.path("requests")).unwrap().count(), 1);
    place
        .command(["batch", "import", LOG, "results.jsonl"])
        .env("OPENAI_API_KEY", "sk-test-1234")
        .run()
        .exits_with(0)
        .prints(&["scored         3"]);
    assert_eq!(values(&place), 3);
}

#[test]
fn files_are_deleted_at_the_provider_where_that_is_wished() {
    let (place, simulator) = (Place::with_traces(5), SimulatorProcess::start(&[]));
    batch(&place, &simulator, &["--delete-files"]).exits_with(0);
    assert!(events(&place).contains(&"deleted".to_owned()));
}

#[test]
fn whatever_is_killed_nothing_is_lost_and_nothing_submitted_twice() {
    let (place, simulator) = (Place::with_traces(12), SimulatorProcess::start(&["--fail-batches", "disorder"]));
    let more = ["--batch", "--poll-every", "1ms", "--batch-max-requests", "6"];
    // Each run is killed a line of the ledger or of the log later than the one before.
    let lines =
        |name: &str| std::fs::read(place.path(name)).map_or(0, |text| text.iter().filter(|b| **b == b'\n').count());
    let mut kills = 0;
    loop {
        let before = lines(LOG) + lines(LEDGER);
        let mut running = place.judge(&simulator.base_url(), &more).start();
        let started = Instant::now();
        while lines(LOG) + lines(LEDGER) == before && !running.has_ended() {
            assert!(started.elapsed() < PATIENCE);
            std::thread::sleep(Duration::from_millis(1));
        }
        running.signal("KILL");
        if running.finish().code.is_some() {
            break;
        }
        kills += 1;
    }
    assert!(kills > 10, "{kills}");
    batch(&place, &simulator, &more[3..]).exits_with(0);
    all_judged_once(&place, &simulator, 12);
}
