//! What of a log holds now.

use std::collections::HashMap;

use crate::feedback::log::OpinionKey;
use crate::feedback::{AssessmentId, Feedback};

/// The last places in a log that matter to what stands before them.
#[derive(Default)]
pub(super) struct State {
    of_id: HashMap<AssessmentId, u64>,
    of_opinion: HashMap<OpinionKey, u64>,
    overriding: HashMap<AssessmentId, u64>,
}

impl State {
    /// Adds the record at `offset`, in the log's order.
    pub(super) fn add(&mut self, offset: u64, feedback: &Feedback) {
        if let Some(id) = &feedback.assessment_id {
            self.of_id.insert(AssessmentId::of_any(id), offset);
        }
        if let Some(id) = &feedback.overrides {
            self.overriding.insert(AssessmentId::of_any(id), offset);
        }
        if let Some(opinion) = opinion(feedback) {
            self.of_opinion.insert(opinion, offset);
        }
    }

    /// The record as it is now: not `valid` when a later one overrides it. `None` when a later one is its update, or is what came of a
    /// judgment that failed.
    pub(super) fn standing(&self, offset: u64, mut feedback: Feedback) -> Option<Feedback> {
        let id = feedback.assessment_id.as_deref().map(AssessmentId::of_any);
        let updated = id.and_then(|id| self.of_id.get(&id));
        let judged = opinion(&feedback).filter(|_| feedback.is_error()).and_then(|key| self.of_opinion.get(&key));
        if updated.max(judged).is_some_and(|later| *later > offset) {
            return None;
        }
        if id.and_then(|id| self.overriding.get(&id)).is_some_and(|later| *later > offset) {
            feedback.valid = Some(false);
        }
        Some(feedback)
    }
}

/// Whose opinion about what; `None` when it is not said about what.
fn opinion(feedback: &Feedback) -> Option<OpinionKey> {
    let trace_id = feedback.trace_id.as_deref()?;
    Some(
        OpinionKey::new(Some(trace_id), feedback.span_id.as_deref(), &feedback.name, &feedback.source)
            .sample(feedback.sample()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ids of the records that stand, and whether they are valid.
    fn standing(lines: &[&str]) -> Vec<(String, bool)> {
        let records: Vec<_> = (0..).zip(lines).map(|(i, line)| (i, Feedback::from_json(line).unwrap())).collect();
        let mut state = State::default();
        records.iter().for_each(|(i, record)| state.add(*i, record));
        let standing = records.into_iter().filter_map(|(i, record)| state.standing(i, record));
        standing.map(|record| (record.assessment_id.unwrap(), record.valid != Some(false))).collect()
    }

    fn pair(id: &str, valid: bool) -> (String, bool) {
        (id.to_owned(), valid)
    }

    #[test]
    fn only_a_later_record_overrides() {
        let first = r#"{"assessment_id":"a-1","name":"j","value":1,"trace_id":"t"}"#;
        let second = r#"{"assessment_id":"a-2","name":"j","value":2,"trace_id":"t","overrides":"a-1"}"#;
        let first_again = r#"{"assessment_id":"a-1","name":"j","value":1,"trace_id":"t","overrides":"a-2"}"#;
        assert_eq!(standing(&[first, second]), [pair("a-1", false), pair("a-2", true)]);
        assert_eq!(standing(&[first, second, first_again]), [pair("a-2", false), pair("a-1", true)]);
    }

    #[test]
    fn an_error_goes_when_its_opinion_has_a_later_record_and_stays_otherwise() {
        let error = |id: &str, trace: &str| {
            format!(
                r#"{{"assessment_id":"{id}","name":"j","error":{{"error_code":"INPUT_ERROR"}},"trace_id":"{trace}"}}"#
            )
        };
        let verdict = r#"{"assessment_id":"a-2","name":"j","value":2,"trace_id":"t"}"#;
        assert_eq!(
            standing(&[&error("a-1", "t"), &error("a-3", "u"), verdict]),
            [pair("a-3", true), pair("a-2", true)]
        );
        assert_eq!(standing(&[verdict, &error("a-1", "t")]), [pair("a-2", true), pair("a-1", true)]);
    }
}
