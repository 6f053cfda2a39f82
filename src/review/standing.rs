//! The feedback on one trace: every opinion as it stands, and its history.

use serde_json::{Value, json};

use super::survey::Part;
use crate::feedback::history::{Facts, History, Role};
use crate::feedback::{Feedback, GOOD_METADATA, REJECTED_BY_METADATA, SCALE_METADATA, SourceType};

/// An opinion about a trace.
#[derive(Debug, Clone)]
pub(super) struct Opinion {
    /// The record that it stands as.
    pub record: Feedback,
    /// Whether it holds.
    pub is_valid: bool,
    /// Whether a person rejected it.
    pub is_rejected: bool,
    /// Whether judge-run wrote it.
    pub is_own: bool,
    /// What preceded it, the oldest first.
    pub earlier: Vec<Feedback>,
}

/// The members of `metadata` that say nothing to a reviewer, or are shown elsewhere.
const NOT_SHOWN: [&str; 3] = [GOOD_METADATA, SCALE_METADATA, REJECTED_BY_METADATA];
const MAX_EARLIER: usize = 20;

/// The opinions that the records of one trace make, in the order in which they began. `records` are in the log's order.
pub(super) fn opinions(records: &[Feedback]) -> Vec<Opinion> {
    let mut history = History::default();
    for (place, record) in records.iter().enumerate() {
        history.add(&Facts::of(record), place as u64, place);
    }
    let mut found: Vec<(Vec<usize>, Opinion)> = Vec::new();
    for line in history.settle().into_lines() {
        let record = &records[line.extra];
        // For people and programs, each id is an opinion.
        let is_same = |other: &&mut (Vec<usize>, Opinion)| {
            let known = &other.1.record;
            known.name == record.name
                && known.source == record.source
                && known.span_id == record.span_id
                && known.document_index() == record.document_index()
                && known.sample() == record.sample()
                && line.is_own == other.1.is_own
                && (line.is_own || known.assessment_id == record.assessment_id)
        };
        let step = &line.step;
        let stands = matches!(step.role, Role::Verdict | Role::Failure);
        let opinion = Opinion {
            record: record.clone(),
            is_valid: stands && step.is_valid(),
            is_rejected: step.is_rejected(),
            is_own: line.is_own,
            earlier: Vec::new(),
        };
        match found.iter_mut().find(is_same) {
            None => found.push((vec![line.extra], opinion)),
            Some((lines, known)) => {
                lines.push(line.extra);
                // The last that says something by itself; a superseded one only until there is another.
                if stands && (!step.is_superseded || !known.is_valid) {
                    *known = opinion;
                }
            }
        }
    }
    let with_history = |(lines, mut opinion): (Vec<usize>, Opinion)| {
        let before = lines.into_iter().map(|line| &records[line]).filter(|record| **record != opinion.record);
        opinion.earlier = before.cloned().collect();
        let surplus = opinion.earlier.len().saturating_sub(MAX_EARLIER);
        opinion.earlier.drain(..surplus);
        opinion
    };
    found.into_iter().map(with_history).collect()
}

impl Opinion {
    pub(super) fn is_deleted(&self) -> bool {
        self.record.is_deleted()
    }

    /// Whether it is what this person says under this name of this part of the trace.
    pub(super) fn is_of(&self, annotator: &str, name: &str, part: &Part) -> bool {
        let Feedback { source, span_id, .. } = &self.record;
        source.source_type == SourceType::Human
            && source.source_id.as_deref() == Some(annotator)
            && self.record.name == name
            && *span_id == part.span_id
            && self.record.document_index() == part.document_index
    }

    /// As the page shows it.
    pub(super) fn shown(&self) -> Value {
        let Self { record, is_valid, is_rejected, is_own, earlier } = self;
        let metadata = record.metadata.iter().filter(|(key, _)| !NOT_SHOWN.contains(&key.as_str()));
        let metadata: serde_json::Map<_, _> =
            metadata.map(|(key, value)| (key.clone(), value.as_str().into())).collect();
        let history: Vec<_> = earlier.iter().map(shown_before).collect();
        json!({
            "id": record.assessment_id,
            "name": record.name,
            "source_type": record.source.source_type.as_str(),
            "source_id": record.source.source_id,
            "span_id": record.span_id,
            "document_index": record.document_index(),
            "value": record.value,
            "code": record.error.as_ref().map(|error| error.error_code.as_str()),
            "rationale": said(record),
            "good": record.is_good(),
            "time_ms": record.last_update_time_ms,
            "valid": is_valid,
            "rejected": is_rejected,
            "rejected_by": earlier.iter().rev().find_map(|record| record.metadata.get(REJECTED_BY_METADATA)),
            "can_be_rejected": *is_own && record.error.is_none(),
            "metadata": metadata,
            "history": history,
        })
    }
}

fn said(record: &Feedback) -> Option<&str> {
    match &record.error {
        Some(error) => error.error_message.as_deref(),
        None => record.rationale.as_deref(),
    }
}

fn shown_before(record: &Feedback) -> Value {
    json!({
        "time_ms": record.last_update_time_ms,
        "value": record.value,
        "code": record.error.as_ref().map(|error| error.error_code.as_str()),
        "rationale": said(record),
        "valid": record.valid,
        "deleted": record.is_deleted(),
        "by": record.metadata.get(REJECTED_BY_METADATA),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: u8, source: &str, rest: &str) -> Feedback {
        let metadata = if source == "LLM_JUDGE" { r#""run_id":"r","judge_prompt":"p""# } else { "" };
        Feedback::from_json(&format!(
            r#"{{"assessment_id":"a-{id:032x}","name":"n","trace_id":"t","source":{{"source_type":"{source}","source_id":"x"}},"metadata":{{{metadata}}},{rest}}}"#
        ))
        .unwrap()
    }

    #[test]
    fn each_opinion_stands_once_with_its_history() {
        let records = [
            record(1, "LLM_JUDGE", r#""error":{"error_code":"TIMEOUT"}"#),
            record(1, "LLM_JUDGE", r#""value":true"#),
            record(2, "HUMAN", r#""value":true"#),
            record(2, "HUMAN", r#""value":false"#),
        ];
        let found = opinions(&records);
        assert_eq!(found.len(), 2);
        assert_eq!((&found[0].record, found[0].is_valid, found[0].earlier.len()), (&records[1], true, 1));
        assert_eq!((&found[1].record, &found[1].earlier[..]), (&records[3], &records[2..3]));
        assert!(found[1].is_of("x", "n", &Part::default()) && !found[0].is_of("x", "n", &Part::default()));
    }

    #[test]
    fn rejected_and_overruled_verdicts_do_not_hold() {
        let rejected = opinions(&[
            record(1, "LLM_JUDGE", r#""value":true"#),
            record(1, "LLM_JUDGE", r#""value":true,"valid":false"#),
        ]);
        assert!(rejected.len() == 1 && rejected[0].is_rejected && !rejected[0].is_valid);
        let overrides = format!(r#""value":false,"overrides":"a-{:032x}""#, 1);
        let overruled = opinions(&[record(1, "LLM_JUDGE", r#""value":true"#), record(2, "HUMAN", &overrides)]);
        assert!(!overruled[0].is_valid && !overruled[0].is_rejected && overruled[1].is_valid);
    }
}
