//! Long texts, shortened so that a page stays small. Where something is missing, the text says so.

use serde_json::{Number, Value};

use crate::results::forms::figures::count;

/// JavaScript numbers cannot hold greater integers.
const MAX_SAFE_INTEGER: u64 = 1 << 53;

/// The beginning of a text, at most `limit` characters, and how many are missing.
pub(super) fn beginning(text: &str, max: usize) -> (&str, usize) {
    match text.char_indices().nth(max) {
        Some((end, _)) => (&text[..end], text[end..].chars().count()),
        None => (text, 0),
    }
}

/// A text cut to a number of characters, and how many are missing.
pub(super) fn shortened(text: &str, max: usize) -> String {
    match beginning(text, max) {
        (_, 0) => text.to_owned(),
        (_, missing) if text.starts_with("data:") => {
            let kind = beginning(text.split([';', ',']).next().unwrap_or_default(), 60).0;
            format!("[{kind}, {} characters, not on this page]", count((missing + max) as u64))
        }
        (kept, missing) => format!("{kept} … [{} characters cut]", count(missing as u64)),
    }
}

/// Shortens the longest texts in a value, all to one length, so that they have at most `room` characters together. Returns how many are missing.
pub(super) fn fit(value: &mut Value, room: usize) -> usize {
    let mut lengths = Vec::new();
    each_text(value, &mut |text| lengths.push(text.chars().count()));
    let all: usize = lengths.iter().sum();
    if all <= room {
        return 0;
    }
    let max = longest(lengths, room);
    limit(value, max)
}

/// Shortens every text in a value to a number of characters. Returns how many are missing.
pub(super) fn limit(value: &mut Value, max: usize) -> usize {
    let mut missing = 0;
    each_text(value, &mut |text| {
        missing += beginning(text, max).1;
        *text = shortened(text, max);
    });
    missing
}

/// The length to which texts of these lengths are cut, so that together they fill the room.
fn longest(mut lengths: Vec<usize>, mut room: usize) -> usize {
    lengths.sort_unstable();
    let mut left = lengths.len();
    for length in lengths {
        if length * left > room {
            return room / left;
        }
        room -= length;
        left -= 1;
    }
    room
}

fn each_text(value: &mut Value, take: &mut impl FnMut(&mut String)) {
    match value {
        Value::String(text) => take(text),
        Value::Array(values) => values.iter_mut().for_each(|value| each_text(value, take)),
        Value::Object(fields) => fields.values_mut().for_each(|value| each_text(value, take)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Writes integers that a script would round, such as times in nanoseconds, as texts.
pub(super) fn keep_integers(value: &mut Value) {
    match value {
        Value::Number(number) if is_unsafe(number) => *value = Value::String(number.to_string()),
        Value::Array(values) => values.iter_mut().for_each(keep_integers),
        Value::Object(fields) => fields.values_mut().for_each(keep_integers),
        _ => {}
    }
}

fn is_unsafe(number: &Number) -> bool {
    let size = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
    size.is_some_and(|size| size > MAX_SAFE_INTEGER)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_longest_texts_are_cut_to_one_length() {
        let mut value = json!({"a": "x".repeat(1000), "b": ["short", "é".repeat(500)], "n": 1});
        assert_eq!(fit(&mut value.clone(), 1505), 0);
        assert_eq!(fit(&mut value, 205), 900 + 400);
        assert_eq!(value["b"][0], "short");
        assert_eq!(value["a"], format!("{} … [900 characters cut]", "x".repeat(100)));
        assert_eq!(value["b"][1], format!("{} … [400 characters cut]", "é".repeat(100)));
    }

    #[test]
    fn a_file_is_not_cut_in_the_middle() {
        let file = format!("data:image/png;base64,{}", "A".repeat(5000));
        assert_eq!(shortened(&file, 100), "[data:image/png, 5,022 characters, not on this page]");
    }

    #[test]
    fn times_in_nanoseconds_keep_their_digits() {
        let mut value = json!([1_764_321_000_000_000_001_u64, 1, -9_100_000_000_000_000_i64, 0.5]);
        keep_integers(&mut value);
        assert_eq!(value, json!(["1764321000000000001", 1, "-9100000000000000", 0.5]));
    }
}
