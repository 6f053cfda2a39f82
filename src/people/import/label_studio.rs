//! Label Studio's exports (JSON): a task with the annotations of several people.
//!
//! ```json
//! {"id": 1, "data": {"trace_id": "t1", "text": "..."}, "annotations": [{"completed_by": {"email": "anna@example.com"}, "created_at": "...",
//!   "result": [{"from_name": "helpful", "to_name": "text", "type": "choices", "value": {"choices": ["yes"]}}]}]}
//! ```
//! Source: Label Studio's task format. The trace is `trace_id` in the task's data; what a control called `rationale`, `comment` or `reason` holds is
//! the rationale of the annotation's other results.

use serde_json::{Map, Value};

use super::fields::{Options, member, text, time_ms};
use crate::feedback::{Feedback, Source};
use crate::people::edit::typed_value;

pub(super) fn fits(object: &Map<String, Value>) -> bool {
    object.get("data").is_some_and(Value::is_object) && object.get("annotations").is_some_and(Value::is_array)
}

/// Where the trace's id may be in a task's data.
const TRACE_IDS: [&str; 4] = ["trace_id", "traceId", "trace", "request_id"];
/// Controls whose text is a reason.
const RATIONALES: [&str; 5] = ["rationale", "comment", "comments", "reason", "explanation"];

pub(super) fn read(object: &Map<String, Value>, options: &Options) -> Result<Vec<Feedback>, String> {
    let empty = Map::new();
    let data = object.get("data").and_then(Value::as_object).unwrap_or(&empty);
    let own = || TRACE_IDS.iter().find_map(|key| member(data, key));
    let trace_id =
        member(object, "trace_id").or_else(own).ok_or("no `data.trace_id`, which names the trace of the task")?;
    let span_id = member(data, "span_id");
    let mut records = Vec::new();
    for annotation in object.get("annotations").and_then(Value::as_array).into_iter().flatten() {
        if annotation.get("was_cancelled").and_then(Value::as_bool) == Some(true) {
            continue;
        }
        let who = annotation.get("completed_by").and_then(who).or_else(|| options.author.clone());
        let who = who.ok_or("no `annotations[].completed_by`, which names the annotator")?;
        let results =
            || annotation.get("result").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object);
        let said = |result: &Map<String, Value>| result.get("value").and_then(Value::as_object).and_then(value);
        let is_rationale = |result: &Map<String, Value>| {
            member(result, "from_name").is_some_and(|name| RATIONALES.contains(&name.to_lowercase().as_str()))
        };
        let rationale = results().find(|result| is_rationale(result)).and_then(said).and_then(|value| text(&value));
        let time = |key: &str| annotation.get(key).and_then(time_ms);
        let create_time_ms = time("created_at").unwrap_or(options.now_ms);
        for result in results().filter(|result| !is_rationale(result)) {
            let Some(value) = said(result) else { continue };
            let name = member(result, "from_name").or_else(|| options.name.clone());
            records.push(Feedback {
                name: name.ok_or("no `annotations[].result[].from_name`, which says what is judged")?,
                value: Some(value),
                rationale: rationale.clone(),
                source: Source::human(who.clone()),
                create_time_ms,
                last_update_time_ms: time("updated_at").unwrap_or(create_time_ms),
                trace_id: Some(trace_id.clone()),
                span_id: span_id.clone(),
                ..Feedback::default()
            });
        }
    }
    Ok(records)
}

/// The annotator: by address if known, otherwise by number.
fn who(completed_by: &Value) -> Option<String> {
    match completed_by {
        Value::Object(person) => {
            member(person, "email").or_else(|| member(person, "id").map(|id| format!("label-studio:{id}")))
        }
        Value::Number(id) => Some(format!("label-studio:{id}")),
        other => text(other),
    }
}

/// The value of a control: a choice or several, a number of stars, a number, a text.
fn value(value: &Map<String, Value>) -> Option<Value> {
    if let Some(number) = ["rating", "number"].iter().find_map(|key| value.get(*key)) {
        return Some(number.clone());
    }
    let list = ["choices", "text", "taxonomy", "labels"].iter().find_map(|key| value.get(*key))?;
    match list {
        Value::Array(several) => match several.as_slice() {
            [] => None,
            [Value::String(only)] => Some(typed_value(only)),
            [only] => Some(only.clone()),
            several => Some(several.into()),
        },
        Value::String(only) => Some(typed_value(only)),
        other => Some(other.clone()),
    }
}
