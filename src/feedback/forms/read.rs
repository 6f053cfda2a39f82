//! Reads feedback from a file of any form.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};

use serde_json::value::RawValue;

use super::error::{ConvertError, Place};
use super::table::Text;
use super::{Form, csv, wide};
use crate::feedback::Feedback;

const BUFFER_BYTES: usize = 1 << 16;

/// Called with each record, or with the reason why a line is not one.
pub(super) type Take<'a, T> = dyn FnMut(Place, Result<T, String>) -> Result<(), ConvertError> + 'a;

/// What is read from.
pub struct Input(pub(super) Source);

pub(super) enum Source {
    /// JSON lines that can be read more than once.
    Log(File),
    Lines(Box<dyn BufRead>),
    Csv(::csv::Reader<Box<dyn BufRead>>, Box<csv::Columns>),
    Wide(::csv::Reader<Box<dyn BufRead>>, wide::Columns),
}

impl Input {
    /// From a file; a regular one may be read twice, and is not held in memory.
    ///
    /// # Errors
    /// When it cannot be read, or is a table whose header is not that of feedback.
    pub fn of_file(mut file: File, form: Option<Form>) -> Result<Self, ConvertError> {
        if !file.metadata().map_err(ConvertError::Read)?.is_file() {
            return Self::of_reader(Box::new(file), form);
        }
        let clone = file.try_clone().map_err(ConvertError::Read)?;
        let text = Text::open(Box::new(clone)).map_err(ConvertError::Read)?;
        let is_utf8 = text.is_utf8;
        match Self::of_text(text, form)? {
            Self(Source::Lines(_)) if is_utf8 => {
                file.rewind().map_err(ConvertError::Read)?;
                Ok(Self(Source::Log(file)))
            }
            other => Ok(other),
        }
    }

    /// From any reader. JSON lines are either form, the flat one and MLflow's, whatever `form` says; without `form`, the first character distinguishes them from a
    /// table, and the header one table from the other.
    ///
    /// # Errors
    /// As [`Input::of_file`].
    pub fn of_reader(reader: Box<dyn Read>, form: Option<Form>) -> Result<Self, ConvertError> {
        Self::of_text(Text::open(reader).map_err(ConvertError::Read)?, form)
    }

    fn of_text(text: Text, form: Option<Form>) -> Result<Self, ConvertError> {
        let first = text.first_line().trim_ascii_start().first();
        // An empty input is a log without records.
        let is_table = form.map_or(!matches!(first, None | Some(b'{' | b'[')), Form::is_table);
        if !is_table || first.is_none() {
            return Ok(Self(Source::Lines(text.reader)));
        }
        let (reader, header) = text.table()?;
        let is_wide = form.map_or(!csv::is_header(&header), |form| form == Form::CsvWide);
        Ok(Self(match is_wide {
            false => Source::Csv(reader, csv::Columns::of(&header).map_err(ConvertError::Header)?.into()),
            true => Source::Wide(reader, wide::Columns::of(&header).map_err(ConvertError::Header)?),
        }))
    }

    /// What no record of a table has, because the column is missing.
    pub(super) fn lacking(&self) -> Vec<&'static str> {
        match &self.0 {
            Source::Log(_) | Source::Lines(_) => Vec::new(),
            Source::Csv(_, columns) => columns.lacking(),
            Source::Wide(_, columns) => columns.lacking(),
        }
    }

    /// Calls `take` with each record, or with the reason why a line is not one. A row of a wide table has several.
    pub(super) fn for_each(self, take: &mut Take<'_, Feedback>) -> Result<(), ConvertError> {
        match self.0 {
            Source::Log(mut file) => {
                file.rewind().map_err(ConvertError::Read)?;
                for_each_line(BufReader::with_capacity(BUFFER_BYTES, file), take)
            }
            Source::Lines(reader) => for_each_line(reader, take),
            Source::Csv(reader, columns) => {
                csv::for_each_row(reader, |place, row| take(place, row.and_then(|row| columns.feedback(row))))
            }
            Source::Wide(reader, columns) => {
                csv::for_each_row(reader, |place, row| match row.and_then(|row| columns.feedbacks(row)) {
                    Ok(feedbacks) => feedbacks.into_iter().try_for_each(|feedback| take(place, Ok(feedback))),
                    Err(reason) => take(place, Err(reason)),
                })
            }
        }
    }
}

fn for_each_line(mut reader: impl BufRead, take: &mut Take<'_, Feedback>) -> Result<(), ConvertError> {
    let mut place = Place::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        let length = reader.read_until(b'\n', &mut line).map_err(ConvertError::Read)? as u64;
        if length == 0 {
            return Ok(());
        }
        place.line += 1;
        let bytes = if place.line == 1 { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line) } else { &line };
        if !bytes.trim_ascii().is_empty() {
            let record = record(bytes);
            place.has_more = record.is_ok() && has_more(bytes);
            take(place, record)?;
        }
        place.offset += length;
    }
}

fn record(line: &[u8]) -> Result<Feedback, String> {
    let text = std::str::from_utf8(line).map_err(|error| error.to_string())?;
    // The message follows the number of the line.
    Feedback::from_json(text).map_err(|error| error.to_string().replace(" at line 1 column ", " at column "))
}

/// The fields of both forms of feedback, and of what may be around it.
const FIELDS: [&str; 18] = [
    "assessment",
    "assessment_id",
    "assessment_name",
    "create_time",
    "create_time_ms",
    "error",
    "feedback",
    "last_update_time",
    "last_update_time_ms",
    "metadata",
    "name",
    "overrides",
    "rationale",
    "source",
    "span_id",
    "trace_id",
    "valid",
    "value",
];

/// Whether a record has fields that are not read.
fn has_more(line: &[u8]) -> bool {
    let Ok(fields) = serde_json::from_slice::<HashMap<String, &RawValue>>(line) else { return false };
    let inner = fields.get("assessment").is_some_and(|inner| has_more(inner.get().as_bytes()));
    inner || fields.keys().any(|field| !FIELDS.contains(&field.as_str()))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn a_mark_is_no_content_before_the_first_record_alone() {
        let record = r#"{"name": "j", "value": 1, "source": {"source_type": "HUMAN", "source_id": "kim"}, "create_time_ms": 1, "last_update_time_ms": 1, "trace_id": "t"}"#;
        let text = format!("\u{feff}{record}\n{record}\n\u{feff}{record}\n");
        let input = Input::of_reader(Box::new(Cursor::new(text)), Some(Form::Jsonl)).unwrap();
        let mut read = Vec::new();
        let mut take = |_, record: Result<Feedback, String>| {
            read.push(record.is_ok());
            Ok(())
        };
        input.for_each(&mut take).unwrap();
        assert_eq!(read, [true, true, false]);
    }
}
