//! A conversation: the traces of one session, in chronological order.

use serde::ser::{SerializeStruct, Serializer};
use serde::{Serialize, ser::SerializeSeq};

use super::Trace;

/// The traces of one session. There is at least one.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    session_id: String,
    earlier: Vec<Trace>,
    last: Trace,
}

impl Session {
    /// The session of these traces, which are in order; it has the id of the last one. `None` without traces.
    pub fn new(mut traces: Vec<Trace>) -> Option<Self> {
        let last = traces.pop()?;
        Some(Self { session_id: last.session_id.clone().unwrap_or_default(), earlier: traces, last })
    }

    /// What its traces have in common.
    pub fn session_id(&self) -> &str {
        &self.session_id
    }

    /// The latest trace, to which feedback about the session belongs.
    pub fn last(&self) -> &Trace {
        &self.last
    }

    /// All traces, in order.
    pub fn traces(&self) -> impl DoubleEndedIterator<Item = &Trace> {
        self.earlier.iter().chain([&self.last])
    }
}

/// `{"session_id": "...", "traces": [...]}`
impl Serialize for Session {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Traces<'a>(&'a Session);
        impl Serialize for Traces<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut list = serializer.serialize_seq(Some(self.0.earlier.len() + 1))?;
                self.0.traces().try_for_each(|trace| list.serialize_element(trace))?;
                list.end()
            }
        }
        let mut object = serializer.serialize_struct("Session", 2)?;
        object.serialize_field("session_id", &self.session_id)?;
        object.serialize_field("traces", &Traces(self))?;
        object.end()
    }
}
