//! Strings in JSON as models write it: where they end although a quote is not escaped, and what their backslashes mean.

use super::cursor::{Cursor, Why};

/// What is around a string, and so what can follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Key,
    /// In an object whose keys have quotes, or have none.
    Member {
        quoted_keys: bool,
    },
    Item,
}

impl Cursor<'_> {
    /// A quote closes the string only if what follows can come after it. In strict JSON it always can: so this repairs
    /// unescaped quotes and changes no valid text.
    pub(super) fn string(&mut self, closing: &[char], place: Place) -> Result<String, Why> {
        self.bump()?;
        let mut out = String::new();
        let mut escapes = Escapes::default();
        loop {
            let rest = self.rest();
            let plain = rest.find(|c| c == '\\' || closing.contains(&c)).unwrap_or(rest.len());
            out.push_str(&rest[..plain]);
            self.at += plain;
            match self.bump()? {
                '\\' => self.escape(&mut out, &mut escapes)?,
                _ if may_end(self.rest(), place) => return Ok(escapes.settled(out)),
                quote => out.push(quote),
            }
        }
    }

    /// After the backslash. An unknown escape keeps both characters, so that nothing is lost.
    fn escape(&mut self, out: &mut String, escapes: &mut Escapes) -> Result<(), Why> {
        let control = match self.bump()? {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'u' => {
                match self.hex4() {
                    Some(unit) => out.push(self.code_point(unit)),
                    None => {
                        escapes.has_unknown = true;
                        out.push_str("\\u");
                    }
                }
                return Ok(());
            }
            c @ ('"' | '\'' | '\\' | '/') => {
                out.push(c);
                return Ok(());
            }
            c => {
                escapes.has_unknown = true;
                out.extend(['\\', c]);
                return Ok(());
            }
        };
        if self.rest().starts_with(|c: char| c.is_lowercase()) {
            escapes.doubtful.push(out.len());
        }
        out.push(control);
        Ok(())
    }

    fn hex4(&mut self) -> Option<u32> {
        let digits = self.rest().get(..4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
        self.at += 4;
        u32::from_str_radix(digits, 16).ok()
    }

    /// A surrogate without its other half becomes U+FFFD.
    fn code_point(&mut self, unit: u32) -> char {
        if (0xD800..0xDC00).contains(&unit) && self.rest().starts_with("\\u") {
            let before = self.at;
            self.at += 2;
            if let Some(low) = self.hex4()
                && (0xDC00..0xE000).contains(&low)
            {
                let point = 0x1_0000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
                return char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER);
            }
            self.at = before;
        }
        char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)
    }
}

/// Escapes of one string that may not be escapes: `\n` in `C:\nora`.
#[derive(Default)]
struct Escapes {
    /// Whether a backslash was not a JSON escape: then the text does not escape its backslashes.
    has_unknown: bool,
    /// Where a control character precedes a lower-case letter, in order.
    doubtful: Vec<usize>,
}

impl Escapes {
    fn settled(self, text: String) -> String {
        if !self.has_unknown || self.doubtful.is_empty() {
            return text;
        }
        let mut out = String::with_capacity(text.len() + self.doubtful.len());
        let mut done = 0;
        for at in self.doubtful {
            out.push_str(&text[done..at]);
            out.push_str(match text.as_bytes()[at] {
                b'\n' => "\\n",
                b'\t' => "\\t",
                b'\r' => "\\r",
                8 => "\\b",
                _ => "\\f",
            });
            done = at + 1;
        }
        out + &text[done..]
    }
}

pub(super) fn closing_quotes(opening: char) -> Option<&'static [char]> {
    match opening {
        '"' => Some(&['"']),
        '\'' => Some(&['\'']),
        '\u{201c}' | '\u{201d}' | '\u{201e}' => Some(&['\u{201c}', '\u{201d}', '"']),
        '\u{2018}' | '\u{2019}' => Some(&['\u{2018}', '\u{2019}', '\'']),
        _ => None,
    }
}

/// No key is longer, in bytes.
const MAX_KEY: usize = 256;

/// Whether a string can have ended before `rest`.
fn may_end(rest: &str, place: Place) -> bool {
    let rest = rest.trim_start();
    let is_comment = |rest: &str| rest.starts_with("//") || rest.starts_with("/*");
    match (place, rest.strip_prefix(',')) {
        (Place::Key, _) => true,
        (Place::Member { quoted_keys }, Some(next)) => {
            let next = next.trim_start();
            next.is_empty() || next.starts_with('}') || is_comment(next) || begins_with_key(next, quoted_keys)
        }
        (Place::Item, Some(_)) => true,
        (_, None) => rest.is_empty() || rest.starts_with(['}', ']']) || is_comment(rest),
    }
}

/// Whether a key and its colon are at the start. A text that is cut off inside a key counts.
fn begins_with_key(text: &str, quoted: bool) -> bool {
    let end = (0..=MAX_KEY.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    let near = &text[..end];
    let after = match near.chars().next().and_then(closing_quotes) {
        Some(closing) => {
            near.char_indices().skip(1).find(|(_, c)| closing.contains(c)).map(|(at, c)| at + c.len_utf8())
        }
        None if quoted => return false,
        None => near.find(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '-')).filter(|at| *at > 0),
    };
    let is_cut = near.len() == text.len();
    after.map_or(is_cut, |after| {
        let rest = near[after..].trim_start();
        rest.starts_with(':') || rest.is_empty() && is_cut
    })
}
