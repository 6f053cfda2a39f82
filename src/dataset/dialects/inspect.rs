//! Inspect's logs: a `.json` log, or the samples of an `.eval` log, each an object.
//!
//! ```json
//! {"version": 2, "eval": {"run_id": "..."}, "samples": [
//!   {"id": 1, "epoch": 1, "input": "...", "target": "...", "messages": [], "output": {"choices": []}, "scores": {}}]}
//! ```
//! Source: `inspect_ai.log` (`EvalLog`, `EvalSample`).

use serde_json::{Map, Value};

use crate::dataset::dialects::dialect::{Dialect, Found};
use crate::dataset::dialects::fields::{expectations, facts, json_text, list, object, text};
use crate::dataset::dialects::messages;
use crate::dataset::dialects::times;
use crate::dataset::dialects::trace_fields::token_usage;
use crate::dataset::notice::Notices;
use crate::feedback::{Feedback, Source};
use crate::trace::{Span, SpanType, Trace, TraceState};

pub(crate) const DIALECT: Dialect = Dialect { name: "inspect", title: "Inspect's logs", fits, read };

fn fits(object: &Map<String, Value>) -> bool {
    is_sample(object)
        || object.get("eval").is_some_and(Value::is_object) && object.get("samples").is_some_and(Value::is_array)
}

fn is_sample(object: &Map<String, Value>) -> bool {
    let has = |key: &str| object.contains_key(key);
    has("id") && has("epoch") && has("input") && has("output") && (has("target") || has("messages"))
}

fn read(mut fields: Map<String, Value>, notices: &mut Notices) -> Result<Found, String> {
    if is_sample(&fields) {
        return read_sample("", fields, notices).map(Found::Trace);
    }
    let mut eval = object("eval", fields.remove("eval").unwrap_or_default())?;
    let run = ["run_id", "eval_id", "task"].iter().find_map(|key| eval.remove(*key)).map(json_text).unwrap_or_default();
    let samples = list("samples", "a list of objects", fields.remove("samples").unwrap_or_default())?;
    let read_one = |sample| read_sample(&run, object("samples[]", sample)?, notices);
    Ok(Found::Traces(samples.into_iter().map(read_one).collect()))
}

fn read_sample(run: &str, mut fields: Map<String, Value>, notices: &mut Notices) -> Result<Trace, String> {
    // Long texts are stored once and referred to elsewhere.
    if let Some(Value::Object(attachments)) =
        fields.remove("attachments").filter(|found| *found != Value::Object(Map::new()))
    {
        fields.values_mut().for_each(|value| attach(value, &attachments));
    }
    let mut trace = Trace::default();
    let (mut id, mut epoch) = (String::new(), String::new());
    let mut said = Vec::new();
    for (key, value) in fields {
        let name = key.as_str();
        match name {
            _ if value.is_null() => {}
            "uuid" => trace.trace_id = text(name, value)?.unwrap_or_default(),
            "id" => id = json_text(value),
            "epoch" => epoch = json_text(value),
            "input" => trace.inputs = Some(asked(value)),
            "target" => {
                let target = match value {
                    Value::Array(mut targets) if targets.len() == 1 => targets.pop().unwrap_or_default(),
                    target => target,
                };
                if target != "" {
                    trace.expectations = expectations(target);
                }
            }
            "messages" => said = messages::read(value, "user"),
            "output" => read_output(object(name, value)?, &mut trace)?,
            "scores" => {
                for (name, score) in object(name, value)? {
                    let mut score = object("scores", score)?;
                    let value = score.remove("value").unwrap_or_default();
                    let rationale = text("scores.explanation", score.remove("explanation").unwrap_or_default())?;
                    let source = Source { source_id: Some(name.clone()), ..Source::default() };
                    trace.assessments.push(Feedback {
                        name,
                        value: Some(value),
                        rationale,
                        source,
                        ..Feedback::default()
                    });
                }
            }
            "metadata" => trace.metadata.extend(facts(name, value)),
            "error" => trace.state = TraceState::Error,
            "started_at" => trace.request_time_ms = times::ms(name, &value, notices),
            "total_time" => trace.execution_duration_ms = milliseconds(&value),
            _ if HOUSEKEEPING.contains(&name) => {}
            _ => notices.unknown(key),
        }
    }
    if trace.trace_id.is_empty() {
        trace.trace_id = [run, &id, &epoch].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
    }
    trace.metadata.insert("sample_id".to_owned(), id);
    if !said.is_empty() {
        let start = trace.request_time_ms.and_then(|ms| u64::try_from(ms).ok()).map(|ms| ms.saturating_mul(1_000_000));
        trace.spans.push(Span {
            span_id: format!("{:016x}", 1),
            name: "sample".to_owned(),
            span_type: SpanType::new("AGENT"),
            inputs: Some(Value::Object(Map::from_iter([("messages".to_owned(), said.into())]))),
            outputs: trace.outputs.clone(),
            start_time_unix_nano: start,
            ..Span::default()
        });
    }
    Ok(trace)
}

const HOUSEKEEPING: &[&str] = &[
    "choices",
    "sandbox",
    "files",
    "setup",
    "store",
    "events",
    "timelines",
    "events_data",
    "model_usage",
    "role_usage",
    "completed_at",
    "working_time",
    "invalidation",
    "error_retries",
    "limit",
];

/// Replaces `attachment://HASH` with the contents.
fn attach(value: &mut Value, attachments: &Map<String, Value>) {
    match value {
        Value::String(text) => {
            if let Some(content) = text.strip_prefix("attachment://").and_then(|hash| attachments.get(hash)) {
                *value = content.clone();
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| attach(value, attachments)),
        Value::Object(fields) => fields.values_mut().for_each(|value| attach(value, attachments)),
        _ => {}
    }
}

fn asked(input: Value) -> Value {
    match input {
        Value::Array(_) => {
            Value::Object(Map::from_iter([("messages".to_owned(), messages::read(plain(input), "user").into())]))
        }
        input => input,
    }
}

/// Messages without Inspect's own markers.
fn plain(mut said: Value) -> Value {
    for message in said.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        message.retain(|key, _| !["id", "source", "model", "metadata"].contains(&key.as_str()));
    }
    said
}

fn read_output(mut output: Map<String, Value>, trace: &mut Trace) -> Result<(), String> {
    let choices = list("output.choices", "a list of objects", output.remove("choices").unwrap_or_default())?;
    if let Some(choice) = choices.into_iter().next() {
        let mut choice = object("output.choices[]", choice)?;
        let reason = choice.remove("stop_reason").map(json_text);
        trace.metadata.extend(reason.map(|reason| ("finish_reason".to_owned(), reason)));
        let message = plain(Value::Array(vec![choice.remove("message").unwrap_or_default()]));
        trace.outputs = messages::answer(messages::read(message, "assistant"));
    }
    let completion = output.remove("completion").filter(|text| *text != "");
    trace.outputs = trace.outputs.take().or(completion);
    trace.metadata.extend(output.remove("model").map(|model| ("model".to_owned(), json_text(model))));
    trace.token_usage =
        output.remove("usage").filter(|usage| !usage.is_null()).and_then(|usage| token_usage("usage", usage).ok());
    if output.remove("error").is_some_and(|error| !error.is_null()) {
        trace.state = TraceState::Error;
    }
    Ok(())
}

fn milliseconds(seconds: &Value) -> Option<u64> {
    let ms = seconds.as_f64().map(|seconds| (seconds * 1000.0).round()).filter(|ms| (0.0..9e15).contains(ms))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    Some(ms as u64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::trace::TokenUsage;

    fn sample() -> Value {
        json!({"id": "q7", "epoch": 2, "input": [{"id": "x", "role": "user", "content": "attachment://h1", "source": "input"}], "target": ["Paris"],
            "choices": null, "messages": [{"role": "user", "content": "q", "id": "x"}, {"role": "assistant", "content": "a"}],
            "output": {"model": "m", "choices": [{"message": {"role": "assistant", "content": [{"type": "text", "text": "a"}], "source": "generate"},
                "stop_reason": "stop"}], "usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}, "time": 1.0},
            "scores": {"match": {"value": "C", "answer": "a", "explanation": "equal"}}, "metadata": {"k": 1}, "store": {}, "events": [],
            "model_usage": {}, "started_at": "2026-01-05T10:00:00Z", "total_time": 1.25, "attachments": {"h1": "A long question"}})
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
    fn a_sample_is_read_in_all_its_fields() {
        let log =
            json!({"version": 2, "status": "success", "eval": {"task": "t", "run_id": "r"}, "samples": [sample()]});
        let trace = traces(&log).pop().unwrap();
        let span = Span {
            span_id: "0000000000000001".into(),
            name: "sample".into(),
            span_type: SpanType::new("AGENT"),
            inputs: trace.spans[0].inputs.clone(),
            outputs: Some(json!("a")),
            start_time_unix_nano: Some(1_767_607_200_000_000_000),
            ..Span::default()
        };
        assert_eq!(span.inputs.as_ref().unwrap()["messages"][1]["content"], "a");
        let source = Source { source_id: Some("match".into()), ..Source::default() };
        let score = Feedback {
            name: "match".into(),
            value: Some(json!("C")),
            rationale: Some("equal".into()),
            source,
            ..Feedback::default()
        };
        let metadata = [("finish_reason", "stop"), ("k", "1"), ("model", "m"), ("sample_id", "q7")];
        let expected = Trace {
            trace_id: "r/q7/2".into(),
            inputs: Some(json!({"messages": [{"role": "user", "content": "A long question"}]})),
            outputs: Some(json!("a")),
            expectations: json!({"expected_response": "Paris"}).as_object().unwrap().clone(),
            metadata: metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            spans: vec![span],
            request_time_ms: Some(1_767_607_200_000),
            execution_duration_ms: Some(1250),
            token_usage: Some(TokenUsage { input_tokens: 1, output_tokens: 2, total_tokens: 3 }),
            assessments: vec![score],
            ..Trace::default()
        };
        assert_eq!(trace, expected);
    }

    #[test]
    fn a_sample_may_stand_alone() {
        let mut line = sample();
        line["uuid"] = json!("u");
        line["input"] = json!("q");
        line["target"] = json!("");
        line["error"] = json!({"message": "boom"});
        line["output"] = json!({"model": "m", "choices": [], "completion": "c"});
        let trace = traces(&line).pop().unwrap();
        assert_eq!((trace.trace_id.as_str(), trace.inputs, trace.outputs), ("u", Some(json!("q")), Some(json!("c"))));
        assert_eq!((trace.expectations.len(), trace.state), (0, TraceState::Error));
    }
}
