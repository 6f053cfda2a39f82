//! Feedback as a table: one row a record, for spreadsheets and data frames.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use serde_json::Value;

use super::Feedback;

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

/// Writes the state of a log as CSV: the last record of each id, `valid` false for opinions that another one overrides.
///
/// The file is replaced as a whole or not at all. Text that a spreadsheet would take for a formula gets a `'` before it.
///
/// # Errors
/// When the log cannot be read or the table cannot be written.
pub fn export(log: &Path, table: &Path) -> io::Result<()> {
    let mut last_line: HashMap<String, usize> = HashMap::new();
    let mut overridden: HashSet<String> = HashSet::new();
    for_each_record(log, |line, feedback| {
        overridden.extend(feedback.overrides);
        if let Some(id) = feedback.assessment_id {
            last_line.insert(id, line);
        }
        Ok(())
    })?;
    let mut temporary = table.as_os_str().to_owned();
    temporary.push(".writing");
    let mut writer = csv::Writer::from_path(&temporary)?;
    writer.write_record(COLUMNS)?;
    for_each_record(log, |line, feedback| {
        let id = feedback.assessment_id.as_deref();
        if id.is_some_and(|id| last_line.get(id) != Some(&line)) {
            return Ok(());
        }
        let valid = feedback.valid.unwrap_or(true) && id.is_none_or(|id| !overridden.contains(id));
        Ok(writer.write_record(row(&feedback, valid))?)
    })?;
    writer.into_inner().map_err(|error| io::Error::other(error.to_string()))?.sync_all()?;
    std::fs::rename(temporary, table)
}

fn for_each_record(log: &Path, mut take: impl FnMut(usize, Feedback) -> io::Result<()>) -> io::Result<()> {
    for (number, line) in BufReader::new(File::open(log)?).split(b'\n').enumerate() {
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

    #[test]
    fn the_table_holds_the_state_of_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let (log, table) = (folder.path().join("f.jsonl"), folder.path().join("f.csv"));
        let lines = [
            r#"{"assessment_id":"a-1","name":"j","error":{"error_code":"TIMEOUT"},"source":{"source_type":"LLM_JUDGE"},"create_time_ms":1,"last_update_time_ms":1,"trace_id":"t"}"#,
            r#"{"assessment_id":"a-1","name":"j","value":-0.5,"rationale":"=1+1, \"x\"\ny","source":{"source_type":"LLM_JUDGE"},"create_time_ms":1,"last_update_time_ms":2,"trace_id":"t"}"#,
            r#"{"assessment_id":"a-2","name":"j","value":1,"source":{"source_type":"HUMAN"},"create_time_ms":3,"last_update_time_ms":3,"trace_id":"t","overrides":"a-1"}"#,
        ];
        std::fs::write(&log, lines.join("\n")).unwrap();
        export(&log, &table).unwrap();
        let mut reader = csv::Reader::from_path(&table).unwrap();
        assert_eq!(reader.headers().unwrap(), &COLUMNS[..]);
        let rows: Vec<Vec<String>> =
            reader.records().map(|row| row.unwrap().iter().map(ToOwned::to_owned).collect()).collect();
        assert_eq!(rows.len(), 2);
        assert_eq!(
            (rows[0][3].as_str(), rows[0][4].as_str(), rows[0][14].as_str()),
            ("-0.5", "'=1+1, \"x\"\ny", "false")
        );
        assert_eq!((rows[1][3].as_str(), rows[1][14].as_str()), ("1", "true"));
    }
}
