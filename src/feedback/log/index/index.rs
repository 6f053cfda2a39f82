//! What a log already has, in 40 bytes per judgment.

use std::collections::{BTreeMap, HashMap};

use super::entry::Entry;
use crate::feedback::history::{OpinionKey, Standing};
use crate::feedback::{AssessmentId, ErrorCode};

/// What the log has on a judgment that is about to be asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Seen {
    /// Nothing at all.
    New,
    /// This very judgment, and its record is in force.
    Judged {
        /// How it stands.
        standing: Standing,
        /// For a failure or a rejected verdict: the opinion that a later verdict will override.
        overrides: Option<AssessmentId>,
    },
    /// This very judgment has a verdict, and a later opinion supersedes it: the question returned to what it was before.
    Superseded {
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

/// How many entries are searched for one.
const PART: usize = 16;

/// All judgments of a log, sorted for lookup. It does not change while a run appends.
#[derive(Debug, Default)]
pub struct Index {
    /// By opinion, and within one in chronological order, as defined by [`crate::feedback::history`].
    entries: Vec<Entry>,
    /// Where the keys with the same first bits begin, and finally the end: keys are hashes, so each part has about [`PART`] of them.
    parts: Vec<u32>,
    /// The models with records, and whether each gave a verdict.
    models: HashMap<String, bool>,
}

impl Index {
    pub(super) fn new(entries: Vec<Entry>, models: HashMap<String, bool>) -> Self {
        let count = (entries.len() / PART).next_power_of_two() as u64;
        let first_of = |part| entries.partition_point(|entry| entry.opinion.part(count) < part);
        let parts = (0..=count).map(|part| u32::try_from(first_of(part)).unwrap_or(u32::MAX)).collect();
        Self { entries, parts, models }
    }

    /// The entries of an opinion.
    fn of(&self, opinion: OpinionKey) -> &[Entry] {
        let count = self.parts.len().saturating_sub(1) as u64;
        let part = opinion.part(count) as usize;
        let end = |i: usize| self.parts.get(i).map_or(0, |end| *end as usize);
        let part = self.entries.get(end(part)..end(part + 1)).unwrap_or_default();
        let start = part.partition_point(|entry| entry.opinion < opinion);
        let rest = part.get(start..).unwrap_or_default();
        rest.chunk_by(|a, b| a.opinion == b.opinion)
            .next()
            .filter(|group| group[0].opinion == opinion)
            .unwrap_or_default()
    }

    /// What is known of a judgment.
    pub fn look_up(&self, opinion: OpinionKey, id: AssessmentId) -> Seen {
        let group = self.of(opinion);
        let other = group.iter().rfind(|entry| entry.id != id && entry.is_verdict()).map(|entry| entry.id);
        let verdict = group.iter().find(|entry| entry.id == id && entry.is_verdict());
        let failure = group.iter().rfind(|entry| entry.id == id && !entry.is_verdict());
        // A failure that something follows says nothing about the verdict.
        let is_last = |entry: &&Entry| group.last().is_some_and(|last| last.place == entry.place);
        match (failure.filter(|entry| verdict.is_none() || is_last(entry)).or(verdict), other) {
            (None, None) => Seen::New,
            (None, Some(overrides)) => Seen::Changed { overrides },
            (Some(this), Some(by)) if this.has(Entry::SUPERSEDED) => {
                Seen::Superseded { standing: this.standing(), offset: this.offset(), by }
            }
            (Some(this), other) => {
                let is_held = this.is_verdict() && !this.is_rejected();
                Seen::Judged { standing: this.standing(), overrides: other.filter(|_| !is_held) }
            }
        }
    }

    /// Where the record of this very judgment is, if it has a verdict that was not rejected.
    pub(in crate::feedback::log) fn verdict_at(&self, opinion: OpinionKey, id: AssessmentId) -> Option<u64> {
        let mut verdicts = self.of(opinion).iter().filter(|entry| entry.is_verdict() && !entry.is_rejected());
        verdicts.find(|entry| entry.id == id).map(Entry::offset)
    }

    /// How an opinion stands; `None` if the log has no record of it.
    pub fn standing(&self, opinion: OpinionKey) -> Option<Standing> {
        self.of(opinion).last().map(Entry::standing)
    }

    /// The number of opinions that stand as failures, by code; `None` counts other tools' codes.
    pub fn failures(&self) -> BTreeMap<Option<ErrorCode>, u64> {
        let mut failures = BTreeMap::new();
        for entry in self.last_of_each() {
            if let Standing::Failed { code, .. } = entry.standing() {
                *failures.entry(code).or_default() += 1;
            }
        }
        failures
    }

    /// The number of opinions that stand as verdicts that a person rejected.
    pub fn rejected(&self) -> u64 {
        self.last_of_each().filter(|entry| entry.is_rejected()).count() as u64
    }

    /// What each opinion stands as.
    fn last_of_each(&self) -> impl Iterator<Item = &Entry> {
        self.entries.chunk_by(|a, b| a.opinion == b.opinion).filter_map(<[Entry]>::last)
    }

    /// Whether the log has a verdict by this model.
    pub fn has_verdict_of(&self, source_id: &str) -> bool {
        self.models.get(source_id).is_some_and(|is_proven| *is_proven)
    }

    /// Whether the log has a verdict or a failure of this model.
    pub fn has_record_of(&self, source_id: &str) -> bool {
        self.models.contains_key(source_id)
    }

    /// Verdicts and failures in the index.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether the log has no records of ours.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::build::IndexBuilder;
    use super::*;
    use crate::feedback::history::Facts;
    use crate::feedback::{Feedback, FeedbackError, IdHasher, Source, SourceType};

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
        let mut index = IndexBuilder::default();
        for (offset, record) in (0..).zip(records) {
            index.add(&Facts::of(record), offset);
        }
        index.seal()
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
            "an error is not an opinion, so the later one changes nothing"
        );
        assert_eq!(index.look_up(key("a"), id(1)), judged(Standing::Number(1.0)));
    }

    #[test]
    fn an_overridden_verdict_is_told_from_one_that_holds_until_it_is_recorded_again() {
        let verdict = |n| record(n, "a", Some(n.into()));
        let once = index(&[verdict(1), verdict(2), record(3, "a", None)]);
        let overridden = Seen::Superseded { standing: Standing::Number(1.0), offset: 0, by: id(2) };
        assert_eq!(once.look_up(key("a"), id(1)), overridden);
        assert_eq!(once.look_up(key("a"), id(2)), judged(Standing::Number(2.0)));
        let again = index(&[verdict(1), verdict(2), verdict(1)]);
        assert_eq!(again.look_up(key("a"), id(1)), judged(Standing::Number(1.0)));
        let overridden = Seen::Superseded { standing: Standing::Number(2.0), offset: 1, by: id(1) };
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
        assert_eq!((index.standing(key("failed")), index.standing(key("worse"))), (failed(1), failed(2)));
        assert_eq!(index.standing(key("cured")), Some(Standing::Number(1.0)));
        assert_eq!(index.standing(key("changed")), Some(Standing::Number(2.0)));
        assert_eq!(index.standing(key("updated")), Some(Standing::Number(1.0)));
        assert_eq!(index.standing(key("none")), None);
        assert_eq!(index.failures(), BTreeMap::from([(Some(ErrorCode::Timeout), 2)]));
    }

    #[test]
    fn every_one_of_many_is_found() {
        let names: Vec<String> = (0..1000).map(|i| i.to_string()).collect();
        let index = index(&names.iter().map(|name| record(1, name, Some(1.into()))).collect::<Vec<_>>());
        assert!(index.parts.len() > 50);
        assert!(names.iter().all(|name| index.look_up(key(name), id(1)) == judged(Standing::Number(1.0))));
        assert!((1000..2000).all(|i| index.look_up(key(&i.to_string()), id(1)) == Seen::New));
        assert_eq!(Index::default().standing(key("a")), None);
    }

    #[test]
    fn only_verdicts_prove_a_model() {
        let failed = Feedback { source: Source::llm_judge("failing"), ..record(1, "a", None) };
        let person = Source { source_type: SourceType::Human, source_id: Some("person".into()) };
        let human = Feedback { source: person, ..record(2, "a", Some(1.into())) };
        let index = index(&[failed, human, record(3, "b", Some(1.into()))]);
        assert!(index.has_verdict_of("m"));
        assert!(!index.has_verdict_of("failing") && !index.has_verdict_of("person"));
        assert!(index.has_record_of("failing") && !index.has_record_of("person") && !index.has_record_of("none"));
    }
}
