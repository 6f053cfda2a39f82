//! The container of a file, by its first bytes rather than its name; and reading its content.

use std::io::{self, BufRead, BufReader, Cursor, ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::dataset::source::gzip::GzipMembers;
use crate::dataset::source::zstd::ZstdFrames;
use crate::files::encoding::{self, Encoding, Utf16Text};

/// How much is read from a compressed file at once, in bytes.
const PACKED_BYTES: usize = 32 << 10;
/// How much text is read or decompressed at once; more is not faster.
const TEXT_BYTES: usize = 64 << 10;

/// The container of the text, if any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Container {
    None,
    /// RFC 1952; any number of members.
    Gzip,
    /// RFC 8878; any number of frames, skippable ones among them.
    Zstd,
    /// APPNOTE.TXT; the members of a log.
    Zip,
}

/// A file of another kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Foreign {
    /// Compressed by a program that is not built in.
    Packed(&'static str),
    /// Not text at all.
    Binary(&'static str, Remedy),
    /// A ZIP archive; some kinds can be read.
    Zip,
}

/// How to make text of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// A query of DuckDB over the whole file.
    DuckDb,
    /// A query of SQLite, which names a table.
    Sqlite,
    /// From a spreadsheet, or from an archive.
    Spreadsheet,
}

type Found = Result<Container, Foreign>;

const MARKS: [(&[u8], Found); 10] = [
    (b"\x1f\x8b", Ok(Container::Gzip)),
    (b"\x28\xb5\x2f\xfd", Ok(Container::Zstd)),
    (b"BZh", Err(Foreign::Packed("bzip2"))),
    (b"\xfd7zX", Err(Foreign::Packed("xz"))),
    (b"\x04\x22\x4d\x18", Err(Foreign::Packed("lz4"))),
    (b"PAR1", Err(Foreign::Binary("a Parquet file", Remedy::DuckDb))),
    (b"ARROW1", Err(Foreign::Binary("an Arrow file", Remedy::DuckDb))),
    (b"Obj\x01", Err(Foreign::Binary("an Avro file", Remedy::DuckDb))),
    (b"SQLite format 3\0", Err(Foreign::Binary("a SQLite database", Remedy::Sqlite))),
    (b"PK\x03\x04", Err(Foreign::Zip)),
];

/// The container that begins like this; `None` if more bytes may decide.
fn detect(head: &[u8], is_end: bool) -> Option<Found> {
    let begins = |mark: &[u8]| head.starts_with(mark);
    let may_begin = |mark: &[u8]| !is_end && mark.starts_with(head);
    // Skippable frames have sixteen marks, which differ in the first byte.
    let skippable = |rest: &[u8]| [&[*head.first().unwrap_or(&0x50)], rest].concat();
    let is_skippable =
        head.first().is_none_or(|first| (0x50..0x60).contains(first)).then(|| skippable(b"\x2a\x4d\x18"));
    let marks = MARKS.iter().map(|(mark, found)| (*mark, *found));
    let mut marks = marks.chain(is_skippable.as_deref().map(|mark| (mark, Ok(Container::Zstd))));
    let is_undecided = marks.clone().any(|(mark, _)| may_begin(mark) && head.len() < mark.len());
    match marks.find(|(mark, _)| begins(mark)) {
        Some((_, found)) => Some(found),
        None => (!is_undecided).then_some(Ok(Container::None)),
    }
}

/// Reads on from `head`, the beginning of `reader`, until `decide` can; it is given what was read and whether that is all. The
/// bytes that were read must be read again.
pub(crate) fn look_at<T>(
    mut head: Vec<u8>,
    reader: &mut impl Read,
    decide: impl Fn(&[u8], bool) -> Option<T>,
) -> io::Result<(Vec<u8>, Option<T>)> {
    let mut buffer = [0; 4096];
    loop {
        if let Some(decided) = decide(&head, false) {
            return Ok((head, Some(decided)));
        }
        match reader.read(&mut buffer) {
            Ok(0) => {
                let decided = decide(&head, true);
                return Ok((head, decided));
            }
            Ok(n) => head.extend_from_slice(buffer.get(..n).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A file's text in UTF-8, decompressed and decoded as it is read.
pub(crate) struct Unpacked {
    pub container: Container,
    /// The beginning of the text.
    pub head: Vec<u8>,
    /// The rest of it.
    pub text: Box<dyn BufRead + Send>,
    /// The number of bytes read of the file itself, if they are not those of the text.
    pub taken: Option<Arc<AtomicU64>>,
}

/// Begins to read.
///
/// # Errors
/// When reading fails, or the file is not text.
pub(crate) fn unpack(mut reader: Box<dyn Read + Send>) -> io::Result<Result<Unpacked, Foreign>> {
    let (head, found) = look_at(Vec::new(), &mut reader, detect)?;
    let container = match found.unwrap_or(Ok(Container::None)) {
        Ok(container) => container,
        Err(foreign) => return Ok(Err(foreign)),
    };
    let taken = Arc::new(AtomicU64::new(0));
    if container == Container::None {
        let (head, encoding) = look_at(head, &mut reader, encoding::detect)?;
        let text = BufReader::with_capacity(TEXT_BYTES, reader);
        return Ok(Ok(match encoding.unwrap_or_default() {
            Encoding::Utf8 => Unpacked { container, head, text: Box::new(text), taken: None },
            encoding => {
                let reader = Cursor::new(head).chain(text);
                let text = Utf16Text::new(Counted { reader, taken: Arc::clone(&taken) }, encoding);
                Unpacked { container, head: Vec::new(), text: Box::new(text), taken: Some(taken) }
            }
        }));
    }
    let reader = BufReader::with_capacity(PACKED_BYTES, Cursor::new(head).chain(reader));
    let packed = Counted { reader, taken: Arc::clone(&taken) };
    let text: Box<dyn Read + Send> = match container {
        Container::Zstd => Box::new(ZstdFrames::new(packed)),
        _ => Box::new(GzipMembers::new(packed)),
    };
    decoded(container, text, taken).map(Ok)
}

/// Unpacked text, in whatever encoding.
pub(crate) fn decoded(container: Container, text: Box<dyn Read + Send>, taken: Arc<AtomicU64>) -> io::Result<Unpacked> {
    let mut text = BufReader::with_capacity(TEXT_BYTES, text);
    let (head, encoding) = look_at(Vec::new(), &mut text, encoding::detect)?;
    let taken = Some(taken);
    Ok(match encoding.unwrap_or_default() {
        Encoding::Utf8 => Unpacked { container, head, text: Box::new(text), taken },
        encoding => {
            let text = Utf16Text::new(Cursor::new(head).chain(text), encoding);
            Unpacked { container, head: Vec::new(), text: Box::new(text), taken }
        }
    })
}

/// Counts the bytes that are read from it.
pub(crate) struct Counted<R> {
    pub reader: R,
    pub taken: Arc<AtomicU64>,
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.read(buffer)?;
        self.taken.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.reader.fill_buf()
    }

    fn consume(&mut self, n: usize) {
        self.taken.fetch_add(n as u64, Ordering::Relaxed);
        self.reader.consume(n);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    /// Hands out few bytes at a time.
    struct Slow(Vec<u8>, usize);

    impl Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let n = self.1.min(self.0.len()).min(buffer.len());
            buffer[..n].copy_from_slice(&self.0[..n]);
            self.0.drain(..n);
            Ok(n)
        }
    }

    fn read(bytes: &[u8], chunk: usize) -> (io::Result<Vec<u8>>, u64) {
        let mut unpacked = match unpack(Box::new(Slow(bytes.to_vec(), chunk))) {
            Ok(unpacked) => unpacked.ok().unwrap(),
            Err(error) => return (Err(error), 0),
        };
        let mut text = unpacked.head;
        let read = unpacked.text.read_to_end(&mut text).map(|_| text);
        (read, unpacked.taken.map_or(0, |taken| taken.load(Ordering::Relaxed)))
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(text: &[u8]) -> Vec<u8> {
        compress_to_vec(text, CompressionLevel::Fastest)
    }

    #[test]
    fn the_first_bytes_decide_and_no_more_are_waited_for_than_needed() {
        assert_eq!(detect(b"{", false), Some(Ok(Container::None)));
        assert_eq!(detect(b"", false), None);
        assert_eq!(detect(b"", true), Some(Ok(Container::None)));
        assert_eq!(detect(b"P", false), None, "PAR1, PK or a skippable frame");
        assert_eq!(detect(b"Pr", false), Some(Ok(Container::None)));
        assert_eq!(detect(b"\x5f\x2a\x4d\x18\x04", false), Some(Ok(Container::Zstd)));
        assert_eq!(detect(b"\x5f\x2a\x4d", true), Some(Ok(Container::None)));
        assert_eq!(detect(b"BZh9", false), Some(Err(Foreign::Packed("bzip2"))));
        for (mark, found) in MARKS {
            assert_eq!(detect(mark, false), Some(found));
            assert_eq!(detect(&mark[..mark.len() - 1], false), None, "{mark:?}");
        }
    }

    #[test]
    fn members_and_frames_follow_each_other() {
        let skippable = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc".as_slice();
        for packed in [
            [gzip(b"one\n"), gzip(b""), gzip(b"two\n")].concat(),
            [skippable, &zstd(b"one\n"), skippable, &zstd(b""), &zstd(b"two\n"), skippable].concat(),
        ] {
            for chunk in [1, 7, 100_000] {
                let (text, taken) = read(&packed, chunk);
                assert_eq!((text.unwrap().as_slice(), taken), (b"one\ntwo\n".as_slice(), packed.len() as u64));
            }
        }
    }

    #[test]
    fn zeros_after_the_end_are_padding() {
        for packed in [gzip(b"one\n"), zstd(b"one\n")] {
            for zeros in [1, 511, 100_000] {
                let padded = [packed.clone(), vec![0; zeros]].concat();
                assert_eq!(read(&padded, 1000).0.unwrap(), b"one\n", "{zeros}");
            }
        }
        let between = [gzip(b"one\n"), vec![0; 7], gzip(b"two\n")].concat();
        assert_eq!(read(&between, 3).0.unwrap(), b"one\ntwo\n");
    }

    #[test]
    fn utf_16_is_decoded_packed_or_not() {
        let utf16: Vec<u8> = "\u{feff}{\"a\": \"größe 😀\"}\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for bytes in [utf16.clone(), gzip(&utf16), zstd(&utf16)] {
            let (text, taken) = read(&bytes, 5);
            assert_eq!(String::from_utf8(text.unwrap()).unwrap(), "\u{feff}{\"a\": \"größe 😀\"}\n");
            assert_eq!(taken, bytes.len() as u64);
        }
    }

    #[test]
    fn what_is_cut_off_or_changed_is_an_error() {
        let text = b"some text, some text, some more text\n".repeat(50);
        for packed in [gzip(&text), zstd(&text)] {
            for cut in [5, packed.len() / 2, packed.len() - 1] {
                assert!(read(&packed[..cut], 64).0.is_err(), "{cut} of {}", packed.len());
            }
            let mut changed = [packed.clone(), packed.clone()].concat();
            let at = packed.len() + packed.len() / 2;
            changed[at] ^= 0x55;
            assert!(read(&changed, 64).0.is_err());
            let garbage = [packed, b"garbage".to_vec()].concat();
            assert!(read(&garbage, 64).0.is_err());
        }
    }

    proptest! {
        #[test]
        fn packed_text_is_read_as_it_was(bytes in proptest::collection::vec(any::<u8>(), 0..3000), chunk in 1_usize..200) {
            // Not to be taken for UTF-16.
            let text = [b"{ ".as_slice(), &bytes].concat();
            prop_assert_eq!(read(&gzip(&text), chunk).0.unwrap(), text.clone());
            prop_assert_eq!(read(&zstd(&text), chunk).0.unwrap(), text.clone());
        }
    }
}
