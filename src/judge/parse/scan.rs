//! Finds the answer's object in a text that is not JSON as a whole.

use std::ops::Range;

use memchr::memchr;

use super::answer::{self, Answer};
use super::outcome::Miss;
use super::tolerant::{self, Why};
use crate::judge::verdict::VerdictType;

/// What the objects in a text say.
#[derive(Debug, PartialEq)]
pub(super) struct Objects {
    /// The last object with a verdict key, and where it stands. An error also when the answer's object cannot be read.
    pub(super) answer: Option<Result<(Answer, Range<usize>), Miss>>,
    /// All objects that could be read, outermost ones only.
    pub(super) ranges: Vec<Range<usize>>,
}

/// How many bytes may be read for nothing, per byte of text: a `{` that opens no object is tried in vain. Prose needs next to
/// nothing of it; a text made to nest failure in failure ends here.
const WASTE: usize = 8;

/// Reads every object in `text`, the last one with a verdict key wins.
///
/// A last object that is cut off or broken is never passed over for an earlier one: that was an example or a first thought.
pub(super) fn objects(text: &str, verdict: &VerdictType) -> Objects {
    let mut found = Objects { answer: None, ranges: Vec::new() };
    let mut waste = WASTE * text.len();
    let mut at = 0;
    while let Some(offset) = memchr(b'{', &text.as_bytes()[at..]) {
        let start = at + offset;
        at = match tolerant::object(text, start, answer::is_key) {
            Ok((object, end)) => {
                if let Some(read) = answer::read(object, verdict) {
                    let read = read.map(|answer| (answer, start..end));
                    found.answer = Some(if found.answer.as_ref().is_some_and(|last| lists(text, last, &read)) {
                        Err(Miss::Unparseable("a list of verdicts where one belongs"))
                    } else {
                        read
                    });
                }
                found.ranges.push(start..end);
                end
            }
            Err(failure) => {
                waste = waste.saturating_sub(failure.at - start);
                let why = match failure.why {
                    Why::Truncated if !text[start + 1..].trim().is_empty() => "the answer is cut off inside its JSON",
                    Why::TooDeep => "the answer is nested too deep",
                    _ if waste == 0 => "the answer is too tangled to read",
                    _ if failure.has_key => "the answer's JSON is broken",
                    _ => {
                        at = start + 1;
                        continue;
                    }
                };
                found.answer = Some(Err(Miss::Unparseable(why)));
                match raw_end(text, start) {
                    // What is inside the broken object is part of it, no answer of its own.
                    Some(end) if failure.why == Why::Malformed && waste > 0 => end,
                    _ => break,
                }
            }
        };
    }
    found
}

/// Whether two objects are items of one list and do not say the same.
fn lists(text: &str, last: &Result<(Answer, Range<usize>), Miss>, next: &Result<(Answer, Range<usize>), Miss>) -> bool {
    match (last, next) {
        (Ok((one, before)), Ok((other, after))) => {
            one.verdict.value != other.verdict.value && text[before.end..after.start].trim() == ","
        }
        _ => false,
    }
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
