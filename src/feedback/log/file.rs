//! The file of a log: locked for this process as long as it is held, and only ever longer by whole lines.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::OpenError;
use crate::feedback::Feedback;
use crate::files::{self, Replacement, is_at};

/// How often a path may turn out to name another file than the one that was locked.
const OPEN_TRIES: u32 = 16;

/// A locked log, at its end. If it is empty at the end of its use, it is removed: nothing came of it.
#[derive(Debug)]
pub(super) struct LogFile {
    pub file: File,
    pub path: PathBuf,
}

impl LogFile {
    /// Opens or creates a log and locks it.
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        if path.is_dir() {
            return Err(OpenError::Directory { path: path.to_owned() });
        }
        refuse_pipes(path)?;
        let open = || OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let file = open_locked(path, open)?;
        let real = files::real_path(path).map_err(|error| OpenError::Io { path: path.to_owned(), error })?;
        Ok(Self { file, path: real })
    }

    /// An empty log in place of this one, which becomes `<path>.bak`. What is no regular file stays as it is.
    pub(super) fn renewed(self) -> Result<Self, OpenError> {
        let io_error = |error| OpenError::Io { path: self.path.clone(), error };
        let metadata = self.file.metadata().map_err(io_error)?;
        if !metadata.is_file() || metadata.len() == 0 {
            return Ok(self);
        }
        std::fs::rename(&self.path, files::backup_of(&self.path)).map_err(io_error)?;
        // Another process may have been faster: then the log is its own.
        let created = OpenOptions::new().read(true).write(true).create_new(true).open(&self.path);
        let file = created.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => OpenError::Locked { path: self.path.clone() },
            _ => io_error(error),
        })?;
        lock(&file, &self.path)?;
        file.set_permissions(metadata.permissions()).map_err(io_error)?;
        Ok(Self { file, path: self.path.clone() })
    }

    /// Writes a file beside the log that is to take its place, locked as it is.
    pub(super) fn stage(
        &self,
        write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
    ) -> Result<Replacement, OpenError> {
        let path = files::temporary_of(&self.path);
        let io_error = |error| OpenError::Io { path: path.clone(), error };
        let new = Replacement::begin(&self.path).map_err(io_error)?;
        lock(new.file(), &path)?;
        let mut writer = BufWriter::with_capacity(1 << 16, new.file());
        write(&mut writer).and_then(|()| writer.flush()).map_err(io_error)?;
        drop(writer);
        Ok(new)
    }

    /// Puts a staged file in the place of this one, at once and as a whole.
    pub(super) fn adopt(&mut self, new: Replacement) -> Result<(), OpenError> {
        self.file = new.commit().map_err(|error| OpenError::Io { path: self.path.clone(), error })?;
        Ok(())
    }

    /// Appends a line, whole or not at all. The end is looked for each time: a person may have added a line, or emptied the file.
    pub(super) fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        let end = self.file.seek(SeekFrom::End(0))?;
        if let Err(error) = self.file.write_all(line) {
            // Half a line may have gone out: take it back.
            self.file.set_len(end)?;
            return Err(error);
        }
        Ok(())
    }

    /// Puts what was written on the disk.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        match self.file.sync_data() {
            // A pipe or a device has nothing to sync.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            result => result,
        }
    }

    /// The record at `offset`.
    pub(super) fn reread(&mut self, offset: u64) -> io::Result<Feedback> {
        self.file.seek(SeekFrom::Start(offset))?;
        let mut line = String::new();
        BufReader::new(&self.file).read_line(&mut line)?;
        Feedback::from_json(&line).map_err(io::Error::other)
    }

    /// Whether the log still is what its path names. If it was deleted or replaced, its records get a name again: its own if that is
    /// free, else one beside it.
    ///
    /// # Errors
    /// [`Displaced`], or why nothing could be saved.
    pub(super) fn keep_in_place(&mut self) -> io::Result<()> {
        if is_at(&self.file, &self.path)? {
            return Ok(());
        }
        let displaced = if has_a_name(&self.file)? {
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
}

/// What became of a log while a run wrote to it. Every record is on disk all the same.
#[derive(Debug, thiserror::Error)]
enum Displaced {
    #[error("somebody deleted it while the run wrote to it; it is back, with all its records")]
    Deleted,
    #[error("somebody moved it while the run wrote to it, and it has all records where it is now; move it back")]
    Moved,
    #[error("somebody put another file in its place while the run wrote to it; the records are in {}", kept_in.display())]
    Replaced { kept_in: PathBuf },
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

/// Opens and locks what `path` names. Between the two, another process may have put a new file there or removed this one: a lock on
/// a file without a name protects nothing.
fn open_locked(path: &Path, mut open: impl FnMut() -> io::Result<File>) -> Result<File, OpenError> {
    let io_error = |error| OpenError::Io { path: path.to_owned(), error };
    for _ in 0..OPEN_TRIES {
        let file = open().map_err(io_error)?;
        lock(&file, path)?;
        if is_at(&file, path).map_err(io_error)? {
            return Ok(file);
        }
    }
    Err(OpenError::Locked { path: path.to_owned() })
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

pub(super) fn lock(file: &File, path: &Path) -> Result<(), OpenError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked { path: path.to_owned() }),
        // A run without a lock is better than none.
        Err(TryLockError::Error(error)) if has_no_locks(&error) => Ok(()),
        Err(TryLockError::Error(error)) => Err(OpenError::Io { path: path.to_owned(), error }),
    }
}

/// Whether a process holds a log's lock; `None` if that cannot be told. Takes nothing but a moment's shared lock on a handle that cannot
/// write.
///
/// # Errors
/// When the file cannot be opened.
pub fn is_locked(path: &Path) -> io::Result<Option<bool>> {
    let file = File::open(path)?;
    Ok(match file.try_lock_shared() {
        Ok(()) => {
            let _ = file.unlock();
            Some(false)
        }
        Err(TryLockError::WouldBlock) => Some(true),
        Err(TryLockError::Error(_)) => None,
    })
}

/// The process that holds a log's lock, where the system tells.
#[cfg(target_os = "linux")]
pub fn lock_holder(path: &Path) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    let inode = path.metadata().ok()?.ino().to_string();
    // Source: proc_locks(5), as in `1: FLOCK  ADVISORY  WRITE 1234 fe:00:5678 0 EOF`. The device is not always the one that a file tells.
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| match line.split_whitespace().collect::<Vec<_>>()[..] {
        [_, "FLOCK", _, "WRITE", process, file, ..] if file.rsplit(':').next() == Some(&inode) => process.parse().ok(),
        _ => None,
    })
}

/// The process that holds a log's lock, where the system tells.
#[cfg(not(target_os = "linux"))]
pub fn lock_holder(_: &Path) -> Option<u32> {
    None
}

/// Whether the file system has no locks: some network file systems don't, and NFS says `ENOLCK` where its lock daemon does not run.
fn has_no_locks(error: &io::Error) -> bool {
    const LINUX_ENOLCK: i32 = 37;
    error.kind() == io::ErrorKind::Unsupported
        || (cfg!(target_os = "linux") && error.raw_os_error() == Some(LINUX_ENOLCK))
}

/// Opening would make a log, or wait for somebody to write to a pipe.
pub(super) fn refuse_what_is_no_file(path: &Path) -> Result<(), OpenError> {
    let io_error = |error| OpenError::Io { path: path.to_owned(), error };
    let metadata = path.metadata().map_err(io_error)?;
    if metadata.is_file() || metadata.is_dir() {
        return Ok(());
    }
    Err(io_error(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")))
}

/// A log is read before it is written to: on a pipe that would wait for ever.
pub(super) fn refuse_pipes(path: &Path) -> Result<(), OpenError> {
    match path.metadata() {
        Ok(metadata) if !metadata.is_file() => Err(OpenError::NotAFile { path: path.to_owned() }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

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
    fn whether_a_log_is_locked_is_told_without_locking_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.jsonl");
        assert!(is_locked(&path).is_err());
        let mut log = LogFile::open(&path).unwrap();
        log.write_line(b"x\n").unwrap();
        assert_eq!(is_locked(&path).unwrap(), Some(true));
        drop(log);
        assert_eq!(is_locked(&path).unwrap(), Some(false));
        LogFile::open(&path).unwrap();
    }

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
        assert!(error.contains("deleted it") && fs::read(&path).unwrap() == b"x\ny\n", "{error}");
        let error = displaced(&|| fs::rename(&path, &moved).unwrap());
        assert!(error.contains("moved it") && fs::read(&moved).unwrap() == b"x\ny\nx\ny\n", "{error}");
        for rescued in ["f.jsonl.rescued", "f.jsonl.rescued-2"] {
            let _ = fs::remove_file(&path);
            let error = displaced(&|| fs::write(&moved, "mine").and_then(|()| fs::rename(&moved, &path)).unwrap());
            assert!(error.ends_with(rescued), "{error}");
            assert_eq!(fs::read(folder.path().join(rescued)).unwrap(), b"x\ny\n");
            assert_eq!(fs::read(&path).unwrap(), b"mine");
        }
    }

    #[test]
    fn a_line_that_somebody_else_adds_is_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.jsonl");
        let mut log = LogFile::open(&path).unwrap();
        log.write_line(b"x\n").unwrap();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"theirs\n").unwrap();
        log.write_line(b"y\n").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"x\ntheirs\ny\n");
        fs::write(&path, "").unwrap();
        log.write_line(b"z\n").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"z\n");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_process_that_holds_a_lock_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.jsonl");
        assert_eq!(lock_holder(&path), None);
        let log = LogFile::open(&path).unwrap();
        assert_eq!(lock_holder(&path), Some(std::process::id()));
        drop(log);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_lost_its_name_before_it_was_locked_is_opened_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.jsonl");
        let mut opened = 0;
        let file = open_locked(&path, || {
            opened += 1;
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
            match opened {
                // What other processes do in between: one is removed, one is replaced.
                1 => fs::remove_file(&path)?,
                2 => fs::rename(&path, folder.path().join("old")).and_then(|()| fs::write(&path, "new"))?,
                _ => {}
            }
            Ok(file)
        });
        assert_eq!((file.unwrap().metadata().unwrap().len(), opened), (3, 3));
        let error = open_locked(&path, || File::open(folder.path().join("old"))).unwrap_err();
        assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_system_without_locks_is_no_error() {
        assert!(has_no_locks(&io::Error::from_raw_os_error(37)));
        assert!(has_no_locks(&io::ErrorKind::Unsupported.into()));
        assert!(!has_no_locks(&io::ErrorKind::PermissionDenied.into()));
    }
}
