//! What a dataset holds, entry by entry.

use std::sync::Arc;

use crate::dataset::notice::Notices;
use crate::dataset::place::Located;
use crate::dataset::reject::Reject;
use crate::trace::Trace;

/// What a record of a dataset is.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly every entry is a trace")]
pub enum Entry {
    /// A trace.
    Trace(Located<Trace>),
    /// Not a trace, or one whose id is taken.
    Reject(Reject),
    /// A trace that was read before, with the same content; it is not read again.
    Duplicate(Located<Duplicate>),
}

/// A trace that was read before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duplicate {
    /// Its id.
    pub trace_id: String,
    /// The line where it was first, in `first_file`.
    pub first_line: u64,
    /// The file where it stood first.
    pub first_file: Arc<str>,
}

/// What was found so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Traces.
    pub traces: u64,
    /// Records that are not traces.
    pub rejects: u64,
    /// Traces that were there already.
    pub duplicates: u64,
    /// Lines of white space.
    pub blank: u64,
    /// What the user should know about how the dataset was read.
    pub notices: Notices,
}
