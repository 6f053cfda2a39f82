//! Collects what a text that is not JSON as a whole claims, and makes one verdict of it.

use std::ops::Range;

use super::answer::Answer;
use super::claim::{Claim, Kind};
use super::coerce::{self, Reading};
use super::echo::Echo;
use super::expected::Expected;
use super::outcome::{Miss, ParseMethod, Parsed};
use super::prose::Prose;
use super::scan::{self, Object};
use super::turn::visible;
use super::{apart, conclusion, label, marked, scale, weigh};
use crate::judge::verdict::Verdict;

/// How much of a text becomes the rationale, in characters.
pub(super) const MAX_RATIONALE: usize = 4000;

/// Reads a text that is not JSON as a whole.
pub(super) fn read(body: &str, expected: &Expected<'_>, echo: &Echo<'_>) -> Result<Parsed, Miss> {
    match coerce::whole(&visible(body), expected) {
        Reading::Value(value) => {
            let verdict = Verdict { value, rationale: None, details: Vec::new() };
            return Ok(Parsed { verdict, method: ParseMethod::Tolerant });
        }
        Reading::OutOfRange(error) => return Err(Miss::OutOfRange(error)),
        Reading::Ambiguous(why) => return Err(Miss::Unparseable(why)),
        Reading::Nothing => {}
    }
    let mut objects = scan::objects(body, expected);
    let object = |body: &str, answer: Answer, range: &Range<usize>| {
        let is_strict = serde_json::from_str::<serde::de::IgnoredAny>(&body[range.clone()]).is_ok();
        answer.parsed(if is_strict { ParseMethod::Extracted } else { ParseMethod::Tolerant })
    };
    // An answer that is one object, apart from marks around it, quotes nothing.
    if let [Object { range, answer: answer @ Some(_) }] = objects.as_mut_slice() {
        let around = [&body[..range.start], &body[range.end..]];
        if !around.iter().any(|text| text.contains(char::is_alphanumeric)) {
            return match answer.take() {
                Some(answer) => answer.map(|answer| object(body, answer, range)),
                None => Err(Miss::Unparseable("no verdict in the answer")),
            };
        }
    }
    let ranges: Vec<_> = objects.iter().map(|object| object.range.clone()).collect();
    let prose = Prose::new(body, ranges.iter().cloned(), expected);
    let mut claims = of_objects(&objects, &prose);
    claims.extend(marked::claims(&prose, expected));
    claims.extend(label::claims(&prose, expected));
    claims.extend(conclusion::claims(&prose, expected.verdict));
    claims.extend(scale::claims(&prose, expected));
    claims.extend(apart::claims(&prose, expected));
    let settled = weigh::settle(claims, &prose, body, &ranges, echo)?;
    if let Some(Object { range, answer: Some(Ok(answer)) }) = settled.object.map(|index| objects.swap_remove(index)) {
        return Ok(object(body, answer, &range));
    }
    let rationale = body.chars().take(MAX_RATIONALE).collect();
    let verdict = Verdict { value: settled.value, rationale: Some(rationale), details: Vec::new() };
    Ok(Parsed { verdict, method: ParseMethod::Pattern })
}

fn of_objects(objects: &[Object], prose: &Prose) -> Vec<Claim> {
    let claim = |(index, (object, at)): (usize, (&Object, &usize))| {
        let reading = match object.answer.as_ref()? {
            Ok(answer) => Reading::Value(answer.verdict.value.clone()),
            Err(Miss::OutOfRange(error)) => Reading::OutOfRange(error.clone()),
            Err(Miss::Unparseable(why)) => Reading::Ambiguous(why),
        };
        Some(Claim { object: Some(index), ..Claim::new(*at..at + 1, Kind::Object, reading) })
    };
    objects.iter().zip(&prose.objects).enumerate().filter_map(claim).collect()
}
