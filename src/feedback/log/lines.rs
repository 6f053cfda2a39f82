//! The lines of a log, from beginning to end, or one by its position.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use crate::feedback::Feedback;
use crate::feedback::history::Facts;

/// Calls `take` with each non-blank line: where it begins, its bytes with the newline, and the record's facts if it is a record.
pub(super) fn for_each_line(file: &File, mut take: impl FnMut(u64, &[u8], Option<Facts<'_>>)) -> io::Result<()> {
    for_each_raw_line(file, |start, line| {
        take(start, line, Facts::read(line));
        Ok(())
    })
}

/// The same with the bytes alone. Ends where the file ends now: others may append faster than this reads.
pub(super) fn for_each_raw_line(mut file: &File, mut take: impl FnMut(u64, &[u8]) -> io::Result<()>) -> io::Result<()> {
    let metadata = file.metadata()?;
    let end = if metadata.is_file() { metadata.len() } else { u64::MAX };
    file.seek(SeekFrom::Start(0))?;
    let mut reader = BufReader::with_capacity(1 << 16, file.take(end));
    let mut line = Vec::new();
    let mut start = 0;
    loop {
        line.clear();
        let length = reader.read_until(b'\n', &mut line)? as u64;
        if length == 0 {
            return Ok(());
        }
        if !line.iter().all(u8::is_ascii_whitespace) {
            take(start, &line)?;
        }
        start += length;
    }
}

/// Reads lines at mostly ascending places.
#[derive(Debug)]
pub(in crate::feedback) struct LineReader {
    reader: BufReader<File>,
    position: u64,
}

impl LineReader {
    pub(in crate::feedback) fn new(mut file: File) -> io::Result<Self> {
        file.seek(SeekFrom::Start(0))?;
        Ok(Self { reader: BufReader::with_capacity(1 << 16, file), position: 0 })
    }

    /// Puts the line that begins at `offset` into `line`, without its end.
    pub(super) fn read(&mut self, offset: u64, line: &mut Vec<u8>) -> io::Result<()> {
        line.clear();
        match i64::try_from(i128::from(offset) - i128::from(self.position)) {
            Ok(distance) => self.reader.seek_relative(distance)?,
            Err(_) => drop(self.reader.seek(SeekFrom::Start(offset))?),
        }
        self.position = offset + self.reader.read_until(b'\n', line)? as u64;
        while line.last().is_some_and(u8::is_ascii_whitespace) {
            line.pop();
        }
        Ok(())
    }

    /// The record that begins at `offset`.
    pub(in crate::feedback) fn record(&mut self, offset: u64) -> io::Result<Feedback> {
        let mut line = Vec::new();
        self.read(offset, &mut line)?;
        let text = std::str::from_utf8(&line).map_err(io::Error::other)?;
        Feedback::from_json(text).map_err(io::Error::other)
    }
}
