//! What this process wrote to a log: enough to find it missing, and to put it back.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Seek, Write};
use std::path::Path;

/// Lines that this process appended, and where they should be.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// Records of others that the log has.
    of_others: u64,
    lines: u64,
    /// How long the log is at least.
    end: u64,
    /// The last line, and where it begins.
    last: (u64, Vec<u8>),
    copies: Copies,
    /// The log was shorter than it should be.
    is_cut: bool,
}

/// The lines once more, in an unnamed file next to the log.
#[derive(Debug, Default)]
enum Copies {
    #[default]
    None,
    Kept(BufWriter<File>),
    /// They cannot be kept, or their space is needed.
    Dropped,
}

impl Written {
    /// For a log of this length, with this number of records.
    pub(super) fn begin(of_others: u64, end: u64) -> Self {
        Self { of_others, end, ..Self::default() }
    }

    /// Where the next line begins if no other process writes.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Notes a line that was appended at `start` to the log at this path.
    pub(super) fn add(&mut self, line: &[u8], start: u64, log: &Path) {
        self.reaches(start, start + line.len() as u64);
        self.lines += 1;
        self.last.0 = start;
        self.last.1.clear();
        self.last.1.extend_from_slice(line);
        let folder = log.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if let Copies::None = self.copies {
            let new = tempfile::tempfile_in(folder).map(|file| BufWriter::with_capacity(1 << 16, file));
            self.copies = new.map_or(Copies::Dropped, Copies::Kept);
        }
        if let Copies::Kept(copies) = &mut self.copies
            && copies.write_all(line).is_err()
        {
            self.drop_copies();
        }
    }

    /// Notes that this process wrote from `start` to `end`.
    pub(super) fn reaches(&mut self, start: u64, end: u64) {
        self.is_cut |= start < self.end;
        self.end = end;
    }

    /// Notes that the log, now of this length, again has what this process wrote, and this number of others' records.
    pub(super) fn is_whole_again(&mut self, of_others: u64, end: u64) {
        self.of_others = of_others;
        if let Copies::Dropped | Copies::None = self.copies {
            self.lines = 0;
        }
        self.end = end;
        self.last.1.clear();
        self.is_cut = false;
    }

    /// Frees the space that the copies take.
    pub(super) fn drop_copies(&mut self) {
        self.copies = Copies::Dropped;
    }

    /// Whether something is missing in a log of this length. `read` gives the bytes from a position on.
    pub(super) fn is_missing(
        &self,
        length: u64,
        read: impl FnOnce(u64, &mut [u8]) -> io::Result<()>,
    ) -> io::Result<bool> {
        if self.is_cut || length < self.end {
            return Ok(true);
        }
        let (start, last) = &self.last;
        let mut there = vec![0; last.len()];
        read(*start, &mut there)?;
        Ok(there != *last)
    }

    /// The lines from the first to the last; `None` if they were not kept.
    pub(super) fn copies(&mut self) -> io::Result<Option<BufReader<File>>> {
        let Copies::Kept(copies) = &mut self.copies else { return Ok(None) };
        copies.flush()?;
        let mut file = copies.get_ref().try_clone()?;
        file.rewind()?;
        Ok(Some(BufReader::with_capacity(1 << 16, file)))
    }

    /// The least number of records that the log should have, apart from those known by their copies.
    pub(super) fn expected_records(&self, has_copies: bool) -> u64 {
        self.of_others + if has_copies { 0 } else { self.lines }
    }
}
