//! Files of results, fetched from wherever the provider keeps them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{Method, Request, Response, Url};

use super::super::error::BatchError;
use super::super::line::trimmed;
use super::{Http, TRANSFER, temporary};
use crate::endpoint::classify_transport;

/// A line of results is an answer, and not longer than one may be.
const MAX_LINE: u64 = 16 << 20;
/// Redirects that are followed, from one to the next.
const MAX_REDIRECTS: usize = 5;

impl Http {
    /// Fetches a body of any length into a file without a name, until it is whole. Secrets are still in it.
    pub(in crate::batch) async fn fetch(&self, what: &str, url: &Url) -> Result<File, BatchError> {
        self.patiently(async || {
            let mut file = tempfile::tempfile().map_err(temporary)?;
            self.fetch_once(what, url, &mut file).await?;
            file.seek(SeekFrom::Start(0)).map_err(temporary)?;
            Ok(file)
        })
        .await
    }

    /// Fetches the first line of a body, and little more of it. Secrets are still in it.
    pub(in crate::batch) async fn first_line(&self, what: &str, url: &Url) -> Result<Vec<u8>, BatchError> {
        self.patiently(async || {
            let mut response = self.get_file(what, url).await?;
            let mut line = Vec::new();
            while (line.len() as u64) < MAX_LINE
                && let Some(chunk) = self.chunk(what, &mut response).await?
            {
                let end = chunk.iter().position(|byte| *byte == b'\n');
                line.extend_from_slice(&chunk[..end.unwrap_or(chunk.len())]);
                if end.is_some() {
                    break;
                }
            }
            Ok(line)
        })
        .await
    }

    async fn chunk(&self, what: &str, response: &mut Response) -> Result<Option<Bytes>, BatchError> {
        let chunk = response.chunk().await;
        chunk.map_err(|error| self.failed(what, classify_transport(&error, self.connection.proxied())))
    }

    async fn fetch_once(&self, what: &str, url: &Url, file: &mut File) -> Result<(), BatchError> {
        let mut response = self.get_file(what, url).await?;
        while let Some(chunk) = self.chunk(what, &mut response).await? {
            file.write_all(&chunk).map_err(temporary)?;
        }
        Ok(())
    }

    /// Fetches a file of lines into another, each without secrets and changed by `to_line`.
    pub(in crate::batch) async fn fetch_into(
        &self,
        what: &str,
        url: &Url,
        into: &mut dyn Write,
        to_line: impl Fn(&[u8]) -> Vec<u8>,
    ) -> Result<(), BatchError> {
        let mut fetched = self.fetch(what, url).await?;
        // Storage returns what was stored compressed as it is, whatever the request says.
        let mut lines: Box<dyn BufRead> = match is_gzip(&mut fetched).map_err(temporary)? {
            true => Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(BufReader::new(fetched)))),
            false => Box::new(BufReader::with_capacity(1 << 16, fetched)),
        };
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = (&mut lines).take(MAX_LINE).read_until(b'\n', &mut line);
            let length = read.map_err(|error| match error.kind() {
                io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
                    let reason = format!("what is compressed cannot be read: {error}");
                    BatchError::Unexpected { what: what.to_owned(), reason }
                }
                _ => temporary(error),
            })?;
            if length as u64 == MAX_LINE {
                let reason = "a line of the results is too long".to_owned();
                return Err(BatchError::Unexpected { what: what.to_owned(), reason });
            }
            if length == 0 {
                return Ok(());
            }
            let text = trimmed(&line);
            if !text.is_empty() {
                let mut line = to_line(&self.without_secrets(text));
                line.push(b'\n');
                into.write_all(&line).map_err(BatchError::file(Path::new("the file of results")))?;
            }
        }
    }

    /// Asks for a file. Some providers redirect to the storage that has it: there, the address itself allows to read it, and the key is not sent.
    async fn get_file(&self, what: &str, url: &Url) -> Result<Response, BatchError> {
        let mut url = url.clone();
        let mut redirects = 0;
        loop {
            let mut request = match url.origin() == self.connection.url.origin() {
                true => self.connection.request(Method::GET, url.clone()),
                false => Request::new(Method::GET, url.clone()),
            };
            request.headers_mut().remove(CONTENT_TYPE);
            *request.timeout_mut() = Some(TRANSFER);
            let response = self.connection.send(request).await.map_err(|failure| self.failed(what, failure))?;
            match target(&response, &url).filter(|_| redirects < MAX_REDIRECTS) {
                Some(target) => (url, redirects) = (target, redirects + 1),
                None => return self.accepted(what, response).await,
            }
        }
    }
}

/// Where a response redirects to, if that is not less safe.
fn target(response: &Response, from: &Url) -> Option<Url> {
    let location = response.headers().get(LOCATION).filter(|_| response.status().is_redirection())?;
    let target = from.join(location.to_str().ok()?).ok()?;
    (target.scheme() == "https" || target.scheme() == from.scheme()).then_some(target)
}

/// Whether a file is compressed with gzip; it is read from its beginning afterwards.
fn is_gzip(file: &mut File) -> io::Result<bool> {
    let mut mark = Vec::new();
    (&*file).take(2).read_to_end(&mut mark)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(mark == [0x1f, 0x8b])
}
