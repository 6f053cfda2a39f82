//! Requests and answers as `-vv` shows them: bounded, on one line, and nothing in them that a terminal would obey.

use std::fmt::Write as _;

/// Characters that are shown of a body.
const MAX_CHARS: usize = 2000;

/// A text from outside on one line: control characters and what turns the direction of writing as escapes.
pub(crate) fn shown(bytes: &[u8]) -> String {
    // Four bytes a character at most; a cut character shows as a replacement.
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * MAX_CHARS)]);
    let mut line = String::new();
    let mut length = 0;
    for c in text.chars().take(MAX_CHARS) {
        length += c.len_utf8();
        match c {
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            c if c.is_control() || is_invisible(c) => line.extend(c.escape_unicode()),
            c => line.push(c),
        }
    }
    if length < bytes.len() {
        // Writing to a string cannot fail.
        let _ = write!(line, "... ({} bytes in all)", bytes.len());
    }
    line
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_obeys_nothing_that_is_shown() {
        assert_eq!(
            shown("{\"a\":\n\t\"é\u{1b}[2J\u{202e}\u{9b}\u{200b}\r\"}".as_bytes()),
            "{\"a\":\\n\\t\"é\\u{1b}[2J\\u{202e}\\u{9b}\\u{200b}\\r\"}"
        );
        assert_eq!(shown(b"\xff\0"), "\u{fffd}\\u{0}");
    }

    #[test]
    fn what_is_long_is_cut_and_says_so() {
        assert_eq!(shown(&[b'x'; MAX_CHARS]), "x".repeat(MAX_CHARS));
        assert_eq!(shown(&[b'x'; MAX_CHARS + 1]), format!("{}... (2001 bytes in all)", "x".repeat(MAX_CHARS)));
        let wide = "\u{1f600}".repeat(MAX_CHARS);
        assert_eq!(shown(wide.as_bytes()), wide);
        assert!(shown(format!("{wide}x").as_bytes()).ends_with("\u{1f600}... (8001 bytes in all)"));
    }
}
