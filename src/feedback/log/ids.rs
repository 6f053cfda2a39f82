//! All ids of a log, whether or not their records are in force.

use std::collections::HashSet;
use std::fs::File;
use std::path::Path;

use super::OpenError;
use super::file::refuse_what_is_no_file;
use super::lines::for_each_line;
use crate::feedback::AssessmentId;

/// Calls `take` with the id of each record, and when it was written, in Unix milliseconds.
///
/// # Errors
/// When the log cannot be read.
pub(crate) fn for_each_id(path: &Path, mut take: impl FnMut(AssessmentId, i64)) -> std::io::Result<()> {
    for_each_line(&File::open(path)?, |_, _, facts| {
        if let Some((id, time_ms)) = facts.and_then(|facts| Some((facts.id?, facts.last_update_time_ms))) {
            take(id, time_ms);
        }
    })
}

/// All ids of a log's records: 16 bytes each.
///
/// # Errors
/// When the log cannot be read.
pub fn known_ids(path: &Path) -> Result<HashSet<AssessmentId>, OpenError> {
    let io_error = |source| OpenError::Io { path: path.to_owned(), source };
    if path.is_dir() {
        return Err(OpenError::Directory { path: path.to_owned() });
    }
    refuse_what_is_no_file(path)?;
    let file = File::open(path).map_err(io_error)?;
    let mut ids = HashSet::new();
    for_each_line(&file, |_, _, facts| ids.extend(facts.and_then(|facts| facts.id))).map_err(io_error)?;
    Ok(ids)
}
