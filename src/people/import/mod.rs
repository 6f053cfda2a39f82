//! Labels and other tools' feedback, read from files: one file of this folder per form.

mod adopt;
mod deepeval;
mod fields;
mod imported;
mod label_studio;
mod langfuse;
mod phoenix;
mod rows;
mod traces;

use std::io;
use std::path::Path;

use serde_json::{Map, Value};

pub use adopt::{Adopted, Adoption};
pub use fields::{Field, InvalidMapping, Mapping, Options};
pub use imported::{IMPORTED_METADATA, ImportError, Imported, Reject};

use crate::feedback::Feedback;

/// Reads an object of one form; `None` if it has no value yet.
type Reader = fn(&Map<String, Value>, &Options) -> Result<Vec<Feedback>, String>;

/// Whether an object has a form.
type Fits = fn(&Map<String, Value>) -> bool;

/// A format of feedback in JSON: its name, how to recognise it, and how to read it.
const FORMS: [(&str, Fits, Reader); 6] = [
    ("feedback", rows::is_record, rows::read_record),
    ("langfuse", langfuse::fits, langfuse::read),
    ("phoenix", phoenix::fits, phoenix::read),
    ("label-studio", label_studio::fits, label_studio::read),
    ("deepeval", deepeval::fits, deepeval::read),
    ("json", rows::fits, rows::read),
];

/// Keys of the lists in an API's pages and in exports.
const LISTS: [&str; 4] = ["data", "annotations", "assessments", "scores"];

/// Reads a file. `bytes` are its content; `path` is needed for what is read as a dataset (results of promptfoo and Inspect).
///
/// # Errors
/// When none of it can be read. Single rows that cannot are [`Imported::rejects`].
pub fn read(path: Option<&Path>, bytes: &[u8], options: &Options) -> Result<Imported, ImportError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = bytes.trim_ascii();
    let is_packed = text.starts_with(b"PK") || text.starts_with(&[0x1f, 0x8b]) || text.starts_with(&[0x28, 0xb5, 0x2f]);
    match (text.first(), path) {
        (None, _) => Err(ImportError::Empty),
        (Some(_), Some(path)) if is_packed => traces::read(path, options),
        (Some(b'{' | b'['), _) => json(path, text, options),
        (Some(_), _) => rows::table(bytes, options),
    }
}

fn json(path: Option<&Path>, text: &[u8], options: &Options) -> Result<Imported, ImportError> {
    let mut imported = Imported::default();
    let first_line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let is_lines = first_line.len() < text.len() && serde_json::from_slice::<Map<String, Value>>(first_line).is_ok();
    if is_lines {
        for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
            match serde_json::from_slice(line) {
                _ if line.trim_ascii().is_empty() => {}
                Ok(Value::Object(object)) if number == 1 && traces::fits(&object) => return traces_of(path, options),
                Ok(value) => imported.add(number, &value, options),
                Err(error) => imported.rejects.push(Reject { line: number, reason: format!("not JSON: {error}") }),
            }
        }
        return Ok(imported);
    }
    let elements = match serde_json::from_slice(text).map_err(ImportError::Json)? {
        Value::Object(object) if traces::fits(&object) => return traces_of(path, options),
        Value::Object(mut object) if !FORMS.iter().any(|(_, fits, _)| fits(&object)) => {
            match LISTS.iter().find_map(|key| object.get_mut(*key).and_then(Value::as_array_mut).map(std::mem::take)) {
                Some(list) => list,
                None => vec![Value::Object(object)],
            }
        }
        Value::Array(list) => list,
        other => vec![other],
    };
    if elements.first().and_then(Value::as_object).is_some_and(traces::fits) {
        return traces_of(path, options);
    }
    Ok(of_values(&elements, options))
}

/// Reads an API's response, element by element.
pub fn of_values(elements: &[Value], options: &Options) -> Imported {
    let mut imported = Imported::default();
    for (number, element) in (1..).zip(elements) {
        imported.add(number, element, options);
    }
    imported
}

fn traces_of(path: Option<&Path>, options: &Options) -> Result<Imported, ImportError> {
    match path {
        Some(path) => traces::read(path, options),
        None => Err(ImportError::Read(io::Error::new(
            io::ErrorKind::InvalidInput,
            "results with whole traces are read from a file, not from standard input",
        ))),
    }
}

impl Imported {
    fn add(&mut self, line: u64, value: &Value, options: &Options) {
        let mut reject = |reason: String| self.rejects.push(Reject { line, reason });
        let Value::Object(object) = value else { return reject("not an object".to_owned()) };
        let renamed = fields::renamed(object, &options.map);
        let Some((form, _, read)) = FORMS.iter().find(|(_, fits, _)| fits(&renamed)) else {
            return reject(rows::missing(&renamed));
        };
        match read(&renamed, options) {
            Err(reason) => reject(reason),
            Ok(records) => {
                self.unlabelled += u64::from(records.is_empty());
                self.extend(form, records);
            }
        }
    }
}

#[cfg(test)]
mod tests;
