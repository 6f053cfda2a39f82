//! Why a dataset cannot be read, as opposed to a record of it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::dataset::source::container::Remedy;

/// Why a dataset cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// No path was given.
    #[error("no dataset given")]
    NothingNamed,
    /// The file does not exist.
    #[error("cannot find `{}`", path.display())]
    NotFound {
        /// As it was given.
        path: PathBuf,
    },
    /// A directory is there.
    #[error("`{}` is a directory", path.display())]
    IsDirectory {
        /// As it was given.
        path: PathBuf,
    },
    /// The file is compressed by a program that is not built in; gzip and zstd are.
    #[error("`{}` is compressed with {program}", path.display())]
    Compressed {
        /// As it was given.
        path: PathBuf,
        /// What unpacks it.
        program: &'static str,
    },
    /// The file is not text.
    #[error("`{}` is {what}", path.display())]
    NotText {
        /// As it was given.
        path: PathBuf,
        /// What it is.
        what: &'static str,
        /// How to make text of it.
        remedy: Remedy,
    },
    /// The first row of a table cannot be a header.
    #[error("the header of `{file}` is invalid: {reason}")]
    Header {
        /// As it was given.
        file: Arc<str>,
        /// What is wrong.
        reason: String,
    },
    /// A compressed file cannot be decompressed further.
    #[error(
        "`{file}` is damaged or truncated at byte {byte_offset} of the compressed file, after line {line} of its text"
    )]
    Unpack {
        /// As it was given.
        file: Arc<str>,
        /// The last line that was read.
        line: u64,
        /// How much of the compressed file could be used.
        byte_offset: u64,
        /// The decoder's words.
        source: io::Error,
    },
    /// The file exists but cannot be opened.
    #[error("cannot open `{}`", path.display())]
    Open {
        /// As it was given.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// Parts of traces, or traces of sessions, wait in a temporary file until all are read, and this failed.
    #[error("cannot collect traces or sessions in a temporary file in `{}`", std::env::temp_dir().display())]
    Gather {
        /// The system's words.
        source: io::Error,
    },
    /// Reading failed in the middle.
    #[error("cannot read `{file}` after line {line}")]
    Read {
        /// As it was given.
        file: Arc<str>,
        /// The last line that was read.
        line: u64,
        /// The system's words.
        source: io::Error,
    },
}

impl DatasetError {
    /// Whether it is of a kind that cannot be read, rather than that reading it failed.
    pub fn is_unusable(&self) -> bool {
        match self {
            Self::NothingNamed
            | Self::NotFound { .. }
            | Self::IsDirectory { .. }
            | Self::Compressed { .. }
            | Self::NotText { .. }
            | Self::Header { .. } => true,
            Self::Unpack { .. } | Self::Open { .. } | Self::Gather { .. } | Self::Read { .. } => false,
        }
    }
}
