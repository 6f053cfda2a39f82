//! Judges of single spans.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::common::{Fake, Place, Request, answers};

const LOG: &str = "traces.feedback.jsonl";

const JUDGE: &str = r#"
[select]
span_type = ["retriever", "TOOL"]
name = "search*"
[verdict]
type = "boolean"
[prompt]
user = "{{ inputs }} {{ span.name }} {{ span.outputs | fence }}"
"#;

fn span(id: &str, name: &str, span_type: &str, found: &str) -> Value {
    json!({"span_id": id, "parent_id": "0a", "name": name, "span_type": span_type, "outputs": [found]})
}

/// A trace of an agent that searched.
fn trace(id: &str, searches: &[Value]) -> String {
    let root = json!({"span_id": "0a", "name": "search_agent", "span_type": "AGENT"});
    let spans: Vec<_> = [&[root], searches].concat();
    json!({"trace_id": id, "inputs": format!("question {id}"), "outputs": "x", "spans": spans}).to_string() + "\n"
}

fn place(found: &str) -> Place {
    let place = Place::new();
    place.write("search.toml", JUDGE);
    write(&place, found);
    place
}

/// Three traces with two, one and no search; `found` is what the second of them found.
fn write(place: &Place, found: &str) {
    let lines = [
        trace("t1", &[span("01", "search_web", "TOOL", "a"), span("02", "search_db", "RETRIEVER", "b")]),
        trace("t2", &[span("01", "search_web", "TOOL", found), span("03", "embed", "TOOL", "-")]),
        trace("t3", &[]),
    ];
    place.write("traces.jsonl", lines.concat());
}

fn args(fake: &Fake) -> Vec<String> {
    ["-d", "traces.jsonl", "-J", "./search.toml", "--base-url", &fake.base_url()].map(ToOwned::to_owned).to_vec()
}

/// What records are about.
fn subjects(place: &Place, log: &str) -> BTreeSet<(String, String)> {
    let text = |record: &Value, key: &str| record[key].as_str().unwrap().to_owned();
    place.lines(log).iter().map(|record| (text(record, "trace_id"), text(record, "span_id"))).collect()
}

fn set(subjects: &[(&str, &str)]) -> BTreeSet<(String, String)> {
    subjects.iter().map(|(trace, span)| ((*trace).to_owned(), (*span).to_owned())).collect()
}

fn user(request: &Request) -> String {
    request.json()["messages"][1]["content"].as_str().unwrap().to_owned()
}

#[test]
fn every_span_that_is_selected_has_a_feedback_and_is_not_asked_about_again() {
    let place = place("c");
    let fake = Fake::start(|_| answers::verdict(true));
    let dry = place.run([args(&fake), vec!["--dry-run".into(), "-v".into()]].concat()).exits_with(0);
    dry.prints(&[
        "3 traces",
        ", span by span\n  requests       3",
        "  skipped        1  traces without a span",
        "question t1 search_web",
    ]);
    let run = || place.run(args(&fake)).exits_with(0);
    run().prints(&[
        "3 traces, 3 requests",
        "search  on openai:/gpt-4.1-mini, span by span",
        "  skipped        1  traces",
    ]);
    assert_eq!(subjects(&place, LOG), set(&[("t1", "01"), ("t1", "02"), ("t2", "01")]));
    assert!(fake.seen().iter().any(|request| user(request).starts_with("question t1 search_db <data-")));
    run().prints(&["3 traces, 0 requests", "skipped        3"]);

    write(&place, "changed");
    run().prints(&["3 traces, 1 request", "skipped        2", "changed        1"]);
    let records = place.lines(LOG);
    let old = records.iter().find(|record| record["trace_id"] == "t2").unwrap();
    assert_eq!(records[3]["overrides"], old["assessment_id"]);
    assert_eq!(records[3]["span_id"], "01");
    // What it was before holds again, and costs nothing.
    write(&place, "c");
    run().prints(&["3 traces, 0 requests", "skipped        3"]);
    place.run(["status", LOG]).exits_with(0).prints(&["3 of 3 judgments", "scored         3"]);
}

#[test]
fn filter_shard_limit_and_reuse_choose_traces_and_tables_show_spans() {
    let place = place("c");
    let fake = Fake::start(|_| answers::verdict(true));
    let run = |more: &[&str]| {
        let more = more.iter().map(|word| (*word).to_owned()).collect();
        place.run([args(&fake), more].concat()).exits_with(0)
    };
    run(&["-n", "1", "-o", "one.jsonl"]).prints(&["1 trace, 2 requests"]);
    run(&["--filter", "inputs == 'question t2'", "-o", "two.jsonl"]).prints(&["1 trace, 1 request"]);
    run(&["--reuse", "one.jsonl", "--reuse", "two.jsonl", "-o", "all.csv"]).prints(&["0 requests", "reused         3"]);
    let table = place.read("all.csv");
    assert!(table.lines().any(|line| line.starts_with("t1,02,search,true,")), "{table}");
    place.run(["convert", "all.feedback.jsonl", "wide.wide.csv"]).exits_with(0).prints(&["3 rows"]);
    assert!(place.read("wide.wide.csv").starts_with("trace_id,span_id,search__"));
    let mut judged = BTreeSet::new();
    for shard in ["1/2", "2/2"] {
        run(&["--shard", shard, "-o", "part.jsonl", "--overwrite"]);
        if place.names().contains(&"part.jsonl".to_owned()) {
            judged.extend(subjects(&place, "part.jsonl"));
        }
    }
    assert_eq!(judged, subjects(&place, "all.feedback.jsonl"));
}

#[test]
fn a_failure_at_a_span_is_replayed_alone() {
    let place = place("c");
    let failing = Fake::start(|request| match user(request).contains("search_db") {
        true => answers::error(424, "invalid_value", "Not today."),
        false => answers::verdict(true),
    });
    place.run([args(&failing), vec!["-o".into(), LOG.into()]].concat()).exits_with(3);
    let fake = Fake::start(|_| answers::verdict(true));
    place.run(["replay", LOG, "--only", "INVALID_REQUEST", "--base-url", &fake.base_url()]).exits_with(0);
    assert_eq!(fake.seen().iter().map(user).filter(|user| user.contains("search_db")).count(), 1);
    assert_eq!((fake.count(), place.lines(LOG).last().unwrap()["span_id"].as_str()), (1, Some("02")));
}

#[test]
fn two_spans_of_one_id_are_one_judgment() {
    let place = place("c");
    let twins = [span("01", "search_web", "TOOL", "a"), span("01", "search_web", "TOOL", "b")];
    place.write("traces.jsonl", trace("t", &twins));
    let fake = Fake::start(|_| answers::verdict(true));
    place
        .run(args(&fake))
        .exits_with(0)
        .prints(&["1 trace, 1 request", "  skipped        1  spans with the id of an earlier"]);
    assert_eq!(subjects(&place, LOG), set(&[("t", "01")]));
}

#[test]
fn a_dataset_without_such_a_span_says_which_spans_there_are() {
    let place = place("c");
    place.write("traces.jsonl", trace("t", &[span("01", "embed", "EMBEDDING", "a")]));
    let fake = Fake::start(|_| answers::verdict(true));
    let why = "spans of the types AGENT, EMBEDDING";
    place.run(args(&fake)).exits_with(2).prints(&["nothing was judged: no span matches", why]);
    place.run([args(&fake), vec!["--dry-run".into()]].concat()).exits_with(2).says(&["nothing to judge", why]);
    assert_eq!(fake.count(), 0);
}

#[test]
fn what_a_span_lacks_is_an_input_error_of_the_span() {
    let place = place("c");
    let empty = json!({"span_id": "07", "name": "search", "span_type": "TOOL"});
    place.write("traces.jsonl", trace("t", &[empty, span("08", "search", "TOOL", "x")]));
    let fake = Fake::start(|_| answers::verdict(true));
    place.run(args(&fake)).exits_with(3).prints(&["1 trace, 1 request", "INPUT_ERROR"]);
    let records = place.lines(LOG);
    let error = records.iter().find(|record| record["span_id"] == "07").unwrap();
    let message = error["error"]["error_message"].as_str().unwrap();
    assert!(message.starts_with("the span has no `span.outputs`"), "{message}");
    place.run(args(&fake)).exits_with(3).prints(&["0 requests", "skipped        2"]);
}

#[test]
fn a_judge_file_that_contradicts_itself_names_the_key() {
    let place = place("c");
    let fake = Fake::start(|_| answers::verdict(true));
    for (from, to, words) in [
        ("[select]", "[select]\nunit = \"session\"", "[select]: `span_type` selects spans"),
        ("span.outputs", "span.output", "no span has `span.output`, known: "),
        ("{{ span.name }} {{ span.outputs | fence }}", "", "[prompt]: `user` never uses `span`"),
        ("[select]\nspan_type = [\"retriever\", \"TOOL\"]\nname = \"search*\"", "", "only judges of spans have it"),
    ] {
        place.write("search.toml", JUDGE.replace(from, to));
        place.run(args(&fake)).exits_with(2).says(&["search.toml", words]);
    }
}

#[test]
fn mlflows_retrievals_are_judged_by_the_built_in_judge() {
    let place = Place::new();
    place.write("traces.jsonl", include_str!("../fixtures/mlflow/3.17.2/traces.to_json.jsonl"));
    let items = r#"{"items": [{"text": "1", "quote": "", "mark": "relevant"}, {"text": "2", "quote": "", "mark": "irrelevant"}]}"#;
    let fake = Fake::start(move |_| answers::completion(items));
    let args = ["-d", "traces.jsonl", "-J", "retrieval_relevance", "--base-url", &fake.base_url()];
    place.run(args).exits_with(0).prints(&["retrieval_relevance  on openai:/gpt-4.1-mini, span by span"]);
    let records = place.lines(LOG);
    assert_eq!(records.len(), fake.count());
    assert!(records.len() >= 5, "{}", records.len());
    for record in &records {
        let id = record["span_id"].as_str().unwrap();
        assert_eq!(record["value"], 0.5);
        assert!(id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
    }
    for request in fake.seen() {
        let user = user(&request);
        assert!(user.starts_with("<query-"), "{user}");
        assert_ne!(user.contains("<document-"), user.contains("(No document was returned.)"), "{user}");
    }
}
