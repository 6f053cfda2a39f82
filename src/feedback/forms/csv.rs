//! Feedback as a table: one row per record, for spreadsheets and data frames.

use std::collections::BTreeMap;
use std::io::BufRead;

use ::csv::{ByteRecord, ErrorKind, Reader, StringRecord};
use serde_json::Value;

use super::cell::{cell, text, value, value_text};
use super::error::{ConvertError, Place};
use super::table_options::INCLUDED;
use crate::feedback::fields::string_map;
use crate::feedback::{Feedback, FeedbackError, Source, SourceType};

const WIDTH: usize = 19;

pub(super) const COLUMNS: [&str; WIDTH] = [
    "trace_id",
    "span_id",
    "name",
    "value",
    "value_type",
    "score",
    "passed",
    "rationale",
    "error_code",
    "error_message",
    "stack_trace",
    "source_type",
    "source_id",
    "metadata",
    "create_time_ms",
    "last_update_time_ms",
    "assessment_id",
    "overrides",
    "valid",
];

/// A record as a row. Values are JSON, but strings are without quotes where they could be nothing else; metadata is a JSON object. `value_type`,
/// `score` and `passed` follow from others, and are not read back.
pub(super) fn row(feedback: &Feedback) -> [String; WIDTH] {
    let error = feedback.error.as_ref();
    let metadata =
        if feedback.metadata.is_empty() { Ok(String::new()) } else { serde_json::to_string(&feedback.metadata) };
    [
        cell(feedback.trace_id.as_deref()),
        cell(feedback.span_id.as_deref()),
        cell(Some(&feedback.name)),
        cell(feedback.value.as_ref().map(value_text).as_deref()),
        feedback.value.as_ref().map(type_of).unwrap_or_default().to_owned(),
        feedback.value.as_ref().and_then(score).unwrap_or_default(),
        feedback.is_good().map(|is_good| is_good.to_string()).unwrap_or_default(),
        cell(feedback.rationale.as_deref()),
        cell(error.map(|error| error.error_code.as_str())),
        cell(error.and_then(|error| error.error_message.as_deref())),
        cell(error.and_then(|error| error.stack_trace.as_deref())),
        feedback.source.source_type.to_string(),
        cell(feedback.source.source_id.as_deref()),
        metadata.unwrap_or_default(),
        feedback.create_time_ms.to_string(),
        feedback.last_update_time_ms.to_string(),
        cell(feedback.assessment_id.as_deref()),
        cell(feedback.overrides.as_deref()),
        feedback.valid.unwrap_or(true).to_string(),
    ]
}

/// The type of a value, as JSON Schema names it.
fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The value to average: a number, or 1 and 0 for true and false.
fn score(value: &Value) -> Option<String> {
    match value {
        Value::Bool(value) => Some(u8::from(*value).to_string()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Whether a header is that of a table of either kind.
pub(super) fn is_known(header: &StringRecord) -> bool {
    header.len() > 1 && header.iter().any(|title| title == "name" || title == "trace_id")
}

/// Whether a header is this table's: a wide one has no column `name`.
pub(super) fn is_header(header: &StringRecord) -> bool {
    header.iter().any(|title| title == "name")
}

/// Where the columns are, in any order.
pub(super) struct Columns {
    places: [Option<usize>; WIDTH],
    width: usize,
}

impl Columns {
    /// # Errors
    /// When the name's column is missing, or a column is repeated or unknown: its content would be lost.
    pub(super) fn of(header: &StringRecord) -> Result<Self, String> {
        let mut places = [None; WIDTH];
        for (i, title) in header.iter().enumerate() {
            if INCLUDED.contains(&title) {
                continue;
            }
            let Some(column) = COLUMNS.iter().position(|column| *column == title) else {
                return Err(format!("unknown column `{title}`; known: {}", COLUMNS.join(", ")));
            };
            if places[column].replace(i).is_some() {
                return Err(format!("two columns `{title}`"));
            }
        }
        if !is_header(header) {
            return Err("no column `name`".to_owned());
        }
        Ok(Self { places, width: header.len() })
    }

    /// What no record has.
    pub(super) fn lacking(&self) -> Vec<&'static str> {
        let what = [("assessment_id", "ids"), ("create_time_ms", "times"), ("source_type", "sources")];
        let has =
            |name: &str| COLUMNS.iter().zip(self.places).any(|(column, place)| *column == name && place.is_some());
        what.iter().filter(|(column, _)| !has(column)).map(|(_, what)| *what).collect()
    }

    /// The record of a row.
    pub(super) fn feedback(&self, row: &StringRecord) -> Result<Feedback, String> {
        check_width(row, self.width)?;
        let of = |name: &str| {
            let place = COLUMNS.iter().position(|column| *column == name).and_then(|column| self.places[column])?;
            text(row.get(place)?)
        };
        let owned = |name: &str| of(name).map(ToOwned::to_owned);
        let time = |name: &str| {
            of(name).map(|text| text.parse().map_err(|_| format!("{name}: invalid number of milliseconds `{text}`")))
        };
        let metadata = match of("metadata") {
            None => BTreeMap::new(),
            Some(text) => string_map(&mut serde_json::Deserializer::from_str(text))
                .map_err(|error| format!("metadata: not a JSON object: {error}"))?,
        };
        // Spreadsheets write `TRUE`.
        let valid = match of("valid").map(str::to_ascii_lowercase).as_deref() {
            None | Some("true") => None,
            Some("false") => Some(false),
            Some(other) => return Err(format!("valid: expected true or false, not `{other}`")),
        };
        let create_time_ms = time("create_time_ms").transpose()?.unwrap_or_default();
        let error = of("error_code").map(|code| FeedbackError {
            error_code: code.into(),
            error_message: owned("error_message"),
            stack_trace: owned("stack_trace"),
        });
        if error.is_none() && of("error_message").or(of("stack_trace")).is_some() {
            return Err("an error_message or a stack_trace without an error_code".to_owned());
        }
        Ok(Feedback {
            assessment_id: owned("assessment_id"),
            name: owned("name").ok_or("no name")?,
            value: of("value").map(value),
            error,
            rationale: owned("rationale"),
            source: Source {
                source_type: of("source_type").map(SourceType::from_name).unwrap_or_default(),
                source_id: owned("source_id"),
            },
            metadata,
            create_time_ms,
            last_update_time_ms: time("last_update_time_ms").transpose()?.unwrap_or(create_time_ms),
            trace_id: owned("trace_id"),
            span_id: owned("span_id"),
            overrides: owned("overrides"),
            valid,
        })
    }
}

pub(super) fn check_width(row: &StringRecord, width: usize) -> Result<(), String> {
    if row.len() == width { Ok(()) } else { Err(format!("{} cells in a table of {width} columns", row.len())) }
}

/// Calls `take` with each row below the header, or with the reason why it is not a record.
pub(super) fn for_each_row(
    mut reader: Reader<Box<dyn BufRead>>,
    mut take: impl FnMut(Place, Result<&StringRecord, String>) -> Result<(), ConvertError>,
) -> Result<(), ConvertError> {
    let mut row = ByteRecord::new();
    while reader.read_byte_record(&mut row).map_err(broken)? {
        let place =
            row.position().map_or(Place::default(), |position| Place { line: position.line(), ..Place::default() });
        let text = StringRecord::from_byte_record(row.clone());
        take(place, text.as_ref().map_err(|_| "not UTF-8; save the table as UTF-8".to_owned()))?;
    }
    Ok(())
}

/// The table reader's error, as one of ours.
pub(super) fn broken(error: ::csv::Error) -> ConvertError {
    let text = error.to_string();
    match error.into_kind() {
        ErrorKind::Io(error) => ConvertError::Read(error),
        _ => ConvertError::Header(text),
    }
}
