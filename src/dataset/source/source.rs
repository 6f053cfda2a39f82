//! Where the lines come from: files and standard input, checked before anything is read.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::dataset::source::container::{Container, Foreign, Remedy, Unpacked, decoded, unpack};
use crate::dataset::source::error::DatasetError;
use crate::dataset::source::zip::Samples;

/// An opened input.
pub(crate) struct Source {
    /// The path as given; `<stdin>` for `-`.
    pub name: Arc<str>,
    /// The length in bytes as stored on disk, for a regular file.
    pub length: Option<u64>,
    input: Input,
}

enum Input {
    File(PathBuf),
    Stream(Box<dyn Read + Send>),
}

/// The path that means the standard input.
const STDIN: &str = "-";

impl Source {
    /// Checks a path, and looks at the first bytes if it is a regular file. The file is opened again when its turn comes, so that a
    /// folder of thousands needs few handles.
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
        open_file(path, &name)?;
        Ok(Self { name: name.into(), length: Some(metadata.len()), input: Input::File(path.to_owned()) })
    }

    /// Something that can be read only once, and whose length is unknown.
    pub(crate) fn stream(name: &str, reader: Box<dyn Read + Send>) -> Self {
        Self { name: name.into(), length: None, input: Input::Stream(reader) }
    }

    /// The same file again; `None` for what can be read only once.
    pub(crate) fn again(&self) -> Option<Self> {
        match &self.input {
            Input::File(path) => {
                Some(Self { name: Arc::clone(&self.name), length: self.length, input: Input::File(path.clone()) })
            }
            Input::Stream(_) => None,
        }
    }

    /// Begins to read its text.
    pub(crate) fn unpack(self) -> Result<Unpacked, DatasetError> {
        let Self { name, length: _, input } = self;
        let reader = match input {
            Input::File(path) => return open_file(&path, &name),
            Input::Stream(reader) => reader,
        };
        let unpacked =
            unpack(reader).map_err(|source| DatasetError::Read { file: Arc::clone(&name), line: 0, source })?;
        unpacked.map_err(|foreign| foreign_file(&name, foreign))
    }
}

/// A regular file's text. An archive is read if it is a log.
fn open_file(path: &Path, name: &str) -> Result<Unpacked, DatasetError> {
    let failed = |source: io::Error| failed_to_open(path, source);
    match unpack(Box::new(File::open(path).map_err(failed)?)).map_err(failed)? {
        Ok(unpacked) => Ok(unpacked),
        Err(Foreign::Zip) => {
            let taken = Arc::default();
            let samples = Samples::open(File::open(path).map_err(failed)?, Arc::clone(&taken)).ok().flatten();
            let samples = samples.ok_or_else(|| foreign_file(name, Foreign::Zip))?;
            decoded(Container::Zip, Box::new(samples), taken).map_err(failed)
        }
        Err(foreign) => Err(foreign_file(name, foreign)),
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
        Foreign::Binary(what, remedy) => DatasetError::NotText { path, what, remedy },
        Foreign::Zip => {
            DatasetError::NotText { path, what: "a spreadsheet or a ZIP archive", remedy: Remedy::Spreadsheet }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(path: &Path) -> String {
        Source::open(path).err().unwrap().to_string()
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let shown = |name: &str| path(name).display().to_string();
        assert_eq!(error(&path("no.jsonl")), format!("cannot find `{}`", shown("no.jsonl")));
        assert!(error(dir.path()).ends_with("is a directory"));
        for (content, words) in [
            (b"BZh91AY".as_slice(), "is compressed with bzip2"),
            (b"\xfd7zXZ\0", "is compressed with xz"),
            (b"PAR1\x15\x04", "is a Parquet file"),
            (b"PK\x03\x04\x14", "is a spreadsheet or a ZIP archive"),
            (b"SQLite format 3\0\x10", "is a SQLite database"),
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
            let mut unpacked = source.unpack().unwrap();
            let mut read = unpacked.head;
            unpacked.text.read_to_end(&mut read).unwrap();
            assert_eq!(read, text.as_bytes());
        }
    }
}
