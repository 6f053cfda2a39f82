//! What a file says.

use std::io;

use crate::feedback::Feedback;

/// The member of `metadata` with the kind of file that feedback was read from.
pub const IMPORTED_METADATA: &str = "imported_from";

/// What a file says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Imported {
    /// The kind of file, such as `csv` or `langfuse`; several if kinds are mixed.
    pub forms: Vec<&'static str>,
    /// Feedback, in the file's order. Without an id, unless it is a record of judge-run or MLflow.
    pub records: Vec<Feedback>,
    /// What could not be read.
    pub rejects: Vec<Reject>,
    /// Rows without a value, not labelled yet.
    pub unlabelled: u64,
}

/// A row, line or element that is not feedback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Its line, or for a JSON list the number of its element; from 1.
    pub line: u64,
    /// What is wrong, with the field.
    pub reason: String,
}

/// Why nothing can be read.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ImportError {
    #[error("cannot read it")]
    Read(#[source] io::Error),
    #[error("it is empty")]
    Empty,
    #[error("not JSON: {0}")]
    Json(#[source] serde_json::Error),
    #[error("no column `{field}`; columns: {}", columns.join(", "))]
    NoColumn { field: &'static str, columns: Vec<String> },
    #[error("no column `{column}` to read `{field}` from; columns: {}", columns.join(", "))]
    Unmapped { column: String, field: &'static str, columns: Vec<String> },
    #[error("not a table: {0}")]
    Table(#[source] csv::Error),
    #[error(transparent)]
    Traces(#[from] crate::dataset::DatasetError),
}

impl Imported {
    /// Adds feedback that was read from a form.
    pub(super) fn extend(&mut self, form: &'static str, records: Vec<Feedback>) {
        if !self.forms.contains(&form) {
            self.forms.push(form);
        }
        for mut record in records {
            // A record of judge-run or MLflow stays as it is.
            if form != "feedback" {
                record.metadata.insert(IMPORTED_METADATA.to_owned(), form.to_owned());
            }
            self.records.push(record);
        }
    }
}
