//! Opening a log: the lock, the repair of what a crash left, and the index.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::Index;
use super::error::OpenError;
use super::file::{LogFile, refuse_pipes};
use super::repair::scan;
use super::written::Written;

/// What to do with a log that already exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Continue it.
    Resume,
    /// Start over; the old content becomes `<path>.bak`, replacing an earlier one, once the writer starts.
    Overwrite,
}

/// A log that is locked for this process, and whose lines are all records.
#[derive(Debug)]
pub struct OpenLog {
    pub(super) file: LogFile,
    pub(super) mode: Mode,
    /// What the log already knows.
    pub index: Index,
    /// What was found and repaired.
    pub report: OpenReport,
}

/// What opening a log found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// Records in the log.
    pub records: u64,
    /// Lines that are not records (a crash's torn last line, or another program's): they were moved.
    pub moved_lines: u64,
    /// Where they were moved to.
    pub moved_to: Option<PathBuf>,
}

impl OpenLog {
    /// Opens or creates a log, locks it, and repairs it: afterwards every line is a whole record. A log that is to be overwritten is only
    /// locked.
    ///
    /// Lines that are not records are moved to `<path>.damaged`, never destroyed.
    ///
    /// # Errors
    /// When the file cannot be opened or repaired, is locked by another process, or is clearly not a log.
    pub fn open(path: &Path, mode: Mode) -> Result<Self, OpenError> {
        let mut file = LogFile::open(path)?;
        let mut index = Index::default();
        let mut report = OpenReport::default();
        if mode == Mode::Resume {
            let damage;
            (index, report.records, damage) = scan(&file.file, &file.path)?;
            report.moved_lines = damage.lines();
            report.moved_to = damage.repair(&mut file)?;
            let io_error = |source| OpenError::Io { path: path.to_owned(), source };
            file.end_last_line().map_err(io_error)?;
            file.written = Written::begin(report.records, file.file.metadata().map_err(io_error)?.len());
        }
        Ok(Self { file, mode, index, report })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// The index of a log, without locking or repairing it; empty if there is none.
    ///
    /// # Errors
    /// When the file cannot be read, or is clearly not a log.
    pub fn read_index(path: &Path) -> Result<Index, OpenError> {
        if path.is_dir() {
            return Err(OpenError::Directory { path: path.to_owned() });
        }
        refuse_pipes(path)?;
        match File::open(path) {
            Ok(file) => scan(&file, path).map(|(index, ..)| index),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Index::default()),
            Err(source) => Err(OpenError::Io { path: path.to_owned(), source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::files;

    const A: &str = r#"{"assessment_id":"a-00000000000000000000000000000001","name":"j","value":true,"source":{"source_type":"LLM_JUDGE"},"create_time_ms":1,"last_update_time_ms":1,"trace_id":"a"}"#;
    const B: &str = r#"{"assessment_name":"j","trace_id":"b","source":{"source_type":"HUMAN","source_id":"x"},"feedback":{"value":1},"valid":true}"#;

    fn open(text: &str) -> (tempfile::TempDir, PathBuf, Result<OpenLog, OpenError>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.jsonl");
        fs::write(&path, text).unwrap();
        let log = OpenLog::open(&path, Mode::Resume);
        (folder, path, log)
    }

    #[test]
    fn a_torn_tail_is_cut_off_and_kept() {
        let (_folder, path, log) = open(&format!("{A}\n{B}\n{}", &A[..40]));
        let log = log.unwrap();
        assert_eq!((log.report.records, log.report.moved_lines, log.index.len()), (2, 1, 1));
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{A}\n{B}\n"));
        let kept = fs::read_to_string(log.report.moved_to.unwrap()).unwrap();
        assert_eq!(kept, format!("{}\n", &A[..40]));
    }

    #[test]
    fn a_whole_last_record_without_newline_is_a_record() {
        let (_folder, path, log) = open(A);
        assert_eq!(log.unwrap().report, OpenReport { records: 1, ..OpenReport::default() });
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{A}\n"));
    }

    #[test]
    fn damage_in_the_middle_is_moved_and_the_rest_stays() {
        let (_folder, path, log) = open(&format!("{A}\n\u{0}\u{0}\n{B}\nnot json\n{}", &B[..9]));
        let log = log.unwrap();
        assert_eq!((log.report.records, log.report.moved_lines), (2, 3));
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{A}\n{B}\n"));
        // The repaired file is locked as the old one was.
        assert!(matches!(OpenLog::open(&path, Mode::Resume), Err(OpenError::Locked { .. })));
    }

    #[test]
    fn a_whole_record_after_half_a_line_is_kept() {
        let (_folder, path, log) = open(&format!("{B}\n{}{A}\n{}{B}", &A[..40], &B[..70]));
        let log = log.unwrap();
        assert_eq!((log.report.records, log.report.moved_lines, log.index.len()), (3, 2, 1));
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{B}\n{A}\n{B}\n"));
        let kept = fs::read_to_string(log.report.moved_to.unwrap()).unwrap();
        assert_eq!(kept, format!("{}\n{}\n", &A[..40], &B[..70]));
    }

    #[cfg(unix)]
    #[test]
    fn damaged_lines_go_through_no_link() {
        let folder = tempfile::tempdir().unwrap();
        let [path, victim] = ["f.jsonl", "victim"].map(|name| folder.path().join(name));
        fs::write(&path, format!("{A}\nnot json\n")).unwrap();
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, files::damaged_of(&path, 1)).unwrap();
        let moved_to = OpenLog::open(&path, Mode::Resume).unwrap().report.moved_to.unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        assert_eq!(
            (fs::read_to_string(&moved_to).unwrap(), moved_to),
            ("not json\n".into(), files::damaged_of(&path, 2))
        );
    }

    #[test]
    fn a_file_that_is_no_log_is_left_alone() {
        let text = "{\"inputs\":\"\u{1b}[31m\"}\n{\"inputs\":2}\n";
        let (_folder, path, log) = open(text);
        let error = log.unwrap_err();
        assert!(matches!(error, OpenError::NotALog { .. }), "{error}");
        assert!(!error.to_string().chars().any(char::is_control), "{error:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert!(matches!(OpenLog::read_index(&path), Err(OpenError::NotALog { .. })));
    }

    #[test]
    fn overwriting_touches_nothing_before_the_writer_starts() {
        let text = "not a log\n";
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.jsonl");
        fs::write(&path, text).unwrap();
        let log = OpenLog::open(&path, Mode::Overwrite).unwrap();
        assert!(log.index.is_empty() && log.report == OpenReport::default());
        drop(log);
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert!(!files::backup_of(&path).exists());
    }

    #[test]
    fn looking_into_a_log_changes_and_locks_nothing() {
        let text = format!("{A}\nnot json\n{B}\n{}", &A[..40]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.jsonl");
        assert!(OpenLog::read_index(&path).unwrap().is_empty() && !path.exists());
        fs::write(&path, &text).unwrap();
        let held = File::open(&path).unwrap();
        held.try_lock().unwrap();
        assert_eq!(OpenLog::read_index(&path).unwrap().len(), 1);
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn repairing_keeps_links_and_permissions() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target.jsonl"), folder.path().join("link.jsonl"));
        fs::write(&target, format!("{A}\nnot json\n{B}\n")).unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let log = OpenLog::open(&link, Mode::Resume).unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read_to_string(&target).unwrap(), format!("{A}\n{B}\n"));
        for path in [&target, &log.report.moved_to.unwrap()] {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
        }
    }

    #[test]
    fn a_directory_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let error = OpenLog::open(folder.path(), Mode::Resume).unwrap_err();
        assert!(matches!(error, OpenError::Directory { .. }), "{error}");
    }
}
