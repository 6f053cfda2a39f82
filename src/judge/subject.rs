//! What one judgment is about, and the ids that its feedback is filed under.

use serde_json::{Map, Value};

use super::pair::{Pair, PairIds};
use crate::feedback::{SESSION_ID_METADATA, SESSION_METADATA};
use crate::trace::{Session, Span, Trace};

/// What one judgment is about.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    /// A trace.
    Trace(&'a Trace),
    /// A step of a trace.
    Span {
        /// The whole.
        trace: &'a Trace,
        /// The step.
        span: &'a Span,
    },
    /// A conversation.
    Session(&'a Session),
    /// Two outputs for the same inputs, in the order in which they are shown.
    Pair(Pair<'a>),
}

impl<'a> From<&'a Trace> for Subject<'a> {
    fn from(trace: &'a Trace) -> Self {
        Self::Trace(trace)
    }
}

impl<'a> From<&'a Session> for Subject<'a> {
    fn from(session: &'a Session) -> Self {
        Self::Session(session)
    }
}

impl<'a> From<Pair<'a>> for Subject<'a> {
    fn from(pair: Pair<'a>) -> Self {
        Self::Pair(pair)
    }
}

impl<'a> Subject<'a> {
    /// The trace that the feedback is filed under: of a session the last one, of a pair that of the side that was named first.
    pub fn trace(self) -> &'a Trace {
        match self {
            Self::Trace(trace) | Self::Span { trace, .. } => trace,
            Self::Session(session) => session.last(),
            Self::Pair(pair) => pair.filed_under(),
        }
    }

    /// What a right answer looks like; of a session, what its last trace that has any expectations says.
    pub fn expectations(self) -> &'a Map<String, Value> {
        let own = &self.trace().expectations;
        match self {
            Self::Trace(_) | Self::Span { .. } => own,
            Self::Pair(pair) => pair.expectations(),
            Self::Session(session) => {
                let all = session.traces().rev().map(|trace| &trace.expectations);
                all.into_iter().find(|expectations| !expectations.is_empty()).unwrap_or(own)
            }
        }
    }

    /// The span, if it is about one.
    pub fn span_id(self) -> Option<&'a str> {
        match self {
            Self::Span { span, .. } => Some(&span.span_id),
            Self::Trace(_) | Self::Session(_) | Self::Pair(_) => None,
        }
    }

    /// The ids, to keep.
    pub fn ids(self) -> SubjectIds {
        SubjectIds {
            trace_id: self.trace().trace_id.clone(),
            span_id: self.span_id().map(ToOwned::to_owned),
            session_id: self.trace().session().map(Into::into),
            is_session: matches!(self, Self::Session(_)),
            pair: self.pair().map(|pair| Box::new(pair.ids())),
        }
    }

    /// The pair, if it is one.
    pub fn pair(self) -> Option<Pair<'a>> {
        match self {
            Self::Pair(pair) => Some(pair),
            Self::Trace(_) | Self::Span { .. } | Self::Session(_) => None,
        }
    }

    /// How messages call it.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Trace(_) | Self::Span { .. } => "trace",
            Self::Session(_) => "session's last trace",
            Self::Pair(_) => "pair",
        }
    }
}

/// The ids that feedback is filed under.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct SubjectIds {
    /// The trace; of a session the last one, of a pair that of the side that was named first.
    pub trace_id: String,
    /// The span, if it is about one.
    pub span_id: Option<String>,
    /// The session that the trace belongs to.
    pub session_id: Option<Box<str>>,
    /// Whether it is about all of the session.
    pub is_session: bool,
    /// What is compared, if it is about two outputs.
    pub pair: Option<Box<PairIds>>,
}

impl SubjectIds {
    /// What the record's metadata says about the subject, beyond trace and span.
    pub(crate) fn metadata(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let key = if self.is_session { SESSION_METADATA } else { SESSION_ID_METADATA };
        let of_session = self.session_id.iter().map(move |session_id| (key, &**session_id));
        of_session.chain(self.pair.iter().flat_map(|pair| pair.metadata()))
    }
}
