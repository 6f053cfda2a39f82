//! Everything that a line can hold, by the public test suite of JSON parsers: JSON is read, also where only Python reads it, and anything
//! else is rejected at its place.

use std::collections::BTreeMap;
use std::fs;

use judge_run::dataset::{DatasetOptions, DatasetReader, Entry, Reject};
use judge_run::trace::Trace;
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    name: String,
    #[serde(default)]
    text: String,
    hex: Option<String>,
    repeat: Option<usize>,
}

impl Case {
    fn bytes(&self) -> Vec<u8> {
        let Some(hex) = &self.hex else { return self.text.repeat(self.repeat.unwrap_or(1)).into_bytes() };
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }
}

fn cases() -> Vec<(String, Vec<u8>)> {
    let lines = include_str!("../fixtures/json-test-suite.jsonl").split_terminator('\n');
    let cases: Vec<Case> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(cases.len() > 300);
    cases.iter().map(|case| (case.name.clone(), case.bytes())).collect()
}

/// Not JSON, and yet what Python's `json` module writes and reads.
const PYTHONS: [&str; 3] = ["n_number_NaN", "n_number_infinity", "n_number_minus_infinity"];

/// Traces and rejects by the byte where they begin.
type Read = BTreeMap<u64, Result<Trace, Reject>>;

fn read(bytes: &[u8], format: &str) -> Read {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("suite");
    fs::write(&path, bytes).unwrap();
    let mut options = DatasetOptions::new([path]);
    options.format = format.parse().unwrap();
    // A table may be refused as a whole.
    let Ok(reader) = DatasetReader::open(options) else { return Read::new() };
    let entries = reader.map_while(Result::ok);
    let placed = entries.map(|entry| match entry {
        Entry::Trace(trace) => (trace.byte_offset, Ok(trace.value)),
        Entry::Reject(reject) => (reject.byte_offset, Err(reject)),
        Entry::Duplicate(duplicate) => panic!("{duplicate:?}"),
    });
    placed.collect()
}

/// The cases as the inputs of traces, one after the other, with each one's line and place.
fn dataset(cases: &[(String, Vec<u8>)]) -> (Vec<u8>, Vec<(u64, u64)>) {
    let mut dataset = Vec::new();
    let mut places = Vec::new();
    let mut line = 1;
    for (name, bytes) in cases {
        places.push((line, dataset.len() as u64));
        dataset.extend_from_slice(format!("{{\"trace_id\": \"{name}\", \"inputs\": ").as_bytes());
        dataset.extend_from_slice(bytes);
        dataset.extend_from_slice(b"}\n");
        line += 1 + bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
    }
    (dataset, places)
}

fn check(cases: &[(String, Vec<u8>)], format: &str) {
    let (bytes, places) = dataset(cases);
    let read = read(&bytes, format);
    let ends = places.iter().skip(1).map(|(_, offset)| *offset).chain([u64::MAX]).collect::<Vec<_>>();
    for (((name, _), (line, offset)), end) in cases.iter().zip(places).zip(ends) {
        // Where an object is whole, what is wrong after it is reported separately.
        let is_told = read.range(offset..end).any(|(_, read)| read.is_err());
        let is_wrong = name.starts_with("n_") && !PYTHONS.contains(&name.as_str());
        assert!(is_told || !is_wrong, "{name} was read as {:?}", read.get(&offset));
        assert!(!is_told || !PYTHONS.contains(&name.as_str()), "{name} was rejected");
        match read.get(&offset) {
            Some(Ok(trace)) => assert_eq!(&trace.trace_id, name),
            Some(Err(reject)) => {
                assert!(!name.starts_with("y_"), "{name} was rejected: {reject}");
                assert_eq!(reject.line, line, "{name}");
            }
            None => panic!("{name} is lost in {format}"),
        }
    }
}

#[test]
fn a_line_of_json_is_read_and_anything_else_rejected() {
    // Text over several lines is not a line.
    let cases: Vec<_> = cases().into_iter().filter(|(_, bytes)| !bytes.contains(&b'\n')).collect();
    check(&cases, "jsonl");
}

#[test]
fn an_object_over_several_lines_is_read_or_rejected_alone() {
    check(&cases(), "json");
}

#[test]
fn no_file_of_the_suite_is_a_trace_in_any_form_or_does_harm() {
    for (name, bytes) in cases() {
        for format in ["jsonl", "json", "csv", "tsv", "plain"] {
            for (_, entry) in read(&bytes, format) {
                assert!(entry.is_err(), "{name} as {format}: {entry:?}");
            }
        }
    }
}
