//! The samples of an Inspect log (`.eval`), which is a ZIP archive of JSON files, as one text.
//!
//! Source: PKWARE's APPNOTE.TXT, sections 4.3 and 4.5.3; `inspect_ai.log._recorders.eval`.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use flate2::bufread::DeflateDecoder;

use crate::dataset::source::container::Counted;
use crate::dataset::source::zstd::ZstdFrames;

/// A member of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Member {
    name: String,
    method: u16,
    packed: u64,
    crc: u32,
    /// Of its own header.
    offset: u64,
}

/// Samples, each followed by a line end.
pub(crate) struct Samples {
    file: File,
    waiting: VecDeque<Member>,
    current: Option<Current>,
    taken: Arc<AtomicU64>,
}

struct Current {
    reader: Box<dyn Read + Send>,
    hash: crc32fast::Hasher,
    crc: u32,
}

impl Samples {
    /// The samples of an archive; `None` if it is not an Inspect log.
    pub(crate) fn open(mut file: File, taken: Arc<AtomicU64>) -> io::Result<Option<Self>> {
        let members = members(&mut file)?;
        let is_named = |name: &str| members.iter().any(|member| member.name == name);
        if !is_named("header.json") && !is_named("_journal/start.json") {
            return Ok(None);
        }
        let is_sample = |member: &Member| member.name.starts_with("samples/") && member.name.ends_with(".json");
        let waiting = members.into_iter().filter(is_sample).collect();
        Ok(Some(Self { file, waiting, current: None, taken }))
    }

    fn begin(&mut self, member: &Member) -> io::Result<Current> {
        let mut header = [0; 30];
        self.file.seek(SeekFrom::Start(member.offset))?;
        self.file.read_exact(&mut header)?;
        if !header.starts_with(b"PK\x03\x04") {
            return Err(damaged());
        }
        let rest = u64::from(u16_at(&header, 26)?) + u64::from(u16_at(&header, 28)?);
        self.file.seek(SeekFrom::Start(member.offset + header.len() as u64 + rest))?;
        // One member is read at a time, so they can share the file position.
        let packed = BufReader::new(self.file.try_clone()?.take(member.packed));
        let packed = Counted { reader: packed, taken: Arc::clone(&self.taken) };
        let reader: Box<dyn Read + Send> = match member.method {
            0 => Box::new(packed),
            8 => Box::new(DeflateDecoder::new(packed)),
            93 => Box::new(ZstdFrames::new(packed)),
            other => {
                let reason = format!("compression method {other} of the archive is not supported");
                return Err(io::Error::new(ErrorKind::Unsupported, reason));
            }
        };
        Ok(Current { reader, hash: crc32fast::Hasher::new(), crc: member.crc })
    }
}

impl Read for Samples {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(Current { reader, hash, crc }) = &mut self.current else {
                let Some(member) = self.waiting.pop_front() else { return Ok(0) };
                self.current = Some(self.begin(&member)?);
                continue;
            };
            let n = reader.read(buffer)?;
            hash.update(buffer.get(..n).unwrap_or_default());
            if n > 0 || buffer.is_empty() {
                return Ok(n);
            }
            let is_whole = hash.clone().finalize() == *crc;
            self.current = None;
            if !is_whole {
                return Err(damaged());
            }
            if let Some(first) = buffer.first_mut() {
                *first = b'\n';
                return Ok(1);
            }
        }
    }
}

fn damaged() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "the archive is damaged")
}

/// The members that the directory at the archive's end names, in its order.
fn members(file: &mut File) -> io::Result<Vec<Member>> {
    /// The length of the directory's end, and the longest comment after it.
    const MAX_END: u64 = 22 + 0xffff;
    /// No log has a larger directory.
    const MAX_DIRECTORY: u64 = 1 << 30;
    let length = file.seek(SeekFrom::End(0))?;
    let from = length.saturating_sub(MAX_END);
    let end = bytes_at(file, from, length - from)?;
    let at = memchr::memmem::rfind(&end, b"PK\x05\x06").ok_or_else(damaged)?;
    let of_end = end.get(at..).unwrap_or_default();
    let (mut size, mut offset) = (u64::from(u32_at(of_end, 12)?), u64::from(u32_at(of_end, 16)?));
    let locator = at.checked_sub(20).and_then(|at| end.get(at..)).filter(|end| end.starts_with(b"PK\x06\x07"));
    if let Some(locator) = locator {
        let large = bytes_at(file, u64_at(locator, 8)?, 56)?;
        (size, offset) = (u64_at(&large, 40)?, u64_at(&large, 48)?);
    }
    if size > MAX_DIRECTORY {
        return Err(damaged());
    }
    let directory = bytes_at(file, offset, size)?;
    let mut rest = directory.as_slice();
    let mut members = Vec::new();
    while rest.starts_with(b"PK\x01\x02") {
        let [name, extra, comment] = [28, 30, 32].map(|at| u16_at(rest, at).map(usize::from));
        let (name, extra, comment) = (46 + name?, extra?, comment?);
        let mut member = Member {
            name: String::from_utf8_lossy(rest.get(46..name).ok_or_else(damaged)?).into_owned(),
            method: u16_at(rest, 10)?,
            packed: u32_at(rest, 20)?.into(),
            crc: u32_at(rest, 16)?,
            offset: u32_at(rest, 42)?.into(),
        };
        let unpacked = u32_at(rest, 24)?;
        read_large(&mut member, unpacked, rest.get(name..name + extra).ok_or_else(damaged)?)?;
        members.push(member);
        rest = rest.get(name + extra + comment..).ok_or_else(damaged)?;
    }
    Ok(members)
}

/// Reads the numbers that did not fit into 32 bits from the member's extra field.
fn read_large(member: &mut Member, unpacked: u32, mut extra: &[u8]) -> io::Result<()> {
    const FULL: u32 = u32::MAX;
    while extra.len() >= 4 {
        let (id, length) = (u16_at(extra, 0)?, usize::from(u16_at(extra, 2)?));
        let mut field = extra.get(4..4 + length).ok_or_else(damaged)?;
        if id == 1 {
            let mut next = || -> io::Result<u64> {
                let number = u64_at(field, 0)?;
                field = field.get(8..).unwrap_or_default();
                Ok(number)
            };
            if unpacked == FULL {
                next()?;
            }
            if member.packed == u64::from(FULL) {
                member.packed = next()?;
            }
            if member.offset == u64::from(FULL) {
                member.offset = next()?;
            }
        }
        extra = extra.get(4 + length..).unwrap_or_default();
    }
    Ok(())
}

fn bytes_at(file: &mut File, offset: u64, length: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == length { Ok(bytes) } else { Err(damaged()) }
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> io::Result<[u8; N]> {
    bytes.get(at..at + N).and_then(|bytes| bytes.try_into().ok()).ok_or_else(damaged)
}

fn u16_at(bytes: &[u8], at: usize) -> io::Result<u16> {
    array_at(bytes, at).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> io::Result<u32> {
    array_at(bytes, at).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> io::Result<u64> {
    array_at(bytes, at).map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::DeflateEncoder;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    fn deflate(text: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    /// An archive of these members, with 64-bit numbers where `is_large`.
    fn archive(members: &[(&str, u16, &[u8])], is_large: bool) -> Vec<u8> {
        let (mut bytes, mut directory) = (Vec::new(), Vec::new());
        for (name, method, text) in members {
            let packed = match method {
                8 => deflate(text),
                93 => compress_to_vec(*text, CompressionLevel::Fastest),
                _ => text.to_vec(),
            };
            let crc = crc32fast::hash(text).to_le_bytes();
            let name_length = u16::try_from(name.len()).unwrap().to_le_bytes();
            let offset = bytes.len() as u64;
            bytes.extend(b"PK\x03\x04\x14\0\0\0");
            bytes.extend(method.to_le_bytes());
            bytes.extend([0; 4]);
            bytes.extend(crc);
            bytes.extend([0; 8]);
            bytes.extend(name_length);
            bytes.extend([0; 2]);
            bytes.extend(name.as_bytes());
            bytes.extend(&packed);
            let small = |number: u64| if is_large { [0xff; 4] } else { u32::try_from(number).unwrap().to_le_bytes() };
            directory.extend(b"PK\x01\x02\x14\0\x14\0\0\0");
            directory.extend(method.to_le_bytes());
            directory.extend([0; 4]);
            directory.extend(crc);
            directory.extend(small(packed.len() as u64));
            directory.extend(small(text.len() as u64));
            directory.extend(name_length);
            directory.extend(if is_large { 28_u16 } else { 0 }.to_le_bytes());
            directory.extend([0; 10]);
            directory.extend(small(offset));
            directory.extend(name.as_bytes());
            if is_large {
                directory.extend([1, 0, 24, 0]);
                [text.len() as u64, packed.len() as u64, offset].iter().for_each(|n| directory.extend(n.to_le_bytes()));
            }
        }
        let (size, offset) = (directory.len() as u64, bytes.len() as u64);
        bytes.extend(directory);
        if is_large {
            let end = bytes.len() as u64;
            bytes.extend(b"PK\x06\x06");
            bytes.extend([0; 36]);
            [size, offset].iter().for_each(|n| bytes.extend(n.to_le_bytes()));
            bytes.extend(b"PK\x06\x07\0\0\0\0");
            bytes.extend(end.to_le_bytes());
            bytes.extend([0; 4]);
        }
        bytes.extend(b"PK\x05\x06\0\0\0\0\0\0\0\0");
        bytes.extend(u32::try_from(size).unwrap().to_le_bytes());
        bytes.extend(u32::try_from(offset).unwrap().to_le_bytes());
        bytes.extend([0; 2]);
        bytes
    }

    fn read(bytes: &[u8]) -> io::Result<Option<String>> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let Some(mut samples) = Samples::open(file, Arc::default())? else { return Ok(None) };
        let mut text = String::new();
        samples.read_to_string(&mut text).map(|_| Some(text))
    }

    const LOG: &[(&str, u16, &[u8])] = &[
        ("_journal/start.json", 0, b"{}"),
        ("samples/1_epoch_1.json", 93, b"{\"id\": 1}"),
        ("samples/2_epoch_1.json", 8, b"{\"id\": 2}"),
        ("samples/3_epoch_1.json", 0, b"{\"id\": 3}"),
        ("header.json", 8, b"{\"version\": 2}"),
    ];

    #[test]
    fn samples_follow_each_other_however_they_are_packed() {
        for is_large in [false, true] {
            let text = read(&archive(LOG, is_large)).unwrap();
            assert_eq!(text.as_deref(), Some("{\"id\": 1}\n{\"id\": 2}\n{\"id\": 3}\n"), "{is_large}");
        }
    }

    #[test]
    fn another_archive_is_no_log_and_a_damaged_one_an_error() {
        assert_eq!(read(&archive(&[("[Content_Types].xml", 8, b"<x/>")], false)).unwrap(), None);
        let log = archive(LOG, false);
        assert!(read(&log[..log.len() - 30]).is_err());
        assert!(read(b"PK\x03\x04").is_err());
        let mut changed = log;
        let at = memchr::memmem::find(&changed, b"{\"id\": 3}").unwrap();
        changed[at + 7] = b'4';
        assert!(read(&changed).is_err());
        let unknown = archive(&[("header.json", 0, b"{}"), ("samples/1.json", 12, b"{}")], false);
        assert!(read(&unknown).unwrap_err().to_string().contains("method 12"));
    }
}
