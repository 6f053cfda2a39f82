//! One JSON object in a file: a line, an element of a list, a row of a table.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::dataset::framing::columns::Columns;
use crate::dataset::framing::syntax;
use crate::dataset::notice::Notices;
use crate::dataset::reject::{self, Hint, Problem};

/// A piece of a file that should be one JSON object.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    /// As in the file; only the beginning if it is too long to hold.
    pub bytes: &'a [u8],
    /// Its whole length in bytes.
    pub length: u64,
    /// The line where it begins, from 1.
    pub line: u64,
    /// Where it begins in the (decompressed) file.
    pub byte_offset: u64,
    pub content: Content<'a>,
}

/// How a record is read.
#[derive(Debug)]
pub(crate) enum Content<'a> {
    /// A line of JSONL.
    Line,
    /// A JSON value that may go over several lines.
    Element,
    /// A row under these columns.
    Row(&'a Columns),
    /// Not at all, for this reason.
    Unreadable(Cow<'static, str>),
    /// Not held, since it is longer than this limit.
    TooLong(&'static str, u64),
}

impl Record<'_> {
    /// The object.
    ///
    /// # Errors
    /// Why there is none, and what to do about it.
    pub(crate) fn object(&self, notices: &mut Notices) -> Result<Map<String, Value>, Problem> {
        match &self.content {
            Content::Line => syntax::object(self.bytes, self.byte_offset),
            Content::Element => syntax::element(self.bytes, self.line, self.byte_offset),
            Content::Row(columns) => columns.object(self.bytes, self.byte_offset, notices),
            Content::Unreadable(reason) => Err(reason.to_string().into()),
            Content::TooLong(what, limit) => {
                let reason = format!("the {what} has {} bytes, more than the limit of {limit}", self.length);
                Err(Problem { reason, hint: Some(Hint::RaiseLimit) })
            }
        }
    }

    /// What a reject shows of it.
    pub(crate) fn shown(&self) -> String {
        reject::shown(self.bytes, self.length)
    }
}
