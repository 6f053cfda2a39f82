//! Fields of the traces, for the tables that are made from a log. They are on disk; memory holds a little over 24 bytes per trace.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};

use serde_json::Value;

use crate::dataset::{DatasetError, DatasetReader, Entry};
use crate::trace::Trace;

/// The beginning of a hash of a trace's id.
type Key = [u8; 16];

/// The texts of some fields of each trace of a dataset.
#[derive(Debug)]
pub struct Included {
    /// A JSON list a line.
    texts: BufReader<File>,
    places: HashMap<Key, u64>,
    fields: usize,
}

impl Included {
    /// Reads a dataset to its end. Fields are named as in judges' templates: `inputs`, `outputs`, `session_id`.
    ///
    /// # Errors
    /// When the dataset cannot be read, or a temporary file cannot be made.
    pub fn read(dataset: DatasetReader, fields: &[String]) -> Result<Self, DatasetError> {
        let no_file = |source| DatasetError::Gather { source };
        let mut writer = BufWriter::with_capacity(1 << 16, tempfile::tempfile().map_err(no_file)?);
        let mut places = HashMap::new();
        let mut end = 0;
        for entry in dataset {
            let Entry::Trace(located) = entry? else { continue };
            let mut line = serde_json::to_vec(&texts(&located.value, fields)).map_err(|error| no_file(error.into()))?;
            line.push(b'\n');
            writer.write_all(&line).map_err(no_file)?;
            places.insert(key(&located.value.trace_id), end);
            end += line.len() as u64;
        }
        let file = writer.into_inner().map_err(|error| no_file(error.into_error()))?;
        Ok(Self { texts: BufReader::with_capacity(1 << 16, file), places, fields: fields.len() })
    }

    /// The texts of a trace, one for each field; `None` for fields that it lacks, and for a trace that is not in the dataset.
    ///
    /// # Errors
    /// When the temporary file cannot be read.
    pub fn texts(&mut self, trace_id: &str) -> io::Result<Vec<Option<String>>> {
        let Some(place) = self.places.get(&key(trace_id)) else { return Ok(vec![None; self.fields]) };
        // Records are mostly in the order of the traces.
        let distance = i128::from(*place) - i128::from(self.texts.stream_position()?);
        match i64::try_from(distance) {
            Ok(distance) => self.texts.seek_relative(distance)?,
            Err(_) => drop(self.texts.seek(SeekFrom::Start(*place))?),
        }
        let mut line = String::new();
        self.texts.read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }
}

fn key(trace_id: &str) -> Key {
    let mut key = Key::default();
    key.copy_from_slice(&blake3::hash(trace_id.as_bytes()).as_bytes()[..16]);
    key
}

/// Texts as they are, and all else as JSON.
fn texts(trace: &Trace, fields: &[String]) -> Vec<Option<String>> {
    let members = serde_json::to_value(trace).unwrap_or_default();
    let text = |field: &String| match members.get(field)? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    fields.iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::DatasetOptions;

    #[test]
    fn fields_of_traces_are_found_by_id_in_any_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.jsonl");
        let lines = [
            r#"{"trace_id": "a", "inputs": {"q": "Où?"}, "outputs": "there"}"#,
            "not a trace",
            r#"{"trace_id": "b", "inputs": "line\nline", "outputs": null, "session_id": "s"}"#,
        ];
        std::fs::write(&path, lines.join("\n")).unwrap();
        let fields = ["outputs", "inputs", "session_id"].map(ToOwned::to_owned);
        let dataset = DatasetReader::open(DatasetOptions::new([path])).unwrap();
        let mut included = Included::read(dataset, &fields).unwrap();
        let texts = |texts: [Option<&str>; 3]| texts.map(|text| text.map(ToOwned::to_owned)).to_vec();
        for _ in 0..2 {
            assert_eq!(included.texts("b").unwrap(), texts([None, Some("line\nline"), Some("s")]));
            assert_eq!(included.texts("c").unwrap(), texts([None; 3]));
            assert_eq!(included.texts("a").unwrap(), texts([Some("there"), Some(r#"{"q":"Où?"}"#), None]));
        }
    }
}
