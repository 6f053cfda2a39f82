//! The file of a log: locked for this process as long as it is held, and growing only by whole lines. Others may append to it as well.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::OpenError;
use super::holders::is_held_by_others;
use super::lock::open_locked;
use super::restored::Restored;
use super::written::Written;
use crate::feedback::Feedback;
use crate::files::{self, is_at};

/// A locked log, open for appending. If it is still empty when closed, it is removed.
#[derive(Debug)]
pub(super) struct LogFile {
    pub file: File,
    pub path: PathBuf,
    pub written: Written,
    pub restored: Restored,
}

impl LogFile {
    /// Opens or creates a log and locks it.
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        if path.is_dir() {
            return Err(OpenError::Directory { path: path.to_owned() });
        }
        refuse_pipes(path)?;
        let io_error = |source| OpenError::Io { path: path.to_owned(), source };
        let file = open_locked(path, || OpenOptions::new().read(true).append(true).create(true).open(path))?;
        let written = Written::begin(0, file.metadata().map_err(io_error)?.len());
        Ok(Self { file, path: files::real_path(path).map_err(io_error)?, written, restored: Restored::default() })
    }

    /// Appends a line, whole or not at all, wherever the end is by now.
    pub(super) fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        // Half a line of another process, or the rest of a truncated one, does not spoil this one.
        if self.file.metadata()?.len() != self.written.end() {
            self.end_last_line()?;
        }
        let mut start = self.append(line)?;
        // It may have been written in between. Then the line is there twice: after that half, and on its own.
        while start != self.written.end() && start > 0 && !self.is_newline(start - 1)? {
            self.written.reaches(start, start + line.len() as u64);
            start = self.append(line)?;
        }
        self.written.add(line, start, &self.path);
        Ok(())
    }

    /// Appends bytes in one write, so that no other's are between them; returns where they are.
    fn append(&mut self, bytes: &[u8]) -> io::Result<u64> {
        let length = loop {
            match self.file.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    if error.kind() == io::ErrorKind::StorageFull {
                        self.written.drop_copies();
                    }
                    return Err(error);
                }
                Ok(length) => break length,
            }
        };
        let end = self.file.stream_position()?;
        let start = end.saturating_sub(length as u64);
        if length < bytes.len() {
            // If this is not the reason, the next attempt reports it.
            self.take_back(start, end)?;
            self.written.drop_copies();
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(start)
    }

    fn take_back(&mut self, start: u64, end: u64) -> io::Result<()> {
        if take_back(&self.file, &self.path, start, end)? {
            self.written.reaches(start, end);
        }
        Ok(())
    }

    /// A last record without its newline gets it.
    pub(super) fn end_last_line(&mut self) -> io::Result<()> {
        let length = self.file.metadata()?.len();
        if length > 0 && !self.is_newline(length - 1)? {
            self.append(b"\n")?;
        }
        Ok(())
    }

    fn is_newline(&self, at: u64) -> io::Result<bool> {
        let mut byte = [0];
        self.read_at(at, &mut byte)?;
        Ok(byte == *b"\n")
    }

    fn read_at(&self, at: u64, bytes: &mut [u8]) -> io::Result<()> {
        (&self.file).seek(SeekFrom::Start(at))?;
        (&self.file).read_exact(bytes)
    }

    /// Whether anything that the log had, or that this process wrote to it, is missing.
    pub(super) fn is_cut(&self) -> io::Result<bool> {
        self.written.is_missing(self.file.metadata()?.len(), |at, bytes| self.read_at(at, bytes))
    }

    /// Syncs what was written to disk.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// The record at `offset`.
    pub(super) fn reread(&mut self, offset: u64) -> io::Result<Feedback> {
        if self.restored.lost > 0 {
            return Err(io::Error::other("it was truncated during the run; the earlier records are lost"));
        }
        self.file.seek(SeekFrom::Start(offset))?;
        let mut line = String::new();
        BufReader::new(&self.file).read_line(&mut line)?;
        Feedback::from_json(&line).map_err(io::Error::other)
    }
}

impl Drop for LogFile {
    /// Still locked, so that no other process can have begun to write to it.
    fn drop(&mut self) {
        let is_empty = self.file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() == 0);
        if is_empty && is_at(&self.file, &self.path).unwrap_or(false) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Takes back half a line that was written here. If others may have written after it, it cannot be cut off: then it becomes white space, with which
/// the next line may begin, and the result is true.
pub(super) fn take_back(file: &File, path: &Path, start: u64, end: u64) -> io::Result<bool> {
    if start == end {
        return Ok(false);
    }
    if file.metadata()?.len() == end && is_held_by_others(file) == Some(false) {
        return file.set_len(start).map(|()| false);
    }
    // A file opened for appending writes only at the end.
    let mut other = OpenOptions::new().write(true).open(path)?;
    if !is_at(&other, path)? || !is_at(file, path)? {
        return Err(io::ErrorKind::NotFound.into());
    }
    other.seek(SeekFrom::Start(start))?;
    other.write_all(&vec![b' '; usize::try_from(end - start).unwrap_or(0)])?;
    Ok(true)
}

/// Opening would create a log, or wait until something writes to a pipe.
pub(super) fn refuse_what_is_no_file(path: &Path) -> Result<(), OpenError> {
    let io_error = |source| OpenError::Io { path: path.to_owned(), source };
    let metadata = path.metadata().map_err(io_error)?;
    if metadata.is_file() || metadata.is_dir() {
        return Ok(());
    }
    Err(io_error(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")))
}

/// A log is read before it is written to: on a pipe that would never end.
pub(super) fn refuse_pipes(path: &Path) -> Result<(), OpenError> {
    match path.metadata() {
        Ok(metadata) if !metadata.is_file() => Err(OpenError::NotAFile { path: path.to_owned() }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn log() -> (tempfile::TempDir, LogFile) {
        let folder = tempfile::tempdir().unwrap();
        let log = LogFile::open(&folder.path().join("f.jsonl")).unwrap();
        (folder, log)
    }

    fn other(log: &LogFile) -> File {
        OpenOptions::new().append(true).open(&log.path).unwrap()
    }

    fn text(log: &LogFile) -> String {
        fs::read_to_string(&log.path).unwrap()
    }

    #[test]
    fn a_log_that_stays_empty_is_removed_and_a_record_keeps_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.jsonl");
        drop(LogFile::open(&path).unwrap());
        assert!(!path.exists());
        LogFile::open(&path).unwrap().write_line(b"x\n").unwrap();
        drop(LogFile::open(&path).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"x\n");
    }

    #[test]
    fn lines_that_others_append_stay_whole() {
        let (_folder, mut log) = log();
        log.write_line(b"x\n").unwrap();
        other(&log).write_all(b"theirs\n").unwrap();
        log.write_line(b"y\n").unwrap();
        assert_eq!(text(&log), "x\ntheirs\ny\n");
        assert!(!log.is_cut().unwrap());
    }

    #[test]
    fn half_a_line_of_another_does_not_take_ours_with_it() {
        let (_folder, mut log) = log();
        other(&log).write_all(b"the").unwrap();
        log.write_line(b"x\n").unwrap();
        other(&log).write_all(b"irs\n").unwrap();
        assert_eq!(text(&log), "the\nx\nirs\n");
    }

    #[test]
    fn half_a_line_is_taken_back_and_what_others_wrote_after_it_stays() {
        let (_folder, mut log) = log();
        log.write_line(b"x\n").unwrap();
        let start = log.append(b"half a li").unwrap();
        other(&log).write_all(b"theirs\n").unwrap();
        log.take_back(start, start + 9).unwrap();
        log.write_line(b"y\n").unwrap();
        assert_eq!(text(&log), "x\n         theirs\ny\n");
        if is_held_by_others(&log.file) == Some(false) {
            let start = log.append(b"half a li").unwrap();
            log.take_back(start, start + 9).unwrap();
            log.write_line(b"z\n").unwrap();
            assert_eq!(text(&log), "x\n         theirs\ny\nz\n");
            assert!(!log.is_cut().unwrap());
        }
    }

    #[test]
    fn a_log_that_is_cut_or_written_anew_is_noticed() {
        let cut = |cut: &dyn Fn(&Path)| {
            let (_folder, mut log) = log();
            log.write_line(b"first\n").unwrap();
            log.write_line(b"second\n").unwrap();
            assert!(!log.is_cut().unwrap());
            cut(&log.path);
            log.is_cut().unwrap()
        };
        assert!(cut(&|path| fs::write(path, "").unwrap()));
        assert!(cut(&|path| fs::write(path, "first\n").unwrap()));
        assert!(cut(&|path| fs::write(path, "something else that is longer\n").unwrap()));
        assert!(!cut(&|path| fs::write(path, "first\nsecond\nthird\n").unwrap()));
        // Grown again by the time of the next line.
        let (_folder, mut log) = log();
        log.write_line(b"first\n").unwrap();
        fs::write(&log.path, "").unwrap();
        log.write_line(b"second\n").unwrap();
        log.write_line(b"third\n").unwrap();
        assert!(log.is_cut().unwrap());
    }
}
