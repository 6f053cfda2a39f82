//! Images and other files inside a trace: a short placeholder where text is shown, and the images themselves where a
//! prompt attaches them.
//!
//! Sources: content parts of OpenAI's chat completions (`image_url`) and responses (`input_image`), which MLflow traces
//! have too; Anthropic's `image` blocks with a `source`; Gemini's `inline_data`. An MLflow attachment
//! (`mlflow-attachment://...`) is a reference, unless it was fetched with the trace.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, LazyLock};

use memchr::memmem::Finder;
use minijinja::value::{Enumerator, Object, ObjectRepr, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};

use super::cut::grouped;

/// Shorter payloads are left as they are: they spoil no prompt.
const MIN_PAYLOAD: usize = 192;

static DATA_URI: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b";base64,"));
/// Members that hold bare base64: Anthropic, Gemini and `input_audio`; OpenAI's image generation.
static MEMBERS: LazyLock<[Finder<'static>; 2]> =
    LazyLock::new(|| [Finder::new(b"\"data\":\""), Finder::new(b"\"b64_json\":\"")]);

/// The text with a placeholder for each file that it holds in base64. Other texts stay as they are.
pub(super) fn without_payloads(text: &str, is_json: bool) -> Cow<'_, str> {
    if !has_long_run(text.as_bytes()) {
        return text.into();
    }
    let mut text = Cow::Borrowed(text);
    if DATA_URI.find(text.as_bytes()).is_some() {
        text = replaced(text, &DATA_URI, |before| {
            let uri = before.rfind("data:")?;
            let media_type = before[uri..].strip_prefix("data:")?.strip_suffix(";base64,")?;
            is_media_type(media_type).then_some((uri, media_type))
        });
    }
    for member in MEMBERS.iter().filter(|_| is_json) {
        if member.find(text.as_bytes()).is_some() {
            text = replaced(text, member, |before| Some((before.len(), "")));
        }
    }
    text
}

/// Replaces what follows each match, if it is base64. `place` says, from the text before, where the replacement begins
/// and of which media type it is.
fn replaced<'a>(
    text: Cow<'a, str>,
    finder: &Finder<'_>,
    place: impl Fn(&str) -> Option<(usize, &str)>,
) -> Cow<'a, str> {
    let mut out = String::new();
    let mut done = 0;
    for at in finder.find_iter(text.as_bytes()) {
        let start = at + finder.needle().len();
        let Some(before) = text.get(done..start) else { continue };
        let length = base64_length(&text.as_bytes()[start..]);
        if length < MIN_PAYLOAD {
            continue;
        }
        if let Some((from, media_type)) = place(before) {
            out.push_str(&before[..from]);
            out.push_str(&placeholder(None, media_type, &text[start..start + length]));
            done = start + length;
        }
    }
    if done == 0 {
        return text;
    }
    out.push_str(&text[done..]);
    out.into()
}

/// Whether a long run of bytes may be base64. Such a run covers one of the places that are looked at; in any other text a
/// word ends soon, so that nearly nothing is read of it.
fn has_long_run(bytes: &[u8]) -> bool {
    let may_be = |b: &&u8| is_base64(**b) || **b == b'\\';
    let run = |at: usize| {
        let (before, after) = bytes.split_at(at);
        let before = before.iter().rev().take(MIN_PAYLOAD).take_while(may_be).count();
        before + after.iter().take(MIN_PAYLOAD).take_while(may_be).count()
    };
    (MIN_PAYLOAD - 1..bytes.len()).step_by(MIN_PAYLOAD).any(|at| run(at) >= MIN_PAYLOAD)
}

/// Of either alphabet, or padding.
fn is_base64(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'-' | b'_' | b'=')
}

/// How many bytes at the beginning are base64; `\/` is how some write a slash in JSON.
fn base64_length(bytes: &[u8]) -> usize {
    let ends = |at: usize| match bytes[at] {
        b'\\' => bytes.get(at + 1) != Some(&b'/'),
        b => !is_base64(b),
    };
    (0..bytes.len()).find(|at| ends(*at)).unwrap_or(bytes.len())
}

fn is_media_type(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'+' | b'-' | b'.' | b';' | b'=' | b'_');
    text.len() <= 100 && text.bytes().all(allowed)
}

/// `[image: image/png, 12,345 bytes, blake3 0123456789ab]`: its kind, and a hash to recognise it.
fn placeholder(number: Option<usize>, media_type: &str, base64: &str) -> String {
    let media_type = media_type.split(';').next().unwrap_or(media_type);
    let kind = media_type.split('/').next().filter(|kind| matches!(*kind, "image" | "audio" | "video"));
    let kind = kind.unwrap_or("file");
    let digits = base64.bytes().filter(|b| !matches!(b, b'=' | b'\\')).count() as u64;
    let hash = blake3::hash(base64.as_bytes()).to_hex();
    let number = number.map(|number| format!(" {number}")).unwrap_or_default();
    let media_type = if media_type.is_empty() { String::new() } else { format!(" {media_type},") };
    format!("[{kind}{number}:{media_type} {} bytes, blake3 {}]", grouped(digits * 3 / 4), &hash[..12])
}

/// An image that a prompt can attach: an address, or a data URI that holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Image(Arc<str>);

impl Image {
    /// Shown in its place: the number of the attached image.
    fn shown(&self, number: Option<usize>) -> String {
        match self.0.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")) {
            Some((media_type, base64)) => placeholder(number, media_type, base64),
            None => number.map_or_else(|| "[image]".to_owned(), |number| format!("[image {number}]")),
        }
    }
}

impl Object for Image {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown(None))
    }
}

/// What `images` finds.
#[derive(Debug)]
pub(super) struct Images(Vec<Arc<Image>>);

impl Object for Images {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.get(key.as_usize()?).map(|image| Value::from_dyn_object(Arc::clone(image)))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.0.len())
    }
}

/// The images that a prompt attaches; a render-local extension of the engine's state.
#[derive(Debug, Default)]
pub(super) struct Attached(pub Vec<Arc<str>>);

impl Attached {
    /// Attaches an image once, and returns its number, from 1.
    fn number(&mut self, image: &Image) -> usize {
        let known = self.0.iter().position(|url| *url == image.0);
        known.unwrap_or_else(|| {
            self.0.push(Arc::clone(&image.0));
            self.0.len() - 1
        }) + 1
    }
}

/// Attaches a value that is an image, or a list of them, and returns its placeholder. `None` for any other value.
pub(super) fn attach(state: &mut State<'_, '_>, value: &Value) -> Result<Option<String>, Error> {
    let images = match (value.downcast_object::<Image>(), value.downcast_object::<Images>()) {
        (Some(image), _) => vec![image],
        (_, Some(images)) if images.0.is_empty() => {
            let reason = "the trace has no image here; MLflow's attachments are references unless they were fetched with the traces";
            return Err(Error::new(ErrorKind::InvalidOperation, reason));
        }
        (_, Some(images)) => images.0.clone(),
        (None, None) => return Ok(None),
    };
    let attached: &mut Attached = state.get_or_insert_extension_with(Attached::default);
    let shown: Vec<_> = images.iter().map(|image| image.shown(Some(attached.number(image)))).collect();
    Ok(Some(shown.join("\n")))
}

/// `{{ inputs | images }}`: the images in a value, in order, each once. Written into a prompt they are attached to it.
pub(super) fn images(value: &Value) -> Result<Value, Error> {
    super::value::defined(value)?;
    let mut found = Vec::new();
    collect(value, &mut found)?;
    Ok(Value::from_object(Images(found)))
}

fn collect(value: &Value, found: &mut Vec<Arc<Image>>) -> Result<(), Error> {
    match value.kind() {
        ValueKind::String => {
            if let Some(text) = value.as_str().filter(|text| text.starts_with("data:image/")) {
                add(text.to_owned(), found);
            }
        }
        ValueKind::Map => {
            let member = |name: &str| value.get_attr(name);
            let text = |holder: &Value, name: &str| {
                Ok::<_, Error>(holder.get_attr(name)?.as_str().map(ToOwned::to_owned).filter(|text| !text.is_empty()))
            };
            let inline = |holder: &Value, media_type: &str| {
                let parts = text(holder, media_type)?.zip(text(holder, "data")?);
                Ok::<_, Error>(parts.map(|(media_type, data)| format!("data:{media_type};base64,{data}")))
            };
            let kind = member("type")?;
            let url = match kind.as_str() {
                Some("image_url" | "input_image") => {
                    let image = member("image_url")?;
                    match image.as_str() {
                        Some(url) => Some(url.to_owned()),
                        None if image.kind() == ValueKind::Map => text(&image, "url")?,
                        None => None,
                    }
                }
                Some("image") if member("source")?.kind() == ValueKind::Map => {
                    let source = member("source")?;
                    match text(&source, "url")? {
                        Some(url) => Some(url),
                        None => inline(&source, "media_type")?,
                    }
                }
                _ => {
                    let mut url = None;
                    for (name, media_type) in [("inline_data", "mime_type"), ("inlineData", "mimeType")] {
                        let holder = member(name)?;
                        if holder.kind() == ValueKind::Map {
                            url = inline(&holder, media_type)?;
                        }
                    }
                    url
                }
            };
            if let Some(url) = url {
                add(url, found);
                return Ok(());
            }
            for key in value.try_iter()? {
                collect(&value.get_item(&key)?, found)?;
            }
        }
        ValueKind::Seq | ValueKind::Iterable => {
            for item in value.try_iter()? {
                collect(&item, found)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Adds an address that an endpoint accepts.
fn add(url: String, found: &mut Vec<Arc<Image>>) {
    let is_data = |rest: &str| {
        rest.split_once(";base64,").is_some_and(|(media_type, base64)| {
            is_media_type(media_type) && base64_length(base64.as_bytes()) == base64.len() && !base64.is_empty()
        })
    };
    let is_image = url.strip_prefix("data:").is_some_and(|rest| rest.starts_with("image/") && is_data(rest));
    let is_address = url.starts_with("https://") || url.starts_with("http://");
    let image = Image(url.into());
    if (is_image || is_address) && !found.iter().any(|known| **known == image) {
        found.push(Arc::new(image));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload() -> String {
        "iVBORw0KGgo+/aB9".repeat(20)
    }

    #[test]
    fn a_file_in_base64_is_shown_as_what_it_is() {
        let base64 = payload();
        let hash = &blake3::hash(base64.as_bytes()).to_hex()[..12];
        let shown = without_payloads(&format!("see data:image/png;base64,{base64} and more"), false).into_owned();
        assert_eq!(shown, format!("see [image: image/png, 240 bytes, blake3 {hash}] and more"));
        let json = format!(r#"{{"a":"data:application/pdf;name=x.pdf;base64,{base64}","b":{{"data":"{base64}"}}}}"#);
        let expected = format!(
            r#"{{"a":"[file: application/pdf, 240 bytes, blake3 {hash}]","b":{{"data":"[file: 240 bytes, blake3 {hash}]"}}}}"#
        );
        assert_eq!(without_payloads(&json, true), expected);
        let two = format!("data:audio/wav;base64,{base64} data:image/png;base64,{base64}");
        let shown = without_payloads(&two, false);
        assert!(shown.starts_with("[audio: audio/wav, 240 bytes") && shown.contains("] [image: image/png,"), "{shown}");
    }

    #[test]
    fn a_run_is_seen_wherever_it_begins() {
        for before in 0..2 * MIN_PAYLOAD {
            let text = |length| format!("{}{}, and words", " ".repeat(before), "A".repeat(length));
            assert!(has_long_run(text(MIN_PAYLOAD).as_bytes()), "{before}");
            assert!(!has_long_run(text(MIN_PAYLOAD - 1).as_bytes()), "{before}");
        }
    }

    #[test]
    fn any_other_text_stays_as_it_is() {
        let base64 = payload();
        for text in [
            "data:image/png;base64,iVBORw0KGgo= is how an image begins, and this sentence makes it longer than any short text that is never looked at".to_owned(),
            format!("{base64} ;base64,{base64}"),
            format!(r#"{{"data":"{} and words"}}"#, "word ".repeat(100)),
            format!("https://example.com/a.png?{base64}"),
            format!("mlflow-attachment://id?content_type=image%2Fpng&trace_id=tr-{base64}"),
        ] {
            assert!(matches!(without_payloads(&text, true), Cow::Borrowed(_)), "{text}");
        }
    }

    #[test]
    fn images_are_found_in_the_forms_of_all_providers_and_each_once() {
        let base64 = payload();
        let data = format!("data:image/png;base64,{base64}");
        let value = Value::from(minijinja::value::Serde(serde_json::json!({
            "messages": [
                {"type": "image_url", "image_url": {"url": "https://example.com/1.png"}},
                {"type": "input_image", "image_url": "https://example.com/2.png"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": base64}},
                {"type": "image", "source": {"type": "url", "url": "https://example.com/3.png"}},
                {"inline_data": {"mime_type": "image/jpeg", "data": base64}},
            ],
            "again": [data, "https://example.com/plain-text.png"],
            "none": [
                {"type": "image_url", "image_url": {"url": "file:///etc/passwd"}},
                {"type": "image_url", "image_url": {"url": "mlflow-attachment://x"}},
                {"type": "image_url"},
                "data:image/png;base64,not base64",
                "data:text/html;base64,aaaa",
            ],
        })));
        let mut found = Vec::new();
        collect(&value, &mut found).unwrap();
        let urls: Vec<_> = found.iter().map(|image| image.0.to_string()).collect();
        let jpeg = data.replace("png", "jpeg");
        let expected =
            ["https://example.com/1.png", "https://example.com/2.png", &data, "https://example.com/3.png", &jpeg];
        assert_eq!(urls, expected);
    }
}
