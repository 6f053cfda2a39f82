//! What came of requests in batches, by the ids of their judgments.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use super::error::BatchError;
use super::ledger::Batch;
use super::line::{self, CustomId};
use crate::endpoint::Failure;
use crate::endpoint::wire::answer::Answer;
use crate::feedback::AssessmentId;

/// What a batch says of one request.
#[derive(Debug)]
pub enum Reply {
    /// The batch has not ended.
    Pending,
    /// The model answered.
    Answered(Box<Answer>),
    /// It did not.
    Failed(Box<Failure>),
    /// It was not asked.
    Undone(Undone),
}

/// Why a request in a batch was not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undone {
    /// The batch expired before.
    Expired,
    /// The batch was cancelled before.
    Cancelled,
    /// The results do not say; it may have been asked.
    Missing,
}

/// The replies of all batches that are not over: 16 bytes for each id, and as much for its place.
#[derive(Debug, Default)]
pub struct Answers {
    places: HashMap<AssessmentId, Place>,
    sources: Vec<Source>,
    /// Results of requests that were not in their batch.
    pub unknown: u64,
    /// Further results of requests that had one.
    pub repeated: u64,
}

#[derive(Debug)]
struct Source {
    batch: String,
    id: Arc<str>,
    file: Option<File>,
    /// How its requests stand that have no result.
    undone: Undone,
    /// Requests that were not yet looked up.
    left: HashSet<AssessmentId>,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    source: u32,
    length: u32,
    offset: u64,
}

impl Place {
    const PENDING: u32 = u32::MAX;

    fn without_result(source: usize, pending: bool) -> Self {
        Self {
            source: source.try_into().unwrap_or(u32::MAX),
            length: if pending { Self::PENDING } else { 0 },
            offset: 0,
        }
    }
}

impl Answers {
    /// Adds a batch whose results are not here.
    pub(super) fn add_pending(&mut self, batch: &Batch) {
        let source = self.add_source(batch, None);
        for ids in batch.ids() {
            for id in ids {
                self.settle(id);
                self.places.insert(id, Place::without_result(source, true));
            }
        }
    }

    /// Adds a batch whose results are in this file. `recorded` are judgments whose records are newer than the batch: their results were used. With
    /// `has_all` false, a request without a result was never accepted.
    pub(super) fn add_results(
        &mut self,
        batch: &Batch,
        path: &Path,
        recorded: &HashSet<AssessmentId>,
        has_all: bool,
    ) -> Result<(), BatchError> {
        let file = File::open(path).map_err(BatchError::file(path))?;
        let source = self.add_source(batch, Some(file.try_clone().map_err(BatchError::file(path))?));
        let mut riders: HashMap<AssessmentId, Vec<AssessmentId>> = HashMap::new();
        let mut ids = HashSet::new();
        for mut of_line in batch.ids() {
            if of_line.is_empty() {
                continue;
            }
            let first = of_line.remove(0);
            ids.insert(first);
            if !of_line.is_empty() {
                riders.insert(first, of_line);
            }
        }
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let (mut line, mut offset) = (Vec::new(), 0_u64);
        let mut has_result = HashSet::new();
        loop {
            line.clear();
            let length = reader.read_until(b'\n', &mut line).map_err(BatchError::file(path))?;
            if length == 0 {
                break;
            }
            let custom_id = serde_json::from_slice::<CustomId<'_>>(&line).ok();
            match custom_id.and_then(|line| line.custom_id.parse::<AssessmentId>().ok()).filter(|id| ids.contains(id)) {
                Some(id) if has_result.insert(id) => {
                    let place = Place {
                        source: source.try_into().unwrap_or(u32::MAX),
                        length: length.try_into().unwrap_or(u32::MAX - 1),
                        offset,
                    };
                    for id in std::iter::once(id).chain(riders.get(&id).into_iter().flatten().copied()) {
                        self.put(id, place, recorded);
                    }
                }
                Some(_) => self.repeated += 1,
                None => self.unknown += 1,
            }
            offset += length as u64;
        }
        for id in ids.into_iter().filter(|id| has_all && !has_result.contains(id)) {
            for id in std::iter::once(id).chain(riders.remove(&id).into_iter().flatten()) {
                self.put(id, Place::without_result(source, false), recorded);
            }
        }
        Ok(())
    }

    fn add_source(&mut self, batch: &Batch, file: Option<File>) -> usize {
        let undone = match batch.state.as_deref() {
            Some("expired") => Undone::Expired,
            Some("cancelled") => Undone::Cancelled,
            _ => Undone::Missing,
        };
        let (name, id) = (batch.planned.batch.clone(), batch.shown_id().into());
        self.sources.push(Source { batch: name, id, file, undone, left: HashSet::new() });
        self.sources.len() - 1
    }

    fn put(&mut self, id: AssessmentId, place: Place, recorded: &HashSet<AssessmentId>) {
        if !recorded.contains(&id) {
            // A later batch has it now.
            self.settle(id);
            self.places.insert(id, place);
            if let Some(source) = self.sources.get_mut(place.source as usize) {
                source.left.insert(id);
            }
        }
    }

    /// The judgments that are in batches.
    pub fn ids(&self) -> impl Iterator<Item = AssessmentId> {
        self.places.keys().copied()
    }

    /// Settles a judgment that was taken together with another.
    pub fn settle(&mut self, id: AssessmentId) {
        if let Some(place) = self.places.get(&id)
            && let Some(source) = self.sources.get_mut(place.source as usize)
        {
            source.left.remove(&id);
        }
    }

    /// The reply about a judgment and the provider's id of its batch, if a batch has it. A reply that is not pending is then settled.
    ///
    /// # Errors
    /// When the file of results cannot be read.
    pub fn take(&mut self, id: AssessmentId) -> Result<Option<(Reply, Arc<str>)>, BatchError> {
        let Some(&Place { source, length, offset }) = self.places.get(&id) else { return Ok(None) };
        let Some(source) = self.sources.get_mut(source as usize) else { return Ok(None) };
        let batch = Arc::clone(&source.id);
        let reply = match (length, &mut source.file) {
            (Place::PENDING, _) => return Ok(Some((Reply::Pending, batch))),
            (0, _) | (_, None) => Reply::Undone(source.undone),
            (length, Some(file)) => {
                let mut line = vec![0; length as usize];
                let read = file.seek(SeekFrom::Start(offset)).and_then(|_| file.read_exact(&mut line));
                read.map_err(BatchError::file(Path::new(&source.batch)))?;
                line::reply(&line)
            }
        };
        source.left.remove(&id);
        Ok(Some((reply, batch)))
    }

    /// The batches whose results are all settled, by their names; and how many results of others are not.
    pub fn settled(&self) -> (Vec<String>, u64) {
        let with_results = || self.sources.iter().filter(|source| source.file.is_some());
        let settled = with_results().filter(|source| source.left.is_empty()).map(|source| source.batch.clone());
        (settled.collect(), with_results().map(|source| source.left.len() as u64).sum())
    }
}
