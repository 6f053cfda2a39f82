//! Opening a log: the lock, the repair of what a crash left, and the index.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::Index;
use super::file::{LogFile, refuse_pipes};
use super::index::IndexBuilder;
use super::lines::for_each_line;
use crate::files;

/// What to do with a log that already exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Go on with it.
    Resume,
    /// Start anew; what is in it goes to `<path>.bak`, in place of an earlier one, once the writer starts.
    Overwrite,
}

/// A log, locked for this process, whole, at its end.
#[derive(Debug)]
pub struct OpenLog {
    pub(super) file: LogFile,
    pub(super) mode: Mode,
    /// What the log already knows.
    pub index: Index,
    /// What was found and mended.
    pub report: OpenReport,
}

/// What opening a log found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// Records in the log.
    pub records: u64,
    /// Lines that are no records (a crash's torn last line, or somebody else's): they were moved.
    pub moved_lines: u64,
    /// Where they were moved to.
    pub moved_to: Option<PathBuf>,
}

/// Why a log cannot be opened.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum OpenError {
    #[error("cannot open {}: {error}", path.display())]
    Io { path: PathBuf, error: io::Error },
    #[error("{} is a directory; name a file: -o {}", path.display(), path.join("feedback.jsonl").display())]
    Directory { path: PathBuf },
    #[error("{} is a pipe or a device; write to it with -o - > {}", path.display(), path.display())]
    NotAFile { path: PathBuf },
    #[error("another judge-run is writing to {}; wait for it, or choose another file with -o", path.display())]
    Locked { path: PathBuf },
    #[error("{} holds no feedback (its first line: {first_line}); choose another file with -o, or --overwrite it", path.display())]
    NotALog { path: PathBuf, first_line: String },
}

impl OpenLog {
    /// Opens or creates a log, locks it, and mends it: afterwards every line is a whole record. A log that is to be overwritten is only
    /// locked.
    ///
    /// Lines that are no records are moved to `<path>.damaged`, never destroyed.
    ///
    /// # Errors
    /// When the file cannot be opened or mended, is locked by another process, or plainly is something else than a log.
    pub fn open(path: &Path, mode: Mode) -> Result<Self, OpenError> {
        let mut file = LogFile::open(path)?;
        let mut index = Index::default();
        let mut report = OpenReport::default();
        if mode == Mode::Resume {
            let damaged;
            (index, damaged) = scan(&file.file, &file.path, &mut report)?;
            if !damaged.is_empty() {
                let moved_to = files::damaged_of(&file.path);
                keep_apart(&moved_to, &file.file, &damaged)
                    .map_err(|error| OpenError::Io { path: moved_to.clone(), error })?;
                remove(&mut file, &damaged)?;
                report.moved_lines = damaged.len() as u64;
                report.moved_to = Some(moved_to);
            }
            end_last_line(&mut file).map_err(|error| OpenError::Io { path: path.to_owned(), error })?;
        }
        Ok(Self { file, mode, index, report })
    }

    /// What a log knows, without locking or mending it; nothing if there is none.
    ///
    /// # Errors
    /// When the file cannot be read, or plainly is something else than a log.
    pub fn read_index(path: &Path) -> Result<Index, OpenError> {
        if path.is_dir() {
            return Err(OpenError::Directory { path: path.to_owned() });
        }
        refuse_pipes(path)?;
        match File::open(path) {
            Ok(file) => scan(&file, path, &mut OpenReport::default()).map(|(index, _)| index),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Index::default()),
            Err(error) => Err(OpenError::Io { path: path.to_owned(), error }),
        }
    }
}

/// A line that is no record.
struct Damaged {
    start: u64,
    end: u64,
    text: Vec<u8>,
    /// It is the last one and has no newline.
    torn: bool,
}

/// Reads all records into an index, and what is none. The index has the places of the records as they are without that.
fn scan(file: &File, path: &Path, report: &mut OpenReport) -> Result<(Index, Vec<Damaged>), OpenError> {
    let (index, mut damaged) =
        read_lines(file, report).map_err(|error| OpenError::Io { path: path.to_owned(), error })?;
    if report.records == 0 && !damaged.iter().all(|line| line.torn) {
        return Err(not_a_log(path, &damaged.swap_remove(0).text));
    }
    Ok((index, damaged))
}

/// The error for a file that begins with this line.
pub(super) fn not_a_log(path: &Path, first_line: &[u8]) -> OpenError {
    let printable = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    let first_line = String::from_utf8_lossy(first_line).trim().chars().take(60).map(printable).collect();
    OpenError::NotALog { path: path.to_owned(), first_line }
}

fn read_lines(file: &File, report: &mut OpenReport) -> io::Result<(Index, Vec<Damaged>)> {
    let mut index = IndexBuilder::of_bytes(file.metadata()?.len());
    let mut damaged = Vec::new();
    let mut damaged_bytes = 0;
    for_each_line(file, |start, line, record| {
        let length = line.len() as u64;
        match record {
            Some(record) => {
                index.add(&record, start - damaged_bytes);
                report.records += 1;
            }
            None => {
                damaged_bytes += length;
                let torn = line.last() != Some(&b'\n');
                damaged.push(Damaged { start, end: start + length, torn, text: line.to_vec() });
            }
        }
    })?;
    Ok((index.seal(), damaged))
}

fn keep_apart(path: &Path, log: &File, damaged: &[Damaged]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    let end = file.seek(SeekFrom::End(0))?;
    if end == 0 {
        file.set_permissions(log.metadata()?.permissions())?;
    }
    let mut write = || -> io::Result<()> {
        for line in damaged {
            file.write_all(&line.text)?;
            if line.torn {
                file.write_all(b"\n")?;
            }
        }
        file.sync_all()
    };
    write().inspect_err(|_| {
        // The lines stay in the log, so that half of one has no place here.
        let _ = if end > 0 { file.set_len(end) } else { std::fs::remove_file(path) };
    })
}

/// Takes the damaged lines out of the log. A torn last line is cut off in place; for lines in the middle the log is written anew
/// beside the old one, which it then replaces.
fn remove(log: &mut LogFile, damaged: &[Damaged]) -> Result<(), OpenError> {
    let io_error = |error| OpenError::Io { path: log.path.clone(), error };
    if let [only] = damaged
        && only.torn
    {
        return log.file.set_len(only.start).map_err(io_error);
    }
    let staged = log.stage(|writer| {
        let mut old = &log.file;
        let length = old.metadata()?.len();
        let mut from = 0;
        let gaps = damaged.iter().map(|line| (line.start, line.end)).chain([(length, length)]);
        for (start, end) in gaps {
            old.seek(SeekFrom::Start(from))?;
            io::copy(&mut io::Read::take(old, start - from), writer)?;
            from = end;
        }
        Ok(())
    })?;
    log.adopt(staged)
}

/// A last record without its newline gets it.
fn end_last_line(log: &mut LogFile) -> io::Result<()> {
    if log.file.seek(SeekFrom::End(0))? > 0 {
        log.file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        io::Read::read_exact(&mut log.file, &mut last)?;
        if last != *b"\n" {
            log.write_line(b"\n")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

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
        // The mended file is locked as the old one was.
        assert!(matches!(OpenLog::open(&path, Mode::Resume), Err(OpenError::Locked { .. })));
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
    fn mending_keeps_links_and_permissions() {
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
    fn a_directory_is_refused_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let error = OpenLog::open(folder.path(), Mode::Resume).unwrap_err().to_string();
        assert!(error.contains("is a directory; name a file: -o"), "{error}");
    }
}
