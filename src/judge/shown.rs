//! How a value is written in a prompt.

use std::borrow::Cow;

use minijinja::{Error, State, Value};

use super::control;
use super::documents::Document;
use super::image::without_payloads;
use super::value::json_text;

/// Control tokens that were broken in one prompt; a render-local extension of the engine's state.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Broken(pub(super) u64);

/// A value as a text, without embedded files, and with control tokens broken.
pub(super) fn shown<'a>(state: &mut State<'_, '_>, value: &'a Value) -> Result<Cow<'a, str>, Error> {
    let text = match (value.as_str(), value.downcast_object_ref::<Document>()) {
        (Some(text), _) => without_payloads(text, false),
        (None, Some(document)) => without_payloads(&document.to_string(), false).into_owned().into(),
        (None, None) => {
            let json = json_text(value)?;
            let changed = match without_payloads(&json, true) {
                Cow::Owned(text) => Some(text),
                Cow::Borrowed(_) => None,
            };
            changed.unwrap_or(json).into()
        }
    };
    let (text, count) = control::broken(text);
    if count > 0 {
        let broken: &mut Broken = state.get_or_insert_extension_with(Broken::default);
        broken.0 += count;
    }
    Ok(text)
}
