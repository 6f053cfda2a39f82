//! What a batch leaves without a verdict, and what becomes of it: another batch, which may have no room or not be accepted, or another run.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::batch_dialects::{lines, ok};
use crate::batch_provider::{Asked, Provider, number};
use crate::batches::{LOG, errors, values};
use crate::common::{Action, Finished, Place, SimulatorProcess};

/// What becomes of a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Expires,
    /// Each answer has no verdict, and costs 2,000 tokens.
    Rambles,
    /// It fails its validation.
    IsRefused,
    /// The same for its first line.
    HasABadLine,
    Answers,
    /// Its first line comes twice, and one is about nothing that was asked.
    AnswersTooMuch,
}

/// What becomes of the batches of a provider, in their order; of all further ones what becomes of the last.
fn provider(fates: &'static [Fate]) -> Provider {
    let fate = move |i: usize| *fates.get(i).or(fates.last()).unwrap();
    Provider::start(move |_, asked| match asked {
        Asked::Submission(_) => None,
        Asked::Results(i, text) => Some(output(text, fate(*i))),
        Asked::Other(path) => Some(ok(ended(number(path), fate(number(path))))),
    })
}

fn ended(i: usize, fate: Fate) -> Value {
    let error = |line| json!({"data": [{"code": "invalid_request", "message": "Not this one.", "line": line}]});
    match fate {
        Fate::Expires => json!({"id": format!("batch-{i}"), "status": "expired", "error_file_id": format!("out-{i}")}),
        Fate::IsRefused => json!({"id": format!("batch-{i}"), "status": "failed", "errors": error(None)}),
        Fate::HasABadLine => json!({"id": format!("batch-{i}"), "status": "failed", "errors": error(Some(1))}),
        Fate::Rambles | Fate::Answers | Fate::AnswersTooMuch => {
            json!({"id": format!("batch-{i}"), "status": "completed", "output_file_id": format!("out-{i}")})
        }
    }
}

fn output(text: &str, fate: Fate) -> Action {
    let mut results: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for result in &mut results {
        match fate {
            Fate::Expires => {
                result["response"] = Value::Null;
                result["error"] = json!({"code": "batch_expired", "message": "Too late."});
            }
            Fate::Rambles => {
                result["response"]["body"]["choices"][0]["message"]["content"] = json!("Well, well.");
                result["response"]["body"]["usage"] = json!({"prompt_tokens": 100, "completion_tokens": 2_000});
            }
            _ => {}
        }
    }
    if fate == Fate::AnswersTooMuch {
        let mut other = results[0].clone();
        other["custom_id"] = json!(format!("a-{:032x}", 1));
        results.extend([results[0].clone(), other]);
    }
    lines(&results)
}

/// Judges in batches, and what has no verdict in further ones. A request may cost 1.03 in a batch, and 0.01 by itself.
fn batch(place: &Place, provider: &Provider, more: &[&str]) -> Finished {
    place.write("judge-run.toml", "[endpoints.openai.prices.\"gpt-4.1-mini\"]\ninput = 1.0\noutput = 1000.0\n");
    let args = ["-m", "openai:/gpt-4.1-mini", "--batch", "--poll-every", "1ms", "--on-expired", "batch"];
    place.judge(&provider.fake.base_url(), &[&args[..], more].concat()).env("OPENAI_API_KEY", "sk-test-1234").run()
}

/// Each judgment has one record.
fn each_has_one_record(place: &Place, n: usize) {
    let records = place.lines(LOG);
    let ids: BTreeSet<_> = records.iter().map(|record| record["assessment_id"].as_str().unwrap()).collect();
    assert_eq!((records.len(), ids.len()), (n, n), "{records:#?}");
}

#[test]
fn what_expired_waits_until_the_first_batch_no_longer_counts_against_the_budget() {
    let (place, provider) = (Place::with_traces(6), provider(&[Fate::Expires, Fate::Answers]));
    // Room for five requests, of which none was charged for.
    batch(&place, &provider, &["--max-cost", "5.5"]).exits_with(0);
    each_has_one_record(&place, 6);
    let submitted = provider.uploaded();
    assert!(submitted.len() == 2 && submitted[0].is_superset(&submitted[1]), "{submitted:?}");
}

#[test]
fn what_has_no_room_in_the_budget_is_left_for_the_next_run() {
    let (place, provider) = (Place::with_traces(6), provider(&[Fate::Rambles, Fate::Answers]));
    // The answers of the first batch cost five.
    let finished = batch(&place, &provider, &["--max-cost", "5.5"]).exits_with(4);
    let judged = values(&place);
    each_has_one_record(&place, judged);
    assert!(judged < 6 && provider.uploaded().len() == 1, "{}", finished.stderr);
    batch(&place, &provider, &["--max-cost", "100"]).exits_with(0);
    each_has_one_record(&place, 6);
    let submitted = provider.uploaded();
    assert!(submitted.len() == 2 && submitted[0].is_superset(&submitted[1]), "{submitted:?}");
}

#[test]
fn a_further_batch_that_is_not_accepted_leaves_its_requests_for_the_next_run() {
    let fates = &[Fate::Rambles, Fate::IsRefused, Fate::Answers];
    let (place, provider) = (Place::with_traces(6), provider(fates));
    batch(&place, &provider, &[]).exits_with(4).says(&["did not accept", "Not this one."]);
    let judged = values(&place);
    each_has_one_record(&place, judged);
    assert!(judged < 6);
    batch(&place, &provider, &[]).exits_with(0);
    each_has_one_record(&place, 6);
    let submitted = provider.uploaded();
    assert!(submitted.len() == 3 && submitted[1].is_superset(&submitted[2]), "{submitted:?}");
}

#[test]
fn a_further_batch_with_a_bad_line_costs_that_judgment_alone() {
    let fates = &[Fate::Rambles, Fate::HasABadLine, Fate::Answers];
    let (place, provider) = (Place::with_traces(8), provider(fates));
    batch(&place, &provider, &[]).exits_with(3);
    each_has_one_record(&place, 8);
    assert_eq!((values(&place), errors(&place)), (7, BTreeMap::from([("BATCH_REJECTED".to_owned(), 1)])));
}

#[test]
fn what_never_has_a_verdict_is_recorded_after_three_further_batches() {
    let (place, provider) = (Place::with_traces(10), provider(&[Fate::Rambles]));
    batch(&place, &provider, &[]).exits_with(3);
    each_has_one_record(&place, 10);
    assert_eq!(provider.uploaded().len(), 4);
    assert_eq!(errors(&place).into_keys().collect::<Vec<_>>(), ["UNPARSEABLE_VERDICT"]);
}

#[test]
fn results_that_nobody_asked_for_are_left_out_and_said() {
    let (place, provider) = (Place::with_traces(4), provider(&[Fate::AnswersTooMuch]));
    batch(&place, &provider, &[]).exits_with(0).says(&["left out 2 results"]);
    each_has_one_record(&place, 4);
}

#[test]
fn what_is_in_a_batch_is_not_asked_live_meanwhile() {
    let (place, simulator) = (Place::with_traces(5), SimulatorProcess::start(&["--fail-batches", "slow"]));
    let judge = |more: &[&str]| place.judge(&simulator.base_url(), more).run();
    judge(&["--batch", "--detach"]).exits_with(5);
    let asked = simulator.stats()["requests"].clone();
    let said = ["has 4 requests in batches that have not ended", "judge-run collect traces.feedback.jsonl --wait"];
    judge(&[]).exits_with(2).says(&said);
    judge(&["--overwrite"]).exits_with(2).says(&said);
    assert_eq!((&simulator.stats()["requests"], values(&place)), (&asked, 1));
    // Another model's requests are others.
    judge(&["-m", "openai:/other"]).exits_with(0);
    place.run(["collect", LOG, "--wait", "--poll-every", "1ms"]).exits_with(0);
    judge(&[]).exits_with(0);
    assert_eq!(values(&place), 10);
}

#[test]
fn failures_are_not_replayed_while_a_batch_asks_them() {
    let (place, simulator) = (Place::with_traces(20), SimulatorProcess::start(&["--fail-batches", "slow,missing=30%"]));
    let judge = |more: &[&str]| place.judge(&simulator.base_url(), more).run();
    judge(&["--batch", "--poll-every", "1ms"]).exits_with(3);
    judge(&["--batch", "--detach"]).exits_with(5);
    let asked = simulator.stats()["requests"].clone();
    place.run(["replay", LOG]).exits_with(2).says(&["in batches that have not ended"]);
    assert_eq!(simulator.stats()["requests"], asked);
}

#[test]
fn a_missing_result_is_asked_for_by_a_replay() {
    let (place, simulator) = (Place::with_traces(40), SimulatorProcess::start(&["--fail-batches", "missing=20%"]));
    place.judge(&simulator.base_url(), &["--batch", "--poll-every", "1ms"]).run().exits_with(3);
    let missing = errors(&place)["BATCH_RESULT_MISSING"];
    assert_eq!(values(&place) + missing, 40);
    place.run(["replay", LOG]).exits_with(0);
    assert_eq!((values(&place), &simulator.stats()["batches"]), (40, &json!(1)), "each by itself");
    assert_eq!(place.lines(LOG).len(), 40 + missing);
}
