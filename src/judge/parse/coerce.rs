//! Converts the text in the verdict's place to a value of the declared type, and only that type.

use serde_json::Value;

use super::expected::Expected;
use super::number::{is_non_finite, leading_number, leading_word};
use crate::judge::abstain;
use crate::judge::verdict::{OutOfRange, VerdictType};

/// What a piece of an answer says about the verdict.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Reading {
    /// Allowed, and spelled as declared.
    Value(Value),
    /// A value of the declared kind that is not allowed.
    OutOfRange(OutOfRange),
    /// More than one value could be meant.
    Ambiguous(&'static str),
    /// No value of the declared kind.
    Nothing,
}

/// How much may follow the value in a piece of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// Nothing but punctuation.
    Whole,
    /// Anything after a separator, as in `4 - mostly right`.
    Leading,
}

/// Whether `four` is a number. In JSON it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NumberWords {
    Read,
    Ignore,
}

/// The words for a boolean. `1`, `0`, `correct` and the like are not among them: they mean other things as often.
const BOOLEANS: [(&str, bool); 4] = [("true", true), ("false", false), ("yes", true), ("no", false)];
/// Words that mean the good or the bad verdict, where the judge declares which one that is.
const PASSES: [(&str, bool); 6] =
    [("pass", true), ("passed", true), ("passes", true), ("fail", false), ("failed", false), ("fails", false)];

/// Words that put the value before them under a condition: `true, if one ignores the insult`.
const CONDITIONS: [&str; 6] = ["if", "unless", "provided", "assuming", "only if", "were it not"];

/// The longest value between `<` and `>`, in bytes.
const MAX_TAG: usize = 100;

const PERCENTAGE: &str = "a percentage does not say whether 85% is 0.85 or 85";
const OTHER_SCALE: &str = "the verdict is on another scale than the declared one";
const SEVERAL_NUMBERS: &str = "several numbers where one verdict belongs";
const SEVERAL_WORDS: &str = "several verdicts in one place";
const CONDITIONAL: &str = "the verdict stands under a condition";
const NO_POLARITY: &str = "`pass` and `fail` mean nothing: the judge does not declare which verdict is `good`";

/// Reads the JSON value under a verdict key. Never [`Reading::Nothing`]: a value of another type is out of range.
pub(super) fn from_json(value: &Value, expected: &Expected<'_>) -> Reading {
    if expected.can_abstain && abstain::is_meant(value) && expected.verdict.check(value).is_err() {
        return Reading::Value(Value::Null);
    }
    if let (VerdictType::Labels { .. }, Value::Array(items)) = (expected.verdict, value) {
        return several(items, expected);
    }
    let whole = |text: &str| read(text, expected, Extent::Whole, NumberWords::Ignore).0;
    let read = match (expected.verdict, value) {
        (VerdictType::Category { .. }, Value::Number(_) | Value::Bool(_)) => whole(&value.to_string()),
        (_, Value::String(text)) => whole(text),
        _ => Reading::Nothing,
    };
    match read {
        Reading::Nothing => checked(value, expected.verdict),
        read => read,
    }
}

/// A list of labels, each spelled in any way that one could be.
fn several(items: &[Value], expected: &Expected<'_>) -> Reading {
    let mut labels = Vec::with_capacity(items.len());
    for item in items {
        let Value::String(text) = item else { return checked(&Value::Array(items.to_vec()), expected.verdict) };
        match read(text, expected, Extent::Whole, NumberWords::Ignore).0 {
            Reading::Value(Value::Array(label)) => labels.extend(label),
            Reading::Value(label) => labels.push(label),
            Reading::Nothing => return checked(&Value::Array(items.to_vec()), expected.verdict),
            other => return other,
        }
    }
    checked(&Value::Array(labels), expected.verdict)
}

/// The verdict that `{"pass": true}` means.
pub(super) fn from_pass(value: &Value, expected: &Expected<'_>) -> Option<Value> {
    let passes = match value {
        Value::Bool(passes) => *passes,
        Value::String(text) => BOOLEANS.iter().find(|(word, _)| text.trim().eq_ignore_ascii_case(word))?.1,
        _ => return None,
    };
    expected.good?.value_of(passes, expected.verdict)
}

/// Whether a JSON value speaks of the same thing as the declared type, allowed or not.
pub(super) fn is_of_kind(value: &Value, expected: &Expected<'_>) -> bool {
    match (expected.verdict, value) {
        (_, Value::Object(_) | Value::Array(_)) => true,
        (VerdictType::Boolean, value) => value.is_boolean() || value.is_string(),
        (VerdictType::Labels { .. }, value) => value.is_string(),
        (VerdictType::Category { .. }, Value::String(_)) => true,
        (VerdictType::Category { .. }, value) => matches!(from_json(value, expected), Reading::Value(_)),
        (_, Value::String(text)) => text.bytes().any(|b| b.is_ascii_digit()) || is_non_finite(text),
        (_, value) => value.is_number(),
    }
}

/// Reads a text that is just a value, give or take punctuation and markdown.
pub(super) fn whole(text: &str, expected: &Expected<'_>) -> Reading {
    read(text, expected, Extent::Whole, NumberWords::Read).0
}

/// Reads a text that begins with a value: `4/5 - good`, `Pass. All facts hold.` Also returns where the value ends in it.
pub(super) fn leading(text: &str, expected: &Expected<'_>) -> (Reading, usize) {
    read(text, expected, Extent::Leading, NumberWords::Read)
}

fn read(text: &str, expected: &Expected<'_>, extent: Extent, number_words: NumberWords) -> (Reading, usize) {
    let end = text.len();
    let text = text.trim_start();
    // As it is, without quotes and emphasis, without brackets: a label may have any of these itself.
    let bare = text.trim_start_matches(is_wrapping);
    // `<4>` is a value, `<4` a bound.
    let is_tag = bare.starts_with('<') && bare.bytes().take(MAX_TAG).any(|b| b == b'>');
    let opening: &[char] = if is_tag { &['(', '[', '<'] } else { &['(', '['] };
    let inner = bare.trim_start_matches(opening).trim_start_matches(is_wrapping);
    for (i, form) in [text, bare, inner].into_iter().enumerate() {
        if i == 0 || form.len() < text.len() {
            let (reading, rest) = match expected.verdict {
                VerdictType::Boolean | VerdictType::Category { .. } | VerdictType::Labels { .. } => {
                    words(form, expected, extent)
                }
                VerdictType::Integer { .. } | VerdictType::Number { .. } => {
                    number(form, expected.verdict, extent, number_words)
                }
            };
            if reading != Reading::Nothing {
                return (reading, end - rest.len());
            }
        }
    }
    (Reading::Nothing, 0)
}

/// Quotes and markdown around a value.
fn is_wrapping(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '*' | '_' | '\u{201c}' | '\u{201d}' | '\u{2018}' | '\u{2019}')
}

pub(super) fn is_closing(c: char) -> bool {
    is_wrapping(c) || matches!(c, '.' | ',' | ';' | ':' | '!' | ')' | ']' | '>' | '|' | '\u{3002}')
}

fn is_separator(c: char) -> bool {
    is_closing(c) && c != ' ' || matches!(c, '\u{2013}' | '\u{2014}' | '(' | '}')
}

/// What a word means.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Meaning<'e> {
    Label(&'e str),
    Boolean(bool),
    Pass(bool),
    Abstention,
}

impl Meaning<'_> {
    fn value(self, expected: &Expected<'_>) -> Option<Value> {
        match self {
            Self::Label(label) => Some(label.into()),
            Self::Boolean(value) => Some(value.into()),
            Self::Pass(passes) => expected.good?.value_of(passes, expected.verdict),
            Self::Abstention => Some(Value::Null),
        }
    }
}

/// The words that mean a verdict.
fn options<'e>(expected: &Expected<'e>) -> impl Iterator<Item = (&'e str, Meaning<'e>)> {
    let (labels, booleans) = match expected.verdict {
        VerdictType::Category { labels } | VerdictType::Labels { labels } => (labels.as_slice(), &[][..]),
        _ => (&[][..], &BOOLEANS[..]),
    };
    let is_taken = |word: &str| labels.iter().any(|label| label.eq_ignore_ascii_case(word));
    // Without a declaration they are still known, as words that mean nothing here.
    let is_polar = !booleans.is_empty() || expected.good.is_some();
    let passes = PASSES.iter().filter(move |(word, _)| is_polar && !is_taken(word));
    let labels = labels.iter().map(|label| (label.as_str(), Meaning::Label(label)));
    let booleans = booleans.iter().map(|(word, value)| (*word, Meaning::Boolean(*value)));
    let abstentions = abstain::WORDS.iter().filter(move |word| expected.can_abstain && !is_taken(word));
    let abstentions = abstentions.map(|word| (*word, Meaning::Abstention));
    labels.chain(booleans).chain(passes.map(|(word, passes)| (*word, Meaning::Pass(*passes)))).chain(abstentions)
}

/// The longest of the words that `text` begins with. An exact spelling takes precedence.
fn words<'t>(text: &'t str, expected: &Expected<'_>, extent: Extent) -> (Reading, &'t str) {
    let mut best: Option<((usize, bool), Meaning<'_>, &str)> = None;
    let mut is_ambiguous = false;
    for (name, meaning) in options(expected) {
        let is_exact = text.starts_with(name);
        if expected.case_sensitive && matches!(meaning, Meaning::Label(_)) && !is_exact {
            continue;
        }
        if let Some(rest) = strip_word(text, name) {
            let rank = (name.len(), is_exact);
            match &best {
                Some((other, ..)) if rank < *other => {}
                Some((other, ..)) if rank == *other => is_ambiguous = true,
                _ => {
                    best = Some((rank, meaning, rest));
                    is_ambiguous = false;
                }
            }
        }
    }
    let Some((_, meaning, rest)) = best else { return (Reading::Nothing, text) };
    let ends = match extent {
        Extent::Whole => rest.trim_start_matches(is_closing).is_empty(),
        Extent::Leading => rest.trim_start_matches(' ').is_empty() || starts_clause(rest),
    };
    if !ends {
        return (Reading::Nothing, text);
    }
    let next = rest.trim_start_matches(|c: char| is_separator(c) || matches!(c, ' ' | '-'));
    if extent == Extent::Leading && CONDITIONS.iter().any(|word| strip_word(next, word).is_some()) {
        return (Reading::Ambiguous(CONDITIONAL), rest);
    }
    if is_ambiguous || options(expected).any(|(name, _)| strip_word(next, name).is_some_and(ends_clause)) {
        return (Reading::Ambiguous(SEVERAL_WORDS), rest);
    }
    match meaning.value(expected) {
        Some(value @ Value::Null) => (Reading::Value(value), rest),
        Some(label) if matches!(expected.verdict, VerdictType::Labels { .. }) => {
            (checked(&Value::Array(vec![label]), expected.verdict), rest)
        }
        Some(value) => (checked(&value, expected.verdict), rest),
        None => (Reading::Ambiguous(NO_POLARITY), rest),
    }
}

/// A hyphen separates only after a space: `A-` and `3-point` are other values.
fn starts_clause(rest: &str) -> bool {
    rest.starts_with(is_separator)
        || rest.trim_start_matches(' ').starts_with(['\u{2013}', '\u{2014}', '('])
        || rest.starts_with(' ') && rest.trim_start_matches(' ').starts_with("- ")
}

fn ends_clause(rest: &str) -> bool {
    rest.trim_start_matches(is_closing).is_empty()
}

/// What follows `word` at the start of `text`, in any case and with any of ` _-` between its parts, when the word ends there.
pub(super) fn strip_word<'t>(text: &'t str, word: &str) -> Option<&'t str> {
    let is_joint = |c: char| matches!(c, ' ' | '_' | '-');
    let mut rest = text.chars();
    for expected in word.chars() {
        let found = rest.next()?;
        let same = found == expected
            || is_joint(found) && is_joint(expected)
            || found.to_lowercase().eq(expected.to_lowercase());
        if !same {
            return None;
        }
    }
    let rest = rest.as_str();
    let last = word.chars().next_back()?;
    // `__incorrect__` is emphasis, `incorrect_answer` another word.
    let continues = rest.trim_start_matches('_').starts_with(char::is_alphanumeric) || rest.starts_with('+');
    (!last.is_alphanumeric() || !continues).then_some(rest)
}

fn number<'t>(text: &'t str, verdict: &VerdictType, extent: Extent, number_words: NumberWords) -> (Reading, &'t str) {
    let by_word = || leading_word(text).filter(|_| number_words == NumberWords::Read && takes_words(verdict));
    let Some((value, rest)) = leading_number(text).or_else(by_word) else {
        let word = text.trim_end_matches(is_closing);
        let reading = if is_non_finite(word) { checked(&Value::from(word), verdict) } else { Reading::Nothing };
        return (reading, "");
    };
    let after = rest.trim_start_matches(is_wrapping);
    if after.starts_with('%') || strip_word(after, "percent").is_some() {
        return (Reading::Ambiguous(PERCENTAGE), rest);
    }
    let digit_at_1 = rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
    if rest.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '+')
        || digit_at_1 && rest.starts_with(['.', ':'])
    {
        return (Reading::Nothing, text);
    }
    let rest = match denominator(unit(after).map_or(after, str::trim_start)) {
        Some((of, rest)) => match highest(verdict) {
            Some(max) if of.as_f64() == Some(max) && !rest.starts_with('/') => rest,
            _ => return (Reading::Ambiguous(OTHER_SCALE), rest),
        },
        None => rest,
    };
    let after = rest.trim_start_matches(is_wrapping);
    if continues_with_number(after) {
        return (Reading::Ambiguous(SEVERAL_NUMBERS), rest);
    }
    let rest = unit(after).unwrap_or(rest);
    let after = rest.trim_start_matches(is_wrapping);
    let ends = match extent {
        Extent::Whole => after.trim_start_matches(is_closing).is_empty(),
        Extent::Leading => after.is_empty() || after.starts_with(is_separator) || starts_clause(rest),
    };
    if ends { (checked(&value, verdict), rest) } else { (Reading::Nothing, text) }
}

/// Whether words are numbers on this scale: on wider scales they count other things.
fn takes_words(verdict: &VerdictType) -> bool {
    highest(verdict).is_some_and(|max| max <= 10.0)
}

/// What follows `stars` or `points`.
pub(super) fn unit(text: &str) -> Option<&str> {
    const UNITS: [&str; 4] = ["stars", "star", "points", "point"];
    UNITS.iter().find_map(|unit| strip_word(text, unit))
}

/// Reads `/5`, `out of 5` and `out of five`, also with `(` before it.
pub(super) fn denominator(text: &str) -> Option<(Value, &str)> {
    let (is_aside, text) = text.strip_prefix('(').map_or((false, text), |text| (true, text));
    // `(of 5)`: without the parenthesis it counts something.
    let of = || strip_word(text, "of").filter(|_| is_aside);
    let of = text.strip_prefix('/').or_else(|| strip_word(text, "out of")).or_else(of)?.trim_start_matches(is_wrapping);
    let of = strip_word(of, "a possible").map_or(of, str::trim_start);
    leading_number(of).or_else(|| leading_word(of))
}

/// Whether an alternative or the other end of a range follows: `-5`, ` to 5`, ` or 4`, `,5`, `, maybe 5`, ` (or 5)`.
fn continues_with_number(text: &str) -> bool {
    const JOINTS: [&str; 13] =
        ["-", "\u{2013}", "\u{2014}", "\u{2026}", "~", ",", "/", "|", "&", "to", "or", "and", "through"];
    const HEDGES: [&str; 7] = ["or", "maybe", "perhaps", "possibly", "even", "if not", "arguably"];
    let is_number = |rest: &str| {
        let number = rest.trim_start_matches(is_wrapping).trim_start_matches(['-', '+', '.']);
        number.trim_start().starts_with(|c: char| c.is_ascii_digit())
    };
    let mut hedged = text.trim_start_matches([',', ';', '(', ' ', '\u{2014}', '\u{2013}']);
    let mut is_hedged = false;
    while let Some(rest) = HEDGES.iter().find_map(|hedge| strip_word(hedged, hedge)) {
        hedged = rest.trim_start();
        is_hedged = true;
    }
    is_hedged && is_number(hedged)
        || text.starts_with("..") && is_number(text)
        || JOINTS.iter().filter_map(|joint| text.strip_prefix(joint)).any(is_number)
}

/// The declared maximum: the denominator that a fraction must have to be a verdict.
pub(super) fn highest(verdict: &VerdictType) -> Option<f64> {
    match verdict {
        #[expect(clippy::cast_precision_loss, reason = "only compared with what a model wrote")]
        VerdictType::Integer { max, .. } => Some(*max as f64),
        VerdictType::Number { max, .. } => *max,
        VerdictType::Boolean | VerdictType::Category { .. } | VerdictType::Labels { .. } => None,
    }
}

pub(super) fn checked(value: &Value, verdict: &VerdictType) -> Reading {
    match verdict.check(value) {
        Ok(value) => Reading::Value(value),
        Err(error) => Reading::OutOfRange(error),
    }
}

/// Equal values; 4 and 4.0 are.
pub(super) fn same(one: &Value, other: &Value) -> bool {
    one == other || one.as_f64().is_some_and(|one| other.as_f64() == Some(one))
}
