//! Pictures in messages, as addresses.

use serde_json::{Map, Value};

/// Whether a file is a picture, by its declared type or its first bytes.
pub(super) fn is_image(fields: &Map<String, Value>) -> bool {
    let is_said =
        |key: &str, begins: &str| fields.get(key).and_then(Value::as_str).is_some_and(|text| text.starts_with(begins));
    is_said("modality", "image")
        || MEDIA_TYPES.iter().any(|key| is_said(key, "image/"))
        || CONTENTS.iter().any(|key| is_said(key, "data:image/"))
}

const MEDIA_TYPES: [&str; 4] = ["mime_type", "mediaType", "mimeType", "media_type"];
const CONTENTS: [&str; 4] = ["content", "data", "url", "file"];

/// The address of a file that is embedded in a message, as a data URL or in bare base64; or its given address.
pub(super) fn data_url(fields: &Map<String, Value>) -> Option<String> {
    let content = CONTENTS.iter().find_map(|key| fields.get(*key)?.as_str())?;
    Some(url_of(content, fields))
}

pub(super) fn url_of(content: &str, fields: &Map<String, Value>) -> String {
    if ["data:", "http:", "https:", "mlflow-attachment:"].iter().any(|scheme| content.starts_with(scheme)) {
        return content.to_owned();
    }
    let media_type = MEDIA_TYPES.iter().find_map(|key| fields.get(*key)?.as_str()).filter(|kind| !kind.is_empty());
    // How the formats begin, in base64.
    let begins = [("iVBORw0", "image/png"), ("/9j/", "image/jpeg"), ("R0lGOD", "image/gif"), ("UklGR", "image/webp")];
    let by_content = || begins.iter().find(|(begin, _)| content.starts_with(begin)).map(|(_, kind)| *kind);
    match media_type.or_else(by_content) {
        Some(media_type) => format!("data:{media_type};base64,{content}"),
        None => content.to_owned(),
    }
}

/// The address of a picture: OpenInference's `{"image": {"image": {"url": "..."}}}`, AI SDK's `{"image": "..."}`.
pub(super) fn image_url(fields: &Map<String, Value>) -> Option<&str> {
    let mut value = fields.get("image").or_else(|| fields.get("url"))?;
    while let Some(inner) = value.get("image").or_else(|| value.get("url")) {
        value = inner;
    }
    value.as_str()
}
