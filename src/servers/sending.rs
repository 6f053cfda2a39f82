//! Sending the records of a log one after another, where a server keeps one opinion per place and replaces it.

use std::collections::BTreeMap;

use super::ServerError;
use crate::feedback::log::{OpenError, StandingRecords, Stands};
use crate::feedback::{Feedback, IdHasher};
use crate::judge::redact::Redact;

/// What became of a log's records.
#[derive(Debug, Default)]
pub struct Sent {
    /// Records in force.
    pub records: u64,
    /// On the server now.
    pub sent: u64,
    /// What the server cannot represent, by kind.
    pub left_out: BTreeMap<&'static str, u64>,
    /// Refused, by the status.
    pub failed: BTreeMap<u16, u64>,
    /// Why it ended early.
    pub stopped: Option<ServerError>,
}

impl Sent {
    /// Counts a server's answer to one record. `false` if every further request would fail in the same way.
    pub(super) fn add(&mut self, result: Result<(), ServerError>) -> bool {
        match result {
            Ok(()) => self.sent += 1,
            Err(error) if error.is_final() => {
                self.stopped = Some(error);
                return false;
            }
            Err(error) => *self.failed.entry(error.status().unwrap_or(0)).or_default() += 1,
        }
        true
    }
}

/// The records in force, in the log's order, with the standing of each, and redacted.
pub(super) fn standing(
    records: &mut StandingRecords,
    redact: Option<&Redact>,
    mut take: impl FnMut(Stands, Feedback),
) -> Result<(), OpenError> {
    records.for_each(|_, stands, line| {
        let record = std::str::from_utf8(line).ok().and_then(|line| Feedback::from_json(line).ok());
        if let Some(mut record) = record {
            redact.iter().for_each(|redact| redact.feedback(&mut record));
            take(stands, record);
        }
    })
}

/// The id of an opinion: its source, name and subject. A later verdict has the same.
pub(super) fn opinion_id(record: &Feedback) -> String {
    let mut hasher = IdHasher::new("judge-run opinion on a server 1");
    hasher
        .optional_part(record.trace_id.as_deref().map(str::as_bytes))
        .optional_part(record.span_id.as_deref().map(str::as_bytes))
        .part(record.name.as_bytes())
        .part(record.source.source_type.as_str().as_bytes())
        .optional_part(record.source.source_id.as_deref().map(str::as_bytes))
        .part(&record.sample().to_le_bytes());
    if let Some(index) = record.document_index() {
        hasher.part(b"document").part(&index.to_le_bytes());
    }
    hasher.finish().to_string()
}
