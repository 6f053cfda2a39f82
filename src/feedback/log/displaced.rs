//! A log that was deleted, moved, replaced or truncated while a run wrote to it: its records are saved to a file again.

use std::collections::HashMap;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead, Seek, SeekFrom, Write};
use std::path::PathBuf;

use super::file::LogFile;
use super::lines::for_each_line;
use super::lock::lock;
use crate::files::{self, is_at};

/// How much is put back in one write.
const BLOCK_BYTES: usize = 1 << 20;

/// Why a log can no longer be written: its path names something else.
#[derive(Debug)]
enum Displaced {
    Moved {
        /// Where it is now, if that is known.
        to: Option<PathBuf>,
    },
    Replaced {
        kept_in: PathBuf,
    },
}

impl std::error::Error for Displaced {}

impl fmt::Display for Displaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Moved { to: Some(to) } => {
                write!(f, "it was moved to {} during the run, with all its records; move it back", to.display())
            }
            Self::Moved { to: None } => f.write_str("it was moved during the run, with all its records; move it back"),
            Self::Replaced { kept_in } => {
                write!(f, "another file took its place during the run; the records are in {}", kept_in.display())
            }
        }
    }
}

impl LogFile {
    /// Checks that the log is what its path names, and that what this process wrote is in it. If it was deleted or replaced, its records get a name
    /// again: its own if that is free, else one next to it. If it was truncated, this process's records are appended again.
    ///
    /// # Errors
    /// [`Displaced`], or why nothing could be saved.
    pub(super) fn keep_in_place(&mut self) -> io::Result<()> {
        if is_at(&self.file, &self.path)? {
            return if self.is_cut()? { self.put_back() } else { Ok(()) };
        }
        if has_a_name(&self.file)? {
            return Err(io::Error::other(Displaced::Moved { to: place_of(&self.file) }));
        }
        let (copy, kept_in) = self.rescue()?;
        // Another run may have been quicker.
        if kept_in != self.path || lock(&copy, &kept_in).is_err() {
            return Err(io::Error::other(Displaced::Replaced { kept_in }));
        }
        self.file = copy;
        self.restored.deleted = true;
        Ok(())
    }

    /// Copies the records of an unnamed file to a named one.
    fn rescue(&self) -> io::Result<(File, PathBuf)> {
        let paths = std::iter::once(self.path.clone()).chain((1..).map(|n| files::rescued_of(&self.path, n)));
        for path in paths {
            let mut copy = match OpenOptions::new().read(true).append(true).create_new(true).open(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                copy => copy?,
            };
            copy.set_permissions(self.file.metadata()?.permissions())?;
            (&self.file).seek(SeekFrom::Start(0))?;
            io::copy(&mut &self.file, &mut copy)?;
            copy.sync_all()?;
            return Ok((copy, path));
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Appends what this process wrote and the log no longer has. What others wrote since stays.
    fn put_back(&mut self) -> io::Result<()> {
        let hasher = RandomState::new();
        let hash = |line: &[u8]| hasher.hash_one(line.trim_ascii());
        let mut there: HashMap<u64, u64> = HashMap::new();
        let (mut records, mut ends_whole) = (0, true);
        for_each_line(&self.file, |_, line, facts| {
            *there.entry(hash(line)).or_default() += 1;
            records += u64::from(facts.is_some());
            ends_whole = line.ends_with(b"\n");
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
        self.restored.put_back += put_back;
        // What is there and not this process's own was there before, or was written by others since.
        let of_others = records - found;
        self.restored.lost += self.written.expected_records(copies.is_some()).saturating_sub(of_others);
        self.written.is_whole_again(of_others, self.file.metadata()?.len());
        Ok(())
    }
}

/// The path of an open file, if the system reports it.
fn place_of(file: &File) -> Option<PathBuf> {
    #[cfg(target_os = "linux")]
    {
        use std::os::fd::AsRawFd;
        // Source: proc_pid_fd(5).
        std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok().filter(|path| path.exists())
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = file;
        None
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

    use super::super::restored::Restored;
    use super::super::written::Written;
    use super::*;
    use crate::feedback::history::Facts;

    #[cfg(unix)]
    #[test]
    fn a_log_that_is_deleted_is_written_on_and_one_that_is_replaced_keeps_its_records() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("f.jsonl"), folder.path().join("moved.jsonl"));
        let displaced = |displace: &dyn Fn()| {
            let mut log = LogFile::open(&path).unwrap();
            log.write_line(b"x\n").unwrap();
            log.keep_in_place().unwrap();
            displace();
            log.write_line(b"y\n").unwrap();
            let kept = log.keep_in_place().map_err(|error| error.to_string());
            (log, kept)
        };
        let (mut log, kept) = displaced(&|| fs::remove_file(&path).unwrap());
        assert_eq!((kept, log.restored), (Ok(()), Restored { deleted: true, ..Restored::default() }));
        log.write_line(b"z\n").unwrap();
        log.keep_in_place().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"x\ny\nz\n");
        assert!(LogFile::open(&path).is_err(), "it is locked as it was");
        drop(log);
        let (_, kept) = displaced(&|| fs::rename(&path, &moved).unwrap());
        assert!(kept.unwrap_err().contains("moved") && fs::read(&moved).unwrap() == b"x\ny\nz\nx\ny\n");
        for rescued in ["f.jsonl.rescued", "f.jsonl.rescued-2"] {
            let _ = fs::remove_file(&path);
            let (_, kept) = displaced(&|| fs::write(&moved, "mine").and_then(|()| fs::rename(&moved, &path)).unwrap());
            assert!(kept.unwrap_err().ends_with(rescued));
            assert_eq!(fs::read(folder.path().join(rescued)).unwrap(), b"x\ny\n");
            assert_eq!(fs::read(&path).unwrap(), b"mine");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn it_is_said_where_a_log_was_moved_to() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("f.jsonl"), folder.path().join("elsewhere.jsonl"));
        let mut log = LogFile::open(&path).unwrap();
        log.write_line(b"x\n").unwrap();
        fs::rename(&path, &moved).unwrap();
        let error = log.keep_in_place().unwrap_err().to_string();
        assert!(error.contains(moved.to_str().unwrap()), "{error}");
    }

    /// A record whose line has 30 bytes.
    fn line(name: &str) -> String {
        let line = format!("{{\"name\":\"{name:_<5}\",\"value\":true}}\n");
        assert_eq!(line.len(), 30);
        line
    }

    /// The names of the records in a log, and what else is there.
    fn names(text: &str) -> Vec<&str> {
        let name = |line| Facts::read(str::as_bytes(line)).map_or(line, |_| line[9..14].trim_end_matches('_'));
        text.split_terminator('\n').map(name).collect()
    }

    /// A log with two older records, to which three were written; its content after `cut`, and the outcome for its records.
    #[track_caller]
    fn after(cut: impl FnOnce(&mut LogFile), expected: &[&str], put_back: u64, lost: u64) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.jsonl");
        fs::write(&path, line("old1") + &line("old2")).unwrap();
        let mut log = LogFile::open(&path).unwrap();
        log.written = Written::begin(2, 60);
        for name in ["new1", "new2", "new3"] {
            log.write_line(line(name).as_bytes()).unwrap();
        }
        log.keep_in_place().unwrap();
        assert_eq!(log.restored, Restored::default());
        cut(&mut log);
        log.keep_in_place().unwrap();
        let restored = log.restored;
        log.keep_in_place().unwrap();
        assert_eq!(log.restored, restored, "it is restored once");
        assert_eq!(names(&fs::read_to_string(&path).unwrap()), expected);
        assert_eq!(restored, Restored { deleted: false, put_back, lost });
    }

    fn append(log: &LogFile, text: &str) {
        OpenOptions::new().append(true).open(&log.path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn a_log_that_is_cut_gets_back_what_is_missing_of_this_process() {
        after(|log| fs::write(&log.path, "").unwrap(), &["new1", "new2", "new3"], 3, 2);
        // An editor rewrote what it had read, with one line changed.
        let edited = [line("old1"), line("other"), line("new1").trim_end().to_owned()].concat();
        after(|log| fs::write(&log.path, edited).unwrap(), &["old1", "other", "new1", "new2", "new3"], 2, 0);
    }

    #[test]
    fn a_log_may_be_cut_through_a_line() {
        let half = "{\"name\":\"";
        let cut_after = |length| move |log: &mut LogFile| log.file.set_len(length).unwrap();
        after(cut_after(99), &["old1", "old2", "new1", half, "new2", "new3"], 2, 0);
        after(cut_after(39), &["old1", half, "new1", "new2", "new3"], 3, 1);
        // What others and this process wrote since stays where it is, once.
        let and_written = |log: &mut LogFile| {
            cut_after(99)(log);
            log.write_line(line("new4").as_bytes()).unwrap();
        };
        after(and_written, &["old1", "old2", "new1", half, "new4", "new2", "new3"], 2, 0);
        let and_both = |log: &mut LogFile| {
            cut_after(99)(log);
            append(log, &format!("\n{}", line("their")));
            log.write_line(line("new4").as_bytes()).unwrap();
        };
        after(and_both, &["old1", "old2", "new1", half, "their", "new4", "new2", "new3"], 2, 0);
    }

    #[test]
    fn a_log_may_be_cut_again() {
        let cut = |log: &mut LogFile| {
            fs::write(&log.path, "").unwrap();
            log.keep_in_place().unwrap();
            log.write_line(line("new4").as_bytes()).unwrap();
            fs::write(&log.path, line("new1")).unwrap();
        };
        after(cut, &["new1", "new2", "new3", "new4"], 6, 2);
    }

    #[test]
    fn without_copies_it_is_known_what_is_lost() {
        let cut = |log: &mut LogFile| {
            log.written.drop_copies();
            fs::write(&log.path, line("old1")).unwrap();
        };
        after(cut, &["old1"], 0, 4);
    }

    #[test]
    fn an_earlier_record_is_not_looked_for_where_records_are_lost() {
        let cut = |log: &mut LogFile| {
            assert!(log.reread(0).is_ok());
            fs::write(&log.path, "").unwrap();
            log.keep_in_place().unwrap();
            assert!(log.reread(0).is_err());
        };
        after(cut, &["new1", "new2", "new3"], 3, 2);
    }
}
