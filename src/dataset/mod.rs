//! What is judged: traces in files or on standard input, compressed or not, as JSON lines, JSON or a table, in one of several dialects.
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

mod again;
mod assemble;
mod depth;
mod dialects;
mod entry;
mod format;
mod framing;
mod json;
mod mapping;
mod names;
mod notice;
mod place;
mod python;
mod reader;
mod register;
mod reject;
mod source;

pub use again::TracesById;
pub(crate) use assemble::{Sessions, Sides};
pub use dialects::Dialect;
pub use entry::{Duplicate, Entry, Stats};
pub use format::Format;
pub use framing::Framing;
pub use framing::limits::DEFAULT_MAX_LINE_BYTES;
pub use mapping::{Mapping, sides};
pub use names::meant;
pub use notice::{Notice, Notices};
pub use place::Located;
pub use reader::{DatasetOptions, DatasetReader};
pub use reject::{Hint, Reject};
pub use source::{DatasetError, Remedy};
