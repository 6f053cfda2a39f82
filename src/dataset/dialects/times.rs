//! Times, in every spelling of every dialect.
//!
//! A number counts seconds, or thousandths, millionths or billionths of them: from 1973 on each unit has its own range of numbers. A text
//! is such a number, or a date and time as in ISO 8601 or an HTTP header, in UTC if it names no zone. What is neither is no
//! reason to reject a trace; it is ignored, and noted.

use std::fmt::Display;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::rfc2822;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::dataset::notice::{Notice, Notices};

/// Milliseconds of Unix time.
pub(crate) fn ms(name: impl Display, value: &Value, notices: &mut Notices) -> Option<i64> {
    nanoseconds(name, value, notices).and_then(|time| i64::try_from(time.div_euclid(1_000_000)).ok())
}

/// Nanoseconds of Unix time.
pub(crate) fn ns(name: impl Display, value: &Value, notices: &mut Notices) -> Option<u64> {
    nanoseconds(name, value, notices).and_then(|time| u64::try_from(time).ok())
}

/// Milliseconds of Unix time, if the field says that numbers are milliseconds.
pub(crate) fn exact_ms(name: impl Display, value: &Value, notices: &mut Notices) -> Option<i64> {
    whole(value).or_else(|| ms(name, value, notices))
}

/// Nanoseconds of Unix time, if the field says that numbers are nanoseconds.
pub(crate) fn exact_ns(name: impl Display, value: &Value, notices: &mut Notices) -> Option<u64> {
    whole(value).and_then(|time| u64::try_from(time).ok()).or_else(|| ns(name, value, notices))
}

fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn nanoseconds(name: impl Display, value: &Value, notices: &mut Notices) -> Option<i128> {
    let time = match value {
        Value::Null => return None,
        Value::String(text) if text.trim().is_empty() => return None,
        Value::String(text) => of_text(text.trim()),
        // MongoDB's exports.
        Value::Object(fields) => fields.get("$date").and_then(|date| match date {
            Value::String(text) => of_text(text),
            Value::Object(fields) => of_number(fields.get("$numberLong")?.as_str()?.parse().ok()?),
            date => of_number(date.as_f64()?),
        }),
        value => value
            .as_i64()
            .map_or_else(|| of_number(value.as_f64()?), |whole| Some(i128::from(whole) * unit(whole.unsigned_abs()))),
    };
    if time.is_none() {
        notices.add(Notice::UnreadableTime(name.to_string()));
    }
    time
}

fn of_text(text: &str) -> Option<i128> {
    let timestamp = |time: Timestamp| time.as_nanosecond();
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(timestamp(time));
    }
    if let Ok(whole) = text.parse::<i64>() {
        return Some(i128::from(whole) * unit(whole.unsigned_abs()));
    }
    if let Ok(number) = text.parse::<f64>() {
        return of_number(number);
    }
    let without_zone = [" UTC", " GMT", "UTC"].iter().find_map(|zone| text.strip_suffix(zone)).unwrap_or(text);
    let civil = without_zone.parse::<DateTime>().ok().and_then(|time| TimeZone::UTC.to_timestamp(time).ok());
    civil.or_else(|| rfc2822::DateTimeParser::new().parse_timestamp(text).ok()).map(timestamp)
}

#[expect(clippy::cast_possible_truncation, reason = "checked first")]
fn of_number(number: f64) -> Option<i128> {
    if !number.is_finite() || number.abs() > 1e19 {
        return None;
    }
    // A double holds whole seconds and microseconds exactly, but not multiplied by a billion.
    let (whole, fraction) = (number.trunc() as i128, number.fract());
    let unit = unit(whole.unsigned_abs().try_into().unwrap_or(u64::MAX));
    #[expect(clippy::cast_precision_loss, reason = "a power of ten")]
    let rest = (fraction * 1e6).round() * (unit as f64) / 1e6;
    Some(whole * unit + rest as i128)
}

/// The nanoseconds in the unit of a number of this size.
fn unit(size: u64) -> i128 {
    match size {
        ..100_000_000_000 => 1_000_000_000,
        100_000_000_000..100_000_000_000_000 => 1_000_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1_000,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_time_is_read_in_every_spelling() {
        let mut notices = Notices::default();
        for value in [
            json!(1_795_439_390),
            json!(1_795_439_390.0),
            json!(1_795_439_390_000_i64),
            json!(1_795_439_390_000_000_i64),
            json!(1_795_439_390_000_000_000_i64),
            json!("1795439390000000000"),
            json!("1795439390.0"),
            json!("2026-11-23T13:09:50Z"),
            json!("2026-11-23T15:09:50+02:00"),
            json!("2026-11-23T13:09:50.000000+00:00"),
            json!("2026-11-23T13:09:50.000000"),
            json!(" 2026-11-23 13:09:50 "),
            json!("2026-11-23 13:09:50.000000 UTC"),
            json!("2026-11-23 13:09:50+00:00"),
            json!("Mon, 23 Nov 2026 13:09:50 GMT"),
            json!({"$date": "2026-11-23T13:09:50Z"}),
            json!({"$date": {"$numberLong": "1795439390000"}}),
            json!({"$date": 1_795_439_390_000_i64}),
        ] {
            assert_eq!(ns("t", &value, &mut notices), Some(1_795_439_390_000_000_000), "{value}");
            assert_eq!(ms("t", &value, &mut notices), Some(1_795_439_390_000), "{value}");
        }
        assert_eq!(ns("t", &json!("2026-11-23"), &mut notices), Some(1_795_392_000_000_000_000));
        assert_eq!(ns("t", &json!(1_792_892_400.5), &mut notices), Some(1_792_892_400_500_000_000));
        assert_eq!(ns("t", &json!("1792892400.123456"), &mut notices), Some(1_792_892_400_123_456_000));
        assert_eq!(ms("t", &json!("1969-12-31T23:59:59.9995Z"), &mut notices), Some(-1));
        assert_eq!(ms("t", &json!(-5), &mut notices), Some(-5000));
        assert!(notices.is_empty());
    }

    #[test]
    fn a_field_that_names_its_unit_is_taken_at_its_word() {
        let mut notices = Notices::default();
        assert_eq!(exact_ms("t", &json!(5), &mut notices), Some(5));
        assert_eq!(exact_ms("t", &json!("5"), &mut notices), Some(5));
        assert_eq!(exact_ns("t", &json!(5), &mut notices), Some(5));
        assert_eq!(exact_ns("t", &json!("5"), &mut notices), Some(5));
        assert_eq!(exact_ns("t", &json!("1970-01-01T00:00:01Z"), &mut notices), Some(1_000_000_000));
        assert!(notices.is_empty());
    }

    #[test]
    fn what_is_no_time_is_ignored_and_noted_unless_it_is_nothing() {
        let mut notices = Notices::default();
        for value in [json!(null), json!(""), json!("  ")] {
            assert_eq!(ns("t", &value, &mut notices), None, "{value}");
        }
        assert!(notices.is_empty());
        for value in [json!("noon"), json!(true), json!([1]), json!({"a": 1}), json!(1e300), json!("nan")] {
            assert_eq!(ns("t", &value, &mut notices), None, "{value}");
        }
        assert_eq!(notices, [(Notice::UnreadableTime("t".into()), 6)].into_iter().collect());
    }
}
