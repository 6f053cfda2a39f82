//! What judges of spans and sessions do not judge: no failure, no record, and counted all the same.

use std::collections::BTreeSet;

use crate::judge::Unit;
use crate::trace::Trace;

/// More kinds of span than these say nothing any more.
const MOST_SPAN_TYPES: usize = 20;

/// Something that a judge has nothing to ask about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PassOver {
    /// A trace without a span that the judge selects, and the types of the spans that it has; or a trace without a session.
    Trace {
        /// None where sessions are judged.
        span_types: BTreeSet<String>,
    },
    /// Spans with the id of an earlier span of the same trace: both would have one record.
    RepeatedSpans(u64),
    /// A session whose last trace is not selected.
    Session,
}

impl PassOver {
    /// A trace without a span that is selected.
    pub(super) fn without_span(trace: &Trace) -> Self {
        Self::Trace { span_types: trace.spans.iter().map(|span| span.span_type.as_str().to_owned()).collect() }
    }

    /// A trace without a session.
    pub(super) fn without_session() -> Self {
        Self::Trace { span_types: BTreeSet::new() }
    }
}

/// How much a judge passed over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PassedOver {
    /// What the judge judges.
    pub unit: Unit,
    /// Traces without a span that it selects, or without a session.
    pub traces: u64,
    /// The types of the spans that these have; the first twenty.
    pub span_types: BTreeSet<String>,
    /// Spans with the id of an earlier span of the same trace.
    pub repeated_spans: u64,
    /// Sessions whose last trace is not selected.
    pub sessions: u64,
}

impl PassedOver {
    /// Nothing yet.
    pub fn of(unit: Unit) -> Self {
        Self { unit, ..Self::default() }
    }

    /// Counts one.
    pub fn add(&mut self, what: &PassOver) {
        match what {
            PassOver::Trace { span_types } => {
                self.traces += 1;
                let room = MOST_SPAN_TYPES.saturating_sub(self.span_types.len());
                let new: Vec<_> = span_types.difference(&self.span_types).take(room).cloned().collect();
                self.span_types.extend(new);
            }
            PassOver::RepeatedSpans(n) => self.repeated_spans += n,
            PassOver::Session => self.sessions += 1,
        }
    }

    /// Whether it is anything at all.
    pub fn is_empty(&self) -> bool {
        self.traces + self.repeated_spans + self.sessions == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_types_of_spans_are_bounded_whatever_traces_hold() {
        let mut passed_over = PassedOver::of(Unit::Span);
        for n in 0..100 {
            passed_over.add(&PassOver::Trace { span_types: [format!("TYPE-{n}"), "LLM".to_owned()].into() });
        }
        assert_eq!((passed_over.traces, passed_over.span_types.len()), (100, MOST_SPAN_TYPES));
    }
}
