//! Records that people and programs add to a log, also while a run writes to it: one whole line at the end, without its lock.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::OpenError;
use super::file::{refuse_pipes, take_back};
use crate::feedback::Feedback;
use crate::files::{self, is_at};

/// How often the log may be replaced by another file while a record is added.
const MAX_TRIES: u32 = 16;

/// A log that records are added to. It takes no lock and changes no line.
#[derive(Debug)]
pub struct Appender {
    path: PathBuf,
    file: File,
}

impl Appender {
    /// Opens a log, or begins one.
    ///
    /// # Errors
    /// When it is a directory or a pipe, or cannot be opened.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        if path.is_dir() {
            return Err(OpenError::Directory { path: path.to_owned() });
        }
        refuse_pipes(path)?;
        let io_error = |source| OpenError::Io { path: path.to_owned(), source };
        let file = open(path).map_err(io_error)?;
        Ok(Self { path: files::real_path(path).map_err(io_error)?, file })
    }

    /// Adds a record as one line in one write, whole or not at all. Half a line that somebody left at the end does not take it along.
    ///
    /// # Errors
    /// When it cannot be written: a full disk, usually.
    pub fn append(&mut self, record: &Feedback) -> io::Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        for _ in 0..MAX_TRIES {
            self.append_line(&line)?;
            // `compact` may just have put another file in its place. A record that is there twice says what it says once.
            if is_at(&self.file, &self.path)? {
                return Ok(());
            }
            self.file = open(&self.path)?;
        }
        Err(io::Error::new(io::ErrorKind::ResourceBusy, "the log is replaced again and again"))
    }

    /// Puts what was added on the disk.
    ///
    /// # Errors
    /// When the disk cannot take it.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn append_line(&mut self, line: &[u8]) -> io::Result<()> {
        let end = self.file.metadata()?.len();
        if end > 0 && !self.is_newline(end - 1)? {
            self.write(b"\n")?;
        }
        let start = self.write(line)?;
        // Somebody may have left half a line in between. Then it is there twice: behind that half, and by itself.
        if start > 0 && !self.is_newline(start - 1)? {
            self.write(line)?;
        }
        Ok(())
    }

    /// Returns where it is.
    fn write(&mut self, bytes: &[u8]) -> io::Result<u64> {
        let length = loop {
            match self.file.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(length) => break length,
            }
        };
        let end = self.file.stream_position()?;
        let start = end.saturating_sub(length as u64);
        if length < bytes.len() {
            take_back(&self.file, &self.path, start, end)?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(start)
    }

    fn is_newline(&mut self, at: u64) -> io::Result<bool> {
        let mut byte = [0];
        self.file.seek(SeekFrom::Start(at))?;
        self.file.read_exact(&mut byte)?;
        Ok(byte == *b"\n")
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).open(path)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn record(name: &str) -> Feedback {
        Feedback { name: name.into(), value: Some(true.into()), trace_id: Some("t".into()), ..Feedback::default() }
    }

    #[test]
    fn a_record_is_a_line_of_its_own_whatever_is_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.jsonl");
        let mut appender = Appender::open(&path).unwrap();
        appender.append(&record("a")).unwrap();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"name\":\"torn").unwrap();
        appender.append(&record("b")).unwrap();
        appender.sync().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!((lines.len(), lines[1], text.ends_with('\n')), (3, "{\"name\":\"torn", true));
        assert_eq!(Feedback::from_json(lines[2]).unwrap(), record("b"));
    }

    #[test]
    fn a_log_that_is_replaced_gets_what_is_added_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.jsonl");
        let mut appender = Appender::open(&path).unwrap();
        appender.append(&record("a")).unwrap();
        fs::write(folder.path().join("new"), "").unwrap();
        fs::rename(folder.path().join("new"), &path).unwrap();
        appender.append(&record("b")).unwrap();
        assert_eq!(Feedback::from_json(fs::read_to_string(&path).unwrap().trim()).unwrap(), record("b"));
    }

    #[test]
    fn a_directory_is_no_log() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Appender::open(folder.path()), Err(OpenError::Directory { .. })));
    }
}
