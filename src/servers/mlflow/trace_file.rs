//! A file of pulled traces, one per line. It only grows, by whole lines, and itself shows what it has and where to continue.

use std::collections::HashSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::feedback::{AssessmentId, IdHasher};
use crate::servers::ServerError;

/// A file of traces in the form of the REST API: `{"trace_info": {...}, "spans": [...]}`.
#[derive(Debug)]
pub struct TraceFile {
    path: PathBuf,
    file: File,
    known: HashSet<AssessmentId>,
    experiment_id: Option<String>,
    latest_ms: Option<i64>,
}

/// The part of a trace's info that pulling needs.
#[derive(Debug, Deserialize)]
pub(super) struct Info {
    pub trace_id: String,
    #[serde(default)]
    request_time: String,
    #[serde(default)]
    pub state: String,
    #[serde(default)]
    tags: Tags,
    trace_location: Option<Location>,
}

#[derive(Debug, Default, Deserialize)]
struct Tags {
    #[serde(rename = "mlflow.trace.spansLocation")]
    spans_location: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Location {
    mlflow_experiment: Option<InExperiment>,
}

#[derive(Debug, Deserialize)]
struct InExperiment {
    experiment_id: String,
}

impl Info {
    /// When the trace began, in milliseconds.
    pub(super) fn time_ms(&self) -> Option<i64> {
        self.request_time.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
    }

    /// Whether the server itself has its spans, rather than a file that the client uploaded.
    pub(super) fn has_spans_on_server(&self) -> bool {
        self.tags.spans_location.as_deref() == Some("TRACKING_STORE")
    }

    pub(super) fn experiment_id(&self) -> Option<&str> {
        Some(self.trace_location.as_ref()?.mlflow_experiment.as_ref()?.experiment_id.as_str())
    }
}

impl TraceFile {
    /// Opens or creates a file. A partial line that a killed process left at its end is cut off.
    ///
    /// # Errors
    /// When another process writes to it, it cannot be read, or has something other than pulled traces.
    pub fn open(path: &Path) -> Result<Self, ServerError> {
        let failed = |action| move |source: io::Error| ServerError::File { action, path: path.to_owned(), source };
        let mut options = OpenOptions::new();
        let file = options.read(true).append(true).create(true).open(path).map_err(failed("open"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ServerError::Locked { path: path.to_owned() }),
            // Not every file system has locks.
            Err(TryLockError::Error(_)) => {}
        }
        let mut opened =
            Self { path: path.to_owned(), file, known: HashSet::new(), experiment_id: None, latest_ms: None };
        opened.read_lines(failed("read"))?;
        Ok(opened)
    }

    fn read_lines(&mut self, failed: impl Fn(io::Error) -> ServerError) -> Result<(), ServerError> {
        #[derive(Deserialize)]
        struct Line {
            trace_info: Info,
        }
        let mut reader = BufReader::with_capacity(1 << 16, self.file.try_clone().map_err(&failed)?);
        reader.seek(SeekFrom::Start(0)).map_err(&failed)?;
        let (mut line, mut number, mut whole) = (Vec::new(), 0, 0);
        loop {
            line.clear();
            let length = reader.read_until(b'\n', &mut line).map_err(&failed)?;
            if length == 0 {
                return Ok(());
            }
            number += 1;
            if !line.ends_with(b"\n") {
                return self.file.set_len(whole).map_err(&failed);
            }
            whole += length as u64;
            let not_pulled = || ServerError::NotPulled { path: self.path.clone(), line: number };
            if !line.trim_ascii().is_empty() {
                let Line { trace_info } = serde_json::from_slice(&line).map_err(|_| not_pulled())?;
                self.add(&trace_info);
            }
        }
    }

    fn add(&mut self, info: &Info) {
        self.known.insert(key(&info.trace_id));
        self.latest_ms = self.latest_ms.max(info.time_ms());
        if self.experiment_id.is_none() {
            self.experiment_id = info.experiment_id().map(ToOwned::to_owned);
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many traces it has.
    pub fn len(&self) -> u64 {
        self.known.len() as u64
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    pub(super) fn knows(&self, trace_id: &str) -> bool {
        self.known.contains(&key(trace_id))
    }

    pub(super) fn experiment_id(&self) -> Option<&str> {
        self.experiment_id.as_deref()
    }

    /// When the latest of its traces began, in milliseconds.
    pub(super) fn latest_ms(&self) -> Option<i64> {
        self.latest_ms
    }

    /// Appends traces, each with its spans if it has any.
    pub(super) fn append<'a>(
        &mut self,
        traces: impl IntoIterator<Item = (&'a Info, &'a RawValue, Option<&'a RawValue>)>,
    ) -> Result<(), ServerError> {
        let mut lines = Vec::new();
        for (info, raw, spans) in traces {
            lines.extend_from_slice(br#"{"trace_info":"#);
            on_one_line(raw, &mut lines);
            if let Some(spans) = spans {
                lines.extend_from_slice(br#","spans":"#);
                on_one_line(spans, &mut lines);
            }
            lines.extend_from_slice(b"}\n");
            self.add(info);
        }
        self.file.write_all(&lines).map_err(|source| ServerError::File {
            action: "write",
            path: self.path.clone(),
            source,
        })
    }

    /// Waits until it is on disk.
    pub(super) fn sync(&self) -> Result<(), ServerError> {
        let failed = |source| ServerError::File { action: "write", path: self.path.clone(), source };
        self.file.sync_data().map_err(failed)
    }
}

fn key(trace_id: &str) -> AssessmentId {
    IdHasher::new("judge-run pulled trace 1").part(trace_id.as_bytes()).finish()
}

/// Line ends in JSON are only between values.
fn on_one_line(json: &RawValue, line: &mut Vec<u8>) {
    line.extend(json.get().bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(id: &str, time: &str) -> Box<RawValue> {
        let text = format!(
            "{{\"trace_id\":\"{id}\",\n\"request_time\":\"{time}\",\"state\":\"OK\",\"trace_location\":{{\"type\":\"MLFLOW_EXPERIMENT\",\"mlflow_experiment\":{{\"experiment_id\":\"7\"}}}}}}"
        );
        RawValue::from_string(text).unwrap()
    }

    fn append(file: &mut TraceFile, id: &str, time: &str) {
        let raw = info(id, time);
        let parsed: Info = serde_json::from_str(raw.get()).unwrap();
        file.append([(&parsed, &*raw, None)]).unwrap();
    }

    #[test]
    fn a_file_says_where_to_continue_also_after_a_torn_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.jsonl");
        let mut file = TraceFile::open(&path).unwrap();
        assert!(file.is_empty() && file.latest_ms().is_none());
        assert!(matches!(TraceFile::open(&path), Err(ServerError::Locked { .. })));
        append(&mut file, "tr-1", "2026-01-01T00:00:02Z");
        append(&mut file, "tr-2", "2026-01-01T00:00:01.500Z");
        file.sync().unwrap();
        drop(file);
        let mut text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 2);
        text.push_str("{\"trace_info\":{\"trace_id\":\"tr-3");
        std::fs::write(&path, &text).unwrap();
        let mut file = TraceFile::open(&path).unwrap();
        assert_eq!((file.len(), file.experiment_id(), file.latest_ms()), (2, Some("7"), Some(1_767_225_602_000)));
        assert!(file.knows("tr-2") && !file.knows("tr-3"));
        append(&mut file, "tr-3", "2026-01-01T00:00:03Z");
        drop(file);
        assert_eq!(TraceFile::open(&path).unwrap().len(), 3);
    }

    #[test]
    fn a_file_of_something_else_is_not_added_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.jsonl");
        std::fs::write(&path, "{\"trace_id\":\"t\",\"inputs\":1}\n").unwrap();
        assert!(matches!(TraceFile::open(&path), Err(ServerError::NotPulled { line: 1, .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap().len(), 28);
    }
}
