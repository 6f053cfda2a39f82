//! The body of a failure, in every form that servers are known to send, read leniently into one.
//!
//! There is no standard: OpenAI nests `{"error": {...}}`, Mistral and SGLang are flat, Ollama and LM Studio send
//! `{"error": "..."}`, FastAPI servers `{"detail": ...}`, Gemini an array; gateways put their upstream's body as a
//! string into `message` or `metadata.raw`; proxies send HTML.

use std::time::{Duration, SystemTime};

use memchr::{memchr_iter, memmem};
use serde_json::{Map, Value};

use crate::endpoint::failure::failure::detail;
use crate::endpoint::failure::quotations::without_quotations;
use crate::endpoint::failure::wait;

/// How much of a body is read; no provider needs more to say what went wrong.
const MAX_BODY: usize = 64 * 1024;
/// The number of places in a message at which a JSON object is looked for.
const MAX_OBJECTS_TRIED: usize = 8;
/// Gateways behind gateways, each with its upstream's body in its message.
const MAX_LEVELS: usize = 4;
/// Members that hold the request or the model's text, lower-cased. They are the data under judgment: a trace about
/// rate limits must not make a failure a rate limit.
const ECHOES: &[&str] = &[
    "input",
    "flagged_input",
    "messages",
    "prompt",
    "body",
    "request",
    "content",
    "reasoning",
    "reasoning_content",
    "completion",
    "failed_generation",
];

/// All that a body says about a failure.
#[derive(Debug, Default)]
pub(crate) struct ErrorBody {
    /// The body is JSON.
    pub(crate) is_json: bool,
    /// It says that it is an error: a member `error`, or `object: "error"`.
    pub(crate) is_error: bool,
    /// It has a member `choices`.
    pub(crate) has_choices: bool,
    /// The provider's code: a word, or a number as its digits.
    pub(crate) code: Option<String>,
    /// The kind of error: OpenAI's `type`, TGI's `error_type`, pydantic's `type`.
    pub(crate) kind: Option<String>,
    /// Google's name for the status, e.g. `RESOURCE_EXHAUSTED`.
    pub(crate) status: Option<String>,
    /// The parameter that is to blame.
    pub(crate) param: Option<String>,
    /// The innermost message: the upstream's rather than the gateway's.
    pub(crate) message: Option<String>,
    /// The gateway's own message, when `message` is its upstream's.
    pub(crate) wrapper: Option<String>,
    /// How long to wait, from a member of the body.
    pub(crate) retry_delay: Option<Duration>,
    /// How long until a used-up window ends, from a member of the body.
    pub(crate) until_reset: Option<Duration>,
    /// The provider's name for the request.
    pub(crate) request_id: Option<String>,
    /// Everything in the error, lower-cased (ASCII), for the text rules: a line `key: value` for each value in JSON,
    /// without echoes of the request and without quotations; other bodies as they are.
    pub(crate) haystack: String,
    /// To which points in time are compared.
    now: Option<SystemTime>,
}

impl ErrorBody {
    /// Reads any bytes; what is not JSON becomes the message as a whole, of a web page its title, of a stream its error. Points in
    /// time are compared to `now`.
    pub(crate) fn read(bytes: &[u8], now: SystemTime) -> Self {
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_BODY)]);
        let text = text.trim_start_matches('\u{feff}').trim();
        let mut body = Self { now: Some(now), ..Self::default() };
        match serde_json::from_str(error_event(text).unwrap_or(text)) {
            Ok(Value::Array(items)) => body.read_json(items.first().unwrap_or(&Value::Null)),
            Ok(value) => body.read_json(&value),
            Err(_) => {
                text.lines().for_each(|line| body.add_words(line));
                body.message = nonempty(title(text).unwrap_or(text));
            }
        }
        body
    }

    /// Whether the body says one of these, in any member or anywhere in its text.
    pub(crate) fn says(&self, needles: &[&str]) -> bool {
        needles.iter().any(|needle| contains(&self.haystack, needle))
    }

    /// Whether the provider's code is this one.
    pub(crate) fn has_code(&self, code: &str) -> bool {
        self.code.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(code))
    }

    fn read_json(&mut self, value: &Value) {
        self.is_json = true;
        self.add_to_haystack("", value);
        match value {
            Value::Object(object) => {
                self.has_choices = object.contains_key("choices");
                let raw = self.read_level(object);
                self.read_upstream(raw);
            }
            Value::String(text) => self.message = nonempty(text),
            _ => {}
        }
    }

    /// Takes over what one level says; what it omits stays as it was. Returns OpenRouter's `metadata.raw`.
    fn read_level<'a>(&mut self, root: &'a Map<String, Value>) -> Option<&'a Value> {
        let node = error_node(root);
        self.is_error |= !std::ptr::eq(node, root)
            || root.get("error").is_some_and(|error| !error.is_null())
            || root.get("object").and_then(Value::as_str) == Some("error");
        let fields = [
            (&mut self.code, &["code", "error_code"][..]),
            (&mut self.kind, &["type", "error_type"]),
            (&mut self.status, &["status"]),
            (&mut self.param, &["param"]),
            (&mut self.request_id, &["request_id", "requestId"]),
        ];
        for (field, names) in fields {
            if let Some(text) = names.iter().find_map(|name| scalar(node.get(*name)?)) {
                *field = Some(text);
            }
        }
        self.request_id = self.request_id.take().or_else(|| scalar(root.get("request_id")?));

        let words = ["message", "msg", "error_message", "error_description"]
            .iter()
            .find_map(|name| nonempty(node.get(*name)?.as_str()?))
            .or_else(|| self.read_detail(node.get("detail")?));
        match (node.get("error").and_then(Value::as_str).and_then(nonempty), words) {
            (Some(error), Some(words)) => self.message = Some(format!("{error}: {words}")),
            (None, None) => {}
            (error, words) => self.message = error.or(words),
        }
        node.get("metadata").and_then(|metadata| metadata.get("raw")).or_else(|| node.get("message"))
    }

    /// Descends into what a gateway passed on: `metadata.raw`, an object in place of the message, or JSON inside the message.
    fn read_upstream(&mut self, raw: Option<&Value>) {
        let mut raw = raw.cloned();
        for _ in 0..MAX_LEVELS {
            let own = self.message.clone();
            let upstream = match raw.take() {
                Some(Value::Object(object)) => Some(object),
                Some(Value::String(text)) => match embedded_error(&text) {
                    None if own.as_ref().is_none_or(|own| !own.contains(text.trim())) => {
                        let text = nonempty(&text);
                        self.message =
                            text.map(|text| own.map_or_else(|| text.clone(), |own| format!("{own}: {text}")));
                        return;
                    }
                    embedded => embedded,
                },
                _ => None,
            };
            let Some(object) = upstream.or_else(|| embedded_error(own.as_deref()?)) else { return };
            raw = self.read_level(&object).cloned();
            self.add_to_haystack("", &Value::Object(object));
            if own.is_some() && self.message != own {
                self.wrapper = self.wrapper.take().or(own);
            }
        }
    }

    /// FastAPI's `detail`: a sentence, an object, or pydantic's list of errors.
    fn read_detail(&mut self, value: &Value) -> Option<String> {
        match value {
            Value::String(text) => nonempty(text),
            Value::Array(items) => {
                let first = items.first()?;
                self.kind = self.kind.take().or_else(|| scalar(first.get("type")?));
                self.param = self.param.take().or_else(|| location(first));
                let complaints: Vec<_> = items.iter().take(5).filter_map(complaint).collect();
                nonempty(&complaints.join("; "))
            }
            _ => None,
        }
    }

    fn add_to_haystack(&mut self, key: &str, value: &Value) {
        match value {
            Value::Null => {}
            Value::Object(members) => {
                for (key, value) in members {
                    let key = key.to_ascii_lowercase();
                    if ECHOES.contains(&key.as_str()) {
                        self.add_line(&key, "");
                    } else {
                        self.add_to_haystack(&key, value);
                    }
                }
            }
            Value::Array(items) => {
                for item in items {
                    self.add_to_haystack(key, item);
                }
            }
            Value::String(text) => self.add_line(key, text),
            Value::Bool(_) | Value::Number(_) => self.add_line(key, &value.to_string()),
        }
    }

    fn add_line(&mut self, key: &str, text: &str) {
        if let Some(now) = self.now {
            self.retry_delay = self.retry_delay.or_else(|| wait::in_member(key, text, now));
            self.until_reset = self.until_reset.or_else(|| wait::until_reset_in_member(key, text, now));
        }
        self.haystack.push_str(key);
        self.haystack.push_str(": ");
        self.add_words(text);
    }

    fn add_words(&mut self, text: &str) {
        self.haystack.push_str(&without_quotations(&text.to_ascii_lowercase()));
        self.haystack.push('\n');
    }
}

/// The error in the first event of a stream that has one.
fn error_event(text: &str) -> Option<&str> {
    let is_stream = ["data:", "event:", "id:", ":"].iter().any(|start| text.starts_with(start));
    let mut data = text.lines().filter(|_| is_stream).filter_map(|line| line.strip_prefix("data:"));
    data.find(|data| data.contains("\"error\"")).map(str::trim)
}

/// The object that describes the error: `error`, the first of `errors`, the first choice's `error`, an object in
/// `detail`, or the whole.
fn error_node(root: &Map<String, Value>) -> &Map<String, Value> {
    let first = |name: &str| root.get(name)?.as_array()?.first();
    [root.get("error"), first("errors"), first("choices").and_then(|choice| choice.get("error")), root.get("detail")]
        .into_iter()
        .flatten()
        .find_map(Value::as_object)
        .unwrap_or(root)
}

/// An error's body inside a text, e.g. `OpenAIException - {"error": ...}`.
fn embedded_error(text: &str) -> Option<Map<String, Value>> {
    memchr_iter(b'{', text.as_bytes()).take(MAX_OBJECTS_TRIED).find_map(|at| {
        let mut values = serde_json::Deserializer::from_str(&text[at..]).into_iter::<Value>();
        match values.next() {
            Some(Ok(Value::Object(object)))
                if ["error", "message", "detail"].iter().any(|key| object.contains_key(*key)) =>
            {
                Some(object)
            }
            _ => None,
        }
    })
}

/// One of pydantic's errors, as `body.temperature: Input should be a valid number`.
fn complaint(item: &Value) -> Option<String> {
    let words = item.get("msg").or_else(|| item.get("message"))?.as_str()?;
    let place = place(item).join(".");
    Some(if place.is_empty() { words.to_owned() } else { format!("{place}: {words}") })
}

/// The subject of such an error: a member of the body, as a path.
fn location(item: &Value) -> Option<String> {
    let place = place(item);
    let path = place.strip_prefix(&["body".to_owned()][..]).unwrap_or(&place);
    nonempty(&path.join("."))
}

fn place(item: &Value) -> Vec<String> {
    item.get("loc").and_then(Value::as_array).into_iter().flatten().filter_map(scalar).collect()
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => nonempty(text).map(|text| detail(&text)),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn nonempty(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// The title of a web page.
fn title(text: &str) -> Option<&str> {
    let start = text.starts_with('<').then(|| text.to_ascii_lowercase().find("<title"))??;
    let start = start + text[start..].find('>')? + 1;
    let end = start + text[start..].find('<')?;
    Some(text[start..end].trim()).filter(|title| !title.is_empty())
}

/// Whether the text contains the needle; a `*` in it matches up to 160 characters.
fn contains(haystack: &str, needle: &str) -> bool {
    const MAX_GAP: usize = 160;
    let Some((head, tail)) = needle.split_once('*') else {
        return memmem::find(haystack.as_bytes(), needle.as_bytes()).is_some();
    };
    memmem::find_iter(haystack.as_bytes(), head).any(|at| {
        let rest = &haystack.as_bytes()[at + head.len()..];
        memmem::find(&rest[..rest.len().min(MAX_GAP + tail.len())], tail.as_bytes()).is_some()
    })
}

#[cfg(test)]
mod tests;
