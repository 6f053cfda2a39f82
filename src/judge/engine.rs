//! The template engine of prompts and expressions: its set-up, how it writes values, and its error messages.

use std::fmt::Write as _;

use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value};

use super::cut;
use super::documents;
use super::fence::{self, Fenced};
use super::image::{attach, images, without_payloads};
use super::shown::shown;
use super::subject::Subject;
use super::value::{defined, json_text};

/// The cost limit of one prompt: about this many steps, or a quarter of a gigabyte of text. A template that exceeds it is a mistake or an
/// attack.
const MAX_FUEL: u64 = 4_000_000;

/// The engine as templates and expressions use it.
pub(super) fn environment(undefined: UndefinedBehavior) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(undefined);
    environment.set_fuel(Some(MAX_FUEL));
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_formatter(write_value);
    environment.add_filter("fence", fence::filter);
    environment.add_filter("tojson", to_json);
    environment.add_filter("documents", documents::filter);
    environment.add_filter("images", images);
    // The expression at fault is all that is taken from the debug information: `Error`'s own debug display would print every
    // variable, which is the whole trace.
    environment.set_debug(true);
    environment
}

/// The same engine, which leaves at most `budget` bytes of each value, and never cuts the tags of a fence.
pub(super) fn cutting(environment: &Environment<'static>, budget: usize) -> Environment<'static> {
    let mut environment = environment.clone();
    environment.set_formatter(move |out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value| {
        let written = match (value.downcast_object_ref::<Fenced>(), attach(state, value)?) {
            (Some(fenced), _) => {
                let text = cut::note(state, &fenced.text, budget);
                fenced.write(out, &text)
            }
            (None, Some(images)) => out.write_str(&images),
            (None, None) => {
                let text = shown(state, value)?;
                out.write_str(&cut::note(state, &text, budget))
            }
        };
        written.map_err(unwritten)
    });
    environment
}

/// Strings as they are, everything else as JSON: the same text whatever dialect the trace came in. Images are attached.
fn write_value(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let written = match value.downcast_object_ref::<Fenced>() {
        _ if value.as_str().is_some() => out.write_str(&shown(state, value)?),
        Some(fenced) => fenced.write(out, &fenced.text),
        None => match attach(state, value)? {
            Some(images) => out.write_str(&images),
            None => out.write_str(&shown(state, value)?),
        },
    };
    written.map_err(unwritten)
}

fn unwritten(_: std::fmt::Error) -> Error {
    Error::new(ErrorKind::WriteFailure, "the prompt cannot be rendered")
}

/// `{{ value | tojson }}`: plain JSON. (The engine's own filter escapes for HTML.)
fn to_json(value: &Value) -> Result<String, Error> {
    defined(value)?;
    let json = json_text(value)?;
    Ok(without_payloads(&json, true).into_owned())
}

/// An error in words that name the expression but never show a value.
pub(super) fn explained(error: &Error, subject: Subject<'_>) -> String {
    let detail = error.detail().unwrap_or_default();
    match error.kind() {
        ErrorKind::UndefinedError => {
            // "`inputs.question` is undefined", possibly after other words.
            let name = detail.rsplit('`').nth(1).unwrap_or("a variable that the prompt uses");
            let hint = if name.starts_with("expectations") && subject.expectations().is_empty() {
                "; this judge compares with expectations, such as {\"expected_response\": \"...\"}"
            } else {
                ""
            };
            let owner = match subject {
                Subject::Span { .. } | Subject::Document { .. } if name.starts_with("span.") => "span",
                Subject::Document { .. } if name.starts_with("document.") => "document",
                _ => subject.noun(),
            };
            return format!("the {owner} has no `{name}`{hint}");
        }
        ErrorKind::OutOfFuel => return "the template asks for more text or steps than a prompt may take".to_owned(),
        _ => {}
    }
    let mut reason = if detail.is_empty() { error.kind().to_string() } else { detail.to_owned() };
    if let Some(expression) = error.template_source().zip(error.range()).and_then(|(text, range)| text.get(range)) {
        let _ = write!(reason, " (in `{}`)", expression.trim());
    }
    reason
}
