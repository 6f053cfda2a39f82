//! What a log already knows, in 48 bytes a judgment.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use crate::feedback::{AssessmentId, ErrorCode, Feedback, IdHasher, RecordedErrorCode, Source, SourceType};

/// Whose opinion about what: records with the same key are one opinion's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpinionKey(u64);

impl OpinionKey {
    /// The key of an opinion by `source` about a trace, or a span of it, under a judge's name.
    pub fn new(trace_id: Option<&str>, span_id: Option<&str>, name: &str, source: &Source) -> Self {
        let mut hasher = IdHasher::new("judge-run opinion 1");
        hasher
            .optional_part(trace_id.map(str::as_bytes))
            .optional_part(span_id.map(str::as_bytes))
            .part(name.as_bytes())
            .part(source.source_type.as_str().as_bytes())
            .optional_part(source.source_id.as_deref().map(str::as_bytes));
        Self(hasher.finish_u64())
    }
}

/// How a judgment stands in the log.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Standing {
    /// There is a verdict: a number, 0 or 1 for a boolean.
    Number(f64),
    /// There is a verdict: a text, as its hash (see [`Standing::label_hash`]).
    Label(u64),
    /// There is a verdict of another form.
    Other,
    /// It ended in an error, at this time (Unix milliseconds).
    Failed {
        /// The code; `None` if it is none of ours.
        code: Option<ErrorCode>,
        /// When the failure was first recorded.
        create_time_ms: i64,
    },
    /// There was a verdict, and somebody marked it invalid.
    Invalid {
        /// When it was first recorded.
        create_time_ms: i64,
    },
}

impl Standing {
    /// How a record stands.
    pub fn of(feedback: &Feedback) -> Self {
        match (&feedback.error, &feedback.value) {
            (Some(error), _) => {
                let code = match error.error_code {
                    RecordedErrorCode::Known(code) => Some(code),
                    RecordedErrorCode::Foreign(_) => None,
                };
                Self::Failed { code, create_time_ms: feedback.create_time_ms }
            }
            (None, _) if feedback.valid == Some(false) => Self::Invalid { create_time_ms: feedback.create_time_ms },
            (None, Some(Value::Bool(value))) => Self::Number(f64::from(u8::from(*value))),
            (None, Some(Value::Number(number))) => number.as_f64().map_or(Self::Other, Self::Number),
            (None, Some(Value::String(label))) => Self::Label(Self::label_hash(label)),
            (None, _) => Self::Other,
        }
    }

    /// The hash that stands for a label.
    pub fn label_hash(label: &str) -> u64 {
        IdHasher::new("judge-run label 1").part(label.as_bytes()).finish_u64()
    }
}

/// What the log has on a judgment that is about to be asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Seen {
    /// Nothing at all.
    New,
    /// This very judgment, and its record holds.
    Judged {
        /// How it stands.
        standing: Standing,
        /// Of an error or an invalid verdict: the opinion that a verdict, when there is one at last, will override.
        overrides: Option<AssessmentId>,
    },
    /// This very judgment has a verdict, valid or not, and a later opinion overrides it: what is asked went back to what it was before.
    Overridden {
        /// How it stood.
        standing: Standing,
        /// Where its record is in the log.
        offset: u64,
        /// The latest opinion.
        by: AssessmentId,
    },
    /// Another opinion of the same source on the same thing: the new record will override it.
    Changed {
        /// The opinion to override.
        overrides: AssessmentId,
    },
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    opinion: OpinionKey,
    id: AssessmentId,
    standing: Standing,
    /// Of the record's line in the log.
    offset: u64,
}

impl Entry {
    /// Whether it was an opinion once: an invalid one still is what a later one overrides.
    fn is_opinion(&self) -> bool {
        !matches!(self.standing, Standing::Failed { .. })
    }

    fn is_verdict(&self) -> bool {
        self.is_opinion() && !self.is_invalid()
    }

    fn is_invalid(&self) -> bool {
        matches!(self.standing, Standing::Invalid { .. })
    }
}

/// All judgments of a log, sorted for lookup. It does not change while a run appends.
#[derive(Debug, Default)]
pub struct Index {
    entries: Vec<Entry>,
    /// The models that gave a verdict.
    proven: HashSet<String>,
}

impl Index {
    /// Adds the record at `offset`, in the log's order; [`Index::seal`] must follow before any lookup. Records without an id of
    /// judge-run's form are other people's and play no part in resuming.
    pub(super) fn add(&mut self, feedback: &Feedback, offset: u64) {
        let Some(id) = feedback.assessment_id.as_deref().and_then(|id| id.parse().ok()) else { return };
        let opinion = OpinionKey::new(
            feedback.trace_id.as_deref(),
            feedback.span_id.as_deref(),
            &feedback.name,
            &feedback.source,
        );
        self.entries.push(Entry { opinion, id, standing: Standing::of(feedback), offset });
        if let (SourceType::LlmJudge, Some(source_id)) = (feedback.source.source_type, &feedback.source.source_id)
            && !feedback.is_error()
            && !self.proven.contains(source_id)
        {
            self.proven.insert(source_id.clone());
        }
    }

    /// Sorts the entries and keeps the last standing of each judgment.
    pub(super) fn seal(&mut self) {
        // Stable: within one opinion the log's order stays.
        self.entries.sort_by_key(|entry| entry.opinion);
        let entries = &mut self.entries;
        let mut kept = 0;
        let mut group = 0;
        for i in 0..entries.len() {
            let entry = entries[i];
            if kept > 0 && entries[group].opinion != entry.opinion || kept == 0 {
                group = kept;
            }
            if let Some(earlier) = entries[group..kept].iter().position(|other| other.id == entry.id) {
                // Who marks an old opinion invalid says nothing of a later one.
                if entry.is_invalid() {
                    entries[group + earlier] = entry;
                    continue;
                }
                entries.copy_within(group + earlier + 1..kept, group + earlier);
                kept -= 1;
            }
            entries[kept] = entry;
            kept += 1;
        }
        entries.truncate(kept);
        entries.shrink_to_fit();
    }

    /// What is known of a judgment.
    pub fn look_up(&self, opinion: OpinionKey, id: AssessmentId) -> Seen {
        let start = self.entries.partition_point(|entry| entry.opinion < opinion);
        let group = self.entries[start..].iter().take_while(|entry| entry.opinion == opinion);
        let mut this = None;
        let mut other = None;
        let mut other_is_later = false;
        for entry in group {
            if entry.id == id {
                this = Some(entry);
            } else if entry.is_opinion() {
                other = Some(entry.id);
                other_is_later = this.is_some();
            }
        }
        match (this, other) {
            (None, None) => Seen::New,
            (None, Some(overrides)) => Seen::Changed { overrides },
            (Some(this), Some(by)) if this.is_opinion() && other_is_later => {
                Seen::Overridden { standing: this.standing, offset: this.offset, by }
            }
            (Some(this), other) => {
                Seen::Judged { standing: this.standing, overrides: other.filter(|_| !this.is_verdict()) }
            }
        }
    }

    /// Where the record of this very judgment is, if it is a verdict.
    pub(super) fn verdict_at(&self, opinion: OpinionKey, id: AssessmentId) -> Option<u64> {
        let start = self.entries.partition_point(|entry| entry.opinion < opinion);
        let mut group = self.entries[start..].iter().take_while(|entry| entry.opinion == opinion);
        group.find(|entry| entry.id == id && entry.is_verdict()).map(|entry| entry.offset)
    }

    /// How an opinion stands: as its last record does, verdict or failure. `None` if the log has nothing of it.
    pub fn latest(&self, opinion: OpinionKey) -> Option<Standing> {
        let end = self.entries.partition_point(|entry| entry.opinion <= opinion);
        let last = self.entries[..end].last().filter(|entry| entry.opinion == opinion);
        last.map(|entry| entry.standing)
    }

    /// How many opinions stand as failures, by code; `None` counts other tools' codes.
    pub fn failures(&self) -> BTreeMap<Option<ErrorCode>, u64> {
        let mut failures = BTreeMap::new();
        for (i, entry) in self.entries.iter().enumerate() {
            let is_last = self.entries.get(i + 1).is_none_or(|next| next.opinion != entry.opinion);
            if let Standing::Failed { code, .. } = entry.standing
                && is_last
            {
                *failures.entry(code).or_default() += 1;
            }
        }
        failures
    }

    /// How many opinions stand as verdicts that somebody marked invalid.
    pub fn invalid(&self) -> u64 {
        let is_last =
            |i: usize, entry: &Entry| self.entries.get(i + 1).is_none_or(|next| next.opinion != entry.opinion);
        self.entries.iter().enumerate().filter(|(i, entry)| entry.is_invalid() && is_last(*i, entry)).count() as u64
    }

    /// Whether the log has a verdict by this model.
    pub fn has_verdict_of(&self, source_id: &str) -> bool {
        self.proven.contains(source_id)
    }

    /// Judgments in the index.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether the log was empty.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feedback::FeedbackError;

    fn id(n: u8) -> AssessmentId {
        IdHasher::new("t").part(&[n]).finish()
    }

    fn record(n: u8, trace: &str, value: Option<Value>) -> Feedback {
        let error = value.is_none().then(|| FeedbackError {
            error_code: ErrorCode::Timeout.into(),
            error_message: None,
            stack_trace: None,
        });
        Feedback {
            assessment_id: Some(id(n).to_string()),
            name: "j".into(),
            trace_id: Some(trace.into()),
            source: Source::llm_judge("m"),
            value,
            error,
            create_time_ms: i64::from(n),
            ..Feedback::default()
        }
    }

    fn key(trace: &str) -> OpinionKey {
        OpinionKey::new(Some(trace), None, "j", &Source::llm_judge("m"))
    }

    /// The index of these records, each a line of one byte.
    fn index(records: &[Feedback]) -> Index {
        let mut index = Index::default();
        for (offset, record) in (0..).zip(records) {
            index.add(record, offset);
        }
        index.seal();
        index
    }

    fn judged(standing: Standing) -> Seen {
        Seen::Judged { standing, overrides: None }
    }

    #[test]
    fn the_later_record_of_a_judgment_holds() {
        let index = index(&[
            record(1, "a", None),
            record(2, "b", Some(true.into())),
            record(1, "a", Some(0.5.into())),
            record(3, "c", None),
        ]);
        assert_eq!(index.len(), 3);
        assert_eq!(index.look_up(key("a"), id(1)), judged(Standing::Number(0.5)));
        assert_eq!(index.look_up(key("b"), id(2)), judged(Standing::Number(1.0)));
        let failed = Standing::Failed { code: Some(ErrorCode::Timeout), create_time_ms: 3 };
        assert_eq!(index.look_up(key("c"), id(3)), judged(failed));
        assert_eq!(index.look_up(key("d"), id(4)), Seen::New);
    }

    #[test]
    fn a_new_judgment_overrides_the_latest_opinion_and_never_an_error() {
        let index = index(&[
            record(1, "a", Some(1.into())),
            record(2, "a", Some(2.into())),
            record(3, "a", None),
            record(1, "b", None),
        ]);
        assert_eq!(index.look_up(key("a"), id(9)), Seen::Changed { overrides: id(2) });
        assert_eq!(index.look_up(key("b"), id(9)), Seen::New);
    }

    #[test]
    fn an_error_still_knows_the_opinion_that_its_verdict_will_override() {
        let failed = |n: u8| Standing::Failed { code: Some(ErrorCode::Timeout), create_time_ms: n.into() };
        let index = index(&[record(1, "a", Some(1.into())), record(2, "a", None), record(3, "a", None)]);
        assert_eq!(
            index.look_up(key("a"), id(2)),
            Seen::Judged { standing: failed(2), overrides: Some(id(1)) },
            "an error is no opinion, so the later one changes nothing"
        );
        assert_eq!(index.look_up(key("a"), id(1)), judged(Standing::Number(1.0)));
    }

    #[test]
    fn an_overridden_verdict_is_told_from_one_that_holds_until_it_is_recorded_again() {
        let verdict = |n| record(n, "a", Some(n.into()));
        let once = index(&[verdict(1), verdict(2), record(3, "a", None)]);
        let overridden = Seen::Overridden { standing: Standing::Number(1.0), offset: 0, by: id(2) };
        assert_eq!(once.look_up(key("a"), id(1)), overridden);
        assert_eq!(once.look_up(key("a"), id(2)), judged(Standing::Number(2.0)));
        let again = index(&[verdict(1), verdict(2), verdict(1)]);
        assert_eq!(again.look_up(key("a"), id(1)), judged(Standing::Number(1.0)));
        let overridden = Seen::Overridden { standing: Standing::Number(2.0), offset: 1, by: id(1) };
        assert_eq!(again.look_up(key("a"), id(2)), overridden);
    }

    #[test]
    fn an_opinion_stands_as_its_last_record_does() {
        let verdict = |n, trace| record(n, trace, Some(n.into()));
        let index = index(&[
            record(1, "failed", None),
            record(1, "cured", None),
            verdict(1, "cured"),
            record(1, "changed", None),
            verdict(2, "changed"),
            verdict(1, "worse"),
            record(2, "worse", None),
            verdict(1, "updated"),
            record(2, "updated", None),
            verdict(1, "updated"),
        ]);
        let failed = |n: u8| Some(Standing::Failed { code: Some(ErrorCode::Timeout), create_time_ms: n.into() });
        assert_eq!((index.latest(key("failed")), index.latest(key("worse"))), (failed(1), failed(2)));
        assert_eq!(index.latest(key("cured")), Some(Standing::Number(1.0)));
        assert_eq!(index.latest(key("changed")), Some(Standing::Number(2.0)));
        assert_eq!(index.latest(key("updated")), Some(Standing::Number(1.0)));
        assert_eq!(index.latest(key("none")), None);
        assert_eq!(index.failures(), BTreeMap::from([(Some(ErrorCode::Timeout), 2)]));
    }

    #[test]
    fn only_verdicts_prove_a_model() {
        let failed = Feedback { source: Source::llm_judge("failing"), ..record(1, "a", None) };
        let person = Source { source_type: SourceType::Human, source_id: Some("person".into()) };
        let human = Feedback { source: person, ..record(2, "a", Some(1.into())) };
        let index = index(&[failed, human, record(3, "b", Some(1.into()))]);
        assert!(index.has_verdict_of("m"));
        assert!(!index.has_verdict_of("failing") && !index.has_verdict_of("person"));
    }

    #[test]
    fn an_entry_takes_48_bytes() {
        assert_eq!(size_of::<Entry>(), 48);
    }
}
