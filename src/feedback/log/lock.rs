//! The lock of a log: one process writes to it at a time.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

use super::OpenError;
use crate::files::is_at;

/// How often a path may turn out to name a different file from the one that was locked.
const MAX_TRIES: u32 = 16;

/// Opens and locks what `path` names. Between the two, another process may put a new file there or remove this one: a lock on a file without a
/// name protects nothing.
pub(super) fn open_locked(path: &Path, mut open: impl FnMut() -> io::Result<File>) -> Result<File, OpenError> {
    let io_error = |source| OpenError::Io { path: path.to_owned(), source };
    for _ in 0..MAX_TRIES {
        let file = open().map_err(io_error)?;
        lock(&file, path)?;
        if is_at(&file, path).map_err(io_error)? {
            return Ok(file);
        }
    }
    Err(OpenError::Locked { path: path.to_owned() })
}

pub(super) fn lock(file: &File, path: &Path) -> Result<(), OpenError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked { path: path.to_owned() }),
        // A run without a lock is better than none.
        Err(TryLockError::Error(error)) if has_no_locks(&error) => Ok(()),
        Err(TryLockError::Error(error)) => Err(OpenError::Io { path: path.to_owned(), source: error }),
    }
}

/// Whether a process holds a log's lock; `None` if unknown. Takes only a brief shared lock, on a read-only handle.
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

/// The process that holds a log's lock, if the system reports it.
#[cfg(target_os = "linux")]
pub fn lock_holder(path: &Path) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    let inode = path.metadata().ok()?.ino().to_string();
    // Source: proc_locks(5), as in `1: FLOCK  ADVISORY  WRITE 1234 fe:00:5678 0 EOF`. The device is not always that of the file.
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| match line.split_whitespace().collect::<Vec<_>>()[..] {
        [_, "FLOCK", _, "WRITE", process, file, ..] if file.rsplit(':').next() == Some(&inode) => process.parse().ok(),
        _ => None,
    })
}

/// The process that holds a log's lock, if the system reports it.
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

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};

    use super::super::file::LogFile;
    use super::*;

    #[test]
    fn whether_a_log_is_locked_is_found_without_locking_it() {
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
