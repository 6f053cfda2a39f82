//! Claims by name: `Score: 4`, `**Final rating (1-5):** 4/5`, `the verdict is false`, `a score of 4`.

use std::ops::Range;

use serde_json::Value;

use super::claim::{Claim, Kind};
use super::coerce::{self, Reading, strip_word};
use super::conclusion;
use super::expected::Expected;
use super::prose::{Prose, is_one_of, words};
use super::scale;

/// The names of a verdict in prose. `answer` and `result` are none: they name what is judged as often.
const NAMES: [&str; 8] = ["verdict", "rating", "score", "grade", "judgment", "judgement", "value", "label"];
/// Of these, what names other things inside a sentence.
const GENERIC: [&str; 2] = ["value", "label"];
/// Words that may precede the name if a sentence states only the verdict.
const LEADS: [&str; 30] = [
    "final",
    "overall",
    "total",
    "my",
    "our",
    "the",
    "a",
    "an",
    "its",
    "this",
    "so",
    "thus",
    "therefore",
    "hence",
    "then",
    "now",
    "and",
    "actually",
    "corrected",
    "revised",
    "updated",
    "new",
    "own",
    "ok",
    "okay",
    "well",
    "conclusion",
    "correction",
    "in",
    "summary",
];
/// Words before a name that make it that of something else: `The passing score is 3`, `Reference label: A`.
const OTHERS: [&str; 15] = [
    "passing",
    "threshold",
    "reference",
    "expected",
    "target",
    "ideal",
    "required",
    "previous",
    "earlier",
    "initial",
    "original",
    "minimum",
    "min",
    "possible",
    "claimed",
];
/// The same before a colon. In `the maximum score of 5` it is given.
const BOUNDS: [&str; 3] = ["maximum", "max", "highest"];
/// Verbs between the name and the value.
const VERBS: [&str; 16] = [
    "is", "was", "be", "would", "should", "must", "will", "to", "at", "as", "becomes", "remains", "stays", "equals",
    "stands", "of",
];
/// What may be between verb and value.
const FILLERS: [&str; 27] = [
    "is",
    "be",
    "a",
    "an",
    "the",
    "my",
    "therefore",
    "thus",
    "hence",
    "also",
    "now",
    "still",
    "then",
    "clearly",
    "simply",
    "just",
    "only",
    "set",
    "fixed",
    "lowered",
    "raised",
    "reduced",
    "changed",
    "corrected",
    "at",
    "to",
    "as",
];
/// How many of them.
const MAX_FILLERS: usize = 6;

/// All claims by name.
pub(super) fn claims(prose: &Prose, expected: &Expected<'_>) -> Vec<Claim> {
    let mut found = Vec::new();
    for (index, sentence) in prose.sentences.iter().enumerate() {
        let is_last = index + 1 == prose.sentences.len();
        let mut is_lead = true;
        let mut is_final = false;
        let mut before = "";
        for (at, word) in words(&prose.text[sentence.clone()]) {
            if is_one_of(word, &NAMES) && !is_one_of(before, &OTHERS) {
                let at = sentence.start + at;
                let is_lead = is_lead || is_member(&prose.text, at, word);
                let name = Name { at, word, is_lead, is_final, is_last };
                let is_bound = is_one_of(before, &BOUNDS);
                let claim = name.claim(prose, sentence, expected);
                found.extend(claim.filter(|claim| !is_bound || claim.kind != Kind::Label));
            }
            before = word;
            is_final |= is_one_of(word, &["final", "overall"]);
            is_lead &= is_one_of(word, &LEADS);
        }
    }
    found
}

/// Whether a name is the key of a JSON member, wherever it is: `..., "value": 4}`.
fn is_member(text: &str, at: usize, word: &str) -> bool {
    let after = text[at + word.len()..].strip_prefix('"');
    text[..at].ends_with('"') && after.is_some_and(|after| after.trim_start().starts_with(':'))
}

/// A name of the verdict in a sentence.
struct Name<'t> {
    at: usize,
    word: &'t str,
    /// Only [`LEADS`] precede it.
    is_lead: bool,
    is_final: bool,
    /// In the last sentence.
    is_last: bool,
}

/// What joins a name to its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Joint {
    /// `Score: 4`, and at the beginning `Score - 4`.
    Colon,
    /// `Score 4.`
    Nothing,
    /// `The score is 4`
    Verb,
    /// `a score of 4`
    Of,
}

impl Name<'_> {
    fn claim(&self, prose: &Prose, sentence: &Range<usize>, expected: &Expected<'_>) -> Option<Claim> {
        let end = self.at + self.word.len();
        let near = prose.rest_of_line(end);
        let Some((joint, content)) = joint(near, self.is_lead) else {
            return self.is_heading(prose, sentence).then(|| self.below(end, prose, expected)).flatten();
        };
        let content_at = end + near.len() - content.len();
        let is_generic = is_one_of(self.word, &GENERIC);
        if joint == Joint::Colon {
            // `I compare the value: it is high`
            if is_generic && !self.is_lead {
                return None;
            }
            if !content.contains(char::is_alphanumeric) {
                let below = self.below(end, prose, expected);
                return below.or_else(|| self.unreadable(content_at..content_at + content.len()));
            }
        }
        let (reading, rest, is_denied) = match joint {
            Joint::Colon | Joint::Nothing => {
                let (reading, len) = value(content, expected);
                (reading, &content[len..], false)
            }
            Joint::Verb | Joint::Of => behind_verb(content, expected),
        };
        let at = self.at..end + near.len() - rest.len();
        let kind = match joint {
            Joint::Colon => Kind::Label,
            Joint::Nothing if is_ended(rest) => Kind::Label,
            Joint::Nothing => return None,
            _ if is_generic && !self.is_final => Kind::Mention,
            Joint::Verb => Kind::Named,
            Joint::Of => Kind::InPassing,
        };
        match (&reading, kind) {
            (Reading::Value(_), _) => {}
            (Reading::Nothing, Kind::Label) if joint == Joint::Colon && self.is_lead => {
                return match conclusion::only_label_of(content, expected.verdict) {
                    Some(label) => Some(Claim::new(
                        self.at..content_at + content.len(),
                        kind,
                        coerce::checked(&Value::from(label), expected.verdict),
                    )),
                    None => self.unreadable(content_at..content_at + content.len()),
                };
            }
            (Reading::Nothing, _) => return None,
            (_, Kind::Label) => {}
            // A value that is not allowed may be about something else.
            (Reading::OutOfRange(_), _) if self.is_last => {}
            _ if self.is_lead => {}
            _ => return None,
        }
        Some(Claim { is_denied, ..Claim::new(at, kind, reading) })
    }

    /// A place for the verdict without one.
    fn unreadable(&self, content: Range<usize>) -> Option<Claim> {
        let why = "the text where the verdict belongs cannot be read";
        self.is_lead.then(|| Claim::new(self.at..content.end, Kind::Label, Reading::Ambiguous(why)))
    }

    /// Whether the name is all that its line says, as `### Score` does.
    fn is_heading(&self, prose: &Prose, sentence: &Range<usize>) -> bool {
        let after = prose.rest_of_line(self.at + self.word.len());
        self.is_lead && sentence.end <= self.at + self.word.len() + 2 && !after.contains(char::is_alphanumeric)
    }

    /// The value on the next line that says something.
    fn below(&self, end: usize, prose: &Prose, expected: &Expected<'_>) -> Option<Claim> {
        let next = prose.sentences.get(prose.sentence_at(end + prose.rest_of_line(end).len()))?;
        let (reading, len) = coerce::leading(prose.rest_of_line(next.start), expected);
        let at = self.at..next.start + len;
        (reading != Reading::Nothing).then(|| Claim::new(at, Kind::Label, reading))
    }
}

/// What joins the name before `after` to its value, and the text after the joint. A scale in between is skipped.
fn joint(after: &str, is_lead: bool) -> Option<(Joint, &str)> {
    let is_filler = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '_' | '|' | '\u{201d}' | '\u{2019}');
    let mut rest = after.trim_start_matches(is_filler);
    if rest.starts_with(['(', '[']) && !rest.starts_with("[[") {
        rest = rest.split_once([')', ']'])?.1.trim_start_matches(is_filler);
    }
    if let Some(scale) = ["on a scale", "out of", "from"].iter().find_map(|scale| strip_word(rest, scale)) {
        let colon = scale.find(':').into_iter().chain(scale.find(" is ")).min()?;
        rest = scale[colon..].trim_start();
    } else if ["for", "on"].iter().any(|word| strip_word(rest, word).is_some()) {
        // `Score for style: 4`
        let ends = [":", "=", " is ", " would be ", " should be "].iter().filter_map(|joint| rest.find(joint));
        rest = rest[ends.min()?..].trim_start();
    }
    if let Some(content) = rest.strip_prefix([':', '=']) {
        return Some((Joint::Colon, content.trim_start_matches(['=', ' '])));
    }
    if let Some(content) = rest.strip_prefix(['-', '\u{2013}', '\u{2014}']).filter(|_| is_lead) {
        return content.starts_with(' ').then(|| (Joint::Colon, content.trim_start()));
    }
    let (verb, content) = first_word(rest)?;
    if !is_one_of(verb, &VERBS) {
        return is_lead.then_some((Joint::Nothing, rest));
    }
    Some((if verb.eq_ignore_ascii_case("of") { Joint::Of } else { Joint::Verb }, content))
}

/// The value after a verb and a few filler words, what follows it, and whether it is denied.
fn behind_verb<'t>(content: &'t str, expected: &Expected<'_>) -> (Reading, &'t str, bool) {
    let mut rest = content;
    let mut is_denied = false;
    for _ in 0..MAX_FILLERS {
        rest = rest.trim_start_matches([' ', ':', '"']);
        let (reading, len) = value(rest, expected);
        if reading != Reading::Nothing {
            return (reading, &rest[len..], is_denied);
        }
        let Some((word, after)) = first_word(rest) else { break };
        let denies = is_one_of(word, &["not", "never"]);
        if !denies && !is_one_of(word, &FILLERS) {
            break;
        }
        is_denied |= denies;
        rest = after;
    }
    (Reading::Nothing, rest, is_denied)
}

/// The value at the start of a text, also with what it is given for, and where it ends.
fn value(text: &str, expected: &Expected<'_>) -> (Reading, usize) {
    match coerce::leading(text, expected) {
        (Reading::Nothing, _) => scale::with_reason(text, expected).unwrap_or((Reading::Nothing, 0)),
        read => read,
    }
}

/// The word at the start, and what follows.
fn first_word(text: &str) -> Option<(&str, &str)> {
    let (at, word) = words(text).next()?;
    let is_near = text[..at].chars().all(|c| matches!(c, ' ' | '_' | '"'));
    is_near.then(|| (word, &text[at + word.len()..]))
}

/// Whether a sentence is over: `Score 4.`, not `Score 4 facts`.
fn is_ended(rest: &str) -> bool {
    let rest = rest.trim_start_matches(|c| coerce::is_closing(c) && !matches!(c, ':' | ' '));
    rest.trim().is_empty() || rest.starts_with(' ') && rest.trim_start().starts_with(char::is_uppercase)
}
