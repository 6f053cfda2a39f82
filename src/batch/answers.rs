//! The results of requests in batches, by the ids of their judgments.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use super::error::BatchError;
use super::http::temporary;
use super::ledger::{Batch, Ledger};
use super::line::{self, CustomId};
use super::reply::{Reply, Undone};
use super::table::{Place, State, Table};
use crate::feedback::AssessmentId;
use crate::feedback::log::for_each_id;

/// The replies of all batches that are not over, by the ids of their judgments; in a file, some 70 bytes each.
#[derive(Debug)]
pub struct Answers {
    table: Arc<Table>,
    sources: Vec<Source>,
    /// Results of requests that were not in their batch, and further ones of those that were.
    strays: u64,
}

/// The judgments that are in batches, for other threads to ask.
#[derive(Debug, Clone)]
pub struct BatchIds(Arc<Table>);

impl BatchIds {
    /// Whether a batch has a judgment.
    pub fn contains(&self, id: AssessmentId) -> bool {
        // What cannot be read is found out where the reply is looked up.
        self.0.get(id).map_or(true, |place| place.is_some_and(|place| place.state != State::Used))
    }
}

#[derive(Debug)]
struct Source {
    batch: String,
    id: Arc<str>,
    time_ms: i64,
    file: Option<File>,
    /// How its requests stand that have no result.
    undone: Undone,
    /// Requests that were not yet looked up.
    left: u64,
}

impl Answers {
    /// With room for so many judgments.
    pub(super) fn new(judgments: u64) -> Result<Self, BatchError> {
        Ok(Self { table: Table::new(judgments).map_err(temporary)?.into(), sources: Vec::new(), strays: 0 })
    }

    /// Adds a batch whose results are not here.
    pub(super) fn add_pending(&mut self, ledger: &Ledger, batch: &Batch) -> Result<(), BatchError> {
        let place = Place::new(self.add_source(batch, None), State::Pending);
        ledger.for_each_ids(batch, |ids| ids.iter().try_for_each(|id| self.put(*id, place)))
    }

    /// Adds a batch whose results are in this file. With `has_all` false, a request without a result was never accepted.
    pub(super) fn add_results(
        &mut self,
        ledger: &Ledger,
        batch: &Batch,
        path: &Path,
        has_all: bool,
    ) -> Result<(), BatchError> {
        let file = File::open(path).map_err(BatchError::file(path))?;
        let source = self.add_source(batch, Some(file.try_clone().map_err(BatchError::file(path))?));
        let none = Place::new(source, State::NoResult);
        let mut has_riders = false;
        ledger.for_each_ids(batch, |ids| {
            has_riders |= ids.len() > 1;
            ids.iter().take(1).filter(|_| has_all).try_for_each(|id| self.put(*id, none))
        })?;
        self.read_results(none.source, path, file, has_all)?;
        if !has_riders {
            return Ok(());
        }
        ledger.for_each_ids(batch, |ids| {
            let Some((first, riders)) = ids.split_first() else { return Ok(()) };
            match self.table.get(*first).map_err(temporary)? {
                Some(place) if place.source == none.source => riders.iter().try_for_each(|id| self.put(*id, place)),
                _ => Ok(()),
            }
        })
    }

    /// Notes where the results of a batch are. Those of requests that are not in it, and further ones, are left out and counted.
    fn read_results(&mut self, source: u32, path: &Path, file: File, has_all: bool) -> Result<(), BatchError> {
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let (mut line, mut offset) = (Vec::new(), 0_u64);
        loop {
            line.clear();
            let length = reader.read_until(b'\n', &mut line).map_err(BatchError::file(path))?;
            if length == 0 {
                return Ok(());
            }
            let custom_id = serde_json::from_slice::<CustomId<'_>>(&line).ok();
            let id = custom_id.and_then(|line| line.custom_id.parse::<AssessmentId>().ok());
            let state = State::Result { offset, length: length.try_into().unwrap_or(u32::MAX) };
            let place = Place { source, state, is_settled: false };
            let waiting = Place { state: State::NoResult, ..place };
            match id {
                // The file says only what was not accepted, each once.
                Some(id) if !has_all => self.put(id, place)?,
                Some(id) => {
                    let known = self.table.change(id, |known| known.filter(|known| *known == waiting).map(|_| place));
                    self.strays += u64::from(known.map_err(temporary)? != Some(waiting));
                }
                None => self.strays += 1,
            }
            offset += length as u64;
        }
    }

    /// Leaves out what the log has in records that are newer than the batch: these results were used.
    pub(super) fn leave_recorded(&mut self, log: &Path) -> Result<(), BatchError> {
        if !log.exists() || self.sources.iter().all(|source| source.file.is_none()) {
            return Ok(());
        }
        let Self { table, sources, .. } = self;
        let mut result = Ok(());
        let read = for_each_id(log, |id, time_ms| {
            if result.is_err() {
                return;
            }
            let changed = table.change(id, |known| {
                let source = known.and_then(|place| sources.get_mut(place.source as usize));
                let source = source.filter(|source| source.file.is_some() && source.time_ms <= time_ms)?;
                let place = known.filter(|place| place.state != State::Used)?;
                source.left = source.left.saturating_sub(1);
                Some(Place { state: State::Used, ..place })
            });
            result = changed.map(drop).map_err(temporary);
        });
        read.map_err(BatchError::file(log)).and(result)
    }

    fn add_source(&mut self, batch: &Batch, file: Option<File>) -> usize {
        let undone = match batch.state.as_deref() {
            Some("expired") => Undone::Expired,
            Some("cancelled") => Undone::Cancelled,
            _ => Undone::Missing,
        };
        let (name, id) = (batch.planned.batch.clone(), batch.shown_id().into());
        let time_ms = batch.planned.time_ms;
        self.sources.push(Source { batch: name, id, time_ms, file, undone, left: 0 });
        self.sources.len() - 1
    }

    fn put(&mut self, id: AssessmentId, place: Place) -> Result<(), BatchError> {
        let known = self.table.change(id, |_| Some(place)).map_err(temporary)?;
        // A later batch has it now.
        self.count_settled(known);
        if let Some(source) = self.sources.get_mut(place.source as usize) {
            source.left += 1;
        }
        Ok(())
    }

    fn count_settled(&mut self, known: Option<Place>) {
        if let Some(place) = known.filter(|place| !place.is_settled)
            && let Some(source) = self.sources.get_mut(place.source as usize)
        {
            source.left = source.left.saturating_sub(1);
        }
    }

    /// The judgments that are in batches.
    pub fn ids(&self) -> BatchIds {
        BatchIds(Arc::clone(&self.table))
    }

    /// Settles a judgment that was taken together with another.
    ///
    /// # Errors
    /// When the file in which this is noted cannot be used.
    pub fn settle(&mut self, id: AssessmentId) -> Result<(), BatchError> {
        self.settled_place(id).map(drop)
    }

    /// What is known of a judgment. It is settled, if it is not pending.
    fn settled_place(&mut self, id: AssessmentId) -> Result<Option<Place>, BatchError> {
        let settles = |place: &Place| !place.is_settled && !matches!(place.state, State::Pending | State::Used);
        let settle = |known: Option<Place>| known.filter(settles).map(|place| Place { is_settled: true, ..place });
        let known = self.table.change(id, settle).map_err(temporary)?;
        self.count_settled(known.filter(settles));
        Ok(known.filter(|place| place.state != State::Used))
    }

    /// The reply about a judgment and the provider's id of its batch, if a batch has it. A reply that is not pending is then settled.
    ///
    /// # Errors
    /// When the file of results cannot be read.
    pub fn take(&mut self, id: AssessmentId) -> Result<Option<(Reply, Arc<str>)>, BatchError> {
        let Some(place) = self.settled_place(id)? else { return Ok(None) };
        let Some(source) = self.sources.get_mut(place.source as usize) else { return Ok(None) };
        let reply = match (place.state, &mut source.file) {
            (State::Pending, _) => Reply::Pending,
            (State::Result { offset, length }, Some(file)) => {
                let mut line = vec![0; length as usize];
                let read = file.seek(SeekFrom::Start(offset)).and_then(|_| file.read_exact(&mut line));
                read.map_err(BatchError::file(Path::new(&source.batch)))?;
                line::reply(&line)
            }
            _ => Reply::Undone(source.undone),
        };
        Ok(Some((reply, Arc::clone(&source.id))))
    }

    /// How many results are about no request of their batch, or about one that has a result already. They are left out.
    pub fn strays(&self) -> u64 {
        self.strays
    }

    /// The batches whose results are all settled, by their names; and how many results of others are not.
    pub fn settled(&self) -> (Vec<String>, u64) {
        let with_results = || self.sources.iter().filter(|source| source.file.is_some());
        let settled = with_results().filter(|source| source.left == 0).map(|source| source.batch.clone());
        (settled.collect(), with_results().map(|source| source.left).sum())
    }
}

#[cfg(test)]
mod tests;
