//! Text that is not UTF-8 but says so by its first bytes: UTF-16, as PowerShell's `>` writes it.

use std::io::{self, BufRead, Read};

/// The encoding of a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Encoding {
    #[default]
    Utf8,
    Utf16Le,
    Utf16Be,
}

/// The encoding of a text that begins like this, by its byte order mark or by the zeros of its first characters; `None` if more bytes may decide.
pub(crate) fn detect(head: &[u8], is_end: bool) -> Option<Encoding> {
    match head {
        [0xff, 0xfe, ..] => Some(Encoding::Utf16Le),
        [0xfe, 0xff, ..] => Some(Encoding::Utf16Be),
        [first, 0, ..] if first.is_ascii_graphic() => Some(Encoding::Utf16Le),
        [0, second, ..] if second.is_ascii_graphic() => Some(Encoding::Utf16Be),
        [_, _, ..] => Some(Encoding::Utf8),
        [white] if white.is_ascii_whitespace() => Some(Encoding::Utf8),
        _ => is_end.then_some(Encoding::Utf8),
    }
}

/// A text in UTF-16, read as UTF-8. Halves of surrogate pairs, and half of a unit at the end, become U+FFFD.
pub(crate) struct Utf16Text<R> {
    reader: R,
    is_little: bool,
    /// Decoded and not yet taken.
    text: Vec<u8>,
    taken: usize,
    /// The first byte of a unit.
    byte: Option<u8>,
    /// The first unit of a pair.
    high: Option<u16>,
}

impl<R: BufRead> Utf16Text<R> {
    pub(crate) fn new(reader: R, encoding: Encoding) -> Self {
        let is_little = encoding == Encoding::Utf16Le;
        Self { reader, is_little, text: Vec::new(), taken: 0, byte: None, high: None }
    }

    fn decode(&mut self) -> io::Result<()> {
        self.text.clear();
        self.taken = 0;
        while self.text.is_empty() {
            let chunk = self.reader.fill_buf()?;
            let length = chunk.len();
            if length == 0 {
                let is_torn = self.byte.take().is_some() | self.high.take().is_some();
                if is_torn {
                    push(&mut self.text, char::REPLACEMENT_CHARACTER);
                }
                return Ok(());
            }
            for &byte in chunk {
                let Some(first) = self.byte.take() else {
                    self.byte = Some(byte);
                    continue;
                };
                let unit = if self.is_little { [first, byte] } else { [byte, first] };
                let unit = u16::from_le_bytes(unit);
                let units = [self.high.take(), Some(unit)];
                if (0xd800..0xdc00).contains(&unit) {
                    if units[0].is_some() {
                        push(&mut self.text, char::REPLACEMENT_CHARACTER);
                    }
                    self.high = Some(unit);
                    continue;
                }
                for char in char::decode_utf16(units.into_iter().flatten()) {
                    push(&mut self.text, char.unwrap_or(char::REPLACEMENT_CHARACTER));
                }
            }
            self.reader.consume(length);
        }
        Ok(())
    }
}

fn push(text: &mut Vec<u8>, char: char) {
    text.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
}

impl<R: BufRead> BufRead for Utf16Text<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.taken >= self.text.len() {
            self.decode()?;
        }
        Ok(self.text.get(self.taken..).unwrap_or_default())
    }

    fn consume(&mut self, n: usize) {
        self.taken += n;
    }
}

impl<R: BufRead> Read for Utf16Text<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let chunk = self.fill_buf()?;
        let n = chunk.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..n), chunk.get(..n)) {
            to.copy_from_slice(from);
        }
        self.consume(n);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use proptest::prelude::*;

    use super::*;

    fn decode(bytes: &[u8], encoding: Encoding, chunk: usize) -> String {
        let mut text = String::new();
        Utf16Text::new(BufReader::with_capacity(chunk, bytes), encoding).read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn the_first_bytes_decide() {
        assert_eq!(detect(b"\xff\xfe{", false), Some(Encoding::Utf16Le));
        assert_eq!(detect(b"\xfe\xff\0", false), Some(Encoding::Utf16Be));
        assert_eq!(detect(b"{\0\"\0", false), Some(Encoding::Utf16Le));
        assert_eq!(detect(b"\0{", false), Some(Encoding::Utf16Be));
        for utf8 in [b"{}".as_slice(), b"\n", b"\xef\xbb\xbf", b"\0\0"] {
            assert_eq!(detect(utf8, false), Some(Encoding::Utf8), "{utf8:?}");
        }
        assert_eq!((detect(b"{", false), detect(b"", false)), (None, None));
        assert_eq!((detect(b"{", true), detect(b"", true)), (Some(Encoding::Utf8), Some(Encoding::Utf8)));
    }

    #[test]
    fn what_is_torn_is_replaced() {
        assert_eq!(decode(b"a\0\x3d\xd8b\0", Encoding::Utf16Le, 3), "a\u{fffd}b");
        assert_eq!(decode(b"\x3d\xd8\x3d\xd8\0\xde", Encoding::Utf16Le, 3), "\u{fffd}😀");
        assert_eq!(decode(b"a\0b", Encoding::Utf16Le, 3), "a\u{fffd}");
        assert_eq!(decode(b"a\0\x3d\xd8", Encoding::Utf16Le, 9), "a\u{fffd}");
        assert_eq!(decode(b"\0\xdc", Encoding::Utf16Le, 9), "\u{fffd}");
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text: String, chunk in 1_usize..9) {
            let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
            prop_assert_eq!(&decode(&little, Encoding::Utf16Le, chunk), &text);
            prop_assert_eq!(&decode(&big, Encoding::Utf16Be, chunk), &text);
        }
    }
}
