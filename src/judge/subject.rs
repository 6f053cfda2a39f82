//! The subject of one judgment, and the ids under which its feedback is recorded.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::documents::Document;
use super::pair::{Pair, PairIds};
use crate::feedback::{
    DOCUMENT_COUNT_METADATA, DOCUMENT_METADATA, DocumentPlace, IdHasher, SESSION_ID_METADATA, SESSION_METADATA,
};
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
    /// A document that a step found.
    Document {
        /// The whole.
        trace: &'a Trace,
        /// The step.
        span: &'a Span,
        /// All that it found, in its order.
        documents: &'a [Document],
        /// Which of them, from 0.
        index: usize,
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
            Self::Trace(trace) | Self::Span { trace, .. } | Self::Document { trace, .. } => trace,
            Self::Session(session) => session.last(),
            Self::Pair(pair) => pair.filed_under(),
        }
    }

    /// What a right answer looks like; of a session, what its last trace that has any expectations says.
    pub fn expectations(self) -> &'a Map<String, Value> {
        let own = &self.trace().expectations;
        match self {
            Self::Trace(_) | Self::Span { .. } | Self::Document { .. } => own,
            Self::Pair(pair) => pair.expectations(),
            Self::Session(session) => {
                let all = session.traces().rev().map(|trace| &trace.expectations);
                all.into_iter().find(|expectations| !expectations.is_empty()).unwrap_or(own)
            }
        }
    }

    /// The span, if it is about one, or about a document of one.
    pub fn span_id(self) -> Option<&'a str> {
        match self {
            Self::Span { span, .. } | Self::Document { span, .. } => Some(&span.span_id),
            Self::Trace(_) | Self::Session(_) | Self::Pair(_) => None,
        }
    }

    /// The ids, to keep.
    pub fn ids(self) -> SubjectIds {
        SubjectIds {
            trace_id: self.trace().trace_id.clone(),
            span_id: self.span_id().map(ToOwned::to_owned),
            session_id: self.trace().session().map(Into::into),
            document: self.document(),
            is_session: matches!(self, Self::Session(_)),
            pair: self.pair().map(|pair| Box::new(pair.ids())),
        }
    }

    /// Where among the documents of its span it is, if it is one.
    pub fn document(self) -> Option<DocumentPlace> {
        let Self::Document { documents, index, .. } = self else { return None };
        let number = |n| u32::try_from(n).unwrap_or(u32::MAX);
        Some(DocumentPlace { index: number(index), count: number(documents.len()) })
    }

    /// The pair, if it is one.
    pub fn pair(self) -> Option<Pair<'a>> {
        match self {
            Self::Pair(pair) => Some(pair),
            Self::Trace(_) | Self::Span { .. } | Self::Document { .. } | Self::Session(_) => None,
        }
    }

    /// How messages call it.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Trace(_) | Self::Span { .. } | Self::Document { .. } => "trace",
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
    /// The span, if it is about one, or about a document of one.
    pub span_id: Option<String>,
    /// The document of the span, if it is about one.
    pub document: Option<DocumentPlace>,
    /// The session that the trace belongs to.
    pub session_id: Option<Box<str>>,
    /// Whether it is about all of the session.
    pub is_session: bool,
    /// What is compared, if it is about two outputs.
    pub pair: Option<Box<PairIds>>,
}

impl SubjectIds {
    /// What the record's metadata says about the subject, beyond trace and span.
    pub(crate) fn metadata(&self) -> impl Iterator<Item = (&'static str, Cow<'_, str>)> {
        let key = if self.is_session { SESSION_METADATA } else { SESSION_ID_METADATA };
        let of_session = self.session_id.iter().map(move |session_id| (key, &**session_id));
        let of_pair = self.pair.iter().flat_map(|pair| pair.metadata());
        let of_document = self.document.into_iter().flat_map(|DocumentPlace { index, count }| {
            [(DOCUMENT_METADATA, index.to_string().into()), (DOCUMENT_COUNT_METADATA, count.to_string().into())]
        });
        of_session.chain(of_pair).map(|(key, text)| (key, text.into())).chain(of_document)
    }

    /// What distinguishes it from other subjects under the same trace and span, for the identity of a judgment. The ids of traces and spans are older
    /// than those of pairs and documents, and have nothing here.
    pub(super) fn identify(&self, hasher: &mut IdHasher) {
        if let Some(pair) = &self.pair {
            pair.identify(hasher);
        }
        // A span that found another number of documents is another ranking, of which no old verdict is a part.
        if let Some(DocumentPlace { index, count }) = self.document {
            hasher.part(b"document").part(&index.to_le_bytes()).part(&count.to_le_bytes());
        }
    }
}
