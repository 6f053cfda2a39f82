//! What a form of traces is.

use serde_json::{Map, Value};

use crate::dataset::assemble::parts::Part;
use crate::dataset::dialects::fields::UnknownFields;
use crate::trace::Trace;

/// A form of traces in a dataset. A new one is a file with such a constant, and a line in [`Dialect::ALL`].
#[derive(Debug, Clone, Copy)]
pub struct Dialect {
    /// A short name in small letters, by which a user asks for it.
    pub name: &'static str,
    /// What it is called in messages.
    pub title: &'static str,
    /// The keys that tell it, as a message shows them.
    pub keys: &'static str,
    pub(crate) fits: fn(&Map<String, Value>) -> bool,
    pub(crate) read: fn(Map<String, Value>, &mut UnknownFields) -> Result<Found, String>,
}

/// What one JSON object of a dataset holds.
#[derive(Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly every object is a trace")]
pub(crate) enum Found {
    /// A trace, whole.
    Trace(Trace),
    /// Any number of traces; what is none has its reason.
    Traces(Vec<Result<Trace, String>>),
    /// Parts of traces that may have others elsewhere in the dataset.
    Parts(Vec<Part>),
}
