//! JSON as models write it when nobody holds their hand.
//!
//! Beyond RFC 8259 it takes: raw control characters in strings, single and typographic quotes, unescaped quotes inside a
//! value, unknown escapes, lone surrogates, unquoted keys and words, `True`/`False`/`None`, trailing commas, comments, and
//! numbers such as `+4`, `.5`, `4.`. `NaN` and `Infinity` become their names, which no numeric type accepts. Of duplicate keys
//! the last holds, as in serde and Python.

use serde_json::{Map, Value};

use super::number::{is_non_finite, leading_number};
use super::steps::MAX_NESTING;

/// Why there is no object, and how far the reading came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) why: Why,
    /// The byte at which it became clear.
    pub(super) at: usize,
    /// Whether one of the keys that the caller looks for was there.
    pub(super) has_key: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// The text ends inside the object.
    Truncated,
    /// No JSON, however lenient.
    Malformed,
    /// Nested deeper than [`MAX_NESTING`].
    TooDeep,
}

/// Reads the object that begins with the `{` at byte `start`; returns it and the byte after its end.
pub(super) fn object(
    text: &str,
    start: usize,
    is_key: fn(&str) -> bool,
) -> Result<(Map<String, Value>, usize), Failure> {
    let mut reader = Reader { text, at: start + 1, depth: 0, is_key, has_key: false };
    match reader.object() {
        Ok(map) => Ok((map, reader.at)),
        Err(why) => Err(Failure { why, at: reader.at, has_key: reader.has_key }),
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
    is_key: fn(&str) -> bool,
    has_key: bool,
}

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) -> Result<char, Why> {
        let c = self.peek().ok_or(Why::Truncated)?;
        self.at += c.len_utf8();
        Ok(c)
    }

    fn take(&mut self, expected: char) -> bool {
        let found = self.peek() == Some(expected);
        if found {
            self.at += expected.len_utf8();
        }
        found
    }

    /// Skips white space and comments; then there must be something.
    fn next_token(&mut self) -> Result<char, Why> {
        loop {
            self.at = self.text.len() - self.rest().trim_start().len();
            let comment_end = match self.rest().get(..2) {
                Some("//") => memchr::memchr(b'\n', self.rest().as_bytes()),
                Some("/*") => memchr::memmem::find(self.rest().as_bytes(), b"*/").map(|end| end + 2),
                _ => return self.peek().ok_or(Why::Truncated),
            };
            self.at += comment_end.ok_or(Why::Truncated)?;
        }
    }

    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Why>) -> Result<T, Why> {
        self.depth += 1;
        if self.depth > MAX_NESTING {
            return Err(Why::TooDeep);
        }
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    /// Behind the `{`.
    fn object(&mut self) -> Result<Map<String, Value>, Why> {
        self.nested(|this| {
            let mut map = Map::new();
            loop {
                if this.next_token()? == '}' {
                    this.bump()?;
                    return Ok(map);
                }
                let key = this.key()?;
                this.has_key |= (this.is_key)(&key);
                this.next_token()?;
                if !this.take(':') {
                    return Err(Why::Malformed);
                }
                let value = this.value()?;
                map.insert(key, value);
                this.next_token()?;
                if !this.take(',') && this.peek() != Some('}') {
                    return Err(Why::Malformed);
                }
            }
        })
    }

    /// Behind the `[`.
    fn array(&mut self) -> Result<Value, Why> {
        self.nested(|this| {
            let mut items = Vec::new();
            loop {
                if this.next_token()? == ']' {
                    this.bump()?;
                    return Ok(Value::Array(items));
                }
                items.push(this.value()?);
                this.next_token()?;
                if !this.take(',') && this.peek() != Some(']') {
                    return Err(Why::Malformed);
                }
            }
        })
    }

    fn key(&mut self) -> Result<String, Why> {
        match self.peek().and_then(closing_quotes) {
            Some(closing) => self.string(closing, |_| true),
            None => self.word().map(str::to_owned),
        }
    }

    fn value(&mut self) -> Result<Value, Why> {
        match self.next_token()? {
            '{' => {
                self.bump()?;
                self.object().map(Value::Object)
            }
            '[' => {
                self.bump()?;
                self.array()
            }
            c if c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | '\u{2212}') => self.number(),
            c => match closing_quotes(c) {
                Some(closing) => self.string(closing, value_may_end).map(Value::String),
                None => Ok(match self.word()? {
                    "true" | "True" | "TRUE" => Value::Bool(true),
                    "false" | "False" | "FALSE" => Value::Bool(false),
                    "null" | "None" => Value::Null,
                    word => Value::String(word.to_owned()),
                }),
            },
        }
    }

    fn word(&mut self) -> Result<&'t str, Why> {
        let rest = self.rest();
        let len = rest.find(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '-')).unwrap_or(rest.len());
        if len == 0 || rest.starts_with(|c: char| c.is_numeric() || c == '-') {
            return Err(Why::Malformed);
        }
        self.at += len;
        Ok(&rest[..len])
    }

    fn number(&mut self) -> Result<Value, Why> {
        let rest = self.rest();
        let (value, after) = match leading_number(rest) {
            Some((value, after)) => (value, after.strip_prefix('.').unwrap_or(after)),
            None => {
                let len = 1 + rest.bytes().skip(1).take_while(u8::is_ascii_alphabetic).count();
                let word = rest.get(..len).filter(|word| is_non_finite(word)).ok_or(Why::Malformed)?;
                (Value::from(word), &rest[len..])
            }
        };
        self.at = self.text.len() - after.len();
        Ok(value)
    }

    /// A quote closes the string only where `may_end` says so of what follows. In strict JSON it always does: so this repairs
    /// unescaped quotes and changes no valid text.
    fn string(&mut self, closing: &[char], may_end: fn(&str) -> bool) -> Result<String, Why> {
        self.bump()?;
        let mut out = String::new();
        loop {
            let rest = self.rest();
            let plain = rest.find(|c| c == '\\' || closing.contains(&c)).unwrap_or(rest.len());
            out.push_str(&rest[..plain]);
            self.at += plain;
            match self.bump()? {
                '\\' => self.escape(&mut out)?,
                _ if may_end(self.rest()) => return Ok(out),
                quote => out.push(quote),
            }
        }
    }

    /// Behind the backslash. An unknown escape keeps both characters, so that nothing is lost.
    fn escape(&mut self, out: &mut String) -> Result<(), Why> {
        match self.bump()? {
            'n' => out.push('\n'),
            't' => out.push('\t'),
            'r' => out.push('\r'),
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'u' => match self.hex4() {
                Some(unit) => out.push(self.code_point(unit)),
                None => out.push_str("\\u"),
            },
            c @ ('"' | '\'' | '\\' | '/') => out.push(c),
            c => out.extend(['\\', c]),
        }
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

fn closing_quotes(opening: char) -> Option<&'static [char]> {
    match opening {
        '"' => Some(&['"']),
        '\'' => Some(&['\'']),
        '\u{201c}' | '\u{201d}' | '\u{201e}' => Some(&['\u{201c}', '\u{201d}', '"']),
        '\u{2018}' | '\u{2019}' => Some(&['\u{2018}', '\u{2019}', '\'']),
        _ => None,
    }
}

/// Whether a value can have ended before `rest`.
fn value_may_end(rest: &str) -> bool {
    let rest = rest.trim_start();
    rest.is_empty() || rest.starts_with([',', '}', ']']) || rest.starts_with("//") || rest.starts_with("/*")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Result<Value, Why> {
        object(text, 0, |_| false).map(|(map, _)| Value::Object(map)).map_err(|failure| failure.why)
    }

    #[test]
    fn json_as_models_write_it_is_read() {
        for (text, expected) in [
            ("{\"a\": \"line\none\ttab\u{1}\"}", json!({"a": "line\none\ttab\u{1}"})),
            (r#"{"a": 1, "b": [1, 2,],}"#, json!({"a": 1, "b": [1, 2]})),
            (r"{'a': 'it's fine', 'b': ''}", json!({"a": "it's fine", "b": ""})),
            (r#"{"a": True, "b": False, "c": None}"#, json!({"a": true, "b": false, "c": null})),
            (r#"{a: 1, b_2: "x", c: good}"#, json!({"a": 1, "b_2": "x", "c": "good"})),
            ("{\"a\": 1, // why\n /* and */ \"b\": \"x\" // so\n}", json!({"a": 1, "b": "x"})),
            (r#"{"a": NaN, "b": -Infinity, "c": 1e999}"#, json!({"a": "NaN", "b": "-Infinity", "c": "1e999"})),
            (r#"{"a": +4, "b": .5, "c": 4., "d": -1.5e1}"#, json!({"a": 4, "b": 0.5, "c": 4, "d": -15.0})),
            ("{\u{201c}a\u{201d}: \u{201c}x\u{201d}, \u{2018}b\u{2019}: 2}", json!({"a": "x", "b": 2})),
            (r#"{"a": "x\_y \q \u00e9 \n \/"}"#, json!({"a": "x\\_y \\q é \n /"})),
            (r#"{"a": "\ud800 \ud83d\ude00 \uzz"}"#, json!({"a": "\u{fffd} 😀 \\uzz"})),
            (r#"{"a": 1, "a": 2}"#, json!({"a": 2})),
            (r#"{"a": "the "best" answer", "b": "x"}"#, json!({"a": "the \"best\" answer", "b": "x"})),
            ("{}", json!({})),
        ] {
            assert_eq!(read(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_cut_is_told_from_what_is_broken() {
        for text in
            [r#"{"a"#, r#"{"a":"#, r#"{"a": "x"#, r#"{"a": 1"#, r#"{"a": 1,"#, r#"{"a": [1"#, "{\"a\\", "{ // x"]
        {
            assert_eq!(read(text), Err(Why::Truncated), "{text}");
        }
        for text in
            ["{{", r#"{"a" 1}"#, r#"{"a": 1 "b": 2}"#, r#"{"a", "b"}"#, "{to: be or not}", r#"{"a": <1>}"#, "{1: 2}"]
        {
            assert_eq!(read(text), Err(Why::Malformed), "{text}");
        }
        assert_eq!(read(&r#"{"a":"#.repeat(1000)), Err(Why::TooDeep));
        let nested = |levels: usize| format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
        assert!(read(&nested(MAX_NESTING)).is_ok());
        assert_eq!(read(&nested(MAX_NESTING + 1)), Err(Why::TooDeep));
    }

    #[test]
    fn a_failure_says_whether_a_known_key_was_there() {
        let failure = object(r#"x {"b": {"a": 1 2}}"#, 2, |key| key == "a").unwrap_err();
        assert_eq!(failure, Failure { why: Why::Malformed, at: 16, has_key: true });
        assert!(!object(r#"{"b": 1 2}"#, 0, |key| key == "a").unwrap_err().has_key);
    }
}
