//! A verdict on two outputs, as it is read from a record.

use super::extract::{Extract, Said};
use super::hash::hash;
use super::interned::Interned;
use crate::feedback::{
    ANSWER_A_METADATA, ANSWER_B_METADATA, ORDERS_METADATA, SAMPLE_METADATA, TRACE_A_METADATA, TRACE_B_METADATA,
};

/// A verdict on two outputs, in one order; or of an aggregate, in both.
#[derive(Debug, Clone, Copy)]
pub(super) struct Preference {
    /// The trace that it belongs to, and which of several samples it is.
    pub key: (u64, u64),
    /// The numbers of the sides' names, as they were shown.
    pub shown: [u32; 2],
    /// The number of the verdict.
    pub verdict: u32,
    /// Its cluster: the session, and the traces of both.
    pub together: [u64; 3],
    /// For an aggregate: how many of its comparisons do not depend on the order, and of how many.
    pub consistent: Option<(u64, u64)>,
    /// For an aggregate: whether only one order was requested.
    pub is_one_order: bool,
}

impl Preference {
    /// Reads a verdict, if it is about two outputs.
    pub(super) fn of(extract: &Extract<'_>, labels: &mut Interned, cluster: u64) -> Option<Self> {
        let Extract { metadata, value: Said::Label(verdict), trace_id, .. } = extract else { return None };
        let (a, b) = (metadata.get(ANSWER_A_METADATA)?, metadata.get(ANSWER_B_METADATA)?);
        let trace = |key| metadata.get(key).map_or(cluster, |id| hash(&[id]));
        let consistent = metadata.get("consistent").and_then(|text| {
            let (same, all) = text.split_once('/')?;
            Some((same.parse().ok()?, all.parse().ok()?))
        });
        (a != b).then(|| Self {
            key: (hash(&[trace_id.as_deref().unwrap_or_default()]), metadata.count(SAMPLE_METADATA).unwrap_or(0)),
            shown: [labels.number(a), labels.number(b)],
            verdict: labels.number(verdict),
            together: [cluster, trace(TRACE_A_METADATA), trace(TRACE_B_METADATA)],
            consistent,
            is_one_order: metadata.get(ORDERS_METADATA) == Some("1"),
        })
    }
}
