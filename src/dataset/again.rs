//! Traces read again, one by one and in any order: a dataset of any size, with a few bytes per trace in memory.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::framing::Framing;
use super::reader::DatasetReader;
use super::source::Source;
use super::{DatasetError, DatasetOptions, Entry, Format};
use crate::trace::Trace;

/// Where each trace of a dataset is. Traces on separate lines stay where they are; of others, such as those of a compressed file or a table, or
/// whose parts are spread, a copy is kept in a temporary file.
pub struct TracesById {
    options: DatasetOptions,
    files: Vec<PathBuf>,
    places: HashMap<u128, Place>,
    copies: Option<File>,
}

#[derive(Clone, Copy)]
enum Place {
    Line { file: u32, offset: u64 },
    Copy { offset: u64, length: u32 },
}

impl TracesById {
    /// Reads a dataset to its end, and hands over each trace.
    ///
    /// # Errors
    /// When a file cannot be read, or a copy cannot be kept.
    pub fn read(options: DatasetOptions, mut take: impl FnMut(&Trace)) -> Result<Self, DatasetError> {
        let mut reader = DatasetReader::open(options.clone())?;
        let mut found = Self { options, files: Vec::new(), places: HashMap::new(), copies: None };
        let mut is_where_it_is = false;
        while let Some(entry) = reader.next() {
            let Entry::Trace(located) = entry? else { continue };
            let trace = located.value;
            let path = Path::new(&*located.file);
            take(&trace);
            let key = key(&trace.trace_id);
            if reader.is_on_a_line() {
                let is_first = found.files.last().is_none_or(|last| last != path);
                if is_first {
                    found.files.push(path.to_owned());
                }
                let file = u32::try_from(found.files.len() - 1).unwrap_or(u32::MAX);
                found.places.insert(key, Place::Line { file, offset: located.byte_offset });
                // Standard input, and what is decoded while reading, are not at these places.
                is_where_it_is = if is_first {
                    found.get(&trace.trace_id).is_ok_and(|again| again.is_some())
                } else {
                    is_where_it_is
                };
                if is_where_it_is {
                    continue;
                }
            }
            let place = found.copy(&trace).map_err(|source| DatasetError::Gather { source })?;
            found.places.insert(key, place);
        }
        Ok(found)
    }

    /// How many traces there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Whether there is a trace of this id.
    pub fn has(&self, trace_id: &str) -> bool {
        self.places.contains_key(&key(trace_id))
    }

    /// The trace of this id as JSON, as [`Trace`] is serialized; `None` if there is none, or no longer.
    ///
    /// # Errors
    /// When it can no longer be read.
    pub fn get(&self, trace_id: &str) -> io::Result<Option<serde_json::Value>> {
        match self.places.get(&key(trace_id)) {
            None => Ok(None),
            Some(Place::Copy { offset, length }) => {
                let mut copies = self.copies.as_ref().ok_or(io::ErrorKind::NotFound)?;
                copies.seek(SeekFrom::Start(*offset))?;
                let mut text = vec![0; *length as usize];
                copies.read_exact(&mut text)?;
                Ok(Some(serde_json::from_slice(&text)?))
            }
            Some(Place::Line { file, offset }) => {
                let path = self.files.get(*file as usize).ok_or(io::ErrorKind::NotFound)?;
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(*offset))?;
                let mut line = Vec::new();
                BufReader::new(file.take(self.options.max_line_bytes as u64)).read_until(b'\n', &mut line)?;
                Ok(self.reread(line, trace_id))
            }
        }
    }

    /// The trace of this id on a line.
    fn reread(&self, line: Vec<u8>, trace_id: &str) -> Option<serde_json::Value> {
        let DatasetOptions { max_line_bytes, format, mappings, .. } = self.options.clone();
        let format = Format { framing: Some(Framing::Lines), ..format };
        let source = Source::stream("line", Box::new(io::Cursor::new(line)));
        let mut entries = DatasetReader::of_sources([source].into(), max_line_bytes, format, mappings);
        entries.find_map(|entry| match entry {
            Ok(Entry::Trace(trace)) if trace.value.trace_id == trace_id => serde_json::to_value(trace.value).ok(),
            _ => None,
        })
    }

    fn copy(&mut self, trace: &Trace) -> io::Result<Place> {
        let mut copies = match &self.copies {
            Some(copies) => copies,
            None => self.copies.insert(tempfile::tempfile()?),
        };
        let text = serde_json::to_vec(trace)?;
        let offset = copies.stream_position()?;
        copies.write_all(&text)?;
        Ok(Place::Copy { offset, length: u32::try_from(text.len()).map_err(io::Error::other)? })
    }
}

fn key(trace_id: &str) -> u128 {
    u128::from_be_bytes(
        *crate::feedback::IdHasher::new("judge-run trace key 1").part(trace_id.as_bytes()).finish().as_bytes(),
    )
}

impl std::fmt::Debug for TracesById {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TracesById").field("traces", &self.places.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(name: &str, text: &str) -> (tempfile::TempDir, TracesById, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let mut ids = Vec::new();
        let found = TracesById::read(DatasetOptions::new([&path]), |trace| ids.push(trace.trace_id.clone())).unwrap();
        (folder, found, ids)
    }

    #[test]
    fn lines_stay_where_they_are() {
        let (_folder, found, ids) = read(
            "a.jsonl",
            "{\"trace_id\":\"a\",\"inputs\":1}\n\nnonsense\n{\"inputs\":2}\n{\"trace_id\":\"c\",\"inputs\":3}",
        );
        assert!(found.copies.is_none() && ids.len() == 3);
        for (id, inputs) in ids.iter().zip([1, 2, 3]) {
            let trace = found.get(id).unwrap().unwrap();
            assert_eq!((&trace["trace_id"], &trace["inputs"]), (&json!(id), &json!(inputs)));
        }
        assert!(!found.has("d") && found.get("d").unwrap().is_none());
    }

    #[test]
    fn what_has_no_line_of_its_own_is_copied() {
        for (name, text) in [
            ("a.json", "[{\"trace_id\":\"a\",\"inputs\":\"1\"},\n {\"trace_id\":\"b\",\"inputs\":\"2\"}]"),
            ("a.csv", "trace_id,inputs\na,1\nb,2\n"),
        ] {
            let (_folder, found, ids) = read(name, text);
            assert!(found.copies.is_some() && ids == ["a", "b"], "{name}");
            assert_eq!(found.get("b").unwrap().unwrap()["trace_id"], "b");
            assert_eq!(found.get("a").unwrap().unwrap()["trace_id"], "a");
        }
    }
}
