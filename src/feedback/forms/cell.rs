//! The cells of a table: nothing in them is a formula to a spreadsheet, and what was written is what is read.

use serde_json::Value;

/// A text as a cell; what is not there is an empty one.
///
/// Spreadsheets take what begins with `=`, `+`, `-`, `@`, a tab or a carriage return for a formula, and not with a `'` before it. Numbers
/// are no formulas, and stay as they are. So that reading undoes exactly this, texts that look as if they had such a `'` get one more,
/// and a text that is there and empty is a `'` alone.
///
/// Source: OWASP, "CSV Injection".
pub(super) fn cell(text: Option<&str>) -> String {
    match text {
        Some(text) if is_guarded(text) && !is_number(text) => format!("'{text}"),
        text => text.unwrap_or_default().to_owned(),
    }
}

/// What [`cell`] wrote.
pub(super) fn text(cell: &str) -> Option<&str> {
    match cell.strip_prefix('\'') {
        _ if cell.is_empty() => None,
        Some(rest) if is_guarded(rest) => Some(rest),
        _ => Some(cell),
    }
}

/// Whether a `'` stands before this text in a table, unless it is a number.
fn is_guarded(text: &str) -> bool {
    let begins = text.trim_start_matches('\'');
    begins.is_empty() || begins.starts_with(['=', '+', '-', '@', '\t', '\r'])
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b)) && text.parse::<f64>().is_ok()
}

/// A verdict as text: JSON, but a string as it stands, unless it would be read as other JSON.
pub(super) fn value_text(value: &Value) -> String {
    match value {
        Value::String(label) if serde_json::from_str::<Value>(label).is_err() => label.clone(),
        other => other.to_string(),
    }
}

/// What [`value_text`] wrote.
pub(super) fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_begins_like_a_formula_is_made_harmless_and_numbers_stay() {
        for (text, expected) in [
            ("=1+1", "'=1+1"),
            ("+A1", "'+A1"),
            ("-A1", "'-A1"),
            ("-1+1", "'-1+1"),
            ("@SUM(1)", "'@SUM(1)"),
            ("\t=1", "'\t=1"),
            ("\r-1", "'\r-1"),
            ("-0.5", "-0.5"),
            ("+1e-3", "+1e-3"),
            ("-inf", "'-inf"),
            ("plain = text", "plain = text"),
            ("'quoted'", "'quoted'"),
            ("'=1", "''=1"),
            ("", "'"),
            ("'", "''"),
        ] {
            assert_eq!(cell(Some(text)), expected);
            assert_eq!(super::text(expected), Some(text));
        }
        assert_eq!((cell(None), text("")), (String::new(), None));
    }

    #[test]
    fn a_verdict_keeps_its_type() {
        for value in [
            json!(true),
            json!("true"),
            json!(null),
            json!("null"),
            json!(-0.5),
            json!("-0.5"),
            json!(1),
            json!(1.0),
            json!("1"),
            json!(" 1"),
            json!(""),
            json!("good"),
            json!("\"good\""),
            json!("=1"),
            json!("1e999"),
            json!(u64::MAX),
            json!(["a", 1]),
            json!({"b": 1, "a": "é\u{2028}\n"}),
            json!("{not json"),
        ] {
            let cell = cell(Some(&value_text(&value)));
            assert_eq!(super::value(text(&cell).unwrap()), value, "{cell}");
        }
        assert_eq!([json!("good"), json!("true"), json!(true)].map(|v| value_text(&v)), ["good", "\"true\"", "true"]);
    }

    proptest! {
        #[test]
        fn every_text_is_read_back_and_none_is_a_formula(text in "['=+@\t\r\n,\"a1.-]{0,6}|.*") {
            let cell = cell(Some(&text));
            prop_assert!(is_number(&cell) || !cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{cell:?}");
            prop_assert_eq!(super::text(&cell), Some(text.as_str()));
        }
    }
}
