//! A body that is read from a file as it is sent: a file of requests may have hundreds of megabytes.
//!
//! Source of the form: RFC 7578.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// What is read and sent at a time.
const PIECE: usize = 1 << 16;

/// Bytes, a file, bytes.
pub(super) struct FileBody {
    before: Option<Bytes>,
    file: Option<File>,
    after: Option<Bytes>,
    left: u64,
}

impl FileBody {
    fn new(before: Vec<u8>, file: &Path, after: Vec<u8>) -> io::Result<Self> {
        let file = File::open(file)?;
        let left = before.len() as u64 + file.metadata()?.len() + after.len() as u64;
        Ok(Self { before: Some(before.into()), file: Some(file), after: Some(after.into()), left })
    }

    /// A file alone.
    pub(super) fn plain(file: &Path) -> io::Result<Self> {
        Self::new(Vec::new(), file, Vec::new())
    }

    /// A form with these fields and the file, and the value of its content type.
    pub(super) fn form(fields: &[(&str, &str)], name: &str, file: &Path) -> io::Result<(Self, String)> {
        // Longer than what a file of requests could have by chance.
        let boundary = format!("judge-run-{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        let mut before = String::new();
        for (field, value) in fields {
            before += &format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{field}\"\r\n\r\n{value}\r\n");
        }
        before += &format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: application/jsonl\r\n\r\n"
        );
        let after = format!("\r\n--{boundary}--\r\n");
        let body = Self::new(before.into_bytes(), file, after.into_bytes())?;
        Ok((body, format!("multipart/form-data; boundary={boundary}")))
    }

    fn piece(&mut self) -> io::Result<Option<Bytes>> {
        if let Some(before) = self.before.take().filter(|before| !before.is_empty()) {
            return Ok(Some(before));
        }
        if let Some(file) = &mut self.file {
            let mut piece = vec![0; PIECE];
            let length = file.read(&mut piece)?;
            if length > 0 {
                piece.truncate(length);
                return Ok(Some(piece.into()));
            }
            self.file = None;
        }
        Ok(self.after.take().filter(|after| !after.is_empty()))
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        // A file on a disk does not wait for anything else.
        let piece = self.piece().transpose();
        if let Some(Ok(piece)) = &piece {
            self.left = self.left.saturating_sub(piece.len() as u64);
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
