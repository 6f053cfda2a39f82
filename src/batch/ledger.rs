//! What was handed over to providers: an append-only file beside the log, one JSON object a line, on the disk before the next step.
//!
//! A batch has a name of its own before it is submitted, so that it is found again at the provider if the process dies in between.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::error::BatchError;
use crate::feedback::AssessmentId;

/// A step of one batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Entry {
    /// These requests will be submitted together.
    Planned(Planned),
    /// The file of requests is with the provider.
    Uploaded {
        /// The batch.
        batch: String,
        /// The provider's id of the file.
        file: String,
    },
    /// The submission is about to be sent.
    Submitting {
        /// The batch.
        batch: String,
        /// Unix milliseconds.
        time_ms: i64,
    },
    /// It is submitted.
    Submitted {
        /// The batch.
        batch: String,
        /// The provider's id of it.
        id: String,
    },
    /// The provider had no room for it; it is submitted again later.
    Returned {
        /// The batch.
        batch: String,
    },
    /// It is submitted as these instead, which are smaller.
    Split {
        /// The batch.
        batch: String,
        /// Its parts.
        into: Vec<Planned>,
    },
    /// It has ended at the provider.
    Ended {
        /// The batch.
        batch: String,
        /// How: `completed`, `expired`, `cancelled` or `failed`.
        state: String,
        /// The provider's files of results.
        files: Vec<String>,
    },
    /// Its results are in the folder beside the log.
    Downloaded {
        /// The batch.
        batch: String,
    },
    /// All its results are in the log.
    Collected {
        /// The batch.
        batch: String,
    },
    /// It was never accepted; its requests go with another one.
    Dropped {
        /// The batch.
        batch: String,
    },
    /// The provider has deleted its files.
    Deleted {
        /// The batch.
        batch: String,
    },
}

/// Requests that are submitted together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Planned {
    /// The name of the batch.
    pub batch: String,
    /// Unix milliseconds.
    pub time_ms: i64,
    /// The model URI.
    pub source_id: String,
    /// Where it is submitted, without credentials.
    pub address: String,
    /// How many.
    pub requests: usize,
    /// Of the file.
    pub bytes: u64,
    /// Tokens of prompts and answers at most.
    pub tokens: u64,
    /// What they cost at most, at the price of batches, where prices are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
    /// Of the file.
    pub blake3: String,
    /// The judgments, in the order of the file; of a rubric, with those that the same answer answers, separated by spaces.
    pub ids: Vec<String>,
}

/// How far a batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Its requests are in a file here.
    Planned,
    /// They are in a file at the provider.
    Uploaded,
    /// The provider may have it: the process died before it knew.
    Submitting,
    /// The provider works on it.
    Submitted,
    /// The provider is done with it.
    Ended,
    /// Its results are here.
    Downloaded,
    /// It is over.
    Closed,
}

/// A batch, as the ledger knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// What was planned; without its ids once it is over.
    pub planned: Arc<Planned>,
    /// How far it is.
    pub stage: Stage,
    /// The provider's id of the file of requests.
    pub file: Option<String>,
    /// When it was about to be submitted.
    pub submitting_ms: i64,
    /// The provider's id of it.
    pub id: Option<String>,
    /// How it ended.
    pub state: Option<String>,
    /// The provider's files of results.
    pub results: Vec<String>,
    /// Whether the provider had no room for it.
    pub was_returned: bool,
    /// Whether the provider deleted its files.
    pub is_deleted: bool,
}

impl Batch {
    fn new(planned: Planned) -> Self {
        Self {
            planned: planned.into(),
            stage: Stage::Planned,
            file: None,
            submitting_ms: 0,
            id: None,
            state: None,
            results: Vec::new(),
            was_returned: false,
            is_deleted: false,
        }
    }

    /// The provider's id, or its own name before it has one.
    pub fn shown_id(&self) -> &str {
        self.id.as_deref().unwrap_or(&self.planned.batch)
    }

    /// Whether it is neither over nor here.
    pub fn is_open(&self) -> bool {
        self.stage < Stage::Downloaded
    }

    /// The judgments of each request: the one that it is about first. What is no id of judge-run's is left out.
    pub fn ids(&self) -> impl Iterator<Item = Vec<AssessmentId>> {
        self.planned.ids.iter().map(|ids| ids.split(' ').filter_map(|id| id.parse().ok()).collect())
    }
}

/// The file, locked for this process.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    file: File,
    batches: BTreeMap<String, Batch>,
}

impl Ledger {
    /// Opens and locks it; it is made if it is not there.
    ///
    /// # Errors
    /// When it cannot be read, another process has it, or it is not a ledger.
    pub fn open(path: &Path) -> Result<Self, BatchError> {
        let file = OpenOptions::new().read(true).append(true).create(true).open(path);
        let mut file = file.map_err(BatchError::file(path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(BatchError::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(error)) if error.kind() == std::io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(BatchError::file(path)(error)),
        }
        let (batches, end) = read(&mut file, path)?;
        // A line that was cut in half says of a step that was not made.
        file.set_len(end).map_err(BatchError::file(path))?;
        Ok(Self { path: path.to_owned(), file, batches })
    }

    /// What a ledger says, without a lock; nothing if there is none.
    ///
    /// # Errors
    /// When it cannot be read, or is not a ledger.
    pub fn look(path: &Path) -> Result<Vec<Batch>, BatchError> {
        match File::open(path) {
            Ok(mut file) => Ok(read(&mut file, path)?.0.into_values().collect()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(BatchError::file(path)(error)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All batches, by their names, which are in order of time.
    pub fn batches(&self) -> impl Iterator<Item = &Batch> {
        self.batches.values()
    }

    /// The batch of this name.
    pub fn get(&self, batch: &str) -> Option<&Batch> {
        self.batches.get(batch)
    }

    /// Adds a step, which is on the disk when this returns.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add(&mut self, entry: Entry) -> Result<(), BatchError> {
        let mut line = serde_json::to_vec(&entry).map_err(|error| BatchError::file(&self.path)(error.into()))?;
        line.push(b'\n');
        let before = self.file.seek(SeekFrom::End(0)).map_err(BatchError::file(&self.path))?;
        if let Err(error) = self.file.write_all(&line).and_then(|()| self.file.sync_data()) {
            let _ = self.file.set_len(before);
            return Err(BatchError::file(&self.path)(error));
        }
        apply(&mut self.batches, entry);
        Ok(())
    }
}

/// Unix milliseconds.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis().try_into().unwrap_or(i64::MAX))
}

/// The batches, and where the last whole line ends.
fn read(file: &mut File, path: &Path) -> Result<(BTreeMap<String, Batch>, u64), BatchError> {
    file.seek(SeekFrom::Start(0)).map_err(BatchError::file(path))?;
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let (mut batches, mut end, mut line) = (BTreeMap::new(), 0, Vec::new());
    for number in 1.. {
        line.clear();
        let length = reader.read_until(b'\n', &mut line).map_err(BatchError::file(path))?;
        if !line.ends_with(b"\n") {
            break;
        }
        let entry = serde_json::from_slice(&line).map_err(|error| BatchError::Entry {
            path: path.to_owned(),
            line: number,
            reason: error.to_string(),
        })?;
        apply(&mut batches, entry);
        end += length as u64;
    }
    Ok((batches, end))
}

/// What an entry does to its batch.
type Change = Box<dyn FnOnce(&mut Batch)>;

fn apply(batches: &mut BTreeMap<String, Batch>, entry: Entry) {
    let mut plan = |planned: Planned| _ = batches.insert(planned.batch.clone(), Batch::new(planned));
    let (name, change): (String, Change) = match entry {
        Entry::Planned(planned) => return plan(planned),
        Entry::Split { batch, into } => {
            into.into_iter().for_each(plan);
            (batch, Box::new(close))
        }
        Entry::Uploaded { batch, file } => {
            (batch, Box::new(|batch| (batch.file, batch.stage) = (Some(file), Stage::Uploaded)))
        }
        Entry::Submitting { batch, time_ms } => {
            (batch, Box::new(move |batch| (batch.submitting_ms, batch.stage) = (time_ms, Stage::Submitting)))
        }
        Entry::Submitted { batch, id } => {
            (batch, Box::new(|batch| (batch.id, batch.stage) = (Some(id), Stage::Submitted)))
        }
        Entry::Returned { batch } => (
            batch,
            Box::new(|batch| {
                batch.stage = if batch.file.is_some() { Stage::Uploaded } else { Stage::Planned };
                (batch.id, batch.was_returned) = (None, true);
            }),
        ),
        Entry::Ended { batch, state, files } => {
            (batch, Box::new(|batch| (batch.state, batch.results, batch.stage) = (Some(state), files, Stage::Ended)))
        }
        Entry::Downloaded { batch } => (batch, Box::new(|batch| batch.stage = Stage::Downloaded)),
        Entry::Collected { batch } | Entry::Dropped { batch } => (batch, Box::new(close)),
        Entry::Deleted { batch } => (batch, Box::new(|batch| batch.is_deleted = true)),
    };
    if let Some(batch) = batches.get_mut(&name) {
        change(batch);
    }
}

fn close(batch: &mut Batch) {
    batch.stage = Stage::Closed;
    Arc::make_mut(&mut batch.planned).ids = Vec::new();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(batch: &str) -> Planned {
        Planned {
            batch: batch.into(),
            time_ms: 1,
            source_id: "e:/m".into(),
            address: "http://h/v1".into(),
            requests: 2,
            bytes: 10,
            tokens: 5,
            cost: None,
            blake3: "x".into(),
            ids: vec![format!("a-{:032x}", 1), format!("a-{:032x} a-{:032x}", 2, 3)],
        }
    }

    fn stages(batches: &[Batch]) -> Vec<(&str, Stage)> {
        batches.iter().map(|batch| (batch.planned.batch.as_str(), batch.stage)).collect()
    }

    #[test]
    fn what_was_written_is_read_again_and_half_a_line_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.batches.jsonl");
        assert_eq!(Ledger::look(&path).unwrap(), []);
        let mut ledger = Ledger::open(&path).unwrap();
        let name = || "b1".to_owned();
        ledger.add(Entry::Planned(planned("b1"))).unwrap();
        ledger.add(Entry::Uploaded { batch: name(), file: "file-1".into() }).unwrap();
        ledger.add(Entry::Submitting { batch: name(), time_ms: 7 }).unwrap();
        assert!(matches!(Ledger::open(&path), Err(BatchError::Locked { .. })));
        drop(ledger);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, [&whole[..], b"{\"event\":\"submitted\",\"ba"].concat()).unwrap();
        let ledger = Ledger::open(&path).unwrap();
        let batch = ledger.get("b1").unwrap();
        assert_eq!((batch.stage, batch.file.as_deref(), batch.submitting_ms), (Stage::Submitting, Some("file-1"), 7));
        assert_eq!(batch.ids().map(|ids| ids.len()).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(std::fs::read(&path).unwrap(), whole);
    }

    #[test]
    fn a_batch_that_is_split_is_over_and_its_parts_begin() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.batches.jsonl");
        let mut ledger = Ledger::open(&path).unwrap();
        ledger.add(Entry::Planned(planned("b1"))).unwrap();
        ledger.add(Entry::Returned { batch: "b1".into() }).unwrap();
        ledger.add(Entry::Split { batch: "b1".into(), into: vec![planned("b2"), planned("b3")] }).unwrap();
        drop(ledger);
        let read = Ledger::look(&path).unwrap();
        assert_eq!(stages(&read), [("b1", Stage::Closed), ("b2", Stage::Planned), ("b3", Stage::Planned)]);
        assert_eq!(read[0].ids().count(), 0);
    }

    #[test]
    fn what_is_no_ledger_is_named_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.batches.jsonl");
        std::fs::write(&path, "{\"event\":\"dropped\",\"batch\":\"b\"}\n{\"event\":\"x\"}\n").unwrap();
        assert!(matches!(Ledger::open(&path), Err(BatchError::Entry { line: 2, .. })));
    }
}
