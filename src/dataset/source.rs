//! Where the lines come from: files and the standard input, checked before anything is read.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An opened input.
pub(super) struct Source {
    /// The path as it was given; `<stdin>` for `-`.
    pub name: Arc<str>,
    /// The length in bytes, where it is a regular file.
    pub length: Option<u64>,
    pub reader: Box<dyn Read + Send>,
}

/// Why a dataset cannot be read, as opposed to a line of it.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// Nothing was named.
    #[error("no dataset is named; give at least one file, or `-` for the standard input")]
    NothingNamed,
    /// Nothing is there.
    #[error("there is no file `{}`; check the path", path.display())]
    NotFound {
        /// As it was given.
        path: PathBuf,
    },
    /// A directory is there.
    #[error("`{}` is a directory; name the files in it, e.g. `{}`", path.display(), path.join("*.jsonl").display())]
    IsDirectory {
        /// As it was given.
        path: PathBuf,
    },
    /// The file's bytes are no text.
    #[error("`{}` is compressed with {program}; unpack it on the way: `{program} -dc {} | judge-run --dataset -`",
        path.display(), path.display())]
    Compressed {
        /// As it was given.
        path: PathBuf,
        /// What unpacks it.
        program: &'static str,
    },
    /// The file is there and cannot be opened.
    #[error("cannot open `{}`; check that you may read it", path.display())]
    Open {
        /// As it was given.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// Parts of traces wait in a temporary file until all are read, and this failed.
    #[error("cannot put parts of traces together in a temporary file; free space in `{}`, or set TMPDIR", std::env::temp_dir().display())]
    Gather {
        /// The system's words.
        source: io::Error,
    },
    /// Reading failed in the middle.
    #[error("reading `{file}` failed after line {line}; what was read before it stands, run the same command again")]
    Read {
        /// As it was given.
        file: Arc<str>,
        /// The last line that was read.
        line: u64,
        /// The system's words.
        source: io::Error,
    },
}

/// The path that means the standard input.
const STDIN: &str = "-";

impl Source {
    /// Opens a path and looks at its first bytes, if it is a regular file.
    pub(super) fn open(path: &Path) -> Result<Self, DatasetError> {
        if path == Path::new(STDIN) {
            return Ok(Self { name: "<stdin>".into(), length: None, reader: Box::new(io::stdin()) });
        }
        let path_buf = || path.to_path_buf();
        let failed = |source: io::Error| match source.kind() {
            ErrorKind::NotFound => DatasetError::NotFound { path: path_buf() },
            ErrorKind::IsADirectory => DatasetError::IsDirectory { path: path_buf() },
            _ => DatasetError::Open { path: path_buf(), source },
        };
        // Some systems do not open a directory at all.
        if path.is_dir() {
            return Err(DatasetError::IsDirectory { path: path_buf() });
        }
        let mut file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let length = metadata.is_file().then_some(metadata.len());
        if length.is_some() {
            let mut head = [0; 4];
            let read = file.read(&mut head).map_err(failed)?;
            if let Some(program) = packer(head.get(..read).unwrap_or_default()) {
                return Err(DatasetError::Compressed { path: path_buf(), program });
            }
            file.rewind().map_err(failed)?;
        }
        Ok(Self { name: path.display().to_string().into(), length, reader: Box::new(file) })
    }
}

/// The program that packed a file which begins so.
fn packer(head: &[u8]) -> Option<&'static str> {
    const MARKS: [(&[u8], &str); 4] =
        [(b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"BZh", "bzip2"), (b"\xfd7zX", "xz")];
    MARKS.iter().find(|(mark, _)| head.starts_with(mark)).map(|(_, program)| *program)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(path: &Path) -> String {
        Source::open(path).err().unwrap().to_string()
    }

    #[test]
    fn what_cannot_be_read_is_named_with_a_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let shown = |name: &str| path(name).display().to_string();
        assert_eq!(error(&path("no.jsonl")), format!("there is no file `{}`; check the path", shown("no.jsonl")));
        assert!(
            error(dir.path()).ends_with(&format!("is a directory; name the files in it, e.g. `{}`", shown("*.jsonl")))
        );
        std::fs::write(path("a.gz"), b"\x1f\x8b\x08\x00").unwrap();
        assert!(error(&path("a.gz")).contains("compressed with gzip; unpack it on the way: `gzip -dc "));
    }

    #[test]
    fn a_file_is_read_from_its_beginning_and_its_length_known() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.jsonl");
        for text in ["", "{", "{\"inputs\": 1}"] {
            std::fs::write(&path, text).unwrap();
            let mut source = Source::open(&path).unwrap();
            let mut read = String::new();
            source.reader.read_to_string(&mut read).unwrap();
            assert_eq!((source.length, read.as_str()), (Some(text.len() as u64), text));
        }
    }
}
