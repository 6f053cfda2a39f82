//! Judges of whole conversations.

use std::collections::BTreeSet;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::common::{Fake, Place, Request, answers};

const LOG: &str = "traces.feedback.jsonl";

const JUDGE: &str = r#"
[select]
unit = "session"
[verdict]
type = "boolean"
[prompt]
user = "{{ session.session_id }}: {% for turn in conversation %}{{ turn.role }} {{ turn.content }}; {% endfor %}"
"#;

/// One exchange of a session at a time.
fn trace(session: &str, n: i64) -> String {
    let id = format!("{session}{n}");
    json!({"trace_id": id, "session_id": session, "request_time_ms": n, "inputs": {"question": format!("q{n}")},
           "outputs": format!("a{n}"), "tags": {"n": n.to_string()}})
    .to_string()
        + "\n"
}

fn place(lines: &[String]) -> Place {
    let place = Place::new();
    place.write("talk.toml", JUDGE);
    place.write("traces.jsonl", lines.concat());
    place
}

fn args(fake: &Fake, more: &[&str]) -> Vec<String> {
    let args = ["-d", "traces.jsonl", "-J", "./talk.toml", "--base-url", &fake.base_url()].map(ToOwned::to_owned);
    args.into_iter().chain(more.iter().map(|word| (*word).to_owned())).collect()
}

fn user(request: &Request) -> String {
    request.json()["messages"][1]["content"].as_str().unwrap().to_owned()
}

fn asked(fake: &Fake) -> Vec<String> {
    let mut asked: Vec<_> = fake.seen().iter().map(user).collect();
    asked.sort();
    asked
}

/// The traces that records are filed under, and their sessions.
fn subjects(place: &Place, log: &str) -> BTreeSet<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let records = place.lines(log);
    records
        .iter()
        .map(|record| (text(&record["trace_id"]), text(&record["metadata"]["mlflow.trace.session"])))
        .collect()
}

fn set(subjects: &[(&str, &str)]) -> BTreeSet<(String, String)> {
    subjects.iter().map(|(trace, session)| ((*trace).to_owned(), (*session).to_owned())).collect()
}

#[test]
fn a_conversation_is_judged_whole_whatever_the_order_of_its_traces() {
    let alone = json!({"trace_id": "alone", "inputs": "x", "outputs": "y"}).to_string() + "\n";
    let place = place(&[trace("b", 2), trace("a", 3), alone, trace("a", 1), trace("b", 1), trace("a", 2)]);
    let fake = Fake::start(|_| answers::verdict(true));
    let dry = place.run(args(&fake, &["--dry-run", "-v"])).exits_with(0);
    dry.prints(&[
        "6 traces",
        ", session by session\n  requests       2",
        "skipped        1  traces without a session",
        "b: user q1",
    ]);
    let run = || place.run(args(&fake, &[])).exits_with(0);
    run().prints(&[
        "6 traces, 2 requests",
        "talk  on openai:/gpt-4.1-mini, session by session",
        "skipped        1  traces",
    ]);
    let expected = [
        "a: user q1; assistant a1; user q2; assistant a2; user q3; assistant a3; ",
        "b: user q1; assistant a1; user q2; assistant a2; ",
    ];
    assert_eq!(asked(&fake), expected);
    assert_eq!(subjects(&place, LOG), set(&[("a3", "a"), ("b2", "b")]));
    run().prints(&["0 requests", "skipped        2"]);
    place.run(["status", LOG]).exits_with(0).prints(&["2 of 2 judgments"]);
    place.run(["convert", LOG, "x.wide.csv"]).exits_with(0);
    assert!(place.read("x.wide.csv").starts_with("trace_id,session_id,talk__"), "{}", place.read("x.wide.csv"));
}

#[test]
fn a_session_that_grew_is_a_new_judgment_and_one_that_was_repaired_overrides() {
    let place = place(&[trace("a", 1), trace("a", 2), trace("b", 1)]);
    let fake = Fake::start(|_| answers::verdict(true));
    let run = || place.run(args(&fake, &[])).exits_with(0);
    run();
    place.write("traces.jsonl", [trace("a", 1), trace("a", 2), trace("b", 1), trace("a", 3)].concat());
    run().prints(&["4 traces, 1 request", "skipped        1"]);
    let grown = place.lines(LOG).pop().unwrap();
    assert_eq!((grown["trace_id"].as_str(), grown.get("overrides")), (Some("a3"), None));
    // A trace that was missing in the middle.
    place.write("traces.jsonl", [trace("a", 1), trace("b", 1), trace("b", 0), trace("a", 3), trace("a", 2)].concat());
    run().prints(&["5 traces, 1 request", "changed        1"]);
    let repaired = place.lines(LOG).pop().unwrap();
    assert_eq!(repaired["trace_id"], "b1");
    assert!(repaired["overrides"].is_string());
}

#[test]
fn a_session_is_selected_where_its_last_trace_is() {
    let lines: Vec<_> = (0..12).flat_map(|n| (1..4).map(move |i| trace(&format!("s{n}-"), i))).collect();
    let place = place(&lines);
    let fake = Fake::start(|_| answers::verdict(true));
    let run = |more: &[&str]| place.run(args(&fake, more));
    run(&["-n", "5", "--dry-run"]).exits_with(0).prints(&["36 traces", "requests       5"]);
    let filtered = ["--filter", "trace.tags.n == '3' and trace.session_id == 's2-'", "-o", "filtered.jsonl"];
    run(&filtered).exits_with(0).prints(&["1 trace, 1 request", "skipped       11  sessions whose last trace"]);
    assert_eq!(user(&fake.seen()[0]).matches("user q").count(), 3, "the whole session, not its last trace alone");
    let why = "nothing was judged: no session's last trace is selected";
    run(&["--filter", "trace.tags.n == '1'", "-o", "none.jsonl"]).exits_with(2).prints(&[why]);
    run(&["--trace-id", "s7-3", "-o", "named.jsonl"]).exits_with(0).prints(&["1 trace, 1 request"]);

    let mut all = BTreeSet::new();
    let mut judged = 0;
    for shard in ["1/3", "2/3", "3/3"] {
        let log = format!("{}.jsonl", &shard[..1]);
        run(&["--shard", shard, "-o", &log]).exits_with(0);
        judged += place.lines(&log).len();
        all.extend(subjects(&place, &log));
    }
    assert_eq!((judged, all.len()), (12, 12));
}

#[test]
fn traces_without_sessions_leave_nothing_to_judge() {
    let place = place(&[answers::traces(3)]);
    let fake = Fake::start(|_| answers::verdict(true));
    let why = "no trace has a session; name the field that holds it: --map session_id=FIELD";
    place.run(args(&fake, &[])).exits_with(2).prints(&["nothing was judged", why]);
    place.run(args(&fake, &["--dry-run"])).exits_with(2).says(&["nothing to judge", why]);
}

#[test]
fn a_dataset_that_breaks_off_leaves_no_session_judged() {
    let place = place(&[trace("a", 1), trace("b", 1)]);
    let mut packed = GzEncoder::new(Vec::new(), Compression::none());
    packed.write_all(place.read("traces.jsonl").as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    place.write("cut.jsonl.gz", &packed[..packed.len() - 20]);
    let fake = Fake::start(|_| answers::verdict(true));
    let judge = |more: &[&str]| {
        let args = ["-d", "cut.jsonl.gz", "-J", "./talk.toml", "--base-url", &fake.base_url()];
        place.run(args.iter().chain(more))
    };
    judge(&[]).exits_with(4).prints(&["stopped early", "is damaged or truncated"]);
    judge(&["--dry-run"]).exits_with(2).says(&["is damaged or truncated"]);
    assert_eq!(fake.count(), 0, "half a session would be judged as if it were one");
}

#[test]
fn judges_of_traces_spans_and_sessions_share_a_run_and_their_lanes() {
    let span = |id: &str| json!([{"span_id": id, "name": "look", "span_type": "TOOL", "outputs": id}]);
    let line = |n: u64| {
        let session = if n < 3 { "a" } else { "b" };
        json!({"trace_id": format!("t{n}"), "session_id": session, "inputs": "q", "outputs": "a", "spans": span("0f")})
            .to_string()
            + "\n"
    };
    let place = place(&(0..5).map(line).collect::<Vec<_>>());
    let tool = "model = \"other:/m\"\n[select]\nspan_type = \"TOOL\"\n[verdict]\ntype = \"boolean\"\n[prompt]\nuser = \"{{ span.outputs }}\"";
    place.write("tool.toml", tool);
    place.write("talk.toml", format!("model = \"third:/m\"\n{JUDGE}"));
    let fake = Fake::start(|_| answers::verdict(true));
    let config: String = ["openai", "other", "third"]
        .map(|name| format!("[endpoints.{name}]\nbase_url = \"{}\"\n", fake.base_url()))
        .concat();
    place.write("judge-run.toml", config);
    let run = |more: &[&str]| {
        let args = ["-d", "traces.jsonl", "-J", "./talk.toml", "-J", "safety", "-J", "./tool.toml"];
        place.run(args.iter().chain(more))
    };
    // The limit counts traces for two of them and sessions for the third, whose traces are all read.
    run(&["-n", "2", "--dry-run"]).exits_with(0).prints(&["2 traces", "requests       2"]);
    run(&["-n", "2", "-o", "some.jsonl"]).exits_with(0).prints(&["2 traces, 6 requests"]);
    run(&[]).exits_with(0).prints(&["5 traces, 12 requests"]);
    let records = place.lines(LOG);
    let of = |name: &str| records.iter().filter(|record| record["name"] == name).count();
    assert_eq!((of("talk"), of("safety"), of("tool")), (2, 5, 5));
    run(&[]).exits_with(0).prints(&["5 traces, 0 requests"]);
    // One reader for all lanes.
    let args = ["-d", "-", "-J", "./talk.toml,safety,./tool.toml", "-o", "stdin.jsonl"];
    place.command(args).stdin(place.read("traces.jsonl")).run().exits_with(0).prints(&["5 traces, 12 requests"]);
}

#[test]
fn a_failure_of_a_session_is_replayed() {
    let place = place(&[trace("b", 2), trace("a", 1), trace("b", 1)]);
    let failing = Fake::start(|request| match user(request).starts_with("b: ") {
        true => answers::error(424, "invalid_value", "Not today."),
        false => answers::verdict(true),
    });
    place.run(args(&failing, &[])).exits_with(3);
    let fake = Fake::start(|_| answers::verdict(false));
    place.run(["replay", LOG, "--only", "INVALID_REQUEST", "--base-url", &fake.base_url()]).exits_with(0);
    assert_eq!(asked(&fake), ["b: user q1; assistant a1; user q2; assistant a2; "]);
    let last = place.lines(LOG).pop().unwrap();
    assert_eq!((last["trace_id"].as_str(), last["value"].as_bool()), (Some("b2"), Some(false)));
    assert_eq!(last["metadata"]["mlflow.trace.session"], "b");
}

#[test]
fn mlflows_conversation_is_judged_by_the_built_in_judge() {
    let place = Place::new();
    place.write("traces.jsonl", include_str!("../fixtures/mlflow/3.17.2/traces.to_json.jsonl"));
    let fake = Fake::start(|_| answers::verdict(false));
    let args = ["-d", "traces.jsonl", "-J", "conversation_completeness", "--base-url", &fake.base_url()];
    place.run(args).exits_with(0).prints(&["22 traces, 1 request", "skipped       18  traces without a session"]);
    assert_eq!(subjects(&place, LOG), set(&[("tr-2145c1696a7337ebc0c4e9a310763812", "session-7f3a")]));
    let user = user(&fake.seen()[0]);
    let said: Vec<_> = user.lines().filter(|line| !line.starts_with('<') && !line.is_empty()).collect();
    assert_eq!(said[0], "Hi, I need to change my flight.");
    assert_eq!(said[6], "You are useless, give me a human.");
    assert_eq!(user.matches("<assistant-").count(), 4);
}
