//! Decimal numbers as models write them.

use serde_json::{Number, Value};

/// Reads a number at the start of `text`: a sign, digits, a fraction, an exponent; also `+4` and `.5`. Returns what follows.
///
/// A point counts only before a digit, so the one that ends a sentence is left. A number too large for a float becomes its
/// text, which no check of a range lets pass.
pub(super) fn leading_number(text: &str) -> Option<(Value, &str)> {
    let (negative, digits) = match text.strip_prefix(['-', '\u{2212}']) {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let bytes = digits.as_bytes();
    let run = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let whole = run(0);
    let mut end = whole;
    if bytes.get(end) == Some(&b'.') && run(end + 1) > 0 {
        end += 1 + run(end + 1);
    }
    if end == 0 {
        return None;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        if bytes.len() > end + 1 + sign && run(end + 1 + sign) > 0 {
            end += 1 + sign + run(end + 1 + sign);
        }
    }
    Some((value(negative, &digits[..end], end == whole), &digits[end..]))
}

fn value(negative: bool, digits: &str, is_whole: bool) -> Value {
    if is_whole && let Ok(n) = digits.parse::<i64>() {
        return if negative { -n } else { n }.into();
    }
    let float = digits.parse::<f64>().ok().map(|n| if negative { -n } else { n });
    match float.and_then(Number::from_f64) {
        Some(number) => Value::Number(number),
        None => Value::String(digits.to_owned()),
    }
}

/// Reads a number word at the start of `text`, from `zero` to `ten`. Returns what follows.
pub(super) fn leading_word(text: &str) -> Option<(Value, &str)> {
    const WORDS: [&str; 11] = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];
    let len = text.bytes().take_while(u8::is_ascii_alphabetic).count();
    let (word, rest) = text.split_at(len);
    let number = WORDS.iter().position(|name| word.eq_ignore_ascii_case(name))?;
    // `two-thirds`, `tenth`
    (!rest.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '-' | '_'))).then(|| (number.into(), rest))
}

/// The words for what is a float but not a number.
pub(super) fn is_non_finite(text: &str) -> bool {
    let word = text.strip_prefix(['-', '+']).unwrap_or(text);
    ["nan", "inf", "infinity"].iter().any(|name| word.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_read_as_models_write_them() {
        for (text, value, rest) in [
            ("4", json!(4), ""),
            ("+4 of", json!(4), " of"),
            ("-3", json!(-3), ""),
            ("\u{2212}3", json!(-3), ""),
            (".5", json!(0.5), ""),
            ("4.", json!(4), "."),
            ("4.0/5", json!(4.0), "/5"),
            ("0.85%", json!(0.85), "%"),
            ("1e2", json!(100.0), ""),
            ("2e", json!(2), "e"),
            ("04", json!(4), ""),
            ("1e999", json!("1e999"), ""),
        ] {
            assert_eq!(leading_number(text), Some((value, rest)), "{text}");
        }
        for (text, value, rest) in [("four", 4, ""), ("Ten out of", 10, " out of"), ("zero.", 0, ".")] {
            assert_eq!(leading_word(text), Some((json!(value), rest)), "{text}");
        }
        for text in ["fourth", "two-thirds", "eleven", "5", ""] {
            assert_eq!(leading_word(text), None, "{text}");
        }
        for text in ["", "-", ".", "+.", "e5", "four", "- 4"] {
            assert_eq!(leading_number(text), None, "{text}");
        }
    }
}
