//! Writes feedback to a file of any form except the wide table.

use std::io::{self, Write};

use super::cell::{cell, replace_controls};
use super::{ConvertError, Form, TableOptions, csv};
use crate::feedback::Feedback;
use crate::feedback::wire::Wire;

/// What a form has no place for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// In how many records.
    pub records: u64,
    /// What it is.
    pub what: &'static str,
}

/// What replaces characters that would break a table.
pub(super) const CONTROLS: &str = "control characters, replaced by \u{fffd}";

/// Counts what is lost, in the order in which it is first found.
#[derive(Debug, Default)]
pub(super) struct Losses(pub Vec<Lost>);

impl Losses {
    pub(super) fn count(&mut self, what: &'static str) {
        match self.0.iter_mut().find(|lost| lost.what == what) {
            Some(lost) => lost.records += 1,
            None => self.0.push(Lost { records: 1, what }),
        }
    }
}

/// Writes records one by one.
pub(super) enum Writer<'a, 't> {
    Jsonl(&'a mut dyn Write),
    Mlflow(&'a mut dyn Write),
    Csv(Box<::csv::Writer<&'a mut dyn Write>>, &'a mut TableOptions<'t>),
}

impl<'a, 't> Writer<'a, 't> {
    /// `None` for the wide table, whose rows combine several records.
    pub(super) fn new(
        form: Form,
        out: &'a mut dyn Write,
        table: &'a mut TableOptions<'t>,
    ) -> Result<Option<Self>, ConvertError> {
        Ok(Some(match form {
            Form::Jsonl => Self::Jsonl(out),
            Form::Mlflow => Self::Mlflow(out),
            Form::Csv => {
                let mut writer = Box::new(::csv::Writer::from_writer(out));
                let fields = table.fields().iter().map(String::as_str);
                writer.write_record(csv::COLUMNS.into_iter().chain(fields)).map_err(failed)?;
                Self::Csv(writer, table)
            }
            Form::CsvWide => return Ok(None),
        }))
    }

    /// Writes a record; returns the reason if this form cannot hold it.
    pub(super) fn write(
        &mut self,
        mut feedback: Feedback,
        losses: &mut Losses,
    ) -> Result<Result<(), String>, ConvertError> {
        let (line, out) = match self {
            Self::Jsonl(out) => {
                // Absent means `true`: so a log that goes through MLflow's form, which always has it, comes back unchanged.
                feedback.valid = feedback.valid.filter(|valid| !valid);
                (serde_json::to_string(&feedback), out)
            }
            Self::Mlflow(out) => {
                if feedback.value.is_none() && feedback.error.is_none() {
                    losses.count("records with neither value nor error, which get a value of null");
                }
                (serde_json::to_string(&Wire(&feedback)), out)
            }
            Self::Csv(writer, table) => {
                let mut row = csv::row(&feedback).to_vec();
                let texts = table.texts(feedback.trace_id.as_deref()).map_err(ConvertError::Read)?;
                row.extend(texts.iter().map(|text| cell(text.as_deref())));
                if row.iter_mut().map(replace_controls).fold(false, |any, is_replaced| any | is_replaced) {
                    losses.count(CONTROLS);
                }
                return writer.write_record(row).map(Ok).map_err(failed);
            }
        };
        match line {
            Ok(line) => writeln!(out, "{line}").map(Ok).map_err(ConvertError::Write),
            Err(error) => Ok(Err(error.to_string())),
        }
    }

    pub(super) fn finish(self) -> Result<(), ConvertError> {
        match self {
            Self::Jsonl(out) | Self::Mlflow(out) => out.flush(),
            Self::Csv(mut writer, _) => writer.flush(),
        }
        .map_err(ConvertError::Write)
    }
}

/// What the writer of tables says.
pub(super) fn failed(error: ::csv::Error) -> ConvertError {
    ConvertError::Write(match error.into_kind() {
        ::csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    })
}
