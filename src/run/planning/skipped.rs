//! What judges of spans and sessions skip: neither a failure nor a record, but counted.

use std::collections::{BTreeMap, BTreeSet};

use crate::trace::Trace;

/// A longer list of span types would not help.
const MAX_SPAN_TYPES: usize = 20;

/// Why a judge has nothing to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SkipReason {
    /// The trace has no span that the judge selects; these are the types of the spans that it has.
    NoSpan {
        /// None where the trace has no spans at all.
        span_types: BTreeSet<String>,
    },
    /// The trace belongs to no session.
    NoSession,
    /// The trace lacks something that the judge requires (`requires` in `[select]`): the judge does not apply to it.
    Lacks(String),
    /// This many spans have the id of an earlier span of the same trace: both would have the same record.
    RepeatedSpans(u64),
    /// The session's last trace is not selected.
    SessionNotSelected,
}

impl SkipReason {
    /// The trace has no span that the judge selects.
    pub(in crate::run) fn no_span(trace: &Trace) -> Self {
        Self::NoSpan { span_types: trace.spans.iter().map(|span| span.span_type.as_str().to_owned()).collect() }
    }
}

/// What a judge skipped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SkipCounts {
    /// Traces without a span that the judge selects, or without a session.
    pub traces: u64,
    /// The types of the spans that these have, at most twenty.
    pub span_types: BTreeSet<String>,
    /// Spans with the id of an earlier span of the same trace.
    pub repeated_spans: u64,
    /// Sessions whose last trace is not selected.
    pub sessions: u64,
    /// Traces, spans and sessions that the judge does not apply to, by what they lack.
    pub lacking: BTreeMap<String, u64>,
}

impl SkipCounts {
    /// Counts one.
    pub fn add(&mut self, reason: &SkipReason) {
        match reason {
            SkipReason::NoSession => self.traces += 1,
            SkipReason::NoSpan { span_types } => {
                self.traces += 1;
                let room = MAX_SPAN_TYPES.saturating_sub(self.span_types.len());
                let new: Vec<_> = span_types.difference(&self.span_types).take(room).cloned().collect();
                self.span_types.extend(new);
            }
            SkipReason::RepeatedSpans(n) => self.repeated_spans += n,
            SkipReason::SessionNotSelected => self.sessions += 1,
            SkipReason::Lacks(what) => *self.lacking.entry(what.clone()).or_default() += 1,
        }
    }

    /// How much was skipped.
    pub fn count(&self) -> u64 {
        self.traces + self.repeated_spans + self.sessions + self.lacking.values().sum::<u64>()
    }

    /// Whether nothing was skipped.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_own_count() {
        let count = |reason| {
            let mut counts = SkipCounts::default();
            assert!(counts.is_empty());
            counts.add(&reason);
            assert!(!counts.is_empty(), "{reason:?}");
            (counts.traces, counts.span_types.len(), counts.repeated_spans, counts.sessions)
        };
        assert_eq!(count(SkipReason::NoSession), (1, 0, 0, 0));
        assert_eq!(count(SkipReason::NoSpan { span_types: ["LLM".to_owned()].into() }), (1, 1, 0, 0));
        assert_eq!(count(SkipReason::RepeatedSpans(3)), (0, 0, 3, 0));
        assert_eq!(count(SkipReason::SessionNotSelected), (0, 0, 0, 1));
        assert_eq!(count(SkipReason::Lacks("documents".into())), (0, 0, 0, 0));
    }

    #[test]
    fn the_types_of_spans_are_bounded_whatever_traces_hold() {
        let mut counts = SkipCounts::default();
        for n in 0..100 {
            counts.add(&SkipReason::NoSpan { span_types: [format!("TYPE-{n}"), "LLM".to_owned()].into() });
        }
        assert_eq!((counts.traces, counts.span_types.len()), (100, MAX_SPAN_TYPES));
    }
}
