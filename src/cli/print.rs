//! Messages on standard error. A message that cannot be printed is ignored.

use std::fmt::Display;
use std::io::Write;
use std::time::Duration;

pub(crate) use judge_run::results::forms::plain::{escaped, one_line};

/// A line on standard error; colours only if a terminal shows them (and `NO_COLOR` allows).
pub(crate) fn message(line: impl Display) {
    let _ = writeln!(anstream::stderr().lock(), "{line}");
}

/// A count with a unit that grows with it: `999`, `12.3k`, `4.56M`.
pub(crate) fn short(n: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let x = n as f64;
    match n {
        0..1_000 => n.to_string(),
        1_000..1_000_000 => format!("{:.1}k", x / 1e3),
        _ => format!("{:.2}M", x / 1e6),
    }
}

/// A time for the eye: `0.4 s`, `42 s`, `2 min 8 s`, `3 h 20 min`.
pub(crate) fn time(duration: Duration) -> String {
    let seconds = duration.as_secs() + u64::from(duration.subsec_millis() >= 500);
    match seconds {
        _ if duration < Duration::from_secs(1) => format!("{:.1} s", duration.as_secs_f64()),
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// `1 trace`, `2 traces`.
pub(crate) fn counted(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_as_exact_as_an_eye_needs() {
        let text = |ms| time(Duration::from_millis(ms));
        assert_eq!([text(40), text(999), text(1499)], ["0.0 s", "1.0 s", "1 s"]);
        assert_eq!([text(59_600), text(128_000), text(12_000_000)], ["1 min 0 s", "2 min 8 s", "3 h 20 min"]);
    }
}
