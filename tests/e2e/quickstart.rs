//! The quickstart's first commands.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::common::Place;

const QUICKSTART: &str = include_str!("../../datasets/quickstart.jsonl");

fn place() -> Place {
    let place = Place::new();
    place.write("datasets/quickstart.jsonl", QUICKSTART);
    place
}

fn trace_ids() -> BTreeSet<String> {
    let lines = QUICKSTART.split_terminator('\n').map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|trace| trace["trace_id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_first_command_leaves_a_feedback_record_for_every_trace() {
    let place = place();
    let args = ["--dataset", "datasets/quickstart.jsonl", "--judge", "factual_accuracy", "--simulate"];
    let finished = place.run(args).exits_with(0);
    let finished =
        finished.prints(&["25 traces, 25 requests", "scored        25", "quickstart.feedback.jsonl", "made up"]);
    assert_eq!(finished.stderr, "");
    assert_eq!(place.names(), ["datasets", "quickstart.feedback.jsonl", "quickstart.feedback.run.json"]);

    let records = place.lines("quickstart.feedback.jsonl");
    assert_eq!(records.len(), 25);
    let mut ids = BTreeSet::new();
    let mut judged = BTreeSet::new();
    for record in &records {
        let id = record["assessment_id"].as_str().unwrap();
        let hex = id.strip_prefix("a-").unwrap();
        assert!(hex.len() == 32 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{id}");
        ids.insert(id);
        judged.insert(record["trace_id"].as_str().unwrap().to_owned());
        assert_eq!(record["name"], "factual_accuracy");
        assert!((0.0..=1.0).contains(&record["value"].as_f64().unwrap()), "{record}");
        assert!(!record["rationale"].as_str().unwrap().is_empty(), "{record}");
        assert_eq!(record["source"]["source_type"], "LLM_JUDGE");
        assert_eq!(record["source"]["source_id"], "simulated:/judge");
        let created = record["create_time_ms"].as_i64().unwrap();
        assert!(created > 1_700_000_000_000, "milliseconds of Unix time: {created}");
        assert_eq!(record["last_update_time_ms"], created);
        assert!(record["metadata"].as_object().unwrap().values().all(Value::is_string), "{record}");
        assert_eq!(record["metadata"]["judge_prompt"], "prompts:/factual_accuracy/2");
        let keys: Vec<_> = record.as_object().unwrap().keys().map(String::as_str).collect();
        let expected = "assessment_id name value rationale source metadata create_time_ms last_update_time_ms trace_id";
        assert_eq!(keys, expected.split(' ').collect::<Vec<_>>());
    }
    assert_eq!(ids.len(), 25, "every id is another one");
    assert_eq!(judged, trace_ids());
}

#[test]
fn the_five_built_in_judges_together_leave_five_records_for_every_trace() {
    let place = place();
    let judges = ["factual_accuracy", "groundedness", "hallucination", "relevance", "safety"];
    let args = ["-d", "datasets/quickstart.jsonl", "-J", &judges[..3].join(","), "-J", judges[3], "-J", judges[4]];
    let finished = place.run(args.into_iter().chain(["--simulate", "-o", "all.jsonl"])).exits_with(0);
    finished.prints(&[
        "25 traces, 125 requests",
        "factual_accuracy  on simulated:/judge",
        "safety  on simulated:/judge",
    ]);
    let records = place.lines("all.jsonl");
    let ids: BTreeSet<_> = records.iter().map(|record| record["assessment_id"].as_str().unwrap()).collect();
    assert_eq!((records.len(), ids.len()), (125, 125));
    for judge in judges {
        let judged = records.iter().filter(|record| record["name"] == judge);
        let judged: BTreeSet<_> = judged.map(|record| record["trace_id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(judged, trace_ids(), "{judge}");
    }
}
