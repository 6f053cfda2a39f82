//! Raw lines of any reader, one at a time, in one buffer of bounded size.
//!
//! Lines end at `\n` and nowhere else: U+2028 and its like are data inside JSON strings.

use std::io::{self, BufRead, ErrorKind};

use crate::dataset::framing::limits::{BUFFER_BYTES, HEAD_BYTES, UTF8_BOM};
use crate::dataset::framing::record::{Content, Record};

/// Reads lines; see the module.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    max_line_bytes: usize,
    lines: u64,
    blank: u64,
    consumed: u64,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(reader: R, max_line_bytes: usize) -> Self {
        Self { reader, buffer: Vec::new(), max_line_bytes, lines: 0, blank: 0, consumed: 0 }
    }

    /// Bytes read so far.
    pub(crate) fn consumed(&self) -> u64 {
        self.consumed
    }

    /// Lines read so far, the blank ones included.
    pub(crate) fn lines(&self) -> u64 {
        self.lines
    }

    /// Blank lines so far; they are skipped.
    pub(crate) fn blank(&self) -> u64 {
        self.blank
    }

    /// The next line that is not blank; `None` at the end.
    pub(crate) fn next_line(&mut self) -> io::Result<Option<Record<'_>>> {
        loop {
            let mut byte_offset = self.consumed;
            let Some(length) = self.fill()? else { return Ok(None) };
            self.lines += 1;
            let mut start = 0;
            // Each of several concatenated files may begin with a mark.
            if self.buffer.starts_with(UTF8_BOM) {
                start = UTF8_BOM.len();
                byte_offset += start as u64;
            }
            let is_too_long = length > self.max_line_bytes as u64;
            let end = self.buffer.len() - usize::from(!is_too_long && self.buffer.ends_with(b"\r"));
            let blank = self.buffer.get(start..end).is_none_or(|line| line.trim_ascii().is_empty());
            if blank && !is_too_long {
                self.blank += 1;
                continue;
            }
            let bytes = self.buffer.get(start..end).unwrap_or_default();
            let content =
                if is_too_long { Content::TooLong("line", self.max_line_bytes as u64) } else { Content::Line };
            return Ok(Some(Record { bytes, length, line: self.lines, byte_offset, content }));
        }
    }

    /// Reads to the end of the line; returns its length without the `\n`, or `None` at the end of the file. A line over the limit
    /// leaves only its head in the buffer.
    fn fill(&mut self) -> io::Result<Option<u64>> {
        if self.buffer.capacity() > BUFFER_BYTES {
            self.buffer = Vec::new();
        }
        self.buffer.clear();
        let mut length = 0;
        loop {
            let chunk = match self.reader.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if chunk.is_empty() {
                return Ok((length > 0).then_some(length));
            }
            let newline = memchr::memchr(b'\n', chunk);
            let part = chunk.get(..newline.unwrap_or(chunk.len())).unwrap_or(chunk);
            length += part.len() as u64;
            if length <= self.max_line_bytes as u64 {
                self.buffer.extend_from_slice(part);
            } else {
                let room = HEAD_BYTES.saturating_sub(self.buffer.len()).min(part.len());
                self.buffer.extend_from_slice(part.get(..room).unwrap_or_default());
                self.buffer.truncate(HEAD_BYTES);
            }
            let taken = part.len() + usize::from(newline.is_some());
            self.reader.consume(taken);
            self.consumed += taken as u64;
            if newline.is_some() {
                return Ok(Some(length));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use proptest::prelude::*;

    use super::*;

    /// Number, offset, text of every line, read through a buffer of `chunk` bytes.
    fn all(bytes: &[u8], chunk: usize, max: usize) -> Vec<(u64, u64, Vec<u8>, Option<u64>)> {
        let mut lines = Lines::new(BufReader::with_capacity(chunk, bytes), max);
        let mut found = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            let too_long = matches!(line.content, Content::TooLong(..)).then_some(line.length);
            found.push((line.line, line.byte_offset, line.bytes.to_vec(), too_long));
        }
        assert_eq!(lines.consumed(), bytes.len() as u64);
        found
    }

    fn line(number: u64, offset: u64, text: &str) -> (u64, u64, Vec<u8>, Option<u64>) {
        (number, offset, text.as_bytes().to_vec(), None)
    }

    #[test]
    fn bom_blank_lines_and_crlf_are_no_data() {
        let found = all(b"\xef\xbb\xbf{1}\r\n\r\n \t\n{2}\n\n{3}", 3, 100);
        assert_eq!(found, [line(1, 3, "{1}"), line(4, 13, "{2}"), line(6, 18, "{3}")]);
        assert_eq!(all(b"\xef\xbb\xbf\n\xef\xbb\xbf{1}", 64, 100), [line(2, 7, "{1}")], "each file has its own mark");
        assert_eq!(all(b"", 64, 100), []);
    }

    #[test]
    fn other_line_ends_of_unicode_are_data() {
        let text = "{\"a\u{2028}b\u{85}\u{2029}\x0b\x0c\"}";
        assert_eq!(all(format!("{text}\n").as_bytes(), 4, 100), [line(1, 0, text)]);
    }

    #[test]
    fn a_line_over_the_limit_is_skipped_to_its_end_and_only_its_head_kept() {
        let long = "x".repeat(5000);
        let found = all(format!("{long}\nok\n{long}").as_bytes(), 64, 4999);
        let head = long.as_bytes()[..HEAD_BYTES].to_vec();
        assert_eq!(found, [(1, 0, head.clone(), Some(5000)), line(2, 5001, "ok"), (3, 5004, head, Some(5000))]);
        assert_eq!(all(long.as_bytes(), 64, 5000), [line(1, 0, &long)], "the limit itself is allowed");
        let mut lines = Lines::new(BufReader::with_capacity(64, long.as_bytes()), 200);
        lines.next_line().unwrap();
        assert!(lines.buffer.capacity() <= 2 * HEAD_BYTES, "{}", lines.buffer.capacity());
    }

    #[test]
    fn a_limit_below_the_head_still_says_what_the_line_was() {
        assert_eq!(all(b"abcdef\ng", 2, 3), [(1, 0, b"abcdef".to_vec(), Some(6)), line(2, 7, "g")]);
    }

    proptest! {
        #[test]
        fn the_size_of_the_chunks_has_no_part_in_it(text in "[ab \r\n]{0,40}", chunk in 1_usize..8, max in 1_usize..8) {
            prop_assert_eq!(all(text.as_bytes(), chunk, max), all(text.as_bytes(), 1000, max));
        }
    }
}
