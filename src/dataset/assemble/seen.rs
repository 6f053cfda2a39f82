//! Which trace ids were read already, and with what content, in about 20 bytes per trace.

use std::hash::BuildHasher;

use foldhash::quality::RandomState;

/// How many bits of an id's hash choose its chain of pages.
const CHAIN_BITS: u32 = 16;
/// Entries of a page, which fills two CPU cache lines.
const PAGE: usize = 7;
/// Pages that are allocated together.
const BLOCK: usize = 4096;

/// The ids of all traces so far. Ids are distinguished by 64 bits of a hash, contents of one id by 32: with ten million traces
/// the chance that two ids are mistaken for one is about one in 370,000. The hash has a random key, so that colliding ids cannot be chosen.
///
/// It is a hash table of chained pages, which are neither moved nor freed: one that doubles has half of its places empty, and twice its
/// size in memory while it grows.
#[derive(Debug)]
pub(crate) struct SeenIds {
    /// The latest page of each chain.
    chains: Vec<Option<u32>>,
    blocks: Vec<Vec<Page>>,
    hash: RandomState,
}

#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    id: u64,
    content: u32,
    at: u32,
}

#[derive(Debug, Default)]
struct Page {
    entries: [Seen; PAGE],
    length: u32,
    earlier: Option<u32>,
}

/// What is known of an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// Not seen before.
    New,
    /// Seen with the same content, at this place.
    SameContent(u32),
    /// Seen with other content, at this place.
    OtherContent(u32),
}

impl Default for SeenIds {
    fn default() -> Self {
        Self { chains: vec![None; 1 << CHAIN_BITS], blocks: Vec::new(), hash: RandomState::default() }
    }
}

impl SeenIds {
    /// Looks up an id and records it, with its place, if it is new.
    pub(crate) fn note(&mut self, trace_id: &str, content: &[u8], at: u32) -> Known {
        let id = self.hash.hash_one(trace_id);
        #[expect(clippy::cast_possible_truncation, reason = "32 bits of the hash")]
        let content = self.hash.hash_one(content) as u32;
        let chain = (id >> (u64::BITS - CHAIN_BITS)) as usize;
        let latest = self.chains[chain];
        let mut next = latest;
        while let Some(page) = next.map(|page| self.page(page)) {
            if let Some(first) = page.entries[..page.length as usize].iter().find(|seen| seen.id == id) {
                return if first.content == content {
                    Known::SameContent(first.at)
                } else {
                    Known::OtherContent(first.at)
                };
            }
            next = page.earlier;
        }
        let has_room = |page: &u32| (self.page(*page).length as usize) < PAGE;
        let number = latest.filter(has_room).unwrap_or_else(|| self.add_page(latest));
        self.chains[chain] = Some(number);
        let page = &mut self.blocks[number as usize / BLOCK][number as usize % BLOCK];
        page.entries[page.length as usize] = Seen { id, content, at };
        page.length += 1;
        Known::New
    }

    fn page(&self, number: u32) -> &Page {
        &self.blocks[number as usize / BLOCK][number as usize % BLOCK]
    }

    fn add_page(&mut self, earlier: Option<u32>) -> u32 {
        if self.blocks.last().is_none_or(|block| block.len() == BLOCK) {
            self.blocks.push(Vec::with_capacity(BLOCK));
        }
        let full = (self.blocks.len() - 1) * BLOCK;
        let block = &mut self.blocks[full / BLOCK];
        block.push(Page { earlier, ..Page::default() });
        // 2^32 pages would be 30 billion traces.
        u32::try_from(full + block.len() - 1).unwrap_or(u32::MAX)
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
        assert_eq!((size_of::<Seen>(), size_of::<Page>()), (16, 128));
    }

    #[test]
    fn ids_that_share_a_chain_are_distinguished() {
        let mut seen = SeenIds::default();
        // Enough for chains of several pages and for several blocks.
        let ids = 0..600_000_u32;
        assert!(ids.clone().all(|i| seen.note(&i.to_string(), b"", i) == Known::New));
        assert!(ids.rev().all(|i| seen.note(&i.to_string(), b"", 0) == Known::SameContent(i)));
    }
}
