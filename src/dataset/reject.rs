//! A record that cannot be read as a trace, with the reason.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::dataset::mapping::Mapping;

/// How much of a line a reject keeps at most, in bytes.
const MAX_TEXT_BYTES: usize = 1_000_000;

/// Why a record is rejected, and what the user could do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub reason: String,
    pub hint: Option<Hint>,
}

impl From<String> for Problem {
    fn from(reason: String) -> Self {
        Self { reason, hint: None }
    }
}

/// What could make a trace of a record. It is the same for all records of a kind, and shown once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Hint {
    /// Say which field is which; empty if the names give no clue.
    Map(Vec<Mapping>),
    /// Say that the file is a table.
    Table,
    /// Write each record on its own line.
    OneLineEach {
        /// A filter of `jq` that does it.
        filter: &'static str,
    },
    /// Convert the file to UTF-8, from this encoding if it is known.
    Encoding(Option<&'static str>),
    /// Allow longer records.
    RaiseLimit,
}

/// A record of a dataset that cannot be read as a trace.
///
/// `Serialize` is one line of the rejects file; `Display` is `traces.jsonl:17: reason`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reject {
    /// The file's path as given; `<stdin>` for standard input.
    #[serde(serialize_with = "as_text")]
    pub file: Arc<str>,
    /// From 1.
    pub line: u64,
    /// Where the line begins in the file.
    pub byte_offset: u64,
    /// What is wrong, on one line.
    pub reason: String,
    /// What to do about it.
    #[serde(skip)]
    pub hint: Option<Hint>,
    /// The record itself; what is not UTF-8 is replaced by U+FFFD. At most 1 MB of it, then a mark.
    pub text: String,
}

fn as_text<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.reason)
    }
}

/// The text of a record for a reject; `length` is its full length; `bytes` may be only its beginning.
pub(crate) fn shown(bytes: &[u8], length: u64) -> String {
    let kept = bytes.get(..MAX_TEXT_BYTES).unwrap_or(bytes);
    let mut text = String::from_utf8_lossy(kept).into_owned();
    if length > kept.len() as u64 {
        text.push_str(&format!(" [cut: the first {} of {length} bytes]", kept.len()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reject_shows_where_and_why() {
        let (reason, text) = ("no".to_owned(), "{\u{1}".to_owned());
        let reject = Reject { file: "a.jsonl".into(), line: 17, byte_offset: 90, reason, hint: None, text };
        assert_eq!(reject.to_string(), "a.jsonl:17: no");
        assert_eq!(
            serde_json::to_string(&reject).unwrap(),
            r#"{"file":"a.jsonl","line":17,"byte_offset":90,"reason":"no","text":"{\u0001"}"#
        );
    }

    #[test]
    fn a_long_text_is_cut_with_a_mark() {
        assert_eq!(shown(b"ab\xff", 3), "ab\u{fffd}");
        assert_eq!(shown(b"ab", 9), "ab [cut: the first 2 of 9 bytes]");
        let long = vec![b'x'; MAX_TEXT_BYTES + 1];
        assert!(shown(&long, long.len() as u64).ends_with("x [cut: the first 1000000 of 1000001 bytes]"));
    }
}
