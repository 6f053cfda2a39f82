//! What is personal or secret does not leave.

use serde_json::json;

use crate::common::{Fake, Place, answers};

const MAIL: &str = "kim@mail.org";

fn place() -> Place {
    let place = Place::new();
    let trace = |i: usize, text: &str| {
        let question = json!({"question": format!("Answer number {i}. {text}")});
        format!("{}\n", json!({"trace_id": format!("trace-{i}"), "inputs": question, "outputs": text}))
    };
    place.write("traces.jsonl", trace(0, &format!("Write to {MAIL}.")) + &trace(1, "Nothing in here."));
    place.write("judge-run.toml", "[redact]\npatterns = [\"email\"]\n");
    place
}

#[test]
fn judges_see_a_mark_and_the_record_counts_it() {
    let place = place();
    let judge = Fake::start(|_| answers::verdict(true));
    let dry = place.judge(&judge.base_url(), &["--dry-run", "-v", "-n", "1"]).run().exits_with(0);
    assert!(dry.stdout.contains("[redacted email]") && !dry.stdout.contains(MAIL), "{}", dry.stdout);
    place.judge(&judge.base_url(), &["-o", "log.jsonl"]).run().exits_with(0);
    assert!(judge.seen().iter().all(|request| !String::from_utf8_lossy(&request.body).contains(MAIL)));
    let mut counts: Vec<_> = place.lines("log.jsonl").iter().map(|line| line["metadata"]["redacted"].clone()).collect();
    counts.sort_by_key(ToString::to_string);
    assert_eq!(counts, [json!("2"), json!(null)]);
    // Without the rules the first prompt is another.
    place.write("judge-run.toml", "");
    place.judge(&judge.base_url(), &["-o", "log.jsonl"]).run().exits_with(0);
    assert_eq!(judge.count(), 3);
    assert!(String::from_utf8_lossy(&judge.seen()[2].body).contains(MAIL));
}

#[test]
fn a_replay_redacts_as_its_run_did() {
    let place = place();
    let judge = Fake::start(|request| match request.number {
        0 | 1 => answers::error(500, "x", "down"),
        _ => answers::verdict(true),
    });
    place.judge(&judge.base_url(), &["-o", "log.jsonl", "--max-retries", "0"]).run();
    let before = judge.count();
    place.write("judge-run.toml", "");
    place.run(["replay", "log.jsonl"]).exits_with(0);
    assert!(judge.count() > before);
    assert!(judge.seen().iter().all(|request| !String::from_utf8_lossy(&request.body).contains(MAIL)));
}

#[test]
fn a_wrong_rule_is_refused_before_anything_is_sent() {
    let place = place();
    let judge = Fake::start(|_| answers::verdict(true));
    for (rule, words) in [
        ("own = { x = '(' }", "own.x"),
        ("own = { x = 'a*' }", "empty text"),
        ("patterns = [\"mail\"]", "patterns"),
        ("pattern = [\"email\"]", "pattern"),
    ] {
        place.write("judge-run.toml", format!("[redact]\n{rule}\n"));
        place.judge(&judge.base_url(), &[]).run().exits_with(2).says(&[words]);
    }
    assert_eq!(judge.count(), 0);
}
