//! From a record's bytes to its JSON object, or the reason why there is none.

use serde_json::{Map, Value};

use crate::dataset::dialects::fields::kind;
use crate::dataset::json::{self, JsonError};
use crate::dataset::reject::{Hint, Problem};

/// The JSON object on a line.
///
/// # Errors
/// Why there is none, with a hint for the usual mistakes: pretty-printed JSON, a list of all traces, CSV.
/// A file that has such a form from the beginning is read as what it is; these are lines in the middle of others.
pub(crate) fn object(line: &[u8], byte_offset: u64) -> Result<Map<String, Value>, Problem> {
    let text = text(line, "line", byte_offset)?;
    match json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(Value::Array(_)) => Err(problem("expected one object per line, found a list", ELEMENTS)),
        Ok(_) if looks_like_csv(text) => Err(problem(CSV, Hint::Table)),
        Ok(other) => Err(no_object(&other).into()),
        Err(error) => Err(explained(text, error)),
    }
}

/// The JSON object that begins on this line and may end on another.
///
/// # Errors
/// Why there is none; lines are those of the file, and columns on the first one are counted from where the object begins.
pub(crate) fn element(element: &[u8], line: u64, byte_offset: u64) -> Result<Map<String, Value>, Problem> {
    let text = text(element, "object", byte_offset)?;
    match json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(other) => Err(no_object(&other).into()),
        Err(error) => {
            let before = text.get(..error.at).unwrap_or(text);
            let inner = before.matches('\n').count() as u64;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            Err(match inner {
                0 => format!("not JSON: {error} at column {column}"),
                _ => format!("not JSON: {error} at line {} column {column}", line + inner),
            }
            .into())
        }
    }
}

/// Bytes as text; `what` names them in errors.
pub(crate) fn text<'a>(bytes: &'a [u8], what: &str, byte_offset: u64) -> Result<&'a str, Problem> {
    if let Some(at) = memchr::memchr(0, bytes) {
        let reason = format!("byte {} of the {what} is NUL, as in another encoding", at + 1);
        return Err(Problem { reason, hint: Some(Hint::Encoding(Some("UTF-16"))) });
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to() as u64;
        let encoding = encoding_of(bytes);
        let probably = encoding.map(|encoding| format!(", probably {encoding}")).unwrap_or_default();
        let reason =
            format!("not UTF-8 at byte {} of the {what} (offset {} in the file){probably}", at + 1, byte_offset + at);
        Problem { reason, hint: Some(Hint::Encoding(encoding)) }
    })
}

/// The most likely encoding of a text that is not UTF-8: Windows' western European code page has a character for nearly every byte.
fn encoding_of(bytes: &[u8]) -> Option<&'static str> {
    let is_undefined = |byte: &u8| matches!(byte, 0x81 | 0x8d | 0x8f | 0x90 | 0x9d | 0x00..=0x08);
    (!bytes.iter().any(is_undefined)).then_some("Windows-1252")
}

const CSV: &str = "this looks like a row of a table in a file of JSON lines";
const ELEMENTS: Hint = Hint::OneLineEach { filter: ".[]" };
const OBJECTS: Hint = Hint::OneLineEach { filter: "." };

fn problem(reason: impl Into<String>, hint: Hint) -> Problem {
    Problem { reason: reason.into(), hint: Some(hint) }
}

fn no_object(found: &Value) -> String {
    format!("expected a trace's object, found {}", kind(found))
}

fn explained(text: &str, error: JsonError) -> Problem {
    let trimmed = text.trim();
    let column = text.get(..error.at).unwrap_or(text).chars().count() + 1;
    if trimmed.starts_with('[') && error.is_end() {
        return problem("the start of a list over several lines", ELEMENTS);
    }
    if error.is_end() {
        return problem(format!("the JSON object is incomplete: unexpected end at column {column}"), OBJECTS);
    }
    if is_inner_line(trimmed) {
        return problem("a piece of an object over several lines", OBJECTS);
    }
    if looks_like_csv(trimmed) {
        return problem(CSV, Hint::Table);
    }
    if !trimmed.starts_with(['{', '[']) {
        return "not JSON: expected an object, which begins with `{`".to_owned().into();
    }
    format!("not JSON: {error} at column {column}").into()
}

/// Whether the line is from the middle of pretty-printed JSON: `"key": ...` or closing brackets.
fn is_inner_line(line: &str) -> bool {
    let after_key = line.strip_prefix('"').and_then(|rest| rest.split_once('"')).map(|(_, rest)| rest.trim_start());
    line.starts_with(['}', ']']) || after_key.is_some_and(|rest| rest.starts_with(':'))
}

/// Whether the line could be a row of a table: several cells, and no sign of JSON.
fn looks_like_csv(line: &str) -> bool {
    !line.starts_with(['{', '[']) && (line.contains(',') || line.contains('\t') || line.contains(';'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(line: &[u8]) -> (String, Option<Hint>) {
        let Problem { reason, hint } = object(line, 1000).unwrap_err();
        (reason, hint)
    }

    fn reason(line: &[u8]) -> String {
        refused(line).0
    }

    #[test]
    fn pretty_printed_json_is_recognised_and_the_remedy_named() {
        for line in ["{", "  {  ", r#"{"inputs": {"#, r#"  "info": {"#, "  },", "]", r#""a" : 1,"#] {
            assert_eq!(refused(line.as_bytes()).1, Some(OBJECTS), "{line}");
        }
        for line in ["[", "[ {", "[{\"inputs\": 1}]"] {
            assert_eq!(refused(line.as_bytes()).1, Some(ELEMENTS), "{line}");
        }
    }

    #[test]
    fn tables_are_recognised() {
        for line in ["trace_id,inputs,outputs", "1,\"What, then?\",yes", "\"a\",\"b\"", "a\tb", "7,5"] {
            assert_eq!(refused(line.as_bytes()).1, Some(Hint::Table), "{line}");
        }
    }

    #[test]
    fn the_column_is_named() {
        assert_eq!(reason(br#"{"inputs": tru}"#), "not JSON: expected a value at column 12");
        assert_eq!(reason(r#"{"größe": x}"#.as_bytes()), "not JSON: expected a value at column 11");
        assert_eq!(reason(br#"{"inputs": 1} {"inputs": 2}"#), "not JSON: unexpected text after the value at column 15");
        assert_eq!(reason(br#"{"inputs": "a"#), "the JSON object is incomplete: unexpected end at column 14");
        assert_eq!(reason(b"hello"), "not JSON: expected an object, which begins with `{`");
        assert_eq!(reason(b"\"hello\""), "expected a trace's object, found a string");
        let later = element(b"{\"a\": 1,\n \"b\" 2}", 7, 0).unwrap_err();
        assert_eq!(later.reason, "not JSON: expected `:` at line 8 column 6");
    }

    #[test]
    fn what_python_writes_is_read() {
        let line = br#"{"inputs": [NaN, "\ud83d"]}"#;
        assert_eq!(object(line, 0).unwrap()["inputs"], serde_json::json!(["NaN", "\u{fffd}"]));
        let deep = format!("{{\"inputs\": {}1{}, \"outputs\": 2}}", "[".repeat(500), "]".repeat(500));
        assert_eq!(object(deep.as_bytes(), 0).unwrap()["outputs"], 2);
    }

    #[test]
    fn bytes_of_another_encoding_are_located() {
        let at = "not UTF-8 at byte 8 of the line (offset 1007 in the file)";
        let western = Some(Hint::Encoding(Some("Windows-1252")));
        assert_eq!(refused(b"{\"a\": \"\xfc\"}"), (format!("{at}, probably Windows-1252"), western));
        assert_eq!(refused(b"{\"a\": \"\x81\"}"), (at.to_owned(), Some(Hint::Encoding(None))));
        let (reason, hint) = refused(b"{\0\"\0");
        assert!(reason.starts_with("byte 2 of the line is NUL"), "{reason}");
        assert_eq!(hint, Some(Hint::Encoding(Some("UTF-16"))));
    }
}
