//! Results that contain whole traces, together with the feedback on them. promptfoo's results, Inspect's logs, MLflow's traces and all other
//! formats of a dataset.

use std::path::Path;

use serde_json::{Map, Value};

use super::fields::Options;
use super::imported::{ImportError, Imported, Reject};
use crate::dataset::{DatasetOptions, DatasetReader, Entry};
use crate::feedback::{Feedback, SourceType};

/// Whether an object holds traces.
pub(super) fn fits(object: &Map<String, Value>) -> bool {
    let has = |key: &str| object.contains_key(key);
    let is_promptfoo = has("results") && (has("evalId") || object["results"].get("results").is_some());
    let is_result = has("gradingResult") && has("prompt");
    let is_inspect = (has("eval") && has("samples")) || (has("epoch") && has("scores"));
    let is_trace = has("trace_info") || has("spans") || has("info") || (has("inputs") && has("assessments"));
    is_promptfoo || is_result || is_inspect || is_trace
}

pub(super) fn read(path: &Path, options: &Options) -> Result<Imported, ImportError> {
    let mut imported = Imported::default();
    for entry in DatasetReader::open(DatasetOptions::new([path]))? {
        match entry? {
            Entry::Trace(located) => {
                let line = located.line;
                let trace = located.value;
                for assessment in trace.assessments {
                    match adopt(assessment, &trace.trace_id, options) {
                        Ok(record) => imported.extend("traces", record.into_iter().collect()),
                        Err(reason) => imported.rejects.push(Reject { line, reason }),
                    }
                }
            }
            Entry::Reject(reject) => imported.rejects.push(Reject { line: reject.line, reason: reject.reason }),
            Entry::Duplicate(_) => {}
        }
    }
    Ok(imported)
}

/// An assessment of a trace as separate feedback.
fn adopt(assessment: Feedback, trace_id: &str, options: &Options) -> Result<Option<Feedback>, String> {
    if assessment.is_error() || assessment.value.is_none() {
        return Ok(None);
    }
    let mut record = Feedback { trace_id: Some(trace_id.to_owned()), ..assessment };
    if record.source.source_id.is_none() {
        record.source.source_id = options.author.clone();
    }
    if record.source.source_type == SourceType::Unspecified {
        // A scorer is a program, unless the options say otherwise.
        record.source.source_type = if options.author.is_some() { SourceType::Human } else { SourceType::Code };
    }
    if record.name.is_empty() {
        record.name = options.name.clone().ok_or("an assessment without a name")?;
    }
    if record.create_time_ms == 0 {
        (record.create_time_ms, record.last_update_time_ms) = (options.now_ms, options.now_ms);
    }
    Ok(Some(record))
}
