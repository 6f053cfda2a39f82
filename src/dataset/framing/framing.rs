//! How the objects of a file follow each other, told by its first lines.

use std::io::{self, BufRead, Chain, Cursor};

use crate::dataset::framing::elements::Elements;
use crate::dataset::framing::lines::Lines;
use crate::dataset::framing::lines::UTF8_BOM;
use crate::dataset::framing::record::Record;
use crate::dataset::framing::scan::Scan;
use crate::dataset::framing::table::{Rows, cells};
use crate::dataset::mapping::Mapping;
use crate::dataset::source::container::look_at;

/// The first lines are looked at up to this length.
const MOST_BYTES: usize = 64 << 10;

/// How the objects of a file follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// JSONL: one object a line.
    Lines,
    /// JSON: a list of objects, or objects one after the other, over any lines.
    Json,
    /// CSV: an object is a row; the delimiter is the comma or the semicolon, whichever the header has more of.
    Csv,
    /// A table with tabs.
    Tsv,
}

impl Framing {
    /// By the names that users know.
    pub const ALL: [(&'static str, Self); 4] =
        [("jsonl", Self::Lines), ("json", Self::Json), ("csv", Self::Csv), ("tsv", Self::Tsv)];

    /// The table that a file's name promises.
    fn of_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let name = [".gz", ".zst", ".zstd"].iter().find_map(|packed| name.strip_suffix(packed)).unwrap_or(&name);
        [(".csv", Self::Csv), (".tsv", Self::Tsv)]
            .iter()
            .find(|(end, _)| name.ends_with(end))
            .map(|(_, framing)| *framing)
    }
}

/// A framing, with a table's delimiter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Lines,
    Json,
    Table(u8),
}

/// What is known before the first byte.
#[derive(Debug, Clone, Copy, Default)]
struct Said {
    /// What the user says.
    forced: Option<Framing>,
    /// What the name says; content that is plainly something else is stronger.
    named: Option<Framing>,
}

/// What begins so; `None` if the lines to come may tell.
fn told(head: &[u8], is_end: bool, said: Said) -> Option<Told> {
    match said.forced {
        Some(Framing::Lines) => return Some(Told::Lines),
        // A mark is to be seen whole.
        Some(Framing::Json) => return (is_end || head.len() >= UTF8_BOM.len()).then_some(Told::Json),
        _ => {}
    }
    let is_all = is_end || head.len() >= MOST_BYTES;
    let head = head.get(..MOST_BYTES).unwrap_or(head);
    if !is_all && head.len() < UTF8_BOM.len() && UTF8_BOM.starts_with(head) {
        return None;
    }
    let head = head.strip_prefix(UTF8_BOM).unwrap_or(head).trim_ascii_start();
    let Some(first) = head.first() else { return is_all.then_some(Told::Lines) };
    let is_json = matches!(first, b'{' | b'[') && said.forced.is_none();
    if is_json && *first == b'[' {
        return Some(Told::Json);
    }
    let (line, rest) = match memchr::memchr(b'\n', head) {
        Some(at) => head.split_at(at + 1),
        None if is_all => (head, b"".as_slice()),
        None => return None,
    };
    if is_json {
        return Some(if goes_on(line) { Told::Json } else { Told::Lines });
    }
    if let Some(framing) = said.forced.or(said.named) {
        return Some(Told::Table(if framing == Framing::Tsv { b'\t' } else { delimiter(line) }));
    }
    if !is_header(line) {
        return Some(Told::Lines);
    }
    // An odd first line of JSONL may look like a header; what follows does not look like a row.
    match rest.trim_ascii_start().first() {
        Some(b'{' | b'[') => Some(Told::Lines),
        None if !is_all => None,
        _ => Some(Told::Table(delimiter(line))),
    }
}

/// Whether the first line of objects is not just one object: one that goes on in the next line, or one with another behind it. An
/// object that a writer lost the end of does not end in a comma or a bracket, as a rule; a line end inside a string is an error.
fn goes_on(line: &[u8]) -> bool {
    let mut objects = serde_json::Deserializer::from_slice(line).into_iter::<serde::de::IgnoredAny>();
    match objects.next() {
        Some(Ok(_)) => line.get(objects.byte_offset()..).is_some_and(|rest| rest.trim_ascii_start().starts_with(b"{")),
        Some(Err(error)) if error.is_eof() && line.ends_with(b"\n") => {
            matches!(line.trim_ascii_end().last(), Some(b'{' | b'[' | b','))
        }
        _ => false,
    }
}

/// The delimiter that a header has most of.
fn delimiter(header: &[u8]) -> u8 {
    let candidates = [b',', b';', b'\t'];
    let most = candidates.into_iter().rev().max_by_key(|delimiter| cells(header, *delimiter).len());
    most.unwrap_or(b',')
}

/// Whether the line names columns, and several of them.
fn is_header(line: &[u8]) -> bool {
    let cells = cells(line, delimiter(line));
    let is_name = |cell: &[u8]| {
        let text = std::str::from_utf8(cell).unwrap_or_default().trim();
        let begins = text.chars().next().is_some_and(|first| first.is_alphabetic() || first == '_');
        begins && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ')) && text.len() <= 64
    };
    // The index of a pandas table has no name.
    let names = cells.iter().skip(usize::from(cells.first().is_some_and(Vec::is_empty)));
    cells.len() > 1 && names.clone().count() > 0 && names.into_iter().all(|cell| is_name(cell))
}

type Text = Chain<Cursor<Vec<u8>>, Box<dyn BufRead + Send>>;

/// The records of a file.
pub(crate) enum Records {
    Lines(Lines<Text>),
    Json(Elements<Text>),
    Table(Rows<Text>),
}

impl Records {
    /// Looks at the beginning of a text, and begins to read it.
    ///
    /// # Errors
    /// When reading fails; inside, why the header of a table cannot be used.
    pub(crate) fn open(
        name: &str,
        mut text: Box<dyn BufRead + Send>,
        forced: Option<Framing>,
        mappings: &[Mapping],
        max_bytes: usize,
    ) -> io::Result<Result<Self, String>> {
        let said = Said { forced, named: Framing::of_name(name) };
        let (mut head, told) = look_at(&mut text, |head, is_end| told(head, is_end, said))?;
        let told = told.unwrap_or(Told::Lines);
        let mut before = 0;
        // Lines pass over the mark themselves.
        if told != Told::Lines && head.starts_with(UTF8_BOM) {
            before = UTF8_BOM.len();
            head.drain(..before);
        }
        let text = io::Read::chain(Cursor::new(head), text);
        let before = before as u64;
        Ok(match told {
            Told::Lines => Ok(Self::Lines(Lines::new(text, max_bytes))),
            Told::Json => Ok(Self::Json(Elements::new(Scan::new(text, max_bytes, before)))),
            Told::Table(delimiter) => {
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

    /// Records of nothing but white space so far; they are skipped.
    pub(crate) fn blank(&self) -> u64 {
        match self {
            Self::Lines(lines) => lines.blank(),
            Self::Json(_) => 0,
            Self::Table(rows) => rows.blank(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> Told {
        told(text.as_bytes(), true, Said::default()).unwrap()
    }

    #[test]
    fn the_first_lines_tell_the_framing() {
        for text in [
            "",
            "\n\n",
            "{\"a\": 1}\n{",
            "{\"a\": 1}",
            "{\"a\": \n{\"a\": 1}",
            "{\"a\": \"x,",
            "oops",
            "not, quite: a table",
            "1,2",
        ] {
            assert_eq!(of(text), Told::Lines, "{text}");
        }
        for text in [
            "[",
            "\u{feff} [{}]",
            "{\n  \"a\": 1}",
            "{\"info\": {\n",
            "{\"a\": 1,\r\n\"b\": 2}",
            "{\"a\": 1}{\"a\": 2}",
        ] {
            assert_eq!(of(text), Told::Json, "{text}");
        }
        for (text, delimiter) in [
            ("question,answer\nq,a", b','),
            ("\u{feff}Frage;Antwort\nq, r;a", b';'),
            ("\"inputs.question\"\toutputs\n", b'\t'),
            (",question,answer\n0,q,a", b','),
        ] {
            assert_eq!(of(text), Told::Table(delimiter), "{text}");
        }
        assert_eq!(of("question, answer\n{\"inputs\": 1}"), Told::Lines, "an odd line before JSONL");
    }

    #[test]
    fn a_name_promises_a_table_and_the_user_is_obeyed() {
        let named =
            |name: &str, text: &str| told(text.as_bytes(), true, Said { forced: None, named: Framing::of_name(name) });
        assert_eq!(named("a.csv", "inputs\nq"), Some(Told::Table(b',')));
        assert_eq!(named("A.TSV.gz", "in,puts\nq"), Some(Told::Table(b'\t')));
        assert_eq!(named("a.csv", "{\"inputs\": 1}"), Some(Told::Lines));
        assert_eq!(named("a.jsonl", "inputs\nq"), Some(Told::Lines));
        let forced = |framing, text: &str| told(text.as_bytes(), true, Said { forced: Some(framing), named: None });
        assert_eq!(forced(Framing::Lines, "[1]"), Some(Told::Lines));
        assert_eq!(forced(Framing::Json, "{}\n{}"), Some(Told::Json));
        assert_eq!(forced(Framing::Csv, "a b;{\n"), Some(Told::Table(b';')));
        assert_eq!(forced(Framing::Tsv, "a,b\n"), Some(Told::Table(b'\t')));
    }

    #[test]
    fn no_more_is_waited_for_than_needed() {
        let early = |text: &str| told(text.as_bytes(), false, Said::default());
        assert_eq!(early("{\"inputs\": 1}\n"), Some(Told::Lines));
        assert_eq!(early("["), Some(Told::Json));
        assert_eq!(early("oops\n"), Some(Told::Lines));
        assert_eq!(early("{\"inputs\": 1}"), None);
        assert_eq!(early("a,b\n"), None);
        assert_eq!(early(&format!("{{\"inputs\": \"{}", "x".repeat(MOST_BYTES))), Some(Told::Lines));
    }

    proptest! {
        #[test]
        fn what_is_told_early_holds(text in "(\u{feff})?[ab,;\t\n \"{}\\[\\]:1]{0,30}", at in 0_usize..40) {
            let text = text.as_bytes();
            if let Some(early) = told(&text[..at.min(text.len())], false, Said::default()) {
                prop_assert_eq!(Some(early), told(text, true, Said::default()));
            }
        }
    }
}
