//! One batch, from its validation to its end.

use std::collections::HashSet;

use axum::body::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::faults::BatchFaults;

/// Polls that a batch is open for.
const POLLS: u32 = 3;
/// The most lines of a batch.
const MAX_LINES: usize = 50_000;

/// What is submitted. Source: OpenAI's OpenAPI document, `createBatch`.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    pub(super) input_file_id: String,
    endpoint: String,
    completion_window: String,
    #[serde(default)]
    metadata: Option<Map<String, Value>>,
}

/// A line of the input.
#[derive(Debug, Deserialize)]
pub(super) struct Line<'a> {
    pub(super) custom_id: String,
    method: String,
    url: String,
    #[serde(borrow)]
    pub(super) body: &'a RawValue,
}

/// What is wrong with a line.
#[derive(Debug)]
struct LineError {
    code: &'static str,
    message: String,
    line: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    Cancelling,
    Ended(&'static str),
}

#[derive(Debug)]
pub(super) struct Job {
    number: usize,
    wanted: Wanted,
    pub(super) input: Bytes,
    lines: usize,
    errors: Vec<LineError>,
    stage: Stage,
    polls: u32,
    output_file_id: Option<String>,
    error_file_id: Option<String>,
}

impl Job {
    pub(super) fn new(number: usize, wanted: Wanted, input: Bytes, faults: &BatchFaults, is_full: bool) -> Self {
        let mut errors = check(&wanted, &input);
        let lines = lines(&input).count();
        if is_full || faults.room.is_some_and(|room| lines > room) {
            let message = "Enqueued token limit reached for this organization. Please try again once some in_progress batches have been completed.".to_owned();
            errors = vec![LineError { code: "token_limit_exceeded", message, line: None }];
        } else if faults.invalid && number == 0 {
            let message = "This line is not parseable as valid JSON.".to_owned();
            errors.push(LineError { code: "invalid_json_line", message, line: Some(1) });
        }
        Self {
            number,
            wanted,
            input,
            lines,
            errors,
            stage: Stage::Open,
            polls: 0,
            output_file_id: None,
            error_file_id: None,
        }
    }

    pub(super) fn id(&self) -> String {
        format!("batch_{}", self.number + 1)
    }

    pub(super) fn is_open(&self) -> bool {
        !self.is_refused() && !matches!(self.stage, Stage::Ended(_))
    }

    /// Whether it fails its validation.
    pub(super) fn is_refused(&self) -> bool {
        !self.errors.is_empty()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = String> {
        lines(&self.input).filter_map(|line| serde_json::from_slice::<Line<'_>>(line).ok()).map(|line| line.custom_id)
    }

    pub(super) fn cancel(&mut self) {
        if self.stage == Stage::Open {
            self.stage = Stage::Cancelling;
        }
    }

    /// Whether it was cancelled before it was done.
    pub(super) fn is_cancelled(&self) -> bool {
        matches!(self.stage, Stage::Ended("cancelled"))
    }

    /// Advances one step; returns whether it has now ended, with answers to be made.
    pub(super) fn step(&mut self, faults: &BatchFaults) -> bool {
        self.polls += 1;
        let needed = if faults.slow { 10 * POLLS } else { POLLS };
        let end = match self.stage {
            Stage::Ended(_) => return false,
            _ if self.is_refused() => "failed",
            Stage::Cancelling => "cancelled",
            Stage::Open if self.polls < needed => return false,
            Stage::Open if faults.expired > 0 => "expired",
            Stage::Open => "completed",
        };
        self.stage = Stage::Ended(end);
        end != "failed"
    }

    pub(super) fn set_file(&mut self, which: &str, id: String) {
        let file = if which == "output" { &mut self.output_file_id } else { &mut self.error_file_id };
        *file = Some(id);
    }

    /// As OpenAI's `Batch`.
    pub(super) fn described(&self, faults: &BatchFaults) -> Value {
        let status = match self.stage {
            Stage::Ended(end) => end,
            Stage::Cancelling => "cancelling",
            Stage::Open if self.polls == 0 => "validating",
            Stage::Open => "in_progress",
        };
        let status = if faults.upper { status.to_uppercase() } else { status.to_owned() };
        let shows_errors = matches!(self.stage, Stage::Ended("failed"));
        let error = |error: &LineError| json!({"code": error.code, "message": error.message, "line": error.line, "param": null});
        let errors =
            shows_errors.then(|| json!({"object": "list", "data": self.errors.iter().map(error).collect::<Vec<_>>()}));
        let done = if matches!(self.stage, Stage::Ended(_)) { self.lines } else { 0 };
        json!({
            "id": self.id(), "object": "batch", "endpoint": self.wanted.endpoint, "errors": errors,
            "input_file_id": self.wanted.input_file_id, "completion_window": self.wanted.completion_window, "status": status,
            "output_file_id": self.output_file_id, "error_file_id": self.error_file_id, "created_at": 0,
            "request_counts": {"total": self.lines, "completed": done, "failed": 0}, "metadata": self.wanted.metadata,
        })
    }
}

/// The lines of the input, as bytes.
pub(super) fn lines(input: &[u8]) -> impl Iterator<Item = &[u8]> {
    input.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty())
}

fn check(wanted: &Wanted, input: &[u8]) -> Vec<LineError> {
    let mut errors = Vec::new();
    let mut wrong = |code, message: &str, line| errors.push(LineError { code, message: message.to_owned(), line });
    let mut met = HashSet::new();
    for (i, line) in lines(input).enumerate() {
        let line_number = Some(i + 1);
        match serde_json::from_slice::<Line<'_>>(line) {
            Err(_) => wrong("invalid_json_line", "This line is not parseable as valid JSON.", line_number),
            Ok(line) if line.url != wanted.endpoint => {
                wrong("mismatched_url", "The URL of this line is not the endpoint of the batch.", line_number);
            }
            Ok(line) if line.method != "POST" => wrong("invalid_method", "Invalid method.", line_number),
            Ok(line) if !met.insert(line.custom_id.clone()) => {
                wrong(
                    "duplicate_custom_id",
                    "The custom_id for this request is a duplicate of another request.",
                    line_number,
                );
            }
            Ok(_) => {}
        }
    }
    if met.is_empty() {
        wrong("empty_file", "The input file is empty.", None);
    }
    if lines(input).nth(MAX_LINES).is_some() {
        wrong("too_many_requests", "The batch has more than 50000 requests.", None);
    }
    errors
}
