//! Finds the objects in a text that is not JSON as a whole.

use std::ops::Range;

use memchr::memchr;

use super::answer::{self, Answer};
use super::cursor::Why;
use super::expected::Expected;
use super::keys::is_key;
use super::outcome::{DIFFERING, Miss};
use super::tolerant;

/// An outermost object in a text.
#[derive(Debug, PartialEq)]
pub(super) struct Object {
    /// Where it stands.
    pub(super) range: Range<usize>,
    /// Its verdict; an error also when the answer's object cannot be read. None when it is not meant as the answer.
    pub(super) answer: Option<Result<Answer, Miss>>,
}

/// How many bytes may be read without result, per byte of text: every `{` is tried as the beginning of an object. Prose needs few of them; a text
/// made of failures inside failures ends here.
const WASTE: usize = 8;

/// Reads every object in `text`, outermost ones only.
pub(super) fn objects(text: &str, expected: &Expected<'_>) -> Vec<Object> {
    let mut found = Vec::new();
    let mut waste = WASTE * text.len();
    let mut at = 0;
    while let Some(offset) = memchr(b'{', &text.as_bytes()[at..]) {
        let start = at + offset;
        at = match tolerant::object(text, start, is_key) {
            Ok(tolerant::Found { contradicts_itself: true, end, .. }) => {
                found.push(Object { range: start..end, answer: Some(Err(Miss::Unparseable(DIFFERING))) });
                end
            }
            Ok(tolerant::Found { object, end, .. }) => {
                found.push(Object { range: start..end, answer: answer::read(object, expected) });
                end
            }
            Err(failure) => {
                waste = waste.saturating_sub(failure.at - start);
                let why = match failure.why {
                    Why::Truncated if !text[start + 1..].trim().is_empty() => "the answer is cut off inside its JSON",
                    Why::TooDeep => "the answer is nested too deeply",
                    _ if waste == 0 => "the answer is too tangled to read",
                    _ if failure.has_key => "the answer's JSON is broken",
                    _ => {
                        at = start + 1;
                        continue;
                    }
                };
                // What is inside the broken object is part of it, not an answer of its own.
                let end = raw_end(text, start).filter(|_| failure.why == Why::Malformed && waste > 0);
                found.push(Object {
                    range: start..end.unwrap_or(text.len()),
                    answer: Some(Err(Miss::Unparseable(why))),
                });
                match end {
                    Some(end) => end,
                    None => break,
                }
            }
        };
    }
    found
}

/// Where the braces from `start` on balance, strings or not.
fn raw_end(text: &str, start: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (at, byte) in text.bytes().enumerate().skip(start) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return Some(at + 1),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::verdict::VerdictType;

    #[test]
    fn what_is_wrong_with_an_object_is_said_and_what_stands_after_it_is_still_read() {
        let expected = Expected::from(&VerdictType::Boolean);
        let whys = |text: &str| -> Vec<Option<&'static str>> {
            let why = |object: Object| match object.answer {
                Some(Err(Miss::Unparseable(why))) => Some(why),
                _ => None,
            };
            objects(text, &expected).into_iter().map(why).collect()
        };
        assert_eq!(whys(r#"{"value": true}"#), [None]);
        assert_eq!(whys(r#"{"value": tr"#), [Some("the answer is cut off inside its JSON")]);
        assert_eq!(whys(r#"{"value": !!} {"value": true}"#), [Some("the answer's JSON is broken"), None]);
        assert_eq!(whys("{x {y} {"), [], "no objects at all");
        // Failures inside failures cost too much.
        let tangled = "{\"x\": ".repeat(60) + "!!" + &"}".repeat(60);
        assert!(whys(&tangled).contains(&Some("the answer is too tangled to read")), "{:?}", whys(&tangled));
    }
}
