//! Batches that someone else runs: requests go to files, and results come from files. For vLLM's `run-batch`, for services whose API is not supported
//! here, and for machines without a network.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::error::BatchError;
use super::http::temporary;
use super::ledger::{Batch, Entry};
use super::line::{CustomId, trimmed};
use super::session::{BY_FILE, Session};
use super::spool::{Shard, make_private, requests_of, results_of, split};
use super::table::{Place, State, Table};
use crate::feedback::AssessmentId;
use crate::files::with_suffix;

/// What files of results have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    /// Results of requests that were exported.
    pub results: u64,
    /// Lines that are about none of these.
    pub unknown: u64,
    /// Batches that have results now.
    pub batches: u64,
}

/// Writes requests to files in a folder, which is made if it is needed; returns their names. From now on their results are waited for.
///
/// # Errors
/// When a file or the ledger cannot be written.
pub fn export(session: &mut Session, shards: Vec<Shard>, folder: &Path) -> Result<Vec<PathBuf>, BatchError> {
    std::fs::create_dir_all(folder).map_err(BatchError::file(folder))?;
    let names: Vec<_> = shards.iter().map(|shard| shard.planned.batch.clone()).collect();
    // Written before they are planned: what is planned is not exported again.
    let mut files = Vec::new();
    for name in &names {
        let file = folder.join(format!("{name}.jsonl"));
        std::fs::copy(requests_of(session.folder(), name), &file).map_err(BatchError::file(&file))?;
        files.push(file);
    }
    session.plan(shards)?;
    Ok(files)
}

/// Takes the results of exported requests from files, in any order. Requests without a result stay in a batch of their own: other files may have it.
///
/// # Errors
/// When a file cannot be read or written.
pub fn import(session: &mut Session, files: &[PathBuf]) -> Result<Imported, BatchError> {
    let waiting = session.ledger().batches().filter(|batch| batch.planned.address == BY_FILE && batch.is_open());
    let waiting: Vec<_> = waiting.cloned().collect();
    let of = Table::new(waiting.iter().map(Batch::most_judgments).sum()).map_err(temporary)?;
    for (i, batch) in waiting.iter().enumerate() {
        let place = Place::new(i, State::NoResult);
        session.ledger().for_each_ids(batch, |ids| {
            ids.iter().take(1).try_for_each(|id| of.change(*id, |_| Some(place)).map(drop)).map_err(temporary)
        })?;
    }
    if !waiting.is_empty() {
        make_private(session.folder()).map_err(BatchError::file(session.folder()))?;
    }
    let path = |i: usize| results_of(session.folder(), &waiting[i].planned.batch);
    let mut outs: Vec<Option<BufWriter<File>>> = waiting.iter().map(|_| None).collect();
    let mut imported = Imported::default();
    for file in files {
        let text = File::open(file).map_err(BatchError::file(file))?;
        for line in BufReader::with_capacity(1 << 16, text).split(b'\n') {
            let line = line.map_err(BatchError::file(file))?;
            if trimmed(&line).is_empty() {
                continue;
            }
            let id = serde_json::from_slice::<CustomId<'_>>(trimmed(&line))
                .ok()
                .and_then(|line| line.custom_id.parse().ok());
            let place = id.map(|id: AssessmentId| of.get(id)).transpose().map_err(temporary)?.flatten();
            let Some((id, i)) = id.zip(place.map(|place| place.source as usize)) else {
                imported.unknown += 1;
                continue;
            };
            let found = Place::new(i, State::Result { offset: 0, length: 0 });
            of.change(id, |_| Some(found)).map_err(temporary)?;
            let part = with_suffix(&path(i), "writing");
            let out = match &mut outs[i] {
                Some(out) => out,
                none => none.insert(BufWriter::new(File::create(&part).map_err(BatchError::file(&part))?)),
            };
            out.write_all(trimmed(&line)).and_then(|()| out.write_all(b"\n")).map_err(BatchError::file(&part))?;
            imported.results += 1;
        }
    }
    let parts: Vec<_> = outs.iter().map(|out| out.is_some()).collect();
    for (i, out) in outs.into_iter().enumerate() {
        let Some(out) = out else { continue };
        let part = with_suffix(&path(i), "writing");
        let file = out.into_inner().map_err(std::io::IntoInnerError::into_error).map_err(BatchError::file(&part))?;
        file.sync_all().map_err(BatchError::file(&part))?;
    }
    for (batch, _) in waiting.iter().zip(parts).filter(|(_, has_results)| *has_results) {
        take_in(session, batch, &of)?;
        imported.batches += 1;
    }
    Ok(imported)
}

/// Notes the end of a batch whose results are written; if some have none, of the part of it that has one.
fn take_in(session: &mut Session, batch: &Batch, results: &Table) -> Result<(), BatchError> {
    let folder = session.folder().to_owned();
    let whole = &batch.planned.batch;
    let written = with_suffix(&results_of(&folder, whole), "writing");
    let mut has_result = Vec::new();
    session.ledger().for_each_ids(batch, |ids| {
        let place = ids.first().map(|id| results.get(*id)).transpose().map_err(temporary)?.flatten();
        has_result.push(place.is_some_and(|place| place.state != State::NoResult));
        Ok(())
    })?;
    let is_whole = has_result.iter().all(|has| *has);
    let mut into = match is_whole {
        true => Vec::new(),
        false => split(&folder, session.ledger(), batch, |i| has_result.get(i).is_some_and(|has| *has))?,
    };
    let name = into.first().map_or_else(|| whole.clone(), |part| part.batch.clone());
    let path = results_of(&folder, &name);
    std::fs::rename(&written, &path).map_err(BatchError::file(&path))?;
    if !into.is_empty() {
        let entry = Entry::Split { batch: whole.clone(), into: std::mem::take(&mut into) };
        session.ledger_mut().begin(entry, &folder)?;
        session.remove_files(whole)?;
    }
    let state = "completed".to_owned();
    session.ledger_mut().add(Entry::Ended { batch: name.clone(), state, files: Vec::new(), results: 0 })?;
    session.ledger_mut().add(Entry::Downloaded { batch: name })
}
