//! What is known about a dataset so far: which ids are taken, how many records of each kind there were.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;

use crate::dataset::assemble::parts::{Parts, Whole};
use crate::dataset::assemble::seen::{Known, SeenIds};
use crate::dataset::dialects::{Found, Read, Reading, derived_trace_id};
use crate::dataset::entry::{Duplicate, Entry, Stats};
use crate::dataset::framing::record::Record;
use crate::dataset::mapping::Mapping;
use crate::dataset::notice::Notice;
use crate::dataset::place::{Located, Place};
use crate::dataset::reject::{Problem, Reject, shown};
use crate::trace::{Span, Trace, content};

/// Turns records into entries; see the module.
#[derive(Default)]
pub(crate) struct Register {
    seen: SeenIds,
    /// The latest trace's content: a buffer.
    content: Vec<u8>,
    stats: Stats,
    /// The files so far and how many lines were before each: lines are numbered across all files, so that 32 bits identify one.
    files: Vec<(Arc<str>, u64)>,
    lines_before: u64,
    /// What a line held in addition to its first entry.
    ready: VecDeque<Entry>,
    /// Parts of traces, until all are read.
    parts: Option<Parts>,
    reading: Reading,
    /// Where outputs are compared: by file, the side that it has the outputs of; empty where each record has those of all.
    sides: Option<Vec<usize>>,
    /// Whether all records were read.
    is_closed: bool,
}

impl Register {
    pub(crate) fn new(reading: Reading) -> Self {
        Self { reading, ..Self::default() }
    }

    /// Gives each file's traces to a side.
    pub(crate) fn divide(&mut self, sides: Option<Vec<usize>>) {
        self.sides = sides;
    }

    pub(crate) fn stats(&self) -> &Stats {
        &self.stats
    }

    pub(crate) fn mappings(&self) -> &[Mapping] {
        self.reading.mappings()
    }

    /// Begins with a file.
    pub(crate) fn begin(&mut self, file: Arc<str>) {
        self.files.push((file, self.lines_before));
    }

    /// Ends with a file of this many lines.
    pub(crate) fn end(&mut self, lines: u64) {
        self.lines_before += lines;
    }

    pub(crate) fn note_blank(&mut self, blank: u64) {
        self.stats.blank = blank;
    }

    /// What a record held in addition to its first entry.
    pub(crate) fn next_ready(&mut self) -> Option<Entry> {
        self.ready.pop_front()
    }

    /// The parts of traces, once all records have been read.
    pub(crate) fn take_parts(&mut self) -> Option<Parts> {
        if !std::mem::replace(&mut self.is_closed, true) {
            for mapping in self.reading.unused() {
                self.stats.notices.add(Notice::UnusedMapping(mapping.to_string()));
            }
        }
        self.parts.take()
    }

    /// Reads a record of the current file. `None` if it does not give an entry yet.
    ///
    /// # Errors
    /// When a part of a trace cannot be set aside.
    pub(crate) fn enter(&mut self, record: &Record<'_>) -> io::Result<Option<Entry>> {
        let file = self.files.len().saturating_sub(1);
        let place = Place { file, line: record.line, byte_offset: record.byte_offset };
        match self.reading.read(record, &mut self.stats.notices) {
            Ok(Read::One(Found::Trace(trace))) => Ok(Some(self.admit(place, trace, record.bytes))),
            Ok(Read::One(found)) => {
                self.enter_found(place, found, record)?;
                Ok(self.ready.pop_front())
            }
            Ok(Read::Several(all)) => {
                for found in all {
                    match found {
                        Ok(found) => self.enter_found(place, found, record)?,
                        Err(problem) => {
                            let reject = self.reject(place, problem, record.shown());
                            self.ready.push_back(reject);
                        }
                    }
                }
                Ok(self.ready.pop_front())
            }
            Err(problem) => Ok(Some(self.reject(place, problem, record.shown()))),
        }
    }

    fn enter_found(&mut self, place: Place, found: Found, record: &Record<'_>) -> io::Result<()> {
        match found {
            Found::Trace(trace) => {
                let entry = self.admit(place, trace, record.bytes);
                self.ready.push_back(entry);
            }
            Found::Traces(traces) => {
                for trace in traces {
                    let entry = match trace {
                        Ok(trace) => self.admit(place, trace, record.bytes),
                        Err(reason) => self.reject(place, reason.into(), record.shown()),
                    };
                    self.ready.push_back(entry);
                }
            }
            Found::Parts(parts) => {
                for mut part in parts {
                    part.flatten();
                    let all = match &mut self.parts {
                        Some(all) => all,
                        none => none.insert(Parts::new()?),
                    };
                    all.push(place, &part)?;
                }
            }
            // The registry reads them.
            Found::Objects(..) => {}
        }
        Ok(())
    }

    /// Admits a trace that was assembled from parts, or says why it was not.
    pub(crate) fn enter_whole(&mut self, (place, trace): Whole) -> Entry {
        match trace {
            Ok(trace) => self.admit(place, trace, &[]),
            Err(reason) => self.reject(place, reason.into(), String::new()),
        }
    }

    /// Admits a trace if its id is free. `line` is what it was read from.
    fn admit(&mut self, place: Place, mut trace: Trace, line: &[u8]) -> Entry {
        self.note_empty_spans(&trace);
        self.content = trace.content(std::mem::take(&mut self.content));
        if trace.trace_id.is_empty() {
            trace.trace_id = derived_trace_id(content::digest(&self.content));
        }
        let lines_before = self.files.get(place.file).map_or(0, |(_, lines_before)| *lines_before);
        let at = u32::try_from(lines_before + place.line).unwrap_or(u32::MAX);
        let side = self.sides.as_ref().map(|sides| sides.get(place.file).copied().unwrap_or(trace.side));
        let known = match side {
            Some(side) => {
                trace.side = side;
                self.seen.note(&format!("{side}/{}", trace.trace_id), &self.content, at)
            }
            None => self.seen.note(&trace.trace_id, &self.content, at),
        };
        match known {
            Known::New => {
                self.stats.traces += 1;
                Entry::Trace(self.located(place, trace))
            }
            Known::SameContent(at) => {
                self.stats.duplicates += 1;
                let (first_file, first_line) = self.place(at);
                Entry::Duplicate(self.located(place, Duplicate { trace_id: trace.trace_id, first_line, first_file }))
            }
            Known::OtherContent(at) => {
                let (file, first_line) = self.place(at);
                let first = if file == self.name(place) {
                    format!("line {first_line}")
                } else {
                    format!("{file}:{first_line}")
                };
                let id = trace.trace_id;
                let reason = format!(
                    "trace id `{id}` was already read at {first} with different content; give it a different id"
                );
                self.reject(place, reason.into(), shown(line, line.len() as u64))
            }
        }
    }

    fn reject(&mut self, place: Place, problem: Problem, text: String) -> Entry {
        self.stats.rejects += 1;
        let (Place { line, byte_offset, .. }, Problem { reason, hint }) = (place, problem);
        Entry::Reject(Reject { file: self.name(place), line, byte_offset, reason, hint, text })
    }

    /// Notes a trace whose spans say nothing: most likely they follow an unknown convention.
    fn note_empty_spans(&mut self, trace: &Trace) {
        const SHOWN: usize = 3;
        let says = |span: &Span| span.inputs.is_some() || span.outputs.is_some();
        if trace.inputs.is_none() && trace.outputs.is_none() && !trace.spans.is_empty() && !trace.spans.iter().any(says)
        {
            let names: BTreeSet<&str> =
                trace.spans.iter().flat_map(|span| span.attributes.keys().map(String::as_str)).collect();
            let attributes = names.into_iter().take(SHOWN).collect::<Vec<_>>().join(", ");
            self.stats.notices.add(Notice::EmptySpans { attributes });
        }
    }

    fn located<T>(&self, place: Place, value: T) -> Located<T> {
        let Place { line, byte_offset, .. } = place;
        Located { file: self.name(place), line, byte_offset, value }
    }

    fn name(&self, place: Place) -> Arc<str> {
        self.files.get(place.file).map_or_else(|| "".into(), |(name, _)| Arc::clone(name))
    }

    /// The current file's name.
    pub(crate) fn file(&self) -> Arc<str> {
        self.files.last().map_or_else(|| "".into(), |(name, _)| Arc::clone(name))
    }

    /// The file, and the line in it, of a line numbered across all files.
    fn place(&self, at: u32) -> (Arc<str>, u64) {
        let at = u64::from(at);
        let file = self.files.iter().rev().find(|(_, lines_before)| *lines_before < at);
        file.map_or_else(|| (self.file(), at), |(name, lines_before)| (Arc::clone(name), at - lines_before))
    }
}
