//! JSON inside a script element.

use std::io::{self, Write};

/// JSON inside a script element, as a text.
#[cfg(feature = "cli")]
pub(crate) fn escaped(json: &str) -> String {
    let mut out = Vec::with_capacity(json.len());
    // Writing to memory cannot fail, and UTF-8 stays UTF-8.
    let _ = block(json, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// JSON inside a script element: nothing in it is a tag or a comment, and line ends of scripts are escaped.
pub(super) fn block(json: &str, out: &mut dyn Write) -> io::Result<()> {
    let mut from = 0;
    for (at, found) in json.match_indices(['<', '>', '&', '\u{2028}', '\u{2029}']) {
        out.write_all(&json.as_bytes()[from..at])?;
        let c = found.chars().next().unwrap_or_default();
        write!(out, "\\u{:04x}", u32::from(c))?;
        from = at + found.len();
    }
    out.write_all(&json.as_bytes()[from..])
}
