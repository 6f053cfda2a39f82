//! The identity of a judgment: a hash over everything that determines it.

use std::fmt;
use std::str::FromStr;

/// `a-` and 32 lower-case hex digits: 128 bits of a BLAKE3 hash over everything that determines a judgment.
///
/// The id is at once the key for resuming, for finding duplicates, for reusing an earlier run's verdicts, and the
/// idempotency key towards an MLflow server. The same id means the same work, which is never paid for twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AssessmentId([u8; 16]);

impl AssessmentId {
    /// Any id in 16 bytes: one of this form as it is, another's as its hash.
    pub(crate) fn of_any(id: &str) -> Self {
        id.parse().unwrap_or_else(|_| IdHasher::new("judge-run foreign id 1").part(id.as_bytes()).finish())
    }

    /// The 128 bits.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for AssessmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a-{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for AssessmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for AssessmentId {
    type Err = InvalidAssessmentId;

    fn from_str(text: &str) -> Result<Self, InvalidAssessmentId> {
        let hex = text.strip_prefix("a-").filter(|hex| hex.len() == 32).ok_or(InvalidAssessmentId)?;
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            *byte = (hex_digit(pair[0])? << 4) | hex_digit(pair[1])?;
        }
        Ok(Self(bytes))
    }
}

fn hex_digit(byte: u8) -> Result<u8, InvalidAssessmentId> {
    match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        _ => Err(InvalidAssessmentId),
    }
}

/// Not `a-` and 32 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not one of judge-run's assessment ids, `a-` and 32 lower-case hex digits")]
pub struct InvalidAssessmentId;

/// Hashes the parts of an identity, each with its length before it, so that no two lists of parts have the same hash.
#[derive(Debug, Clone)]
pub struct IdHasher(blake3::Hasher);

impl IdHasher {
    /// Starts a hash for one purpose; the same parts hash differently under another `domain`.
    pub fn new(domain: &str) -> Self {
        let mut hasher = Self(blake3::Hasher::new());
        hasher.part(domain.as_bytes());
        hasher
    }

    /// Adds a part.
    pub fn part(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
        self
    }

    /// Adds a part that may be absent, which differs from an empty one.
    pub fn optional_part(&mut self, bytes: Option<&[u8]>) -> &mut Self {
        match bytes {
            None => {
                self.0.update(&u64::MAX.to_le_bytes());
                self
            }
            Some(bytes) => self.part(bytes),
        }
    }

    /// The first 128 bits of the hash.
    pub fn finish(&self) -> AssessmentId {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&self.0.finalize().as_bytes()[..16]);
        AssessmentId(bytes)
    }

    /// The first 64 bits of the hash.
    pub fn finish_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.0.finalize().as_bytes()[..8]);
        u64::from_le_bytes(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form_is_read_back() {
        let id = IdHasher::new("test").part(b"x").finish();
        let text = id.to_string();
        assert_eq!((text.len(), text.parse()), (34, Ok(id)));
        for bad in ["", "a-", "a-12", &text[1..], &text.to_uppercase(), &format!("{text}0")] {
            assert!(bad.parse::<AssessmentId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn where_a_part_ends_matters() {
        let ab_c = IdHasher::new("d").part(b"ab").part(b"c").finish();
        let a_bc = IdHasher::new("d").part(b"a").part(b"bc").finish();
        let none = IdHasher::new("d").part(b"ab").optional_part(None).finish();
        let empty = IdHasher::new("d").part(b"ab").optional_part(Some(b"")).finish();
        assert!(ab_c != a_bc && none != empty && ab_c != none);
    }

    #[test]
    fn the_hash_is_pinned() {
        // Records on users' disks depend on this value: a change here judges everything again.
        let id = IdHasher::new("pin").part(b"trace").optional_part(None).finish();
        assert_eq!(id.to_string(), "a-a93dd9fd70369fd0ffc14ce4056bfb80");
    }
}
