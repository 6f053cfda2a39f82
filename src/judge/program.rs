//! `[command]`: a program that judges, and what it is sent about a trace.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::subject::Subject;
use super::verdict::Verdict;

/// `[command]` of a judge file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandTable {
    /// The program and its arguments; no shell reads them.
    pub run: Vec<String>,
    /// Environment variables that it may see, in addition to the harmless ones.
    #[serde(default)]
    pub env: Vec<String>,
    /// How many of it run at once.
    #[serde(default = "one")]
    pub processes: NonZeroUsize,
    /// Seconds that one answer may take.
    #[serde(default = "a_minute")]
    pub timeout: f64,
}

fn one() -> NonZeroUsize {
    NonZeroUsize::MIN
}

fn a_minute() -> f64 {
    60.0
}

impl CommandTable {
    /// Whether it makes sense.
    ///
    /// # Errors
    /// Which key does not.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.run.first().is_none_or(|program| program.trim().is_empty()) {
            return Err(
                "`run` is empty: write the program and its arguments, such as run = [\"python3\", \"judge.py\"]"
                    .to_owned(),
            );
        }
        if !(self.timeout > 0.0 && self.timeout <= 86_400.0) {
            return Err("`timeout` must be above 0 and at most 86400 seconds".to_owned());
        }
        if self.run.iter().any(|part| part.contains('\0')) {
            return Err("`run` contains a NUL character, which no argument can".to_owned());
        }
        if let Some(name) = self.env.iter().find(|name| name.is_empty() || name.contains(['=', '\0'])) {
            let name = name.split(['=', '\0']).next().unwrap_or_default();
            return Err(format!(
                "`env` has names of variables only, not values: write \"{name}\", and set it in the environment"
            ));
        }
        Ok(())
    }

    /// All of it that may change a verdict.
    pub(super) fn identity(&self) -> String {
        Value::from(self.run.clone()).to_string()
    }
}

/// A program's input: the members of its line after the id, as JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramRequest {
    /// `"judge":...,"trace":{...}}`
    members: String,
}

#[derive(Serialize)]
struct Members<'a> {
    judge: &'a str,
    version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<&'a crate::trace::Trace>,
    #[serde(skip_serializing_if = "Option::is_none")]
    span: Option<&'a crate::trace::Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<&'a crate::trace::Session>,
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<Told<'a>>,
}

/// A document of the span, from 0, and what it is.
#[derive(Serialize)]
struct Told<'a> {
    index: usize,
    count: usize,
    title: Option<&'a str>,
    uri: Option<&'a str>,
    text: &'a str,
}

impl ProgramRequest {
    /// About this subject. The feedback that a trace already has is not in it.
    pub(super) fn new(judge: &str, version: u32, subject: Subject<'_>) -> Result<Self, serde_json::Error> {
        let (trace, span, session) = match subject {
            Subject::Trace(_) | Subject::Pair(_) => (Some(subject.trace()), None, None),
            Subject::Span { trace, span } | Subject::Document { trace, span, .. } => (Some(trace), Some(span), None),
            Subject::Session(session) => (None, None, Some(session)),
        };
        let document = match subject {
            Subject::Document { documents, index, .. } => documents.get(index).map(|document| Told {
                index,
                count: documents.len(),
                title: document.title.as_deref(),
                uri: document.uri.as_deref(),
                text: &document.text,
            }),
            _ => None,
        };
        let object = serde_json::to_string(&Members { judge, version, trace, span, session, document })?;
        Ok(Self { members: object.trim_start_matches('{').to_owned() })
    }

    /// The members after the id.
    pub fn members(&self) -> &str {
        &self.members
    }
}

/// What a program says about one judgment, or why it says nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum ProgramAnswer {
    /// A value, not yet checked, and its reasons.
    Verdict(Verdict),
    /// It reports a failure, with its own message.
    Failure(String),
}

/// A line of a program.
#[derive(Deserialize)]
struct Line {
    #[serde(default, deserialize_with = "present")]
    value: Option<Value>,
    #[serde(default)]
    rationale: Option<String>,
    #[serde(default)]
    error: Option<ErrorOfProgram>,
}

/// An explicit `null` is a value, too.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ErrorOfProgram {
    Text(String),
    Object { error_code: Option<String>, error_message: Option<String> },
}

impl ProgramAnswer {
    /// Reads a line that is known to be about the judgment.
    ///
    /// # Errors
    /// What it lacks.
    pub fn read(line: &str) -> Result<Self, String> {
        let Line { value, rationale, error } = serde_json::from_str(line).map_err(|error| error.to_string())?;
        match (error, value) {
            (Some(ErrorOfProgram::Text(text)), _) => Ok(Self::Failure(text)),
            (Some(ErrorOfProgram::Object { error_code, error_message }), _) => {
                let words: Vec<_> = [error_code, error_message].into_iter().flatten().collect();
                Ok(Self::Failure(words.join(": ")))
            }
            (None, Some(value)) => Ok(Self::Verdict(Verdict { value, rationale, details: Vec::new() })),
            (None, None) => Err("it has neither `value` nor `error`".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{Span, Trace};
    use serde_json::json;

    #[test]
    fn a_program_is_told_all_but_the_feedback_that_is_there() {
        let trace = Trace {
            trace_id: "t".into(),
            outputs: Some(json!("line\nbreak")),
            assessments: vec![crate::feedback::Feedback::default()],
            ..Trace::default()
        };
        let span = Span { span_id: "s".into(), ..Span::default() };
        let told = |subject| {
            let request = ProgramRequest::new("j", 2, subject).unwrap();
            assert!(!request.members().contains('\n'));
            serde_json::from_str::<Value>(&format!("{{\"id\":\"a\",{}", request.members())).unwrap()
        };
        let of_trace = told((&trace).into());
        assert_eq!((&of_trace["judge"], &of_trace["version"]), (&json!("j"), &json!(2)));
        assert_eq!(of_trace["trace"]["outputs"], "line\nbreak");
        assert!(of_trace["trace"].get("assessments").is_none() && of_trace.get("span").is_none());
        assert_eq!(told(Subject::Span { trace: &trace, span: &span })["span"]["span_id"], "s");
    }

    #[test]
    fn an_answer_has_a_value_or_an_error() {
        let verdict = |value: Value, rationale: Option<&str>| {
            Ok(ProgramAnswer::Verdict(Verdict { value, rationale: rationale.map(Into::into), details: Vec::new() }))
        };
        let failure = |words: &str| Ok(ProgramAnswer::Failure(words.into()));
        for (line, expected) in [
            (r#"{"id":"a","value":true,"rationale":"so","metadata":{"x":"y"}}"#, verdict(json!(true), Some("so"))),
            (r#"{"value":null}"#, verdict(Value::Null, None)),
            (r#"{"error":"no GPU"}"#, failure("no GPU")),
            (r#"{"value":1,"error":{"error_code":"E","error_message":"no GPU"}}"#, failure("E: no GPU")),
        ] {
            assert_eq!(ProgramAnswer::read(line), expected, "{line}");
        }
        for line in ["{}", r#"{"rationale":"so"}"#, r#"{"value":1,"rationale":2}"#, "[]"] {
            assert!(ProgramAnswer::read(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_table_that_makes_no_sense_is_refused() {
        let check = |text: &str| toml::from_str::<CommandTable>(text).unwrap().check();
        assert_eq!(check("run = [\"x\"]"), Ok(()));
        assert!(check("run = []").is_err() && check("run = [\" \"]").is_err());
        assert!(check("run = [\"x\\u0000\"]").is_err() && check("run = [\"x\"]\nenv = [\"KEY=secret\"]").is_err());
        assert!(check("run = [\"x\"]\ntimeout = 0").is_err() && check("run = [\"x\"]\ntimeout = 1e9").is_err());
    }
}
