//! Rows of a table and their cells.
//!
//! Source: RFC 4180, as lenient as the `csv` crate, which gives rows neither their bytes nor a limit.

use std::io::{self, BufRead};

use crate::dataset::framing::scan::Scan;

pub(crate) fn without_end(row: &[u8]) -> &[u8] {
    let row = row.strip_suffix(b"\n").unwrap_or(row);
    row.strip_suffix(b"\r").unwrap_or(row)
}

/// Reads a row with its line end; false if it ends inside quotes.
pub(crate) fn read_row(scan: &mut Scan<impl BufRead>, delimiter: u8) -> io::Result<bool> {
    let mut cell = Cell::Begins;
    loop {
        let chunk = scan.peek()?;
        if chunk.is_empty() {
            return Ok(!matches!(cell, Cell::Quoted));
        }
        let mut at = 0;
        let end = loop {
            let rest = chunk.get(at..).unwrap_or_default();
            at += cell.run(rest, delimiter);
            let Some(&byte) = chunk.get(at) else { break None };
            at += 1;
            if byte == b'\n' && !matches!(cell, Cell::Quoted) {
                break Some(at);
            }
            cell = cell.after(byte, delimiter);
        };
        let length = end.unwrap_or(chunk.len());
        scan.take(length)?;
        if end.is_some() {
            return Ok(true);
        }
    }
}

/// The delimiter that a spreadsheet's first line names: `sep=;`.
pub(crate) fn separator(line: &[u8]) -> Option<u8> {
    let line = line.trim_ascii();
    let line = line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\"")).unwrap_or(line);
    match line.split_at_checked(4)? {
        (name, [delimiter]) if name.eq_ignore_ascii_case(b"sep=") => Some(*delimiter),
        // A tab was trimmed.
        (name, []) if name.eq_ignore_ascii_case(b"sep=") => Some(b'\t'),
        _ => None,
    }
}

/// Where in a cell the reading is.
#[derive(Debug, Clone, Copy)]
enum Cell {
    Begins,
    Plain,
    Quoted,
    /// The end of the cell, or the first of two quotes that mean one.
    AfterQuote,
}

impl Cell {
    /// The state after one more byte.
    fn after(self, byte: u8, delimiter: u8) -> Self {
        match (self, byte) {
            (Self::Quoted, b'"') => Self::AfterQuote,
            (Self::Quoted, _) | (Self::Begins | Self::AfterQuote, b'"') => Self::Quoted,
            (_, byte) if byte == delimiter => Self::Begins,
            _ => Self::Plain,
        }
    }

    /// The number of bytes before the next significant one.
    fn run(self, bytes: &[u8], delimiter: u8) -> usize {
        let next = match self {
            Self::Quoted => memchr::memchr(b'"', bytes),
            Self::Plain => memchr::memchr2(delimiter, b'\n', bytes),
            Self::Begins | Self::AfterQuote => Some(0),
        };
        next.unwrap_or(bytes.len())
    }
}

/// The cells of a row, without their quotes.
pub(crate) fn cells(row: &[u8], delimiter: u8) -> Vec<Vec<u8>> {
    let mut rest = without_end(row);
    let mut cells = Vec::new();
    let mut text = Vec::new();
    let mut cell = Cell::Begins;
    loop {
        let (run, after) = rest.split_at(cell.run(rest, delimiter));
        text.extend_from_slice(run);
        let Some((&byte, after)) = after.split_first() else { break };
        rest = after;
        let next = cell.after(byte, delimiter);
        match (cell, next) {
            (_, Cell::Begins) => cells.push(std::mem::take(&mut text)),
            (Cell::Begins, Cell::Quoted) | (_, Cell::AfterQuote) => {}
            _ => text.push(byte),
        }
        cell = next;
    }
    cells.push(text);
    cells
}
