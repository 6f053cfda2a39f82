//! Opening a log: the lock, the repair of what a crash left, and the index.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::Index;
use crate::feedback::Feedback;

/// What to do with a log that already exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Go on with it.
    Resume,
    /// Start anew; what is in it is gone.
    Overwrite,
}

/// A log, locked for this process, whole, at its end.
#[derive(Debug)]
pub struct OpenLog {
    pub(super) file: File,
    pub(super) path: PathBuf,
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
    #[error("another judge-run is writing to {}; wait for it, or choose another file with -o", path.display())]
    Locked { path: PathBuf },
    #[error("{} holds no feedback (its first line: {first_line}); choose another file with -o, or --overwrite it", path.display())]
    NotALog { path: PathBuf, first_line: String },
}

impl OpenLog {
    /// Opens or creates a log, locks it, and mends it: afterwards every line is a whole record.
    ///
    /// Lines that are no records are moved to `<path>.damaged`, never destroyed.
    ///
    /// # Errors
    /// When the file cannot be opened or mended, is locked by another process, or plainly is something else than a log.
    pub fn open(path: &Path, mode: Mode) -> Result<Self, OpenError> {
        let io_error = |error| OpenError::Io { path: path.to_owned(), error };
        if path.is_dir() {
            return Err(OpenError::Directory { path: path.to_owned() });
        }
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(io_error)?;
        lock(&file, path)?;
        if mode == Mode::Overwrite {
            file.set_len(0).map_err(io_error)?;
        }
        let mut index = Index::default();
        let mut report = OpenReport::default();
        let mut damaged = scan(&file, &mut index, &mut report).map_err(io_error)?;
        index.seal();
        if !damaged.is_empty() {
            if report.records == 0 && !damaged.iter().all(|line| line.torn) {
                let first = damaged.swap_remove(0).text;
                let first_line = String::from_utf8_lossy(&first).trim().chars().take(60).collect();
                return Err(OpenError::NotALog { path: path.to_owned(), first_line });
            }
            let moved_to = sibling(path, "damaged");
            keep_apart(&moved_to, &damaged).map_err(|error| OpenError::Io { path: moved_to.clone(), error })?;
            file = without(file, path, &damaged)?;
            report.moved_lines = damaged.len() as u64;
            report.moved_to = Some(moved_to);
        }
        end_last_line(&mut file).map_err(io_error)?;
        Ok(Self { file, path: path.to_owned(), index, report })
    }
}

fn lock(file: &File, path: &Path) -> Result<(), OpenError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked { path: path.to_owned() }),
        // Some network file systems have no locks; a run on them is better than none.
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
        Err(TryLockError::Error(error)) => Err(OpenError::Io { path: path.to_owned(), error }),
    }
}

/// `feedback.jsonl` -> `feedback.jsonl.<suffix>`.
fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

/// A line that is no record.
struct Damaged {
    start: u64,
    end: u64,
    text: Vec<u8>,
    /// It is the last one and has no newline.
    torn: bool,
}

/// Reads all records into the index and returns what is none.
fn scan(mut file: &File, index: &mut Index, report: &mut OpenReport) -> io::Result<Vec<Damaged>> {
    file.seek(SeekFrom::Start(0))?;
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let mut damaged = Vec::new();
    let mut line = Vec::new();
    let mut start = 0;
    loop {
        line.clear();
        let length = reader.read_until(b'\n', &mut line)? as u64;
        if length == 0 {
            return Ok(damaged);
        }
        let end = start + length;
        let record = std::str::from_utf8(&line).ok().and_then(|text| Feedback::from_json(text).ok());
        match record {
            Some(feedback) => {
                index.add(&feedback);
                report.records += 1;
            }
            None if line.iter().all(u8::is_ascii_whitespace) => {}
            None => damaged.push(Damaged { start, end, torn: line.last() != Some(&b'\n'), text: line.clone() }),
        }
        start = end;
    }
}

fn keep_apart(path: &Path, damaged: &[Damaged]) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    for line in damaged {
        file.write_all(&line.text)?;
        if line.torn {
            file.write_all(b"\n")?;
        }
    }
    file.sync_all()
}

/// The log without the damaged lines. A torn last line is cut off in place; for lines in the middle the log is written anew beside
/// the old one, which it then replaces.
fn without(mut file: File, path: &Path, damaged: &[Damaged]) -> Result<File, OpenError> {
    let io_error = |error| OpenError::Io { path: path.to_owned(), error };
    if let [only] = damaged
        && only.torn
    {
        file.set_len(only.start).map_err(io_error)?;
        return Ok(file);
    }
    let temporary = sibling(path, "mending");
    let mended = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&temporary);
    let mended = mended.map_err(|error| OpenError::Io { path: temporary.clone(), error })?;
    lock(&mended, &temporary)?;
    let mut copy = || -> io::Result<()> {
        let mut writer = BufWriter::new(&mended);
        let mut from = 0;
        let length = file.metadata()?.len();
        let gaps = damaged.iter().map(|line| (line.start, line.end)).chain([(length, length)]);
        for (start, end) in gaps {
            file.seek(SeekFrom::Start(from))?;
            io::copy(&mut io::Read::take(&file, start - from), &mut writer)?;
            from = end;
        }
        writer.flush()?;
        drop(writer);
        mended.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    copy().map_err(io_error)?;
    Ok(mended)
}

/// Goes to the end; a last record without its newline gets it.
fn end_last_line(file: &mut File) -> io::Result<()> {
    let length = file.seek(SeekFrom::End(0))?;
    if length > 0 {
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        io::Read::read_exact(file, &mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const A: &str = r#"{"assessment_id":"a-00000000000000000000000000000001","name":"j","value":true,"source":{"source_type":"CODE"},"create_time_ms":1,"last_update_time_ms":1,"trace_id":"a"}"#;
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
        let text = "{\"inputs\":1}\n{\"inputs\":2}\n";
        let (_folder, path, log) = open(text);
        assert!(matches!(log, Err(OpenError::NotALog { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        let log = OpenLog::open(&path, Mode::Overwrite).unwrap();
        assert!(log.index.is_empty() && fs::read_to_string(&path).unwrap().is_empty());
    }

    #[test]
    fn a_directory_is_refused_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let error = OpenLog::open(folder.path(), Mode::Resume).unwrap_err().to_string();
        assert!(error.contains("is a directory; name a file: -o"), "{error}");
    }
}
