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

mod assemble;
mod dialects;
mod format;
mod framing;
mod mapping;
mod other_names;
mod reader;
mod reject;
mod source;

pub(crate) use assemble::Sessions;
pub use dialects::Dialect;
pub use dialects::fields::SPANS_LEFT_OUT;
pub use format::Format;
pub use framing::Framing;
pub use framing::lines::DEFAULT_MAX_LINE_BYTES;
pub use mapping::Mapping;
pub use other_names::meant;
pub use reader::{DatasetOptions, DatasetReader, Duplicate, Entry, Located, Stats};
pub use reject::Reject;
pub use source::{DatasetError, Remedy};
