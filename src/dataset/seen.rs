//! Which trace ids were read already, and with what content, in 16 bytes a trace.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};

use crate::feedback::IdHasher;

/// The ids of all traces so far. Ids are told apart by 64 bits of a hash, contents of one id by 32: with ten million traces
/// the chance that two ids are taken for one is about one in 370,000.
#[derive(Debug, Default)]
pub(super) struct SeenIds(HashMap<u64, Seen, BuildHasherDefault<AlreadyHashed>>);

#[derive(Debug, Clone, Copy)]
struct Seen {
    content: u32,
    at: u32,
}

/// What is known of an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// Not seen before.
    New,
    /// Seen with the same content, at this place.
    SameContent(u32),
    /// Seen with other content, at this place.
    OtherContent(u32),
}

impl SeenIds {
    /// Asks for an id and notes it, with the place where it stands, if it is new.
    pub(super) fn note(&mut self, trace_id: &str, digest: [u8; 16], at: u32) -> Known {
        let id = IdHasher::new("trace-id").part(trace_id.as_bytes()).finish_u64();
        let [a, b, c, d, ..] = digest;
        let content = u32::from_le_bytes([a, b, c, d]);
        match self.0.entry(id) {
            Entry::Vacant(entry) => {
                entry.insert(Seen { content, at });
                Known::New
            }
            Entry::Occupied(entry) if entry.get().content == content => Known::SameContent(entry.get().at),
            Entry::Occupied(entry) => Known::OtherContent(entry.get().at),
        }
    }
}

/// The keys are hashes themselves.
#[derive(Debug, Default)]
struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, &byte| hash.rotate_left(8) ^ u64::from(byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_known_with_the_place_of_its_first_time() {
        let mut seen = SeenIds::default();
        assert_eq!(seen.note("a", [1; 16], 3), Known::New);
        assert_eq!(seen.note("b", [1; 16], 4), Known::New);
        assert_eq!(seen.note("a", [1; 16], 5), Known::SameContent(3));
        assert_eq!(seen.note("a", [2; 16], 6), Known::OtherContent(3));
        assert_eq!(size_of::<(u64, Seen)>(), 16);
    }
}
