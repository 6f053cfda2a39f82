//! A dataset as an iterator over its traces, in constant memory but for 20 bytes a trace to tell duplicates.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::dataset::assemble::parts::{Part, Parts, Whole};
use crate::dataset::assemble::seen::{Known, SeenIds};
use crate::dataset::dialects::{Dialect, Found, derived_trace_id, read_record};
use crate::dataset::format::Format;
use crate::dataset::framing::Records;
use crate::dataset::framing::lines::DEFAULT_MAX_LINE_BYTES;
use crate::dataset::framing::record::Record;
use crate::dataset::mapping::Mapping;
use crate::dataset::reject::{Reject, shown};
use crate::dataset::source::container::{Container, Unpacked};
use crate::dataset::source::{DatasetError, Source};
use crate::trace::{Trace, content};

/// What to read.
#[derive(Debug, Clone)]
pub struct DatasetOptions {
    /// The files, in order; `-` is the standard input.
    pub paths: Vec<PathBuf>,
    /// Lines, rows and elements of lists longer than this are rejected without being held in memory.
    pub max_line_bytes: usize,
    /// What is not to be told from the content.
    pub format: Format,
    /// Fields that go by other names.
    pub mappings: Vec<Mapping>,
}

impl DatasetOptions {
    /// These files, with the default limit, in whatever form they have.
    pub fn new(paths: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        Self {
            paths: paths.into_iter().map(Into::into).collect(),
            max_line_bytes: DEFAULT_MAX_LINE_BYTES,
            format: Format::default(),
            mappings: Vec::new(),
        }
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
    /// How often each field was met that no dialect knows; `spans[].x` is the field `x` of a span, and
    /// [`SPANS_LEFT_OUT`](super::SPANS_LEFT_OUT) counts traces that came without their spans.
    pub unknown_fields: BTreeMap<String, u64>,
}

/// Reads a dataset record by record. Traces whose parts are spread over it come last, when all parts were read.
///
/// An `Err` item is a failure to read the file at all; the iterator ends there. Lines that are no trace are [`Entry::Reject`].
pub struct DatasetReader {
    waiting: VecDeque<Source>,
    current: Option<Current>,
    register: Register,
    /// Traces put together from parts.
    whole: Option<WholeTraces>,
    max_line_bytes: usize,
    format: Format,
    total_bytes: Option<u64>,
    /// Of the files that are done.
    bytes_before: u64,
    blank_before: u64,
}

/// The file that is read.
struct Current {
    records: Records,
    container: Container,
    /// Bytes of the compressed file.
    taken: Arc<AtomicU64>,
}

impl Current {
    /// Bytes of the file as it lies on the disk.
    fn bytes_read(&self) -> u64 {
        match self.container {
            Container::None => self.records.consumed(),
            Container::Gzip | Container::Zstd => self.taken.load(Ordering::Relaxed),
        }
    }
}

type WholeTraces = Box<dyn Iterator<Item = io::Result<Whole>> + Send>;

impl DatasetReader {
    /// Looks at all files, and reads none yet.
    ///
    /// # Errors
    /// The first path that is no readable file of text.
    pub fn open(options: DatasetOptions) -> Result<Self, DatasetError> {
        let DatasetOptions { paths, max_line_bytes, format, mappings } = options;
        if paths.is_empty() {
            return Err(DatasetError::NothingNamed);
        }
        let sources = paths.iter().map(|path| Source::open(path)).collect::<Result<_, _>>()?;
        Ok(Self::from_sources(sources, max_line_bytes, format, mappings))
    }

    fn from_sources(waiting: VecDeque<Source>, max_line_bytes: usize, format: Format, mappings: Vec<Mapping>) -> Self {
        Self {
            total_bytes: waiting.iter().map(|source| source.length).sum(),
            waiting,
            current: None,
            register: Register { dialect: format.dialect, mappings, ..Register::default() },
            whole: None,
            max_line_bytes,
            format,
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
        self.bytes_before + self.current.as_ref().map_or(0, Current::bytes_read)
    }

    /// What was met so far.
    pub fn stats(&self) -> &Stats {
        &self.register.stats
    }

    fn begin(&mut self, source: Source) -> Result<(), DatasetError> {
        let file = Arc::clone(&source.name);
        self.register.files.push((Arc::clone(&file), self.register.lines_before));
        let Unpacked { container, text, taken } = source.unpack()?;
        let records = Records::open(&file, text, self.format.framing, &self.register.mappings, self.max_line_bytes)
            .map_err(|source| failed_to_read(&file, 0, container, &taken, source))?
            .map_err(|reason| DatasetError::Header { file, reason })?;
        self.current = Some(Current { records, container, taken });
        Ok(())
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
            Ok(trace.map(|(place, trace)| match trace {
                Ok(trace) => self.register.admit(place, trace, &[]),
                Err(reason) => self.register.reject(place, reason, String::new()),
            }))
        };
        let entry = next().map_err(|source| DatasetError::Gather { source });
        if entry.is_err() {
            self.end();
        }
        entry.transpose()
    }

    fn close_current(&mut self) {
        if let Some(current) = self.current.take() {
            self.bytes_before += current.bytes_read();
            self.blank_before += current.records.blank();
            self.register.lines_before += current.records.lines();
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
            let Some(Current { records, container, taken }) = &mut self.current else {
                if let Some(source) = self.waiting.pop_front() {
                    if let Err(error) = self.begin(source) {
                        self.end();
                        return Some(Err(error));
                    }
                    continue;
                }
                return self.next_whole();
            };
            let next = records.next_record().map(|record| record.map(|record| self.register.enter(&record)));
            self.register.stats.blank = self.blank_before + records.blank();
            match next {
                Ok(Some(Ok(None))) => {}
                Ok(Some(Ok(Some(entry)))) => return Some(Ok(entry)),
                Ok(Some(Err(source))) => {
                    self.end();
                    return Some(Err(DatasetError::Gather { source }));
                }
                Ok(None) => self.close_current(),
                Err(source) => {
                    let error = failed_to_read(&self.register.file(), records.lines(), *container, taken, source);
                    self.end();
                    return Some(Err(error));
                }
            }
        }
    }
}

/// The system has a number for what it cannot read; a decoder has none.
fn failed_to_read(
    file: &Arc<str>,
    line: u64,
    container: Container,
    taken: &AtomicU64,
    source: io::Error,
) -> DatasetError {
    let file = Arc::clone(file);
    match container {
        Container::Gzip | Container::Zstd if source.raw_os_error().is_none() => {
            DatasetError::Unpack { file, line, byte_offset: taken.load(Ordering::Relaxed), source }
        }
        _ => DatasetError::Read { file, line, source },
    }
}

impl fmt::Debug for DatasetReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatasetReader").field("stats", self.stats()).finish_non_exhaustive()
    }
}

/// Where something stands in a dataset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
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
    /// The latest trace's content: a buffer.
    content: Vec<u8>,
    stats: Stats,
    /// The files so far and how many lines were before each: lines are numbered through all files, so that 32 bits name one.
    files: Vec<(Arc<str>, u64)>,
    lines_before: u64,
    /// What a line held beside its first entry.
    ready: VecDeque<Entry>,
    /// Parts of traces, until all are read.
    parts: Option<Parts>,
    /// What the user says of the form.
    dialect: Option<&'static Dialect>,
    mappings: Vec<Mapping>,
}

impl Register {
    /// Reads a record of the current file. `None` if nothing comes of it yet.
    ///
    /// # Errors
    /// When a part of a trace cannot be put aside.
    fn enter(&mut self, record: &Record<'_>) -> io::Result<Option<Entry>> {
        let file = self.files.len().saturating_sub(1);
        let place = Place { file, line: record.line, byte_offset: record.byte_offset };
        let read = read_record(record, self.dialect, &self.mappings, &mut self.stats.unknown_fields);
        let read = read.and_then(|found| match &found {
            Found::Parts(parts) => parts.iter().try_for_each(Part::check).map(|()| found),
            _ => Ok(found),
        });
        match read {
            Ok(Found::Trace(trace)) => Ok(Some(self.admit(place, trace, record.bytes))),
            Ok(Found::Traces(traces)) => {
                for trace in traces {
                    let entry = match trace {
                        Ok(trace) => self.admit(place, trace, record.bytes),
                        Err(reason) => self.reject(place, reason, record.shown()),
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
            Err(reason) => Ok(Some(self.reject(place, reason, record.shown()))),
        }
    }

    /// Admits a trace if its id is free. `line` is what it was read from.
    fn admit(&mut self, place: Place, mut trace: Trace, line: &[u8]) -> Entry {
        self.content = trace.content(std::mem::take(&mut self.content));
        if trace.trace_id.is_empty() {
            trace.trace_id = derived_trace_id(content::digest(&self.content));
        }
        let lines_before = self.files.get(place.file).map_or(0, |(_, lines_before)| *lines_before);
        let at = u32::try_from(lines_before + place.line).unwrap_or(u32::MAX);
        match self.seen.note(&trace.trace_id, &self.content, at) {
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
    use std::io::Read;

    use serde_json::json;

    use super::*;

    fn source(name: &str, text: &str) -> Source {
        let mut source = Source::stream(name, Box::new(io::Cursor::new(text.to_owned().into_bytes())));
        source.length = Some(text.len() as u64);
        source
    }

    fn from_sources(sources: impl IntoIterator<Item = Source>) -> DatasetReader {
        DatasetReader::from_sources(sources.into_iter().collect(), 200, Format::default(), Vec::new())
    }

    fn reader(files: &[(&str, &str)]) -> DatasetReader {
        from_sources(files.iter().map(|(name, text)| source(name, text)))
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
        let torn = Source::stream("torn", Box::new(Torn(false)));
        let mut reader = from_sources([torn, source("b", "{\"inputs\":2}")]);
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
