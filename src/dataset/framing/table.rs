//! Tables: CSV with its usual delimiters, one trace per row; the first row names the columns.

use std::io::{self, BufRead};

use crate::dataset::framing::cells::{read_row, separator, without_end};
use crate::dataset::framing::columns::Columns;
use crate::dataset::framing::limits::UTF8_BOM;
use crate::dataset::framing::record::{Content, Record};
use crate::dataset::framing::scan::Scan;
use crate::dataset::mapping::Mapping;

/// Reads rows; see the module.
pub(crate) struct Rows<R> {
    scan: Scan<R>,
    columns: Columns,
    /// As in the file.
    header: Vec<u8>,
    blank: u64,
}

impl<R: BufRead> Rows<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// When reading fails; the inner error is why the first row cannot be a header.
    pub(crate) fn open(mut scan: Scan<R>, delimiter: u8, mappings: &[Mapping]) -> io::Result<Result<Self, String>> {
        let mut blank = 0;
        loop {
            let start = scan.begin();
            if scan.peek()?.is_empty() {
                let columns = Columns::none(delimiter);
                return Ok(Ok(Self { scan, columns, header: Vec::new(), blank }));
            }
            read_row(&mut scan, delimiter)?;
            if scan.buffer.trim_ascii().is_empty() || separator(&scan.buffer).is_some() {
                blank += 1;
                continue;
            }
            let columns = match scan.is_over() {
                true => Err("the first row is too long; is a quote missing?".to_owned()),
                false => Columns::read(&scan.buffer, delimiter, start.byte_offset, mappings),
            };
            let header = without_end(&scan.buffer).to_owned();
            return Ok(columns.map(|columns| Self { scan, columns, header, blank }));
        }
    }

    pub(crate) fn scan(&self) -> &Scan<R> {
        &self.scan
    }

    /// Blank rows so far; they are skipped.
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
            let is_whole = read_row(&mut self.scan, self.columns.delimiter())?;
            let is_over = self.scan.is_over();
            let row = without_end(&self.scan.buffer);
            // Each of several concatenated tables may begin with a mark and has a header.
            let bytes = row.strip_prefix(UTF8_BOM).unwrap_or(row);
            if !is_over && (bytes.trim_ascii().is_empty() || bytes == self.header) {
                self.blank += 1;
                continue;
            }
            let content = if !is_whole {
                Content::Unreadable(OPEN_QUOTE.into())
            } else if is_over {
                Content::TooLong("row", self.scan.max_bytes())
            } else {
                Content::Row(&self.columns)
            };
            let row = without_end(&self.scan.buffer);
            let bytes = row.strip_prefix(UTF8_BOM).unwrap_or(row);
            let length = self.scan.length - (self.scan.buffer.len() - bytes.len()) as u64;
            return Ok(Some(Record { bytes, length, line: start.line, byte_offset: start.byte_offset, content }));
        }
    }
}

const OPEN_QUOTE: &str =
    "a quote in this row is never closed, so everything after it is one cell; inside quotes, write a quote twice";

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::dataset::framing::cells::cells;
    use crate::dataset::notice::Notices;

    type Found = Vec<(u64, u64, Result<Value, String>)>;

    fn read_with(text: &[u8], delimiter: u8, mappings: &[&str], chunk: usize) -> Result<Found, String> {
        let scan = Scan::new(BufReader::with_capacity(chunk, text), 200, 0);
        let mappings: Vec<Mapping> = mappings.iter().map(|mapping| mapping.parse().unwrap()).collect();
        let mut rows = Rows::open(scan, delimiter, &mappings).unwrap()?;
        let mut found = Vec::new();
        while let Some(record) = rows.next_row().unwrap() {
            found.push((
                record.line,
                record.byte_offset,
                record.object(&mut Notices::default()).map(Value::Object).map_err(|problem| problem.reason),
            ));
        }
        assert_eq!(rows.scan().consumed(), text.len() as u64);
        Ok(found)
    }

    fn objects(text: &str, delimiter: u8, mappings: &[&str]) -> Vec<Value> {
        let found = read_with(text.as_bytes(), delimiter, mappings, 5).unwrap();
        found.into_iter().map(|(_, _, object)| object.unwrap()).collect()
    }

    #[test]
    fn blank_rows_are_counted_before_the_header_and_after_it() {
        let text: &[u8] = b"\n \r\nsep=,\ntrace_id,outputs\n\n1,x\n\n\n";
        let mut rows = Rows::open(Scan::new(BufReader::new(text), 200, 0), b',', &[]).unwrap().unwrap();
        assert_eq!(rows.blank(), 3);
        while rows.next_row().unwrap().is_some() {}
        assert_eq!(rows.blank(), 6);
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
    fn a_line_that_names_the_separator_and_a_second_header_are_no_rows() {
        let text = "sep=;\r\ninputs;outputs\r\na;b\r\n\u{feff}inputs;outputs\r\nc;d\r\n";
        let expected = [json!({"inputs": "a", "outputs": "b"}), json!({"inputs": "c", "outputs": "d"})];
        assert_eq!(objects(text, b';', &[]), expected);
        assert_eq!(objects("inputs,outputs\n\u{feff}a,b\n", b',', &[]), [json!({"inputs": "a", "outputs": "b"})]);
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
        assert_eq!(error, "`Fragen` is mapped, but the columns are `Frage`, `Antwort`, `n`");
    }

    #[test]
    fn what_is_wrong_with_a_row_or_a_header_is_said() {
        let reasons = |text: &[u8]| -> Vec<String> {
            let found = read_with(text, b',', &[], 5).unwrap();
            found.into_iter().map(|(_, _, object)| object.err().unwrap_or_default()).collect()
        };
        assert!(reasons(b"a,b\n1\n1,2\n1,2,3")[0].starts_with("the row has 1 cell but the header 2 columns; "));
        assert_eq!(reasons(b"a,b\n1\n1,2\n1,2,3")[1], "");
        assert_eq!(
            reasons(b"a,b\n1,\xff2\n"),
            ["not UTF-8 at byte 3 of the row (offset 6 in the file), probably Windows-1252"]
        );
        assert_eq!(reasons(b"a,b\n1,\"2\n3,4\n"), [OPEN_QUOTE]);
        let long = format!("a,b\n1,\"{}\"\n3,4\n", "x".repeat(300));
        assert!(reasons(long.as_bytes())[0].starts_with("the row has 304 bytes, more than"));
        assert!(reasons(b"inputs,inputs.a\n1,2")[0].contains("`inputs`"), "{:?}", reasons(b"inputs,inputs.a\n1,2"));
        assert!(read_with(b"a,b,a\n", b',', &[], 5).unwrap_err().starts_with("the column `a` appears twice"));
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
