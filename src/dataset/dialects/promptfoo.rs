//! promptfoo's results: the file of `promptfoo eval -o results.json`, or a result on each line of `results.jsonl`.
//!
//! ```json
//! {"evalId": "e1", "results": {"version": 3, "results": [
//!   {"prompt": {"raw": "..."}, "vars": {"question": "..."}, "provider": {"id": "..."}, "response": {"output": "..."}}]}}
//! ```
//! The inputs are the prompt as it was sent. Source: promptfoo's `EvaluateResult` and `OutputFile`.

use serde_json::{Map, Value};

use crate::dataset::dialects::dialect::{Dialect, Found};
use crate::dataset::dialects::fields::{expectations, json_text, list, object, text};
use crate::dataset::dialects::messages;
use crate::dataset::dialects::times;
use crate::dataset::dialects::trace_fields::{add_documents, token_usage};
use crate::dataset::json;
use crate::dataset::names::Guess;
use crate::dataset::notice::Notices;
use crate::feedback::{Feedback, Source, SourceType};
use crate::trace::{Trace, TraceState};

pub(crate) const DIALECT: Dialect = Dialect { name: "promptfoo", title: "promptfoo's results", fits, read };

fn fits(object: &Map<String, Value>) -> bool {
    is_result(object)
        || results_of(object).is_some_and(|results| results.iter().all(|r| r.as_object().is_some_and(is_result)))
}

fn is_result(object: &Map<String, Value>) -> bool {
    let has_prompt = object.get("prompt").is_some_and(|prompt| prompt.get("raw").is_some());
    has_prompt && ["provider", "testCase", "vars"].iter().any(|key| object.contains_key(*key))
}

fn results_of(object: &Map<String, Value>) -> Option<&Vec<Value>> {
    let results = object.get("results")?;
    results.get("results").unwrap_or(results).as_array()
}

fn read(mut fields: Map<String, Value>, notices: &mut Notices) -> Result<Found, String> {
    if is_result(&fields) {
        return read_result("", fields, notices).map(Found::Trace);
    }
    let eval_id = text("evalId", fields.remove("evalId").unwrap_or_default())?.unwrap_or_default();
    let results = match fields.remove("results").unwrap_or_default() {
        Value::Object(mut inner) => {
            list("results.results", "a list of objects", inner.remove("results").unwrap_or_default())?
        }
        results => list("results", "a list of objects", results)?,
    };
    let read_one = |result| read_result(&eval_id, object("results[]", result)?, notices);
    Ok(Found::Traces(results.into_iter().map(read_one).collect()))
}

fn read_result(eval_id: &str, fields: Map<String, Value>, notices: &mut Notices) -> Result<Trace, String> {
    let mut trace = Trace::default();
    let (mut test, mut prompt_index) = (None, None);
    let mut vars = Map::new();
    for (key, value) in fields {
        let name = key.as_str();
        match name {
            _ if value.is_null() => {}
            "id" => trace.trace_id = text(name, value)?.unwrap_or_default(),
            "evalId" => drop(trace.metadata.insert("eval_id".to_owned(), json_text(value))),
            "testIdx" => test = value.as_u64(),
            "promptIdx" => prompt_index = value.as_u64(),
            "prompt" => {
                let mut prompt = object(name, value)?;
                trace.inputs = prompt.remove("raw").map(asked);
                let label = text("prompt.label", prompt.remove("label").unwrap_or_default())?;
                trace.metadata.extend(label.map(|label| ("prompt".to_owned(), label)));
            }
            "provider" => {
                let id = if value.is_object() { value.get("id").cloned().unwrap_or_default() } else { value };
                trace.metadata.extend(text("provider.id", id)?.map(|id| ("provider".to_owned(), id)));
            }
            "response" => {
                let mut response = object(name, value)?;
                trace.outputs = response.remove("output").filter(|output| !output.is_null());
                trace.token_usage =
                    response.remove("tokenUsage").and_then(|usage| token_usage("tokenUsage", usage).ok());
            }
            "vars" => vars.extend(object(name, value)?),
            "testCase" => {
                let own = object(name, value)?.remove("vars").unwrap_or_default();
                for (key, value) in object("testCase.vars", own)? {
                    vars.entry(key).or_insert(value);
                }
            }
            "latencyMs" => trace.execution_duration_ms = value.as_u64(),
            "error" => {
                // A failed assertion is there as well.
                drop(trace.metadata.insert("error".to_owned(), json_text(value)));
            }
            "gradingResult" => trace.assessments.extend(grading(object(name, value)?)?),
            "timestamp" => trace.request_time_ms = times::ms(name, &value, notices),
            _ if HOUSEKEEPING.contains(&name) => {}
            _ => notices.unknown(key),
        }
    }
    trace.state = if trace.outputs.is_none() { TraceState::Error } else { TraceState::Ok };
    if trace.trace_id.is_empty()
        && !eval_id.is_empty()
        && let Some((test, prompt)) = test.zip(prompt_index)
    {
        trace.trace_id = format!("{eval_id}/{test}/{prompt}");
    }
    let guess = Guess::of(&vars);
    if let Some(expected) = guess.expected.and_then(|key| vars.get(&key)) {
        trace.expectations = expectations(expected.clone());
    }
    if let Some(documents) = guess.documents.and_then(|key| vars.get(&key)) {
        add_documents(&mut trace, documents.clone());
    }
    trace.session_id = text("vars.sessionId", vars.remove("sessionId").unwrap_or_default())?;
    trace.metadata.extend(vars.into_iter().map(|(key, value)| (format!("vars.{key}"), json_text(value))));
    Ok(trace)
}

const HOUSEKEEPING: &[&str] = &[
    "success",
    "score",
    "namedScores",
    "cost",
    "failureReason",
    "metadata",
    "tokenUsage",
    "promptId",
    "description",
    "testCaseId",
    "createdAt",
    "updatedAt",
];

/// The prompt as sent: a chat if it is the JSON of one.
fn asked(raw: Value) -> Value {
    let value = json::from_text(raw.clone());
    match messages::is_dialogue(&value) {
        true => Value::Object(Map::from_iter([("messages".to_owned(), messages::read(value, "user").into())])),
        false => raw,
    }
}

/// promptfoo's own verdict.
fn grading(mut fields: Map<String, Value>) -> Result<Option<Feedback>, String> {
    let Some(pass) = fields.remove("pass").filter(Value::is_boolean) else { return Ok(None) };
    let rationale = text("gradingResult.reason", fields.remove("reason").unwrap_or_default())?;
    let source = Source { source_type: SourceType::Code, source_id: Some("promptfoo".to_owned()) };
    Ok(Some(Feedback { name: "pass".to_owned(), value: Some(pass), rationale, source, ..Feedback::default() }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::trace::TokenUsage;

    fn result() -> Value {
        json!({"promptIdx": 0, "testIdx": 2, "success": true, "score": 1, "latencyMs": 3, "cost": 0, "error": null,
            "prompt": {"raw": "Is the gym open?", "label": "{{q}}"}, "provider": {"id": "echo", "label": ""},
            "response": {"output": "Until ten.", "tokenUsage": {"total": 5, "prompt": 3, "completion": 2}}, "timestamp": "2026-01-05T10:00:00Z",
            "testCase": {"vars": {"q": "other", "expected": "16:00"}, "assert": []}, "vars": {"q": "gym", "context": "Hours: 8 to 10."},
            "gradingResult": {"pass": true, "score": 1, "reason": "ok"}})
    }

    fn traces(line: &Value) -> Vec<Trace> {
        let fields = line.as_object().unwrap().clone();
        assert!(fits(&fields), "{line}");
        let mut notices = Notices::default();
        let found = read(fields, &mut notices).unwrap();
        assert!(notices.is_empty(), "{notices:?}");
        match found {
            Found::Trace(trace) => vec![trace],
            Found::Traces(traces) => traces.into_iter().map(Result::unwrap).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_result_is_read_in_all_its_fields() {
        let file = json!({"evalId": "e1", "results": {"version": 3, "results": [result()], "stats": {}}, "config": {}, "shareableUrl": null});
        let mut found = traces(&file);
        let trace = found.pop().unwrap();
        assert_eq!(trace.spans[0].outputs, Some(json!(["Hours: 8 to 10."])));
        let source = Source { source_type: SourceType::Code, source_id: Some("promptfoo".into()) };
        let pass = Feedback {
            name: "pass".into(),
            value: Some(json!(true)),
            rationale: Some("ok".into()),
            source,
            ..Feedback::default()
        };
        let metadata = [
            ("prompt", "{{q}}"),
            ("provider", "echo"),
            ("vars.context", "Hours: 8 to 10."),
            ("vars.expected", "16:00"),
            ("vars.q", "gym"),
        ];
        let expected = Trace {
            trace_id: "e1/2/0".into(),
            inputs: Some(json!("Is the gym open?")),
            outputs: Some(json!("Until ten.")),
            expectations: json!({"expected_response": "16:00"}).as_object().unwrap().clone(),
            metadata: metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            state: TraceState::Ok,
            request_time_ms: Some(1_767_607_200_000),
            execution_duration_ms: Some(3),
            token_usage: Some(TokenUsage { input_tokens: 3, output_tokens: 2, total_tokens: 5 }),
            assessments: vec![pass],
            spans: trace.spans.clone(),
            ..Trace::default()
        };
        assert_eq!(trace, expected);
        assert!(found.is_empty());
    }

    #[test]
    fn a_result_may_stand_alone_and_its_prompt_be_a_chat() {
        let mut line = result();
        line["id"] = json!("r1");
        line["prompt"]["raw"] = json!("[{\"role\": \"user\", \"content\": \"q\"}]");
        line["response"] = Value::Null;
        line["error"] = json!("timeout");
        let trace = traces(&line).pop().unwrap();
        assert_eq!((trace.trace_id.as_str(), trace.state), ("r1", TraceState::Error));
        assert_eq!((trace.outputs, trace.metadata["error"].as_str()), (None, "timeout"));
        assert_eq!(trace.inputs, Some(json!({"messages": [{"role": "user", "content": "q"}]})));
        assert!(!fits(json!({"results": [{"a": 1}]}).as_object().unwrap()));
    }
}
