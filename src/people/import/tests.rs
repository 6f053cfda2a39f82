//! What other tools write, and what is read of it.

use serde_json::{Value, json};

use super::*;
use crate::feedback::SourceType;

fn options() -> Options {
    Options { now_ms: 7, ..Options::default() }
}

#[track_caller]
fn imported(text: &str, options: &Options) -> Imported {
    read(None, text.as_bytes(), options).unwrap_or_else(|error| panic!("{error}"))
}

fn facts(record: &Feedback) -> (&str, &str, Value, SourceType, &str) {
    let source = &record.source;
    (
        record.trace_id.as_deref().unwrap_or_default(),
        &record.name,
        record.value.clone().unwrap_or_default(),
        source.source_type,
        source.source_id.as_deref().unwrap_or_default(),
    )
}

#[test]
fn a_table_is_read_by_its_columns_and_cells_keep_their_type() {
    let table = "trace_id,name,value,rationale,source_id,input\nt1,helpful,true,\"so, yes\",anna,x\nt2,helpful,4,,bea,y\nt3,helpful,,,anna,z\n\
                 t4,helpful,'=good,,anna,\nt5,helpful\n,helpful,1,,anna,\n";
    let found = imported(table, &options());
    let read: Vec<_> = found.records.iter().map(facts).collect();
    let expected = [
        ("t1", "helpful", json!(true), SourceType::Human, "anna"),
        ("t2", "helpful", json!(4), SourceType::Human, "bea"),
        ("t4", "helpful", json!("=good"), SourceType::Human, "anna"),
    ];
    assert_eq!(read, expected);
    assert_eq!(found.records[0].rationale.as_deref(), Some("so, yes"));
    assert_eq!((found.unlabelled, found.forms), (1, vec!["csv"]));
    let lines: Vec<_> = found.rejects.iter().map(|reject| reject.line).collect();
    assert_eq!(lines, [6, 7], "{:?}", found.rejects);
}

#[test]
fn columns_are_mapped_and_what_is_missing_is_named() {
    let mapped = Options {
        name: Some("helpful".into()),
        author: Some("anna".into()),
        map: vec!["ID=trace_id".parse().unwrap(), "Was it?=value".parse().unwrap()],
        now_ms: 7,
    };
    let found = imported("ID;Was it?\nt1;yes\n", &mapped);
    assert_eq!(facts(&found.records[0]), ("t1", "helpful", json!("yes"), SourceType::Human, "anna"));
    let error = read(None, b"id,value\nt1,1\n", &mapped).unwrap_err();
    assert!(matches!(error, ImportError::Unmapped { .. }), "{error}");
    let error = read(None, b"id,value\nt1,1\n", &options()).unwrap_err();
    assert!(matches!(error, ImportError::NoColumn { field: "trace_id", .. }), "{error}");
    let nobody = imported("trace_id,value\nt1,1\n", &options());
    assert!(nobody.rejects[0].reason.contains("`name`"), "{:?}", nobody.rejects);
    assert!(matches!(read(None, b" \n", &mapped), Err(ImportError::Empty)));
    assert!(matches!(read(None, b"{\"a\":", &mapped), Err(ImportError::Json(_))));
}

#[test]
fn json_lines_hold_rows_and_records() {
    let lines = [
        json!({"trace_id": "t1", "name": "n", "value": 0.5, "source_id": "anna", "create_time": "2026-01-05T10:00:00Z"}),
        json!({"name": "n", "value": true, "source": {"source_type": "HUMAN", "source_id": "bea"}, "trace_id": "t2", "assessment_id": "x"}),
        json!({"assessment_name": "n", "trace_id": "t3", "feedback": {"value": "good"}, "source": {"source_type": "HUMAN", "source_id": "c"}}),
        json!({"trace_id": "t4", "name": "n"}),
        json!([]),
    ];
    let text: Vec<String> = lines.iter().map(Value::to_string).collect();
    let found = imported(&(text.join("\n") + "\nnot json\n"), &options());
    let read: Vec<_> = found.records.iter().map(facts).collect();
    let expected = [
        ("t1", "n", json!(0.5), SourceType::Human, "anna"),
        ("t2", "n", json!(true), SourceType::Human, "bea"),
        ("t3", "n", json!("good"), SourceType::Human, "c"),
    ];
    assert_eq!(read, expected);
    assert_eq!(found.records[0].create_time_ms, 1_767_607_200_000);
    assert_eq!(found.records[1].assessment_id.as_deref(), Some("x"));
    assert!(found.records[1].metadata.is_empty() && found.records[0].metadata[IMPORTED_METADATA] == "json");
    let lines: Vec<_> = found.rejects.iter().map(|reject| reject.line).collect();
    assert_eq!(lines, [4, 5, 6]);
}

#[test]
fn langfuses_scores_are_peoples_judges_and_programs() {
    let score = |more: Value| {
        let mut score =
            json!({"id": "s", "traceId": "t", "name": "n", "timestamp": "2026-01-05T10:00:00Z", "configId": null});
        score.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        score
    };
    let page = json!({"data": [
        score(json!({"dataType": "BOOLEAN", "value": 1, "stringValue": "True", "source": "ANNOTATION", "authorUserId": "u1", "observationId": "o"})),
        score(json!({"dataType": "CATEGORICAL", "value": 0, "stringValue": "bad", "source": "API"})),
        score(json!({"dataType": "NUMERIC", "value": 0.25, "source": "EVAL", "comment": "meh"})),
        {"id": "v3", "name": "n", "dataType": "BOOLEAN", "value": false, "source": "ANNOTATION", "authorUserId": "u2",
            "timestamp": "2026-01-05T10:00:00Z", "subject": {"kind": "observation", "id": "o", "traceId": "t3"}},
    ], "meta": {"page": 1}});
    let found = imported(&page.to_string(), &options());
    let read: Vec<_> = found.records.iter().map(facts).collect();
    let expected = [
        ("t", "n", json!(true), SourceType::Human, "u1"),
        ("t", "n", json!("bad"), SourceType::Code, "langfuse"),
        ("t", "n", json!(0.25), SourceType::LlmJudge, "langfuse"),
        ("t3", "n", json!(false), SourceType::Human, "u2"),
    ];
    assert_eq!(read, expected);
    assert_eq!(found.records[0].span_id.as_deref(), Some("o"));
    assert_eq!(found.records[2].rationale.as_deref(), Some("meh"));
}

#[test]
fn phoenixs_annotations_have_a_label_or_a_score() {
    let list = json!([
        {"span_id": "67f6", "trace_id": "t", "name": "correctness", "annotator_kind": "HUMAN", "user_id": "u",
            "result": {"label": "correct", "score": 0.85, "explanation": "so"}},
        {"span_id": "67f7", "name": "correctness", "annotator_kind": "LLM", "result": {"score": 1}, "identifier": "m"},
        {"span_id": "67f8", "name": "note", "annotator_kind": "HUMAN", "result": {"explanation": "only words"}},
    ]);
    let found = imported(&list.to_string(), &options());
    let read: Vec<_> = found.records.iter().map(facts).collect();
    let expected = [
        ("t", "correctness", json!("correct"), SourceType::Human, "u"),
        ("67f7", "correctness", json!(1), SourceType::LlmJudge, "m"),
    ];
    assert_eq!(read, expected);
    assert_eq!((found.unlabelled, found.records[0].metadata["score"].as_str()), (1, "0.85"));
}

#[test]
fn label_studios_tasks_have_several_annotators() {
    let choice = |value: &str| json!({"from_name": "helpful", "to_name": "text", "type": "choices", "value": {"choices": [value]}});
    let tasks = json!([{"id": 1, "data": {"trace_id": "t", "text": "..."}, "predictions": [], "annotations": [
        {"completed_by": {"id": 3, "email": "anna@example.com"}, "was_cancelled": false, "created_at": "2021-03-09T22:16:08.728353Z",
            "result": [choice("true"), {"from_name": "Comment", "type": "textarea", "value": {"text": ["so it is"]}}]},
        {"completed_by": 10, "result": [choice("no"), {"from_name": "stars", "type": "rating", "value": {"rating": 4}}]},
        {"completed_by": 11, "was_cancelled": true, "result": [choice("no")]},
    ]}, {"id": 2, "data": {"text": "..."}, "annotations": []}]);
    let found = imported(&tasks.to_string(), &options());
    let read: Vec<_> = found.records.iter().map(facts).collect();
    let expected = [
        ("t", "helpful", json!(true), SourceType::Human, "anna@example.com"),
        ("t", "helpful", json!("no"), SourceType::Human, "label-studio:10"),
        ("t", "stars", json!(4), SourceType::Human, "label-studio:10"),
    ];
    assert_eq!(read, expected);
    assert_eq!(found.records[0].rationale.as_deref(), Some("so it is"));
    assert!(found.rejects[0].line == 2 && found.rejects[0].reason.contains("data.trace_id"), "{:?}", found.rejects);
}

#[test]
fn deepevals_metrics_are_judges_or_programs() {
    let run = json!({"testCases": [{"name": "test_case_0", "input": "q", "actualOutput": "a", "metadata": {"trace_id": "t"}, "metricsData": [
        {"name": "Correctness", "score": 0.8, "threshold": 0.5, "success": true, "reason": "so", "evaluationModel": "gpt-4.1"},
        {"name": "Exact", "score": 1, "threshold": 1, "success": true},
        {"name": "Broken", "score": null, "error": "timeout"},
    ]}, {"name": "test_case_1", "metricsData": [{"name": "Exact", "score": 0}]}]});
    let found = imported(&run.to_string(), &options());
    let read: Vec<_> = found.records.iter().map(facts).collect();
    let expected = [
        ("t", "Correctness", json!(0.8), SourceType::LlmJudge, "gpt-4.1"),
        ("t", "Exact", json!(1), SourceType::Code, "deepeval"),
        ("test_case_1", "Exact", json!(0), SourceType::Code, "deepeval"),
    ];
    assert_eq!(read, expected);
    assert_eq!(found.records[0].metadata["threshold"], "0.5");
}

#[test]
fn results_with_whole_traces_bring_their_verdicts_along() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("results.json");
    let promptfoo = json!({"evalId": "e1", "results": {"version": 3, "results": [{"promptIdx": 0, "testIdx": 2, "prompt": {"raw": "q"},
        "vars": {"q": "gym"}, "provider": {"id": "echo"}, "response": {"output": "x"}, "gradingResult": {"pass": false, "reason": "no"}}]}});
    let inspect = json!({"version": 2, "eval": {"run_id": "r"}, "samples": [{"id": 1, "epoch": 1, "input": "q", "target": "a", "messages": [],
        "output": {"choices": []}, "scores": {"match": {"value": "C", "explanation": "so"}}}]});
    for (file, name, value) in [(promptfoo, "pass", json!(false)), (inspect, "match", json!("C"))] {
        let text = file.to_string();
        std::fs::write(&path, &text).unwrap();
        let found = read(Some(&path), text.as_bytes(), &options()).unwrap();
        assert_eq!((found.records.len(), found.rejects.len()), (1, 0), "{found:?}");
        let record = &found.records[0];
        assert_eq!((record.name.as_str(), record.value.clone()), (name, Some(value)));
        assert_eq!((record.source.source_type, record.create_time_ms), (SourceType::Code, 7));
        assert!(read(None, text.as_bytes(), &options()).is_err(), "there is no file to read it from");
    }
}
