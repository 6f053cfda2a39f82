//! Turns what stands where the verdict belongs into a value of the declared type, and of that type only.

use serde_json::Value;

use super::number::{is_non_finite, leading_number};
use super::outcome::Miss;
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

/// The words for a boolean. `1`, `0`, `correct` and the like are not among them: they mean other things as often.
const BOOLEANS: [(&str, bool); 6] =
    [("true", true), ("false", false), ("yes", true), ("no", false), ("pass", true), ("fail", false)];

const PERCENTAGE: &str = "a percentage does not say whether 85% is 0.85 or 85";
const OTHER_SCALE: &str = "the verdict is on another scale than the declared one";
const SEVERAL_NUMBERS: &str = "several numbers where one verdict belongs";

/// Reads the JSON value under a verdict key. Never [`Reading::Nothing`]: what is no value of the type is out of range.
pub(super) fn from_json(value: &Value, verdict: &VerdictType) -> Reading {
    let read = match (verdict, value) {
        (VerdictType::Category { .. }, Value::Number(_) | Value::Bool(_)) => whole(&value.to_string(), verdict),
        (_, Value::String(text)) => whole(text, verdict),
        _ => Reading::Nothing,
    };
    match read {
        Reading::Nothing => checked(value, verdict),
        read => read,
    }
}

/// Whether a JSON value speaks of the same thing as the declared type, allowed or not.
pub(super) fn is_of_kind(value: &Value, verdict: &VerdictType) -> bool {
    match (verdict, value) {
        (_, Value::Object(_) | Value::Array(_)) => true,
        (VerdictType::Boolean, value) => value.is_boolean() || value.is_string(),
        (VerdictType::Category { .. }, Value::String(_)) => true,
        (VerdictType::Category { .. }, value) => matches!(from_json(value, verdict), Reading::Value(_)),
        (_, Value::String(text)) => text.bytes().any(|b| b.is_ascii_digit()) || is_non_finite(text),
        (_, value) => value.is_number(),
    }
}

/// Reads a text that is just a value, give or take punctuation and markdown.
pub(super) fn whole(text: &str, verdict: &VerdictType) -> Reading {
    read(text, verdict, Extent::Whole)
}

/// Reads a text that begins with a value: `4/5 - good`, `Pass. All facts hold.`
pub(super) fn leading(text: &str, verdict: &VerdictType) -> Reading {
    read(text, verdict, Extent::Leading)
}

fn read(text: &str, verdict: &VerdictType, extent: Extent) -> Reading {
    let text = text.trim();
    // As it stands, without quotes and emphasis, without brackets: a label may have any of these itself.
    let bare = text.trim_start_matches(is_wrapping);
    let inner = bare.trim_start_matches(['(', '[', '<']).trim_start_matches(is_wrapping);
    for (i, form) in [text, bare, inner].into_iter().enumerate() {
        if i == 0 || form.len() < text.len() {
            let reading = match verdict {
                VerdictType::Boolean => words(form, BOOLEANS.into_iter(), verdict, extent),
                VerdictType::Category { labels } => {
                    words(form, labels.iter().map(|label| (label.as_str(), label.as_str())), verdict, extent)
                }
                VerdictType::Integer { .. } | VerdictType::Number { .. } => number(form, verdict, extent),
            };
            if reading != Reading::Nothing {
                return reading;
            }
        }
    }
    Reading::Nothing
}

/// Quotes and markdown around a value.
fn is_wrapping(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '*' | '_' | '\u{201c}' | '\u{201d}' | '\u{2018}' | '\u{2019}')
}

fn is_closing(c: char) -> bool {
    is_wrapping(c) || matches!(c, '.' | ',' | ';' | ':' | '!' | ')' | ']' | '>')
}

fn is_separator(c: char) -> bool {
    is_closing(c) && c != ' ' || matches!(c, '\u{2013}' | '\u{2014}' | '(' | '}')
}

/// The longest of `options` that `text` begins with. An exact spelling wins over another case.
fn words<'o, V: Into<Value>>(
    text: &str,
    options: impl Iterator<Item = (&'o str, V)> + Clone,
    verdict: &VerdictType,
    extent: Extent,
) -> Reading {
    let mut best: Option<((usize, bool), V, &str)> = None;
    for (name, value) in options.clone() {
        if let Some(rest) = strip_word(text, name) {
            let rank = (name.len(), text.starts_with(name));
            if best.as_ref().is_none_or(|(best, ..)| rank > *best) {
                best = Some((rank, value, rest));
            }
        }
    }
    let Some((_, value, rest)) = best else { return Reading::Nothing };
    let ends = match extent {
        Extent::Whole => rest.trim_start_matches(is_closing).is_empty(),
        Extent::Leading => rest.trim_start_matches(' ').is_empty() || starts_clause(rest),
    };
    if !ends {
        return Reading::Nothing;
    }
    let next = rest.trim_start_matches(|c: char| is_separator(c) || matches!(c, ' ' | '-'));
    if options.into_iter().any(|(name, _)| strip_word(next, name).is_some_and(ends_clause)) {
        return Reading::Ambiguous("several verdicts in one place");
    }
    checked(&value.into(), verdict)
}

/// A hyphen separates only behind a space: `A-` and `3-point` are other values.
fn starts_clause(rest: &str) -> bool {
    rest.starts_with(is_separator)
        || rest.trim_start_matches(' ').starts_with(['\u{2013}', '\u{2014}', '('])
        || rest.starts_with(' ') && rest.trim_start_matches(' ').starts_with("- ")
}

fn ends_clause(rest: &str) -> bool {
    rest.trim_start_matches(is_closing).is_empty()
}

/// What follows `word` at the start of `text`, in any case, when the word ends there.
pub(super) fn strip_word<'t>(text: &'t str, word: &str) -> Option<&'t str> {
    let mut rest = text.chars();
    for expected in word.chars() {
        let found = rest.next()?;
        if found != expected && !found.to_lowercase().eq(expected.to_lowercase()) {
            return None;
        }
    }
    let rest = rest.as_str();
    let last = word.chars().next_back()?;
    let joins = |c: char| c.is_alphanumeric() || c == '_' || c == '+';
    (!last.is_alphanumeric() || !rest.starts_with(joins)).then_some(rest)
}

fn number(text: &str, verdict: &VerdictType, extent: Extent) -> Reading {
    let Some((value, rest)) = leading_number(text) else {
        let word = text.trim_end_matches(is_closing);
        return if is_non_finite(word) { checked(&Value::from(word), verdict) } else { Reading::Nothing };
    };
    let after = rest.trim_start_matches(is_wrapping);
    if after.starts_with('%') || strip_word(after, "percent").is_some() {
        return Reading::Ambiguous(PERCENTAGE);
    }
    let digit_at_1 = rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
    if rest.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '+')
        || digit_at_1 && rest.starts_with(['.', ':'])
    {
        return Reading::Nothing;
    }
    let rest = match denominator(after) {
        Some((of, rest)) => match highest(verdict) {
            Some(max) if of.as_f64() == Some(max) && !rest.starts_with('/') => rest,
            _ => return Reading::Ambiguous(OTHER_SCALE),
        },
        None => rest,
    };
    let after = rest.trim_start_matches(is_wrapping);
    if continues_with_number(after) {
        return Reading::Ambiguous(SEVERAL_NUMBERS);
    }
    let after = after.strip_prefix("stars").or_else(|| after.strip_prefix("points")).unwrap_or(after);
    let ends = match extent {
        Extent::Whole => after.trim_start_matches(is_closing).is_empty(),
        Extent::Leading => after.is_empty() || after.starts_with(is_separator) || starts_clause(rest),
    };
    if ends { checked(&value, verdict) } else { Reading::Nothing }
}

/// Reads `/5` and `out of 5`, also with `(` before it.
pub(super) fn denominator(text: &str) -> Option<(Value, &str)> {
    let text = text.strip_prefix('(').unwrap_or(text);
    let of = text.strip_prefix('/').or_else(|| strip_word(text, "out of"))?;
    leading_number(of.trim_start_matches(is_wrapping))
}

/// Whether an alternative or the other end of a range follows: `-5`, ` to 5`, ` or 4`, `,5`.
fn continues_with_number(text: &str) -> bool {
    const JOINTS: [&str; 12] = ["-", "\u{2013}", "\u{2014}", "~", ",", "/", "|", "&", "to", "or", "and", "through"];
    JOINTS.iter().filter_map(|joint| text.strip_prefix(joint)).any(|rest| {
        rest.trim_start_matches(is_wrapping)
            .trim_start_matches(['-', '+', '.'])
            .starts_with(|c: char| c.is_ascii_digit())
    })
}

/// The declared maximum: the denominator that a fraction must have to be a verdict.
pub(super) fn highest(verdict: &VerdictType) -> Option<f64> {
    match verdict {
        #[expect(clippy::cast_precision_loss, reason = "only compared with what a model wrote")]
        VerdictType::Integer { max, .. } => Some(*max as f64),
        VerdictType::Number { max, .. } => *max,
        VerdictType::Boolean | VerdictType::Category { .. } => None,
    }
}

fn checked(value: &Value, verdict: &VerdictType) -> Reading {
    match verdict.check(value) {
        Ok(value) => Reading::Value(value),
        Err(error) => Reading::OutOfRange(error),
    }
}

/// The one verdict of several readings of equal weight. None when none of them says anything.
pub(super) fn settle(readings: impl IntoIterator<Item = Reading>) -> Option<Result<Value, Miss>> {
    let mut settled: Option<Result<Value, Miss>> = None;
    for reading in readings {
        let next = match reading {
            Reading::Nothing => continue,
            Reading::Value(value) => Ok(value),
            Reading::OutOfRange(error) => Err(Miss::OutOfRange(error)),
            Reading::Ambiguous(why) => Err(Miss::Unparseable(why)),
        };
        settled = Some(match (settled, next) {
            (None, next) => next,
            (Some(Ok(one)), Ok(other)) if same(&one, &other) => Ok(other),
            (Some(Err(one)), Err(_)) => Err(one),
            _ => return Some(Err(Miss::Unparseable("the answer has several verdicts, and they differ"))),
        });
    }
    settled
}

/// Equal values; 4 and 4.0 are.
pub(super) fn same(one: &Value, other: &Value) -> bool {
    one == other || one.as_f64().is_some_and(|one| other.as_f64() == Some(one))
}
