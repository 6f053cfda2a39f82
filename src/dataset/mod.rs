//! What is judged: traces in files or on the standard input, compressed or not, as JSON lines, JSON or a table, in one of several dialects.
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
mod container;
mod dialect;
mod elements;
mod fields;
mod format;
mod framing;
mod gather;
mod langfuse;
mod langsmith;
mod lines;
mod mapping;
mod mlflow;
mod openai;
mod otel;
mod other_names;
mod parts;
mod plain;
mod reader;
mod record;
mod reject;
mod scan;
mod seen;
mod sessions;
mod sharegpt;
mod source;
mod span;
mod syntax;
mod table;
mod zstd;

pub use container::Remedy;
pub use dialect::Dialect;
pub use fields::SPANS_LEFT_OUT;
pub use format::Format;
pub use framing::Framing;
pub use lines::DEFAULT_MAX_LINE_BYTES;
pub use mapping::Mapping;
pub use other_names::meant;
pub use reader::{DatasetOptions, DatasetReader, Duplicate, Entry, Located, Stats};
pub use reject::Reject;
pub(crate) use sessions::Sessions;
pub use source::DatasetError;
