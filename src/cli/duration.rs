//! Durations as people write them: `90`, `90s`, `1m30s`, `500ms`, `2 minutes`.

use std::time::Duration;

/// Reads a duration; a bare number is seconds.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let duration = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => text.parse::<jiff::SignedDuration>().ok().and_then(|duration| Duration::try_from(duration).ok()),
    };
    duration.ok_or_else(|| format!("`{text}` is no duration; write 90, 90s, 1m30s or 500ms"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_people_write_are_read() {
        for (text, ms) in
            [("90", 90_000), ("0.5", 500), ("90s", 90_000), ("1m30s", 90_000), ("500ms", 500), ("2 minutes", 120_000)]
        {
            assert_eq!(parse(text).map(|d| d.as_millis()), Ok(ms), "{text}");
        }
        for text in ["", "-1", "nan", "inf", "1e400", "soon", "-5s"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
