//! Where in a judge file a part of a template is.

use std::fmt;
use std::ops::Range;

use super::template_code;

/// A place in a judge file, and the code there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The code around it.
    code: String,
    /// The relevant part of the code, in characters.
    meant: Range<usize>,
}

impl Place {
    /// The place of `meant` in a template, which is the value at `span` in the text of a file.
    pub(super) fn find(file: &str, span: Range<usize>, template: &str, meant: &Range<usize>) -> Self {
        let at = in_file(file, span, meant.start);
        // An error's place may lie inside a character.
        let before = file.get(..at).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let code = template_code::around(template, meant.start);
        let chars = |text: &str| text.chars().count();
        let part = |range: Range<usize>| template.get(range).unwrap_or_default();
        let start = chars(part(code.start..meant.start.clamp(code.start, code.end)));
        let len = chars(part(meant.start.min(code.end)..meant.end.clamp(meant.start.min(code.end), code.end)));
        Self {
            line: before.matches('\n').count() + 1,
            column: chars(&before[line_start..]) + 1,
            code: part(code).to_owned(),
            meant: start..start + len.max(1),
        }
    }
}

impl fmt::Display for Place {
    /// The code, with a mark under what is meant.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.line.to_string();
        let margin = " ".repeat(line.len());
        writeln!(f, "{margin} |")?;
        writeln!(f, "{line} | {}", self.code)?;
        write!(f, "{margin} | {}{}", " ".repeat(self.meant.start), "^".repeat(self.meant.len()))
    }
}

/// The byte of a file that a byte of the TOML string at `span` comes from.
fn in_file(file: &str, span: Range<usize>, byte: usize) -> usize {
    let raw = &file[span.clone()];
    let is_literal = raw.starts_with('\'');
    let quotes = if raw.starts_with("'''") || raw.starts_with("\"\"\"") { 3 } else { 1 };
    let newline = if quotes == 3 { ["\r\n", "\n"].iter().find(|end| raw[quotes..].starts_with(**end)) } else { None };
    let mut at = quotes + newline.map_or(0, |newline| newline.len());
    let mut decoded = 0;
    while decoded < byte && at < raw.len() {
        let rest = &raw[at..];
        let (from, to) = if is_literal { plain(rest) } else { escape(rest).unwrap_or_else(|| plain(rest)) };
        at += from;
        decoded += to;
    }
    span.start + at.min(raw.len())
}

/// The lengths of one character as written and as read.
fn plain(rest: &str) -> (usize, usize) {
    let len = rest.chars().next().map_or(1, char::len_utf8);
    (len, len)
}

/// The lengths of an escape.
fn escape(rest: &str) -> Option<(usize, usize)> {
    let escaped = rest.strip_prefix('\\')?;
    let digits = match escaped.chars().next()? {
        'x' => 2,
        'u' => 4,
        'U' => 8,
        // A line that continues in the next one.
        c if c.is_whitespace() => return Some((rest.len() - escaped.trim_start().len(), 0)),
        _ => return Some((2, 1)),
    };
    let code = u32::from_str_radix(escaped.get(1..1 + digits)?, 16).ok()?;
    Some((2 + digits, char::from_u32(code)?.len_utf8()))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use toml::Spanned;

    use super::*;

    #[derive(Deserialize)]
    struct File {
        user: Spanned<String>,
    }

    fn place(file: &str, meant: &str) -> Place {
        let parsed: File = toml::from_str(file).unwrap();
        let template = parsed.user.get_ref();
        let start = template.find(meant).unwrap();
        Place::find(file, parsed.user.span(), template, &(start..start + meant.len()))
    }

    #[test]
    fn a_place_is_found_in_every_form_of_a_string() {
        for (file, line, column) in [
            ("user = \"{{ a | fense }}\"", 1, 16),
            ("user = 'x {{ a | fense }}'", 1, 18),
            ("\n\nuser = \"\"\"\nx\n{{ a | fense }}\"\"\"", 5, 8),
            ("user = '''\n{{ a | fense }}'''", 2, 8),
            ("user = \"\"\"{{ a | fense }}\"\"\"", 1, 18),
            ("user = \"\\\"\\n\\u00e9 {{ a | fense }}\"", 1, 27),
            ("user = \"\"\"\\\n   {{ a | fense }}\"\"\"", 2, 11),
            ("user = \"é {{ a | fense }}\"", 1, 18),
        ] {
            let place = place(file, "fense");
            assert_eq!((place.line, place.column), (line, column), "{file}");
        }
    }

    #[test]
    fn the_code_is_shown_with_a_mark() {
        let shown = place("x = 1\nuser = \"secret {{ a | fense }} more\"", "fense").to_string();
        assert_eq!(shown, "  |\n2 | {{ a | fense }}\n  |        ^^^^^");
    }
}
