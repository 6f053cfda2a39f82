//! Feedback as a table: one row a record, for spreadsheets and data frames.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use serde_json::Value;

use super::log::OpinionKey;
use super::{AssessmentId, Feedback};

const COLUMNS: [&str; 15] = [
    "trace_id",
    "span_id",
    "name",
    "value",
    "rationale",
    "error_code",
    "error_message",
    "source_type",
    "source_id",
    "metadata",
    "create_time_ms",
    "last_update_time_ms",
    "assessment_id",
    "overrides",
    "valid",
];

/// Writes the state of a log as CSV: the last record of each id, `valid` false for opinions that a later one overrides, and no errors
/// that a later record of the same opinion supersedes.
///
/// The file is replaced as a whole or not at all. Text that a spreadsheet would take for a formula gets a `'` before it.
///
/// # Errors
/// When the log cannot be read or the table cannot be written.
pub fn export(log: &Path, table: &Path) -> io::Result<()> {
    let mut last = Last::default();
    for_each_record(log, |line, feedback| {
        last.add(line, &feedback);
        Ok(())
    })?;
    let mut temporary = table.as_os_str().to_owned();
    temporary.push(".writing");
    let written = write(log, &last, temporary.as_ref()).and_then(|()| std::fs::rename(&temporary, table));
    if written.is_err() {
        // Half a table is of no use, and the log has everything.
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

fn write(log: &Path, last: &Last, table: &Path) -> io::Result<()> {
    let mut writer = csv::Writer::from_path(table)?;
    writer.write_record(COLUMNS)?;
    for_each_record(log, |line, feedback| {
        if last.is_superseded(line, &feedback) {
            return Ok(());
        }
        let valid = feedback.valid.unwrap_or(true) && !last.is_overridden(line, &feedback);
        Ok(writer.write_record(row(&feedback, valid))?)
    })?;
    writer.into_inner().map_err(|error| io::Error::other(error.to_string()))?.sync_all()
}

/// The last lines of a log that matter to what stands before them.
#[derive(Default)]
struct Last {
    of_id: HashMap<AssessmentId, u64>,
    of_opinion: HashMap<OpinionKey, u64>,
    overriding: HashMap<AssessmentId, u64>,
}

impl Last {
    fn add(&mut self, line: u64, feedback: &Feedback) {
        if let Some(id) = &feedback.assessment_id {
            self.of_id.insert(AssessmentId::of_any(id), line);
        }
        if let Some(id) = &feedback.overrides {
            self.overriding.insert(AssessmentId::of_any(id), line);
        }
        if let Some(opinion) = opinion(feedback) {
            self.of_opinion.insert(opinion, line);
        }
    }

    /// A later record is the same one's update, or what came of a judgment that failed.
    fn is_superseded(&self, line: u64, feedback: &Feedback) -> bool {
        let updated = feedback.assessment_id.as_ref().and_then(|id| self.of_id.get(&AssessmentId::of_any(id)));
        let judged = opinion(feedback).filter(|_| feedback.is_error()).and_then(|key| self.of_opinion.get(&key));
        updated.max(judged).is_some_and(|later| *later > line)
    }

    fn is_overridden(&self, line: u64, feedback: &Feedback) -> bool {
        let id = feedback.assessment_id.as_ref();
        id.and_then(|id| self.overriding.get(&AssessmentId::of_any(id))).is_some_and(|later| *later > line)
    }
}

/// Whose opinion about what; `None` when it is not said about what.
fn opinion(feedback: &Feedback) -> Option<OpinionKey> {
    let trace_id = feedback.trace_id.as_deref()?;
    Some(OpinionKey::new(Some(trace_id), feedback.span_id.as_deref(), &feedback.name, &feedback.source))
}

fn for_each_record(log: &Path, mut take: impl FnMut(u64, Feedback) -> io::Result<()>) -> io::Result<()> {
    for (number, line) in (0..).zip(BufReader::new(File::open(log)?).split(b'\n')) {
        let line = line?;
        if let Some(feedback) = std::str::from_utf8(&line).ok().and_then(|text| Feedback::from_json(text).ok()) {
            take(number, feedback)?;
        }
    }
    Ok(())
}

fn row(feedback: &Feedback, valid: bool) -> [String; 15] {
    let text = |text: Option<&str>| harmless(text.unwrap_or_default());
    let error = feedback.error.as_ref();
    let value = match &feedback.value {
        None => String::new(),
        Some(Value::String(label)) => harmless(label),
        Some(other) => other.to_string(),
    };
    let metadata =
        if feedback.metadata.is_empty() { Ok(String::new()) } else { serde_json::to_string(&feedback.metadata) };
    [
        text(feedback.trace_id.as_deref()),
        text(feedback.span_id.as_deref()),
        harmless(&feedback.name),
        value,
        text(feedback.rationale.as_deref()),
        text(error.map(|error| error.error_code.as_str())),
        text(error.and_then(|error| error.error_message.as_deref())),
        feedback.source.source_type.to_string(),
        text(feedback.source.source_id.as_deref()),
        metadata.unwrap_or_default(),
        feedback.create_time_ms.to_string(),
        feedback.last_update_time_ms.to_string(),
        text(feedback.assessment_id.as_deref()),
        text(feedback.overrides.as_deref()),
        valid.to_string(),
    ]
}

/// A cell that no spreadsheet takes for a formula.
///
/// Source: OWASP, "CSV Injection".
fn harmless(text: &str) -> String {
    match text.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r') => format!("'{text}"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(lines: &[&str]) -> Vec<Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        let (log, table) = (folder.path().join("f.jsonl"), folder.path().join("f.csv"));
        std::fs::write(&log, lines.join("\n")).unwrap();
        export(&log, &table).unwrap();
        let mut reader = csv::Reader::from_path(&table).unwrap();
        assert_eq!(reader.headers().unwrap(), &COLUMNS[..]);
        reader.records().map(|row| row.unwrap().iter().map(ToOwned::to_owned).collect()).collect()
    }

    /// The ids that are in the table, and whether they are valid.
    fn standing(lines: &[&str]) -> Vec<(String, String)> {
        table(lines).into_iter().map(|row| (row[12].clone(), row[14].clone())).collect()
    }

    #[test]
    fn the_table_holds_the_state_of_the_log() {
        let rows = table(&[
            r#"{"assessment_id":"a-1","name":"j","error":{"error_code":"TIMEOUT"},"source":{"source_type":"LLM_JUDGE"},"create_time_ms":1,"last_update_time_ms":1,"trace_id":"t"}"#,
            r#"{"assessment_id":"a-1","name":"j","value":-0.5,"rationale":"=1+1, \"x\"\ny","source":{"source_type":"LLM_JUDGE"},"create_time_ms":1,"last_update_time_ms":2,"trace_id":"t"}"#,
            r#"{"assessment_id":"a-2","name":"j","value":1,"source":{"source_type":"HUMAN"},"create_time_ms":3,"last_update_time_ms":3,"trace_id":"t","overrides":"a-1"}"#,
        ]);
        assert_eq!(rows.len(), 2);
        assert_eq!(
            (rows[0][3].as_str(), rows[0][4].as_str(), rows[0][14].as_str()),
            ("-0.5", "'=1+1, \"x\"\ny", "false")
        );
        assert_eq!((rows[1][3].as_str(), rows[1][14].as_str()), ("1", "true"));
    }

    #[test]
    fn only_a_later_record_overrides() {
        let first = r#"{"assessment_id":"a-1","name":"j","value":1,"trace_id":"t"}"#;
        let second = r#"{"assessment_id":"a-2","name":"j","value":2,"trace_id":"t","overrides":"a-1"}"#;
        let first_again = r#"{"assessment_id":"a-1","name":"j","value":1,"trace_id":"t","overrides":"a-2"}"#;
        let pair = |id: &str, valid: &str| (id.to_owned(), valid.to_owned());
        assert_eq!(standing(&[first, second]), [pair("a-1", "false"), pair("a-2", "true")]);
        assert_eq!(standing(&[first, second, first_again]), [pair("a-2", "false"), pair("a-1", "true")]);
    }

    #[test]
    fn an_error_goes_when_its_opinion_has_a_later_record_and_stays_otherwise() {
        let error = |id: &str, trace: &str| {
            format!(
                r#"{{"assessment_id":"{id}","name":"j","error":{{"error_code":"INPUT_ERROR"}},"trace_id":"{trace}"}}"#
            )
        };
        let verdict = r#"{"assessment_id":"a-2","name":"j","value":2,"trace_id":"t"}"#;
        let ids = |lines: &[&str]| standing(lines).into_iter().map(|(id, _)| id).collect::<Vec<_>>();
        assert_eq!(ids(&[&error("a-1", "t"), &error("a-3", "u"), verdict]), ["a-3", "a-2"]);
        assert_eq!(ids(&[verdict, &error("a-1", "t")]), ["a-2", "a-1"]);
    }
}
