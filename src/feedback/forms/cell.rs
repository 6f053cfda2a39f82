//! The cells of a table: nothing in them is a formula to a spreadsheet or a missing value to a data frame, and they round-trip.

use serde_json::Value;

/// What readers of tables treat as a missing value.
///
/// Source: `pandas.read_csv`, `na_values`; R's `NA`.
const READ_AS_MISSING: [&str; 18] = [
    "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA", "NULL",
    "NaN", "None", "n/a", "nan", "null",
];

/// A text as a cell; a missing one is empty.
///
/// Spreadsheets treat what begins with `=`, `+`, `-`, `@`, a tab or a carriage return as a formula, unless a `'` precedes it. Numbers
/// are not formulas, and stay as they are. Data frames treat some words as missing values, unless a `'` precedes them. So that reading undoes
/// exactly this, texts that look as if they had such a `'` get another, and an empty text is a lone `'`.
///
/// Source: OWASP, "CSV Injection".
pub(crate) fn cell(text: Option<&str>) -> String {
    match text {
        Some(text) if is_guarded(text) && !is_number(text) => format!("'{text}"),
        text => text.unwrap_or_default().to_owned(),
    }
}

/// What [`cell`] wrote.
pub(crate) fn text(cell: &str) -> Option<&str> {
    match cell.strip_prefix('\'') {
        _ if cell.is_empty() => None,
        Some(rest) if is_guarded(rest) => Some(rest),
        _ => Some(cell),
    }
}

/// Whether this text, unless it is a number, is preceded by a `'` in a table.
fn is_guarded(text: &str) -> bool {
    let begins = text.trim_start_matches('\'');
    begins.is_empty() || begins.starts_with(['=', '+', '-', '@', '\t', '\r']) || READ_AS_MISSING.contains(&begins)
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b)) && text.parse::<f64>().is_ok()
}

/// A verdict as text: JSON, but a string as it is, unless it would be read as something else.
pub(super) fn value_text(value: &Value) -> String {
    match value {
        Value::String(label) if !is_read_otherwise(label) => label.clone(),
        other => other.to_string(),
    }
}

/// What [`value_text`] wrote. Spreadsheets write `TRUE` and `FALSE`.
pub(super) fn value(text: &str) -> Value {
    match text {
        "TRUE" => true.into(),
        "FALSE" => false.into(),
        text => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
    }
}

fn is_read_otherwise(label: &str) -> bool {
    READ_AS_MISSING.contains(&label) || !value(label).is_string() || label.starts_with('"')
}

/// Replaces what a cell cannot hold: spreadsheets refuse tables with control characters other than tabs and line ends. Whether there was any.
pub(super) fn replace_controls(cell: &mut String) -> bool {
    let is_bad = |c: char| c < ' ' && !matches!(c, '\t' | '\n' | '\r');
    let has_bad = cell.contains(is_bad);
    if has_bad {
        *cell = cell.replace(is_bad, "\u{fffd}");
    }
    has_bad
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
            ("NA", "'NA"),
            ("'None", "''None"),
            ("Nanna", "Nanna"),
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
            json!("NA"),
            json!("None"),
            json!("TRUE"),
            json!("True"),
        ] {
            let cell = cell(Some(&value_text(&value)));
            assert_eq!(super::value(text(&cell).unwrap()), value, "{cell}");
        }
        for (value, text) in [
            (json!("good"), "good"),
            (json!("true"), "\"true\""),
            (json!(true), "true"),
            (json!("NA"), "\"NA\""),
            (json!("FALSE"), "\"FALSE\""),
        ] {
            assert_eq!(value_text(&value), text);
        }
        assert_eq!(value("TRUE"), json!(true));
    }

    #[test]
    fn control_characters_are_replaced_and_line_ends_stay() {
        let replaced = |text: &str| {
            let mut cell = text.to_owned();
            (replace_controls(&mut cell), cell)
        };
        assert_eq!(replaced("a\u{c}\u{0}b\t\r\n"), (true, "a\u{fffd}\u{fffd}b\t\r\n".to_owned()));
        assert_eq!(replaced("é\u{2028}\n"), (false, "é\u{2028}\n".to_owned()));
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
