//! The content of a log before the review: its labels, and the traces that need attention.

use std::collections::HashMap;
use std::path::PathBuf;

use serde_json::Value;

use super::schema::Schema;
use crate::feedback::history::Standing;
use crate::feedback::log::{OpenError, StandingRecords, Stands};
use crate::feedback::{Feedback, GOOD_METADATA, Good, IdHasher, SCALE_METADATA, SourceType};

/// What a log has.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    /// The labels that judges and programs give, in order of appearance.
    pub labels: Vec<SurveyedLabel>,
    /// The traces, in order of appearance.
    pub traces: Vec<String>,
    findings: HashMap<String, Findings>,
}

/// A label in a log.
#[derive(Debug, Clone)]
pub struct SurveyedLabel {
    /// The feedback's name.
    pub name: String,
    /// The form of its values, as far as they show it.
    pub schema: Schema,
    /// Which of them are good, where they say so.
    pub good: Option<Good>,
    values: Vec<Value>,
    scale: Option<String>,
}

/// What is known of a trace.
#[derive(Debug, Clone, Default)]
pub(super) struct Findings {
    pub is_bad: bool,
    pub is_failed: bool,
    /// The least distance of a number from the last good one.
    pub distance: Option<f64>,
    /// Values of valid verdicts: label, what of the trace, value.
    answers: Vec<(u32, Part, Standing)>,
}

/// What of a trace feedback is about: all of it, a span, or one of the documents that the span found.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Part {
    pub span_id: Option<String>,
    /// From 0.
    pub document_index: Option<u32>,
}

impl Part {
    pub(super) fn of(feedback: &Feedback) -> Self {
        Self { span_id: feedback.span_id.clone(), document_index: feedback.document_index() }
    }

    /// Adds it to a hash, in which a part without a document is what it was before there were any.
    pub(super) fn hash(&self, hasher: &mut IdHasher) {
        hasher.optional_part(self.span_id.as_deref().map(str::as_bytes));
        if let Some(index) = self.document_index {
            hasher.part(&index.to_le_bytes());
        }
    }
}

/// This many different values show the form of a label.
const MAX_VALUES: usize = 200;

impl Survey {
    /// Reads through a log; one that does not exist yet is empty.
    ///
    /// # Errors
    /// When it cannot be read, or is clearly not a log.
    pub fn of(log: &PathBuf) -> Result<Self, OpenError> {
        let mut survey = Self::default();
        if !log.exists() {
            return Ok(survey);
        }
        StandingRecords::of(std::slice::from_ref(log))?.for_each(|_, stands, line| {
            let text = std::str::from_utf8(line).ok();
            if let Some(feedback) = text.and_then(|text| Feedback::from_json(text).ok()) {
                survey.add(&feedback, stands);
            }
        })?;
        for label in &mut survey.labels {
            label.schema = Schema::of_values(&label.values, label.scale.as_deref());
            label.values = Vec::new();
        }
        Ok(survey)
    }

    fn add(&mut self, feedback: &Feedback, stands: Stands) {
        let Some(trace_id) = &feedback.trace_id else { return };
        if !self.findings.contains_key(trace_id) {
            self.traces.push(trace_id.clone());
            self.findings.insert(trace_id.clone(), Findings::default());
        }
        // People answer questions; they define none.
        if feedback.source.source_type == SourceType::Human {
            return;
        }
        let label = self.label(feedback);
        let Some(findings) = self.findings.get_mut(trace_id) else { return };
        match stands {
            Stands::Failure => findings.is_failed = true,
            Stands::Rejected => {}
            Stands::Verdict => {
                findings.is_bad |= feedback.is_good() == Some(false);
                let good = self.labels.get(label as usize).and_then(|label| label.good.as_ref());
                if let (Some(Good::Scale { threshold: Some(threshold), .. }), Some(value)) =
                    (good, feedback.value.as_ref().and_then(Value::as_f64))
                {
                    let distance = (value - threshold).abs();
                    findings.distance = Some(findings.distance.map_or(distance, |least| least.min(distance)));
                }
            }
        }
        findings.answers.push((label, Part::of(feedback), Standing::of(feedback)));
    }

    /// The number of a label, newly assigned if necessary.
    fn label(&mut self, feedback: &Feedback) -> u32 {
        let at = self.labels.iter().position(|label| label.name == feedback.name).unwrap_or_else(|| {
            let name = feedback.name.clone();
            let label = SurveyedLabel { name, schema: Schema::Text, good: None, values: Vec::new(), scale: None };
            self.labels.push(label);
            self.labels.len() - 1
        });
        if let Some(label) = self.labels.get_mut(at) {
            let of = |key: &str| feedback.metadata.get(key);
            label.good = label.good.take().or_else(|| of(GOOD_METADATA)?.parse().ok());
            label.scale = label.scale.take().or_else(|| of(SCALE_METADATA).cloned());
            if let Some(value) = &feedback.value
                && label.values.len() < MAX_VALUES
                && !label.values.contains(value)
            {
                label.values.push(value.clone());
            }
        }
        u32::try_from(at).unwrap_or(u32::MAX)
    }

    pub(super) fn findings(&self, trace_id: &str) -> Option<&Findings> {
        self.findings.get(trace_id)
    }

    /// The parts of a trace that a label is about.
    pub(super) fn parts_of(&self, trace_id: &str, name: &str) -> Vec<Part> {
        let is_it = |label: u32| self.labels.get(label as usize).is_some_and(|label| label.name == name);
        let answers = self.findings.get(trace_id).into_iter().flat_map(|findings| &findings.answers);
        let mut parts: Vec<_> = answers.filter(|(label, ..)| is_it(*label)).map(|(_, part, _)| part.clone()).collect();
        parts.sort();
        parts.dedup();
        parts
    }

    /// Whether a label is only ever about spans.
    pub(super) fn is_of_spans(&self, name: &str) -> bool {
        let Some(at) = self.labels.iter().position(|label| label.name == name) else { return false };
        let of_label = |answer: &&(u32, Part, Standing)| answer.0 as usize == at;
        let mut answers = self.findings.values().flat_map(|findings| &findings.answers).filter(of_label).peekable();
        answers.peek().is_some() && answers.all(|(_, part, _)| part.span_id.is_some())
    }
}

impl Findings {
    /// Whether two verdicts on the same question differ.
    pub(super) fn disagrees(&self) -> bool {
        let is_verdict = |standing: &Standing| !matches!(standing, Standing::Failed { .. } | Standing::Rejected { .. });
        self.answers.iter().enumerate().any(|(i, (label, part, standing))| {
            let others = self.answers[i + 1..].iter().filter(|(other, of, _)| other == label && of == part);
            is_verdict(standing) && others.into_iter().any(|(.., other)| is_verdict(other) && other != standing)
        })
    }
}
