//! Messages to standard error. A message that cannot be printed is no reason to fail.

use std::fmt::Display;
use std::io::Write;

/// A line to standard error; colours only where a terminal shows them (and `NO_COLOR` allows).
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

/// `1 trace`, `2 traces`.
pub(crate) fn counted(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// Text from outside on one line of a terminal.
pub(crate) fn one_line(text: &str) -> String {
    harmless(text).replace('\n', " ").trim().to_owned()
}

/// Text without control characters, which would move the cursor or colour the screen; lines stay.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
}
