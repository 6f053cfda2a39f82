//! Images of traces. Where a span's inputs or outputs hold a file, MLflow keeps a reference there, and the file next to the trace:
//! `mlflow-attachment://UUID?content_type=image%2Fpng&trace_id=tr-...&size=70`.
//!
//! Source: `mlflow.tracing.attachments.Attachment` and `get_trace_artifact_handler` of MLflow's server.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, Url};
use serde_json::value::RawValue;

use super::Server;
use crate::servers::ServerError;

const SCHEME: &str = "mlflow-attachment://";
/// No provider takes larger images.
const MAX_BYTES: u64 = 20 << 20;

/// The spans of a trace with images in place of their references.
pub(super) struct WithImages {
    pub spans: Box<RawValue>,
    pub fetched: u64,
    /// References to images that the server does not have, or that are too large for any model.
    pub missing: u64,
}

/// An image that is elsewhere.
struct Reference {
    id: String,
    content_type: String,
    trace_id: String,
    size: Option<u64>,
}

/// Fetches the images that spans refer to, each once. Other attachments remain references.
pub(super) async fn with_images(server: &Server, spans: Box<RawValue>) -> Result<WithImages, ServerError> {
    let mut found = BTreeMap::new();
    for text in references(spans.get()) {
        if let Some(reference) = Reference::of(text).filter(|_| !found.contains_key(text)) {
            found.insert(text.to_owned(), fetch(server, &reference).await?);
        }
    }
    let fetched = found.values().flatten().count() as u64;
    let missing = found.len() as u64 - fetched;
    if fetched == 0 {
        return Ok(WithImages { spans, fetched, missing });
    }
    // Neither a reference nor a data URL has characters that JSON escapes, however deep they are nested in JSON texts.
    let mut text = spans.get().to_owned();
    for (reference, image) in found.iter().rev().filter_map(|(text, image)| Some((text, image.as_ref()?))) {
        text = text.replace(reference, image);
    }
    let spans = RawValue::from_string(text).map_err(|error| ServerError::Unexpected {
        request: "the attachments of a trace".to_owned(),
        reason: error.to_string(),
    })?;
    Ok(WithImages { spans, fetched, missing })
}

/// The references in a text, as written there.
fn references(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices(SCHEME).map(|(start, _)| {
        let rest = &text[start..];
        let is_end = |c: char| c.is_whitespace() || matches!(c, '"' | '\\' | '<' | '>');
        &rest[..rest.find(is_end).unwrap_or(rest.len())]
    })
}

impl Reference {
    /// `None` for anything that is not a reference to an image.
    fn of(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let member = |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        let content_type = member("content_type")?;
        let kind = content_type.strip_prefix("image/")?;
        let is_plain = !kind.is_empty() && kind.chars().all(|c| c.is_ascii_alphanumeric() || "+.-".contains(c));
        let size = member("size").and_then(|size| size.parse().ok());
        is_plain.then_some(Self { id: url.host_str()?.to_owned(), content_type, trace_id: member("trace_id")?, size })
    }
}

/// The image as a data URL.
async fn fetch(server: &Server, reference: &Reference) -> Result<Option<String>, ServerError> {
    let Reference { id, content_type, trace_id, size } = reference;
    if size.is_some_and(|size| size > MAX_BYTES) {
        return Ok(None);
    }
    let query = [("request_id", trace_id.as_str()), ("path", id.as_str())];
    let reply = server.http.send(Method::GET, &["ajax-api/3.0/mlflow/get-trace-artifact"], &query, None).await?;
    // A server without attachments answers with the spans.
    let is_whole = size.is_none_or(|size| size == reply.body.len() as u64);
    match reply.status {
        400 | 404 | 500 => Ok(None),
        _ if !reply.is_success() => Err(reply.error()),
        _ if !is_whole || reply.body.len() as u64 > MAX_BYTES => Ok(None),
        _ => Ok(Some(format!("data:{content_type};base64,{}", STANDARD.encode(&reply.body)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: &str = "mlflow-attachment://148b601d-e660-4862?content_type=image%2Fpng&trace_id=tr-2&size=70";

    #[test]
    fn references_are_found_in_texts_of_json_too() {
        let spans = format!(r#"[{{"a":"{IMAGE}","b":"{{\"url\": \"{IMAGE}\"}}"}}]"#);
        assert_eq!(references(&spans).collect::<Vec<_>>(), [IMAGE, IMAGE]);
        assert_eq!(references("no mlflow-attachment here").count(), 0);
    }

    #[test]
    fn only_references_to_images_are_followed() {
        let image = Reference::of(IMAGE).unwrap();
        assert_eq!((image.id.as_str(), image.trace_id.as_str(), image.size), ("148b601d-e660-4862", "tr-2", Some(70)));
        for other in [
            "mlflow-attachment://x?content_type=application%2Fpdf&trace_id=t",
            "mlflow-attachment://x?content_type=image%2Fpng%22%2C&trace_id=t",
            "mlflow-attachment://x?content_type=image%2Fpng",
            "mlflow-attachment://",
        ] {
            assert!(Reference::of(other).is_none(), "{other}");
        }
    }
}
