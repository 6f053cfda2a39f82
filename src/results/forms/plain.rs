//! Text from outside, for places that would interpret some of it: terminals, tables, XML.

use serde_json::Value;
use unicode_width::UnicodeWidthChar;

/// On one line: characters that are invisible, or change the writing direction, become a space or are removed.
pub fn one_line(text: &str) -> String {
    let visible = text.chars().filter(|c| !turns_or_hides(*c));
    visible.map(|c| if is_control(c) { ' ' } else { c }).collect::<String>().trim().to_owned()
}

/// On several lines: what a terminal would interpret is shown as `\u{1b}`.
pub fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if (is_control(c) && !matches!(c, '\n' | '\t')) || turns_or_hides(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Whether a terminal may interpret it, or break the line at it.
fn is_control(c: char) -> bool {
    // The last two are in no XML 1.0 document.
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{fffe}' | '\u{ffff}')
}

/// Whether a character changes the writing direction, so that a text reads differently, or is invisible.
fn turns_or_hides(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// Lines that no CI server takes for a command (GitHub's `::error::`, Azure's `##[error]`), whatever they contain.
pub fn guarded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let begins = line.trim_start();
        if begins.starts_with("::") || begins.starts_with("##") {
            out.push_str(&line[..line.len() - begins.len()]);
            out.push('\\');
            out.push_str(begins);
        } else {
            out.push_str(line);
        }
    }
    out
}

/// Its width in terminal columns.
pub fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// Cut to a number of columns, with `…` where something is missing.
pub fn clip(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 0;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used >= columns {
            break;
        }
        kept.push(c);
    }
    kept.truncate(kept.trim_end().len());
    kept + "…"
}

/// Padded with spaces to a number of columns.
pub fn pad(text: &str, columns: usize) -> String {
    let missing = columns.saturating_sub(width(text));
    format!("{text}{}", " ".repeat(missing))
}

/// Lines of at most a number of columns, broken between words where that is possible.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        if !line.is_empty() && width(&line) + 1 + width(word) > columns {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        for c in word.chars() {
            if !line.is_empty() && width(&line) + c.width().unwrap_or(0) > columns {
                lines.push(std::mem::take(&mut line));
            }
            line.push(c);
        }
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

/// A verdict on one line: a text as it is, everything else as JSON.
pub(super) fn verdict(value: &Value) -> String {
    match value {
        Value::String(text) => one_line(text),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_obeys_nothing_from_outside() {
        let text = " a\u{1b}[2J\tb\r\nc\u{9b}\u{202e}d\u{2066}é ";
        assert_eq!(one_line(text), "a [2J b  c dé");
        assert_eq!(escaped(text), " a\\u{1b}[2J\tb\\r\nc\\u{9b}\\u{202e}d\\u{2066}é ");
        assert_eq!(one_line("a\u{2028}b\u{e0041}c"), "a bc");
    }

    #[test]
    fn no_line_is_a_command_to_a_ci_server() {
        assert_eq!(guarded("a::b\n  ::error::x\n##[error]\n"), "a::b\n  \\::error::x\n\\##[error]\n");
    }

    #[test]
    fn columns_are_those_of_a_terminal() {
        assert_eq!((width("東京"), width("e\u{301}")), (4, 1));
        assert_eq!([clip("東京の本社", 6), clip("abc", 3), clip("abcd efg", 6)], ["東京…", "abc", "abcd…"]);
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrap("", 3), [""]);
    }
}
