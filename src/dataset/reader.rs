//! A dataset as an iterator over its traces, in constant memory except for 20 bytes per trace to detect duplicates.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::dataset::assemble::parts::Whole;
use crate::dataset::dialects::Reading;
use crate::dataset::entry::{Entry, Stats};
use crate::dataset::format::Format;
use crate::dataset::framing::Records;
use crate::dataset::framing::limits::DEFAULT_MAX_LINE_BYTES;
use crate::dataset::mapping::Mapping;
use crate::dataset::notice::Notices;
use crate::dataset::register::Register;
use crate::dataset::source::{Container, DatasetError, Source, Unpacked};

/// What to read.
#[derive(Debug, Clone)]
pub struct DatasetOptions {
    /// The files, in order; `-` is standard input.
    pub paths: Vec<PathBuf>,
    /// Lines, rows and elements of lists longer than this are rejected without being held in memory.
    pub max_line_bytes: usize,
    /// What cannot be seen from the content.
    pub format: Format,
    /// Fields that go by other names.
    pub mappings: Vec<Mapping>,
    /// Where outputs are compared, the side that each file has the outputs of, or nothing where each record has those of all sides. Two sides may have
    /// traces of one id.
    pub sides: Option<Vec<usize>>,
}

impl DatasetOptions {
    /// These files, with the default limit, in whatever form they have.
    pub fn new(paths: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        Self {
            paths: paths.into_iter().map(Into::into).collect(),
            max_line_bytes: DEFAULT_MAX_LINE_BYTES,
            format: Format::default(),
            mappings: Vec::new(),
            sides: None,
        }
    }
}

/// Reads a dataset record by record. Traces whose parts are spread over it come last, once all parts have been read.
///
/// An `Err` item is a failure to read the file at all; the iterator ends there. Records that are not traces are [`Entry::Reject`].
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
    /// Bytes read of the file itself, if they are not those of its text.
    taken: Option<Arc<AtomicU64>>,
}

impl Current {
    /// Bytes of the file as stored on disk.
    fn bytes_read(&self) -> u64 {
        self.taken.as_ref().map_or_else(|| self.records.consumed(), |taken| taken.load(Ordering::Relaxed))
    }
}

type WholeTraces = Box<dyn Iterator<Item = io::Result<Whole>> + Send>;

impl DatasetReader {
    /// Looks at the beginning of all files, but reads none yet.
    ///
    /// # Errors
    /// The first path that is not a readable file of text, or a table whose header cannot be used.
    pub fn open(options: DatasetOptions) -> Result<Self, DatasetError> {
        let DatasetOptions { paths, max_line_bytes, format, mappings, sides } = options;
        if paths.is_empty() {
            return Err(DatasetError::NothingNamed);
        }
        let sources: VecDeque<Source> = paths.iter().map(|path| Source::open(path)).collect::<Result<_, _>>()?;
        for source in sources.iter().filter_map(Source::again) {
            open_records(source, format, &mappings, max_line_bytes)?;
        }
        let mut reader = Self::of_sources(sources, max_line_bytes, format, mappings);
        reader.register.divide(sides);
        Ok(reader)
    }

    /// The mappings that match nothing in the first records of each file, at most this many of each: their names are probably misspelt.
    /// Files that can be read only once are not looked at, and then there are none.
    ///
    /// # Errors
    /// As [`DatasetReader::open`]. Later errors come from the reader.
    pub fn unmet_mappings(options: &DatasetOptions, records_of_each: usize) -> Result<Vec<Mapping>, DatasetError> {
        let DatasetOptions { paths, max_line_bytes, format, mappings, sides: _ } = options;
        let sources: Vec<Source> = paths.iter().map(|path| Source::open(path)).collect::<Result<_, _>>()?;
        if mappings.is_empty() || sources.iter().any(|source| source.again().is_none()) {
            return Ok(Vec::new());
        }
        let mut reading = Reading::new(format.dialect, mappings.clone());
        let mut notices = Notices::default();
        for source in sources {
            let mut records = open_records(source, *format, mappings, *max_line_bytes)?.records;
            for _ in 0..records_of_each {
                let Ok(Some(record)) = records.next_record() else { break };
                // Whether it is a trace has no part in it.
                let _ = reading.read(&record, &mut notices);
            }
        }
        Ok(reading.unused().cloned().collect())
    }

    pub(super) fn of_sources(
        waiting: VecDeque<Source>,
        max_line_bytes: usize,
        format: Format,
        mappings: Vec<Mapping>,
    ) -> Self {
        Self {
            total_bytes: waiting.iter().map(|source| source.length).sum(),
            waiting,
            current: None,
            register: Register::new(Reading::new(format.dialect, mappings)),
            whole: None,
            max_line_bytes,
            format,
            bytes_before: 0,
            blank_before: 0,
        }
    }

    /// The length of all files; `None` if one has no length, such as standard input.
    pub fn total_bytes(&self) -> Option<u64> {
        self.total_bytes
    }

    /// The number of bytes read so far, over all files.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_before + self.current.as_ref().map_or(0, Current::bytes_read)
    }

    /// Whether the latest entry is one of a line of a file that is not compressed, so that it can be read again there.
    pub(super) fn is_on_a_line(&self) -> bool {
        let is_plain =
            |current: &Current| matches!(current.records, Records::Lines(_)) && current.container == Container::None;
        self.whole.is_none() && self.current.as_ref().is_some_and(is_plain)
    }

    /// What was found so far.
    pub fn stats(&self) -> &Stats {
        self.register.stats()
    }

    fn begin(&mut self, source: Source) -> Result<(), DatasetError> {
        self.register.begin(Arc::clone(&source.name));
        self.current = Some(open_records(source, self.format, self.register.mappings(), self.max_line_bytes)?);
        Ok(())
    }

    /// Reads no more.
    fn end(&mut self) {
        self.close_current();
        self.waiting.clear();
        self.register.take_parts();
        self.whole = None;
    }

    /// The next of the traces whose parts were spread.
    fn next_whole(&mut self) -> Option<Result<Entry, DatasetError>> {
        let mut next = || {
            if let Some(parts) = self.register.take_parts() {
                self.whole = Some(Box::new(parts.into_traces()?));
            }
            let whole = self.whole.as_mut().and_then(Iterator::next).transpose()?;
            Ok(whole.map(|whole| self.register.enter_whole(whole)))
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
            self.register.end(current.records.lines());
        }
    }
}

impl Iterator for DatasetReader {
    type Item = Result<Entry, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.register.next_ready() {
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
            self.register.note_blank(self.blank_before + records.blank());
            match next {
                Ok(Some(Ok(None))) => {}
                Ok(Some(Ok(Some(entry)))) => return Some(Ok(entry)),
                Ok(Some(Err(source))) => {
                    self.end();
                    return Some(Err(DatasetError::Gather { source }));
                }
                Ok(None) => self.close_current(),
                Err(source) => {
                    let taken = taken.as_ref().map_or(0, |taken| taken.load(Ordering::Relaxed));
                    let error = failed_to_read(&self.register.file(), records.lines(), *container, taken, source);
                    self.end();
                    return Some(Err(error));
                }
            }
        }
    }
}

fn open_records(
    source: Source,
    format: Format,
    mappings: &[Mapping],
    max_line_bytes: usize,
) -> Result<Current, DatasetError> {
    let file = Arc::clone(&source.name);
    let Unpacked { container, head, text, taken } = source.unpack()?;
    let records = Records::open(&file, head, text, format.framing, mappings, max_line_bytes)
        .map_err(|source| failed_to_read(&file, 0, container, 0, source))?
        .map_err(|reason| DatasetError::Header { file, reason })?;
    Ok(Current { records, container, taken })
}

/// Read errors of the system have a number, those of a decoder do not.
fn failed_to_read(file: &Arc<str>, line: u64, container: Container, taken: u64, source: io::Error) -> DatasetError {
    let file = Arc::clone(file);
    match container {
        Container::None => DatasetError::Read { file, line, source },
        _ if source.raw_os_error().is_some() => DatasetError::Read { file, line, source },
        _ => DatasetError::Unpack { file, line, byte_offset: taken, source },
    }
}

impl fmt::Debug for DatasetReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatasetReader").field("stats", self.stats()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use serde_json::json;

    use super::*;
    use crate::dataset::notice::Notice;
    use crate::dataset::place::Located;
    use crate::trace::Trace;

    fn source(name: &str, text: &str) -> Source {
        let mut source = Source::stream(name, Box::new(io::Cursor::new(text.to_owned().into_bytes())));
        source.length = Some(text.len() as u64);
        source
    }

    fn of_sources(sources: impl IntoIterator<Item = Source>) -> DatasetReader {
        DatasetReader::of_sources(sources.into_iter().collect(), 200, Format::default(), Vec::new())
    }

    fn reader(files: &[(&str, &str)]) -> DatasetReader {
        of_sources(files.iter().map(|(name, text)| source(name, text)))
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
        assert_eq!(rejected(&entries[1]), "a.jsonl:3: not JSON: expected an object, which begins with `{`");
        let notices = [(Notice::UnknownField("extra".to_owned()), 1)].into_iter().collect();
        assert_eq!(stats, Stats { traces: 2, rejects: 1, duplicates: 0, blank: 1, notices });
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
            "a.jsonl:3: trace id `x` was already read at line 1 with different content; give it a different id"
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
        assert!(
            rejected(&entries[3]).starts_with("c.jsonl:2: trace id `x` was already read at a.jsonl:2 with different")
        );
        assert_eq!((reader.bytes_read(), reader.stats().blank), (113, 2));
    }

    #[test]
    fn a_line_over_the_limit_is_rejected_and_the_next_one_read() {
        let (entries, _) = entries(&format!("{{\"inputs\":\"{}\"}}\n{{\"inputs\":1}}", "x".repeat(200)));
        assert_eq!(rejected(&entries[0]), "a.jsonl:1: the line has 213 bytes, more than the limit of 200");
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
        let mut reader = of_sources([torn, source("b", "{\"inputs\":2}")]);
        assert_eq!(reader.total_bytes(), None);
        assert!(matches!(reader.next(), Some(Ok(Entry::Trace(_)))));
        let error = reader.next().unwrap().unwrap_err();
        assert!(error.to_string().starts_with("cannot read `torn` after line 1"), "{error}");
        assert!(reader.next().is_none());
    }

    #[test]
    fn a_table_whose_header_cannot_be_used_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.csv");
        std::fs::write(&path, "trace_id,outputs,outputs\n1,a,b\n").unwrap();
        let error = DatasetReader::open(DatasetOptions::new([&path])).unwrap_err();
        assert!(matches!(&error, DatasetError::Header { reason, .. } if reason.contains("`outputs`")), "{error}");
    }

    #[test]
    fn spans_in_which_nothing_is_found_are_noted() {
        let (_, stats) = entries(concat!(
            r#"{"inputs":null,"spans":[{"attributes":{"acme.a":1}}]}"#,
            "\n",
            r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"a","spanId":"b","attributes":[{"key":"acme.q","value":{"stringValue":"x"}}]}]}]}]}"#,
        ));
        let notice = Notice::EmptySpans { attributes: "acme.q".into() };
        assert_eq!(stats.notices, [(notice, 1)].into_iter().collect());
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
