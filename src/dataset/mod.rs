//! What is judged: traces in JSONL files or on the standard input, one a line, in one of several dialects.
//!
//! ```no_run
//! use judge_run::dataset::{DatasetOptions, DatasetReader, Entry};
//!
//! for entry in DatasetReader::open(DatasetOptions::new(["traces.jsonl"]))? {
//!     match entry? {
//!         Entry::Trace(trace) => drop(trace.value.inputs),
//!         Entry::Reject(_) | Entry::Duplicate(_) => {}
//!     }
//! }
//! # Ok::<(), judge_run::dataset::DatasetError>(())
//! ```

mod any_value;
mod complete;
mod dialect;
mod fields;
mod gather;
mod lines;
mod mlflow;
mod otel;
mod parts;
mod plain;
mod reader;
mod reject;
mod seen;
mod source;
mod span;
mod syntax;

pub use dialect::Dialect;
pub use lines::DEFAULT_MAX_LINE_BYTES;
pub use reader::{DatasetOptions, DatasetReader, Duplicate, Entry, Located, Stats};
pub use reject::Reject;
pub use source::DatasetError;
