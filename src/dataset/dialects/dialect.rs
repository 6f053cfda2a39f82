//! What a dialect is.

use serde_json::{Map, Value};

use crate::dataset::dialects::part::Part;
use crate::dataset::notice::Notices;
use crate::trace::Trace;

/// A dialect of traces in a dataset. A new one is a file with such a constant, and a line in [`Dialect::ALL`].
#[derive(Debug, Clone, Copy)]
pub struct Dialect {
    /// A short lower-case name, by which a user selects it.
    pub name: &'static str,
    /// What it is called in messages.
    pub title: &'static str,
    pub(crate) fits: fn(&Map<String, Value>) -> bool,
    pub(crate) read: fn(Map<String, Value>, &mut Notices) -> Result<Found, String>,
}

/// The content of one JSON object of a dataset.
#[derive(Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly every object is a trace")]
pub(crate) enum Found {
    /// A trace, whole.
    Trace(Trace),
    /// Any number of traces; those that cannot be read have a reason.
    Traces(Vec<Result<Trace, String>>),
    /// Parts of traces that may have others elsewhere in the dataset.
    Parts(Vec<Part>),
    /// Objects that have their own dialects, in a list or table of this name.
    Objects(&'static str, Vec<Value>),
}
