//! A file that is replaced as a whole: written next to the old one, synced, and renamed over it.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::names::{backup_of, temporary_of};

/// How often another process may make a file of the same name before this one gives up.
const MAX_TRIES: u32 = 8;
/// How many names are tried for a file.
const MAX_NAMES: usize = 100;

/// A file that is to replace another. Unless it is committed, dropping it removes it.
#[derive(Debug)]
pub struct Replacement {
    /// Open for appending and reading.
    file: File,
    temporary: PathBuf,
    target: PathBuf,
}

impl Replacement {
    /// Makes an empty file next to `path`, with the permissions of the existing file.
    ///
    /// No link is followed: whatever has the temporary file's name is removed and never opened, and a link at `path` is replaced itself
    /// (see [`real_path`]).
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn begin(path: &Path) -> io::Result<Self> {
        let temporary = temporary_of(path);
        let made = Self { file: create_new(&temporary)?, temporary, target: path.to_owned() };
        if let Some(before) = path.symlink_metadata().ok().filter(std::fs::Metadata::is_file) {
            made.file.set_permissions(before.permissions())?;
        }
        Ok(made)
    }

    /// The new file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Syncs the new file and atomically replaces the old one with it. Returns it, still open.
    ///
    /// # Errors
    /// When it cannot be moved there, or another process has replaced it meanwhile.
    pub fn commit(self) -> io::Result<File> {
        let file = self.file.try_clone()?;
        file.sync_all()?;
        if !is_at(&file, &self.temporary)? {
            let message = format!("another process writes to {}", self.temporary.display());
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, message));
        }
        std::fs::rename(&self.temporary, &self.target)?;
        sync_folder(&self.target);
        Ok(file)
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        // Once it is committed, it has another name.
        if is_at(&self.file, &self.temporary).unwrap_or(false) {
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

/// Writes a file to `path`, so that either all of it or the old content is there.
///
/// # Errors
/// Those of `write`, and when the file cannot be created or moved into place.
pub fn replace<T, E: From<io::Error>>(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<T, E>) -> Result<T, E> {
    let new = Replacement::begin(path)?;
    let mut writer = BufWriter::with_capacity(1 << 16, new.file());
    let done = write(&mut writer)?;
    writer.flush()?;
    drop(writer);
    new.commit()?;
    Ok(done)
}

/// The target of a link, so that the link stays one when the file is replaced. Only for paths that the user named: a link
/// with a name that judge-run chose was put there by someone else.
///
/// # Errors
/// When the link leads nowhere.
pub fn real_path(path: &Path) -> io::Result<PathBuf> {
    if path.is_symlink() { path.canonicalize() } else { Ok(path.to_owned()) }
}

/// Gives the file at `path` a second name, `<path>.bak`, replacing an earlier one; until it is replaced it has both.
///
/// # Errors
/// When it cannot be given that name.
pub fn keep_backup(path: &Path) -> io::Result<()> {
    let backup = backup_of(path);
    match std::fs::remove_file(&backup) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // Some file systems do not support hard links.
    std::fs::hard_link(path, &backup).or_else(|_| std::fs::rename(path, &backup))
}

fn create_new(path: &Path) -> io::Result<File> {
    for _ in 0..MAX_TRIES {
        match OpenOptions::new().read(true).append(true).create_new(true).open(path) {
            // What a killed process left, or a link: its target is not touched.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match std::fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            },
            opened => return opened,
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Opens for appending the first of these that does not exist yet or is a file; never through a link.
///
/// # Errors
/// When it cannot be opened.
pub fn open_beside(names: impl IntoIterator<Item = PathBuf>) -> io::Result<(PathBuf, File)> {
    for path in names.into_iter().take(MAX_NAMES) {
        match OpenOptions::new().append(true).create_new(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            created => return created.map(|file| (path, file)),
        }
        if path.symlink_metadata()?.is_file() {
            let file = OpenOptions::new().append(true).open(&path)?;
            // If it has become a link meanwhile, it is skipped.
            if path.symlink_metadata()?.is_file() && is_at(&file, &path)? {
                return Ok((path, file));
            }
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Whether a path still names this open file.
#[cfg(unix)]
pub(crate) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let file = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (file.dev(), file.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Elsewhere, the system keeps an open file where it is.
#[cfg(not(unix))]
pub(crate) fn is_at(_: &File, path: &Path) -> io::Result<bool> {
    path.try_exists()
}

/// Makes a rename durable. Where folders cannot be synced, the old file may come back after a power failure, but whole.
fn sync_folder(path: &Path) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn write(path: &Path, text: &str) -> io::Result<()> {
        replace(path, |out| out.write_all(text.as_bytes()))
    }

    #[test]
    fn a_file_is_replaced_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.csv");
        write(&path, "one").unwrap();
        keep_backup(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one", "it keeps its name until it is replaced");
        write(&path, "two").unwrap();
        let failed: io::Result<()> = replace(&path, |out| {
            out.write_all(b"half")?;
            Err(io::Error::other("no more"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "no more");
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(fs::read_to_string(folder.path().join("x.csv.bak")).unwrap(), "one");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing else is left");
    }

    #[test]
    fn what_a_killed_process_left_is_no_obstacle() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.run.json");
        fs::write(folder.path().join("x.run.json.writing"), "half a fi").unwrap();
        write(&path, "whole").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_planted_under_the_temporary_name_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let [path, victim] = ["x.run.json", "victim"].map(|name| folder.path().join(name));
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, folder.path().join("x.run.json.writing")).unwrap();
        write(&path, "mine").unwrap();
        assert_eq!([&victim, &path].map(|path| fs::read_to_string(path).unwrap()), ["precious", "mine"]);
        assert!(!path.is_symlink());
    }

    #[cfg(unix)]
    #[test]
    fn permissions_are_kept_and_a_link_stays_one_where_that_is_asked_for() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let [target, link] = ["target", "link"].map(|name| folder.path().join(name));
        fs::write(&target, "old").unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        write(&real_path(&link).unwrap(), "new").unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read_to_string(&target).unwrap(), "new");
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o600);
        write(&link, "newer").unwrap();
        assert!(!link.is_symlink());
        assert_eq!([&target, &link].map(|path| fs::read_to_string(path).unwrap()), ["new", "newer"]);
    }

    #[cfg(unix)]
    #[test]
    fn two_processes_do_not_put_each_others_half_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.csv");
        let slow = Replacement::begin(&path).unwrap();
        slow.file().write_all(b"half").unwrap();
        write(&path, "whole").unwrap();
        assert_eq!(slow.commit().unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole");
    }
}
