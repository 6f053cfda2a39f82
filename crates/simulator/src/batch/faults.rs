//! What goes wrong with batches.

use std::str::FromStr;

/// What goes wrong with batches, written as `expired=10%,missing=1%,disorder,upper,invalid,queue,room=20,slow`. Faults of single lines with a status are those of
/// the fault plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BatchFaults {
    /// The share of lines, in millionths, that are not done when the batch expires.
    pub(super) expired: u32,
    /// The share of lines that are in neither file.
    pub(super) missing: u32,
    /// Answers come in another order than requests.
    pub(super) disorder: bool,
    /// States are in upper case, as at Together.
    pub(super) upper: bool,
    /// The first batch fails its validation.
    pub(super) invalid: bool,
    /// Only one batch may be open: another fails for the limit of enqueued tokens.
    pub(super) queue: bool,
    /// A batch of more lines fails for the limit of enqueued tokens.
    pub(super) room: Option<usize>,
    /// A batch takes ten times as many polls.
    pub(super) slow: bool,
}

/// Not [`BatchFaults`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown batch fault `{0}`, expected expired=SHARE, missing=SHARE, disorder, upper, invalid, queue, room=LINES or slow"
)]
pub struct InvalidBatchFaults(String);

impl FromStr for BatchFaults {
    type Err = InvalidBatchFaults;

    fn from_str(text: &str) -> Result<Self, InvalidBatchFaults> {
        let mut faults = Self::default();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let invalid = || InvalidBatchFaults(entry.to_owned());
            if let Some(lines) = entry.strip_prefix("room=") {
                faults.room = Some(lines.parse().map_err(|_| invalid())?);
                continue;
            }
            let (name, share) = match entry.split_once('=') {
                Some((name, share)) => (name.trim(), Some(millionths(share).ok_or_else(invalid)?)),
                None => (entry, None),
            };
            match (name, share) {
                ("expired", Some(share)) => faults.expired = share,
                ("missing", Some(share)) => faults.missing = share,
                ("disorder", None) => faults.disorder = true,
                ("upper", None) => faults.upper = true,
                ("invalid", None) => faults.invalid = true,
                ("queue", None) => faults.queue = true,
                ("slow", None) => faults.slow = true,
                _ => return Err(invalid()),
            }
        }
        Ok(faults)
    }
}

fn millionths(share: &str) -> Option<u32> {
    let percent: f64 = share.trim().strip_suffix('%')?.trim().parse().ok()?;
    (0.0..=100.0).contains(&percent).then_some((percent * 10_000.0).round() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_by_their_names() {
        let faults: BatchFaults =
            " expired=10%, missing=0.5%,disorder,upper,invalid,queue,room=20,slow".parse().unwrap();
        assert_eq!((faults.expired, faults.missing, faults.room), (100_000, 5_000, Some(20)));
        assert!(faults.disorder && faults.upper && faults.invalid && faults.queue && faults.slow);
        assert_eq!("".parse(), Ok(BatchFaults::default()));
        for text in ["expired", "expired=5", "expired=101%", "disorder=1%", "room=1%", "room", "late"] {
            assert!(text.parse::<BatchFaults>().is_err(), "{text}");
        }
    }
}
