//! TOML that people write. An error says where it is and which key it is about. It never shows a value: people paste keys and passwords into files,
//! and messages go to logs of CI systems.

use std::fmt;

use serde::de::DeserializeOwned;

/// What is wrong with a TOML file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TomlError {
    /// From 1.
    pub line: usize,
    /// From 1.
    pub column: usize,
    /// With the tables that it is in, and dots between; empty where the text is not TOML.
    pub key: String,
    /// What is wrong with it.
    pub problem: Problem,
    /// What may stand there.
    pub expected: Option<String>,
}

/// A kind of mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// The text is not TOML.
    Syntax(&'static str),
    /// The key is not one that is read.
    UnknownKey,
    /// The key has to be there.
    MissingKey,
    /// Such as a text in the place of a number.
    WrongType,
    /// None of those that are allowed.
    InvalidValue,
}

impl fmt::Display for TomlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, key, problem, expected } = self;
        write!(f, "{line}:{column}: ")?;
        match problem {
            Problem::Syntax(reason) => f.write_str(reason)?,
            Problem::UnknownKey => write!(f, "unknown key `{key}`")?,
            Problem::MissingKey => write!(f, "missing key `{key}`")?,
            Problem::WrongType => write!(f, "wrong type of value for `{key}`")?,
            Problem::InvalidValue => write!(f, "invalid value for `{key}`")?,
        }
        expected.as_ref().map_or(Ok(()), |expected| write!(f, ", expected {expected}"))
    }
}

impl std::error::Error for TomlError {}

impl TomlError {
    /// The names that an unknown key might have been meant to be.
    pub fn known_keys(&self) -> Vec<&str> {
        let expected = self.expected.as_deref().filter(|_| self.problem == Problem::UnknownKey);
        expected.unwrap_or_default().split('`').skip(1).step_by(2).collect()
    }
}

/// Reads a file's text.
///
/// # Errors
/// What is wrong with it, without showing any value.
pub fn parse<T: DeserializeOwned>(text: &str) -> Result<T, TomlError> {
    toml::from_str(text).map_err(|error| without_values(text, error))
}

/// The library's message quotes the line, and serde's the value. Only what comes from neither is kept.
fn without_values(text: &str, mut error: toml::de::Error) -> TomlError {
    let at = error.span().map_or(0, |span| span.start).min(text.len());
    // Where a visitor refuses a key, the parser gives the place of the whole table.
    let refused = quoted(error.message()).filter(|_| error.message().starts_with("unknown field `"));
    let is_elsewhere = |key: &&str| !text[at..].starts_with(*key);
    let at = refused.filter(is_elsewhere).and_then(|key| line_of(text, key)).unwrap_or(at);
    let before = text.get(..at).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let (line, column) = (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1);
    // What is allowed comes last, and is ours.
    let expected = error.message().rsplit_once(", expected ").map(|(_, expected)| plain(expected));
    if toml::from_str::<toml::Table>(text).is_err() {
        return TomlError { line, column, key: String::new(), problem: syntax(error.message()), expected };
    }
    let (problem, last) = match error.message() {
        message if message.starts_with("unknown field `") => (Problem::UnknownKey, quoted(message)),
        message if message.starts_with("missing field `") => (Problem::MissingKey, quoted(message)),
        message if message.starts_with("invalid type") => (Problem::WrongType, None),
        _ => (Problem::InvalidValue, None),
    };
    let last = last.map(ToOwned::to_owned);
    // Without its input, the error ends with the keys on the way to the value.
    error.set_input(None);
    let shown = error.to_string();
    let path = shown.trim_end().rsplit_once("\nin `").map_or("", |(_, path)| path.trim_end_matches('`'));
    let is_named = |last: &String| path == last || path.ends_with(&format!(".{last}"));
    let key = match last.filter(|last| !is_named(last)) {
        Some(last) if path.is_empty() => last,
        Some(last) => format!("{path}.{last}"),
        None => path.to_owned(),
    };
    TomlError { line, column, key, problem, expected }
}

/// Where the first line begins that gives a key its value.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let rest = line.trim_start().strip_prefix(key);
        if rest.is_some_and(|rest| rest.trim_start().starts_with('=')) {
            return Some(at + line.len() - line.trim_start().len());
        }
        at += line.len();
    }
    None
}

/// The first name in backticks.
fn quoted(message: &str) -> Option<&str> {
    message.split('`').nth(1)
}

/// The parser's reasons, none of which shows what it read.
fn syntax(message: &str) -> Problem {
    let reason = message.split(", expected ").next().unwrap_or_default();
    Problem::Syntax(match reason {
        _ if reason.contains("duplicate key") => "the same key twice",
        _ if reason.contains("unclosed") || reason.contains("missing closing") => "an unclosed quote or bracket",
        _ if reason.contains("extra") || reason.contains("unexpected") => "text after the value",
        _ => "invalid TOML",
    })
}

/// Rust's words for types, in those of TOML.
fn plain(expected: &str) -> String {
    let words = match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" | "i64" => "a whole number",
        "a nonzero u32" | "a nonzero u64" | "a nonzero usize" => "a whole number above 0",
        "f32" | "f64" => "a number",
        "a map" => "a table",
        "a sequence" => "a list",
        "a boolean" => "true or false",
        _ if expected.starts_with("struct ") => "a table",
        other => other,
    };
    words.to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::num::NonZeroU32;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct File {
        name: String,
        rpm: Option<NonZeroU32>,
        kind: Option<Kind>,
        #[serde(default)]
        tables: BTreeMap<String, Table>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        One,
        Two,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Table {
        ratio: f64,
        list: Option<Vec<u64>>,
    }

    fn error(text: &str) -> TomlError {
        parse::<File>(text).unwrap_err()
    }

    #[test]
    fn place_and_key_are_shown_and_what_is_expected() {
        for (text, message) in [
            ("name = \"n\"\nnaem = 1", "2:1: unknown key `naem`, expected one of `name`, `rpm`, `kind`, `tables`"),
            ("rpm = 1", "1:1: missing key `name`"),
            (
                "name = \"n\"\nrpm = \"sk-secret\"",
                "2:7: wrong type of value for `rpm`, expected a whole number above 0",
            ),
            ("name = \"n\"\nrpm = 0", "2:7: invalid value for `rpm`, expected a whole number above 0"),
            ("name = \"n\"\nkind = \"sk-secret\"", "2:8: invalid value for `kind`, expected `one` or `two`"),
            (
                "name = \"n\"\n[tables.a]\nratio = \"sk-secret\"",
                "3:9: wrong type of value for `tables.a.ratio`, expected a number",
            ),
            (
                "name = \"n\"\n[tables.a]\nratio = 1\nlist = [\"sk-secret\"]",
                "4:9: wrong type of value for `tables.a.list`, expected a whole number",
            ),
            ("name = \"n\"\n[tables.a]\nlist = []", "2:1: missing key `tables.a.ratio`"),
            (
                "name = \"n\"\n[tables.a]\nkey = \"sk-secret\"",
                "3:1: unknown key `tables.a.key`, expected `ratio` or `list`",
            ),
        ] {
            assert_eq!(error(text).to_string(), message, "{text}");
        }
        assert_eq!(error("naem = 1").known_keys(), ["name", "rpm", "kind", "tables"]);
    }

    #[test]
    fn no_mistake_shows_a_value() {
        for text in [
            "sk-secret",
            "sk-secret = ",
            "OPENAI_API_KEY=sk-secret",
            "export OPENAI_API_KEY=\"sk-secret\"",
            "name = sk-secret",
            "name = \"sk-secret",
            "name = '''sk-secret",
            "name = [\"sk-secret\"",
            "name = { a = \"sk-secret\"",
            "name = \"sk-secret\" \"sk-secret\"",
            "name = \"\\qsk-secret\"",
            "name = \"sk-secret\"\nname = \"sk-secret\"",
            "name = \"sk-secret\"\nname.x = \"sk-secret\"",
            "name = [1, \"sk-secret\"]",
            "name = 1979-05-27\nkind = \"sk-secret, expected sk-secret\"",
            "name = { x = \"sk-secret\" }",
            "tables = \"sk-secret\"",
            "tables = { x = \"sk-secret\" }",
            "name = \"n\"\n[tables.a]\nratio = { sk = \"sk-secret\" }",
        ] {
            let error = error(text);
            assert!(!format!("{error} {error:?}").contains("secret"), "{text}: {error}");
        }
    }
}
