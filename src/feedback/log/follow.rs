//! A log as it grows: the lines appended since the last look, by any writer.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::OpenError;
use super::error::not_a_log;
use super::file::refuse_what_is_no_file;
use crate::feedback::Feedback;
use crate::feedback::history::Facts;
use crate::files::is_at;

/// Follows a log, without a lock, even when another process replaces its file.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    /// `None` where there is none yet.
    file: Option<File>,
    /// Whole lines up to here were taken.
    read: u64,
}

/// What is new.
#[derive(Debug)]
pub enum News<'a> {
    /// Another file replaced the log, or it was truncated: everything known about it is void, and is delivered again.
    Anew,
    /// A whole record, at its permanent place.
    Record {
        /// Where its line begins.
        offset: u64,
        /// Its line.
        line: &'a [u8],
    },
}

impl Follower {
    /// Looks for nothing yet.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), file: None, read: 0 }
    }

    /// The log.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Delivers the records appended since the last call. Other lines are skipped, as is the last one until it ends.
    ///
    /// # Errors
    /// When the log cannot be read, or is clearly not one.
    pub fn catch_up(&mut self, mut take: impl FnMut(News<'_>)) -> Result<(), OpenError> {
        let path = self.path.clone();
        let io_error = |source| OpenError::Io { path: path.clone(), source };
        let length = |file: &File| file.metadata().map(|metadata| metadata.len());
        if let Some(file) = &self.file
            && (!is_at(file, &path).map_err(io_error)? || length(file).map_err(io_error)? < self.read)
        {
            (self.file, self.read) = (None, 0);
            take(News::Anew);
        }
        if self.file.is_none() {
            self.file = self.open()?;
        }
        let Some(file) = &self.file else { return Ok(()) };
        if length(file).map_err(io_error)? == self.read {
            return Ok(());
        }
        let mut from = file;
        from.seek(SeekFrom::Start(self.read)).map_err(io_error)?;
        let mut reader = BufReader::with_capacity(1 << 16, from);
        let (mut line, mut first, mut records) = (Vec::new(), None, self.read);
        loop {
            line.clear();
            reader.read_until(b'\n', &mut line).map_err(io_error)?;
            if !line.ends_with(b"\n") {
                break;
            }
            if Facts::read(&line).is_some() {
                records += 1;
                take(News::Record { offset: self.read, line: &line });
            } else if first.is_none() && !line.iter().all(u8::is_ascii_whitespace) {
                first = Some(line.clone());
            }
            self.read += line.len() as u64;
        }
        match first {
            // Only other lines, from the beginning.
            Some(first) if records == 0 => Err(not_a_log(&path, &first)),
            _ => Ok(()),
        }
    }

    fn open(&self) -> Result<Option<File>, OpenError> {
        match self.path.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Ok(metadata) if metadata.is_dir() => return Err(OpenError::Directory { path: self.path.clone() }),
            _ => refuse_what_is_no_file(&self.path)?,
        }
        File::open(&self.path).map(Some).map_err(|source| OpenError::Io { path: self.path.clone(), source })
    }

    /// The record at a place that was delivered.
    ///
    /// # Errors
    /// When it can no longer be read.
    pub fn record(&self, offset: u64) -> io::Result<Feedback> {
        let mut from = self.file.as_ref().ok_or(io::ErrorKind::NotFound)?;
        from.seek(SeekFrom::Start(offset))?;
        let mut line = String::new();
        BufReader::new(from).read_line(&mut line)?;
        Feedback::from_json(&line).map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::add;
    use super::*;

    fn named(name: &str) -> Feedback {
        Feedback { name: name.to_owned(), ..Feedback::default() }
    }

    /// The names of what is new, and `!` for starting over.
    fn news(follower: &mut Follower) -> String {
        let mut places = Vec::new();
        let taken = follower.catch_up(|news| match news {
            News::Anew => places.push(None),
            News::Record { offset, .. } => places.push(Some(offset)),
        });
        taken.unwrap();
        places.into_iter().map(|at| at.map_or("!".to_owned(), |at| follower.record(at).unwrap().name)).collect()
    }

    #[test]
    fn a_log_is_followed_from_before_it_exists() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.jsonl");
        let mut follower = Follower::new(&path);
        assert_eq!(news(&mut follower), "");
        add(&path, &[named("a"), named("b")]).unwrap();
        assert_eq!(news(&mut follower), "ab");
        assert_eq!(news(&mut follower), "");
        let mut half = fs::OpenOptions::new().append(true).open(&path).unwrap();
        io::Write::write_all(&mut half, b"nonsense\n{\"name\":").unwrap();
        assert_eq!(news(&mut follower), "");
        io::Write::write_all(&mut half, b"\"c\"}\n").unwrap();
        assert_eq!(news(&mut follower), "c");
    }

    #[test]
    fn another_file_in_its_place_is_read_from_its_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let (path, new) = (folder.path().join("f.jsonl"), folder.path().join("new"));
        add(&path, &[named("a"), named("b")]).unwrap();
        let mut follower = Follower::new(&path);
        assert_eq!(news(&mut follower), "ab");
        add(&new, &[named("b"), named("c"), named("d")]).unwrap();
        fs::rename(&new, &path).unwrap();
        assert_eq!(news(&mut follower), "!bcd");
        fs::write(&path, "{\"name\":\"e\"}\n").unwrap();
        assert_eq!(news(&mut follower), "!e");
    }

    #[test]
    fn what_is_not_a_log_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.jsonl");
        fs::write(&path, "{\"trace_id\":\"t\"}\n").unwrap();
        let error = Follower::new(&path).catch_up(|_| ()).unwrap_err();
        assert!(matches!(error, OpenError::NotALog { .. }));
        assert!(matches!(Follower::new(folder.path()).catch_up(|_| ()), Err(OpenError::Directory { .. })));
    }
}
