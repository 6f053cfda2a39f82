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
        // As `write!(f, "a-{:032x}", u128::from_be_bytes(self.0))`, which every record would pay for.
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = *b"a-00000000000000000000000000000000";
        for (pair, byte) in text[2..].chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 0xf)]]);
        }
        f.write_str(str::from_utf8(&text).map_err(|_| fmt::Error)?)
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
pub struct IdHasher {
    hasher: blake3::Hasher,
    /// What it has not seen yet, since each call of it costs as much as some sixty bytes.
    gathered: [u8; GATHERED],
    length: usize,
}

/// Bytes: the parts of most identities, but for texts.
const GATHERED: usize = 256;

impl IdHasher {
    /// Starts a hash for one purpose; the same parts hash differently under another `domain`.
    pub fn new(domain: &str) -> Self {
        let mut hasher = Self { hasher: blake3::Hasher::new(), gathered: [0; GATHERED], length: 0 };
        hasher.part(domain.as_bytes());
        hasher
    }

    /// Adds a part.
    pub fn part(&mut self, bytes: &[u8]) -> &mut Self {
        self.add(&(bytes.len() as u64).to_le_bytes()).add(bytes)
    }

    /// Adds a part that may be absent, which differs from an empty one.
    pub fn optional_part(&mut self, bytes: Option<&[u8]>) -> &mut Self {
        match bytes {
            None => self.add(&u64::MAX.to_le_bytes()),
            Some(bytes) => self.part(bytes),
        }
    }

    /// The first 128 bits of the hash.
    pub fn finish(&mut self) -> AssessmentId {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&self.hash().as_bytes()[..16]);
        AssessmentId(bytes)
    }

    /// The first 64 bits of the hash.
    pub fn finish_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.hash().as_bytes()[..8]);
        u64::from_le_bytes(bytes)
    }

    fn add(&mut self, bytes: &[u8]) -> &mut Self {
        if bytes.len() > GATHERED - self.length {
            self.pass_on();
        }
        if bytes.len() > GATHERED {
            self.hasher.update(bytes);
        } else {
            self.gathered[self.length..self.length + bytes.len()].copy_from_slice(bytes);
            self.length += bytes.len();
        }
        self
    }

    fn pass_on(&mut self) {
        self.hasher.update(&self.gathered[..self.length]);
        self.length = 0;
    }

    fn hash(&mut self) -> blake3::Hash {
        self.pass_on();
        self.hasher.finalize()
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
    fn long_and_short_parts_hash_as_one_stream() {
        for lengths in [[1, 2, 3], [200, 100, 300], [GATHERED, 0, 1], [7, GATHERED + 1, GATHERED - 8], [0, 5000, 255]] {
            let (mut hasher, mut stream) = (IdHasher::new("d"), vec![1, 0, 0, 0, 0, 0, 0, 0, b'd']);
            for length in lengths {
                let part = vec![b'x'; length];
                hasher.part(&part);
                stream.extend((length as u64).to_le_bytes());
                stream.extend(part);
            }
            assert_eq!(hasher.finish().as_bytes(), &blake3::hash(&stream).as_bytes()[..16], "{lengths:?}");
        }
    }

    #[test]
    fn the_hash_is_pinned() {
        // Records on users' disks depend on this value: a change here judges everything again.
        let id = IdHasher::new("pin").part(b"trace").optional_part(None).finish();
        assert_eq!(id.to_string(), "a-a93dd9fd70369fd0ffc14ce4056bfb80");
    }
}
