//! What people said on a server, in the server's own form.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::feedback::{Feedback, SourceType};
use crate::people::import::{Options, of_values};

/// People's feedback about these traces, without an id. Feedback without a value is left out.
pub(super) fn of_people(objects: &[Value], traces: &BTreeSet<String>, now_ms: i64) -> Vec<Feedback> {
    let options = Options { now_ms, ..Options::default() };
    let mut records = of_values(objects, &options).records;
    records.retain(|record| {
        let is_known = record.trace_id.as_ref().is_some_and(|trace| traces.contains(trace));
        is_known && record.source.source_type == SourceType::Human
    });
    records
}
