//! Durations as people write them: `90`, `90s`, `1m30s`, `500ms`, `2 minutes`.

use std::time::Duration;

/// A longer time is a mistake, and some clocks cannot count it.
const MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// Reads a duration of at most a year; a bare number is seconds.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let too_long = || format!("invalid duration `{text}`, expected at most a year");
    let duration = match text.parse::<f64>() {
        Ok(seconds) if seconds.is_finite() && seconds > MAX.as_secs_f64() => return Err(too_long()),
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => text.parse::<jiff::SignedDuration>().ok().and_then(|duration| Duration::try_from(duration).ok()),
    };
    match duration {
        Some(duration) if duration > MAX => Err(too_long()),
        Some(duration) => Ok(duration),
        None => Err(format!("invalid duration `{text}`, expected a time such as 90, 90s, 1m30s or 500ms")),
    }
}

/// Reads a duration that is not zero.
pub(crate) fn parse_positive(text: &str) -> Result<Duration, String> {
    match parse(text)? {
        Duration::ZERO => {
            Err(format!("invalid duration `{text}`, expected more than 0, such as 90, 90s, 1m30s or 500ms"))
        }
        duration => Ok(duration),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_notations_are_read() {
        for (text, ms) in
            [("90", 90_000), ("0.5", 500), ("90s", 90_000), ("1m30s", 90_000), ("500ms", 500), ("2 minutes", 120_000)]
        {
            assert_eq!(parse(text).map(|d| d.as_millis()), Ok(ms), "{text}");
        }
        for text in ["", "-1", "nan", "inf", "1e400", "soon", "-5s"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_duration_is_at_most_a_year() {
        assert_eq!(parse("8760h"), Ok(MAX));
        for text in ["1e19", "31536001", "8761h", "1e308"] {
            assert_eq!(parse(text), Err(format!("invalid duration `{text}`, expected at most a year")));
        }
    }

    #[test]
    fn a_duration_of_zero_is_rejected_where_something_must_happen_in_it() {
        assert_eq!(parse_positive("1ms"), Ok(Duration::from_millis(1)));
        for text in ["0", "0s", "1e-12"] {
            assert!(parse(text).is_ok() && parse_positive(text).unwrap_err().contains("more than 0"), "{text}");
        }
    }
}
