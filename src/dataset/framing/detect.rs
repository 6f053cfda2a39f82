//! The framing of the objects in a file, detected from its first lines.

use crate::dataset::framing::cells::{cells, separator};
use crate::dataset::framing::limits::UTF8_BOM;

/// The first lines are looked at up to this length.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// The framing of the objects in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// JSONL: one object a line.
    Lines,
    /// JSON: a list of objects, or objects one after the other, over any lines.
    Json,
    /// CSV: an object is a row; the delimiter is the comma or the semicolon, whichever is more frequent in the header.
    Csv,
    /// A table with tabs.
    Tsv,
}

impl Framing {
    /// By the names that users know.
    pub const ALL: [(&'static str, Self); 4] =
        [("jsonl", Self::Lines), ("json", Self::Json), ("csv", Self::Csv), ("tsv", Self::Tsv)];

    /// The table that a file's name promises.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
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
pub(crate) enum Detected {
    Lines,
    Json,
    Table(u8),
}

/// What is known before the first byte.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Known {
    /// What the user says.
    pub forced: Option<Framing>,
    /// What the file's name says; content that is clearly something else takes precedence.
    pub named: Option<Framing>,
}

/// The framing of a text that begins like this; `None` if the next lines may decide.
pub(crate) fn detect(head: &[u8], is_end: bool, known: Known) -> Option<Detected> {
    match known.forced {
        Some(Framing::Lines) => return Some(Detected::Lines),
        // A mark must be seen whole.
        Some(Framing::Json) => return (is_end || head.len() >= UTF8_BOM.len()).then_some(Detected::Json),
        _ => {}
    }
    let is_all = is_end || head.len() >= MAX_HEAD_BYTES;
    let head = head.get(..MAX_HEAD_BYTES).unwrap_or(head);
    if !is_all && head.len() < UTF8_BOM.len() && UTF8_BOM.starts_with(head) {
        return None;
    }
    let head = head.strip_prefix(UTF8_BOM).unwrap_or(head).trim_ascii_start();
    let Some(first) = head.first() else { return is_all.then_some(Detected::Lines) };
    let is_json = matches!(first, b'{' | b'[') && known.forced.is_none();
    if is_json && *first == b'[' {
        return Some(Detected::Json);
    }
    let (line, rest) = match memchr::memchr(b'\n', head) {
        Some(at) => head.split_at(at + 1),
        None if is_all => (head, b"".as_slice()),
        None => return None,
    };
    if is_json {
        return Some(if continues(line) { Detected::Json } else { Detected::Lines });
    }
    if let Some(separator) = separator(line) {
        return Some(Detected::Table(separator));
    }
    if let Some(framing) = known.forced.or(known.named) {
        return Some(Detected::Table(if framing == Framing::Tsv { b'\t' } else { delimiter(line) }));
    }
    if !is_header(line) {
        return Some(Detected::Lines);
    }
    // An odd first line of JSONL may look like a header; what follows does not look like a row.
    match rest.trim_ascii_start().first() {
        Some(b'{' | b'[') => Some(Detected::Lines),
        None if !is_all => None,
        _ => Some(Detected::Table(delimiter(line))),
    }
}

/// Whether the first line of objects is not just one object: one that continues in the next line, or one followed by another. An
/// object whose end is missing does not usually end in a comma or a bracket; a line end inside a string is an error.
fn continues(line: &[u8]) -> bool {
    let mut objects = serde_json::Deserializer::from_slice(line).into_iter::<serde::de::IgnoredAny>();
    match objects.next() {
        Some(Ok(_)) => line.get(objects.byte_offset()..).is_some_and(|rest| rest.trim_ascii_start().starts_with(b"{")),
        Some(Err(error)) if error.is_eof() && line.ends_with(b"\n") => {
            matches!(line.trim_ascii_end().last(), Some(b'{' | b'[' | b','))
        }
        _ => false,
    }
}

/// The most frequent delimiter in a header.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> Detected {
        detect(text.as_bytes(), true, Known::default()).unwrap()
    }

    #[test]
    fn the_first_lines_decide_the_framing() {
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
            assert_eq!(of(text), Detected::Lines, "{text}");
        }
        for text in [
            "[",
            "\u{feff} [{}]",
            "{\n  \"a\": 1}",
            "{\"info\": {\n",
            "{\"a\": 1,\r\n\"b\": 2}",
            "{\"a\": 1}{\"a\": 2}",
        ] {
            assert_eq!(of(text), Detected::Json, "{text}");
        }
        for (text, delimiter) in [
            ("question,answer\nq,a", b','),
            ("\u{feff}Frage;Antwort\nq, r;a", b';'),
            ("\"inputs.question\"\toutputs\n", b'\t'),
            (",question,answer\n0,q,a", b','),
            ("sep=;\na, b\n1", b';'),
            ("\u{feff}\"sep=,\"\r\na;b\n1", b','),
        ] {
            assert_eq!(of(text), Detected::Table(delimiter), "{text}");
        }
        assert_eq!(of("question, answer\n{\"inputs\": 1}"), Detected::Lines, "an odd line before JSONL");
    }

    #[test]
    fn a_name_promises_a_table_and_the_user_is_obeyed() {
        let named = |name: &str, text: &str| {
            detect(text.as_bytes(), true, Known { forced: None, named: Framing::of_name(name) })
        };
        assert_eq!(named("a.csv", "inputs\nq"), Some(Detected::Table(b',')));
        assert_eq!(named("A.TSV.gz", "in,puts\nq"), Some(Detected::Table(b'\t')));
        assert_eq!(named("a.csv", "{\"inputs\": 1}"), Some(Detected::Lines));
        assert_eq!(named("a.jsonl", "inputs\nq"), Some(Detected::Lines));
        let forced = |framing, text: &str| detect(text.as_bytes(), true, Known { forced: Some(framing), named: None });
        assert_eq!(forced(Framing::Lines, "[1]"), Some(Detected::Lines));
        assert_eq!(forced(Framing::Json, "{}\n{}"), Some(Detected::Json));
        assert_eq!(forced(Framing::Csv, "a b;{\n"), Some(Detected::Table(b';')));
        assert_eq!(forced(Framing::Tsv, "a,b\n"), Some(Detected::Table(b'\t')));
    }

    #[test]
    fn no_more_is_waited_for_than_needed() {
        let early = |text: &str| detect(text.as_bytes(), false, Known::default());
        assert_eq!(early("{\"inputs\": 1}\n"), Some(Detected::Lines));
        assert_eq!(early("["), Some(Detected::Json));
        assert_eq!(early("oops\n"), Some(Detected::Lines));
        assert_eq!(early("{\"inputs\": 1}"), None);
        assert_eq!(early("a,b\n"), None);
        assert_eq!(early(&format!("{{\"inputs\": \"{}", "x".repeat(MAX_HEAD_BYTES))), Some(Detected::Lines));
    }

    proptest! {
        #[test]
        fn what_is_decided_early_holds(text in "(\u{feff})?[ab,;\t\n \"{}\\[\\]:1]{0,30}", at in 0_usize..40) {
            let text = text.as_bytes();
            if let Some(early) = detect(&text[..at.min(text.len())], false, Known::default()) {
                prop_assert_eq!(Some(early), detect(text, true, Known::default()));
            }
        }
    }
}
