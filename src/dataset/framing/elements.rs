//! JSON values one after the other, or in a list, in memory for one of them: `[{...}, {...}]`, pretty-printed or not.
//!
//! Only brackets and strings are followed here; a parser then decides whether a value is JSON. Where brackets cannot be right, the value is set
//! aside up to where, by its indentation, the next one begins.

use std::io::{self, BufRead};

use crate::dataset::framing::limits::UTF8_BOM;
use crate::dataset::framing::record::{Content, Record};
use crate::dataset::framing::scan::{Scan, Start};

/// Nesting is followed to this depth.
const MAX_DEPTH: usize = 1024;

/// Reads values; see the module.
pub(crate) struct Elements<R> {
    scan: Scan<R>,
    /// Inside a list at the top.
    in_list: bool,
    /// The number of bytes of a byte order mark that were skipped.
    of_mark: usize,
    /// Of the first element on its own line.
    indent: Option<u64>,
}

/// Why a value ends where it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Whole,
    /// Brackets or quotes do not fit.
    Broken,
    TooDeep,
    /// The file ends first.
    CutOff,
}

impl<R: BufRead> Elements<R> {
    pub(crate) fn new(scan: Scan<R>) -> Self {
        Self { scan, in_list: false, of_mark: 0, indent: None }
    }

    pub(crate) fn scan(&self) -> &Scan<R> {
        &self.scan
    }

    /// The next value; `None` at the end.
    pub(crate) fn next_element(&mut self) -> io::Result<Option<Record<'_>>> {
        loop {
            let Some(&first) = self.scan.peek()?.first() else {
                let start = self.scan.begin();
                let is_cut_off = std::mem::take(&mut self.in_list);
                return Ok(is_cut_off.then(|| self.record(start, Content::Unreadable(LIST_CUT_OFF.into()))));
            };
            match first {
                b'[' if !self.in_list => self.in_list = true,
                b']' if self.in_list => self.in_list = false,
                b',' if self.in_list => {}
                white if white.is_ascii_whitespace() => {}
                // Each of several concatenated files may begin with a mark.
                byte if UTF8_BOM.get(self.of_mark) == Some(&byte) => {
                    self.of_mark = (self.of_mark + 1) % UTF8_BOM.len();
                }
                _ => return self.element(first).map(Some),
            }
            self.scan.skip(1)?;
        }
    }

    /// The value that begins with this byte.
    fn element(&mut self, first: u8) -> io::Result<Record<'_>> {
        let start = self.scan.begin();
        self.indent = self.indent.or(self.scan.indent);
        let end = match first {
            b'{' | b'[' | b'"' => self.nested()?,
            b'-' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => self.word()?,
            _ => {
                self.scan.take(1)?;
                End::Broken
            }
        };
        if matches!(end, End::Broken | End::TooDeep) {
            self.skip_to_next()?;
        }
        let content = match end {
            _ if self.scan.is_over() => Content::TooLong("object", self.scan.max_bytes()),
            End::Whole => Content::Element,
            End::Broken => Content::Unreadable(BROKEN.into()),
            End::TooDeep => Content::Unreadable(TOO_DEEP.into()),
            End::CutOff => {
                // One message is enough.
                self.in_list = false;
                Content::Unreadable(CUT_OFF.into())
            }
        };
        Ok(self.record(start, content))
    }

    fn record<'a>(&'a self, start: Start, content: Content<'a>) -> Record<'a> {
        let bytes = self.scan.buffer.trim_ascii_end();
        Record { bytes, length: self.scan.length, line: start.line, byte_offset: start.byte_offset, content }
    }

    /// A number or a name; outside a list, the whole line that begins with one.
    fn word(&mut self) -> io::Result<End> {
        let in_list = self.in_list;
        let ends = |byte: &u8| match in_list {
            true => byte.is_ascii_whitespace() || b",]}[{\"".contains(byte),
            false => *byte == b'\n',
        };
        loop {
            let chunk = self.scan.peek()?;
            let length = chunk.iter().position(ends);
            let is_end = length.is_some() || chunk.is_empty();
            let length = length.unwrap_or(chunk.len());
            self.scan.take(length)?;
            if is_end {
                return Ok(End::Whole);
            }
        }
    }

    fn nested(&mut self) -> io::Result<End> {
        let mut nesting = Nesting::default();
        loop {
            let chunk = self.scan.peek()?;
            if chunk.is_empty() {
                return Ok(End::CutOff);
            }
            let (length, end) = nesting.follow(chunk);
            self.scan.take(length)?;
            if let Some(end) = end {
                return Ok(end);
            }
        }
    }

    /// Skips to where the next value seems to begin, or the list to end.
    fn skip_to_next(&mut self) -> io::Result<()> {
        loop {
            let Some(&byte) = self.scan.peek()?.first() else { return Ok(()) };
            let is_next = match (self.scan.indent, self.indent) {
                (Some(indent), Some(usual)) => (byte == b'{' && indent == usual) || (byte == b']' && indent <= usual),
                (Some(indent), None) => byte == b'{' && indent <= 1,
                // All on one line.
                (None, None) => byte == b'{',
                (None, Some(_)) => false,
            };
            if is_next && self.scan.length > 0 {
                return Ok(());
            }
            self.scan.take(1)?;
        }
    }
}

const LIST_CUT_OFF: &str = "the file ends before its list does; is it complete?";
const CUT_OFF: &str = "the file ends in the middle of this object; is it complete?";
const TOO_DEEP: &str = "nests more than 1024 levels deep";
const BROKEN: &str = "not JSON: brackets or quotes do not match; reading resumes where the next object seems to begin";

/// Follows brackets and strings.
#[derive(Default)]
struct Nesting {
    open: Vec<u8>,
    in_string: bool,
    escaped: bool,
    /// The last byte that was not white space.
    last: u8,
}

impl Nesting {
    /// How much of the chunk belongs to the value, and how it ends, if it does.
    fn follow(&mut self, chunk: &[u8]) -> (usize, Option<End>) {
        let mut at = 0;
        while let Some(&byte) = chunk.get(at) {
            if self.in_string {
                if std::mem::take(&mut self.escaped) {
                    at += 1;
                    continue;
                }
                let rest = chunk.get(at..).unwrap_or_default();
                let Some(length) = memchr::memchr3(b'"', b'\\', b'\n', rest) else { return (chunk.len(), None) };
                at += length;
                match chunk.get(at) {
                    Some(b'\n') => return (at, Some(End::Broken)),
                    Some(b'\\') => self.escaped = true,
                    _ => {
                        self.in_string = false;
                        if self.open.is_empty() {
                            return (at + 1, Some(End::Whole));
                        }
                    }
                }
                at += 1;
                continue;
            }
            match byte {
                b'"' if self.may_begin() || self.last == b',' || self.last == b'{' => self.in_string = true,
                b'{' | b'[' if self.may_begin() => {
                    if self.open.len() == MAX_DEPTH {
                        return (at, Some(End::TooDeep));
                    }
                    self.open.push(byte);
                }
                b'"' | b'{' | b'[' => return (at, Some(End::Broken)),
                b'}' | b']' => {
                    let fits = self.open.pop() == Some(if byte == b'}' { b'{' } else { b'[' });
                    if !fits || self.open.is_empty() {
                        return (at + usize::from(fits), Some(if fits { End::Whole } else { End::Broken }));
                    }
                }
                white if white.is_ascii_whitespace() => {
                    at += 1;
                    continue;
                }
                _ => {}
            }
            self.last = byte;
            at += 1;
        }
        (at, None)
    }

    /// Whether a value can be here, after what precedes one.
    fn may_begin(&self) -> bool {
        matches!((self.open.last(), self.last), (None, _) | (Some(b'['), b'[' | b',') | (Some(b'{'), b':'))
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::dataset::notice::Notices;

    /// Line, offset, and the object or why there is none.
    fn read(text: &str, chunk: usize) -> Vec<(u64, u64, Result<Value, String>)> {
        let mut elements = Elements::new(Scan::new(BufReader::with_capacity(chunk, text.as_bytes()), 200, 0));
        let mut found = Vec::new();
        while let Some(record) = elements.next_element().unwrap() {
            found.push((
                record.line,
                record.byte_offset,
                record.object(&mut Notices::default()).map(Value::Object).map_err(|problem| problem.reason),
            ));
        }
        assert_eq!(elements.scan().consumed(), text.len() as u64);
        found
    }

    fn ok(line: u64, offset: u64, value: Value) -> (u64, u64, Result<Value, String>) {
        (line, offset, Ok(value))
    }

    fn values(text: &str) -> Vec<Option<Value>> {
        read(text, 7).into_iter().map(|(_, _, object)| object.ok()).collect()
    }

    #[test]
    fn elements_of_a_list_have_places_of_their_own() {
        for text in ["[{\"a\":1},\n {\"a\":[2,{}]}\n]\n", "[ {\"a\":1}\n,{\"a\":[2,{}]}]"] {
            let second = text.rfind("{\"a\"").unwrap() as u64;
            let first = text.find('{').unwrap() as u64;
            let expected = [ok(1, first, json!({"a": 1})), ok(2, second, json!({"a": [2, {}]}))];
            assert_eq!(read(text, 3), expected, "{text}");
        }
        assert_eq!(read("[]", 3), []);
        assert_eq!(read(" \n", 3), []);
    }

    #[test]
    fn objects_may_follow_each_other_over_any_lines() {
        let text = "{\n  \"a\": \"}]\\\"{\"\n}\n{\n}{\"b\":1}\n[{\"c\":1}]";
        let expected = [
            ok(1, 0, json!({"a": "}]\"{"})),
            ok(4, 19, json!({})),
            ok(5, 22, json!({"b": 1})),
            ok(6, 31, json!({"c": 1})),
        ];
        assert_eq!(read(text, 2), expected);
    }

    #[test]
    fn what_is_no_object_is_set_aside_alone() {
        let found = read("[{\"a\":nan}, 7, \"x, y\", [1], null, {\"a\":1}]", 5);
        let reasons: Vec<_> = found.iter().map(|(_, _, object)| object.clone().err().unwrap_or_default()).collect();
        assert_eq!(
            reasons,
            [
                "not JSON: expected a value at column 6",
                "expected a trace's object, found a number",
                "expected a trace's object, found a string",
                "expected a trace's object, found a list",
                "expected a trace's object, found null",
                ""
            ]
        );
    }

    #[test]
    fn after_brackets_that_do_not_fit_the_next_object_is_found() {
        let a = Some(json!({"a": 1}));
        // A bracket is missing or of the wrong kind, or a quote is missing; elements on separate lines, with indentation, or on one line.
        for broken in ["{\"b\": {\"c\": 1}", "{\"b\": 1]", "{\"b\": \"c}", "}", "oops", "{\"b\" {}}"] {
            for (open, between, close) in
                [("[\n", ",\n", "\n]"), ("[\n  ", ",\n  ", "\n]"), ("", "\n", "\n"), ("[", ",\n ", "]")]
            {
                let text = [open, "{\"a\": 1}", between, broken, between, "{\"a\": 1}", close].concat();
                assert_eq!(values(&text), [a.clone(), None, a.clone()], "{text}");
            }
        }
        let pretty = "[\n  {\n    \"a\": {\n      \"b\": 1\n  },\n  {\n    \"a\": 1\n  }\n]";
        assert_eq!(values(pretty), [None, a.clone()]);
        assert_eq!(values("[{\"a\": {\"b\": 1}, {\"a\": 1}]"), [None, a.clone()]);
        // The first follows the bracket of its list: only what is hardly indented is next to it.
        for text in
            ["[{\"b\": 1],\n{\"a\": 1}]", "[{\"b\": 1],\n {\"a\": 1}]", "[{\"b\": 1],\n  {\"c\": 1},\n{\"a\": 1}]"]
        {
            assert_eq!(values(text), [None, a.clone()], "{text}");
        }
    }

    #[test]
    fn a_mark_before_any_object_is_no_content() {
        assert_eq!(values("{\"a\": 1}\n\u{feff}{\"a\": 1}[\u{feff}{\"a\": 1}]"), vec![Some(json!({"a": 1})); 3]);
    }

    #[test]
    fn a_file_that_is_cut_off_says_so() {
        let last = |text: &str| read(text, 4).pop().unwrap();
        assert_eq!(last("[{\"a\":1},\n"), (2, 10, Err(LIST_CUT_OFF.to_owned())));
        assert_eq!(last("[{\"a\":1},\n{\"a\": \"x"), (2, 10, Err(CUT_OFF.to_owned())));
        assert_eq!(last("{\"a\": ["), (1, 0, Err(CUT_OFF.to_owned())));
    }

    #[test]
    fn a_value_over_the_limit_is_passed_over_and_nesting_is_no_danger() {
        let long = format!("[{{\"a\":\"{}\"}},{{}}]", "x".repeat(300));
        let found = read(&long, 64);
        assert!(found[0].2.as_ref().unwrap_err().starts_with("the object has 308 bytes, more than"), "{found:?}");
        assert_eq!(found[1].2, Ok(json!({})));
        let deep = format!("[{}{},{{}}]", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(values(&deep), [None, Some(json!({}))]);
    }

    proptest! {
        #[test]
        fn the_size_of_the_chunks_has_no_part_in_it(text in r#"([\[\]{},:\n ]|"a"|"|\\|1){0,30}"#, chunk in 1_usize..8) {
            prop_assert_eq!(read(&text, chunk), read(&text, 1000));
        }

        #[test]
        fn a_list_holds_what_lines_do(numbers in proptest::collection::vec(any::<i32>(), 0..20), pretty: bool) {
            let objects: Vec<Value> = numbers.iter().map(|n| json!({"a": {"b": [n, "]}\"\n"]}})).collect();
            let list = Value::from(objects.clone());
            let text = if pretty { serde_json::to_string_pretty(&list) } else { serde_json::to_string(&list) }.unwrap();
            let read: Vec<Value> = read(&text, 50).into_iter().map(|(_, _, object)| object.unwrap()).collect();
            prop_assert_eq!(read, objects);
        }
    }
}
