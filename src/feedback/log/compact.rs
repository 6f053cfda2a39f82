//! A log without what later records supersede: failures that were asked again, and verdicts that were recorded again.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use super::file::{LogFile, refuse_what_is_no_file};
use super::lines::{for_each_line, for_each_raw_line};
use super::{Mode, OpenError, OpenLog, OpenReport};
use crate::feedback::history::{Act, History, Line};
use crate::files::Replacement;

/// What a compaction did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Records before.
    pub before: u64,
    /// Failures that were dropped: their opinion has a later record.
    pub failures: u64,
    /// Verdicts that were dropped: a later record is the verdict under the same id.
    pub verdicts: u64,
    /// What opening the log found and repaired.
    pub report: OpenReport,
}

impl Compacted {
    /// Records after.
    pub fn after(&self) -> u64 {
        self.before - self.failures - self.verdicts
    }
}

/// Rewrites the log without superseded failures and verdicts. Every opinion stays, overridden ones too, and so do others' records, also those
/// that they append meanwhile. After a kill at any moment, either the old log or the new one is there.
///
/// # Errors
/// When there is no log, or it cannot be opened, repaired or written, or another process holds it.
pub fn compact(path: &Path) -> Result<Compacted, OpenError> {
    let io_error = |source| OpenError::Io { path: path.to_owned(), source };
    refuse_what_is_no_file(path)?;
    let OpenLog { mut file, report, index, .. } = OpenLog::open(path, Mode::Resume)?;
    drop(index);
    let (superseded, mut compacted) = find_superseded(&file.file).map_err(io_error)?;
    compacted.report = report;
    if compacted.after() < compacted.before {
        let (new, copied) = without(&file, &superseded)?;
        file.continue_in(new, copied)?;
    }
    Ok(compacted)
}

/// What [`compact`] would do. Nothing is changed, repaired or locked.
///
/// # Errors
/// When the log cannot be read, or is not one.
pub fn would_compact(path: &Path) -> Result<Compacted, OpenError> {
    let io_error = |source| OpenError::Io { path: path.to_owned(), source };
    refuse_what_is_no_file(path)?;
    drop(OpenLog::read_index(path)?);
    let file = File::open(path).map_err(io_error)?;
    find_superseded(&file).map(|(_, compacted)| compacted).map_err(io_error)
}

/// Where the superseded records are, in the log's order.
fn find_superseded(file: &File) -> io::Result<(Vec<u64>, Compacted)> {
    let mut history = History::default();
    let mut compacted = Compacted::default();
    for_each_line(file, |offset, _, facts| {
        if let Some(facts) = facts {
            compacted.before += 1;
            history.add(&facts, offset, ());
        }
    })?;
    let superseded = history.settle().into_lines().into_iter().filter(Line::is_dispensable);
    let superseded: Vec<_> = superseded.map(|line| line.step).collect();
    compacted.failures = superseded.iter().filter(|step| step.act == Act::Failure).count() as u64;
    compacted.verdicts = superseded.len() as u64 - compacted.failures;
    Ok((superseded.iter().map(|step| step.place).collect(), compacted))
}

/// The log without the records at these places, and its length.
fn without(log: &LogFile, superseded: &[u64]) -> Result<(Replacement, u64), OpenError> {
    let mut copied = 0;
    let new = log.stage(|writer| {
        let mut superseded = superseded.iter().peekable();
        for_each_raw_line(&log.file, |offset, line| {
            // If another process has only half written a line, the rest is still to come.
            if !line.ends_with(b"\n") {
                return Ok(());
            }
            copied = offset + line.len() as u64;
            if superseded.next_if_eq(&&offset).is_some() { Ok(()) } else { writer.write_all(line) }
        })
    })?;
    Ok((new, copied))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feedback::forms::{self, Form};
    use crate::feedback::{ErrorCode, Feedback, FeedbackError, Source, SourceType};

    fn id(n: u8) -> String {
        format!("a-{n:032x}")
    }

    fn verdict(n: u8, trace: &str) -> Feedback {
        Feedback {
            assessment_id: Some(id(n)),
            name: "j".into(),
            trace_id: Some(trace.into()),
            source: Source::llm_judge("m"),
            value: Some(n.into()),
            ..Feedback::default()
        }
    }

    fn error(n: u8, trace: &str) -> Feedback {
        let error = FeedbackError { error_code: ErrorCode::Timeout.into(), error_message: None, stack_trace: None };
        Feedback { value: None, error: Some(error), ..verdict(n, trace) }
    }

    fn overriding(n: u8, record: Feedback) -> Feedback {
        Feedback { overrides: Some(id(n)), ..record }
    }

    fn human(n: u8, trace: &str) -> Feedback {
        let source = Source { source_type: SourceType::Human, source_id: Some("kim".into()) };
        Feedback { source, ..verdict(n, trace) }
    }

    fn text(records: &[Feedback]) -> String {
        records.iter().map(|record| serde_json::to_string(record).unwrap() + "\n").collect()
    }

    fn folder(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.jsonl");
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    fn table(path: &Path) -> String {
        let table = path.with_extension("csv");
        forms::export(path, &table, Form::Csv, &mut forms::TableOptions::default()).unwrap();
        std::fs::read_to_string(table).unwrap()
    }

    /// What remains of these records. The state that they describe must be the same as before.
    fn compacted(records: &[Feedback]) -> Vec<Feedback> {
        let before = text(records);
        let (_folder, path) = folder(&before);
        let state = table(&path);
        let would = would_compact(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), before);
        let did = compact(&path).unwrap();
        assert_eq!(Compacted { report: OpenReport::default(), ..did.clone() }, would);
        assert_eq!(table(&path), state);
        let after = std::fs::read_to_string(&path).unwrap();
        let after: Vec<_> = after.lines().map(|line| Feedback::from_json(line).unwrap()).collect();
        assert_eq!((did.before, did.after()), (records.len() as u64, after.len() as u64));
        assert_eq!(compact(&path).unwrap().before, did.after(), "twice is once");
        after
    }

    #[test]
    fn errors_that_were_asked_again_go_and_those_that_stand_stay() {
        let log = [error(1, "a"), error(2, "b"), error(1, "a"), verdict(3, "c"), verdict(1, "a"), error(4, "c")];
        assert_eq!(compacted(&log), [error(2, "b"), verdict(3, "c"), verdict(1, "a"), error(4, "c")]);
        // Asked again with another prompt: another id of the same opinion.
        assert_eq!(compacted(&[error(1, "a"), verdict(2, "a")]), [verdict(2, "a")]);
        assert_eq!(compacted(&[error(1, "a"), error(2, "a")]), [error(2, "a")]);
    }

    #[test]
    fn every_opinion_stays() {
        let history = [verdict(1, "a"), overriding(1, verdict(2, "a")), overriding(2, verdict(3, "a"))];
        assert_eq!(compacted(&history), history);
        let failed = [verdict(1, "a"), error(1, "a")];
        assert_eq!(compacted(&failed), failed[..1], "a verdict is not lost to a failure");
        let back = [verdict(1, "a"), overriding(1, verdict(2, "a")), overriding(2, verdict(1, "a"))];
        assert_eq!(compacted(&back), back[1..], "the opinion's line that holds again says all of the first");
    }

    #[test]
    fn a_verdict_that_was_marked_invalid_stays_until_it_has_another() {
        let invalid = Feedback { valid: Some(false), value: None, ..verdict(1, "a") };
        let marked = [verdict(1, "a"), invalid.clone()];
        assert_eq!(compacted(&marked), marked, "the mark says less than the verdict");
        assert_eq!(compacted(&[verdict(1, "a"), invalid.clone(), verdict(1, "a")]), [verdict(1, "a")]);
        assert_eq!(compacted(&[verdict(1, "a"), invalid.clone(), error(1, "a")]).len(), 3);
    }

    #[test]
    fn others_records_stay() {
        let nameless = Feedback { assessment_id: None, ..error(1, "a") };
        let log = [human(1, "a"), human(1, "a"), nameless.clone(), nameless, verdict(1, "a")];
        let (_folder, path) = folder(&text(&log));
        assert_eq!(compact(&path).unwrap().after(), 5);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text(&log));
    }

    #[test]
    fn records_about_nothing_said_are_not_one_opinion() {
        let about_nothing = |n| Feedback { trace_id: None, ..error(n, "") };
        let log = [about_nothing(1), about_nothing(2)];
        assert_eq!(compacted(&log), log);
    }

    #[cfg(unix)]
    #[test]
    fn damage_is_repaired_and_links_permissions_and_lock_are_kept() {
        use std::os::unix::fs::PermissionsExt;
        let (folder, target) = folder(&format!("{}broken\n{}torn", text(&[error(1, "a")]), text(&[verdict(1, "a")])));
        std::fs::set_permissions(&target, std::fs::Permissions::from_mode(0o600)).unwrap();
        let link = folder.path().join("link.jsonl");
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let held = OpenLog::open(&link, Mode::Resume).unwrap();
        assert!(matches!(compact(&target), Err(OpenError::Locked { .. })));
        assert_eq!(would_compact(&target).unwrap().failures, 1);
        drop(held);
        // As a killed compaction leaves it.
        std::fs::write(folder.path().join("f.jsonl.writing"), "half a li").unwrap();
        assert_eq!(compact(&link).unwrap().failures, 1);
        assert!(link.is_symlink());
        assert_eq!(std::fs::read_to_string(&target).unwrap(), text(&[verdict(1, "a")]));
        assert_eq!(std::fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!folder.path().join("f.jsonl.writing").exists());
        assert_eq!(std::fs::read_to_string(folder.path().join("f.jsonl.damaged")).unwrap(), "broken\ntorn\n");
    }

    #[test]
    fn without_a_log_nothing_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none.jsonl");
        assert!(compact(&path).is_err() && would_compact(&path).is_err());
        assert!(!path.exists());
    }
}
