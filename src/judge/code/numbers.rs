//! Numbers in texts, and whether two are close.

use std::borrow::Cow;

use serde_json::Value;

/// The number that a value is or that a text contains: the last one, as answers give their result last.
pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => last_number(text),
        _ => None,
    }
}

/// Both ways of writing numbers: `1,234.5` and `1.234,5`. A single separator before exactly three digits divides thousands if it is a comma, as in
/// English, and is the decimal point otherwise. Apostrophes and no-break spaces between digits divide thousands: `1’234.5`, `1 234,5`.
fn last_number(text: &str) -> Option<f64> {
    let text = &without_dividers(text);
    let is_part = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',');
    let end = text.rfind(|c: char| c.is_ascii_digit())? + 1;
    // An exponent belongs to the number before it.
    let exponent = exponent_before(text, end);
    let digits_end = exponent.unwrap_or(end);
    let start = text[..digits_end]
        .rfind(|c: char| !is_part(c))
        .map_or(0, |at| at + text[at..].chars().next().map_or(1, char::len_utf8));
    let mut written = &text[start..digits_end];
    while let Some(rest) = written.strip_prefix(['.', ',']) {
        written = rest;
    }
    let plain = plain(written);
    let sign = if is_negative(&text[..digits_end - written.len()]) { "-" } else { "" };
    format!("{sign}{plain}{}", &text[digits_end..end]).parse().ok()
}

/// The text without what can only divide thousands: between a digit and exactly three more.
fn without_dividers(text: &str) -> Cow<'_, str> {
    const DIVIDERS: [char; 5] = ['\'', '\u{2019}', '\u{a0}', '\u{202f}', '\u{2009}'];
    if !text.contains(DIVIDERS) {
        return text.into();
    }
    let divides = |(at, c): (usize, char)| {
        let (before, after) = (&text[..at], &text[at + c.len_utf8()..]);
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        DIVIDERS.contains(&c) && before.ends_with(|c: char| c.is_ascii_digit()) && digits == 3
    };
    text.char_indices().filter(|place| !divides(*place)).map(|(_, c)| c).collect()
}

/// Where the `e` of `1.5e-7` is, if the digits that end here are an exponent.
fn exponent_before(text: &str, end: usize) -> Option<usize> {
    let mantissa = text[..end].trim_end_matches(|c: char| c.is_ascii_digit());
    let mantissa = mantissa.strip_suffix(['-', '+']).unwrap_or(mantissa);
    let before = mantissa.strip_suffix(['e', 'E'])?;
    before.ends_with(|c: char| c.is_ascii_digit()).then_some(before.len())
}

/// A minus sign, not a hyphen inside a word or a range.
fn is_negative(before: &str) -> bool {
    let before = before.strip_suffix(['$', '€', '£']).unwrap_or(before);
    let Some(rest) = before.strip_suffix(['-', '\u{2212}']) else { return false };
    !rest.ends_with(|c: char| c.is_alphanumeric())
}

fn plain(written: &str) -> String {
    let is_decimal = match (written.rfind('.'), written.rfind(',')) {
        (Some(point), Some(comma)) => Some(point.max(comma)),
        (Some(point), None) => (written.matches('.').count() == 1).then_some(point),
        (None, Some(comma)) => {
            let is_thousands = written.matches(',').count() > 1 || written.len() - comma - 1 == 3;
            (!is_thousands).then_some(comma)
        }
        (None, None) => None,
    };
    let digit = |(i, c): (usize, char)| match c {
        '.' | ',' if is_decimal == Some(i) => Some('.'),
        '.' | ',' => None,
        digit => Some(digit),
    };
    written.char_indices().filter_map(digit).collect()
}

/// Whether two numbers are close: not further apart than the tolerance, or than the share of the larger one.
///
/// Source: Python's `math.isclose`.
pub(super) fn is_close(a: f64, b: f64, tolerance: f64, relative: f64) -> bool {
    (a - b).abs() <= tolerance.max(relative * a.abs().max(b.abs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_found_as_people_write_them() {
        for (text, expected) in [
            ("42", 42.0),
            ("The answer is 1,234.50 dollars.", 1234.5),
            ("1.234,50 €", 1234.5),
            ("3,5", 3.5),
            ("12,000", 12_000.0),
            ("1.500", 1.5),
            ("1.234.567", 1_234_567.0),
            ("between 3 and 4.", 4.0),
            ("-7", -7.0),
            ("x = −0.5", -0.5),
            ("-$20", -20.0),
            ("pages 3-7", 7.0),
            ("1.5e-7", 1.5e-7),
            ("6E3 units", 6000.0),
            ("about .5", 5.0),
            ("1\u{202f}234\u{202f}567,5 €", 1_234_567.5),
            ("1'234.5", 1234.5),
            ("the '90s: 1'23", 23.0),
        ] {
            assert_eq!(number(&json!(text)), Some(expected), "{text}");
        }
        assert_eq!(number(&json!("none")), None);
        assert_eq!((number(&json!(2)), number(&json!([2]))), (Some(2.0), None));
    }

    #[test]
    fn closeness_is_that_of_python() {
        assert!(is_close(1.0, 1.05, 0.1, 0.0) && !is_close(1.0, 1.2, 0.1, 0.0));
        assert!(is_close(1000.0, 1009.0, 0.0, 0.01) && !is_close(1000.0, 1011.0, 0.0, 0.01));
        assert!(is_close(0.0, 0.0, 0.0, 0.0) && !is_close(f64::NAN, 0.0, 1.0, 1.0));
    }
}
