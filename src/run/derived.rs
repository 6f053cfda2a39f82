//! Records that code derives from the verdicts in the log, at the end of a run: so they know the verdicts of all runs, cost nothing, and are made again
//! by the next run if this one is killed before.

use crate::feedback::log::{LogClosed, LogWriter};
use crate::feedback::{AssessmentId, Feedback, IdHasher, SESSION_METADATA, Source};
use crate::run::attempts::record::now_ms;

/// Records that are appended to the log together.
const TOGETHER: usize = 256;

/// Hashes what a record is about: its trace, its span, its document, its session.
pub(super) fn hash_subject(hasher: &mut IdHasher, feedback: &Feedback) {
    let texts = [&feedback.trace_id, &feedback.span_id, &feedback.metadata.get(SESSION_METADATA).cloned()];
    texts.into_iter().for_each(|text| _ = hasher.optional_part(text.as_deref().map(str::as_bytes)));
    if let Some(index) = feedback.document_index() {
        hasher.part(b"document").part(&index.to_le_bytes());
    }
}

/// Those of a run, which appends them in groups.
pub(super) struct Derived<'a> {
    writer: &'a LogWriter,
    run_id: &'a str,
    unwritten: Vec<Feedback>,
}

impl<'a> Derived<'a> {
    pub(super) fn new(writer: &'a LogWriter, run_id: &'a str) -> Self {
        Self { writer, run_id, unwritten: Vec::new() }
    }

    /// A record without a value, about the subject of a verdict; `in_common` are the members of the verdict's metadata that are true of it, too.
    pub(super) fn about(
        &self,
        verdict: Feedback,
        in_common: &[&str],
        id: AssessmentId,
        name: String,
        source: Source,
    ) -> Feedback {
        let now = now_ms();
        let Feedback { trace_id, span_id, mut metadata, .. } = verdict;
        metadata.retain(|key, _| in_common.contains(&key.as_str()));
        metadata.insert("run_id".to_owned(), self.run_id.to_owned());
        Feedback {
            assessment_id: Some(id.to_string()),
            name,
            source,
            create_time_ms: now,
            last_update_time_ms: now,
            trace_id,
            span_id,
            metadata,
            ..Feedback::default()
        }
    }

    /// Appends a record, soon.
    ///
    /// # Errors
    /// When the log's writer has stopped; closing the log reports why.
    pub(super) async fn append(&mut self, record: Feedback) -> Result<(), LogClosed> {
        self.unwritten.push(record);
        if self.unwritten.len() < TOGETHER { Ok(()) } else { self.flush().await }
    }

    /// Appends what is left.
    ///
    /// # Errors
    /// As of [`Self::append`].
    pub(super) async fn flush(&mut self) -> Result<(), LogClosed> {
        match std::mem::take(&mut self.unwritten) {
            records if records.is_empty() => Ok(()),
            records => self.writer.append_all(records).await,
        }
    }
}
