//! Members of a gzip file one after the other, as one stream.
//!
//! Source: RFC 1952, section 2.2. Between and after members zeros are padding, as in gzip(1) and Python.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

/// Reads the content of all members. Their checksums are verified.
pub(crate) struct GzipMembers<R> {
    state: State<R>,
}

enum State<R> {
    Between(R),
    In(Box<GzDecoder<R>>),
    /// After an error, or while one state becomes another.
    Gone,
}

impl<R: BufRead> GzipMembers<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { state: State::Between(reader) }
    }
}

/// Skips zeros; returns whether anything is left.
pub(super) fn skip_padding(reader: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let chunk = reader.fill_buf()?;
        let (length, zeros) = (chunk.len(), chunk.iter().take_while(|byte| **byte == 0).count());
        reader.consume(zeros);
        if length == 0 || zeros < length {
            return Ok(length > 0);
        }
    }
}

impl<R: BufRead> Read for GzipMembers<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match std::mem::replace(&mut self.state, State::Gone) {
                State::Between(mut reader) => {
                    if !skip_padding(&mut reader)? {
                        self.state = State::Between(reader);
                        return Ok(0);
                    }
                    self.state = State::In(Box::new(GzDecoder::new(reader)));
                }
                State::In(mut decoder) => {
                    let n = decoder.read(buffer)?;
                    if n > 0 || buffer.is_empty() {
                        self.state = State::In(decoder);
                        return Ok(n);
                    }
                    self.state = State::Between(decoder.into_inner());
                }
                State::Gone => return Ok(0),
            }
        }
    }
}
