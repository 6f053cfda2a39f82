//! What a judge gives one feedback for each.

use std::fmt;

use serde::Deserialize;

/// What has one feedback each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// A trace.
    #[default]
    Trace,
    /// A span of a trace.
    Span,
    /// A document that a span found.
    Document,
    /// All traces of a session together.
    Session,
    /// Two traces with outputs for the same inputs.
    Pair,
}

impl Unit {
    /// The name in judge files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Span => "span",
            Self::Document => "document",
            Self::Session => "session",
            Self::Pair => "pair",
        }
    }

    /// Whether a prompt about this unit has the variables of prompts about `other`: a document is of a span.
    pub(super) fn has_those_of(self, other: Self) -> bool {
        self == other || matches!((self, other), (Self::Document, Self::Span))
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
