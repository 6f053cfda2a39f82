//! The manifest of a log: the progress of its run, and how it and earlier runs were set up. It is next to the log, so that a run can be watched
//! from elsewhere, and failures retried without any other argument.
//!
//! It holds no secret: no key, no value of a header, no user, password or query of an address.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::run_plan::RunPlan;
use crate::files;
use crate::run::outcome::exit::{Exit, RunReport};
use crate::run::outcome::summary::{QuestionSummary, Summary};

/// `<log>.run.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Of this form.
    pub format: u32,
    /// Of judge-run.
    pub version: String,
    /// As in the records' metadata.
    pub run_id: String,
    /// The process.
    pub pid: u32,
    /// Whether the run retries failures of earlier ones.
    pub is_replay: bool,
    /// Its state. A run that was killed stays `running`.
    pub state: State,
    /// Why it ended before everything was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
    /// The process's exit code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<u8>,
    /// Unix milliseconds, as all times.
    pub start_time_ms: i64,
    /// When this was written.
    pub update_time_ms: i64,
    /// When the run ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_time_ms: Option<i64>,
    /// How the run was set up, and how earlier runs in the log were; the newest first. Empty if the manifest is from an
    /// older form, which did not say.
    #[serde(default)]
    pub plans: Vec<RunPlan>,
    /// What came of it so far.
    pub counts: Counts,
}

/// The state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Under way, or killed.
    Running,
    /// Everything was asked.
    Finished,
    /// It ended early by itself.
    Stopped,
    /// The user ended it.
    Interrupted,
}

/// What came of a run so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Traces that were read.
    pub traces: u64,
    /// Lines that are not traces.
    pub rejects: u64,
    /// Of the dataset.
    pub bytes_read: u64,
    /// Of the dataset, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_total: Option<u64>,
    /// Whether the dataset was read to its end, or as far as the limit.
    pub read_to_end: bool,
    /// Requests sent, retries included.
    pub requests: u64,
    /// Of these, retries.
    pub retries: u64,
    /// Judgments that could not be saved.
    pub unsaved: u64,
    /// By judge, in the run's order.
    pub judges: Vec<JudgeCounts>,
}

/// The counts of one judge.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct JudgeCounts {
    /// The judge's name.
    pub name: String,
    /// The model URI.
    pub source_id: String,
    /// Judgments to be asked, as far as the dataset was read.
    pub planned: u64,
    /// Verdicts.
    pub scored: u64,
    /// Verdicts that the log already had.
    pub kept_scored: u64,
    /// Failures by code.
    pub failed: BTreeMap<String, u64>,
    /// Failures that the log already had and that were not asked again.
    pub kept_failed: u64,
    /// Judgments in which the judge abstained, earlier ones and this run's.
    pub abstained: u64,
    /// Rejected verdicts that were not asked again.
    pub kept_invalid: u64,
    /// Planned but not reached, or in a batch that has not ended.
    pub unjudged: u64,
    /// Of these, in a batch.
    pub batched: u64,
    /// Traces, spans and sessions in which there was nothing to judge.
    pub skipped: u64,
    /// Of all attempts.
    pub input_tokens: u64,
    /// Of these, from the provider's cache.
    pub cached_tokens: u64,
    /// Of all attempts.
    pub output_tokens: u64,
    /// Where prices are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
}

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ManifestError {
    #[error("cannot read the manifest `{}`", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("`{}` is not the manifest of a run", path.display())]
    Json { path: PathBuf, source: serde_json::Error },
    #[error("`{}` was written by a newer judge-run", path.display())]
    Newer { path: PathBuf },
}

impl Manifest {
    /// The format that this version writes, and the newest that it reads.
    pub const FORMAT: u32 = 2;

    /// Where the manifest of a log is: `feedback.jsonl` -> `feedback.run.json`.
    pub fn path_of(log: &Path) -> PathBuf {
        files::manifest_of(log)
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// When there is none, or this version does not understand it.
    pub fn read(path: &Path) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        struct Form {
            format: u32,
        }
        let text = std::fs::read(path).map_err(|source| ManifestError::Read { path: path.to_owned(), source })?;
        let json_error = |source| ManifestError::Json { path: path.to_owned(), source };
        let Form { format } = serde_json::from_slice(&text).map_err(json_error)?;
        if format > Self::FORMAT {
            return Err(ManifestError::Newer { path: path.to_owned() });
        }
        serde_json::from_slice(&text).map_err(json_error)
    }

    /// Replaces the file as a whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        files::replace(path, |out| out.write_all(&text))
    }

    /// Updates the counts.
    pub fn update(&mut self, summary: &Summary, now_ms: i64) {
        self.update_time_ms = now_ms;
        let counts = &mut self.counts;
        counts.traces = summary.traces;
        counts.rejects = summary.rejects;
        counts.read_to_end = summary.read_to_end;
        counts.requests = summary.requests;
        counts.retries = summary.retries;
        counts.unsaved = summary.unsaved;
        counts.judges = summary.questions.iter().map(JudgeCounts::of).collect();
    }

    /// Records how the run ended.
    pub fn end(&mut self, report: &RunReport, now_ms: i64) {
        self.update(&report.summary, now_ms);
        self.end_time_ms = Some(now_ms);
        self.exit_code = Some(report.exit().code());
        let reasons = report.stop_reasons();
        self.state = match report.exit() {
            Exit::Interrupted => State::Interrupted,
            _ if reasons.is_empty() => State::Finished,
            _ => State::Stopped,
        };
        self.stop_reason = (!reasons.is_empty()).then(|| reasons.join("; "));
    }
}

impl JudgeCounts {
    fn of(question: &QuestionSummary) -> Self {
        let counts = &question.counts;
        Self {
            name: question.info.judge.clone(),
            source_id: question.info.source_id.clone(),
            planned: counts.planned,
            scored: counts.scored,
            kept_scored: counts.kept_scored,
            failed: counts.failed.iter().map(|(code, n)| (code.to_string(), *n)).collect(),
            kept_failed: counts.all_kept_failed(),
            abstained: counts.all_abstained(),
            kept_invalid: counts.kept_invalid,
            unjudged: counts.unjudged() + counts.batched,
            batched: counts.batched,
            skipped: counts.skipped.count(),
            input_tokens: question.usage.input_tokens,
            cached_tokens: question.usage.cached_tokens,
            output_tokens: question.usage.output_tokens,
            cost: question.cost,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_manifest_and_other_files_are_rejected() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.run.json");
        let error = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Manifest::read(&path).unwrap_err()
        };
        assert!(matches!(error(r#"{"format": 3}"#), ManifestError::Newer { .. }));
        assert!(matches!(error(r#"{"format": 2}"#), ManifestError::Json { .. }));
        assert!(matches!(error("x"), ManifestError::Json { .. }));
    }
}
