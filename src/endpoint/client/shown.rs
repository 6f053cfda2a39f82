//! Requests and answers as `-vv` shows them: bounded, on one line, and without anything that a terminal would interpret.

/// Characters shown of the beginning of a body, and of its end, which has the trace and the parameters.
const MAX_CHARS: usize = 1000;

/// A text from outside on one line: control characters and characters that change the writing direction are escaped.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let after = text.char_indices().nth(MAX_CHARS).map_or(text.len(), |(at, _)| at);
    let before = text.char_indices().rev().nth(MAX_CHARS - 1).map_or(0, |(at, _)| at);
    if before <= after {
        return on_one_line(&text);
    }
    let left_out = before - after;
    format!("{} [{left_out} more bytes] {}", on_one_line(&text[..after]), on_one_line(&text[before..]))
}

fn on_one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            c if c.is_control() || is_invisible(c) => line.extend(c.escape_unicode()),
            c => line.push(c),
        }
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
    fn of_a_long_body_both_ends_are_shown() {
        let both = "a".repeat(MAX_CHARS) + &"b".repeat(MAX_CHARS);
        assert_eq!(shown(both.as_bytes()), both);
        let long = "a".repeat(MAX_CHARS) + "12345" + &"b".repeat(MAX_CHARS);
        let cut = format!("{} [5 more bytes] {}", "a".repeat(MAX_CHARS), "b".repeat(MAX_CHARS));
        assert_eq!(shown(long.as_bytes()), cut);
        let wide = "\u{1f600}".repeat(2 * MAX_CHARS + 1);
        assert!(shown(wide.as_bytes()).contains("\u{1f600} [4 more bytes] \u{1f600}"));
    }
}
