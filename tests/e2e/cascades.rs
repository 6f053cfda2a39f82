//! A strong model that is asked only where the votes of a cheap one leave it open.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::common::{Fake, Finished, Place, answers};

const LOG: &str = "traces.feedback.jsonl";

fn place(traces: usize) -> Place {
    let place = Place::with_traces(traces);
    let prompt = "[prompt]\nuser = \"{{ outputs | fence('answer') }}\"\n";
    place.write("own.toml", format!("[verdict]\ntype = \"boolean\"\ngood = true\n{prompt}"));
    place
}

/// The cheap model says yes to the first trace, first yes and then no to the second, no to the third, and nothing to the fourth; the strong
/// one says no.
fn fake() -> Fake {
    let asked: Mutex<HashMap<usize, usize>> = Mutex::default();
    Fake::start(move |request| {
        if request.json()["model"] == "strong" {
            return answers::verdict(false);
        }
        let trace = request.trace();
        let mut asked = asked.lock().unwrap();
        let before = asked.entry(trace).or_default();
        *before += 1;
        match trace {
            0 => answers::verdict(true),
            1 => answers::verdict(*before == 1),
            2 => answers::verdict(false),
            _ => answers::completion("I would rather not say."),
        }
    })
}

fn judge(place: &Place, fake: &Fake, more: &[&str]) -> Finished {
    let args = ["-d", "traces.jsonl", "-J", "./own.toml", "--base-url", &fake.base_url(), "--re-ask", "0"];
    let models = ["-m", "openai:/cheap", "--samples", "2", "--escalate-to", "openai:/strong"];
    place.run(args.iter().chain(&models).chain(more))
}

fn asked_of(fake: &Fake, model: &str) -> Vec<usize> {
    let of_model = fake.seen().into_iter().filter(|request| request.json()["model"] == model);
    let mut traces: Vec<_> = of_model.map(|request| request.trace()).collect();
    traces.sort_unstable();
    traces
}

/// What holds of each trace at last.
fn decided(place: &Place) -> Vec<(String, Value)> {
    let mut found: Vec<_> = place
        .lines(LOG)
        .into_iter()
        .filter(|record| record["source"]["source_id"] == "aggregate:cascade")
        .map(|record| (record["trace_id"].as_str().unwrap().to_owned(), record["value"].clone()))
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

#[test]
fn the_strong_model_is_asked_about_what_the_votes_leave_open() {
    let (place, fake) = (place(3), fake());
    judge(&place, &fake, &[]).exits_with(0).prints(&["aggregate:cascade, decided by openai:/strong", "spared"]);
    assert_eq!((asked_of(&fake, "strong"), asked_of(&fake, "cheap").len()), (vec![1], 6));
    let of = |n: usize, value: bool| (format!("trace-{n}"), json!(value));
    assert_eq!(decided(&place), [of(0, true), of(1, false), of(2, false)]);
    judge(&place, &fake, &[]).exits_with(0);
    assert_eq!((fake.seen().len(), decided(&place).len()), (7, 3), "nothing is left to ask or to write");
    judge(&place, &fake, &["--gate", "own.pass <= 0.4", "-q"]).exits_with(0);
}

#[test]
fn bad_verdicts_may_be_escalated_too_and_so_is_what_failed() {
    let (place, fake) = (place(4), fake());
    judge(&place, &fake, &["--escalate-bad", "-q"]).exits_with(3);
    assert_eq!(asked_of(&fake, "strong"), [1, 2, 3]);
    let values: Vec<_> = decided(&place).into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, [true, false, false, false]);
}

#[test]
fn what_the_strong_model_left_open_before_is_no_failure_once_it_decides() {
    let place = place(2);
    let (asked, decides) = (Mutex::new(0), Arc::new(AtomicBool::new(false)));
    let strong = Arc::clone(&decides);
    let fake = Fake::start(move |request| match request.json()["model"].as_str() {
        Some("strong") if request.trace() == 0 || strong.load(Ordering::SeqCst) => answers::verdict(true),
        Some("strong") => answers::completion("I would rather not say."),
        _ => {
            let mut asked = asked.lock().unwrap();
            *asked += 1;
            answers::verdict(*asked % 2 == 0)
        }
    });
    judge(&place, &fake, &["--concurrency", "1", "-q"]).exits_with(3);
    decides.store(true, Ordering::SeqCst);
    judge(&place, &fake, &["-q"]).exits_with(0);
}

/// The cheap model is sure of three traces of four; the strong one says yes.
fn sure_of_most() -> Fake {
    Fake::start(|request| {
        if request.json()["model"] == "strong" {
            return answers::verdict(true);
        }
        let trace = request.trace();
        let (says, share) = (trace % 8 < 4, if trace.is_multiple_of(4) { 0.6_f64 } else { 0.95 });
        let labels = [(says, share), (!says, 1.0 - share)]
            .map(|(label, share)| json!({"token": label.to_string(), "logprob": share.ln()}));
        let place = |token: &str, share: f64, others: &[Value]| json!({"token": token, "logprob": share.ln(), "top_logprobs": others});
        let start = r#"{"rationale":"So it is.","value":"#;
        let tokens = [place(start, 1.0, &[]), place(&says.to_string(), share, &labels), place("}", 1.0, &[])];
        let message = json!({"role": "assistant", "content": format!("{start}{says}}}")});
        let choice = json!({"index": 0, "message": message, "logprobs": {"content": tokens}, "finish_reason": "stop"});
        answers::response(
            200,
            &[],
            &json!({
                "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "cheap", "choices": [choice],
                "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
            }),
        )
    })
}

#[test]
fn a_threshold_from_labels_says_what_the_cheap_model_may_decide() {
    let (place, fake) = (place(80), sure_of_most());
    let own = place.read("own.toml").replace("[prompt]", "[params]\nlogprobs = true\n[prompt]");
    place.write("sure.toml", own);
    let prices = "input = 1000\noutput = 0\n";
    place.write(
        "judge-run.toml",
        format!("[endpoints.openai.prices.cheap]\n{prices}[endpoints.openai.prices.strong]\n{prices}"),
    );
    let judge = |more: &[&str]| {
        let args = ["-d", "traces.jsonl", "-J", "./sure.toml", "-m", "openai:/cheap", "--base-url", &fake.base_url()];
        place.run(args.iter().chain(more))
    };
    judge(&["-q"]).exits_with(0);
    // People share the verdicts that the model is sure of, and half of the others.
    let label = |trace: usize| {
        let (says, is_shared) = (trace % 8 < 4, !trace.is_multiple_of(4) || trace % 16 < 8);
        format!("trace-{trace},{}\n", says == is_shared)
    };
    place.write("labels.csv", format!("trace_id,value\n{}", (0..80).map(label).collect::<String>()));
    place.run(["feedback", "import", "labels.csv", "--log", LOG, "--name", "sure", "--as", "anna"]).exits_with(0);
    let calibrate = |share: &str| {
        let args = ["calibrate", LOG, "--name", "sure", "--level", "0.9", "--format", "json", "--max-disagreement"];
        place.run(args.iter().chain(&[share]))
    };
    let of = |finished: Finished| serde_json::from_str::<Value>(&finished.stdout).unwrap()["escalation"].clone();
    let low = ["calibrate", LOG, "--name", "sure", "--level", "0.5", "--max-disagreement", "5%"];
    place.run(low).exits_with(2).says(&["--level 0.5", "a level above 0.5"]);
    assert_eq!(of(calibrate("0.02").exits_with(1))["below"], Value::Null, "60 labels do not show 2 %");
    let found = of(calibrate("5%").exits_with(0));
    assert_eq!((&found["below"], &found["n_kept"], &found["coverage"]), (&json!(0.95), &json!(60), &json!(0.75)));

    judge(&["-q", "--escalate-to", "openai:/strong", "--escalate-below", "0.95"]).exits_with(0);
    assert_eq!((asked_of(&fake, "strong").len(), asked_of(&fake, "cheap").len()), (20, 80));
    let report = place.run(["report", LOG, "--format", "json"]).exits_with(0);
    let report: Value = serde_json::from_str(&report.stdout).unwrap();
    let of_cascade = report["judges"].as_array().unwrap().iter().find(|judge| judge.get("cascade").is_some()).unwrap();
    let cascade = json!({"decided_by": "openai:/strong", "n_escalated": 20, "n_spared": 60, "saved_usd": 6.0});
    assert_eq!(of_cascade["cascade"], cascade, "100 tokens a judgment");
}

#[test]
fn a_cascade_is_checked_before_anything_is_asked() {
    let (place, fake) = (place(1), fake());
    let one_vote = ["--samples", "1", "--escalate-below", "0.9"];
    for more in
        [&one_vote[..], &["--quorum", "1"], &["--aggregate", "majority"], &["-m", "openai:/strong"], &["-o", "-"]]
    {
        judge(&place, &fake, more).exits_with(2);
    }
    assert_eq!(fake.seen().len(), 0);
}
