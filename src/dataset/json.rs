//! JSON as Python reads it, which is a little more than JSON.
//!
//! Valid JSON takes the fast path. Only if that fails, a second reader decides: it also accepts `NaN`, `Infinity` and `-Infinity`, numbers
//! beyond the range of a double, and halves of surrogate pairs, and it explains errors in plain words. Numbers that JSON lacks become
//! strings, half a pair becomes U+FFFD, and what is nested too deep is kept as text.
//!
//! Source: Python's `json` module, "Standard Compliance and Interoperability".

use std::fmt;

use serde_json::{Map, Number, Value};

use crate::dataset::depth::MAX_DEPTH;

/// Why a text is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct JsonError {
    /// The byte where it goes wrong, from 0.
    pub at: usize,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    End,
    Expected(&'static str),
    Invalid(&'static str),
    Trailing,
}

impl JsonError {
    /// Whether the text ends too early, and could be the beginning of JSON.
    pub(crate) fn is_end(&self) -> bool {
        self.what == What::End
    }
}

/// Without the position, which the caller knows better.
impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.what {
            What::End => f.write_str("unexpected end"),
            What::Expected(what) => write!(f, "expected {what}"),
            What::Invalid(what) => write!(f, "invalid {what}"),
            What::Trailing => f.write_str("unexpected text after the value"),
        }
    }
}

/// Reads one value.
///
/// # Errors
/// Where the text stops being JSON, even to Python.
pub(crate) fn from_str(text: &str) -> Result<Value, JsonError> {
    serde_json::from_str(text).or_else(|_| lenient(text))
}

/// The value of a string that is JSON text; any other string is returned as it is.
pub(crate) fn from_text(value: Value) -> Value {
    let Value::String(text) = value else { return value };
    let read = serde_json::from_str(&text);
    // Only lists and objects can contain what only Python reads.
    let again = |_| if text.trim_start().starts_with(['{', '[']) { lenient(&text).ok() } else { None };
    read.map(Some).unwrap_or_else(again).unwrap_or(Value::String(text))
}

fn lenient(text: &str) -> Result<Value, JsonError> {
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0)?;
    match reader.peek() {
        None => Ok(value),
        Some(_) => Err(reader.error(What::Trailing)),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

type Read<T> = Result<T, JsonError>;

impl<'a> Reader<'a> {
    fn error(&self, what: What) -> JsonError {
        JsonError { at: self.at, what }
    }

    fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// The next byte after white space.
    fn peek(&mut self) -> Option<u8> {
        let white = self.bytes().iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
        self.at += white;
        self.bytes().first().copied()
    }

    fn expect(&mut self, wanted: u8, name: &'static str) -> Read<()> {
        match self.peek() {
            Some(byte) if byte == wanted => {
                self.at += 1;
                Ok(())
            }
            Some(_) => Err(self.error(What::Expected(name))),
            None => Err(self.error(What::End)),
        }
    }

    fn value(&mut self, depth: usize) -> Read<Value> {
        match self.peek() {
            Some(b'{' | b'[') if depth == MAX_DEPTH => self.text_of_nested().map(Value::String),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.list(depth),
            Some(b'"') => self.string().map(Value::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => self.word(),
            None => Err(self.error(What::End)),
        }
    }

    fn object(&mut self, depth: usize) -> Read<Value> {
        let mut fields = Map::new();
        self.at += 1;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(fields));
        }
        loop {
            match self.peek() {
                Some(b'"') => {}
                Some(_) => return Err(self.error(What::Expected("a key in double quotes"))),
                None => return Err(self.error(What::End)),
            }
            let key = self.string()?;
            self.expect(b':', "`:`")?;
            fields.insert(key, self.value(depth + 1)?);
            if self.ends(b'}', "`,` or `}`")? {
                return Ok(Value::Object(fields));
            }
        }
    }

    fn list(&mut self, depth: usize) -> Read<Value> {
        let mut items = Vec::new();
        self.at += 1;
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.ends(b']', "`,` or `]`")? {
                return Ok(Value::Array(items));
            }
        }
    }

    /// Consumes a comma or the closing bracket; returns whether it was the bracket.
    fn ends(&mut self, close: u8, wanted: &'static str) -> Read<bool> {
        let byte = self.peek().ok_or_else(|| self.error(What::End))?;
        if byte != b',' && byte != close {
            return Err(self.error(What::Expected(wanted)));
        }
        self.at += 1;
        Ok(byte == close)
    }

    /// A list or an object as it is.
    fn text_of_nested(&mut self) -> Read<String> {
        let start = self.at;
        let mut open = Vec::new();
        loop {
            match self.peek().ok_or_else(|| self.error(What::End))? {
                byte @ (b'{' | b'[') => open.push(byte + 2),
                b'"' => {
                    self.string()?;
                    continue;
                }
                byte @ (b'}' | b']') if open.pop() != Some(byte) => {
                    return Err(self.error(What::Expected("the other closing bracket")));
                }
                _ => {}
            }
            self.at += 1;
            if open.is_empty() {
                return Ok(self.text.get(start..self.at).unwrap_or_default().to_owned());
            }
        }
    }

    fn string(&mut self) -> Read<String> {
        let mut string = String::new();
        self.at += 1;
        loop {
            let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | ..0x20);
            let length = self.bytes().iter().position(is_special);
            let run = self.text.get(self.at..self.at + length.unwrap_or(self.bytes().len()));
            string.push_str(run.unwrap_or_default());
            self.at += length.unwrap_or(self.bytes().len());
            match self.bytes().first() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(string);
                }
                Some(b'\\') => string.push(self.escaped()?),
                Some(_) => return Err(self.error(What::Invalid("control character in a string"))),
                None => return Err(self.error(What::End)),
            }
        }
    }

    fn escaped(&mut self) -> Read<char> {
        let byte = self.bytes().get(1).copied().ok_or_else(|| self.error(What::End))?;
        let char = match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.code_point(),
            _ => return Err(self.error(What::Invalid("escape in a string"))),
        };
        self.at += 2;
        Ok(char)
    }

    fn code_point(&mut self) -> Read<char> {
        let unit = self.unit(0).ok_or_else(|| self.error(What::Invalid("escape in a string")))?;
        let low = self.unit(6).filter(|low| (0xd800..0xdc00).contains(&unit) && (0xdc00..0xe000).contains(low));
        self.at += if low.is_some() { 12 } else { 6 };
        let code = match low {
            Some(low) => 0x1_0000 + ((u32::from(unit) - 0xd800) << 10) + (u32::from(low) - 0xdc00),
            None => unit.into(),
        };
        Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    /// The four hex digits of `\u1234` at this distance.
    fn unit(&self, distance: usize) -> Option<u16> {
        let digits = self.bytes().get(distance..distance + 6)?.strip_prefix(b"\\u")?;
        let digits =
            std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        u16::from_str_radix(digits, 16).ok()
    }

    fn number(&mut self) -> Read<Value> {
        if self.bytes().starts_with(b"-I") {
            return self.word();
        }
        let is_part = |byte: &&u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let length = self.bytes().iter().take_while(is_part).count();
        let text = self.text.get(self.at..self.at + length).unwrap_or_default();
        if !is_number(text) {
            return Err(self.error(What::Invalid("number")));
        }
        self.at += length;
        // Out of range: as it is written.
        Ok(serde_json::from_str::<Number>(text).map_or_else(|_| Value::String(text.to_owned()), Value::Number))
    }

    fn word(&mut self) -> Read<Value> {
        let known = [
            ("true", Value::Bool(true)),
            ("false", Value::Bool(false)),
            ("null", Value::Null),
            ("NaN", "NaN".into()),
            ("Infinity", "Infinity".into()),
            ("-Infinity", "-Infinity".into()),
        ];
        let length = self.bytes().iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'-').count();
        let word = self.text.get(self.at..self.at + length).unwrap_or_default();
        if length > 0
            && self.bytes().len() == length
            && known.iter().any(|(name, _)| name.starts_with(word) && *name != word)
        {
            return Err(self.error(What::End));
        }
        let value = known.into_iter().find(|(name, _)| *name == word).map(|(_, value)| value);
        let value = value.ok_or_else(|| self.error(What::Expected("a value")))?;
        self.at += length;
        Ok(value)
    }
}

/// Whether a text is a number by JSON's grammar.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = text.split_once(['e', 'E']).map_or((text, None), |(m, e)| (m, Some(e)));
    let (whole, fraction) = mantissa.split_once('.').map_or((mantissa, None), |(w, f)| (w, Some(f)));
    let exponent = exponent.map(|exponent| exponent.strip_prefix(['+', '-']).unwrap_or(exponent));
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(digits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_python_writes_is_read() {
        for (text, value) in [
            ("{\"a\": NaN, \"b\": [Infinity, -Infinity, -1e400, 1.5, -0]}", {
                json!({"a": "NaN", "b": ["Infinity", "-Infinity", "-1e400", 1.5, -0.0]})
            }),
            (r#"["half \ud83d emoji", "\udc00", "\ud83d\ud83d\ude00", "\ud83d\n"]"#, {
                json!(["half \u{fffd} emoji", "\u{fffd}", "\u{fffd}😀", "\u{fffd}\n"])
            }),
            (r#"[NaN, "\"\\\/\b\f\n\r\té", {}, [], {"k": true, "k": null}]"#, {
                json!(["NaN", "\"\\/\u{8}\u{c}\n\r\té", {}, [], {"k": null}])
            }),
        ] {
            assert_eq!(from_str(text), Ok(value), "{text}");
        }
    }

    #[test]
    fn what_nests_too_deep_is_its_own_text() {
        let deep = |levels: usize, inner: &str| format!("{}{inner}{}", "[".repeat(levels), "]".repeat(levels));
        let mut value = from_str(&deep(1000, " {\"a\": \"]\"} ")).unwrap();
        let mut levels = 0;
        while let Value::Array(mut items) = value {
            value = items.pop().unwrap();
            levels += 1;
        }
        assert_eq!((levels, value), (MAX_DEPTH, json!(deep(1000 - MAX_DEPTH, " {\"a\": \"]\"} "))));
        assert!(from_str(&"[".repeat(1_000_000)).unwrap_err().is_end());
        assert!(!from_str(&deep(200, "{]")).unwrap_err().is_end());
    }

    #[test]
    fn what_is_wrong_is_said_in_plain_words() {
        for (text, at, words) in [
            ("{\"a\": tru}", 6, "expected a value"),
            ("{\"a\" 1}", 5, "expected `:`"),
            ("{\"a\": 1 \"b\"}", 8, "expected `,` or `}`"),
            ("[1 2]", 3, "expected `,` or `]`"),
            ("{a: 1}", 1, "expected a key in double quotes"),
            ("{'a': 1}", 1, "expected a key in double quotes"),
            ("{} {}", 3, "unexpected text after the value"),
            ("[01]", 1, "invalid number"),
            ("[\"\\q\"]", 2, "invalid escape in a string"),
            ("[\"\\ud8\"]", 2, "invalid escape in a string"),
            ("[\"\t\"]", 2, "invalid control character in a string"),
            ("{\"a\": \"b", 8, "unexpected end"),
            ("[nul", 1, "unexpected end"),
        ] {
            let error = from_str(text).unwrap_err();
            assert_eq!((error.at, error.to_string().as_str()), (at, words), "{text}");
        }
        assert!(from_str("[1,]").is_err() && from_str("").unwrap_err().is_end());
    }

    #[test]
    fn a_text_that_holds_no_value_stays_itself() {
        for (text, value) in [
            ("{\"a\": NaN}", json!({"a": "NaN"})),
            ("NaN", json!("NaN")),
            ("{cut off", json!("{cut off")),
            ("5", json!(5)),
            ("hello", json!("hello")),
        ] {
            assert_eq!(from_text(text.into()), value);
        }
    }

    proptest! {
        #[test]
        fn valid_json_means_the_same_to_both_readers(text in r#"([\[\]{},: ]|"[a\\"]{0,3}"|-?[0-9.]{1,4}|true|null|\\u[dD][89c]00){0,12}"#) {
            if let Ok(value) = serde_json::from_str::<Value>(&text) {
                prop_assert_eq!(lenient(&text), Ok(value));
            }
        }

        #[test]
        fn no_text_is_read_past_its_end(text in "[\\[\\]{}\",:\\\\u0-9dNaI\u{e9} -]{0,40}") {
            if let Err(error) = lenient(&text) {
                prop_assert!(error.at <= text.len());
            }
        }
    }
}
