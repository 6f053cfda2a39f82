//! A table of judgments on disk, so that memory does not grow with the requests that batches have: a hash table with open addressing, in a file
//! without a name.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::{Mutex, PoisonError};

use crate::feedback::AssessmentId;

/// Bytes of a slot: an id, and its place.
const SLOT: usize = 34;
/// Slots that are read at a time. Half of all are empty, so that one look nearly always finds the end of a row.
const WINDOW: usize = 16;

/// Where the answer to a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Its batch, by a number of the table's user.
    pub(super) source: u32,
    pub(super) state: State,
    /// Whether it was looked up.
    pub(super) is_settled: bool,
}

/// What is known of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Its batch has not ended.
    Pending,
    /// The results do not have it.
    NoResult,
    /// The results have it there.
    Result { offset: u64, length: u32 },
    /// Its result was used before.
    Used,
}

impl Place {
    pub(super) fn new(source: usize, state: State) -> Self {
        Self { source: source.try_into().unwrap_or(u32::MAX), state, is_settled: false }
    }

    fn to_slot(self, id: AssessmentId) -> [u8; SLOT] {
        let (state, offset, length) = match self.state {
            State::Pending => (1, 0, 0),
            State::NoResult => (2, 0, 0),
            State::Result { offset, length } => (3, offset, length),
            State::Used => (4, 0, 0),
        };
        let mut slot = [0; SLOT];
        slot[..16].copy_from_slice(id.as_bytes());
        slot[16..24].copy_from_slice(&u64::to_le_bytes(offset));
        slot[24..28].copy_from_slice(&u32::to_le_bytes(length));
        slot[28..32].copy_from_slice(&self.source.to_le_bytes());
        (slot[32], slot[33]) = (state, self.is_settled.into());
        slot
    }

    /// `None` for a slot that is empty.
    fn of_slot(slot: &[u8]) -> Option<Self> {
        let number = |from: usize| Some(u32::from_le_bytes(slot.get(from..from + 4)?.try_into().ok()?));
        let offset = u64::from_le_bytes(slot.get(16..24)?.try_into().ok()?);
        let state = match slot.get(32)? {
            1 => State::Pending,
            2 => State::NoResult,
            3 => State::Result { offset, length: number(24)? },
            4 => State::Used,
            _ => return None,
        };
        Some(Self { source: number(28)?, state, is_settled: *slot.get(33)? != 0 })
    }
}

/// The table. Several threads may ask it.
#[derive(Debug)]
pub(super) struct Table {
    file: Mutex<File>,
    slots: u64,
}

impl Table {
    /// A table for so many judgments at most.
    pub(super) fn new(judgments: u64) -> io::Result<Self> {
        Ok(Self { file: tempfile::tempfile()?.into(), slots: judgments * 2 })
    }

    /// What is known of a judgment.
    pub(super) fn get(&self, id: AssessmentId) -> io::Result<Option<Place>> {
        self.change(id, |_| None)
    }

    /// What was known of a judgment. If `change` makes something else of it, that is known from now on.
    pub(super) fn change(
        &self,
        id: AssessmentId,
        change: impl FnOnce(Option<Place>) -> Option<Place>,
    ) -> io::Result<Option<Place>> {
        if self.slots == 0 {
            return Ok(None);
        }
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let (slot, known) = find(&mut file, first_slot(id, self.slots), id)?;
        if let Some(place) = change(known) {
            file.seek(SeekFrom::Start(slot * SLOT as u64))?;
            file.write_all(&place.to_slot(id))?;
        }
        Ok(known)
    }
}

/// Ids are hashes: their first bits are as good as any.
fn first_slot(id: AssessmentId, slots: u64) -> u64 {
    let first = id.as_bytes()[..8].iter().fold(0_u128, |number, byte| (number << 8) | u128::from(*byte));
    ((first * u128::from(slots)) >> 64) as u64
}

/// The slot of an id, from its first one on; an empty one if it has none. A row may go on after the last slot.
fn find(file: &mut File, mut slot: u64, id: AssessmentId) -> io::Result<(u64, Option<Place>)> {
    let mut window = Vec::with_capacity(WINDOW * SLOT);
    loop {
        window.clear();
        file.seek(SeekFrom::Start(slot * SLOT as u64))?;
        Read::by_ref(file).take((WINDOW * SLOT) as u64).read_to_end(&mut window)?;
        // After the end of the file all are empty.
        window.resize(WINDOW * SLOT, 0);
        for bytes in window.chunks_exact(SLOT) {
            match Place::of_slot(bytes) {
                None => return Ok((slot, None)),
                known if bytes[..16] == id.as_bytes()[..] => return Ok((slot, known)),
                Some(_) => slot += 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::feedback::IdHasher;

    fn id(n: u32) -> AssessmentId {
        IdHasher::new("table").part(&n.to_le_bytes()).finish()
    }

    fn place(n: u32) -> Place {
        let states = [
            State::Pending,
            State::NoResult,
            State::Result { offset: u64::from(n) << 40, length: u32::MAX - n },
            State::Used,
        ];
        Place { is_settled: n.is_multiple_of(3), ..Place::new(n as usize, states[n as usize % 4]) }
    }

    #[test]
    fn it_is_a_map_from_ids_to_places() {
        let table = Table::new(500).unwrap();
        let mut expected = HashMap::new();
        // Each twice, so that what is known is replaced.
        for n in (0..1000).chain(500..1500) {
            let known = table.change(id(n % 500), |_| Some(place(n))).unwrap();
            assert_eq!(known, expected.insert(n % 500, place(n)));
        }
        for n in 0..700 {
            assert_eq!(table.get(id(n)).unwrap(), expected.get(&n).copied());
        }
    }

    #[test]
    fn rows_go_on_after_the_last_slot_and_an_empty_table_knows_nothing() {
        // More than it was made for, and all of them at its end.
        let table = Table::new(2).unwrap();
        let last = |n: u8| -> AssessmentId { format!("a-{}{n:02x}", "f".repeat(30)).parse().unwrap() };
        for n in 0..100 {
            assert_eq!(table.change(last(n), |_| Some(place(n.into()))).unwrap(), None);
        }
        assert!((0..100).all(|n| table.get(last(n)).unwrap() == Some(place(n.into()))));
        assert_eq!(table.get(last(100)).unwrap(), None);
        assert_eq!(Table::new(0).unwrap().get(id(1)).unwrap(), None);
    }
}
