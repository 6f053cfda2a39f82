//! Which trace ids were read already, and with what content, in 16 bytes a trace.

use std::hash::BuildHasher;

use foldhash::quality::RandomState;

/// How many bits of an id's hash choose its bucket. Buckets of a sorted list each are as fast as a hash table up to some ten million traces, and
/// without its empty places, nor its doubling at once.
const BUCKET_BITS: u32 = 12;

/// The ids of all traces so far. Ids are told apart by 64 bits of a hash, contents of one id by 32: with ten million traces
/// the chance that two ids are taken for one is about one in 370,000. The hash has a random key, so that nobody can choose ids that collide.
#[derive(Debug)]
pub(super) struct SeenIds {
    buckets: Vec<Vec<Seen>>,
    hash: RandomState,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    id: u64,
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

impl Default for SeenIds {
    fn default() -> Self {
        Self { buckets: vec![Vec::new(); 1 << BUCKET_BITS], hash: RandomState::default() }
    }
}

impl SeenIds {
    /// Asks for an id and notes it, with the place where it stands, if it is new.
    pub(super) fn note(&mut self, trace_id: &str, content: &[u8], at: u32) -> Known {
        let id = self.hash.hash_one(trace_id);
        #[expect(clippy::cast_possible_truncation, reason = "32 bits of the hash")]
        let content = self.hash.hash_one(content) as u32;
        let Some(bucket) = self.buckets.get_mut((id >> (u64::BITS - BUCKET_BITS)) as usize) else { return Known::New };
        match bucket.binary_search_by_key(&id, |seen| seen.id) {
            Ok(found) => match bucket.get(found) {
                Some(first) if first.content == content => Known::SameContent(first.at),
                Some(first) => Known::OtherContent(first.at),
                None => Known::New,
            },
            Err(free) => {
                if bucket.len() == bucket.capacity() {
                    bucket.reserve_exact(bucket.len() / 8 + 4);
                }
                bucket.insert(free, Seen { id, content, at });
                Known::New
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_known_with_the_place_of_its_first_time() {
        let mut seen = SeenIds::default();
        assert_eq!(seen.note("a", b"one", 3), Known::New);
        assert_eq!(seen.note("b", b"one", 4), Known::New);
        assert_eq!(seen.note("a", b"one", 5), Known::SameContent(3));
        assert_eq!(seen.note("a", b"two", 6), Known::OtherContent(3));
        assert_eq!(size_of::<Seen>(), 16);
    }

    #[test]
    fn ids_that_share_a_bucket_are_told_apart() {
        let mut seen = SeenIds::default();
        let ids = 0..100_000_u32;
        assert!(ids.clone().all(|i| seen.note(&i.to_string(), b"", i) == Known::New));
        assert!(ids.rev().all(|i| seen.note(&i.to_string(), b"", 0) == Known::SameContent(i)));
    }
}
