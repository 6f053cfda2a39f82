//! The records of a file, in whatever framing.

use std::io::{self, BufRead, Chain, Cursor};

use crate::dataset::framing::detect::{Detected, Framing, Known, detect};
use crate::dataset::framing::elements::Elements;
use crate::dataset::framing::limits::UTF8_BOM;
use crate::dataset::framing::lines::Lines;
use crate::dataset::framing::record::Record;
use crate::dataset::framing::scan::Scan;
use crate::dataset::framing::table::Rows;
use crate::dataset::mapping::Mapping;
use crate::dataset::source::look_at;

type Text = Chain<Cursor<Vec<u8>>, Box<dyn BufRead + Send>>;

/// The records of a file.
pub(crate) enum Records {
    Lines(Lines<Text>),
    Json(Elements<Text>),
    Table(Rows<Text>),
}

impl Records {
    /// Looks at the beginning of a text, whose `head` has been read, and begins to read it.
    ///
    /// # Errors
    /// When reading fails; the inner error is why the header of a table cannot be used.
    pub(crate) fn open(
        name: &str,
        head: Vec<u8>,
        mut text: Box<dyn BufRead + Send>,
        forced: Option<Framing>,
        mappings: &[Mapping],
        max_bytes: usize,
    ) -> io::Result<Result<Self, String>> {
        let known = Known { forced, named: Framing::of_name(name) };
        let (mut head, detected) = look_at(head, &mut text, |head, is_end| detect(head, is_end, known))?;
        let detected = detected.unwrap_or(Detected::Lines);
        let mut before = 0;
        // Lines skip the mark themselves.
        if detected != Detected::Lines && head.starts_with(UTF8_BOM) {
            before = UTF8_BOM.len();
            head.drain(..before);
        }
        let text = io::Read::chain(Cursor::new(head), text);
        let before = before as u64;
        Ok(match detected {
            Detected::Lines => Ok(Self::Lines(Lines::new(text, max_bytes))),
            Detected::Json => Ok(Self::Json(Elements::new(Scan::new(text, max_bytes, before)))),
            Detected::Table(delimiter) => {
                Rows::open(Scan::new(text, max_bytes, before), delimiter, mappings)?.map(Self::Table)
            }
        })
    }

    /// The next one that is not blank; `None` at the end.
    pub(crate) fn next_record(&mut self) -> io::Result<Option<Record<'_>>> {
        match self {
            Self::Lines(lines) => lines.next_line(),
            Self::Json(elements) => elements.next_element(),
            Self::Table(rows) => rows.next_row(),
        }
    }

    /// Bytes of the text read so far.
    pub(crate) fn consumed(&self) -> u64 {
        match self {
            Self::Lines(lines) => lines.consumed(),
            Self::Json(elements) => elements.scan().consumed(),
            Self::Table(rows) => rows.scan().consumed(),
        }
    }

    /// Lines read so far, the blank ones included.
    pub(crate) fn lines(&self) -> u64 {
        match self {
            Self::Lines(lines) => lines.lines(),
            Self::Json(elements) => elements.scan().lines(),
            Self::Table(rows) => rows.scan().lines(),
        }
    }

    /// Blank records so far; they are skipped.
    pub(crate) fn blank(&self) -> u64 {
        match self {
            Self::Lines(lines) => lines.blank(),
            Self::Json(_) => 0,
            Self::Table(rows) => rows.blank(),
        }
    }
}
