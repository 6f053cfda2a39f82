//! The same traces in all forms that MLflow itself wrote or answered them in: what is read must be the same.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../../../tests/fixtures/mlflow/", $name))
    };
}

fn read_value(value: &Value) -> Result<Trace, String> {
    match read_found(value) {
        Ok(Found::Trace(trace)) => Ok(trace),
        Err(reason) => Err(reason),
        other => panic!("{other:?}"),
    }
}

fn read_found(value: &Value) -> Result<Found, String> {
    let fields = value.as_object().unwrap().clone();
    assert_eq!(Dialect::of(&fields).map(|dialect| dialect.name), Some("mlflow"));
    let mut notices = Notices::default();
    let found = read(fields, &mut notices);
    let infos = notices.iter().find(|(notice, _)| **notice == Notice::WithoutSpans);
    let all_have_spans = match &found {
        Ok(Found::Trace(trace)) => !trace.spans.is_empty(),
        Ok(Found::Traces(traces)) => traces.iter().flatten().all(|trace| !trace.spans.is_empty()),
        _ => true,
    };
    assert_eq!(infos.is_none(), all_have_spans, "{infos:?}");
    assert!(notices.unknown_names().is_empty(), "every field that MLflow writes is known: {notices:?}");
    found
}

/// Values of a file with one on each line, or with one over all lines.
fn values(text: &str) -> Vec<Value> {
    serde_json::Deserializer::from_str(text).into_iter().map(Result::unwrap).collect()
}

/// The traces as `to_json()` wrote them, by id.
fn expected(text: &str) -> BTreeMap<String, Trace> {
    values(text).iter().map(|value| read_value(value).unwrap()).map(|trace| (trace.trace_id.clone(), trace)).collect()
}

fn v3() -> BTreeMap<String, Trace> {
    expected(fixture!("3.17.2/traces.to_json.jsonl"))
}

/// The same in everything that a prompt can show, down to the order of keys; and in the assessments, which servers return in any order.
#[track_caller]
fn assert_same(trace: &Trace, expected: &Trace) {
    let text = |trace: &Trace| serde_json::to_string(trace).unwrap();
    assert_eq!(text(trace), text(expected));
    let sorted = |trace: &Trace| {
        let mut assessments = trace.assessments.clone();
        assessments.sort_by_key(|feedback| feedback.assessment_id.clone());
        assessments
    };
    assert_eq!(sorted(trace), sorted(expected));
}

#[track_caller]
fn assert_all_same(values: &[Value], expected: &BTreeMap<String, Trace>) {
    for value in values {
        let trace = read_value(value).unwrap();
        assert_same(&trace, &expected[&trace.trace_id]);
    }
}

#[test]
fn what_the_rest_api_and_the_command_line_answer_is_the_same() {
    let (expected, rest) = (v3(), values(fixture!("3.17.2/traces.rest_get.jsonl")));
    assert_eq!(rest.len(), 10);
    assert_all_same(&rest, &expected);
    assert_all_same(&values(fixture!("3.17.2/trace.rest_get.raw_response.json")), &expected);
    assert_all_same(&values(fixture!("3.17.2/trace.cli_get.json")), &expected);
    let [batch] = &*values(fixture!("3.17.2/traces.rest_batchGet.json")) else { panic!() };
    let Ok(Found::Traces(traces)) = read_found(batch) else { panic!() };
    assert_eq!(traces.len(), 2);
    for trace in traces {
        let trace = trace.unwrap();
        assert_same(&trace, &expected[&trace.trace_id]);
    }
}

#[test]
fn rows_of_search_traces_are_the_same_with_and_without_the_column_that_holds_the_whole_trace() {
    for (rows, expected) in [
        (fixture!("3.17.2/traces.search_traces_df.records.jsonl"), v3()),
        (fixture!("3.1.4/traces.search_traces_df.records.jsonl"), expected(fixture!("3.1.4/traces.to_json.jsonl"))),
        (fixture!("2.22.4/traces.search_traces_df.records.jsonl"), expected(fixture!("2.22.4/traces.to_json.jsonl"))),
    ] {
        let mut rows = values(rows);
        assert_all_same(&rows, &expected);
        for row in &mut rows {
            row.as_object_mut().unwrap().remove("trace").unwrap();
        }
        assert_all_same(&rows, &expected);
    }
}

#[test]
fn rows_of_a_csv_file_are_the_same() {
    // What csv makes of the file that pandas wrote: each cell a text, lists and objects as Python prints them.
    for (rows, whole) in [
        (fixture!("3.5.1/traces.search_traces_df.csv.jsonl"), fixture!("3.5.1/traces.to_json.jsonl")),
        (fixture!("3.1.4/traces.search_traces_df.csv.jsonl"), fixture!("3.1.4/traces.to_json.jsonl")),
    ] {
        let (mut rows, expected) = (values(rows), expected(whole));
        assert!(rows.iter().all(|row| row.as_object().unwrap().values().all(Value::is_string)));
        assert_all_same(&rows, &expected);
        for row in &mut rows {
            // MLflow 3.1 writes no JSON there.
            row.as_object_mut().unwrap().remove("trace").unwrap();
        }
        assert_all_same(&rows, &expected);
    }
}

#[test]
fn an_info_alone_has_all_but_the_spans() {
    let [value] = &*values(fixture!("3.17.2/trace_info.rest_get_v3.raw_response.json")) else { panic!() };
    let trace = read_value(value).unwrap();
    let whole = v3().remove(&trace.trace_id).unwrap();
    assert_same(&trace, &Trace { spans: Vec::new(), ..whole });
}

#[test]
fn spans_alone_have_all_but_the_info() {
    let [value] = &*values(fixture!("3.17.2/trace_spans.get_trace_artifact.raw_response.json")) else { panic!() };
    let trace = read_value(value).unwrap();
    let whole = v3().remove("tr-0081b6aa4e4125e6423c6e97be80a8ea").unwrap();
    let expected = Trace {
        expectations: Map::new(),
        tags: BTreeMap::new(),
        metadata: BTreeMap::new(),
        user: None,
        token_usage: None,
        assessments: Vec::new(),
        ..whole
    };
    assert_same(&trace, &expected);
}

#[test]
fn a_page_of_a_search_has_whole_inputs_and_outputs_or_says_so() {
    let expected = v3();
    let [page] = &*values(fixture!("3.17.2/traces.rest_search_v3.page1.json")) else { panic!() };
    let Ok(Found::Traces(traces)) = read_found(page) else { panic!() };
    let mut cut = Vec::new();
    for trace in &traces {
        match trace {
            Ok(trace) => assert_same(trace, &Trace { spans: Vec::new(), ..expected[&trace.trace_id].clone() }),
            Err(reason) => cut.push(reason.as_str()),
        }
    }
    assert_eq!(traces.len(), 12);
    assert!(!cut.is_empty() && cut.len() < 6, "{cut:#?}");
    for reason in cut {
        assert!(reason.starts_with("`traces[") && reason.contains("].info` has only the beginning of the"), "{reason}");
    }
}

#[test]
fn the_reason_of_a_broken_item_names_it_and_the_others_are_read() {
    let info =
        |id: &str, tags: Value| json!({"trace_id": id, "trace_metadata": {"mlflow.traceInputs": "1"}, "tags": tags});
    let page = json!({"traces": [info("a", json!({})), info("b", json!(1)), 7], "next_page_token": "t"});
    let Ok(Found::Traces(traces)) = read_found(&page) else { panic!() };
    assert_eq!(traces[0].as_ref().unwrap().trace_id, "a");
    assert_eq!(
        traces[1].as_ref().unwrap_err(),
        "`traces[1].info.tags` must be an object or a list of strings, found a number"
    );
    assert_eq!(traces[2].as_ref().unwrap_err(), "`traces[2]` must be an object, found a number");
    assert_eq!(read_found(&json!({"traces": []})), Ok(Found::Traces(Vec::new())));
}

#[test]
fn the_second_rest_api_writes_labels_as_pairs() {
    let page = json!({"traces": [{"request_id": "r", "experiment_id": "1", "timestamp_ms": 5, "execution_time_ms": 6,
        "status": "OK", "request_metadata": [{"key": "mlflow.traceInputs", "value": "{\"q\": 1}"}, {"key": "k", "value": "v"}],
        "tags": [{"key": "env", "value": "prod"}]}]});
    let Ok(Found::Traces(traces)) = read_found(&page) else { panic!() };
    let trace = traces[0].as_ref().unwrap();
    assert_eq!(
        (&trace.inputs, trace.tags["env"].as_str(), trace.metadata["k"].as_str()),
        (&Some(json!({"q": 1})), "prod", "v")
    );
}
