//! Secrets, and their removal from everything that an endpoint says.
//!
//! Everything that comes from an endpoint passes through here before anything else sees it: the body of every response, good or not, the
//! headers that are kept, the words of errors. Servers echo keys verbatim, and gateways in all encodings.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use aho_corasick::{AhoCorasick, MatchKind};
use memchr::{memchr3, memmem};
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::address::percent_decode;
use crate::endpoint::Failure;
use crate::endpoint::config::EndpointConfig;

/// What replaces a secret.
const REDACTED: &str = "[redacted]";
/// Shorter secrets are common words, such as the key `none` of local servers: they are removed only from errors, and there only as whole
/// words. Shorter words before others in a header are schemes.
const MIN_UNMISTAKABLE: usize = 8;
/// Shorter words in place of a user's name are names, not tokens.
const MIN_TOKEN: usize = 16;
/// An escape inside an escape inside an escape.
const MAX_DECODINGS: usize = 3;
/// Members of queries and of bodies whose values are secret.
const SECRET_NAMES: &[&str] =
    &["key", "token", "secret", "password", "passwd", "auth", "credential", "signature", "sig", "code"];

/// Everything that an endpoint could echo but must not be shown.
#[derive(Clone, Default)]
pub(crate) struct Secrets {
    /// Finds the long ones, in every encoding.
    long: Option<AhoCorasick>,
    short: Vec<SecretString>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(..)")
    }
}

impl Secrets {
    /// The secrets of an endpoint; `others` are what proxies and the HTTP library make of them.
    pub(crate) fn of(config: &EndpointConfig, url: &Url, others: impl IntoIterator<Item = SecretString>) -> Self {
        let values = || config.headers.iter().map(|(_, value)| value.expose_secret());
        // A server may echo only the key of a value such as `Bearer KEY`.
        let words = values().flat_map(|value| {
            let last = value.split_whitespace().next_back();
            value.split_whitespace().filter(|word| word.len() >= MIN_UNMISTAKABLE).chain(last)
        });
        let configured = config.api_key.iter().chain(&config.secrets).map(ExposeSecret::expose_secret);
        let mut secrets: Vec<String> = configured.chain(values()).chain(words).map(ToOwned::to_owned).collect();
        secrets.extend(others.into_iter().map(|secret| secret.expose_secret().to_owned()));
        secrets.extend(in_address(url));
        in_members(&Value::Object(config.extra_body.clone()), &mut secrets);
        Self::new(secrets)
    }

    fn new(secrets: Vec<String>) -> Self {
        let (long, short): (Vec<_>, Vec<_>) = secrets
            .into_iter()
            .filter(|secret| !secret.is_empty())
            .partition(|secret| secret.len() >= MIN_UNMISTAKABLE);
        let mut forms: Vec<Vec<u8>> = long.iter().flat_map(|secret| forms(secret.as_bytes())).collect();
        forms.sort();
        forms.dedup();
        // It fails only for more patterns than fit in memory.
        let mut finder = AhoCorasick::builder();
        // The kind that also finds overlapping ones.
        finder.match_kind(MatchKind::Standard).ascii_case_insensitive(true);
        let long = if forms.is_empty() { None } else { finder.build(&forms).ok() };
        Self { long, short: short.into_iter().map(SecretString::from).collect() }
    }

    /// What an endpoint sent, without the long secrets.
    pub(crate) fn removed_from<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        let places = self.places(bytes);
        if places.is_empty() {
            return Cow::Borrowed(bytes);
        }
        let mut clean = Vec::with_capacity(bytes.len());
        let mut copied = 0;
        for place in places {
            clean.extend_from_slice(&bytes[copied..place.start]);
            clean.extend_from_slice(REDACTED.as_bytes());
            copied = place.end;
        }
        clean.extend_from_slice(&bytes[copied..]);
        Cow::Owned(clean)
    }

    /// A text without the long secrets.
    pub(crate) fn removed_from_text(&self, text: &mut String) {
        if let Cow::Owned(clean) = self.removed_from(text.as_bytes()) {
            *text = String::from_utf8_lossy(&clean).into_owned();
        }
    }

    /// Headers without the long secrets.
    pub(crate) fn removed_from_headers(&self, headers: &HeaderMap) -> HeaderMap {
        let clean = |value: &HeaderValue| match self.removed_from(value.as_bytes()) {
            Cow::Borrowed(_) => value.clone(),
            Cow::Owned(clean) => HeaderValue::from_bytes(&clean).unwrap_or(HeaderValue::from_static(REDACTED)),
        };
        headers.iter().map(|(name, value)| (name.clone(), clean(value))).collect()
    }

    /// A failure without any of them.
    pub(crate) fn removed_from_failure(&self, mut failure: Failure) -> Failure {
        for text in failure.texts_mut() {
            self.removed_from_text(text);
            self.short.iter().for_each(|secret| remove_word(text, secret.expose_secret()));
        }
        failure
    }

    /// Where the long ones are, in order and without overlaps.
    fn places(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        let Some(long) = &self.long else { return Vec::new() };
        let mut places: Vec<Range<usize>> =
            long.find_overlapping_iter(bytes).map(|found| whole_escape(bytes, found.range())).collect();
        let mut decoded = Decoded { bytes: Cow::Borrowed(bytes), origins: None };
        for _ in 0..MAX_DECODINGS {
            if !has_escapes(&decoded.bytes) {
                break;
            }
            decoded = decoded.again();
            places.extend(long.find_overlapping_iter(&*decoded.bytes).map(|found| decoded.origin(found.range())));
        }
        places.sort_by_key(|place| place.start);
        places.dedup_by(|next, place| {
            let touches = next.start <= place.end;
            place.end = if touches { place.end.max(next.end) } else { place.end };
            touches
        });
        places
    }
}

/// User, password and the secret parts of the query of an address, as written and decoded.
fn in_address(url: &Url) -> Vec<String> {
    let (user, password) = (url.username(), url.password().unwrap_or_default());
    // A token may take the place of the user's name; a plain name is not secret.
    let user_is_token = !user.is_empty() && (password.is_empty() || user.len() >= MIN_TOKEN);
    let parts = [Some(password), user_is_token.then_some(user)].into_iter().flatten();
    let mut secrets: Vec<String> = parts.flat_map(|text| [percent_decode(text), text.to_owned()]).collect();
    // Names of deployments and versions are long as well.
    let is_name = |name: &str| ["model", "deployment", "version"].iter().any(|part| name.contains(part));
    let values = url.query_pairs().filter(|(name, value)| is_secret_name(name) || (is_random(value) && !is_name(name)));
    secrets.extend(values.map(|(_, value)| value.into_owned()));
    secrets
}

/// The texts of members of a body whose names say that they are secret.
fn in_members(value: &Value, secrets: &mut Vec<String>) {
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| match value {
            Value::String(text) if is_secret_name(name) => secrets.push(text.clone()),
            value => in_members(value, secrets),
        }),
        Value::Array(items) => items.iter().for_each(|item| in_members(item, secrets)),
        _ => {}
    }
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_NAMES
        .iter()
        .any(|part| name.split(['_', '-', '.']).any(|word| word == *part) || part.len() > 4 && name.contains(part))
        || name.ends_with("key")
}

/// Whether a value is too long and too mixed for a word, a version or a date.
fn is_random(value: &str) -> bool {
    let has = |test: fn(&char) -> bool| value.chars().filter(test).count() >= 3;
    value.len() >= 20 && has(char::is_ascii_digit) && has(char::is_ascii_alphabetic) && !value.contains(['/', ' ', ','])
}

/// A secret as servers write it: verbatim, in hexadecimal or decimal numbers, in base64 at any place of a longer text.
fn forms(secret: &[u8]) -> Vec<Vec<u8>> {
    let joined = |number: fn(&u8) -> String, separator: &str| {
        secret.iter().map(number).collect::<Vec<_>>().join(separator).into_bytes()
    };
    let mut forms = vec![secret.to_vec()];
    forms.extend(["", " ", ":", "-", ", "].map(|separator| joined(|byte| format!("{byte:02x}"), separator)));
    forms.extend([",", ", "].map(|separator| joined(u8::to_string, separator)));
    for before in 0..3 {
        let base64 = base64_inside(secret, before);
        let for_addresses = base64.iter().map(|c| match c {
            b'+' => b'-',
            b'/' => b'_',
            c => *c,
        });
        forms.push(for_addresses.collect());
        forms.push(base64);
    }
    forms
}

/// The characters of base64 that depend on the secret alone, with this number of bytes before it.
fn base64_inside(secret: &[u8], before: usize) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes: Vec<u8> = std::iter::repeat_n(0, before).chain(secret.iter().copied()).collect();
    let bit = |at: usize| bytes[at / 8] >> (7 - at % 8) & 1;
    let (first, end) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
    (first..end)
        .map(|c| (0..6).fold(0, |number, i| number << 1 | bit(c * 6 + i)))
        .map(|number| ALPHABET[usize::from(number)])
        .collect()
}

/// The place of a secret; the backslash before it belongs to it if it would otherwise escape the replacement.
fn whole_escape(bytes: &[u8], place: Range<usize>) -> Range<usize> {
    let backslashes = bytes[..place.start].iter().rev().take_while(|byte| **byte == b'\\').count();
    place.start - backslashes % 2..place.end
}

/// Bytes with some of their escapes decoded, and their original positions.
struct Decoded<'a> {
    bytes: Cow<'a, [u8]>,
    /// One more than there are bytes; `None` while nothing was decoded.
    origins: Option<Vec<usize>>,
}

impl Decoded<'_> {
    fn origin(&self, range: Range<usize>) -> Range<usize> {
        match &self.origins {
            Some(origins) => origins[range.start]..origins[range.end],
            None => range,
        }
    }

    /// With the next layer of escapes decoded.
    fn again(self) -> Decoded<'static> {
        let mut bytes = Vec::with_capacity(self.bytes.len());
        let mut origins = Vec::with_capacity(self.bytes.len() + 1);
        let mut at = 0;
        while at < self.bytes.len() {
            let (decoded, length) = next_char(&self.bytes[at..]);
            let origin = self.origin(at..at).start;
            origins.extend(decoded.as_slice().iter().map(|_| origin));
            bytes.extend_from_slice(decoded.as_slice());
            at += length;
        }
        origins.push(self.origin(at..at).start);
        Decoded { bytes: bytes.into(), origins: Some(origins) }
    }
}

/// Up to four bytes.
struct Few {
    bytes: [u8; 4],
    length: usize,
}

impl Few {
    fn of(c: char) -> Self {
        let mut bytes = [0; 4];
        let length = if is_invisible(c) { 0 } else { c.encode_utf8(&mut bytes).len() };
        Self { bytes, length }
    }

    fn byte(byte: u8) -> Self {
        Self { bytes: [byte, 0, 0, 0], length: 1 }
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Whether there may be something to decode.
fn has_escapes(bytes: &[u8]) -> bool {
    // 0xe2 and 0xef begin invisible characters.
    memchr3(b'%', b'&', 0xe2, bytes).is_some()
        || [&b"\\u"[..], b"\\U", b"\\x", b"\\/", b"\\\\", b"\xef\xbb\xbf", b"\xc2\xad"]
            .iter()
            .any(|escape| memmem::find(bytes, escape).is_some())
}

/// The first character, decoded if it is an escape of JSON, HTML or an address, and how many bytes it took.
fn next_char(bytes: &[u8]) -> (Few, usize) {
    let hex = |from: usize, to: usize| {
        let digits = std::str::from_utf8(bytes.get(from..to)?)
            .ok()
            .filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()))?;
        u32::from_str_radix(digits, 16).ok()
    };
    let char_of = |number: Option<u32>, length: usize| Some((Few::of(char::from_u32(number?)?), length));
    let escape = match bytes {
        [b'\\', b'u', ..] => char_of(hex(2, 6), 6),
        [b'\\', b'U', ..] => char_of(hex(2, 10), 10),
        [b'\\', b'x', ..] => char_of(hex(2, 4), 4),
        [b'\\', b'/' | b'\\' | b'"' | b'\'', ..] => Some((Few::byte(bytes[1]), 2)),
        [b'%', ..] => hex(1, 3).and_then(|byte| Some((Few::byte(u8::try_from(byte).ok()?), 3))),
        [b'&', ..] => entity(bytes),
        [0xc2 | 0xe2 | 0xef, ..] => invisible(bytes),
        _ => None,
    };
    escape.unwrap_or((Few::byte(bytes[0]), 1))
}

/// A character of HTML, such as `&#x2d;`.
fn entity(bytes: &[u8]) -> Option<(Few, usize)> {
    const NAMED: &[(&[u8], char)] =
        &[(b"amp", '&'), (b"lt", '<'), (b"gt", '>'), (b"quot", '"'), (b"apos", '\''), (b"nbsp", ' '), (b"hyphen", '-')];
    let end = bytes.iter().take(12).position(|byte| *byte == b';')?;
    let name = &bytes[1..end];
    let number = || {
        let text = std::str::from_utf8(name.strip_prefix(b"#")?).ok()?;
        let hex = text.strip_prefix(['x', 'X']);
        let number = hex.map_or_else(|| text.parse(), |hex| u32::from_str_radix(hex, 16)).ok()?;
        char::from_u32(number)
    };
    let named = NAMED.iter().find(|(known, _)| *known == name).map(|(_, c)| *c);
    Some((Few::of(named.or_else(number)?), end + 1))
}

/// An invisible character: it decodes to nothing.
fn invisible(bytes: &[u8]) -> Option<(Few, usize)> {
    let length = if bytes[0] == 0xc2 { 2 } else { 3 };
    let c = std::str::from_utf8(bytes.get(..length)?).ok()?.chars().next()?;
    is_invisible(c).then(|| (Few::of(c), length))
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
}

/// Removes a short secret where no letter or digit touches it.
fn remove_word(text: &mut String, secret: &str) {
    let mut clean = String::new();
    let mut copied = 0;
    for (at, _) in text.match_indices(secret) {
        let end = at + secret.len();
        let touches = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        if touches(text[..at].chars().next_back()) || touches(text[end..].chars().next()) {
            continue;
        }
        clean.push_str(&text[copied..at]);
        clean.push_str(REDACTED);
        copied = end;
    }
    if copied > 0 {
        clean.push_str(&text[copied..]);
        *text = clean;
    }
}

#[cfg(test)]
mod tests;
