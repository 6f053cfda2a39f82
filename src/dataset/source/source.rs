//! Where the lines come from: files and the standard input, checked before anything is read.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::dataset::source::container::{Foreign, Remedy, Unpacked, unpack};

/// An opened input.
pub(crate) struct Source {
    /// The path as it was given; `<stdin>` for `-`.
    pub name: Arc<str>,
    /// The length in bytes as it lies on the disk, where it is a regular file.
    pub length: Option<u64>,
    input: Input,
}

enum Input {
    File(PathBuf),
    Stream(Box<dyn Read + Send>),
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
    /// The file is packed by a program that is not built in; gzip and zstd are.
    #[error("`{}` is compressed with {program}; unpack it on the way: `{program} -dc {} | judge-run --dataset -`",
        path.display(), path.display())]
    Compressed {
        /// As it was given.
        path: PathBuf,
        /// What unpacks it.
        program: &'static str,
    },
    /// The file is no text.
    #[error("`{}` is {what}; {}", path.display(), remedy.of(&path.display()))]
    NotText {
        /// As it was given.
        path: PathBuf,
        /// What it is.
        what: &'static str,
        /// How to make text of it.
        remedy: Remedy,
    },
    /// The first row of a table cannot be a header.
    #[error("the header of `{file}` cannot be used: {reason}")]
    Header {
        /// As it was given.
        file: Arc<str>,
        /// What is wrong and what to do about it.
        reason: String,
    },
    /// A compressed file cannot be unpacked further.
    #[error(
        "`{file}` is damaged or cut off at byte {byte_offset} of the compressed file, after line {line} of its text ({source}); what was \
             read before it stands; get the file anew and run the same command again"
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
    /// The file is there and cannot be opened.
    #[error("cannot open `{}`; check that you may read it", path.display())]
    Open {
        /// As it was given.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// Parts of traces, or traces of sessions, wait in a temporary file until all are read, and this failed.
    #[error("cannot put traces or sessions together in a temporary file; free space in `{}`, or set TMPDIR", std::env::temp_dir().display())]
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
    /// Checks a path, and looks at the first bytes if it is a regular file. Such a file is opened again when its turn comes, so that a
    /// folder of thousands is no trouble.
    pub(crate) fn open(path: &Path) -> Result<Self, DatasetError> {
        if path == Path::new(STDIN) {
            return Ok(Self::stream("<stdin>", Box::new(io::stdin())));
        }
        let failed = |source: io::Error| failed_to_open(path, source);
        // Some systems do not open a directory at all.
        if path.is_dir() {
            return Err(DatasetError::IsDirectory { path: path.to_owned() });
        }
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let name = path.display().to_string();
        if !metadata.is_file() {
            return Ok(Self::stream(&name, Box::new(file)));
        }
        unpack(Box::new(file)).map_err(failed)?.map_err(|foreign| foreign_file(&name, foreign))?;
        Ok(Self { name: name.into(), length: Some(metadata.len()), input: Input::File(path.to_owned()) })
    }

    /// What can be read once, and whose length is not known.
    pub(crate) fn stream(name: &str, reader: Box<dyn Read + Send>) -> Self {
        Self { name: name.into(), length: None, input: Input::Stream(reader) }
    }

    /// Begins to read its text.
    pub(crate) fn unpack(self) -> Result<Unpacked, DatasetError> {
        let Self { name, length: _, input } = self;
        let reader = match input {
            Input::File(path) => Box::new(File::open(&path).map_err(|source| failed_to_open(&path, source))?),
            Input::Stream(reader) => reader,
        };
        let unpacked =
            unpack(reader).map_err(|source| DatasetError::Read { file: Arc::clone(&name), line: 0, source })?;
        unpacked.map_err(|foreign| foreign_file(&name, foreign))
    }
}

fn failed_to_open(path: &Path, source: io::Error) -> DatasetError {
    let path = path.to_owned();
    match source.kind() {
        ErrorKind::NotFound => DatasetError::NotFound { path },
        ErrorKind::IsADirectory => DatasetError::IsDirectory { path },
        _ => DatasetError::Open { path, source },
    }
}

fn foreign_file(name: &str, foreign: Foreign) -> DatasetError {
    let path = PathBuf::from(name);
    match foreign {
        Foreign::Packed(program) => DatasetError::Compressed { path, program },
        Foreign::Binary { what, remedy } => DatasetError::NotText { path, what, remedy },
    }
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
        for (content, words) in [
            (b"BZh91AY".as_slice(), "is compressed with bzip2; unpack it on the way: `bzip2 -dc "),
            (b"\xfd7zXZ\0", "is compressed with xz; unpack it on the way: `xz -dc "),
            (b"PAR1\x15\x04", "is a Parquet file; make JSON lines of it: `duckdb -c \"COPY (FROM '"),
            (b"PK\x03\x04\x14", "is a spreadsheet or a ZIP archive; save a sheet as CSV, or unpack"),
            (b"SQLite format 3\0\x10", "is a SQLite database; make JSON of a table: `sqlite3 -json '"),
        ] {
            std::fs::write(path("a.jsonl"), content).unwrap();
            assert!(error(&path("a.jsonl")).contains(words), "{}", error(&path("a.jsonl")));
        }
    }

    #[test]
    fn a_file_is_read_from_its_beginning_and_its_length_known() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.jsonl");
        for text in ["", "{", "P", "{\"inputs\": 1}"] {
            std::fs::write(&path, text).unwrap();
            let source = Source::open(&path).unwrap();
            assert_eq!(source.length, Some(text.len() as u64));
            let mut read = String::new();
            source.unpack().unwrap().text.read_to_string(&mut read).unwrap();
            assert_eq!(read, text);
        }
    }
}
