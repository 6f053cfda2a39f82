//! Requests in a format other than OpenAI's, in a separate file.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;
use tempfile::NamedTempFile;

use super::super::error::BatchError;

/// A request as the spool has it.
#[derive(Debug, Deserialize)]
pub(super) struct Request {
    pub(super) custom_id: String,
    pub(super) body: Box<RawValue>,
}

/// What stands before all requests, between two of them, and after all.
pub(super) struct Frame<'a>(pub(super) &'a str, pub(super) &'a str, pub(super) &'a str);

/// The requests, each written by `one`.
pub(super) fn rewritten(
    requests: &Path,
    Frame(before, between, after): Frame<'_>,
    one: impl Fn(Request) -> serde_json::Result<String>,
) -> Result<NamedTempFile, BatchError> {
    let write = || {
        let file = NamedTempFile::new()?;
        let mut out = BufWriter::with_capacity(1 << 16, &file);
        out.write_all(before.as_bytes())?;
        for (i, line) in BufReader::with_capacity(1 << 16, std::fs::File::open(requests)?).split(b'\n').enumerate() {
            if i > 0 {
                out.write_all(between.as_bytes())?;
            }
            out.write_all(one(serde_json::from_slice(&line?)?)?.as_bytes())?;
        }
        out.write_all(after.as_bytes())?;
        out.flush()?;
        drop(out);
        Ok(file)
    };
    write().map_err(BatchError::file(requests))
}
