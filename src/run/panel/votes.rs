//! The votes of panels, from a log.

use std::collections::HashMap;
use std::path::PathBuf;

use serde_json::Value;

use super::panel::Panel;
use crate::feedback::history::Facts;
use crate::feedback::log::{OpenError, Place, StandingRecords, Stands};
use crate::feedback::{AssessmentId, Feedback, IdHasher, SourceType};
use crate::run::derived::hash_subject;
use crate::run::panel::aggregation::Aggregation;

/// The votes of a log, by subject, and its records.
pub(super) struct Votes {
    pub subjects: Vec<Subject>,
    /// Verdicts as JSON, by number: there are few distinct ones.
    pub values: Vec<Value>,
    pub records: StandingRecords,
}

/// A trace, span, session or pair that a panel votes about.
pub(super) struct Subject {
    /// The panel's number.
    pub panel: usize,
    /// A hash of its ids.
    pub about: AssessmentId,
    /// Of a pair: the numbers of its sides, in their order.
    pub sides: Option<[usize; 2]>,
    pub votes: Vec<Vote>,
    /// The aggregate in force.
    pub standing: Option<Aggregate>,
}

/// A vote, or a failed attempt to get one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Vote {
    /// The voter's number in the panel, and which of its votes it is.
    pub voter: usize,
    pub sample: u32,
    /// Of a pair: whether the sides were shown in the opposite order.
    pub is_swapped: bool,
    pub id: AssessmentId,
    /// The number of the value; `None` without a verdict, or if a person rejected it.
    pub value: Option<usize>,
    /// The model's confidence in it, if the record states it.
    pub confidence: Option<f64>,
    pub place: Place,
}

/// An aggregate of the log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Aggregate {
    pub id: AssessmentId,
    pub is_verdict: bool,
}

impl Votes {
    /// Reads all votes of these panels.
    pub(super) fn read(panels: &[Panel], log: PathBuf) -> Result<Self, OpenError> {
        let mut records = StandingRecords::of(&[log])?;
        let mut found = Found::default();
        records.for_each(|place, stands, line| {
            // Lines that are not records were counted when the log was opened.
            if let Some(feedback) = std::str::from_utf8(line).ok().and_then(|line| Feedback::from_json(line).ok()) {
                found.add(panels, &feedback, place, stands);
            }
        })?;
        let Found { mut subjects, values, .. } = found;
        subjects.retain(|subject| !subject.votes.is_empty());
        subjects
            .iter_mut()
            .for_each(|subject| subject.votes.sort_by_key(|vote| (vote.voter, vote.sample, vote.is_swapped)));
        Ok(Self { subjects, values, records })
    }
}

#[derive(Default)]
struct Found {
    subjects: Vec<Subject>,
    by_ids: HashMap<(usize, AssessmentId), usize>,
    values: Vec<Value>,
    by_json: HashMap<String, usize>,
}

impl Found {
    fn add(&mut self, panels: &[Panel], feedback: &Feedback, place: Place, stands: Stands) {
        let Some((number, panel)) = panels.iter().enumerate().find(|(_, panel)| panel.judge == feedback.name) else {
            return;
        };
        let facts = Facts::of(feedback);
        let (Some(id), true) = (facts.id, facts.is_own) else { return };
        let shown = match (panel.aggregation, feedback.compared()) {
            (Aggregation::Pair, None) => return,
            (Aggregation::Pair, Some(names)) => match panel.compared(names) {
                Some(shown) => Some(shown),
                None => return,
            },
            _ => None,
        };
        let is_swapped = shown.is_some_and(|[a, b]| a > b);
        let sides = shown.map(|[a, b]| [a.min(b), a.max(b)]);
        let source_id = feedback.source.source_id.as_deref().unwrap_or_default();
        if feedback.source == panel.source() {
            self.subject(number, feedback, sides).standing =
                Some(Aggregate { id, is_verdict: stands == Stands::Verdict });
            return;
        }
        let voter = panel.voters.iter().position(|voter| voter == source_id);
        let Some(voter) = voter.filter(|_| feedback.source.source_type == SourceType::LlmJudge) else { return };
        let sample = feedback.sample();
        if sample >= panel.votes_of(voter) {
            return;
        }
        let value = feedback.value.as_ref().filter(|_| stands == Stands::Verdict).map(|value| self.number(value));
        let confidence = feedback.metadata.get("confidence").and_then(|text| text.parse().ok());
        let vote = Vote { voter, sample, is_swapped, id, value, confidence, place };
        self.subject(number, feedback, sides).votes.push(vote);
    }

    fn subject(&mut self, panel: usize, feedback: &Feedback, sides: Option<[usize; 2]>) -> &mut Subject {
        let mut hasher = IdHasher::new("judge-run panel's subject 1");
        hash_subject(&mut hasher, feedback);
        for side in sides.iter().flatten() {
            hasher.part(&(*side as u64).to_le_bytes());
        }
        let about = hasher.finish();
        let place = *self.by_ids.entry((panel, about)).or_insert_with(|| {
            self.subjects.push(Subject { panel, about, sides, votes: Vec::new(), standing: None });
            self.subjects.len() - 1
        });
        &mut self.subjects[place]
    }

    fn number(&mut self, value: &Value) -> usize {
        *self.by_json.entry(value.to_string()).or_insert_with(|| {
            self.values.push(value.clone());
            self.values.len() - 1
        })
    }
}
