//! A dataset as an iterator over its traces, in constant memory but for 16 bytes a trace to tell duplicates.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io::{self, BufReader, Read};
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::dialect::{Found, derived_trace_id, read_line};
use super::lines::{DEFAULT_MAX_LINE_BYTES, Line, Lines};
use super::parts::{Part, Parts};
use super::reject::{Reject, shown};
use super::seen::{Known, SeenIds};
use super::source::{DatasetError, Source};
use crate::trace::Trace;

/// How much is read from a file at once, in bytes.
const READ_BYTES: usize = 64 << 10;

/// What to read.
#[derive(Debug, Clone)]
pub struct DatasetOptions {
    /// The files, in order; `-` is the standard input.
    pub paths: Vec<PathBuf>,
    /// Lines longer than this are rejected without being held in memory.
    pub max_line_bytes: usize,
}

impl DatasetOptions {
    /// These files, with the default limit.
    pub fn new(paths: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        Self { paths: paths.into_iter().map(Into::into).collect(), max_line_bytes: DEFAULT_MAX_LINE_BYTES }
    }
}

/// A value and the place in the dataset that it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Located<T> {
    /// The file's path as it was given; `<stdin>` for the standard input.
    pub file: Arc<str>,
    /// From 1.
    pub line: u64,
    /// Where the line begins in the file.
    pub byte_offset: u64,
    /// The value.
    pub value: T,
}

/// What a line of a dataset is.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly every entry is a trace")]
pub enum Entry {
    /// A trace.
    Trace(Located<Trace>),
    /// No trace, or one whose id is taken.
    Reject(Reject),
    /// A trace that was read before, with the same content; it is not read again.
    Duplicate(Located<Duplicate>),
}

/// A trace that was read before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duplicate {
    /// Its id.
    pub trace_id: String,
    /// The line where it stood first, in `first_file`.
    pub first_line: u64,
    /// The file where it stood first.
    pub first_file: Arc<str>,
}

/// What was met so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Traces.
    pub traces: u64,
    /// Lines that are no trace.
    pub rejects: u64,
    /// Traces that were there already.
    pub duplicates: u64,
    /// Lines of white space.
    pub blank: u64,
    /// How often each field was met that no dialect knows; `spans[].x` is the field `x` of a span.
    pub unknown_fields: BTreeMap<String, u64>,
}

/// Reads a dataset line by line. Traces whose parts are spread over it come last, when all parts were read.
///
/// An `Err` item is a failure to read the file at all; the iterator ends there. Lines that are no trace are [`Entry::Reject`].
pub struct DatasetReader {
    waiting: VecDeque<Source>,
    current: Option<Lines<BufReader<Box<dyn Read + Send>>>>,
    register: Register,
    /// Traces put together from parts.
    whole: Option<WholeTraces>,
    max_line_bytes: usize,
    total_bytes: Option<u64>,
    /// Of the files that are done.
    bytes_before: u64,
    blank_before: u64,
}

type WholeTraces = Box<dyn Iterator<Item = io::Result<(Place, Trace)>> + Send>;

impl DatasetReader {
    /// Opens all files, and reads none yet.
    ///
    /// # Errors
    /// The first path that is no readable file of text.
    pub fn open(options: DatasetOptions) -> Result<Self, DatasetError> {
        let DatasetOptions { paths, max_line_bytes } = options;
        if paths.is_empty() {
            return Err(DatasetError::NothingNamed);
        }
        let sources = paths.iter().map(|path| Source::open(path)).collect::<Result<_, _>>()?;
        Ok(Self::from_sources(sources, max_line_bytes))
    }

    fn from_sources(waiting: VecDeque<Source>, max_line_bytes: usize) -> Self {
        Self {
            total_bytes: waiting.iter().map(|source| source.length).sum(),
            waiting,
            current: None,
            register: Register::default(),
            whole: None,
            max_line_bytes,
            bytes_before: 0,
            blank_before: 0,
        }
    }

    /// The length of all files; `None` when one of them has none, as the standard input.
    pub fn total_bytes(&self) -> Option<u64> {
        self.total_bytes
    }

    /// How many bytes were read so far, of all files.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_before + self.current.as_ref().map_or(0, Lines::consumed)
    }

    /// What was met so far.
    pub fn stats(&self) -> &Stats {
        &self.register.stats
    }

    fn begin(&mut self, source: Source) {
        let Source { name, length: _, reader } = source;
        self.register.files.push((name, self.register.lines_before));
        self.current = Some(Lines::new(BufReader::with_capacity(READ_BYTES, reader), self.max_line_bytes));
    }

    /// Reads no more.
    fn end(&mut self) {
        self.close_current();
        self.waiting.clear();
        self.register.parts = None;
        self.whole = None;
    }

    /// The next of the traces whose parts were spread.
    fn next_whole(&mut self) -> Option<Result<Entry, DatasetError>> {
        let mut next = || {
            if let Some(parts) = self.register.parts.take() {
                self.whole = Some(Box::new(parts.into_traces()?));
            }
            let trace = self.whole.as_mut().and_then(Iterator::next).transpose()?;
            Ok(trace.map(|(place, trace)| self.register.admit(place, trace, &[])))
        };
        let entry = next().map_err(|source| DatasetError::Gather { source });
        if entry.is_err() {
            self.end();
        }
        entry.transpose()
    }

    fn close_current(&mut self) {
        if let Some(lines) = self.current.take() {
            self.bytes_before += lines.consumed();
            self.blank_before += lines.blank();
            self.register.lines_before += lines.lines();
        }
    }
}

impl Iterator for DatasetReader {
    type Item = Result<Entry, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.register.ready.pop_front() {
                return Some(Ok(entry));
            }
            let Some(lines) = &mut self.current else {
                if let Some(source) = self.waiting.pop_front() {
                    self.begin(source);
                    continue;
                }
                return self.next_whole();
            };
            let next = lines.next_line().map(|line| line.map(|line| self.register.enter(&line)));
            self.register.stats.blank = self.blank_before + lines.blank();
            match next {
                Ok(Some(Ok(None))) => {}
                Ok(Some(Ok(Some(entry)))) => return Some(Ok(entry)),
                Ok(Some(Err(source))) => {
                    self.end();
                    return Some(Err(DatasetError::Gather { source }));
                }
                Ok(None) => self.close_current(),
                Err(source) => {
                    let line = lines.lines();
                    self.end();
                    return Some(Err(DatasetError::Read { file: self.register.file(), line, source }));
                }
            }
        }
    }
}

impl fmt::Debug for DatasetReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatasetReader").field("stats", self.stats()).finish_non_exhaustive()
    }
}

/// Where something stands in a dataset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// Which of the files.
    pub file: usize,
    /// From 1.
    pub line: u64,
    /// Where the line begins in the file.
    pub byte_offset: u64,
}

/// What is known of the lines so far: which ids are taken, how many lines of each kind there were.
#[derive(Default)]
struct Register {
    seen: SeenIds,
    stats: Stats,
    /// The files so far and how many lines were before each: lines are numbered through all files, so that 32 bits name one.
    files: Vec<(Arc<str>, u64)>,
    lines_before: u64,
    /// What a line held beside its first entry.
    ready: VecDeque<Entry>,
    /// Parts of traces, until all are read.
    parts: Option<Parts>,
}

impl Register {
    /// Reads a line of the current file. `None` if nothing comes of it yet.
    ///
    /// # Errors
    /// When a part of a trace cannot be put aside.
    fn enter(&mut self, line: &Line<'_>) -> io::Result<Option<Entry>> {
        let file = self.files.len().saturating_sub(1);
        let place = Place { file, line: line.number, byte_offset: line.byte_offset };
        let read = match line.too_long {
            Some(length) => {
                Err(format!("the line has {length} bytes, too many to read; shorten it or raise the limit"))
            }
            None => read_line(line.bytes, line.byte_offset, &mut self.stats.unknown_fields),
        };
        let read = read.and_then(|found| match &found {
            Found::Parts(parts) => parts.iter().try_for_each(Part::check).map(|()| found),
            _ => Ok(found),
        });
        let text = |line: &Line<'_>| shown(line.bytes, line.too_long.unwrap_or(line.bytes.len() as u64));
        match read {
            Ok(Found::Trace(trace)) => Ok(Some(self.admit(place, trace, line.bytes))),
            Ok(Found::Traces(traces)) => {
                for trace in traces {
                    let entry = match trace {
                        Ok(trace) => self.admit(place, trace, line.bytes),
                        Err(reason) => self.reject(place, reason, text(line)),
                    };
                    self.ready.push_back(entry);
                }
                Ok(self.ready.pop_front())
            }
            Ok(Found::Parts(parts)) => {
                for part in parts {
                    let all = match &mut self.parts {
                        Some(all) => all,
                        none => none.insert(Parts::new()?),
                    };
                    all.push(place, &part)?;
                }
                Ok(None)
            }
            Err(reason) => Ok(Some(self.reject(place, reason, text(line)))),
        }
    }

    /// Admits a trace if its id is free. `line` is what it was read from.
    fn admit(&mut self, place: Place, mut trace: Trace, line: &[u8]) -> Entry {
        let digest = trace.content_digest();
        if trace.trace_id.is_empty() {
            trace.trace_id = derived_trace_id(digest);
        }
        let lines_before = self.files.get(place.file).map_or(0, |(_, lines_before)| *lines_before);
        let at = u32::try_from(lines_before + place.line).unwrap_or(u32::MAX);
        match self.seen.note(&trace.trace_id, digest, at) {
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
                let reason =
                    format!("trace id `{id}` was already read at {first} with other content; give it an id of its own");
                self.reject(place, reason, shown(line, line.len() as u64))
            }
        }
    }

    fn reject(&mut self, place: Place, reason: String, text: String) -> Entry {
        self.stats.rejects += 1;
        let Place { line, byte_offset, .. } = place;
        Entry::Reject(Reject { file: self.name(place), line, byte_offset, reason, text })
    }

    fn located<T>(&self, place: Place, value: T) -> Located<T> {
        let Place { line, byte_offset, .. } = place;
        Located { file: self.name(place), line, byte_offset, value }
    }

    fn name(&self, place: Place) -> Arc<str> {
        self.files.get(place.file).map_or_else(|| "".into(), |(name, _)| Arc::clone(name))
    }

    /// The current file's name.
    fn file(&self) -> Arc<str> {
        self.files.last().map_or_else(|| "".into(), |(name, _)| Arc::clone(name))
    }

    /// The file and the line in it of a line numbered through all files.
    fn place(&self, at: u32) -> (Arc<str>, u64) {
        let at = u64::from(at);
        let file = self.files.iter().rev().find(|(_, lines_before)| *lines_before < at);
        file.map_or_else(|| (self.file(), at), |(name, lines_before)| (Arc::clone(name), at - lines_before))
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use serde_json::json;

    use super::*;

    fn source(name: &str, text: &str) -> Source {
        let length = Some(text.len() as u64);
        Source { name: name.into(), length, reader: Box::new(io::Cursor::new(text.to_owned().into_bytes())) }
    }

    fn reader(files: &[(&str, &str)]) -> DatasetReader {
        DatasetReader::from_sources(files.iter().map(|(name, text)| source(name, text)).collect(), 200)
    }

    fn entries(text: &str) -> (Vec<Entry>, Stats) {
        let mut reader = reader(&[("a.jsonl", text)]);
        let entries = reader.by_ref().map(Result::unwrap).collect();
        (entries, reader.stats().clone())
    }

    fn trace(entry: &Entry) -> &Located<Trace> {
        match entry {
            Entry::Trace(trace) => trace,
            other => panic!("{other:?}"),
        }
    }

    fn rejected(entry: &Entry) -> String {
        match entry {
            Entry::Reject(reject) => reject.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn traces_and_rejects_come_in_order_with_their_places() {
        let text = "{\"trace_id\":\"a\",\"inputs\":1}\n\nnonsense\n{\"trace_id\":\"b\",\"inputs\":2,\"extra\":0}";
        let (entries, stats) = entries(text);
        let b = trace(&entries[2]);
        assert_eq!((b.value.trace_id.as_str(), b.line, b.byte_offset, &*b.file), ("b", 4, 38, "a.jsonl"));
        assert_eq!(trace(&entries[0]).value.inputs, Some(json!(1)));
        assert_eq!(rejected(&entries[1]), "a.jsonl:3: not JSON; a trace's line is an object: it begins with `{`");
        let unknown_fields = BTreeMap::from([("extra".to_owned(), 1)]);
        assert_eq!(stats, Stats { traces: 2, rejects: 1, duplicates: 0, blank: 1, unknown_fields });
    }

    #[test]
    fn a_missing_id_is_derived_from_the_content() {
        let (entries, _) = entries(concat!(
            r#"{"inputs":{"a":1,"b":[2]},"outputs":"x"}"#,
            "\n",
            r#"{"trace_id":null, "inputs":{"a":1,"b":[3]},"outputs":"x"}"#,
            "\n",
            r#"{"outputs":"x", "trace_id":"", "inputs":{"b":[2],"a":1}}"#,
        ));
        let first = &trace(&entries[0]).value.trace_id;
        assert!(first.starts_with("tr-") && first.len() == 35, "{first}");
        assert_ne!(&trace(&entries[1]).value.trace_id, first);
        let Entry::Duplicate(duplicate) = &entries[2] else { panic!("{:?}", entries[2]) };
        assert_eq!((&duplicate.value.trace_id, duplicate.value.first_line, duplicate.line), (first, 1, 3));
    }

    #[test]
    fn an_id_of_its_own_is_asked_for_other_content_and_not_for_the_same() {
        let (entries, stats) = entries(concat!(
            r#"{"trace_id":"x","inputs":1,"tags":{"a":"1","b":"2"}}"#,
            "\n",
            r#"{"trace_id":"x", "tags":{"b":"2","a":"1"}, "inputs": 1}"#,
            "\n",
            r#"{"trace_id":"x","inputs":2}"#,
            "\n",
        ));
        assert!(matches!(entries[1], Entry::Duplicate(_)), "spaces and the order of keys are not content");
        assert_eq!(
            rejected(&entries[2]),
            "a.jsonl:3: trace id `x` was already read at line 1 with other content; give it an id of its own"
        );
        assert_eq!((stats.traces, stats.duplicates, stats.rejects), (1, 1, 1));
    }

    #[test]
    fn ids_are_told_apart_over_all_files_and_progress_counts_them_all() {
        let files = [
            ("a.jsonl", "\n{\"trace_id\":\"x\",\"inputs\":1}\n"),
            ("empty.jsonl", ""),
            ("b.jsonl", "{\"trace_id\":\"y\",\"inputs\":1}\n\n"),
            ("c.jsonl", "{\"trace_id\":\"y\",\"inputs\":1}\n{\"trace_id\":\"x\",\"inputs\":2}"),
        ];
        let mut reader = reader(&files);
        assert_eq!((reader.bytes_read(), reader.total_bytes()), (0, Some(113)));
        let entries: Vec<_> = reader.by_ref().map(Result::unwrap).collect();
        let Entry::Duplicate(duplicate) = &entries[2] else { panic!("{:?}", entries[2]) };
        assert_eq!((&*duplicate.value.first_file, duplicate.value.first_line), ("b.jsonl", 1));
        assert!(rejected(&entries[3]).starts_with("c.jsonl:2: trace id `x` was already read at a.jsonl:2 with other"));
        assert_eq!((reader.bytes_read(), reader.stats().blank), (113, 2));
    }

    #[test]
    fn a_line_over_the_limit_is_rejected_and_the_next_one_read() {
        let (entries, _) = entries(&format!("{{\"inputs\":\"{}\"}}\n{{\"inputs\":1}}", "x".repeat(200)));
        assert_eq!(
            rejected(&entries[0]),
            "a.jsonl:1: the line has 213 bytes, too many to read; shorten it or raise the limit"
        );
        assert_eq!(trace(&entries[1]).line, 2);
    }

    #[test]
    fn a_failure_to_read_ends_the_dataset_with_the_place() {
        struct Torn(bool);
        impl Read for Torn {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                if std::mem::replace(&mut self.0, true) {
                    return Err(io::Error::other("disk on fire"));
                }
                let text = b"{\"inputs\":1}\n{\"inp";
                buffer[..text.len()].copy_from_slice(text);
                Ok(text.len())
            }
        }
        let torn = Source { name: "torn".into(), length: None, reader: Box::new(Torn(false)) };
        let mut reader = DatasetReader::from_sources([torn, source("b", "{\"inputs\":2}")].into(), 200);
        assert_eq!(reader.total_bytes(), None);
        assert!(matches!(reader.next(), Some(Ok(Entry::Trace(_)))));
        let error = reader.next().unwrap().unwrap_err();
        assert!(error.to_string().starts_with("reading `torn` failed after line 1;"), "{error}");
        assert!(reader.next().is_none());
    }

    #[test]
    fn all_files_are_checked_before_the_first_is_read() {
        fn is_send<T: Send>(value: T) -> T {
            value
        }
        let dir = tempfile::tempdir().unwrap();
        let [good, missing] = ["good.jsonl", "missing.jsonl"].map(|name| dir.path().join(name));
        std::fs::write(&good, "{\"inputs\":1}\n").unwrap();
        let error = DatasetReader::open(DatasetOptions::new([&good, &missing])).unwrap_err();
        assert!(matches!(error, DatasetError::NotFound { path } if path == missing));
        let error = DatasetReader::open(DatasetOptions::new(Vec::<PathBuf>::new())).unwrap_err();
        assert!(matches!(error, DatasetError::NothingNamed));
        let mut reader = is_send(DatasetReader::open(DatasetOptions::new([&good])).unwrap());
        assert_eq!(&*trace(&reader.next().unwrap().unwrap()).file, good.to_str().unwrap());
        assert_eq!((reader.total_bytes(), reader.bytes_read()), (Some(13), 13));
    }
}
