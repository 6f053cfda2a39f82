//! The body of a response: read to its end, and decompressed if necessary, whether or not compression was requested.

use std::borrow::Cow;
use std::io::{self, Read};
use std::time::Duration;

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use reqwest::Response;
use reqwest::header::{CONTENT_ENCODING, HeaderMap};

use crate::endpoint::Failure;
use crate::endpoint::failure::classify_transport;
use crate::feedback::ErrorCode;

/// Once an answer has begun, this long without a byte means that the rest will not arrive.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// No verdict is this long.
pub(super) const MAX_BYTES: usize = 16 << 20;
/// Ends a stream of events; some servers keep the connection open after it.
const END_OF_STREAM: &[u8] = b"data: [DONE]";
/// How gzip begins.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// How Zstandard begins.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Reads the body to its end, if it is not longer than `max`. `proxy` is the address of the proxy in between.
pub(crate) async fn read(response: &mut Response, proxy: Option<&str>, max: usize) -> Result<Vec<u8>, Box<Failure>> {
    let mut bytes = Vec::new();
    loop {
        match tokio::time::timeout(IDLE_TIMEOUT, response.chunk()).await {
            Ok(Ok(Some(chunk))) if bytes.len() + chunk.len() <= max => bytes.extend_from_slice(&chunk),
            Ok(Ok(Some(_))) => return Err(too_long(max)),
            Ok(Ok(None)) => return Ok(bytes),
            Ok(Err(error)) => return Err(classify_transport(&error, proxy).into()),
            Err(_) => {
                let message = format!("the answer stalled for {} s", IDLE_TIMEOUT.as_secs());
                return Err(Failure::new(ErrorCode::Timeout, &message).into());
            }
        }
        if bytes.trim_ascii_end().ends_with(END_OF_STREAM) {
            return Ok(bytes);
        }
    }
}

/// Undoes the encodings that the headers name, the last first, and gzip that they do not name.
pub(crate) fn unpacked<'a>(headers: &HeaderMap, bytes: &'a [u8]) -> Result<Cow<'a, [u8]>, Box<Failure>> {
    let mut body = Cow::Borrowed(bytes);
    let named = headers.get_all(CONTENT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let named: Vec<String> =
        named.flat_map(|value| value.split(',')).map(|name| name.trim().to_ascii_lowercase()).collect();
    for name in named.iter().rev() {
        body = unpack(name, &body)?.map_or(body, Cow::Owned);
    }
    if body.starts_with(&GZIP) {
        body = unpack("gzip", &body)?.map_or(body, Cow::Owned);
    }
    Ok(body)
}

/// `None` if the body is not in this encoding after all: proxies decompress it and leave the header.
fn unpack(name: &str, bytes: &[u8]) -> Result<Option<Vec<u8>>, Box<Failure>> {
    let unpacked = match name {
        "" | "identity" => return Ok(None),
        "gzip" | "x-gzip" if !bytes.starts_with(&GZIP) => return Ok(None),
        "gzip" | "x-gzip" => to_end(MultiGzDecoder::new(bytes)),
        // By the standard it has zlib's form; some servers send it bare.
        "deflate" if is_plain(bytes) => return Ok(None),
        "deflate" => to_end(ZlibDecoder::new(bytes)).or_else(|_| to_end(DeflateDecoder::new(bytes))),
        "zstd" if !bytes.starts_with(&ZSTD) => return Ok(None),
        "zstd" => ruzstd::decoding::StreamingDecoder::new(bytes).map_err(io::Error::other).and_then(to_end),
        _ if is_plain(bytes) => return Ok(None),
        other => {
            let message = format!(
                "the answer is compressed with `{other}`, which judge-run did not ask for and cannot decompress"
            );
            return Err(Failure::new(ErrorCode::MalformedResponse, &message).into());
        }
    };
    match unpacked {
        Ok(bytes) if bytes.len() > MAX_BYTES => Err(too_long(MAX_BYTES)),
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) => {
            let message = format!("the answer is damaged: it cannot be decompressed as {name} ({error})");
            Err(Failure::new(ErrorCode::MalformedResponse, &message).into())
        }
    }
}

/// Whether this looks like JSON or a stream of events.
fn is_plain(bytes: &[u8]) -> bool {
    let text = bytes.trim_ascii_start();
    text.is_empty() || text.starts_with(b"{") || text.starts_with(b"[") || text.starts_with(b"data:")
}

/// A little may decompress to very much; what is too long is not decompressed to its end.
fn to_end(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn too_long(max: usize) -> Box<Failure> {
    Failure::new(ErrorCode::MalformedResponse, &format!("the answer is longer than {} MiB", max >> 20)).into()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    const TEXT: &[u8] = br#"{"choices":[]}"#;

    fn read(encodings: &[&'static str], bytes: &[u8]) -> Result<Vec<u8>, Box<Failure>> {
        let headers = encodings.iter().map(|name| (CONTENT_ENCODING, name.parse().unwrap())).collect();
        unpacked(&headers, bytes).map(Cow::into_owned)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_is_compressed_is_unpacked() {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(TEXT).unwrap();
        let mut deflate = DeflateEncoder::new(Vec::new(), Compression::fast());
        deflate.write_all(TEXT).unwrap();
        let zstd = ruzstd::encoding::compress_to_vec(TEXT, ruzstd::encoding::CompressionLevel::Fastest);
        let twice = gzip(&gzip(TEXT));
        for (encodings, bytes) in [
            (&["gzip"][..], gzip(TEXT)),
            (&["GZip"], gzip(TEXT)),
            (&["x-gzip"], gzip(TEXT)),
            (&[], gzip(TEXT)),
            (&["gzip, gzip"], twice.clone()),
            (&["gzip", "gzip"], twice),
            (&["deflate"], zlib.finish().unwrap()),
            (&["deflate"], deflate.finish().unwrap()),
            (&["zstd"], zstd),
        ] {
            assert_eq!(read(encodings, &bytes).unwrap(), TEXT, "{encodings:?}");
        }
    }

    #[test]
    fn what_is_not_compressed_is_left_alone_whatever_the_header_says() {
        for encoding in ["gzip", "deflate", "zstd", "br", "identity", ""] {
            assert_eq!(read(&[encoding], TEXT).unwrap(), TEXT, "{encoding}");
            assert_eq!(read(&[encoding], b" data: {}").unwrap(), b" data: {}", "{encoding}");
        }
        assert_eq!(read(&[], b"<html>").unwrap(), b"<html>");
    }

    #[test]
    fn what_cannot_be_unpacked_is_said() {
        let message = |encoding, bytes: &[u8]| {
            let failure = read(&[encoding], bytes).unwrap_err();
            assert_eq!(failure.code, ErrorCode::MalformedResponse);
            failure.message
        };
        assert!(message("br", b"\x0b\x02\x80").contains("`br`"));
        let cut = gzip(TEXT);
        assert!(message("gzip", &cut[..cut.len() - 9]).contains("decompressed as gzip"));
        assert!(message("deflate", b"\xff\xff\xff").contains("decompressed as deflate"));
        assert!(message("gzip", &gzip(&vec![b' '; MAX_BYTES + 1])).contains("longer than 16 MiB"));
        assert_eq!(read(&["gzip"], &gzip(&vec![b' '; MAX_BYTES])).unwrap().len(), MAX_BYTES);
    }
}
