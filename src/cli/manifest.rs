//! The manifest of a run, and when it is written.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use judge_run::run::manifest::{Counts, Manifest, State};
use judge_run::run::{Event, RunPlan, RunReport, RunSettings, Summary};

/// How often it is written during a run.
const INTERVAL: Duration = Duration::from_secs(3);

/// The manifest of a run in progress.
pub(crate) struct Record {
    path: PathBuf,
    log: PathBuf,
    manifest: Manifest,
    summary: Summary,
    written: Option<Instant>,
    /// It could not be written; one warning is enough.
    failed: bool,
}

impl Record {
    /// For a run that is about to begin; nothing is written yet. `None` if the log can have no companion file.
    pub(crate) fn begin(log: &Path, plans: Vec<RunPlan>, is_replay: bool, run: &RunSettings) -> Option<Self> {
        if !log.is_file() {
            return None;
        }
        let now = now_ms();
        let manifest = Manifest {
            format: Manifest::FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            run_id: run.run_id.clone(),
            pid: std::process::id(),
            is_replay,
            state: State::Running,
            stop_reason: None,
            exit_code: None,
            start_time_ms: now,
            update_time_ms: now,
            end_time_ms: None,
            plans,
            counts: Counts::default(),
        };
        let summary = Summary::new(run.questions.iter().map(|(question, _)| question), &run.lanes, run.selection.shard);
        let path = Manifest::path_of(log);
        Some(Self { path, log: log.to_owned(), manifest, summary, written: None, failed: false })
    }

    /// Records an event, and writes at the first one and every few seconds; returns a warning if that fails.
    pub(crate) fn add(&mut self, event: &Event<'_>) -> Option<String> {
        self.summary.add(event);
        if let Event::TraceRead { bytes_read, total_bytes } | Event::NotSelected { bytes_read, total_bytes, .. } = event
        {
            (self.manifest.counts.bytes_read, self.manifest.counts.bytes_total) = (*bytes_read, *total_bytes);
        }
        let is_due = match self.written {
            None => true,
            Some(written) => matches!(event, Event::Tick) && written.elapsed() >= INTERVAL,
        };
        if !is_due {
            return None;
        }
        self.written = Some(Instant::now());
        self.manifest.update(&self.summary, now_ms());
        self.write()
    }

    /// Writes how the run ended. A run that left no log leaves no manifest, unless what it left is in batches.
    pub(crate) fn end(mut self, report: &RunReport) -> Option<String> {
        if !self.log.exists() && report.summary.batched() == 0 {
            let _ = std::fs::remove_file(&self.path);
            return None;
        }
        self.manifest.end(report, now_ms());
        self.write()
    }

    fn write(&mut self) -> Option<String> {
        let error = self.manifest.write(&self.path).err()?;
        let first = !std::mem::replace(&mut self.failed, true);
        first.then(|| format!("cannot write the run's manifest {}: {error}", self.path.display()))
    }
}

pub(crate) fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
