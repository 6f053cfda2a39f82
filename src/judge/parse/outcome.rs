//! The outcome of reading an answer.

use std::fmt;

use crate::feedback::ErrorCode;
use crate::judge::verdict::{OutOfRange, Verdict};

/// How the verdict was found, the most certain way first (`parse` in a record's metadata).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ParseMethod {
    /// The whole answer was valid JSON.
    Strict,
    /// Valid JSON in a fence, after reasoning, or inside prose.
    Extracted,
    /// Nearly JSON, JSON in a wrapper, or nothing but the bare value.
    Tolerant,
    /// A phrase in text, such as `Rating: [[5]]`.
    Pattern,
}

impl ParseMethod {
    /// The name in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Extracted => "extracted",
            Self::Tolerant => "tolerant",
            Self::Pattern => "pattern",
        }
    }
}

impl fmt::Display for ParseMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A verdict that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// Of the declared type and in its range.
    pub verdict: Verdict,
    /// How sure the reading is.
    pub method: ParseMethod,
}

/// Why an answer has no verdict.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseFailure {
    /// No verdict, or more than one: what was wrong, and an excerpt of the answer; at most 300 characters.
    #[error("{0}")]
    Unparseable(String),
    /// A verdict that the judge's declaration does not allow.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
}

impl ParseFailure {
    /// The code in the record.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Unparseable(_) => ErrorCode::UnparseableVerdict,
            Self::OutOfRange(_) => ErrorCode::OutOfRange,
        }
    }
}

/// Why several verdicts are none.
pub(super) const DIFFERING: &str = "the answer has several verdicts, and they differ";

/// [`ParseFailure`] before the excerpt of the answer is added.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Miss {
    Unparseable(&'static str),
    OutOfRange(OutOfRange),
}

impl Miss {
    pub(super) fn in_answer(self, text: &str) -> ParseFailure {
        match self {
            Self::OutOfRange(error) => error.into(),
            Self::Unparseable(why) => ParseFailure::Unparseable(match excerpt(text) {
                excerpt if excerpt.is_empty() => why.to_owned(),
                excerpt => format!("{why}: {excerpt}"),
            }),
        }
    }
}

/// Characters kept from each end of an answer; twice this, the joint and the longest reason stay under 300.
const EXCERPT_END: usize = 100;

/// Both ends of a text on one line: the beginning shows what the judge was up to, the end where it stopped.
fn excerpt(text: &str) -> String {
    let text = text.trim();
    let one_line = |c: char| if c.is_control() { ' ' } else { c };
    if text.chars().nth(2 * EXCERPT_END).is_none() {
        return text.chars().map(one_line).collect();
    }
    let tail = text.char_indices().rev().nth(EXCERPT_END - 1).map_or(0, |(start, _)| start);
    text.chars().take(EXCERPT_END).chain(" ... ".chars()).chain(text[tail..].chars()).map(one_line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_answer_is_quoted_by_its_two_ends() {
        let ParseFailure::Unparseable(message) =
            Miss::Unparseable("no verdict").in_answer(&format!("begin\n{}end", "é".repeat(5000)))
        else {
            panic!("another failure");
        };
        assert!(message.starts_with("no verdict: begin é") && message.ends_with("éend"), "{message}");
        assert!(message.chars().count() <= 300);
        assert_eq!(Miss::Unparseable("empty").in_answer(" \n"), ParseFailure::Unparseable("empty".into()));
    }

    #[test]
    fn every_failure_has_its_code() {
        assert_eq!(ParseFailure::Unparseable(String::new()).code(), ErrorCode::UnparseableVerdict);
        let out = OutOfRange { allowed: String::new(), found: String::new() };
        assert_eq!(ParseFailure::from(out).code(), ErrorCode::OutOfRange);
    }
}
