//! Another run's log, whose verdicts are reused.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::error::not_a_log;
use super::file::refuse_what_is_no_file;
use super::index::IndexBuilder;
use super::lines::{LineReader, for_each_line};
use super::{Index, OpenError, OpinionKey};
use crate::feedback::history::{Facts, Says};
use crate::feedback::{AssessmentId, Feedback};

/// A log that is only read, without its lock: a run may be writing to it, or it may be write-protected.
#[derive(Debug)]
pub struct ReuseLog {
    path: PathBuf,
    index: Index,
    lines: Mutex<LineReader>,
}

impl ReuseLog {
    /// Reads which verdicts there are.
    ///
    /// # Errors
    /// When there is no such file, it cannot be read, or is clearly not a log.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        refuse_what_is_no_file(path)?;
        if path.is_dir() {
            return Err(OpenError::Directory { path: path.to_owned() });
        }
        let io_error = |source| OpenError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io_error)?;
        let mut index = IndexBuilder::of_bytes(file.metadata().map_err(io_error)?.len());
        let (mut is_log, mut first_line) = (false, None);
        for_each_line(&file, |offset, line, record| match record {
            Some(record) => {
                is_log = true;
                index.add(&record, offset);
            }
            None if line.ends_with(b"\n") => drop(first_line.get_or_insert_with(|| line.to_vec())),
            None => {}
        })
        .map_err(io_error)?;
        if let (false, Some(line)) = (is_log, first_line) {
            return Err(not_a_log(path, &line));
        }
        let index = index.seal();
        let lines = Mutex::new(LineReader::new(file).map_err(io_error)?);
        Ok(Self { path: path.to_owned(), index, lines })
    }

    /// The record of a judgment that has a verdict here. `None` also if it cannot be read any more: then it is asked.
    pub fn verdict(&self, opinion: OpinionKey, id: AssessmentId) -> Option<Feedback> {
        let offset = self.index.verdict_at(opinion, id)?;
        let record = self.lines.lock().unwrap_or_else(PoisonError::into_inner).record(offset).ok()?;
        let facts = Facts::of(&record);
        let is_it = facts.is_own && facts.id == Some(id) && !matches!(facts.says, Says::Failure(_));
        is_it.then_some(record)
    }

    /// The name of the file.
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy().into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feedback::{ErrorCode, FeedbackError, Source};

    fn record(n: u8, verdict: bool) -> Feedback {
        let error = FeedbackError { error_code: ErrorCode::Timeout.into(), error_message: None, stack_trace: None };
        Feedback {
            assessment_id: Some(format!("a-{n:032x}")),
            name: "j".into(),
            trace_id: Some("t".into()),
            source: Source::llm_judge("m"),
            value: verdict.then(|| n.into()),
            error: (!verdict).then_some(error),
            ..Feedback::default()
        }
    }

    fn line(record: &Feedback) -> String {
        serde_json::to_string(record).unwrap() + "\n"
    }

    fn look_up(log: &ReuseLog, n: u8) -> Option<Feedback> {
        let key = OpinionKey::new(Some("t"), None, "j", &Source::llm_judge("m"));
        log.verdict(key, record(n, true).assessment_id.unwrap().parse().unwrap())
    }

    #[test]
    fn verdicts_are_found_past_damage_and_errors_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("last night.jsonl");
        let records = [record(1, true), record(2, false), record(3, false), record(3, true)];
        let [one, two, three, again] = records.each_ref().map(line);
        std::fs::write(&path, format!("{two}broken\n\n{one}{three}broken too\n{again}torn")).unwrap();
        let log = ReuseLog::open(&path).unwrap();
        assert_eq!(log.name(), "last night.jsonl");
        assert_eq!([1, 2, 3, 4].map(|n| look_up(&log, n)), [Some(record(1, true)), None, Some(record(3, true)), None]);
        // Its owner emptied it.
        std::fs::write(&path, "").unwrap();
        assert_eq!(ReuseLog::open(&path).unwrap().index.len(), 0);
    }

    #[test]
    fn a_log_that_was_cut_after_it_was_read_gives_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.jsonl");
        std::fs::write(&path, line(&record(1, true))).unwrap();
        let log = ReuseLog::open(&path).unwrap();
        std::fs::write(&path, "").unwrap();
        assert_eq!(look_up(&log, 1), None);
    }

    #[test]
    fn what_is_not_a_log_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.jsonl");
        assert!(matches!(ReuseLog::open(&path), Err(OpenError::Io { .. })));
        assert!(matches!(ReuseLog::open(folder.path()), Err(OpenError::Directory { .. })));
        std::fs::write(&path, "{\"inputs\":1}\n").unwrap();
        assert!(matches!(ReuseLog::open(&path), Err(OpenError::NotALog { .. })));
    }
}
