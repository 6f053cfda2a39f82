//! Groups on disk what belongs together but is scattered: a temporary file holds the content, memory 24 bytes per item.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};

use crate::feedback::IdHasher;

/// Items by a key, in an unnamed file, which the system removes however the process ends.
#[derive(Debug)]
pub(crate) struct Gather {
    file: BufWriter<File>,
    items: Vec<Item>,
    length: u64,
}

#[derive(Debug, Clone, Copy)]
struct Item {
    /// A hash of the key; once sealed, where the group's first item is.
    group: u64,
    order: i64,
    offset: u64,
}

impl Gather {
    /// Starts empty, in the system's folder for temporary files (`TMPDIR`).
    ///
    /// # Errors
    /// When no file can be made there.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { file: BufWriter::with_capacity(1 << 16, tempfile::tempfile()?), items: Vec::new(), length: 0 })
    }

    /// Adds an item to the group of `key`. Within a group items are sorted by `order`, those of the same order as they arrived.
    ///
    /// # Errors
    /// When the disk is full.
    pub(crate) fn push(&mut self, key: &str, order: i64, bytes: &[u8]) -> io::Result<()> {
        let group = IdHasher::new("group").part(key.as_bytes()).finish_u64();
        self.items.push(Item { group, order, offset: self.length });
        self.file.write_all(&(bytes.len() as u64).to_le_bytes())?;
        self.file.write_all(bytes)?;
        self.length += size_of::<u64>() as u64 + bytes.len() as u64;
        Ok(())
    }

    /// The groups, in the order of their first items.
    ///
    /// # Errors
    /// When the last items cannot be written.
    pub(crate) fn into_groups(self) -> io::Result<Groups> {
        let Self { file, mut items, .. } = self;
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        items.sort_unstable_by_key(|item| (item.group, item.offset));
        for group in items.chunk_by_mut(|a, b| a.group == b.group) {
            let first = group.first().map_or(0, |item| item.offset);
            group.iter_mut().for_each(|item| item.group = first);
        }
        items.sort_unstable_by_key(|item| (item.group, item.order, item.offset));
        Ok(Groups { file: BufReader::with_capacity(1 << 16, file), position: None, items: items.into_iter() })
    }
}

/// The groups of a [`Gather`], one after the other.
#[derive(Debug)]
pub(crate) struct Groups {
    file: BufReader<File>,
    position: Option<u64>,
    items: std::vec::IntoIter<Item>,
}

impl Groups {
    fn read(&mut self, offset: u64) -> io::Result<Vec<u8>> {
        let distance = self.position.and_then(|position| i64::try_from(i128::from(offset) - i128::from(position)).ok());
        match distance {
            Some(distance) => self.file.seek_relative(distance)?,
            None => drop(self.file.seek(SeekFrom::Start(offset))?),
        }
        self.position = None;
        let mut length = [0; size_of::<u64>()];
        self.file.read_exact(&mut length)?;
        let length = u64::from_le_bytes(length);
        let mut bytes = Vec::new();
        (&mut self.file).take(length).read_to_end(&mut bytes)?;
        self.position = Some(offset + size_of::<u64>() as u64 + length);
        Ok(bytes)
    }
}

impl Iterator for Groups {
    type Item = io::Result<Vec<Vec<u8>>>;

    fn next(&mut self) -> Option<Self::Item> {
        let first = self.items.next()?;
        let rest = self.items.as_slice();
        let count = rest.iter().take_while(|item| item.group == first.group).count();
        let group: Vec<Item> = std::iter::once(first).chain(self.items.by_ref().take(count)).collect();
        Some(group.into_iter().map(|item| self.read(item.offset)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_come_in_the_order_of_their_first_items_and_items_in_theirs() {
        let mut gather = Gather::new().unwrap();
        for (key, order, text) in
            [("b", 5, "b5"), ("a", 2, "a2"), ("b", 3, "b3"), ("a", 2, "a2 again"), ("c", 0, ""), ("b", -1, "b-1")]
        {
            gather.push(key, order, text.as_bytes()).unwrap();
        }
        let groups: Vec<Vec<String>> = gather
            .into_groups()
            .unwrap()
            .map(|group| group.unwrap().into_iter().map(|bytes| String::from_utf8(bytes).unwrap()).collect())
            .collect();
        assert_eq!(groups, [vec!["b-1", "b3", "b5"], vec!["a2", "a2 again"], vec![""]]);
        assert_eq!(size_of::<Item>(), 24);
    }

    #[test]
    fn items_larger_than_any_buffer_are_read_back() {
        let mut gather = Gather::new().unwrap();
        let large = vec![7_u8; 300_000];
        for key in ["a", "b", "a"] {
            gather.push(key, 0, &large).unwrap();
        }
        let sizes: Vec<usize> = gather.into_groups().unwrap().map(|group| group.unwrap().len()).collect();
        assert_eq!(sizes, [2, 1]);
        assert!(Gather::new().unwrap().into_groups().unwrap().next().is_none());
    }
}
