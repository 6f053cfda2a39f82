//! Values as Python shows them: what pandas writes into the cells of a CSV file for dicts and lists.
//!
//! Objects of other classes appear in it as calls: a NumPy array or number is what it holds, one with named fields is an
//! object of these, any other is its own text. Source: "Literals" in the Python Language Reference; `ast.literal_eval`.

use serde_json::{Map, Number, Value};

/// Deeper nesting is refused.
const MAX_DEPTH: u32 = 128;

/// Reads a dict, list, tuple, set, string, number, `None`, `True` or `False`, and calls; tuples and sets become lists.
///
/// # Errors
/// The byte where it goes wrong, from 0.
pub(crate) fn literal(text: &str) -> Result<Value, usize> {
    let mut reader = Reader { text, at: 0, depth: 0 };
    let value = reader.value();
    match value {
        Some(value) if reader.peek().is_none() => Ok(value),
        _ => Err(reader.at),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The next character that is not a space.
    fn peek(&mut self) -> Option<char> {
        self.at += self.rest().len() - self.rest().trim_start().len();
        self.rest().chars().next()
    }

    fn take(&mut self, wanted: char) -> Option<()> {
        (self.peek()? == wanted).then(|| self.at += wanted.len_utf8())
    }

    fn next(&mut self) -> Option<char> {
        let char = self.rest().chars().next()?;
        self.at += char.len_utf8();
        Some(char)
    }

    fn value(&mut self) -> Option<Value> {
        match self.peek()? {
            '{' => self.nest(Self::dict),
            '[' => self.nest(|reader| reader.items('[', ']')).map(Value::Array),
            '(' => self.nest(|reader| reader.items('(', ')')).map(Value::Array),
            '\'' | '"' => self.string().map(Value::String),
            _ => self.word(),
        }
    }

    fn nest<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        self.depth += 1;
        let value = if self.depth > MAX_DEPTH { None } else { read(self) };
        self.depth -= 1;
        value
    }

    /// A dict, or a set.
    fn dict(&mut self) -> Option<Value> {
        let (mut fields, mut items) = (Map::new(), Vec::new());
        self.take('{')?;
        while self.peek()? != '}' {
            let key = self.value()?;
            if self.peek()? == ':' {
                self.take(':')?;
                let key = key.as_str().map_or_else(|| key.to_string(), ToOwned::to_owned);
                fields.insert(key, self.value()?);
            } else {
                items.push(key);
            }
            self.separator('}')?;
        }
        self.take('}')?;
        match (fields.is_empty(), items.is_empty()) {
            (_, true) => Some(Value::Object(fields)),
            (true, false) => Some(Value::Array(items)),
            (false, false) => None,
        }
    }

    fn items(&mut self, open: char, close: char) -> Option<Vec<Value>> {
        let mut items = Vec::new();
        self.take(open)?;
        while self.peek()? != close {
            items.push(self.value()?);
            // NumPy separates texts only by white space.
            let is_next_text = items.last().is_some_and(Value::is_string) && matches!(self.peek()?, '\'' | '"');
            if !is_next_text {
                self.separator(close)?;
            }
        }
        self.take(close)?;
        Some(items)
    }

    /// What is in brackets after a name: `array([1, 2])`, `Document(page_content='x')`, `datetime.datetime(2026, 1, 1)`.
    fn call(&mut self, start: usize) -> Option<Value> {
        let (mut fields, mut items) = (Map::new(), Vec::new());
        let name = self.text.get(start..self.at)?.to_owned();
        self.take('(')?;
        while self.peek()? != ')' {
            let length = self.rest().find(|char: char| !(char.is_ascii_alphanumeric() || char == '_'))?;
            let word = self.rest().get(..length)?.to_owned();
            let after = self.rest().get(length..)?;
            let is_named = length > 0 && after.starts_with('=') && !after.starts_with("==");
            if is_named {
                self.at += length + 1;
                let value = self.value().or_else(|| self.name())?;
                fields.insert(word, value);
            } else {
                items.push(self.value()?);
            }
            self.separator(')')?;
        }
        self.take(')')?;
        let text = || self.text.get(start..self.at).map(|text| Value::String(text.to_owned()));
        let class = name.rsplit('.').next().unwrap_or(&name);
        let holds_one = name.starts_with("np.") || name.starts_with("numpy.");
        match (items.len(), fields.is_empty()) {
            (1, _)
                if holds_one
                    || matches!(
                        class,
                        "array" | "Decimal" | "UUID" | "OrderedDict" | "set" | "frozenset" | "Series"
                    ) =>
            {
                items.pop()
            }
            (0, false) => Some(Value::Object(fields)),
            _ => text(),
        }
    }

    /// A comma, optional after the last item.
    fn separator(&mut self, close: char) -> Option<()> {
        if self.peek()? == close { Some(()) } else { self.take(',') }
    }

    /// A name alone, such as `object`.
    fn name(&mut self) -> Option<Value> {
        let length = self.rest().find(|char: char| !(char.is_ascii_alphanumeric() || matches!(char, '_' | '.')))?;
        let name = self.rest().get(..length).filter(|name| !name.is_empty())?.to_owned();
        self.at += length;
        Some(Value::String(name))
    }

    fn string(&mut self) -> Option<String> {
        let quote = self.peek().filter(|char| matches!(char, '\'' | '"'))?;
        self.take(quote)?;
        let mut string = String::new();
        loop {
            match self.next()? {
                char if char == quote => return Some(string),
                '\\' => string.extend(self.escaped()?),
                char => string.push(char),
            }
        }
    }

    /// What follows a backslash; nothing for a continued line.
    fn escaped(&mut self) -> Option<Option<char>> {
        Some(Some(match self.next()? {
            '\n' => return Some(None),
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'v' => '\x0b',
            char @ ('\\' | '\'' | '"') => char,
            'x' => self.hex(2)?,
            'u' => self.hex(4)?,
            'U' => self.hex(8)?,
            _ => return None,
        }))
    }

    fn hex(&mut self, digits: usize) -> Option<char> {
        let code = self.rest().get(..digits)?.to_owned();
        let code = u32::from_str_radix(&code, 16).ok()?;
        // Half of a surrogate pair is not a character.
        let is_half = (0xd800..0xe000).contains(&code);
        let char = if is_half { char::REPLACEMENT_CHARACTER } else { char::from_u32(code)? };
        self.at += digits;
        Some(char)
    }

    fn word(&mut self) -> Option<Value> {
        let length =
            self.rest().find(|char: char| !(char.is_ascii_alphanumeric() || matches!(char, '.' | '-' | '+' | '_')));
        let word = self.rest().get(..length.unwrap_or(self.rest().len()))?;
        let (start, length) = (self.at, word.len());
        let value = match word {
            "None" | "NaT" | "NA" => Value::Null,
            "True" => Value::Bool(true),
            "False" => Value::Bool(false),
            "nan" | "NaN" => "NaN".into(),
            "inf" => "Infinity".into(),
            "-inf" => "-Infinity".into(),
            _ if self.rest().get(length..)?.starts_with('(')
                && word.starts_with(|char: char| char.is_ascii_alphabetic()) =>
            {
                self.at += length;
                return self.nest(|reader| reader.call(start));
            }
            // Python and JSON agree on what repr() writes for numbers.
            number => Value::Number(serde_json::from_str::<Number>(number).ok()?),
        };
        self.at += length;
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_repr_writes_is_read() {
        assert_eq!(
            literal(" {'a': [1, -2.5, 1e-05, 1e+16], 'b': None} "),
            Ok(json!({"a": [1, -2.5, 1e-05, 1e16], "b": null}))
        );
        assert_eq!(literal("{'t': True, 'f': False, 'p': (1, 2), 'one': (1,), 'none': ()}"), {
            Ok(json!({"t": true, "f": false, "p": [1, 2], "one": [1], "none": []}))
        });
        assert_eq!(
            literal(r#"["it's", 'say "hi"', 'it\'s "both"']"#),
            Ok(json!(["it's", "say \"hi\"", "it's \"both\""]))
        );
        assert_eq!(literal(r"'a\n\t\\ \x1b \u2028 \U0001f914 é🚀'"), Ok(json!("a\n\t\\ \u{1b} \u{2028} 🤔 é🚀")));
        assert_eq!((literal("{}"), literal("[]"), literal("''")), (Ok(json!({})), Ok(json!([])), Ok(json!(""))));
        assert_eq!(literal("1795439390416478268"), Ok(json!(1_795_439_390_416_478_268_u64)));
    }

    #[test]
    fn what_json_lacks_becomes_what_is_nearest() {
        for (text, value) in [
            ("[1, nan, inf, -inf]", json!([1, "NaN", "Infinity", "-Infinity"])),
            ("{'b', 'a'}", json!(["b", "a"])),
            ("{1: 2, None: 3}", json!({"1": 2, "null": 3})),
            ("['a' 'b'\n \"c\"]", json!(["a", "b", "c"])),
            ("array(['a', 'b'], dtype=object)", json!(["a", "b"])),
            ("[np.float64(0.5), Decimal('1.20'), UUID('7')]", json!([0.5, "1.20", "7"])),
            ("{'a': datetime.datetime(2026, 1, 1)}", json!({"a": "datetime.datetime(2026, 1, 1)"})),
            (
                "[Document(metadata={'source': 'a'}, page_content='x')]",
                json!([{"metadata": {"source": "a"}, "page_content": "x"}]),
            ),
            (r"'\ud83e'", json!("\u{fffd}")),
        ] {
            assert_eq!(literal(text), Ok(value), "{text}");
        }
    }

    #[test]
    fn what_is_no_value_is_refused_where_it_stands() {
        assert_eq!(literal("[1, x]"), Err(4));
        assert_eq!(literal("<Trace 1>"), Err(0));
        for text in [
            "",
            "{",
            "{'a': }",
            "{'a': 1, 'b'}",
            "[1 2]",
            "['a",
            r"'\q'",
            r"'\x1é'",
            "1 2",
            "[,]",
            "f(",
            "f(1",
            "f(x)",
            "(f)",
        ] {
            assert!(literal(text).is_err(), "{text}");
        }
    }

    #[test]
    fn nesting_beyond_the_limit_is_an_error_and_no_crash() {
        assert!(literal(&format!("{}1{}", "[".repeat(128), "]".repeat(128))).is_ok());
        assert!(literal(&"[".repeat(1_000_000)).is_err());
    }
}
