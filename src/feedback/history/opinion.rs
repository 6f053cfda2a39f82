//! Whose opinion about what.

use crate::feedback::{AssessmentId, IdHasher, Source, SourceType};

/// Records with the same key are one opinion's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpinionKey(u64);

impl OpinionKey {
    /// The key of our own opinion by `source` about a trace, or a span of it, under a judge's name.
    pub fn new(trace_id: Option<&str>, span_id: Option<&str>, name: &str, source: &Source) -> Self {
        let Source { source_type, source_id } = source;
        About { trace_id, span_id, name, source_type: *source_type, source_id: source_id.as_deref() }.key(true, None)
    }

    /// The key of another of several independent answers, which are separate opinions; 0 is the first.
    #[must_use]
    pub fn sample(self, sample: u32) -> Self {
        if sample == 0 {
            return self;
        }
        let mut hasher = IdHasher::new("judge-run sample 1");
        Self(hasher.part(&self.0.to_le_bytes()).part(&sample.to_le_bytes()).finish_u64())
    }

    /// The key of the opinion about two outputs in this order: that about others under the same trace, and that in the other order, are separate
    /// opinions. `None` is about the trace itself.
    #[must_use]
    pub fn comparing(self, names: Option<[&str; 2]>) -> Self {
        self.of_sides(names.map(|names| names.map(name_hash)))
    }

    /// The same by the hashes of the names.
    pub(super) fn of_sides(self, names: Option<[u64; 2]>) -> Self {
        let Some([a, b]) = names else { return self };
        let mut hasher = IdHasher::new("judge-run pair 1");
        Self(hasher.part(&self.0.to_le_bytes()).part(&a.to_le_bytes()).part(&b.to_le_bytes()).finish_u64())
    }

    /// The key of the opinion about one of the documents that a span found: each has its own. `None` is about the span itself.
    #[must_use]
    pub fn of_document(self, index: Option<u32>) -> Self {
        let Some(index) = index else { return self };
        let mut hasher = IdHasher::new("judge-run document 1");
        Self(hasher.part(&self.0.to_le_bytes()).part(&index.to_le_bytes()).finish_u64())
    }

    /// Which of `count` parts of all keys it belongs to.
    pub(crate) fn part(self, count: u64) -> u64 {
        ((u128::from(self.0) * u128::from(count)) >> u64::BITS) as u64
    }
}

/// Identifies the name of a compared output.
pub(super) fn name_hash(name: &str) -> u64 {
    IdHasher::new("judge-run side 1").part(name.as_bytes()).finish_u64()
}

/// What makes an opinion.
#[derive(Debug, Clone, Copy)]
pub(super) struct About<'a> {
    pub trace_id: Option<&'a str>,
    pub span_id: Option<&'a str>,
    pub name: &'a str,
    pub source_type: SourceType,
    pub source_id: Option<&'a str>,
}

impl About<'_> {
    /// `id` is that of the record: without a trace its subject is unknown, and each id is a separate opinion. Others have other keys than
    /// ours, even for the same source: MLflow's judge on the same model is not ours.
    pub(super) fn key(self, is_own: bool, id: Option<AssessmentId>) -> OpinionKey {
        let Self { trace_id, span_id, name, source_type, source_id } = self;
        let mut hasher = IdHasher::new(if is_own { "judge-run opinion 1" } else { "judge-run opinion of others 1" });
        hasher
            .optional_part(trace_id.map(str::as_bytes))
            .optional_part(span_id.map(str::as_bytes))
            .part(name.as_bytes())
            .part(source_type.as_str().as_bytes())
            .optional_part(source_id.map(str::as_bytes));
        if let Some(id) = id.filter(|_| trace_id.is_none()) {
            hasher.part(id.as_bytes());
        }
        OpinionKey(hasher.finish_u64())
    }
}
