//! Judges of single documents, and what code makes of their verdicts.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::common::{Action, Fake, Place, Request, answers};

const LOG: &str = "traces.feedback.jsonl";

/// A trace with two retrievals: one of these documents, one that found nothing.
fn trace(id: &str, documents: &[&str]) -> String {
    let found: Vec<_> = documents.iter().map(|text| json!({"page_content": text})).collect();
    let span = |id: &str, found: &[Value]| json!({"span_id": id, "name": "search", "span_type": "RETRIEVER", "inputs": "price", "outputs": found});
    json!({"trace_id": id, "inputs": "q", "outputs": "a", "spans": [span("r", &found), span("empty", &[])]}).to_string()
        + "\n"
}

fn place(lines: &[String]) -> Place {
    let place = Place::new();
    place.write("traces.jsonl", lines.concat());
    place
}

fn args(fake: &Fake) -> Vec<String> {
    ["-d", "traces.jsonl", "-J", "document_relevance", "--base-url", &fake.base_url(), "--re-ask", "0"]
        .map(ToOwned::to_owned)
        .to_vec()
}

fn user(request: &Request) -> String {
    request.json()["messages"][1]["content"].as_str().unwrap_or_default().to_owned()
}

/// What a document that says its label is judged as.
fn by_text(request: &Request) -> Action {
    let text = user(request);
    let label = ["irrelevant", "partial"].into_iter().find(|label| text.contains(&format!("Here: {label}")));
    answers::verdict(label.unwrap_or("relevant"))
}

fn standing(place: &Place, name: &str) -> Vec<Value> {
    place.lines(LOG).into_iter().filter(|record| record["name"] == name).collect()
}

fn json_of(place: &Place, args: &[&str]) -> Value {
    serde_json::from_str(&place.run(args).exits_with(0).stdout).unwrap()
}

fn close(record: &Value, expected: f64) {
    assert!((record["value"].as_f64().unwrap() - expected).abs() < 1e-12, "{record}");
}

#[test]
fn every_document_has_a_feedback_and_every_retrieval_its_figures() {
    let place = place(&[trace("t1", &["Here: irrelevant", "Here: partial", "Here: relevant"]), trace("t2", &[])]);
    let fake = Fake::start(by_text);
    let dry = place.run([args(&fake), vec!["--dry-run".into(), "-v".into()]].concat()).exits_with(0);
    dry.prints(&[", document by document\n  requests       3", "not applicable: without documents"]);
    place.run(args(&fake)).exits_with(0).prints(&[
        "2 traces, 3 requests",
        "document by document",
        "1 retrieval",
        "precision       0.667",
        "reciprocal_rank 0.500",
        "ndcg            0.620",
    ]);
    let records = standing(&place, "document_relevance");
    let about: BTreeSet<_> = records
        .iter()
        .map(|record| {
            let metadata = &record["metadata"];
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            (text(&record["span_id"]), text(&metadata["document_index"]), text(&metadata["document_count"]))
        })
        .collect();
    let expected = ["0", "1", "2"].map(|index| ("r".to_owned(), index.to_owned(), "3".to_owned()));
    assert_eq!(about, expected.into());
    // The judge sees one document at a time, and not where it stood.
    assert!(fake.seen().iter().all(|request| user(request).matches("Here: ").count() == 1));
    assert!(fake.seen().iter().all(|request| !user(request).contains("[1]")));

    // trec_eval's P_3 and recip_rank, and scikit-learn's ndcg_score([[0, 1, 2]], [[3, 2, 1]]).
    for (name, value) in [("precision", 2.0 / 3.0), ("reciprocal_rank", 0.5), ("ndcg", 0.619_906_233_284_065_7)] {
        let found = standing(&place, &format!("document_relevance.{name}"));
        assert_eq!(found.len(), 1, "{name}");
        close(&found[0], value);
        assert_eq!((&found[0]["span_id"], &found[0]["source"]["source_type"]), (&json!("r"), &json!("CODE")));
        assert_eq!(found[0]["source"]["source_id"], "ranking:openai:/gpt-4.1-mini");
    }

    // The same command asks and writes nothing.
    let before = place.lines(LOG).len();
    place.run(args(&fake)).exits_with(0).prints(&["2 traces, 0 requests", "ndcg            0.620"]);
    assert_eq!(place.lines(LOG).len(), before);

    // Figures are gated by name; a gate about all judges is not about them.
    let gated = |gate: &str| place.run(["report", LOG, "--gate", gate]);
    gated("document_relevance.ndcg.mean >= 0.6").exits_with(0);
    gated("document_relevance.ndcg.mean >= 0.7").exits_with(1);
    place.run(["report", LOG, "--fail-under", "0.65"]).exits_with(0);
    let report = json_of(&place, &["report", LOG, "--format", "json"]);
    let judges = report["judges"].as_array().unwrap();
    assert_eq!(judges.len(), 4);
    assert!(judges.iter().any(|judge| judge["name"] == "document_relevance.ndcg" && judge["n_scored"] == 1));
}

#[test]
fn equal_documents_are_two_judgments_and_another_number_of_documents_another_ranking() {
    let place = place(&[trace("t1", &["Here: partial", "Here: partial"])]);
    let fake = Fake::start(by_text);
    place.run(args(&fake)).exits_with(0).prints(&["1 trace, 2 requests"]);
    close(&standing(&place, "document_relevance.precision")[0], 1.0);
    let ids = |place: &Place| -> BTreeSet<String> {
        let all = standing(place, "document_relevance");
        all.iter().map(|record| record["assessment_id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&place).len(), 2);

    place.write("traces.jsonl", trace("t1", &["Here: irrelevant"]));
    place.run(args(&fake)).exits_with(0).prints(&["1 trace, 1 request", "changed        1"]);
    let figures = standing(&place, "document_relevance.precision");
    close(&figures[1], 0.0);
    assert_eq!(figures[1]["overrides"], figures[0]["assessment_id"]);
}

#[test]
fn a_retrieval_whose_documents_have_not_all_a_verdict_has_no_figures() {
    let place = place(&[
        trace("t1", &["Here: relevant", "Here: broken"]),
        trace("t2", &["Here: irrelevant", "Here: relevant"]),
    ]);
    let fake = Fake::start(|request| {
        if user(request).contains("broken") { answers::completion("I cannot say.") } else { by_text(request) }
    });
    place.run(args(&fake)).exits_with(3).prints(&["1 retrieval\n", "incomplete          1", "precision       0.500"]);
    let precision = standing(&place, "document_relevance.precision");
    assert_eq!(precision.len(), 2);
    let failed = precision.iter().find(|record| record["trace_id"] == "t1").unwrap();
    assert_eq!(failed["error"]["error_code"], "INCOMPLETE");
    assert!(failed.get("value").is_none_or(Value::is_null));

    // Once the failed document has a verdict, the figures are made.
    let mended = Fake::start(by_text);
    place
        .run([vec!["replay".to_owned(), LOG.to_owned()], vec!["--base-url".to_owned(), mended.base_url()]].concat())
        .exits_with(0);
    assert_eq!(mended.seen().len(), 1);
    let precision = standing(&place, "document_relevance.precision");
    let last = precision.iter().rfind(|record| record["trace_id"] == "t1").unwrap();
    close(last, 1.0);
}

#[test]
fn another_k_makes_other_figures_of_the_same_verdicts() {
    let place = place(&[trace("t1", &["Here: irrelevant", "Here: partial", "Here: relevant"])]);
    let fake = Fake::start(by_text);
    let at =
        |k: &[&str]| place.run(args(&fake).into_iter().chain(k.iter().map(|text| (*text).to_owned()))).exits_with(0);
    at(&[]);
    let first = place.read(LOG);
    at(&["--set", "document_relevance.k=2"]).prints(&["1 trace, 0 requests", "1 retrieval, first 2 documents"]);
    let figures = standing(&place, "document_relevance.precision");
    close(&figures[1], 0.5);
    assert_eq!((&figures[1]["metadata"]["k"], &figures[1]["overrides"]), (&json!("2"), &figures[0]["assessment_id"]));
    // No comparison takes another k for a change of the application.
    place.write("base.jsonl", first);
    let compared = json_of(&place, &["compare", "base.jsonl", LOG, "--format", "json"]);
    let outcomes: BTreeSet<_> = compared["comparisons"]
        .as_array()
        .unwrap()
        .iter()
        .map(|of| (of["name"].as_str().unwrap(), of["outcome"] == "judge_changed"))
        .collect();
    let figure = |name| (name, true);
    let expected = ["document_relevance.ndcg", "document_relevance.precision", "document_relevance.reciprocal_rank"];
    assert_eq!(outcomes, expected.map(figure).into_iter().chain([("document_relevance", false)]).collect());
    // It is for documents alone.
    let refused = ["-d", "traces.jsonl", "-J", "safety", "--set", "safety.k=2", "--simulate"];
    place.run(refused).exits_with(2).says(&["`k`", "unit = \"document\""]);
}

#[test]
fn a_table_has_a_row_for_each_document() {
    let place = place(&[trace("t1", &["Here: relevant", "Here: partial"])]);
    let fake = Fake::start(by_text);
    place.run(args(&fake)).exits_with(0);
    place.run(["convert", LOG, "x.wide.csv"]).exits_with(0);
    let table = place.read("x.wide.csv");
    let header = table.lines().next().unwrap();
    assert!(header.starts_with("trace_id,span_id,document_index,"), "{header}");
    assert_eq!(table.lines().count(), 4, "two documents and the figures of their retrieval: {table}");
}

#[test]
fn people_label_single_documents() {
    let place = place(&[trace("t1", &["Here: relevant", "Here: partial"])]);
    let fake = Fake::start(by_text);
    place.run(args(&fake)).exits_with(0);
    let labels = "trace_id,span_id,document_index,value\nt1,r,0,relevant\nt1,r,1,irrelevant\n";
    place.write("labels.csv", labels);
    let import = ["feedback", "import", "labels.csv", "--log", LOG, "--name", "document_relevance", "--as", "anna"];
    place.run(import).exits_with(0);
    let found = json_of(&place, &["agreement", LOG, "--name", "document_relevance", "--format", "json"]);
    let disagreements = found["disagreements"].as_array().unwrap();
    assert_eq!(disagreements.len(), 1, "{found}");
    assert_eq!(disagreements[0]["document_index"], 1);
}
