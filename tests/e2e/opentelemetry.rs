//! A collector's file: the spans of several traces, each as it ended.

use serde_json::{Value, json};

use crate::common::{Fake, Place, answers};

fn request(trace: u8, span: u8, parent: Option<u8>, attributes: &[(&str, &str)]) -> String {
    let attributes: Vec<Value> =
        attributes.iter().map(|(key, text)| json!({"key": key, "value": {"stringValue": text}})).collect();
    let parent = parent.map(|parent| format!("{parent:016x}")).unwrap_or_default();
    let span = json!({"traceId": format!("{trace:032x}"), "spanId": format!("{span:016x}"), "parentSpanId": parent,
        "name": "step", "startTimeUnixNano": "1795439390289928789", "endTimeUnixNano": "1795439390415237437",
        "attributes": attributes, "status": {"code": 1}});
    format!("{}\n", json!({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}))
}

#[test]
fn traces_whose_spans_alternate_over_the_lines_are_judged_whole() {
    let fake = Fake::start(|_| answers::verdict(true));
    let place = Place::new();
    let document = |text| [("openinference.span.kind", "RETRIEVER"), ("retrieval.documents.0.document.content", text)];
    let root = |question, answer| [("input.value", question), ("output.value", answer)];
    let lines = [
        request(1, 2, Some(1), &document("Paris is the capital of France.")),
        request(2, 2, Some(1), &document("Rome is the capital of Italy.")),
        "{\"resourceSpans\": [{\"scopeSpans\": [{\"spans\": [{}]}]}]}\n".to_owned(),
        request(2, 1, None, &root("Capital of Italy?", "Rome.")),
        request(1, 1, None, &root("Capital of France?", "Paris.")),
    ];
    place.write("traces.jsonl", lines.concat());
    let args = ["-d", "traces.jsonl", "-J", "groundedness", "--base-url", &fake.base_url()];
    place.command(args).run().exits_with(3).prints(&["2 traces, 2 requests", "1 line rejected"]);

    let prompts: Vec<String> =
        fake.seen().iter().map(|request| request.json()["messages"][1]["content"].to_string()).collect();
    for (country, words) in
        [("France", ["Paris.", "Paris is the capital"]), ("Italy", ["Rome.", "Rome is the capital"])]
    {
        let of_it: Vec<_> = prompts.iter().filter(|prompt| prompt.contains(country)).collect();
        assert!(matches!(of_it[..], [prompt] if words.iter().all(|words| prompt.contains(words))), "{prompts:?}");
    }
    let mut ids: Vec<String> = place
        .lines("traces.feedback.jsonl")
        .iter()
        .map(|record| record["trace_id"].as_str().unwrap().to_owned())
        .collect();
    ids.sort();
    assert_eq!(ids, [format!("{:032x}", 1), format!("{:032x}", 2)]);
}
