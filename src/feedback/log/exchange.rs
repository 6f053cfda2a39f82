//! Replacing a log's file: with one without superseded records or damage, or an empty one. What others append meanwhile is carried over.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::time::{Duration, Instant};

use super::OpenError;
use super::file::LogFile;
use super::holders::is_held_by_others;
use super::lock::lock;
use super::written::Written;
use crate::files::{self, Replacement};

/// How long another process may hold the replaced file.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// How often it is looked at.
const INTERVAL: Duration = Duration::from_millis(10);
/// If it is not known who holds it, nothing may arrive for this long.
const QUIET: Duration = Duration::from_millis(500);
const BLOCK_BYTES: u64 = 1 << 20;

impl LogFile {
    /// An empty log in place of this one, which becomes `<path>.bak`.
    pub(super) fn renewed(mut self) -> Result<Self, OpenError> {
        let io_error = |source| OpenError::Io { path: self.path.clone(), source };
        if self.file.metadata().map_err(io_error)?.len() > 0 {
            let new = self.stage(|_| Ok(()))?;
            self.exchange(new)?;
        }
        Ok(self)
    }

    /// Writes a file next to the log, locked in the same way, which is to replace it.
    pub(super) fn stage(
        &self,
        write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
    ) -> Result<Replacement, OpenError> {
        let path = files::temporary_of(&self.path);
        let io_error = |source| OpenError::Io { path: path.clone(), source };
        let new = Replacement::begin(&self.path).map_err(io_error)?;
        lock(new.file(), &path)?;
        let mut writer = BufWriter::with_capacity(1 << 16, new.file());
        write(&mut writer).and_then(|()| writer.flush()).map_err(io_error)?;
        drop(writer);
        Ok(new)
    }

    /// Atomically replaces this file with a staged one; this one becomes `<path>.bak`, with what others append to it.
    pub(super) fn exchange(&mut self, new: Replacement) -> Result<(), OpenError> {
        let exchanged = files::keep_backup(&self.path).and_then(|()| new.commit());
        self.take_over(exchanged).map(drop)
    }

    /// Replaces this file with a staged one, which has what is before `copied`; the rest is copied after it, including what others append
    /// to the old file as long as they hold it.
    pub(super) fn continue_in(&mut self, new: Replacement, copied: u64) -> Result<(), OpenError> {
        let path = self.path.clone();
        let io_error = |source| OpenError::Io { path: path.clone(), source };
        let mut rest = Rest { from: copied };
        rest.copy(&self.file, new.file(), false).map_err(io_error)?;
        // If a process never releases it, it keeps a name.
        let kept_in = (1..).map(|n| files::rescued_of(&path, n)).take(100);
        let kept_in = kept_in.into_iter().find(|kept_in| std::fs::hard_link(&path, kept_in).is_ok());
        let old = self.take_over(new.commit())?;
        let is_held = rest.follow(&old, &self.file).map_err(io_error)?;
        match kept_in {
            Some(kept_in) if is_held => Err(OpenError::StillOpen { path, kept_in }),
            Some(kept_in) => std::fs::remove_file(kept_in).map_err(io_error),
            None => Ok(()),
        }
    }

    /// Returns the file that it was.
    fn take_over(&mut self, new: io::Result<File>) -> Result<File, OpenError> {
        let io_error = |source| OpenError::Io { path: self.path.clone(), source };
        let new = new.map_err(io_error)?;
        self.written = Written::begin(0, new.metadata().map_err(io_error)?.len());
        Ok(std::mem::replace(&mut self.file, new))
    }
}

/// The part of a file that is not yet copied to another.
struct Rest {
    from: u64,
}

impl Rest {
    /// Copies until no other process can append to the old file; returns whether one still could when time ran out.
    fn follow(&mut self, old: &File, new: &File) -> io::Result<bool> {
        let begun = Instant::now();
        let mut last = begun;
        loop {
            // First whether it is held, then what was written.
            let is_held = is_held_by_others(old);
            if self.copy(old, new, false)? {
                last = Instant::now();
            }
            let is_held = is_held.unwrap_or_else(|| last.elapsed() < QUIET);
            if !is_held || begun.elapsed() > MAX_WAIT {
                self.copy(old, new, true)?;
                return Ok(is_held);
            }
            std::thread::sleep(INTERVAL);
        }
    }

    /// Copies the whole lines so far, and the rest if it is the last time; returns whether there were any. What is appended
    /// meanwhile is left to the next call: a process that never pauses would be followed forever.
    fn copy(&mut self, mut old: &File, mut new: &File, is_last: bool) -> io::Result<bool> {
        let end = old.metadata()?.len();
        let mut is_any = false;
        loop {
            let mut block = Vec::new();
            old.seek(SeekFrom::Start(self.from))?;
            old.take(BLOCK_BYTES.min(end.saturating_sub(self.from))).read_to_end(&mut block)?;
            let whole = block.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            // A line longer than a block is copied in pieces.
            let length = if is_last || block.len() as u64 == BLOCK_BYTES && whole == 0 { block.len() } else { whole };
            if length == 0 {
                return Ok(is_any);
            }
            new.write_all(&block[..length])?;
            self.from += length as u64;
            is_any = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};

    use super::*;

    #[test]
    fn what_others_append_to_the_old_file_goes_along() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.jsonl");
        fs::write(&path, "dropped\nkept\n").unwrap();
        let mut log = LogFile::open(&path).unwrap();
        let mut other = OpenOptions::new().append(true).open(&path).unwrap();
        let new = log.stage(|writer| writer.write_all(b"kept\n")).unwrap();
        other.write_all(b"before\nhalf a").unwrap();
        log.continue_in(new, 13).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "kept\nbefore\nhalf a");
        log.write_line(b"\n").unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn lines_are_copied_whole_until_it_is_the_last_time() {
        let folder = tempfile::tempdir().unwrap();
        let [old, new] = ["old", "new"].map(|name| {
            let options = OpenOptions::new().read(true).append(true).create(true).clone();
            options.open(folder.path().join(name)).unwrap()
        });
        let text = || fs::read_to_string(folder.path().join("new")).unwrap();
        let mut rest = Rest { from: 0 };
        (&old).write_all(b"one\ntw").unwrap();
        assert!(rest.copy(&old, &new, false).unwrap());
        assert_eq!(text(), "one\n");
        assert!(!rest.copy(&old, &new, false).unwrap());
        (&old).write_all(b"o\nthree").unwrap();
        assert!(rest.copy(&old, &new, true).unwrap());
        assert_eq!(text(), "one\ntwo\nthree");
        // Longer than a block.
        let long = "x".repeat(3 << 20);
        (&old).write_all(format!("\n{long}\n").as_bytes()).unwrap();
        while rest.copy(&old, &new, false).unwrap() {}
        assert_eq!(text(), format!("one\ntwo\nthree\n{long}\n"));
    }

    #[test]
    fn a_log_that_is_exchanged_becomes_the_backup() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.jsonl");
        fs::write(&path, "old\n").unwrap();
        let mut log = LogFile::open(&path).unwrap().renewed().unwrap();
        log.write_line(b"new\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new\n");
        assert_eq!(fs::read_to_string(files::backup_of(&path)).unwrap(), "old\n");
        assert!(matches!(LogFile::open(&path), Err(OpenError::Locked { .. })));
    }
}
