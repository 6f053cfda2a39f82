//! The judgments of a batch's requests, as lines of the ledger: `{"event": "ids", "batch", "ids"}`. Some hundred requests a line, so that a batch of any
//! size is written and read in little memory. Of a rubric, a request has several ids, separated by spaces: that of the judgment that it is about, and
//! those that the same answer answers.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::feedback::AssessmentId;

/// The event of these lines.
pub(super) const IDS: &str = "ids";
/// Requests in one line.
const PIECE: usize = 256;
/// The fewest bytes that an id has in the ledger.
pub(super) const BYTES: u64 = 35;

#[derive(Serialize, Deserialize)]
struct Line<'a> {
    event: Cow<'a, str>,
    batch: Cow<'a, str>,
    #[serde(borrow)]
    ids: Vec<Cow<'a, str>>,
}

/// The judgments of each request in a line. What is no id of judge-run's is left out.
pub(super) fn read(line: &[u8]) -> serde_json::Result<impl Iterator<Item = Vec<AssessmentId>>> {
    let Line { ids, .. } = serde_json::from_slice(line)?;
    Ok(ids.into_iter().map(|ids| ids.split(' ').filter_map(|id| id.parse().ok()).collect()))
}

/// The file in which they wait until their batch is planned.
pub(super) fn ids_of(folder: &Path, batch: &str) -> PathBuf {
    folder.join(format!("{batch}.ids.jsonl"))
}

/// Writes that file.
#[derive(Debug)]
pub(super) struct IdsWriter {
    file: BufWriter<File>,
    batch: String,
    piece: Vec<String>,
}

impl IdsWriter {
    pub(super) fn begin(folder: &Path, batch: &str) -> io::Result<Self> {
        let file = BufWriter::new(File::create_new(ids_of(folder, batch))?);
        Ok(Self { file, batch: batch.to_owned(), piece: Vec::with_capacity(PIECE) })
    }

    /// Adds those of a request.
    pub(super) fn add(&mut self, ids: &[AssessmentId]) -> io::Result<()> {
        self.piece.push(ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
        if self.piece.len() < PIECE { Ok(()) } else { self.write() }
    }

    fn write(&mut self) -> io::Result<()> {
        let ids = self.piece.iter().map(|ids| ids.as_str().into()).collect();
        serde_json::to_writer(&mut self.file, &Line { event: IDS.into(), batch: self.batch.as_str().into(), ids })?;
        self.piece.clear();
        self.file.write_all(b"\n")
    }

    pub(super) fn seal(mut self) -> io::Result<()> {
        if !self.piece.is_empty() {
            self.write()?;
        }
        self.file.flush()
    }
}
