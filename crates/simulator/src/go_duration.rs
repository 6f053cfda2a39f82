//! Durations as Go prints them, which is how OpenAI writes `x-ratelimit-reset-*` and "try again in".

use std::fmt;
use std::time::Duration;

/// Prints `0s`, `12ms`, `1.2s`, `6m0s`, `1h0m0.5s`: in whole milliseconds, rounded up, so that a client that waits that long has
/// waited long enough.
///
/// Source: Go, `time.Duration.String`.
#[derive(Debug, Clone, Copy)]
pub(super) struct GoDuration(pub(super) Duration);

impl GoDuration {
    /// Whole milliseconds, rounded up.
    pub(super) fn millis(self) -> u64 {
        u64::try_from(self.0.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.millis();
        if (1..1000).contains(&millis) {
            return write!(f, "{millis}ms");
        }
        let (seconds, millis) = (millis / 1000, millis % 1000);
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        if hours > 0 {
            write!(f, "{hours}h")?;
        }
        if seconds >= 60 {
            write!(f, "{minutes}m")?;
        }
        write!(f, "{}", seconds % 60)?;
        if millis > 0 {
            write!(f, ".{}", format!("{millis:03}").trim_end_matches('0'))?;
        }
        f.write_str("s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_print_as_go_prints_them() {
        for (micros, text) in [
            (0, "0s"),
            (1, "1ms"),
            (12_000, "12ms"),
            (12_001, "13ms"),
            (999_001, "1s"),
            (1_000_000, "1s"),
            (1_200_000, "1.2s"),
            (8_640_000, "8.64s"),
            (60_000_000, "1m0s"),
            (360_000_000, "6m0s"),
            (179_560_000, "2m59.56s"),
            (3_723_000_000, "1h2m3s"),
            (3_600_005_000, "1h0m0.005s"),
        ] {
            assert_eq!(GoDuration(Duration::from_micros(micros)).to_string(), text, "{micros} us");
        }
    }
}
