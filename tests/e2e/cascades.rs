//! A strong model that is asked only where the votes of a cheap one leave it open.

use std::collections::HashMap;
use std::sync::Mutex;

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
fn a_cascade_is_checked_before_anything_is_asked() {
    let (place, fake) = (place(1), fake());
    for more in [&["--quorum", "1"][..], &["--aggregate", "majority"], &["-m", "openai:/strong"], &["-o", "-"]] {
        judge(&place, &fake, more).exits_with(2);
    }
    assert_eq!(fake.seen().len(), 0);
}
