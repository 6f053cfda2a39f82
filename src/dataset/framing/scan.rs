//! A reader's bytes with their places, and those of the current record in one buffer of bounded size.

use std::io::{self, BufRead, ErrorKind};

use crate::dataset::framing::limits::{BUFFER_BYTES, HEAD_BYTES};

/// Where something begins.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Start {
    pub line: u64,
    pub byte_offset: u64,
}

pub(crate) struct Scan<R> {
    reader: R,
    /// The current record; only its first bytes when it is over the limit.
    pub buffer: Vec<u8>,
    /// The current record's length.
    pub length: u64,
    max_bytes: usize,
    consumed: u64,
    newlines: u64,
    /// The number of bytes of white space at the beginning of the current line, while there was nothing else.
    pub indent: Option<u64>,
}

impl<R: BufRead> Scan<R> {
    /// `consumed` is the number of preceding bytes of the file, such as a byte order mark.
    pub(crate) fn new(reader: R, max_bytes: usize, consumed: u64) -> Self {
        Self { reader, buffer: Vec::new(), length: 0, max_bytes, consumed, newlines: 0, indent: Some(0) }
    }

    pub(crate) fn consumed(&self) -> u64 {
        self.consumed
    }

    /// Lines that were begun.
    pub(crate) fn lines(&self) -> u64 {
        self.newlines + 1
    }

    pub(crate) fn here(&self) -> Start {
        Start { line: self.lines(), byte_offset: self.consumed }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.length > self.max_bytes as u64
    }

    /// The length that a record may have.
    pub(crate) fn max_bytes(&self) -> u64 {
        self.max_bytes as u64
    }

    /// The available bytes; empty at the end.
    pub(crate) fn peek(&mut self) -> io::Result<&[u8]> {
        while let Err(error) = self.reader.fill_buf() {
            if error.kind() != ErrorKind::Interrupted {
                return Err(error);
            }
        }
        self.reader.fill_buf()
    }

    /// Begins a record at the next byte.
    pub(crate) fn begin(&mut self) -> Start {
        if self.buffer.capacity() > BUFFER_BYTES {
            self.buffer = Vec::new();
        }
        self.buffer.clear();
        self.length = 0;
        self.here()
    }

    /// Moves the next `n` available bytes into the record.
    pub(crate) fn take(&mut self, n: usize) -> io::Result<()> {
        let chunk = self.reader.fill_buf()?;
        let part = chunk.get(..n).unwrap_or(chunk);
        self.length += part.len() as u64;
        if self.length <= self.max_bytes as u64 {
            self.buffer.extend_from_slice(part);
        } else {
            let room = HEAD_BYTES.saturating_sub(self.buffer.len()).min(part.len());
            self.buffer.extend_from_slice(part.get(..room).unwrap_or_default());
            self.buffer.truncate(HEAD_BYTES);
        }
        self.skip(n)
    }

    /// Skips the next `n` bytes.
    pub(crate) fn skip(&mut self, n: usize) -> io::Result<()> {
        let chunk = self.reader.fill_buf()?;
        let part = chunk.get(..n).unwrap_or(chunk);
        let after_newline = match memchr::memrchr(b'\n', part) {
            Some(at) => {
                self.newlines += memchr::memchr_iter(b'\n', part).count() as u64;
                self.indent = Some(0);
                part.get(at + 1..).unwrap_or_default()
            }
            None => part,
        };
        let is_blank = after_newline.iter().all(u8::is_ascii_whitespace);
        self.indent = self.indent.filter(|_| is_blank).map(|indent| indent + after_newline.len() as u64);
        let n = part.len();
        self.consumed += n as u64;
        self.reader.consume(n);
        Ok(())
    }
}
