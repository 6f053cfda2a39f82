//! Standalone text: a first or last line that is just a value, a first sentence such as `Yes.`, bold text that ends a line.

use std::ops::Range;

use super::claim::{Claim, Kind};
use super::coerce::{self, Reading};
use super::conclusion;
use super::expected::Expected;
use super::prose::{Prose, is_one_of, words};
use crate::judge::verdict::VerdictType;

/// Words that may precede a value that ends the answer: `Overall: 4`.
const LEADS: [&str; 10] = ["so", "thus", "therefore", "hence", "overall", "final", "finally", "conclusion", "in", "my"];

/// The values that stand by themselves.
pub(super) fn claims(prose: &Prose, expected: &Expected<'_>) -> Vec<Claim> {
    let is_numeric = matches!(expected.verdict, VerdictType::Integer { .. } | VerdictType::Number { .. });
    let is_list_mark = |text: &str| is_numeric && text.ends_with(['.', ')', ':']);
    let mut found = Vec::new();
    let mut take = |at: Range<usize>, text: &str| {
        if !is_list_mark(text.trim()) {
            let reading = coerce::whole(text, expected);
            if reading != Reading::Nothing {
                found.push(Claim::new(at, Kind::Stated, reading));
            }
        }
    };
    for bold in &prose.bold {
        take(bold.clone(), &prose.text[bold.clone()]);
    }
    // "No. I cannot help with that." is a refusal, not a verdict.
    if !conclusion::is_refusal(&prose.text)
        && let Some((first, last)) = prose.edges()
    {
        let (first, last) = (&prose.sentences[first], &prose.sentences[last]);
        for sentence in [first, last] {
            if prose.is_line(sentence) || !is_numeric && sentence == first {
                take(sentence.clone(), &prose.text[sentence.clone()]);
            }
        }
        let text = &prose.text[last.clone()];
        if let Some((start, word)) = words(text).take_while(|(_, word)| is_one_of(word, &LEADS)).last() {
            take(last.clone(), text[start + word.len()..].trim_start_matches([':', ',', ' ']));
        }
    }
    if matches!(expected.verdict, VerdictType::Boolean) {
        found.extend(prose.sentences.last().and_then(|last| ending(prose, last, expected)));
    }
    if matches!(expected.verdict, VerdictType::Boolean) && !found.is_empty() {
        let others = [places(prose, &["false", "no"]), places(prose, &["true", "yes"])];
        found.retain(|claim| !is_contradicted(claim, &others));
    }
    found
}

/// `The answer is rude, hence false.`: enough to contradict a verdict before it.
fn ending(prose: &Prose, last: &Range<usize>, expected: &Expected<'_>) -> Option<Claim> {
    let mut before = None;
    let ((_, marker), (at, value)) =
        words(&prose.text[last.clone()]).map(|word| Some((before.replace(word)?, word))).last()??;
    let reading = is_one_of(marker, &LEADS).then(|| coerce::whole(value, expected))?;
    (reading != Reading::Nothing)
        .then(|| Claim::new(last.start + at..last.start + at + value.len(), Kind::Mention, reading))
}

/// Where one of these words is said as a statement: `Hmm, no:`, `it is safe: false`. The first and the last place.
fn places(prose: &Prose, said: &[&str]) -> Vec<usize> {
    let is_said = |(at, word): &(usize, &str)| {
        let after = prose.text[at + word.len()..].trim_start_matches(['"', '_', '\u{201d}', '\'']);
        is_one_of(word, said) && !after.starts_with(|c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '/'))
    };
    let mut places = words(&prose.text).filter(is_said).map(|(at, _)| at);
    let first = places.next();
    first.into_iter().chain(places.last()).collect()
}

/// Whether another place says the other boolean: then a `Yes.` may have answered any question.
fn is_contradicted(claim: &Claim, [said_false, said_true]: &[Vec<usize>; 2]) -> bool {
    let other = match &claim.reading {
        Reading::Value(value) if value.as_bool() == Some(true) => said_false,
        Reading::Value(_) => said_true,
        _ => return false,
    };
    other.iter().any(|at| !claim.at.contains(at))
}
