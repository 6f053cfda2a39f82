//! A part of a dataset: `3/16` is the third of sixteen, on every machine and in any order.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use crate::feedback::IdHasher;

/// One of several parts of a dataset, by a hash of the trace ids, so that several machines can each judge one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// From 1.
    number: NonZeroU32,
    of: NonZeroU32,
}

impl Shard {
    /// Part `number` (from 1) of `of`; `None` if there is no such part.
    pub fn new(number: u32, of: u32) -> Option<Self> {
        let shard = Self { number: NonZeroU32::new(number)?, of: NonZeroU32::new(of)? };
        (number <= of).then_some(shard)
    }

    /// Whether the trace is in this part. The same in every version: a night may have begun with an older one.
    pub fn contains(self, trace_id: &str) -> bool {
        let hash = IdHasher::new("judge-run shard 1").part(trace_id.as_bytes()).finish_u64();
        hash % u64::from(self.of.get()) == u64::from(self.number.get() - 1)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

serde_as_text!(Shard);

impl FromStr for Shard {
    type Err = InvalidShard;

    fn from_str(text: &str) -> Result<Self, InvalidShard> {
        let (number, of) = text.trim().split_once('/').ok_or(InvalidShard)?;
        let whole = |text: &str| text.parse().map_err(|_| InvalidShard);
        Self::new(whole(number)?, whole(of)?).ok_or(InvalidShard)
    }
}

/// Not two whole numbers with a slash between them, the first from 1 to the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write K/N with K from 1 to N, such as 3/16 for the third of sixteen parts")]
pub struct InvalidShard;

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(text: &str) -> Shard {
        text.parse().unwrap()
    }

    #[test]
    fn every_trace_is_in_exactly_one_shard_and_none_is_empty() {
        let shards: Vec<_> = (1..=16).map(|k| shard(&format!("{k}/16"))).collect();
        let mut sizes = [0; 16];
        for n in 0..1000 {
            let id = format!("trace-{n}");
            let holders: Vec<_> = (0..16).filter(|k| shards[*k].contains(&id)).collect();
            let [holder] = holders[..] else { panic!("{id} is in {holders:?}") };
            sizes[holder] += 1;
        }
        assert!(sizes.iter().all(|size| (30..100).contains(size)), "{sizes:?}");
        assert!(shard("1/1").contains("anything"));
    }

    #[test]
    fn the_hash_is_pinned() {
        // Machines of different versions share one dataset: a change here would judge some traces twice and others never.
        let shard_of = |id: &str| (1..=16).find(|k| shard(&format!("{k}/16")).contains(id)).unwrap();
        assert_eq!(["trace-0", "trace-1", "tr-quickstart-01", ""].map(shard_of), [11, 3, 15, 7]);
    }

    #[test]
    fn only_a_part_of_a_whole_is_a_shard() {
        assert_eq!(shard("3/16").to_string(), "3/16");
        for text in ["0/3", "4/3", "1/0", "3", "/", "1/2/3", "-1/2", "a/b", ""] {
            assert_eq!(text.parse::<Shard>(), Err(InvalidShard), "{text}");
        }
    }
}
