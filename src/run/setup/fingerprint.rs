//! A dataset by its path, and whether it has changed.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

/// How much of a file's start and of its end is part of its digest.
const END_BYTES: u64 = 64 << 10;

/// A file of traces, with what shows whether it has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dataset {
    /// Absolute, or `-` for the standard input.
    pub path: PathBuf,
    /// What the file was like; only of regular files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Fingerprint>,
}

/// Cheap for files of any size: a change in the middle that keeps the length shows only in the time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Of the file.
    pub size_bytes: u64,
    /// When it was last changed.
    pub modified_time_ms: i64,
    /// BLAKE3 of the first and the last 64 KiB.
    pub ends_blake3: String,
}

impl Dataset {
    /// The file that a path names now. Only regular files have a fingerprint: reading anything else might consume it.
    pub fn of(path: &Path) -> Self {
        let is_stdin = path.as_os_str() == "-";
        let absolute =
            if is_stdin { path.to_owned() } else { std::path::absolute(path).unwrap_or_else(|_| path.to_owned()) };
        Self { fingerprint: if is_stdin { None } else { Fingerprint::of(path).ok().flatten() }, path: absolute }
    }
}

impl Fingerprint {
    /// Of a regular file; `None` of anything else.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn of(path: &Path) -> io::Result<Option<Self>> {
        let metadata = std::fs::metadata(path)?;
        if !metadata.is_file() {
            return Ok(None);
        }
        let mut file = File::open(path)?;
        let size_bytes = metadata.len();
        let mut hasher = blake3::Hasher::new();
        let mut ends = Vec::new();
        (&mut file).take(END_BYTES).read_to_end(&mut ends)?;
        file.seek(SeekFrom::Start(size_bytes.saturating_sub(END_BYTES)))?;
        file.take(END_BYTES).read_to_end(&mut ends)?;
        hasher.update(&ends);
        let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Some(Self {
            size_bytes,
            modified_time_ms: i64::try_from(modified.as_millis()).unwrap_or(i64::MAX),
            ends_blake3: hasher.finalize().to_hex().to_string(),
        }))
    }

    /// Whether the content is the same, as far as can be known without reading all of it; a copy has another time.
    pub fn same_content(&self, other: &Self) -> bool {
        (self.size_bytes, &self.ends_blake3) == (other.size_bytes, &other.ends_blake3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_at_either_end_or_of_the_length_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let print = |name: &str, text: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            Fingerprint::of(&path).unwrap().unwrap()
        };
        let text = vec![b'x'; 300_000];
        let changed = |at: usize| {
            let mut text = text.clone();
            text[at] = b'y';
            text
        };
        let original = print("a", &text);
        assert!(original.same_content(&print("b", &text)));
        assert!(
            !original.same_content(&print("c", &changed(0))) && !original.same_content(&print("d", &changed(299_999)))
        );
        assert!(!original.same_content(&print("e", &text[1..])));
        assert!(print("small", b"x") != print("empty", b""));
        assert_eq!(Fingerprint::of(folder.path()).unwrap(), None);
        assert_eq!(Dataset::of(Path::new("-")), Dataset { path: "-".into(), fingerprint: None });
    }
}
