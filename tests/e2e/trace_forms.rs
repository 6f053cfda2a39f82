//! Traces as other tools write them: whatever form a trace comes in, it is judged in the same words.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::common::{Fake, Place, answers};

const LOG: &str = "traces.feedback.jsonl";
const REJECTS: &str = "traces.feedback.rejects.jsonl";
const JUDGES: [&str; 5] = ["factual_accuracy", "groundedness", "hallucination", "relevance", "safety"];

macro_rules! mlflow {
    ($name:literal) => {
        include_str!(concat!("../fixtures/mlflow/", $name))
    };
}

/// The ids of all judgments, by trace and judge. An id is a hash of all that was asked, or of the reason why nothing was.
type Asked = BTreeMap<(String, String), String>;

/// Lets all built-in judges judge these lines.
fn judge(lines: &str) -> (Asked, Place, String) {
    let place = Place::new();
    place.write("traces.jsonl", lines);
    let judges = JUDGES.iter().flat_map(|judge| ["-J", judge]);
    let finished = place.run(["-d", "traces.jsonl", "--simulate"].into_iter().chain(judges));
    let text = |record: &Value, key: &str| record[key].as_str().unwrap().to_owned();
    let key = |record: &Value| (text(record, "trace_id"), text(record, "name"));
    let asked = place.lines(LOG).iter().map(|record| (key(record), text(record, "assessment_id"))).collect();
    (asked, place, finished.stderr)
}

/// One JSON document as one line.
fn line(document: &str) -> String {
    serde_json::from_str::<Value>(document).unwrap().to_string()
}

#[track_caller]
fn assert_asked_alike(form: &str, whole: &Asked, traces: usize) {
    let (asked, _, _) = judge(form);
    let ids: std::collections::BTreeSet<_> = asked.keys().map(|(trace, _)| trace).collect();
    assert_eq!(ids.len(), traces, "some judge applies to each");
    for (key, id) in &asked {
        assert_eq!(Some(id), whole.get(key), "{key:?}");
    }
}

#[test]
fn a_trace_of_mlflow_is_judged_alike_in_every_form() {
    let (whole, _, _) = judge(mlflow!("3.17.2/traces.to_json.jsonl"));
    assert_asked_alike(mlflow!("3.17.2/traces.rest_get.jsonl"), &whole, 10);
    assert_asked_alike(mlflow!("3.17.2/traces.search_traces_df.records.jsonl"), &whole, 8);
    for (document, traces) in [
        (mlflow!("3.17.2/trace.rest_get.raw_response.json"), 1),
        (mlflow!("3.17.2/trace.cli_get.json"), 1),
        (mlflow!("3.17.2/traces.rest_batchGet.json"), 2),
    ] {
        assert_asked_alike(&line(document), &whole, traces);
    }
    let (whole, _, _) = judge(mlflow!("3.1.4/traces.to_json.jsonl"));
    assert_asked_alike(mlflow!("3.1.4/traces.search_traces_df.csv.jsonl"), &whole, 4);
    let (whole, _, _) = judge(mlflow!("3.5.1/traces.to_json.jsonl"));
    assert_asked_alike(mlflow!("3.5.1/traces.search_traces_df.csv.jsonl"), &whole, 4);
}

#[test]
fn what_a_page_of_a_search_lacks_is_said() {
    let (whole, _, _) = judge(mlflow!("3.17.2/traces.to_json.jsonl"));
    let (asked, place, said) = judge(&line(mlflow!("3.17.2/traces.rest_search_v3.page1.json")));
    let rejects = place.lines(REJECTS);
    let ids: std::collections::BTreeSet<_> = asked.keys().map(|(trace, _)| trace).collect();
    assert_eq!(ids.len() + rejects.len(), 12);
    for reject in &rejects {
        let reason = reject["reason"].as_str().unwrap();
        assert!(reason.starts_with("`traces[") && reason.contains("no spans: export the trace whole"), "{reason}");
    }
    assert!(said.contains(" without spans: judges of documents"), "{said}");
    for record in place.lines(LOG) {
        // This one has another wording for traces without documents.
        if record["name"] == "hallucination" {
            continue;
        }
        assert_ne!(record["name"], "groundedness", "it does not apply where nothing was retrieved");
        if record["error"].is_null() {
            let key = (record["trace_id"].as_str().unwrap().to_owned(), record["name"].as_str().unwrap().to_owned());
            assert_eq!(record["assessment_id"].as_str(), whole.get(&key).map(String::as_str), "{key:?}");
        }
    }
}

/// What the judge `safety` asked about, and about how many traces.
fn judged_files(files: &[(&str, &[Value])]) -> Vec<String> {
    let place = Place::new();
    let mut args = vec!["-J", "safety", "--simulate", "-o", LOG];
    for (name, lines) in files {
        place.write(name, lines.iter().map(|line| format!("{line}\n")).collect::<String>());
        args.extend(["-d", name]);
    }
    place.run(args).exits_with(0).prints(&["failed         0"]);
    place.lines(LOG).iter().map(|record| record["trace_id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_two_files_of_a_batch_make_its_traces() {
    let question = |id: &str| {
        json!({"custom_id": id, "method": "POST", "url": "/v1/chat/completions",
            "body": {"model": "gpt-4o", "messages": [{"role": "user", "content": format!("What is {id}?")}]}})
    };
    let answer = |id: &str| {
        json!({"id": format!("batch_req_{id}"), "custom_id": id, "error": null, "response": {"status_code": 200, "request_id": "r",
            "body": {"object": "chat.completion", "choices": [{"index": 0, "message": {"role": "assistant", "content": id}}]}}})
    };
    let mut ids =
        judged_files(&[("in.jsonl", &[question("a"), question("b")]), ("out.jsonl", &[answer("b"), answer("a")])]);
    ids.sort();
    assert_eq!(ids, ["a", "b"]);
}

#[test]
fn two_batches_that_share_an_id_do_not_hide_each_other() {
    let place = Place::new();
    let line =
        |text: &str| json!({"custom_id": "1", "body": {"messages": [{"role": "user", "content": text}]}}).to_string();
    place.write("traces.jsonl", format!("{}\n{}\n", line("a"), line("b")));
    let finished = place.run(["-d", "traces.jsonl", "-J", "safety", "--simulate"]).exits_with(2);
    finished.says(&["parts of trace `1` have different `inputs`; give each trace a different id"]);
}

#[test]
fn rows_of_langfuse_make_traces_wherever_they_stand() {
    let observations = [
        json!({"id": "o1", "trace_id": "t2", "type": "SPAN", "start_time": "2026-01-01 00:00:00", "input": "Why?", "output": "So."}),
        json!({"id": "o2", "trace_id": "t1", "type": "TOOL", "start_time": "2026-01-01 00:00:00", "output": "42"}),
    ];
    let traces =
        [json!({"id": "t1", "timestamp": "2026-01-01 00:00:00", "session_id": "s", "input": "Why?", "output": "So."})];
    let mut ids = judged_files(&[("observations.jsonl", &observations), ("traces.jsonl", &traces)]);
    ids.sort();
    assert_eq!(ids, ["t1", "t2"]);
}

#[test]
fn chats_are_traces() {
    let lines = [
        json!({"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}], "trace_id": "example"}),
        json!({"messages": [{"role": "user", "content": "Hi"}], "response": {"id": "chatcmpl-1", "choices": [{"message": {"content": "Ho"}}]}}),
        json!({"id": "shared", "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello!"}]}),
    ];
    let mut ids = judged_files(&[("chats.jsonl", &lines)]);
    ids.sort();
    assert_eq!(ids, ["chatcmpl-1", "example", "shared"]);
}

#[test]
fn the_runs_of_langsmith_make_one_trace_with_its_documents() {
    let place = Place::new();
    place.write("runs.jsonl", include_str!("../fixtures/langsmith/runs.jsonl"));
    let finished = place.run(["-d", "runs.jsonl", "-J", "groundedness", "--simulate", "-o", LOG]).exits_with(0);
    let finished = finished.prints(&["1 trace, 1 request", "failed         0"]);
    assert_eq!(finished.stderr, "", "every field is known");
}

#[test]
fn several_answers_of_a_row_are_a_trace_each_where_both_are_mapped() {
    let preference = json!({"id": "p1", "prompt": "Is it open?", "chosen": "Yes, until six.", "rejected": "No."});
    let table = "id;question;small;large\nr1;Is it open?;No idea.;Until six.\nr2;And on Sunday?;;Closed.\n";
    let both = ["--map", "trace_id=id", "--map", "outputs=chosen", "--map", "outputs=rejected"];
    let columns =
        ["--map", "trace_id=id", "--map", "inputs=question", "--map", "outputs=small", "--map", "outputs=large"];
    let judged = |name: &str, content: &str, more: &[&str]| {
        let fake = Fake::start(|_| answers::verdict(true));
        let place = Place::new();
        place.write(name, content);
        let args = ["-d", name, "-J", "relevance", "-o", LOG, "--base-url", &fake.base_url(), "-j", "1"];
        let finished = place.command(args.iter().chain(more)).run().exits_with(0);
        let ids: Vec<_> =
            place.lines(LOG).iter().map(|record| record["trace_id"].as_str().unwrap().to_owned()).collect();
        let prompts: Vec<_> =
            fake.seen().iter().map(|request| request.json()["messages"][1]["content"].to_string()).collect();
        (ids, prompts, finished.stderr)
    };
    // Without a word only the first is read, and a note says so.
    let (ids, prompts, stderr) = judged("a.jsonl", &preference.to_string(), &[]);
    assert!(ids.len() == 1 && prompts[0].contains("until six") && !prompts[0].contains("No."), "{ids:?} {prompts:?}");
    assert!(stderr.contains("--map outputs=chosen --map outputs=rejected"), "{stderr}");

    let (ids, prompts, _) = judged("a.jsonl", &preference.to_string(), &both);
    assert_eq!(ids, ["p1#chosen", "p1#rejected"]);
    assert!(prompts[0].contains("until six") && !prompts[0].contains("No."), "{prompts:?}");
    assert!(prompts[1].contains("No.") && !prompts[1].contains("until six"), "{prompts:?}");
    assert!(prompts.iter().all(|prompt| prompt.contains("Is it open?")), "{prompts:?}");

    let (ids, prompts, _) = judged("b.csv", table, &columns);
    assert_eq!(ids, ["r1#small", "r1#large", "r2"]);
    assert!(prompts[0].contains("No idea.") && prompts[1].contains("Until six."), "{prompts:?}");
    assert!(prompts[2].contains("Closed."), "{prompts:?}");
}
