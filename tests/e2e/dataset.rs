//! What is judged: files, lines, standard input, dialects; and what becomes of lines that are not traces.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::common::{Fake, Finished, Place, answers};

const LOG: &str = "traces.feedback.jsonl";
const REJECTS: &str = "traces.feedback.rejects.jsonl";

fn agreeing() -> Fake {
    Fake::start(|_| answers::verdict(true))
}

fn judged(place: &Place, log: &str) -> BTreeSet<String> {
    place.lines(log).iter().map(|record| record["trace_id"].as_str().unwrap().to_owned()).collect()
}

fn ids(ids: &[&str]) -> BTreeSet<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

/// Judges a dataset of this content.
fn judge(content: impl AsRef<[u8]>, more: &[&str]) -> (Finished, Place) {
    let place = Place::new();
    place.write("traces.jsonl", content);
    let finished = place.judge(&agreeing().base_url(), more).run();
    (finished, place)
}

#[test]
fn lines_that_are_not_traces_are_named_kept_and_counted() {
    let long = json!({"trace_id": "long", "inputs": "x".repeat(2000), "outputs": ""}).to_string();
    let lines = [
        answers::trace(0).to_string(),
        "{\"trace_id\": \"torn\", \"inputs\": ".to_owned(),
        String::new(),
        json!({"trace_id": "trace-0", "inputs": "other", "outputs": "content"}).to_string(),
        long.clone(),
        json!({"trace_id": "no-inputs", "outputs": 1}).to_string(),
        json!({"trace_id": "trace-1", "inputs": 1, "outputs": 2, "tags": 1}).to_string(),
        answers::trace(2).to_string(),
    ];
    let (finished, place) = judge(lines.join("\n"), &["--max-line-bytes", "1000"]);
    let finished =
        finished.exits_with(3).prints(&["2 traces, 2 requests", "5 lines rejected, see traces.feedback.rejects.jsonl"]);
    assert_eq!(judged(&place, LOG), ids(&["trace-0", "trace-2"]));

    let rejects = place.lines(REJECTS);
    assert_eq!(rejects.len(), 5);
    let length = format!("{} bytes", long.len());
    for (reject, (line, reason)) in rejects.iter().zip([
        (2, "unexpected end"),
        (4, "trace id `trace-0` was already read at line 1 with different content"),
        (5, length.as_str()),
        (6, "`inputs` is missing"),
        (7, "`tags` must be an object"),
    ]) {
        assert_eq!((&reject["file"], &reject["line"]), (&json!("traces.jsonl"), &json!(line)));
        let told = reject["reason"].as_str().unwrap();
        assert!(told.contains(reason), "{told}");
        assert!(finished.stderr.contains(&format!("warning: traces.jsonl:{line}: {told}")), "{}", finished.stderr);
        let text = reject["text"].as_str().unwrap();
        assert!(lines[line - 1].starts_with(text.split(" [cut").next().unwrap()), "{text}");
        let offset: usize = lines[..line - 1].iter().map(|line| line.len() + 1).sum();
        assert_eq!(reject["byte_offset"], offset);
    }
}

#[test]
fn a_screen_is_not_filled_with_rejected_lines() {
    let (finished, place) = judge(format!("{}{}", "oops\n".repeat(1000), answers::traces(1)), &[]);
    let finished = finished.exits_with(3).says(&["998 more records rejected as well"]);
    assert!(finished.stderr.lines().count() < 30, "{}", finished.stderr);
    finished.prints(&["1000 lines rejected"]);
    assert_eq!(place.lines(REJECTS).len(), 1000);
}

#[test]
fn the_rejects_of_an_earlier_run_go_when_the_lines_are_mended() {
    let (finished, place) = judge(format!("{}oops\n", answers::traces(1)), &[]);
    finished.exits_with(3);
    assert_eq!(place.lines(REJECTS).len(), 1);
    place.write("traces.jsonl", answers::traces(2));
    place.judge(&agreeing().base_url(), &[]).run().exits_with(0).prints(&["(1 now, 1 before)"]);
    assert_eq!(place.names(), [LOG, "traces.feedback.run.json", "traces.jsonl"]);
}

#[test]
fn a_trace_that_is_there_twice_is_judged_once() {
    let (finished, place) = judge(answers::traces(2).repeat(2), &[]);
    finished.exits_with(0).prints(&["2 traces, 2 requests", "2 lines skipped: repeats of a trace"]);
    assert_eq!(place.lines(LOG).len(), 2);
}

#[test]
fn a_limit_takes_the_first_traces() {
    let (finished, place) = judge(format!("oops\n{}", answers::traces(9)), &["-n", "3"]);
    finished.exits_with(3).prints(&["3 traces, 3 requests"]);
    assert_eq!(judged(&place, LOG), ids(&["trace-0", "trace-1", "trace-2"]));
    // A higher limit continues from there.
    place.judge(&agreeing().base_url(), &["-n", "5"]).run().exits_with(3).prints(&["(2 now, 3 before)"]);
}

#[test]
fn several_datasets_are_one_and_the_log_is_named_after_the_first() {
    let place = Place::with_traces(2);
    place.write("more/b.jsonl", format!("{}\n{}\noops\n", answers::trace(1), answers::trace(7)));
    let fake = agreeing();
    let finished = place.judge(&fake.base_url(), &["-d", "more/b.jsonl"]).run().exits_with(3);
    finished.prints(&["3 traces, 3 requests", "1 line skipped"]).says(&["more/b.jsonl:3: not JSON"]);
    assert_eq!(judged(&place, LOG), ids(&["trace-0", "trace-1", "trace-7"]));
}

#[test]
fn a_dataset_can_come_from_standard_input() {
    let place = Place::new();
    let fake = agreeing();
    let args = ["-d", "-", "-J", "safety", "--base-url", &fake.base_url()];
    let finished = place.command(args).stdin(format!("{}oops", answers::traces(3))).run().exits_with(3);
    finished.says(&["<stdin>:4: not JSON"]).prints(&["3 traces"]);
    assert_eq!(place.names(), ["stdin.feedback.jsonl", "stdin.feedback.rejects.jsonl", "stdin.feedback.run.json"]);
    assert_eq!(place.lines("stdin.feedback.jsonl").len(), 3);
}

#[test]
fn a_header_that_cannot_be_used_is_wrong_usage_also_on_standard_input() {
    let place = Place::new();
    let fake = agreeing();
    let table = "inputs,outputs,inputs\na,b,c\n";
    place.write("table.csv", table);
    let address = fake.base_url();
    let args = |dataset| ["-d", dataset, "-J", "safety", "-o", "f.jsonl", "--base-url", &address];
    let of_file = place.command(args("table.csv")).run().exits_with(2).says(&["the column `inputs` appears twice"]);
    let of_stdin = place.command(args("-")).stdin(table).run().exits_with(2);
    assert!(of_stdin.stderr.ends_with(&of_file.stderr.replace("table.csv", "<stdin>")), "{}", of_stdin.stderr);
    assert_eq!((fake.count(), place.names()), (0, vec!["table.csv".to_owned()]));
}

#[test]
fn a_mapping_that_the_first_traces_have_no_field_for_is_said_before_anything_is_sent() {
    let place = Place::with_traces(2);
    // It must be printed before the request, which never gets an answer.
    let fake = Fake::start(|_| answers::error(401, "invalid_api_key", "No."));
    let said = "--map tags.city=cty: none of the first records has this field";
    let finished = place.judge(&fake.base_url(), &["--map", "tags.city=cty"]).run().exits_with(4).says(&[said]);
    assert!(finished.stderr.find(said) < finished.stderr.find("giving up"), "{}", finished.stderr);
    let known = place.judge(&fake.base_url(), &["--map", "tags.city=outputs"]).run();
    assert!(!known.stderr.contains("none of the first"), "{}", known.stderr);
    place.judge(&fake.base_url(), &["--map", "tags.city=cty", "--dry-run"]).run().says(&[said]);
}

#[test]
fn a_byte_order_mark_and_line_ends_of_windows_do_not_matter() {
    let unix = answers::traces(3);
    let (finished, place) = judge(format!("\u{feff}{}", unix.replace('\n', "\r\n")), &[]);
    finished.exits_with(0);
    let windows = place.lines(LOG);
    let (finished, place) = judge(unix, &[]);
    finished.exits_with(0);
    let sorted =
        |records: Vec<Value>| records.into_iter().map(|r| r["assessment_id"].to_string()).collect::<BTreeSet<_>>();
    assert_eq!(sorted(windows), sorted(place.lines(LOG)), "the same judgments");
}

#[test]
fn a_line_separator_inside_a_string_is_no_line_end() {
    let trace = "{\"trace_id\":\"u\",\"inputs\":\"a\u{2028}b\u{85}c\",\"outputs\":\"d\u{2029}e\"}\n";
    let place = Place::new();
    place.write("traces.jsonl", trace);
    let fake = Fake::start(|_| answers::completion("{\"rationale\":\"x\u{2028}y\",\"value\":true}"));
    place.judge(&fake.base_url(), &[]).run().exits_with(0);
    let user = fake.seen()[0].json()["messages"][1]["content"].as_str().unwrap().to_owned();
    assert!(user.contains("a\u{2028}b\u{85}c") && user.contains("d\u{2029}e"), "{user}");
    assert_eq!(place.lines(LOG)[0]["rationale"], "x\u{2028}y");
    place.judge(&fake.base_url(), &[]).run().exits_with(0).prints(&["1 trace, 0 requests"]);
}

#[test]
fn traces_that_mlflow_wrote_are_judged() {
    let place = Place::new();
    let old = include_str!("../fixtures/mlflow/2.22.4/traces.to_json.jsonl");
    let new = include_str!("../fixtures/mlflow/3.17.2/traces.to_json.jsonl");
    place.write("old.jsonl", old);
    place.write("new.jsonl", new);
    let fake = agreeing();
    // Of those that lack an output, it says so.
    place.write("mine.toml", "[verdict]\ntype = \"boolean\"\n[prompt]\nuser = \"{{ inputs }} {{ outputs }}\"\n");
    let args =
        ["-d", "old.jsonl", "-d", "new.jsonl", "-J", "mine.toml", "-o", "f.jsonl", "--base-url", &fake.base_url()];
    let finished = place.run(args);
    assert!(matches!(finished.code, Some(0 | 3)), "{finished:#?}");
    assert!(!place.names().contains(&"f.rejects.jsonl".to_owned()), "{}", finished.stderr);
    let mut expected = BTreeSet::new();
    for line in old.split_terminator('\n').chain(new.split_terminator('\n')) {
        let info = &serde_json::from_str::<Value>(line).unwrap()["info"];
        let id = info["trace_id"].as_str().or(info["request_id"].as_str()).unwrap();
        expected.insert(id.to_owned());
    }
    assert_eq!(judged(&place, "f.jsonl"), expected);
    let records = place.lines("f.jsonl");
    let verdicts = records.iter().filter(|record| record["value"] == true).count();
    assert_eq!(verdicts, fake.count());
    assert!(verdicts * 2 > records.len(), "most of them have an input and an output: {verdicts} of {}", records.len());
    for record in records.iter().filter(|record| record.get("error").is_some()) {
        assert_eq!(record["error"]["error_code"], "INPUT_ERROR", "{record}");
    }
}
