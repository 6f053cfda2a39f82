//! The parts of a form, as files are uploaded (RFC 7578).

use axum::body::Bytes;
use memchr::memmem;

#[derive(Debug, PartialEq)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) file_name: Option<String>,
    pub(super) content: Bytes,
}

/// All parts that have a name; none if the body is not such a form.
pub(super) fn parts(content_type: &str, body: &Bytes) -> Vec<Part> {
    let Some(boundary) = parameter(content_type, "boundary") else { return Vec::new() };
    let delimiter = format!("\r\n--{boundary}");
    let mut parts = Vec::new();
    // The first delimiter has no line before it.
    let mut from = delimiter.len() - 2;
    while let Some(end) = body.get(from..).and_then(|rest| memmem::find(rest, delimiter.as_bytes())) {
        let part = body.slice(from..from + end);
        from += end + delimiter.len();
        let Some(head_end) = memmem::find(&part, b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&part[..head_end]).into_owned();
        let disposition = head.lines().find(|line| line.to_ascii_lowercase().starts_with("content-disposition"));
        let Some(name) = disposition.and_then(|line| parameter(line, "name")) else { continue };
        let file_name = disposition.and_then(|line| parameter(line, "filename"));
        parts.push(Part { name, file_name, content: part.slice(head_end + 4..) });
    }
    parts
}

/// The parameter of a header's value, with or without quotation marks.
fn parameter(header: &str, name: &str) -> Option<String> {
    let parameters = header.split(';').skip(1).filter_map(|parameter| parameter.trim().split_once('='));
    let found = parameters.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_has_its_parts() {
        let body = "--xyz\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--xyz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.jsonl\"\r\nContent-Type: text/plain\r\n\r\n{}\r\n\r\n\r\n--xyz--\r\n";
        let found = parts("multipart/form-data; boundary=xyz", &Bytes::from_static(body.as_bytes()));
        let text = |part: &Part| (part.name.clone(), part.file_name.clone(), part.content.to_vec());
        let found: Vec<_> = found.iter().map(text).collect();
        let file = ("file".to_owned(), Some("a.jsonl".to_owned()), b"{}\r\n\r\n".to_vec());
        assert_eq!(found, [("purpose".to_owned(), None, b"batch".to_vec()), file]);
        assert_eq!(parts("application/json", &Bytes::from_static(b"{}")), []);
        assert_eq!(parts("multipart/form-data; boundary=x", &Bytes::from_static(b"{}")), []);
    }
}
