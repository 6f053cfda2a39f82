//! What was submitted to providers: an append-only file next to the log, one JSON object per line, on disk before the next step.
//!
//! A batch has its own name before it is submitted, so that it is found again at the provider if the process dies in between. The ids of its
//! judgments stand in lines of their own before the one that plans it; they are read there when they are needed, and not kept.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::error::BatchError;
use super::ids::{self, IDS, ids_of};
use crate::feedback::AssessmentId;

/// Where the ledger of a log's batches stands: `feedback.jsonl` -> `feedback.batches.jsonl`.
pub fn ledger_of(log: &Path) -> PathBuf {
    log.with_extension("batches.jsonl")
}

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
    /// The provider did not accept it for now; it is submitted again later.
    Returned {
        /// The batch.
        batch: String,
        /// Whether there was no room for it.
        #[serde(default = "yes")]
        is_full: bool,
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
        /// As many results as the provider counts; 0 where it does not say.
        #[serde(default)]
        results: u64,
    },
    /// Its results are in the folder next to the log.
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

/// Earlier ledgers do not say why a batch was returned.
fn yes() -> bool {
    true
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
}

/// What every line has.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow)]
    batch: Cow<'a, str>,
    /// In lines of ids; earlier ledgers have them in the line that plans the batch.
    #[serde(borrow)]
    ids: Option<&'a RawValue>,
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
    /// What was planned.
    pub planned: Arc<Planned>,
    /// Where the ledger has the ids of its judgments, in bytes.
    ids: Range<u64>,
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
    pub files: Vec<String>,
    /// As many results as it counts; 0 where it does not say.
    pub results: u64,
    /// Whether the provider had no room for it, or for the batch that it is a part of.
    pub found_no_room: bool,
    /// Whether the provider deleted its files.
    pub is_deleted: bool,
}

impl Batch {
    fn new(planned: Planned, ids: Range<u64>) -> Self {
        Self {
            planned: planned.into(),
            ids,
            stage: Stage::Planned,
            file: None,
            submitting_ms: 0,
            id: None,
            state: None,
            files: Vec::new(),
            results: 0,
            found_no_room: false,
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

    /// As many judgments as it has, or a few more.
    pub(super) fn most_judgments(&self) -> u64 {
        (self.ids.end - self.ids.start) / ids::BYTES
    }
}

/// The file, locked for this process.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    file: File,
    batches: Batches,
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
            Ok(mut file) => Ok(read(&mut file, path)?.0.by_name.into_values().collect()),
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
        self.batches.by_name.values()
    }

    /// The batch of this name.
    pub fn get(&self, batch: &str) -> Option<&Batch> {
        self.batches.by_name.get(batch)
    }

    /// Calls `take` with the judgments of each request of a batch, in their order: the one that the request is about, and those that the same answer
    /// answers. What is no id of judge-run's is left out.
    ///
    /// # Errors
    /// When the ledger cannot be read; those of `take`.
    pub(super) fn for_each_ids(
        &self,
        batch: &Batch,
        mut take: impl FnMut(&[AssessmentId]) -> Result<(), BatchError>,
    ) -> Result<(), BatchError> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(batch.ids.start)).map_err(BatchError::file(&self.path))?;
        let lines = BufReader::with_capacity(1 << 16, file.take(batch.ids.end - batch.ids.start));
        for line in lines.split(b'\n') {
            let line = line.map_err(BatchError::file(&self.path))?;
            let requests = ids::read(&line).map_err(|error| BatchError::file(&self.path)(error.into()))?;
            for judgments in requests {
                take(&judgments)?;
            }
        }
        Ok(())
    }

    /// Adds a step, which is on disk when this returns. The ids of batches that begin with it come from files in this folder, which are removed.
    ///
    /// # Errors
    /// When it cannot be written, or such a file cannot be read. Nothing is added then.
    pub(super) fn begin(&mut self, entry: Entry, folder: &Path) -> Result<(), BatchError> {
        let begun: Vec<PathBuf> = match &entry {
            Entry::Planned(planned) => vec![ids_of(folder, &planned.batch)],
            Entry::Split { into, .. } => into.iter().map(|planned| ids_of(folder, &planned.batch)).collect(),
            _ => Vec::new(),
        };
        let before = self.file.seek(SeekFrom::End(0)).map_err(BatchError::file(&self.path))?;
        if let Err(error) = self.write(&entry, &begun, before) {
            let _ = self.file.set_len(before);
            self.batches.ids.clear();
            return Err(error);
        }
        self.batches.apply(entry);
        for file in begun {
            // One that stays is removed with its batch.
            let _ = std::fs::remove_file(file);
        }
        Ok(())
    }

    /// Adds a step that begins no batch; it is on disk when this returns.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add(&mut self, entry: Entry) -> Result<(), BatchError> {
        self.begin(entry, Path::new(""))
    }

    fn write(&mut self, entry: &Entry, begun: &[PathBuf], mut at: u64) -> Result<(), BatchError> {
        for path in begun {
            let mut lines = BufReader::with_capacity(1 << 16, File::open(path).map_err(BatchError::file(path))?);
            let mut line = Vec::new();
            while lines.read_until(b'\n', &mut line).map_err(BatchError::file(path))? > 0 {
                self.file.write_all(&line).map_err(BatchError::file(&self.path))?;
                self.batches.note_ids(&line, at).map_err(|error| BatchError::file(path)(error.into()))?;
                at += line.len() as u64;
                line.clear();
            }
        }
        let mut line = serde_json::to_vec(entry).map_err(|error| BatchError::file(&self.path)(error.into()))?;
        line.push(b'\n');
        self.file.write_all(&line).and_then(|()| self.file.sync_data()).map_err(BatchError::file(&self.path))
    }
}

/// Unix milliseconds.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis().try_into().unwrap_or(i64::MAX))
}

/// The batches, and where the last whole line ends.
fn read(file: &mut File, path: &Path) -> Result<(Batches, u64), BatchError> {
    file.seek(SeekFrom::Start(0)).map_err(BatchError::file(path))?;
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let (mut batches, mut end, mut line) = (Batches::default(), 0, Vec::new());
    for number in 1.. {
        line.clear();
        let length = reader.read_until(b'\n', &mut line).map_err(BatchError::file(path))?;
        if !line.ends_with(b"\n") {
            break;
        }
        let noted = batches.note_ids(&line, end).and_then(|is_ids| match is_ids {
            true => Ok(()),
            false => serde_json::from_slice(&line).map(|entry| batches.apply(entry)),
        });
        noted.map_err(|error| BatchError::Entry { path: path.to_owned(), line: number, reason: error.to_string() })?;
        end += length as u64;
    }
    Ok((batches, end))
}

/// What an entry does to its batch.
type Change = Box<dyn FnOnce(&mut Batch)>;

/// What the lines say together.
#[derive(Debug, Default)]
struct Batches {
    by_name: BTreeMap<String, Batch>,
    /// Where ids are whose batch is not planned yet.
    ids: HashMap<String, Range<u64>>,
}

impl Batches {
    /// Notes the place of a line that has ids; whether it is one.
    fn note_ids(&mut self, line: &[u8], at: u64) -> serde_json::Result<bool> {
        let Head { event, batch, ids } = serde_json::from_slice(line)?;
        if ids.is_some() {
            self.ids.entry(batch.into_owned()).or_insert(at..at).end = at + line.len() as u64;
        }
        Ok(event == IDS)
    }

    fn plan(&mut self, planned: Planned) {
        let ids = self.ids.remove(&planned.batch).unwrap_or_default();
        self.by_name.insert(planned.batch.clone(), Batch::new(planned, ids));
    }

    fn apply(&mut self, entry: Entry) {
        let (name, change): (String, Change) = match entry {
            Entry::Planned(planned) => return self.plan(planned),
            Entry::Split { batch, into } => {
                for part in into {
                    let name = part.batch.clone();
                    self.plan(part);
                    if let Some(part) = self.by_name.get_mut(&name) {
                        part.found_no_room = true;
                    }
                }
                (batch, Box::new(|batch| batch.stage = Stage::Closed))
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
            Entry::Returned { batch, is_full } => (
                batch,
                Box::new(move |batch| {
                    batch.stage = if batch.file.is_some() { Stage::Uploaded } else { Stage::Planned };
                    (batch.id, batch.found_no_room) = (None, is_full);
                }),
            ),
            Entry::Ended { batch, state, files, results } => (
                batch,
                Box::new(move |batch| {
                    (batch.state, batch.files, batch.results) = (Some(state), files, results);
                    batch.stage = Stage::Ended;
                }),
            ),
            Entry::Downloaded { batch } => (batch, Box::new(|batch| batch.stage = Stage::Downloaded)),
            Entry::Collected { batch } | Entry::Dropped { batch } => {
                (batch, Box::new(|batch| batch.stage = Stage::Closed))
            }
            Entry::Deleted { batch } => (batch, Box::new(|batch| batch.is_deleted = true)),
        };
        if let Some(batch) = self.by_name.get_mut(&name) {
            change(batch);
        }
    }
}

#[cfg(test)]
mod tests;
