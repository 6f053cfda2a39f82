//! What a log already knows, in 40 bytes a judgment.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use super::brief::Brief;
use crate::feedback::{AssessmentId, ErrorCode, Feedback, IdHasher, RecordedErrorCode, Source, SourceType};

/// Whose opinion about what: records with the same key are one opinion's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpinionKey(u64);

impl OpinionKey {
    /// The key of an opinion by `source` about a trace, or a span of it, under a judge's name.
    pub fn new(trace_id: Option<&str>, span_id: Option<&str>, name: &str, source: &Source) -> Self {
        Self::of(trace_id, span_id, name, source.source_type, source.source_id.as_deref())
    }

    pub(super) fn of(
        trace_id: Option<&str>,
        span_id: Option<&str>,
        name: &str,
        source_type: SourceType,
        source_id: Option<&str>,
    ) -> Self {
        let mut hasher = IdHasher::new("judge-run opinion 1");
        hasher
            .optional_part(trace_id.map(str::as_bytes))
            .optional_part(span_id.map(str::as_bytes))
            .part(name.as_bytes())
            .part(source_type.as_str().as_bytes())
            .optional_part(source_id.map(str::as_bytes));
        Self(hasher.finish_u64())
    }

    /// The key of another of several independent answers, each of which is an opinion of its own; 0 is the first.
    #[must_use]
    pub fn sample(self, sample: u32) -> Self {
        if sample == 0 {
            return self;
        }
        let mut hasher = IdHasher::new("judge-run sample 1");
        Self(hasher.part(&self.0.to_le_bytes()).part(&sample.to_le_bytes()).finish_u64())
    }

    /// Which of `count` parts of all keys it belongs to.
    fn part(self, count: u64) -> u64 {
        ((u128::from(self.0) * u128::from(count)) >> u64::BITS) as u64
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
            (Some(error), _) => Self::failed(&error.error_code, feedback.create_time_ms),
            (None, _) if feedback.valid == Some(false) => Self::Invalid { create_time_ms: feedback.create_time_ms },
            (None, Some(Value::Bool(value))) => Self::Number(f64::from(u8::from(*value))),
            (None, Some(Value::Number(number))) => number.as_f64().map_or(Self::Other, Self::Number),
            (None, Some(Value::String(label))) => Self::Label(Self::label_hash(label)),
            (None, _) => Self::Other,
        }
    }

    pub(super) fn failed(code: &RecordedErrorCode, create_time_ms: i64) -> Self {
        let code = match code {
            RecordedErrorCode::Known(code) => Some(*code),
            RecordedErrorCode::Foreign(_) => None,
        };
        Self::Failed { code, create_time_ms }
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

/// A judgment's last record. Its standing and its offset are packed, which saves a sixth.
#[derive(Debug, Clone, Copy)]
struct Entry {
    opinion: OpinionKey,
    id: AssessmentId,
    /// The number, hash or time of the standing.
    content: u64,
    /// The offset of the record's line in 48 bits, and in 16 bits what the content is.
    place: u64,
}

impl Entry {
    const NUMBER: u64 = 0;
    const LABEL: u64 = 1;
    const OTHER: u64 = 2;
    const INVALID: u64 = 3;
    /// A failure with another tool's code; one of ours is this and one more than its place in [`ErrorCode::ALL`].
    const FAILED: u64 = 4;
    const KIND_BITS: u32 = 16;

    fn new(opinion: OpinionKey, id: AssessmentId, standing: Standing, offset: u64) -> Self {
        let (kind, content) = match standing {
            Standing::Number(number) => (Self::NUMBER, number.to_bits()),
            Standing::Label(hash) => (Self::LABEL, hash),
            Standing::Other => (Self::OTHER, 0),
            Standing::Invalid { create_time_ms } => (Self::INVALID, create_time_ms.cast_unsigned()),
            Standing::Failed { code, create_time_ms } => {
                let code = code.and_then(|code| ErrorCode::ALL.iter().position(|known| *known == code));
                (Self::FAILED + code.map_or(0, |i| i as u64 + 1), create_time_ms.cast_unsigned())
            }
        };
        Self { opinion, id, content, place: offset << Self::KIND_BITS | kind }
    }

    fn kind(&self) -> u64 {
        self.place & ((1 << Self::KIND_BITS) - 1)
    }

    fn offset(&self) -> u64 {
        self.place >> Self::KIND_BITS
    }

    fn standing(&self) -> Standing {
        let create_time_ms = self.content.cast_signed();
        match self.kind() {
            Self::NUMBER => Standing::Number(f64::from_bits(self.content)),
            Self::LABEL => Standing::Label(self.content),
            Self::OTHER => Standing::Other,
            Self::INVALID => Standing::Invalid { create_time_ms },
            failed => {
                let code =
                    failed.checked_sub(Self::FAILED + 1).and_then(|i| ErrorCode::ALL.get(usize::try_from(i).ok()?));
                Standing::Failed { code: code.copied(), create_time_ms }
            }
        }
    }

    /// Whether it was an opinion once: an invalid one still is what a later one overrides.
    fn is_opinion(&self) -> bool {
        self.kind() < Self::FAILED
    }

    fn is_verdict(&self) -> bool {
        self.is_opinion() && !self.is_invalid()
    }

    fn is_invalid(&self) -> bool {
        self.kind() == Self::INVALID
    }
}

/// How many entries are searched for one.
const PART: usize = 16;
/// So many of a log's first records tell how many there are in all.
const FIRST: usize = 4096;

/// All judgments of a log, sorted for lookup. It does not change while a run appends.
#[derive(Debug, Default)]
pub struct Index {
    entries: Vec<Entry>,
    /// Where the keys with the same first bits begin, and at last the end: keys are hashes, so each part has about [`PART`] of them.
    parts: Vec<u32>,
    /// The models that gave a verdict.
    proven: HashSet<String>,
    /// Of the log that it is made from.
    log_bytes: u64,
}

impl Index {
    /// An index of a log of so many bytes, for which it takes room once: whoever doubles it holds the old half as well for a moment.
    pub(super) fn of_bytes(log_bytes: u64) -> Self {
        Self { log_bytes, ..Self::default() }
    }

    /// Adds the record at `offset`, in the log's order; [`Index::seal`] must follow before any lookup. Records without an id of
    /// judge-run's form are other people's and play no part in resuming.
    pub(super) fn add(&mut self, record: &Brief<'_>, offset: u64) {
        let Some(id) = record.id else { return };
        self.entries.push(Entry::new(record.opinion, id, record.standing, offset));
        if self.entries.len() == FIRST {
            let left = self.log_bytes.saturating_sub(offset) / (offset / FIRST as u64).max(1);
            // Too little is made up for later, and what is not used takes no memory.
            let _ = self.entries.try_reserve_exact(usize::try_from(left.saturating_add(left / 32)).unwrap_or(0));
        }
        if let (SourceType::LlmJudge, Some(source_id)) = (record.source_type, &record.source_id)
            && !matches!(record.standing, Standing::Failed { .. })
            && !self.proven.contains(&**source_id)
        {
            self.proven.insert(source_id.clone().into_owned());
        }
    }

    /// Sorts the entries and keeps the last standing of each judgment.
    pub(super) fn seal(&mut self) {
        // Within one opinion in the log's order.
        self.entries.sort_unstable_by_key(|entry| (entry.opinion, entry.offset()));
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
        let count = (kept / PART).next_power_of_two() as u64;
        let first_of = |part| entries.partition_point(|entry| entry.opinion.part(count) < part);
        self.parts = (0..=count).map(|part| u32::try_from(first_of(part)).unwrap_or(u32::MAX)).collect();
    }

    /// The records of an opinion.
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
                Seen::Overridden { standing: this.standing(), offset: this.offset(), by }
            }
            (Some(this), other) => {
                Seen::Judged { standing: this.standing(), overrides: other.filter(|_| !this.is_verdict()) }
            }
        }
    }

    /// Where the record of this very judgment is, if it is a verdict.
    pub(super) fn verdict_at(&self, opinion: OpinionKey, id: AssessmentId) -> Option<u64> {
        self.of(opinion).iter().find(|entry| entry.id == id && entry.is_verdict()).map(Entry::offset)
    }

    /// How an opinion stands: as its last record does, verdict or failure. `None` if the log has nothing of it.
    pub fn latest(&self, opinion: OpinionKey) -> Option<Standing> {
        self.of(opinion).last().map(Entry::standing)
    }

    /// How many opinions stand as failures, by code; `None` counts other tools' codes.
    pub fn failures(&self) -> BTreeMap<Option<ErrorCode>, u64> {
        let mut failures = BTreeMap::new();
        for (i, entry) in self.entries.iter().enumerate() {
            let is_last = self.entries.get(i + 1).is_none_or(|next| next.opinion != entry.opinion);
            if let Standing::Failed { code, .. } = entry.standing()
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
            index.add(&Brief::of(record), offset);
        }
        index.seal();
        index
    }

    fn judged(standing: Standing) -> Seen {
        Seen::Judged { standing, overrides: None }
    }

    #[test]
    fn room_is_taken_once_for_the_whole_log() {
        let (records, line) = (50_000, 100);
        let record = record(1, "a", Some(true.into()));
        let mut index = Index::of_bytes(records * line);
        (0..records).for_each(|i| index.add(&Brief::of(&record), i * line));
        assert_eq!(index.entries.len() as u64, records);
        assert!(index.entries.capacity() as u64 <= records + records / 20, "{}", index.entries.capacity());
        // A length that cannot be is no reason to fail.
        let mut absurd = Index::of_bytes(u64::MAX);
        (0..5_000).for_each(|i| absurd.add(&Brief::of(&record), i));
        assert_eq!(absurd.entries.len(), 5_000);
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
    fn every_one_of_many_is_found() {
        let names: Vec<String> = (0..1000).map(|i| i.to_string()).collect();
        let index = index(&names.iter().map(|name| record(1, name, Some(1.into()))).collect::<Vec<_>>());
        assert!(index.parts.len() > 50);
        assert!(names.iter().all(|name| index.look_up(key(name), id(1)) == judged(Standing::Number(1.0))));
        assert!((1000..2000).all(|i| index.look_up(key(&i.to_string()), id(1)) == Seen::New));
        assert_eq!(Index::default().latest(key("a")), None);
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
    fn an_entry_takes_40_bytes_and_gives_back_what_it_holds() {
        assert_eq!(size_of::<Entry>(), 40);
        let create_time_ms = -1;
        let failed = ErrorCode::ALL.iter().map(|code| Standing::Failed { code: Some(*code), create_time_ms });
        let others = [
            Standing::Number(-0.5),
            Standing::Label(u64::MAX),
            Standing::Other,
            Standing::Invalid { create_time_ms },
            Standing::Failed { code: None, create_time_ms },
        ];
        for standing in failed.chain(others) {
            let entry = Entry::new(key("a"), id(1), standing, 1 << 47);
            assert_eq!((entry.standing(), entry.offset()), (standing, 1 << 47));
        }
    }
}
