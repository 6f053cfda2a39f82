//! Values as Python shows them: what pandas writes into the cells of a CSV file for dicts and lists.
//!
//! Source: "Literals" in the Python Language Reference; `ast.literal_eval`.

use serde_json::{Map, Number, Value};

/// Deeper nesting is refused.
const MAX_DEPTH: u32 = 128;

/// Reads a dict, list, tuple, string, number, `None`, `True` or `False`; tuples become lists. Anything else, such as
/// `datetime.datetime(...)`, has no meaning in JSON.
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

    /// The next character that is no space.
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

    fn dict(&mut self) -> Option<Value> {
        let mut fields = Map::new();
        self.take('{')?;
        while self.peek()? != '}' {
            let key = self.string()?;
            self.take(':')?;
            fields.insert(key, self.value()?);
            self.separator('}')?;
        }
        self.take('}')?;
        Some(Value::Object(fields))
    }

    fn items(&mut self, open: char, close: char) -> Option<Vec<Value>> {
        let mut items = Vec::new();
        self.take(open)?;
        while self.peek()? != close {
            items.push(self.value()?);
            self.separator(close)?;
        }
        self.take(close)?;
        Some(items)
    }

    /// A comma, which the last item need not have.
    fn separator(&mut self, close: char) -> Option<()> {
        if self.peek()? == close { Some(()) } else { self.take(',') }
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

    /// What stands after a backslash; nothing for a line that goes on.
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
        let code = self.rest().get(..digits)?;
        // A lone half of a surrogate pair is no character.
        let char = u32::from_str_radix(code, 16).ok().and_then(char::from_u32)?;
        self.at += digits;
        Some(char)
    }

    fn word(&mut self) -> Option<Value> {
        let length =
            self.rest().find(|char: char| !(char.is_ascii_alphanumeric() || matches!(char, '.' | '-' | '+' | '_')));
        let word = self.rest().get(..length.unwrap_or(self.rest().len()))?;
        let value = match word {
            "None" => Value::Null,
            "True" => Value::Bool(true),
            "False" => Value::Bool(false),
            // Python and JSON agree on what repr() writes for numbers, but for nan and inf, which JSON lacks.
            number => Value::Number(serde_json::from_str::<Number>(number).ok()?),
        };
        self.at += word.len();
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
    fn what_has_no_meaning_in_json_is_refused_where_it_stands() {
        assert_eq!(literal("{'a': datetime.datetime(2026, 1, 1)}"), Err(6));
        assert_eq!(literal("[1, nan]"), Err(4));
        assert_eq!(literal("<Trace 1>"), Err(0));
        for text in
            ["", "{", "{'a'}", "{'a': }", "{1: 2}", "[1 2]", "['a", r"'\q'", r"'\ud83e'", r"'\x1é'", "1 2", "[,]"]
        {
            assert!(literal(text).is_err(), "{text}");
        }
    }

    #[test]
    fn nesting_beyond_the_limit_is_an_error_and_no_crash() {
        assert!(literal(&format!("{}1{}", "[".repeat(128), "]".repeat(128))).is_ok());
        assert!(literal(&"[".repeat(1_000_000)).is_err());
    }
}
