//! Why a log cannot be opened.

use std::io;
use std::path::{Path, PathBuf};

/// Why a log cannot be opened.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum OpenError {
    #[error("cannot open `{}`", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("`{}` is a directory", path.display())]
    Directory { path: PathBuf },
    #[error("`{}` is a pipe or a device", path.display())]
    NotAFile { path: PathBuf },
    #[error("another judge-run is writing to `{}`", path.display())]
    Locked { path: PathBuf },
    #[error("`{}` is not a feedback log; its first line is `{first_line}`", path.display())]
    NotALog { path: PathBuf, first_line: String },
    #[error("another process still has the old file of `{}` open; what it appends is in `{}`", path.display(), kept_in.display())]
    StillOpen { path: PathBuf, kept_in: PathBuf },
}

/// The error for a file that begins with this line.
pub(super) fn not_a_log(path: &Path, first_line: &[u8]) -> OpenError {
    let printable = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    let first_line = String::from_utf8_lossy(first_line).trim().chars().take(60).map(printable).collect();
    OpenError::NotALog { path: path.to_owned(), first_line }
}
