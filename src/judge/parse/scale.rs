//! Claims on a scale, without a name: `4/5`, `four out of five`, `Four stars.`, `I would give it a 4`.

use std::ops::Range;

use serde_json::Value;

use super::claim::{Claim, Kind};
use super::coerce::{self, Reading, strip_word};
use super::expected::Expected;
use super::number::{leading_number, leading_word};
use super::prose::{Prose, is_one_of, words};

/// Words after a fraction that say what it is given for, not what it counts.
const REASONS: [&str; 15] = [
    "for",
    "because",
    "since",
    "as",
    "due",
    "with",
    "on",
    "in",
    "but",
    "so",
    "given",
    "considering",
    "based",
    "overall",
    "stars",
];
/// What is said about a number that is the verdict: `a score of 4 is appropriate`.
const FITTING: [&str; 10] = [
    "given",
    "assigned",
    "appropriate",
    "warranted",
    "fair",
    "suitable",
    "justified",
    "reasonable",
    "fitting",
    "deserved",
];
/// What a judge does with a number.
const GIVING: [&str; 12] =
    ["give", "gave", "giving", "rate", "rated", "assign", "assigned", "award", "score", "grade", "say", "choose"];
const SPEAKERS: [&str; 5] = ["i", "we", "i'd", "i'll", "i\u{2019}d"];
/// What a number does with what is judged.
const EARNING: [&str; 8] = ["deserves", "deserve", "merits", "warrants", "earns", "gets", "receives", "deserving"];
/// What is judged.
const JUDGED: [&str; 8] = ["it", "this", "answer", "response", "summary", "output", "text", "article"];
/// How near a number is to the verb that gives it, in words.
const MAX_DISTANCE: usize = 9;

/// All numbers that may be the verdict.
pub(super) fn claims(prose: &Prose, expected: &Expected<'_>) -> Vec<Claim> {
    let Some(max) = coerce::highest(expected.verdict) else { return Vec::new() };
    let mut found = stars_drawn(&prose.text, max, expected);
    let edges = prose.edges();
    let text = &prose.text;
    let mut at = 0;
    let mut before = ' ';
    while let Some(offset) = text[at..].find(char::is_alphanumeric) {
        before = text[at..at + offset].chars().next_back().unwrap_or(before);
        let start = at + offset;
        let rest = &text[start..];
        let number = leading_number(rest).map(|number| (number, true));
        let Some(((value, after), is_digits)) = number.or_else(|| leading_word(rest).map(|number| (number, false)))
        else {
            let len = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
            before = 'a';
            at = start + len;
            continue;
        };
        let is_apart = before.is_whitespace() || matches!(before, '(' | '[' | '"' | '\'' | ':' | '=' | '_');
        before = '0';
        let end = text.len() - after.len();
        let denominator =
            coerce::denominator(coerce::unit(after.trim_start_matches(' ')).unwrap_or(after).trim_start());
        // The denominator is not itself a verdict.
        at = denominator.as_ref().map_or(end, |(_, rest)| text.len() - rest.len());
        if !is_apart {
            continue;
        }
        let near = prose.rest_of_line(start);
        let number = Number { at: start..end, value, near, after, is_digits };
        let is_edge = edges.filter(|(first, last)| {
            let sentence = prose.sentence_at(start);
            sentence == *first || sentence == *last
        });
        found.extend(match denominator {
            Some((of, rest)) => number.fraction((of.as_f64() == Some(max)).then_some(rest), expected),
            None => is_edge.and_then(|_| number.given(prose, expected)),
        });
    }
    found
}

struct Number<'t> {
    at: Range<usize>,
    value: Value,
    /// The line from the number on.
    near: &'t str,
    /// The text behind the number.
    after: &'t str,
    is_digits: bool,
}

impl Number<'_> {
    /// `4/5` and `4 out of 5` where 5 is the declared maximum. Another fraction is about something else.
    /// `rest` is what follows it.
    fn fraction(&self, rest: Option<&str>, expected: &Expected<'_>) -> Option<Claim> {
        let rest = rest?;
        let at = self.at.start..self.at.end + self.after.len() - rest.len();
        match coerce::leading(self.near, expected).0 {
            Reading::Nothing => {
                let kind = if followed_by_reason(rest) { Kind::InPassing } else { Kind::Mention };
                Some(Claim::new(at, kind, coerce::checked(&self.value, expected.verdict)))
            }
            Reading::Ambiguous(_) => None,
            reading => Some(Claim::new(at, Kind::Stated, reading)),
        }
    }

    /// `Four stars.` at the beginning, `I would give it a 4`, `it deserves a 4`.
    fn given(&self, prose: &Prose, expected: &Expected<'_>) -> Option<Claim> {
        let sentence = &prose.sentences[prose.sentence_at(self.at.start)];
        let before = prose.before(self.at.start, sentence.start);
        let stars = ["stars", "star"].iter().find_map(|unit| strip_word(self.after.trim_start(), unit));
        let rest = stars.unwrap_or(self.after);
        let reading = match coerce::leading(self.near, expected).0 {
            Reading::Nothing if followed_by_reason(rest) => coerce::checked(&self.value, expected.verdict),
            reading => reading,
        };
        if !matches!(reading, Reading::Value(_)) {
            return None;
        }
        let opens = stars.is_some() && !before.contains(char::is_alphanumeric);
        // `a one` is a pronoun as often as a number.
        let is_given = (self.is_digits || stars.is_some()) && is_giving(before);
        let end = self.at.end + self.after.len() - rest.len();
        (opens || is_given).then(|| Claim::new(self.at.start..end, Kind::Stated, reading))
    }
}

/// A number and what it is given for: `4 for style`, `4 because the date is right`. Also returns where the number ends.
pub(super) fn with_reason(text: &str, expected: &Expected<'_>) -> Option<(Reading, usize)> {
    let max = coerce::highest(expected.verdict)?;
    let (value, rest) = leading_number(text).or_else(|| leading_word(text).filter(|_| max <= 10.0))?;
    followed_by_reason(rest).then(|| (coerce::checked(&value, expected.verdict), text.len() - rest.len()))
}

/// Whether the words after a number say why it is given, or that it is.
fn followed_by_reason(rest: &str) -> bool {
    let mut following = words(rest);
    let Some((at, word)) = following.next() else { return false };
    let is_fitting =
        is_one_of(word, &["is", "seems"]) && following.next().is_some_and(|(_, word)| is_one_of(word, &FITTING));
    // `1 in 3` is a fraction.
    let is_reason = is_one_of(word, &REASONS) && !rest[at + word.len()..].trim_start().starts_with(char::is_numeric);
    at > 0 && rest[..at].chars().all(|c| c == ' ') && (is_reason || is_fitting)
}

/// Whether the words before a number give it to what is judged.
fn is_giving(before: &str) -> bool {
    let mut speaks = false;
    let mut names_judged = false;
    let mut given: Option<usize> = None;
    for (_, word) in words(before) {
        speaks |= is_one_of(word, &SPEAKERS);
        if let Some(words) = &mut given {
            *words += 1;
        }
        if speaks && is_one_of(word, &GIVING) || names_judged && is_one_of(word, &EARNING) {
            given = Some(0);
        }
        names_judged |= is_one_of(word, &JUDGED);
    }
    given.is_some_and(|words| words < MAX_DISTANCE)
}

/// `★★★★☆`
fn stars_drawn(text: &str, max: f64, expected: &Expected<'_>) -> Vec<Claim> {
    const FULL: [char; 2] = ['\u{2605}', '\u{2b50}'];
    const EMPTY: char = '\u{2606}';
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(offset) = text[at..].find(FULL) {
        let start = at + offset;
        let run = &text[start..];
        let full = &run[..run.find(|c| !FULL.contains(&c)).unwrap_or(run.len())];
        let after = &run[full.len()..];
        let empty = &after[..after.find(|c| c != EMPTY).unwrap_or(after.len())];
        at = start + full.len() + empty.len();
        let (full, empty) = (full.chars().count(), empty.chars().count());
        #[expect(clippy::cast_precision_loss, reason = "a row of stars is short, or no verdict")]
        let fits = empty == 0 || (full + empty) as f64 == max;
        if fits {
            found.push(Claim::new(start..at, Kind::Stated, coerce::checked(&full.into(), expected.verdict)));
        }
    }
    found
}
