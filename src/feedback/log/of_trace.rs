//! The history of one trace: who said what about it, and what replaced it.

use std::fs::File;
use std::path::Path;

use serde::Serialize;

use super::OpenError;
use super::file::refuse_what_is_no_file;
use super::lines::for_each_raw_line;
use crate::feedback::Feedback;
use crate::feedback::history::{Facts, History, Line, Role};

/// A record about a trace, and its fate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TraceRecord {
    /// What became of it.
    pub state: State,
    /// The id of the record that superseded it, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<String>,
    /// The record as it stands in the log.
    pub record: Feedback,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// A verdict that holds.
    Holds,
    /// A failure that is not superseded.
    Failed,
    /// A later verdict of the same source superseded it.
    Superseded,
    /// Someone else's verdict replaced it.
    Overridden,
    /// A person rejected it.
    Rejected,
    /// Someone took it back.
    Deleted,
    /// It marks an earlier record as rejected.
    Mark,
    /// A later line with the same id applies.
    Updated,
}

impl State {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Failed => "failed",
            Self::Superseded => "superseded",
            Self::Overridden => "overridden",
            Self::Rejected => "rejected",
            Self::Deleted => "deleted",
            Self::Mark => "mark",
            Self::Updated => "updated",
        }
    }
}

/// All records of a log about the traces whose ids begin with `trace_id`, in the log's order. Read without a lock, even while a run writes.
///
/// # Errors
/// When the log cannot be read.
pub fn of_trace(path: &Path, trace_id: &str) -> Result<Vec<TraceRecord>, OpenError> {
    let io_error = |source| OpenError::Io { path: path.to_owned(), source };
    if path.is_dir() {
        return Err(OpenError::Directory { path: path.to_owned() });
    }
    refuse_what_is_no_file(path)?;
    let file = File::open(path).map_err(io_error)?;
    let finder = memchr::memmem::Finder::new(trace_id.as_bytes());
    let mut records: Vec<Feedback> = Vec::new();
    let mut history = History::default();
    for_each_raw_line(&file, |_, line| {
        // If letters are escaped, an id may be there and not be found.
        if finder.find(line).is_none() && !line.contains(&b'\\') {
            return Ok(());
        }
        let found = std::str::from_utf8(line).ok().and_then(|text| Feedback::from_json(text).ok());
        let Some(feedback) = found.filter(|found| found.trace_id.as_deref().is_some_and(|id| id.starts_with(trace_id)))
        else {
            return Ok(());
        };
        history.add(&Facts::of(&feedback), records.len() as u64, records.len());
        records.push(feedback);
        Ok(())
    })
    .map_err(io_error)?;
    let lines = history.settle().into_lines();
    let found = lines.iter().map(|line| {
        let record = records[line.extra].clone();
        let state = state(line, &record);
        TraceRecord { state, replaced_by: replaced_by(line, state, &lines, &records), record }
    });
    Ok(found.collect())
}

fn state(line: &Line<usize>, record: &Feedback) -> State {
    let step = &line.step;
    match step.role {
        Role::Repeated => State::Updated,
        Role::Mark => State::Mark,
        Role::Verdict | Role::Failure if step.is_superseded => State::Superseded,
        Role::Verdict | Role::Failure if step.is_overruled => State::Overridden,
        Role::Verdict if record.is_deleted() => State::Deleted,
        Role::Verdict if step.is_marked => State::Rejected,
        Role::Verdict => State::Holds,
        Role::Failure => State::Failed,
    }
}

fn replaced_by(line: &Line<usize>, state: State, lines: &[Line<usize>], records: &[Feedback]) -> Option<String> {
    let record = &records[line.extra];
    let id = record.assessment_id.as_deref();
    let names_it = |other: &&Line<usize>| {
        let other_record = &records[other.extra];
        id.is_some() && other_record.overrides.as_deref() == id && other.extra != line.extra && other.step.is_live()
    };
    let later = |other: &&Line<usize>| {
        let other_record = &records[other.extra];
        let is_same = other_record.name == record.name
            && other_record.source == record.source
            && other_record.span_id == record.span_id
            && other_record.document_index() == record.document_index()
            && other_record.trace_id == record.trace_id;
        is_same && other.step.is_live() && other.step.place > line.step.place
    };
    let by = match state {
        State::Superseded => lines.iter().rev().find(names_it).or_else(|| lines.iter().find(later)),
        State::Overridden => lines.iter().rev().find(names_it),
        _ => None,
    };
    by.and_then(|line| records[line.extra].assessment_id.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: u8, source: &str, more: &str) -> String {
        format!(
            r#"{{"assessment_id":"a-{id:032x}","name":"j","source":{{"source_type":"{source}","source_id":"m"}},"create_time_ms":{id},"trace_id":"t1",{more}}}"#
        ) + "\n"
    }

    #[test]
    fn every_record_says_what_became_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.jsonl");
        let id = |id: u8| format!("a-{id:032x}");
        let log = [
            line(1, "LLM_JUDGE", r#""error":{"error_code":"TIMEOUT"}"#),
            line(2, "LLM_JUDGE", r#""value":true"#),
            line(3, "HUMAN", &format!(r#""value":false,"overrides":"{}""#, id(2))),
            line(4, "HUMAN", &format!(r#""value":true,"overrides":"{}""#, id(3))),
            line(5, "CODE", r#""value":1"#),
            line(5, "CODE", r#""value":1,"valid":false,"metadata":{"deleted_by":"x"}"#),
            line(6, "LLM_JUDGE", r#""value":1"#).replace("t1", "other"),
            line(7, "HUMAN", r#""value":1"#).replace("t1", "\\u00741").replace("\"j\"", "\"k\""),
            "torn".to_owned(),
        ];
        std::fs::write(&path, log.concat()).unwrap();
        let found = of_trace(&path, "t1").unwrap();
        let states: Vec<_> = found.iter().map(|found| (found.state, found.replaced_by.clone())).collect();
        let expected = [
            (State::Superseded, Some(id(2))),
            (State::Overridden, Some(id(3))),
            (State::Superseded, Some(id(4))),
            (State::Holds, None),
            (State::Updated, None),
            (State::Deleted, None),
            (State::Holds, None),
        ];
        assert_eq!(states, expected);
        assert!(of_trace(&path, "nothing").unwrap().is_empty());
        assert!(of_trace(folder.path(), "t1").is_err());
    }
}
