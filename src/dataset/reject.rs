//! A line that is no trace, with the reason.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// The most of a line that a reject keeps, in bytes.
const MAX_TEXT_BYTES: usize = 1_000_000;

/// A line of a dataset that could not be read as a trace.
///
/// `Serialize` is one line of the rejects file; `Display` is `traces.jsonl:17: reason`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reject {
    /// The file's path as it was given; `<stdin>` for the standard input.
    #[serde(serialize_with = "as_text")]
    pub file: Arc<str>,
    /// From 1.
    pub line: u64,
    /// Where the line begins in the file.
    pub byte_offset: u64,
    /// What is wrong and what to do about it, on one line.
    pub reason: String,
    /// The line itself; what is not UTF-8 is replaced by U+FFFD. At most 1 MB of it, then a mark.
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

/// The text of a line for a reject; `length` is the line's own, in bytes, of which `bytes` may be but the head.
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
        let reject =
            Reject { file: "a.jsonl".into(), line: 17, byte_offset: 90, reason: "no".into(), text: "{\u{1}".into() };
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
