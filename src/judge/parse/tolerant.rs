//! JSON as models write it without a grammar.
//!
//! Beyond RFC 8259 it takes: raw control characters in strings, single and typographic quotes, unescaped quotes inside a
//! value, backslashes of formulas and paths, lone surrogates, unquoted keys and words, `True`/`False`/`None`, trailing commas,
//! comments, and numbers such as `+4`, `.5`, `4.`. `NaN` and `Infinity` become their names, which no numeric type accepts. Of
//! duplicate keys the last one counts, as in serde and Python; an object with two different verdicts says so.

use serde_json::{Map, Value};

use super::cursor::{Cursor, Why};
use super::keys::is_value_key;
use super::limits::MAX_NESTING;
use super::number::{is_non_finite, leading_number};
use super::string::{Place, closing_quotes};
use super::turn::is_format;

/// Why an object cannot be read, and where that became clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) why: Why,
    /// The byte at which it became clear.
    pub(super) at: usize,
    /// Whether one of the keys that the caller looks for was there.
    pub(super) has_key: bool,
}

/// An object that was read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    pub(super) object: Map<String, Value>,
    /// The byte after it.
    pub(super) end: usize,
    /// Whether it has one verdict key twice, with different values.
    pub(super) contradicts_itself: bool,
}

/// Reads the object that begins with the `{` at byte `start`.
pub(super) fn object(text: &str, start: usize, is_key: fn(&str) -> bool) -> Result<Found, Failure> {
    let cursor = Cursor { text, at: start + 1 };
    let mut reader = Reader { cursor, depth: 0, is_key, has_key: false, contradicts_itself: false };
    match reader.object() {
        Ok(object) => Ok(Found { object, end: reader.cursor.at, contradicts_itself: reader.contradicts_itself }),
        Err(why) => Err(Failure { why, at: reader.cursor.at, has_key: reader.has_key }),
    }
}

struct Reader<'t> {
    cursor: Cursor<'t>,
    depth: usize,
    is_key: fn(&str) -> bool,
    has_key: bool,
    contradicts_itself: bool,
}

impl<'t> Reader<'t> {
    /// Skips white space, invisible characters, and comments; then there must be something.
    fn next_token(&mut self) -> Result<char, Why> {
        loop {
            self.cursor.at = self.cursor.text.len()
                - self.cursor.rest().trim_start_matches(|c: char| c.is_whitespace() || is_format(c)).len();
            let comment_end = match self.cursor.rest().get(..2) {
                Some("//") => memchr::memchr(b'\n', self.cursor.rest().as_bytes()),
                Some("/*") => memchr::memmem::find(self.cursor.rest().as_bytes(), b"*/").map(|end| end + 2),
                _ => return self.cursor.peek().ok_or(Why::Truncated),
            };
            self.cursor.at += comment_end.ok_or(Why::Truncated)?;
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
                    this.cursor.bump()?;
                    return Ok(map);
                }
                let quoted_keys = this.cursor.peek().and_then(closing_quotes).is_some();
                let key = this.key()?;
                this.has_key |= (this.is_key)(&key);
                this.next_token()?;
                if !this.cursor.take(':') {
                    return Err(Why::Malformed);
                }
                let value = this.value(Place::Member { quoted_keys })?;
                let is_verdict = this.depth == 1 && is_value_key(&key);
                this.contradicts_itself |= is_verdict && map.get(&key).is_some_and(|earlier| *earlier != value);
                map.insert(key, value);
                this.next_token()?;
                if !this.cursor.take(',') && this.cursor.peek() != Some('}') {
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
                    this.cursor.bump()?;
                    return Ok(Value::Array(items));
                }
                items.push(this.value(Place::Item)?);
                this.next_token()?;
                if !this.cursor.take(',') && this.cursor.peek() != Some(']') {
                    return Err(Why::Malformed);
                }
            }
        })
    }

    fn key(&mut self) -> Result<String, Why> {
        match self.cursor.peek().and_then(closing_quotes) {
            Some(closing) => self.cursor.string(closing, Place::Key),
            None => self.word().map(str::to_owned),
        }
    }

    fn value(&mut self, place: Place) -> Result<Value, Why> {
        match self.next_token()? {
            '{' => {
                self.cursor.bump()?;
                self.object().map(Value::Object)
            }
            '[' => {
                self.cursor.bump()?;
                self.array()
            }
            c if c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | '\u{2212}') => self.number(),
            c => match closing_quotes(c) {
                Some(closing) => self.cursor.string(closing, place).map(Value::String),
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
        let rest = self.cursor.rest();
        let len = rest.find(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '-')).unwrap_or(rest.len());
        if len == 0 || rest.starts_with(|c: char| c.is_numeric() || c == '-') {
            return Err(Why::Malformed);
        }
        self.cursor.at += len;
        Ok(&rest[..len])
    }

    fn number(&mut self) -> Result<Value, Why> {
        let rest = self.cursor.rest();
        let (value, after) = match leading_number(rest) {
            Some((value, after)) => (value, after.strip_prefix('.').unwrap_or(after)),
            None => {
                let len = 1 + rest.bytes().skip(1).take_while(u8::is_ascii_alphabetic).count();
                let word = rest.get(..len).filter(|word| is_non_finite(word)).ok_or(Why::Malformed)?;
                (Value::from(word), &rest[len..])
            }
        };
        self.cursor.at = self.cursor.text.len() - after.len();
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Result<Value, Why> {
        object(text, 0, |_| false).map(|found| Value::Object(found.object)).map_err(|failure| failure.why)
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
            ("{\u{200b}\"a\":\u{feff} 1\u{200b}}", json!({"a": 1})),
            (r#"{"a": "x\_y \q \u00e9 \n \/"}"#, json!({"a": "x\\_y \\q é \n /"})),
            (r#"{"a": "\ud800 \ud83d\ude00 \uzz"}"#, json!({"a": "\u{fffd} 😀 \\uzz"})),
            (r#"{"a": 1, "a": 2}"#, json!({"a": 2})),
            (r#"{"a": "the "best" answer", "b": "x"}"#, json!({"a": "the \"best\" answer", "b": "x"})),
            (r#"{"a": "said "so" to "me", fine", "b": 1}"#, json!({"a": "said \"so\" to \"me\", fine", "b": 1})),
            (r#"{"a": "x, "b": 1", and so on", "b": 2}"#, json!({"a": "x, \"b\": 1\", and so on", "b": 2})),
            (r#"{"a": "x", so: y", "b": 2}"#, json!({"a": "x\", so: y", "b": 2})),
            (r#"{"a": ["x", "y"], "b": "z",}"#, json!({"a": ["x", "y"], "b": "z"})),
            (r#"{"a": "\(K\) \frac{1}{2} \beta \$5"}"#, json!({"a": "\\(K\\) \\frac{1}{2} \\beta \\$5"})),
            (r#"{"a": "C:\Users\nora\temp\n\nNext"}"#, json!({"a": "C:\\Users\\nora\\temp\n\nNext"})),
            (r#"{"a": "one\ntwo"}"#, json!({"a": "one\ntwo"})),
            ("{}", json!({})),
        ] {
            assert_eq!(read(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn cut_and_broken_json_are_different_failures() {
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

    #[test]
    fn two_different_verdicts_in_one_object_are_noticed() {
        let contradicts = |text: &str| object(text, 0, |_| false).unwrap().contradicts_itself;
        assert!(contradicts(r#"{"value": 4, "value": 2}"#));
        assert!(!contradicts(r#"{"value": 4, "value": 4}"#));
        assert!(!contradicts(r#"{"a": 4, "a": 2}"#));
        assert!(!contradicts(r#"{"a": {"value": 1}, "value": 4, "b": {"value": 2}}"#));
    }
}
