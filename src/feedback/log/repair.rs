//! What a crash leaves in a log, and how it is removed.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::error::not_a_log;
use super::file::LogFile;
use super::index::IndexBuilder;
use super::lines::for_each_line;
use super::{Index, OpenError};
use crate::feedback::history::Facts;
use crate::files;

/// Lines that are not records.
#[derive(Default)]
pub(super) struct Damage(Vec<Piece>);

/// A line, or what precedes a record on its line.
struct Piece {
    start: u64,
    text: Vec<u8>,
}

/// Reads and counts all records into an index, and finds damage. The index has the places of the records after the damage is removed.
pub(super) fn scan(file: &File, path: &Path) -> Result<(Index, u64, Damage), OpenError> {
    let io_error = |source| OpenError::Io { path: path.to_owned(), source };
    let mut index = IndexBuilder::of_bytes(file.metadata().map_err(io_error)?.len());
    let mut damage = Damage::default();
    let (mut records, mut damaged_bytes) = (0, 0);
    for_each_line(file, |start, line, facts| {
        let (damaged, facts) = match facts {
            Some(facts) => (0, Some(facts)),
            // A process died while writing a line, and then another wrote its own.
            None => match record_within(line) {
                Some((begin, facts)) => (begin, Some(facts)),
                None => (line.len(), None),
            },
        };
        if damaged > 0 {
            damage.0.push(Piece { start, text: line[..damaged].to_vec() });
            damaged_bytes += damaged as u64;
        }
        if let Some(facts) = facts {
            index.add(&facts, start + damaged as u64 - damaged_bytes);
            records += 1;
        }
    })
    .map_err(io_error)?;
    if let (0, Some(first)) = (records, damage.0.iter().find(|piece| piece.is_line())) {
        return Err(not_a_log(path, &first.text));
    }
    Ok((index.seal(), records, damage))
}

/// The record at the end of a line, and where it begins.
fn record_within(line: &[u8]) -> Option<(usize, Facts<'_>)> {
    let starts = line.iter().enumerate().skip(1).filter(|(_, byte)| **byte == b'{').map(|(i, _)| i);
    starts.take(MAX_STARTS).find_map(|i| Some((i, Facts::read(&line[i..])?)))
}

/// A record may begin at this many places of a damaged line.
const MAX_STARTS: usize = 100;

impl Piece {
    fn end(&self) -> u64 {
        self.start + self.text.len() as u64
    }

    fn is_line(&self) -> bool {
        self.text.ends_with(b"\n")
    }
}

impl Damage {
    pub(super) fn lines(&self) -> u64 {
        self.0.len() as u64
    }

    /// Moves it out of the log. Returns the file where it is now, if there was any.
    pub(super) fn repair(&self, log: &mut LogFile) -> Result<Option<PathBuf>, OpenError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let moved_to = self.keep(log).map_err(|(path, source)| OpenError::Io { path, source })?;
        self.remove(log)?;
        Ok(Some(moved_to))
    }

    /// Appends it to a file next to the log, whole or not at all.
    fn keep(&self, log: &LogFile) -> Result<PathBuf, (PathBuf, io::Error)> {
        let first = || files::damaged_of(&log.path, 1);
        let names = (1..).map(|n| files::damaged_of(&log.path, n));
        let (path, mut file) = files::open_beside(names).map_err(|error| (first(), error))?;
        let mut write = || {
            let end = file.metadata()?.len();
            if end == 0 {
                file.set_permissions(log.file.metadata()?.permissions())?;
            }
            let mut lines = Vec::new();
            for piece in &self.0 {
                lines.extend_from_slice(&piece.text);
                if !piece.is_line() {
                    lines.push(b'\n');
                }
            }
            // It stays in the log, so half of it does not belong here.
            file.write_all(&lines).and_then(|()| file.sync_all()).inspect_err(|_| drop(file.set_len(end)))
        };
        write().map_err(|error| (path.clone(), error))?;
        Ok(path)
    }

    /// A torn last line is cut off; otherwise the log is rewritten next to the old one, which it then replaces.
    fn remove(&self, log: &mut LogFile) -> Result<(), OpenError> {
        let path = log.path.clone();
        let io_error = |source| OpenError::Io { path: path.clone(), source };
        let length = log.file.metadata().map_err(io_error)?.len();
        if let [only] = self.0.as_slice()
            && only.end() == length
            && !only.is_line()
        {
            return log.file.set_len(only.start).map_err(io_error);
        }
        let new = log.stage(|writer| {
            let mut old = &log.file;
            let mut from = 0;
            let gaps = self.0.iter().map(|piece| (piece.start, piece.end())).chain([(length, length)]);
            for (start, end) in gaps {
                old.seek(SeekFrom::Start(from))?;
                io::copy(&mut Read::take(old, start - from), writer)?;
                from = end;
            }
            Ok(())
        })?;
        log.continue_in(new, length)
    }
}
