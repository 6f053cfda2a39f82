//! What is wrong with a file of feedback, and where.

use std::io;

/// The place of a record.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place {
    /// From 1.
    pub line: u64,
    /// In bytes, for JSON lines; 0 for a table's rows.
    pub offset: u64,
    /// Whether the line has fields that feedback does not have.
    pub has_more: bool,
}

/// Why nothing, or no more, can be converted.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ConvertError {
    #[error("cannot read it: {0}")]
    Read(#[source] io::Error),
    #[error("cannot write it: {0}")]
    Write(#[source] io::Error),
    #[error("not a table of feedback: {0}")]
    Header(String),
    #[error("not feedback: line {line}: {reason}")]
    NoFeedback { line: u64, reason: String },
}

impl From<io::Error> for ConvertError {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}
