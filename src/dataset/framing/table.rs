//! Tables: CSV with its usual delimiters, one trace a row, the first row names the columns.
//!
//! Source: RFC 4180, as lenient as the `csv` crate, which gives rows neither their bytes nor a limit.

use std::io::{self, BufRead};

use serde_json::{Map, Value};

use crate::dataset::framing::record::{Content, Record};
use crate::dataset::framing::scan::Scan;
use crate::dataset::framing::syntax;
use crate::dataset::mapping::{self, Mapping};

/// Fields whose text is read as JSON where it is that of an object or a list. Anything else is text: `007` is no number, `true` no boolean.
const STRUCTURED: [&str; 9] =
    ["inputs", "outputs", "expectations", "spans", "tags", "metadata", "token_usage", "info", "data"];

/// Reads rows; see the module.
pub(crate) struct Rows<R> {
    scan: Scan<R>,
    columns: Columns,
    blank: u64,
}

/// The columns of a table, each with the fields that it is for.
#[derive(Debug)]
pub(crate) struct Columns {
    delimiter: u8,
    targets: Vec<Vec<String>>,
}

impl<R: BufRead> Rows<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// When reading fails; inside, why the first row is no header.
    pub(crate) fn open(mut scan: Scan<R>, delimiter: u8, mappings: &[Mapping]) -> io::Result<Result<Self, String>> {
        let mut blank = 0;
        loop {
            let start = scan.begin();
            if scan.peek()?.is_empty() {
                let columns = Columns { delimiter, targets: Vec::new() };
                return Ok(Ok(Self { scan, columns, blank }));
            }
            read_row(&mut scan, delimiter)?;
            if scan.buffer.trim_ascii().is_empty() {
                blank += 1;
                continue;
            }
            let columns = match scan.is_over() {
                true => Err("the first row is too long; does it end?".to_owned()),
                false => Columns::read(&scan.buffer, delimiter, start.byte_offset, mappings),
            };
            return Ok(columns.map(|columns| Self { scan, columns, blank }));
        }
    }

    pub(crate) fn scan(&self) -> &Scan<R> {
        &self.scan
    }

    /// Rows of nothing but white space so far; they are skipped.
    pub(crate) fn blank(&self) -> u64 {
        self.blank
    }

    /// The next row; `None` at the end.
    pub(crate) fn next_row(&mut self) -> io::Result<Option<Record<'_>>> {
        loop {
            let start = self.scan.begin();
            if self.scan.peek()?.is_empty() {
                return Ok(None);
            }
            let is_whole = read_row(&mut self.scan, self.columns.delimiter)?;
            let is_over = self.scan.is_over();
            if !is_over && self.scan.buffer.trim_ascii().is_empty() {
                self.blank += 1;
                continue;
            }
            let content = if !is_whole {
                Content::Unreadable(OPEN_QUOTE.into())
            } else if is_over {
                Content::too_long("row", self.scan.length)
            } else {
                Content::Row(&self.columns)
            };
            let bytes = without_end(&self.scan.buffer);
            let length = self.scan.length - (self.scan.buffer.len() - bytes.len()) as u64;
            return Ok(Some(Record { bytes, length, line: start.line, byte_offset: start.byte_offset, content }));
        }
    }
}

const OPEN_QUOTE: &str = "a quote in this row is never closed, so that all that follows is one cell; inside quotes, a quote is written twice";

fn without_end(row: &[u8]) -> &[u8] {
    let row = row.strip_suffix(b"\n").unwrap_or(row);
    row.strip_suffix(b"\r").unwrap_or(row)
}

/// Takes a row with its line end; false if it ends inside quotes.
fn read_row(scan: &mut Scan<impl BufRead>, delimiter: u8) -> io::Result<bool> {
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

/// Where in a cell the reading is.
#[derive(Debug, Clone, Copy)]
enum Cell {
    Begins,
    Plain,
    Quoted,
    /// The end of the cell, or the first of two quotes that stand for one.
    AfterQuote,
}

impl Cell {
    /// Where the reading is after one more byte.
    fn after(self, byte: u8, delimiter: u8) -> Self {
        match (self, byte) {
            (Self::Quoted, b'"') => Self::AfterQuote,
            (Self::Quoted, _) | (Self::Begins | Self::AfterQuote, b'"') => Self::Quoted,
            (_, byte) if byte == delimiter => Self::Begins,
            _ => Self::Plain,
        }
    }

    /// How many bytes come before the next that may change anything.
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

impl Columns {
    fn read(header: &[u8], delimiter: u8, byte_offset: u64, mappings: &[Mapping]) -> Result<Self, String> {
        let header = syntax::text(header, "header", byte_offset)?;
        let mut names: Vec<String> = Vec::new();
        for (i, cell) in cells(header.as_bytes(), delimiter).iter().enumerate() {
            let name = String::from_utf8_lossy(cell).trim().to_owned();
            // pandas writes its index under no name.
            let name = if name.is_empty() { format!("column {}", i + 1) } else { name };
            if names.contains(&name) {
                return Err(format!("the column `{name}` is there twice; give each a name of its own"));
            }
            names.push(name);
        }
        let is_mapped = |name: &&String| mappings.iter().any(|mapping| mapping.source == **name);
        if !mappings.is_empty() && !names.iter().any(|name| is_mapped(&name)) {
            let named: Vec<_> = mappings.iter().map(|mapping| format!("`{}`", mapping.source)).collect();
            let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
            return Err(format!("--map names {}, and the columns are {}", named.join(", "), names.join(", ")));
        }
        let targets = names.into_iter().map(|name| {
            let mapped = mappings.iter().filter(|mapping| mapping.source == name);
            let mapped: Vec<_> = mapped.map(|mapping| mapping.target.clone()).collect();
            if mapped.is_empty() { vec![name] } else { mapped }
        });
        Ok(Self { delimiter, targets: targets.collect() })
    }

    /// The object that a row is. An empty cell is no field.
    pub(crate) fn object(&self, row: &[u8], byte_offset: u64) -> Result<Map<String, Value>, String> {
        syntax::text(row, "row", byte_offset)?;
        let cells = cells(row, self.delimiter);
        if cells.len() != self.targets.len() {
            let (found, wanted) = (counted(cells.len(), "cell"), counted(self.targets.len(), "column"));
            return Err(format!(
                "the row has {found} and the header {wanted}; a cell that holds a delimiter, a quote or a line end stands in quotes"
            ));
        }
        let mut object = Map::new();
        for (targets, cell) in self.targets.iter().zip(&cells).filter(|(_, cell)| !cell.is_empty()) {
            let text = String::from_utf8_lossy(cell);
            for target in targets {
                mapping::put(&mut object, target, value(target, &text))?;
            }
        }
        Ok(object)
    }
}

fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

fn value(target: &str, text: &str) -> Value {
    let field = target.split('.').next().unwrap_or_default();
    if STRUCTURED.contains(&field)
        && text.trim_start().starts_with(['{', '['])
        && let Ok(value) = serde_json::from_str(text)
    {
        return value;
    }
    Value::String(text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    type Found = Vec<(u64, u64, Result<Value, String>)>;

    fn read_with(text: &[u8], delimiter: u8, mappings: &[&str], chunk: usize) -> Result<Found, String> {
        let scan = Scan::new(BufReader::with_capacity(chunk, text), 200, 0);
        let mappings: Vec<Mapping> = mappings.iter().map(|mapping| mapping.parse().unwrap()).collect();
        let mut rows = Rows::open(scan, delimiter, &mappings).unwrap()?;
        let mut found = Vec::new();
        while let Some(record) = rows.next_row().unwrap() {
            found.push((record.line, record.byte_offset, record.object().map(Value::Object)));
        }
        assert_eq!(rows.scan().consumed(), text.len() as u64);
        Ok(found)
    }

    fn objects(text: &str, delimiter: u8, mappings: &[&str]) -> Vec<Value> {
        let found = read_with(text.as_bytes(), delimiter, mappings, 5).unwrap();
        found.into_iter().map(|(_, _, object)| object.unwrap()).collect()
    }

    #[test]
    fn rows_are_objects_by_the_header_with_places() {
        let text =
            "trace_id, inputs.question,inputs.lang,outputs\r\n1,\"What,\n\"\"then\"\"?\",,7\r\n\r\n2,Why?,en,a \"b\" c";
        let found = read_with(text.as_bytes(), b',', &[], 3).unwrap();
        let first = json!({"trace_id": "1", "inputs": {"question": "What,\n\"then\"?"}, "outputs": "7"});
        let second = json!({"trace_id": "2", "inputs": {"question": "Why?", "lang": "en"}, "outputs": "a \"b\" c"});
        assert_eq!(found, [(2, 47, Ok(first)), (5, 73, Ok(second))]);
    }

    #[test]
    fn cells_are_text_unless_a_structured_field_holds_an_object_or_a_list() {
        let text = "trace_id;inputs;outputs;expectations.expected_facts;note\n007;\"{\"\"q\"\": 1}\";true;[1];[1]\n8;{broken;[x];1;";
        let expected = [
            json!({"trace_id": "007", "inputs": {"q": 1}, "outputs": "true", "expectations": {"expected_facts": [1]}, "note": "[1]"}),
            json!({"trace_id": "8", "inputs": "{broken", "outputs": "[x]", "expectations": {"expected_facts": "1"}}),
        ];
        assert_eq!(objects(text, b';', &[]), expected);
    }

    #[test]
    fn columns_of_other_names_are_mapped() {
        let text = "Frage\tAntwort\tn\nWas?\tDas.\t1\n";
        let mapped = objects(text, b'\t', &["inputs.question=Frage", "outputs=Antwort", "tags.answer=Antwort"]);
        assert_eq!(
            mapped,
            [json!({"inputs": {"question": "Was?"}, "outputs": "Das.", "tags": {"answer": "Das."}, "n": "1"})]
        );
        let error = read_with(text.as_bytes(), b'\t', &["inputs=Fragen"], 5).unwrap_err();
        assert_eq!(error, "--map names `Fragen`, and the columns are `Frage`, `Antwort`, `n`");
    }

    #[test]
    fn what_is_wrong_with_a_row_or_a_header_is_said() {
        let reasons = |text: &[u8]| -> Vec<String> {
            let found = read_with(text, b',', &[], 5).unwrap();
            found.into_iter().map(|(_, _, object)| object.err().unwrap_or_default()).collect()
        };
        assert!(reasons(b"a,b\n1\n1,2\n1,2,3")[0].starts_with("the row has 1 cell and the header 2 columns; "));
        assert_eq!(reasons(b"a,b\n1\n1,2\n1,2,3")[1], "");
        assert_eq!(reasons(b"a,b\n1,\xff2\n"), ["not UTF-8 at byte 3 of the row (offset 6 in the file)"]);
        assert_eq!(reasons(b"a,b\n1,\"2\n3,4\n"), [OPEN_QUOTE]);
        let long = format!("a,b\n1,\"{}\"\n3,4\n", "x".repeat(300));
        assert!(reasons(long.as_bytes())[0].starts_with("the row has 305 bytes, too many"));
        assert!(reasons(b"inputs,inputs.a\n1,2")[0].contains("`inputs`"), "{:?}", reasons(b"inputs,inputs.a\n1,2"));
        assert!(read_with(b"a,b,a\n", b',', &[], 5).unwrap_err().starts_with("the column `a` is there twice"));
        assert_eq!(objects(",a\n0,1\n", b',', &[]), [json!({"column 1": "0", "a": "1"})]);
        assert_eq!(read_with(b"", b',', &[], 5), Ok(vec![]));
    }

    proptest! {
        #[test]
        fn cells_are_those_that_the_csv_crate_finds(row in "[ab,\"]{1,30}") {
            let mut reader = csv::ReaderBuilder::new();
            reader.has_headers(false).terminator(csv::Terminator::Any(b'\n'));
            let record = reader.from_reader(row.as_bytes()).into_byte_records().next().unwrap().unwrap();
            prop_assert_eq!(cells(row.as_bytes(), b','), record.iter().map(<[u8]>::to_vec).collect::<Vec<_>>());
        }

        #[test]
        fn the_size_of_the_chunks_has_no_part_in_it(text in "a,b\n[ab,\"\r\n]{0,40}", chunk in 1_usize..8) {
            let read = |chunk| read_with(text.as_bytes(), b',', &[], chunk);
            prop_assert_eq!(read(chunk), read(1000));
        }

        #[test]
        fn what_a_writer_of_csv_wrote_is_read_back(rows in proptest::collection::vec("[^\0]{1,20}", 1..10)) {
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.write_record(["trace_id", "note"]).unwrap();
            for (i, row) in rows.iter().enumerate() {
                writer.write_record([i.to_string().as_str(), row]).unwrap();
            }
            let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
            let notes: Vec<Value> = objects(&text, b',', &[]).into_iter().map(|mut object| object["note"].take()).collect();
            prop_assert_eq!(notes, rows);
        }
    }
}
