//! A table as spreadsheets save it: with another delimiter, in another encoding.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use ::csv::{Reader, ReaderBuilder, StringRecord};

use super::csv;
use super::error::ConvertError;
use crate::files::encoding::{self, Encoding, Utf16Text};

const BUFFER_BYTES: usize = 1 << 16;
/// The first line is looked at up to this length.
const MAX_HEAD_BYTES: u64 = 1 << 20;
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
const UTF8_BOM: &[u8] = b"\xef\xbb\xbf";

/// A text, and its first line, which is not yet read.
pub(super) struct Text {
    pub reader: Box<dyn BufRead>,
    pub head: Vec<u8>,
    /// Whether it is as in the file.
    pub is_utf8: bool,
}

impl Text {
    pub(super) fn open(reader: Box<dyn Read>) -> io::Result<Self> {
        let (head, reader) = with_head(Box::new(BufReader::with_capacity(BUFFER_BYTES, reader)))?;
        match encoding::detect(&head, true).unwrap_or_default() {
            Encoding::Utf8 => Ok(Self { reader, head, is_utf8: true }),
            utf16 => {
                let (head, reader) = with_head(Box::new(BufReader::new(Utf16Text::new(reader, utf16))))?;
                Ok(Self { reader, head, is_utf8: false })
            }
        }
    }

    /// The first line without a byte order mark.
    pub(super) fn first_line(&self) -> &[u8] {
        self.head.strip_prefix(UTF8_BOM).unwrap_or(&self.head)
    }

    /// Reads it as a table, whatever its delimiter, and its header.
    pub(super) fn table(mut self) -> Result<(Reader<Box<dyn BufRead>>, StringRecord), ConvertError> {
        let named = named_delimiter(self.first_line());
        if named.is_some() {
            self.reader.read_until(b'\n', &mut Vec::new()).map_err(ConvertError::Read)?;
            (self.head, self.reader) = with_head(self.reader).map_err(ConvertError::Read)?;
        }
        let is_known =
            |delimiter: &u8| header(self.first_line(), *delimiter).is_some_and(|header| csv::is_known(&header));
        let delimiter = named.or_else(|| DELIMITERS.into_iter().find(is_known)).unwrap_or(b',');
        // We report rows of another length ourselves, with their lines.
        let mut reader = ReaderBuilder::new().flexible(true).delimiter(delimiter).from_reader(self.reader);
        let header = reader.headers().map_err(csv::broken)?.clone();
        Ok((reader, header))
    }
}

fn with_head(mut reader: Box<dyn BufRead>) -> io::Result<(Vec<u8>, Box<dyn BufRead>)> {
    let mut head = Vec::new();
    // Empty lines say nothing.
    while head.trim_ascii().is_empty() && reader.by_ref().take(MAX_HEAD_BYTES).read_until(b'\n', &mut head)? > 0 {}
    Ok((head.clone(), Box::new(Cursor::new(head).chain(reader))))
}

/// The delimiter that Excel's first line names: `sep=;`.
fn named_delimiter(line: &[u8]) -> Option<u8> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\"")).unwrap_or(line);
    match line.split_at_checked(4)? {
        (name, [delimiter]) if name.eq_ignore_ascii_case(b"sep=") => Some(*delimiter),
        _ => None,
    }
}

fn header(line: &[u8], delimiter: u8) -> Option<StringRecord> {
    let mut reader = ReaderBuilder::new().has_headers(false).delimiter(delimiter).from_reader(line);
    reader.records().next()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(bytes: &[u8]) -> Vec<Vec<String>> {
        let (mut reader, header) = Text::open(Box::new(Cursor::new(bytes.to_vec()))).unwrap().table().unwrap();
        let rows = std::iter::once(header).chain(reader.records().map(Result::unwrap));
        rows.map(|row| row.iter().map(ToOwned::to_owned).collect()).collect()
    }

    #[test]
    fn every_delimiter_and_encoding_gives_the_same_rows() {
        let expected = [["trace_id", "name", "value"], ["t;1", "j,k", "true"]];
        let table = |delimiter: &str| {
            format!("trace_id{delimiter}name{delimiter}value\r\n\"t;1\"{delimiter}\"j,k\"{delimiter}true\r\n")
        };
        for delimiter in [",", ";", "\t", "|"] {
            let plain = table(delimiter);
            let utf16 = |bytes: fn(u16) -> [u8; 2]| format!("\u{feff}{plain}").encode_utf16().flat_map(bytes).collect();
            for bytes in [
                plain.clone().into_bytes(),
                format!("\u{feff}{plain}").into_bytes(),
                format!("sep={delimiter}\r\n{plain}").into_bytes(),
                format!("\u{feff}\"sep={delimiter}\"\n{plain}").into_bytes(),
                utf16(u16::to_le_bytes),
                utf16(u16::to_be_bytes),
            ] {
                assert_eq!(rows(&bytes), expected, "{delimiter:?} {bytes:?}");
            }
        }
        let wide = rows(b"trace_id;safety;safety error_code\nt;1;\n");
        assert_eq!(wide[1], ["t", "1", ""]);
    }
}
