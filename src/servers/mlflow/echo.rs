//! Whether a server has stored what was sent. A status of 200 does not guarantee it: MLflow drops fields that it cannot read, and everything after them.

use std::fmt;

use serde_json::Value;

use super::evaluation::RUN_METADATA;
use crate::feedback::Feedback;

/// The part of a stack trace that MLflow keeps: the end.
const KEPT_STACK: usize = 10_000;
/// Of a value in a message.
const MAX_SHOWN: usize = 80;

/// A field with different content on the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The assessment.
    pub assessment_id: String,
    /// The trace that it belongs to.
    pub trace_id: String,
    /// The field's name.
    pub field: &'static str,
    /// What was sent, shortened.
    pub ours: String,
    /// What is there, shortened.
    pub theirs: String,
}

impl Difference {
    pub(super) fn new(record: &Feedback, field: &'static str, ours: &str, theirs: &str) -> Self {
        Self {
            assessment_id: record.assessment_id.clone().unwrap_or_default(),
            trace_id: record.trace_id.clone().unwrap_or_default(),
            field,
            ours: shortened(ours),
            theirs: shortened(theirs),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { assessment_id, trace_id, field, ours, theirs } = self;
        write!(f, "{assessment_id} of {trace_id}: {field} is {theirs}, not {ours}")
    }
}

/// The fields in which an assessment on the server differs from this record. What every server changes does not count: 4 is 4.0 there, an empty text
/// is absent, a stack trace is cut; and the run is up to the server.
pub(super) fn differences(ours: &Feedback, theirs: &Feedback) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut compare = |field, is_equal: bool, a: &dyn fmt::Debug, b: &dyn fmt::Debug| {
        if !is_equal {
            found.push(Difference::new(ours, field, &format!("{a:?}"), &format!("{b:?}")));
        }
    };
    let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    compare("name", ours.name == theirs.name, &ours.name, &theirs.name);
    compare("trace_id", ours.trace_id == theirs.trace_id, &ours.trace_id, &theirs.trace_id);
    compare("span_id", text(&ours.span_id) == text(&theirs.span_id), &ours.span_id, &theirs.span_id);
    let (a, b) = (&ours.source, &theirs.source);
    compare("source_type", a.source_type == b.source_type, &a.source_type, &b.source_type);
    compare("source_id", text(&a.source_id) == text(&b.source_id), &a.source_id, &b.source_id);
    let value = |feedback: &Feedback| feedback.value.clone().unwrap_or_default();
    compare("value", same(&value(ours), &value(theirs)), &ours.value, &theirs.value);
    let code = |feedback: &Feedback| feedback.error.as_ref().map(|error| error.error_code.as_str().to_owned());
    compare("error_code", code(ours) == code(theirs), &code(ours), &code(theirs));
    let message = |feedback: &Feedback| text(&feedback.error.as_ref().and_then(|error| error.error_message.clone()));
    compare("error_message", message(ours) == message(theirs), &message(ours), &message(theirs));
    let stack = |feedback: &Feedback| text(&feedback.error.as_ref().and_then(|error| error.stack_trace.clone()));
    compare("stack_trace", same_stack(stack(ours), stack(theirs)), &stack(ours), &stack(theirs));
    compare("rationale", text(&ours.rationale) == text(&theirs.rationale), &ours.rationale, &theirs.rationale);
    compare("create_time", ours.create_time_ms == theirs.create_time_ms, &ours.create_time_ms, &theirs.create_time_ms);
    let (a, b) = (ours.last_update_time_ms, theirs.last_update_time_ms);
    compare("last_update_time", a == b, &a, &b);
    compare("overrides", text(&ours.overrides) == text(&theirs.overrides), &ours.overrides, &theirs.overrides);
    let keys = ours.metadata.keys().chain(theirs.metadata.keys()).filter(|key| *key != RUN_METADATA);
    if let Some(key) = keys.into_iter().find(|key| ours.metadata.get(*key) != theirs.metadata.get(*key)) {
        compare("metadata", false, &(key, ours.metadata.get(key)), &(key, theirs.metadata.get(key)));
    }
    found
}

/// The same JSON, where all numbers are doubles.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}

fn same_stack(ours: Option<String>, theirs: Option<String>) -> bool {
    match (ours, theirs) {
        (Some(ours), Some(theirs)) if ours.chars().count() > KEPT_STACK => {
            let end = theirs.char_indices().rev().nth(KEPT_STACK / 2).map_or(0, |(at, _)| at);
            ours.ends_with(&theirs[end..])
        }
        (ours, theirs) => ours == theirs,
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::feedback::wire::{Assessment, Wire};
    use crate::feedback::{ErrorCode, FeedbackError, Source};

    fn record() -> Feedback {
        Feedback {
            assessment_id: Some("a-1".into()),
            name: "score".into(),
            value: Some(json!({"score": 4, "of": [1, 2.5, null]})),
            rationale: Some("so".into()),
            source: Source::llm_judge("openai:/m"),
            metadata: [("run_id".to_owned(), "run-1".to_owned())].into(),
            create_time_ms: 1,
            last_update_time_ms: 2,
            trace_id: Some("tr-1".into()),
            ..Feedback::default()
        }
    }

    fn fields(theirs: &Feedback) -> Vec<&'static str> {
        differences(&record(), theirs).into_iter().map(|difference| difference.field).collect()
    }

    #[test]
    fn what_every_server_changes_is_no_difference() {
        let mut theirs = record();
        theirs.value = Some(json!({"of": [1.0, 2.5, null], "score": 4.0}));
        theirs.metadata.insert(RUN_METADATA.to_owned(), "r".to_owned());
        theirs.valid = Some(true);
        theirs.span_id = Some(String::new());
        assert_eq!(fields(&theirs), [""; 0]);
        // Through the wire form and back.
        let wire = serde_json::to_string(&Wire(&record())).unwrap();
        let Assessment::Feedback(back) = serde_json::from_str(&wire).unwrap() else { panic!("no feedback") };
        assert_eq!(fields(&back), [""; 0]);
    }

    #[test]
    fn each_field_that_differs_is_named() {
        let mut theirs = record();
        theirs.value = Some(json!({"score": 5, "of": []}));
        theirs.rationale = None;
        theirs.source = Source { source_type: crate::feedback::SourceType::Unspecified, source_id: None };
        theirs.metadata.clear();
        theirs.last_update_time_ms = 3;
        let expected = ["source_type", "source_id", "value", "rationale", "last_update_time", "metadata"];
        assert_eq!(fields(&theirs), expected);
        let error = FeedbackError { error_code: ErrorCode::Timeout.into(), error_message: None, stack_trace: None };
        assert_eq!(fields(&Feedback { value: None, error: Some(error), ..record() }), ["value", "error_code"]);
    }

    #[test]
    fn a_long_stack_trace_is_equal_by_its_end() {
        let long = "x".repeat(KEPT_STACK) + &"y".repeat(KEPT_STACK);
        let cut = format!("[Stack trace is truncated]\n...\n{}", &long[KEPT_STACK..]);
        assert!(same_stack(Some(long.clone()), Some(cut)));
        assert!(!same_stack(Some(long), Some("z".repeat(KEPT_STACK))));
        assert!(!same_stack(Some("a".into()), None) && same_stack(None, None));
    }
}
