//! A log that was deleted, moved, replaced or cut while a run wrote to it: its records get a name and a place again.

use std::collections::HashMap;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead, Seek, SeekFrom, Write};
use std::path::PathBuf;

use super::file::LogFile;
use super::lines::for_each_raw_line;
use crate::files::{self, is_at};

/// How much is put back in one write.
const BLOCK_BYTES: usize = 1 << 20;

/// What happened to a log while a run wrote to it.
#[derive(Debug)]
enum Displaced {
    Deleted,
    Moved,
    Replaced {
        kept_in: PathBuf,
    },
    Cut {
        /// Records of this process.
        put_back: u64,
        /// Records that it does not have any more.
        lost: u64,
    },
}

impl std::error::Error for Displaced {}

impl fmt::Display for Displaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deleted => f.write_str("it was deleted during the run; it is back, with all its records"),
            Self::Moved => f.write_str("it was moved during the run; all records are where it is now, so move it back"),
            Self::Replaced { kept_in } => {
                write!(f, "another file took its place during the run; the records are in {}", kept_in.display())
            }
            Self::Cut { put_back, lost } => {
                write!(f, "it was truncated during the run; {put_back} of the run's records are back in it")?;
                if *lost > 0 {
                    write!(f, ", and {lost} other records are lost")?;
                }
                Ok(())
            }
        }
    }
}

impl LogFile {
    /// Checks that the log is what its path names, and that what this process wrote is in it. If it was deleted or replaced, its records get a name
    /// again: its own if that is free, else one beside it. If it was cut, this process's records are appended again.
    ///
    /// # Errors
    /// [`Displaced`], or why nothing could be saved.
    pub(super) fn keep_in_place(&mut self) -> io::Result<()> {
        let displaced = if is_at(&self.file, &self.path)? {
            if !self.is_cut()? {
                return Ok(());
            }
            self.put_back()?
        } else if has_a_name(&self.file)? {
            Displaced::Moved
        } else {
            match self.rescue()? {
                kept_in if kept_in == self.path => Displaced::Deleted,
                kept_in => Displaced::Replaced { kept_in },
            }
        };
        Err(io::Error::other(displaced))
    }

    /// Copies the records of a file without a name to one that has one.
    fn rescue(&self) -> io::Result<PathBuf> {
        let paths = std::iter::once(self.path.clone()).chain((1..).map(|n| files::rescued_of(&self.path, n)));
        for path in paths {
            let mut copy = match OpenOptions::new().write(true).create_new(true).open(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                copy => copy?,
            };
            copy.set_permissions(self.file.metadata()?.permissions())?;
            (&self.file).seek(SeekFrom::Start(0))?;
            io::copy(&mut &self.file, &mut copy)?;
            copy.sync_all()?;
            return Ok(path);
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Appends what this process wrote and the log does not have any more. What others wrote since stays.
    fn put_back(&mut self) -> io::Result<Displaced> {
        let hasher = RandomState::new();
        let hash = |line: &[u8]| hasher.hash_one(line.trim_ascii());
        let mut there: HashMap<u64, u64> = HashMap::new();
        let (mut lines, mut ends_whole) = (0, true);
        for_each_raw_line(&self.file, |_, line| {
            *there.entry(hash(line)).or_default() += 1;
            lines += 1;
            ends_whole = line.ends_with(b"\n");
            Ok(())
        })?;
        let mut block = if ends_whole { Vec::new() } else { b"\n".to_vec() };
        let (mut found, mut put_back) = (0, 0);
        let mut copies = self.written.copies()?;
        let mut line = Vec::new();
        while let Some(copies) = &mut copies
            && copies.read_until(b'\n', &mut line)? > 0
        {
            match there.get_mut(&hash(&line)).filter(|count| **count > 0) {
                Some(count) => {
                    *count -= 1;
                    found += 1;
                }
                None => {
                    block.extend_from_slice(&line);
                    put_back += 1;
                }
            }
            line.clear();
            if block.len() >= BLOCK_BYTES {
                self.file.write_all(&block)?;
                block.clear();
            }
        }
        self.file.write_all(&block)?;
        self.file.sync_data()?;
        // What is there and not this process's own was there before, or came from others since.
        let lost = self.written.expected_lines(copies.is_some()).saturating_sub(lines - found);
        Ok(Displaced::Cut { put_back, lost })
    }
}

#[cfg(unix)]
fn has_a_name(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    Ok(file.metadata()?.nlink() > 0)
}

#[cfg(not(unix))]
fn has_a_name(_: &File) -> io::Result<bool> {
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::written::Written;
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_log_that_is_deleted_or_replaced_keeps_its_records() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("f.jsonl"), folder.path().join("moved.jsonl"));
        let displaced = |displace: &dyn Fn()| {
            let mut log = LogFile::open(&path).unwrap();
            log.write_line(b"x\n").unwrap();
            log.keep_in_place().unwrap();
            displace();
            log.write_line(b"y\n").unwrap();
            log.keep_in_place().unwrap_err().to_string()
        };
        let error = displaced(&|| fs::remove_file(&path).unwrap());
        assert!(error.contains("deleted") && fs::read(&path).unwrap() == b"x\ny\n", "{error}");
        let error = displaced(&|| fs::rename(&path, &moved).unwrap());
        assert!(error.contains("moved") && fs::read(&moved).unwrap() == b"x\ny\nx\ny\n", "{error}");
        for rescued in ["f.jsonl.rescued", "f.jsonl.rescued-2"] {
            let _ = fs::remove_file(&path);
            let error = displaced(&|| fs::write(&moved, "mine").and_then(|()| fs::rename(&moved, &path)).unwrap());
            assert!(error.ends_with(rescued), "{error}");
            assert_eq!(fs::read(folder.path().join(rescued)).unwrap(), b"x\ny\n");
            assert_eq!(fs::read(&path).unwrap(), b"mine");
        }
    }

    /// A log with two older lines, to which three were written; what it is after `cut`, and what is said.
    fn after(cut: impl FnOnce(&mut LogFile)) -> (String, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.jsonl");
        fs::write(&path, "old 1\nold 2\n").unwrap();
        let mut log = LogFile::open(&path).unwrap();
        log.written = Written::begin(2, 12);
        for n in 1..=3 {
            log.write_line(format!("new {n}\n").as_bytes()).unwrap();
        }
        log.keep_in_place().unwrap();
        cut(&mut log);
        let error = log.keep_in_place().unwrap_err().to_string();
        (fs::read_to_string(&path).unwrap(), error)
    }

    #[test]
    fn a_log_that_is_cut_gets_back_what_is_missing_of_this_process() {
        let (text, error) = after(|log| fs::write(&log.path, "").unwrap());
        assert_eq!(text, "new 1\nnew 2\nnew 3\n");
        assert!(error.contains("3 of the run's records") && error.contains("2 other records are lost"), "{error}");
        // In the middle of a line; what others and this process wrote since stays where it is.
        let (text, error) = after(|log| {
            log.file.set_len(20).unwrap();
            OpenOptions::new().append(true).open(&log.path).unwrap().write_all(b"\ntheirs\n").unwrap();
            log.write_line(b"new 4\n").unwrap();
        });
        assert_eq!(text, "old 1\nold 2\nnew 1\nne\ntheirs\nnew 4\nnew 2\nnew 3\n");
        assert!(error.contains("2 of the run's records") && !error.contains("lost"), "{error}");
        // An editor wrote anew what it had read, with one line changed.
        let (text, _) = after(|log| fs::write(&log.path, "old 1\nold two\nnew 1").unwrap());
        assert_eq!(text, "old 1\nold two\nnew 1\nnew 2\nnew 3\n");
    }

    #[test]
    fn without_copies_it_is_said_what_is_lost() {
        let (text, error) = after(|log| {
            log.written.drop_copies();
            fs::write(&log.path, "old 1\n").unwrap();
        });
        assert_eq!(text, "old 1\n");
        assert!(error.contains("0 of the run's records") && error.contains("4 other records are lost"), "{error}");
    }
}
