//! From a line's bytes to its JSON object; what is none is explained.

use serde_json::{Map, Value};

use crate::dataset::dialects::fields::kind;

/// The JSON object on a line.
///
/// # Errors
/// Why there is none, with a remedy for the usual mistakes: pretty-printed JSON, a list of all traces, CSV, UTF-16, `NaN`.
/// A file that is of such a form from its beginning is read as what it is; here are lines in the middle of others.
pub(crate) fn object(line: &[u8], byte_offset: u64) -> Result<Map<String, Value>, String> {
    let text = text(line, "line", byte_offset)?;
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(Value::Array(_)) => {
            Err("a list, not an object; JSONL wants one trace a line: `jq -c '.[]' file`".to_owned())
        }
        Ok(_) if looks_like_csv(text) => Err(CSV.to_owned()),
        Ok(other) => Err(format!("{} where a trace's object should be", kind(&other))),
        Err(error) => Err(explained(text, &error)),
    }
}

/// The JSON object that begins in this line and may go on in others.
///
/// # Errors
/// Why there is none; lines are those of the file, and a column of the first one is counted from where the object begins.
pub(crate) fn element(element: &[u8], line: u64, byte_offset: u64) -> Result<Map<String, Value>, String> {
    let text = text(element, "object", byte_offset)?;
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(other) => Err(format!("{} where a trace's object should be", kind(&other))),
        Err(error) => {
            let inner = error.line().saturating_sub(1);
            let number = text.split('\n').nth(inner).and_then(|line| not_a_number(line, error.column()));
            Err(match number {
                Some(number) => not_json(number, error.column()),
                None if inner == 0 => format!("not JSON: {}", without_line(&error)),
                None => {
                    let at = format!(" at line {} ", error.line());
                    format!(
                        "not JSON: {}",
                        error.to_string().replacen(&at, &format!(" at line {} ", line + inner as u64), 1)
                    )
                }
            })
        }
    }
}

/// The text that bytes are; `what` they are, for the complaint.
pub(crate) fn text<'a>(bytes: &'a [u8], what: &str, byte_offset: u64) -> Result<&'a str, String> {
    if let Some(at) = memchr::memchr(0, bytes) {
        return Err(format!(
            "byte {} of the {what} is NUL, which no JSON text has; if the file is UTF-16, convert it: \
             `iconv -f UTF-16 -t UTF-8 file`",
            at + 1
        ));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to() as u64;
        format!("not UTF-8 at byte {} of the {what} (offset {} in the file)", at + 1, byte_offset + at)
    })
}

const CSV: &str = "this looks like a row of a table in a file of JSON lines; if it is one, say `--dataset-format csv`";
const ONE_LINE: &str = "JSONL wants one whole trace a line: `jq -c . file`";

fn explained(text: &str, error: &serde_json::Error) -> String {
    let trimmed = text.trim();
    let column = error.column();
    let message = without_line(error);
    if trimmed.starts_with('[') && error.is_eof() {
        return "the start of a list over several lines; JSONL wants one trace a line: `jq -c '.[]' file`".to_owned();
    }
    if error.is_eof() {
        return format!("the JSON object is not whole ({message}); {ONE_LINE}");
    }
    if let Some(number) = not_a_number(text, column) {
        return not_json(number, column);
    }
    if is_inner_line(trimmed) {
        return format!("a piece of an object over several lines; {ONE_LINE}");
    }
    if looks_like_csv(trimmed) {
        return CSV.to_owned();
    }
    if !trimmed.starts_with(['{', '[']) {
        return "not JSON; a trace's line is an object: it begins with `{`".to_owned();
    }
    format!("not JSON: {message}")
}

fn not_json(number: &str, column: usize) -> String {
    format!("{number} at column {column} is no JSON; write null or a string in its place")
}

/// serde_json's message; the line, in its words, is always the first.
fn without_line(error: &serde_json::Error) -> String {
    error.to_string().replacen(&format!(" at line {} column ", error.line()), " at column ", 1)
}

/// What Python and JavaScript write for numbers that JSON lacks, if the error at `column` is about one.
fn not_a_number(text: &str, column: usize) -> Option<&'static str> {
    // serde_json points at the first or the second character of it.
    let rest = |at: usize| text.get(at..).unwrap_or_default();
    let around = [rest(column.saturating_sub(2)), rest(column.saturating_sub(1))];
    ["NaN", "-Infinity", "Infinity"].into_iter().find(|name| around.iter().any(|text| text.starts_with(name)))
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

    fn reason(line: &[u8]) -> String {
        object(line, 1000).unwrap_err()
    }

    #[test]
    fn pretty_printed_json_is_recognised_and_the_remedy_named() {
        for line in ["{", "  {  ", r#"{"inputs": {"#, r#"  "info": {"#, "  },", "]", r#""a" : 1,"#] {
            let reason = reason(line.as_bytes());
            assert!(reason.ends_with("JSONL wants one whole trace a line: `jq -c . file`"), "{line}: {reason}");
        }
        for line in ["[", "[ {", "[{\"inputs\": 1}]"] {
            assert!(reason(line.as_bytes()).ends_with("JSONL wants one trace a line: `jq -c '.[]' file`"), "{line}");
        }
    }

    #[test]
    fn tables_are_recognised() {
        for line in ["trace_id,inputs,outputs", "1,\"What, then?\",yes", "\"a\",\"b\"", "a\tb", "7,5"] {
            assert_eq!(reason(line.as_bytes()), CSV, "{line}");
        }
    }

    #[test]
    fn the_column_is_named_without_a_line() {
        assert_eq!(reason(br#"{"inputs": tru}"#), "not JSON: expected ident at column 15");
        assert_eq!(reason(br#"{"inputs": 1} {"inputs": 2}"#), "not JSON: trailing characters at column 15");
        assert_eq!(
            reason(br#"{"inputs": "a"#),
            "the JSON object is not whole (EOF while parsing a string at column 13); JSONL wants one whole trace a line: \
             `jq -c . file`"
        );
        assert_eq!(reason(b"hello"), "not JSON; a trace's line is an object: it begins with `{`");
        assert_eq!(reason(b"\"hello\""), "a string where a trace's object should be");
    }

    #[test]
    fn numbers_that_json_lacks_are_named() {
        for name in ["NaN", "Infinity", "-Infinity"] {
            let line = format!(r#"{{"inputs": [1, {name}]}}"#);
            let reason = reason(line.as_bytes());
            assert!(reason.starts_with(&format!("{name} at column 1")), "{reason}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_located() {
        assert_eq!(reason(b"{\"a\": \"\xff\"}"), "not UTF-8 at byte 8 of the line (offset 1007 in the file)");
        assert!(reason(b"{\0\"\0").starts_with("byte 2 of the line is NUL"));
    }

    #[test]
    fn nesting_beyond_the_limit_is_a_reason_and_no_crash() {
        let deep = format!("{{\"inputs\": {}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(reason(deep.as_bytes()), "not JSON: recursion limit exceeded at column 138");
    }
}
