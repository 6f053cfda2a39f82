//! The order in which an answer is read: the surest way first.

use std::borrow::Cow;
use std::ops::Range;

use serde_json::Value;

use super::answer::{self, Answer};
use super::coerce::{self, Reading};
use super::outcome::{Miss, ParseFailure, ParseMethod, Parsed};
use super::{pattern, scan, strip};
use crate::judge::verdict::{Verdict, VerdictType};

/// The longest answer that is read, in bytes.
pub const MAX_BYTES: usize = 1 << 20;
/// The deepest JSON that is read, in levels of objects and arrays.
pub const MAX_NESTING: usize = 64;
/// How much of a text becomes the rationale, in characters.
const MAX_RATIONALE: usize = 4000;

/// Reads the verdict out of the text that a judge wrote. Pure, total, and in time linear in the text.
///
/// In this order: the whole as JSON; the same without byte order mark, reasoning (`<think>`, gpt-oss channels) and code fence; the
/// last object with a verdict key, strict or nearly JSON; a bare value; phrases such as `Rating: [[5]]` or `Therefore, A is
/// better.` The value is converted strictly by the declared type and spelled as declared.
///
/// # Errors
/// [`ParseFailure::OutOfRange`] when there is a verdict, but not an allowed one: it is never clamped, and no nicer one is
/// looked for. [`ParseFailure::Unparseable`] when there is no verdict, or several that differ, or the answer is cut off, or
/// larger than [`MAX_BYTES`] or [`MAX_NESTING`].
pub fn parse_verdict(text: &str, verdict: &VerdictType) -> Result<Parsed, ParseFailure> {
    if text.len() > MAX_BYTES {
        return Err(Miss::Unparseable("the answer is longer than 1 MB").in_answer(text));
    }
    read(text, verdict, Strings::AreOpened).map_err(|miss| miss.in_answer(text))
}

/// Whether a text that is one JSON string is read again as what it encodes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Strings {
    AreOpened,
    AreText,
}

fn read(text: &str, verdict: &VerdictType, strings: Strings) -> Result<Parsed, Miss> {
    if let Some(parsed) = json(text, verdict, ParseMethod::Strict, strings) {
        return parsed;
    }
    // An answer that begins with a fence has no reasoning before it, but its strings may speak of `</think>`.
    let fenced = strip::fence(text.trim_start_matches('\u{feff}'));
    let body = strip::fence(strip::reasoning(text));
    for inner in [fenced, body] {
        if inner.len() < text.len()
            && let Some(parsed) = json(inner, verdict, ParseMethod::Extracted, strings)
        {
            return parsed;
        }
    }
    if body.is_empty() {
        return Err(Miss::Unparseable("the answer is empty, or nothing but reasoning"));
    }
    let objects = scan::objects(body, verdict);
    if let Some(found) = objects.answer {
        let (answer, range) = found?;
        let is_strict = serde_json::from_str::<serde::de::IgnoredAny>(&body[range]).is_ok();
        return Ok(parsed(answer, if is_strict { ParseMethod::Extracted } else { ParseMethod::Tolerant }));
    }
    match coerce::whole(body, verdict) {
        Reading::Value(value) => {
            let verdict = Verdict { value, rationale: None };
            return Ok(Parsed { verdict, method: ParseMethod::Tolerant });
        }
        Reading::OutOfRange(error) => return Err(Miss::OutOfRange(error)),
        Reading::Ambiguous(why) => return Err(Miss::Unparseable(why)),
        Reading::Nothing => {}
    }
    let value = pattern::find(&without(body, &objects.ranges), verdict)?;
    let rationale = body.chars().take(MAX_RATIONALE).collect();
    Ok(Parsed { verdict: Verdict { value, rationale: Some(rationale) }, method: ParseMethod::Pattern })
}

/// Reads the text as one JSON value. None when it is none, or when it is a bare value, which is read as text.
fn json(text: &str, verdict: &VerdictType, method: ParseMethod, strings: Strings) -> Option<Result<Parsed, Miss>> {
    let value = serde_json::from_str(text).ok()?;
    if is_deeper_than(&value, MAX_NESTING) {
        return Some(Err(Miss::Unparseable("the answer is nested too deep")));
    }
    let (object, method) = match value {
        Value::Object(object) => (object, method),
        Value::Array(mut items) => match items.pop() {
            Some(Value::Object(object)) if items.is_empty() => (object, ParseMethod::Tolerant),
            _ => return Some(Err(Miss::Unparseable("a list where one verdict belongs"))),
        },
        Value::String(inner) if strings == Strings::AreOpened => {
            let weaken = |parsed: Parsed| Parsed { method: parsed.method.max(ParseMethod::Tolerant), ..parsed };
            return Some(read(&inner, verdict, Strings::AreText).map(weaken));
        }
        _ => return None,
    };
    Some(match answer::read(object, verdict) {
        Some(answer) => answer.map(|answer| parsed(answer, method)),
        None => Err(Miss::Unparseable("the answer is JSON without a verdict")),
    })
}

fn parsed(answer: Answer, method: ParseMethod) -> Parsed {
    let method = if answer.is_wrapped { ParseMethod::Tolerant } else { method };
    Parsed { verdict: answer.verdict, method }
}

fn is_deeper_than(value: &Value, levels: usize) -> bool {
    match value {
        Value::Object(map) => levels == 0 || map.values().any(|value| is_deeper_than(value, levels - 1)),
        Value::Array(items) => levels == 0 || items.iter().any(|value| is_deeper_than(value, levels - 1)),
        _ => false,
    }
}

/// The text around objects: what stands in one that is not the answer is data, not a phrase of the judge.
fn without<'t>(text: &'t str, ranges: &[Range<usize>]) -> Cow<'t, str> {
    if ranges.is_empty() {
        return text.into();
    }
    let mut prose = String::with_capacity(text.len());
    let mut at = 0;
    for range in ranges {
        prose.push_str(&text[at..range.start]);
        prose.push('\n');
        at = range.end;
    }
    prose.push_str(&text[at..]);
    prose.into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::judge::parse::ParseMethod::{Extracted, Pattern, Strict, Tolerant};

    fn scale() -> VerdictType {
        VerdictType::Integer { min: 1, max: 5 }
    }

    fn labels() -> VerdictType {
        VerdictType::Category { labels: vec!["good".into(), "Not relevant".into(), "4".into()] }
    }

    #[track_caller]
    fn assert_reads(text: &str, verdict: &VerdictType, value: Value, rationale: Option<&str>, method: ParseMethod) {
        let parsed = parse_verdict(text, verdict).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!((&parsed.verdict.value, parsed.method), (&value, method), "{text}");
        assert_eq!(parsed.verdict.rationale.as_deref(), rationale, "{text}");
    }

    #[test]
    fn an_answer_is_found_wherever_it_stands() {
        for (text, rationale, method) in [
            (r#"{"rationale": "r", "value": 4}"#, Some("r"), Strict),
            (" \n{\"value\": 4}\n", None, Strict),
            (
                r#"{"rationale": "a </think> and ``` and {\"value\": 1}", "value": 4}"#,
                Some("a </think> and ``` and {\"value\": 1}"),
                Strict,
            ),
            ("\u{feff}{\"value\": 4}", None, Extracted),
            ("```json\n{\"value\": 4}\n```", None, Extracted),
            ("```json\n{\"value\": 4}", None, Extracted),
            ("~~~\n{\"value\": 4}\n~~~", None, Extracted),
            ("```json\n{\"rationale\": \"</think>\", \"value\": 4}\n```", Some("</think>"), Extracted),
            ("<think>maybe {\"value\": 1}</think>{\"value\": 4}", None, Extracted),
            ("maybe {\"value\": 1}</think>\n\n```json\n{\"value\": 4}\n```", None, Extracted),
            ("[THINK]x[/THINK]{\"value\": 4}", None, Extracted),
            (
                "<|channel|>analysis<|message|>1<|end|><|start|>assistant<|channel|>final<|message|>{\"value\": 4}<|return|>",
                None,
                Extracted,
            ),
            ("Sure {name}, a set {a, b}: {\"value\": 4} is {my} answer.", None, Extracted),
            ("First {\"value\": 1}, on second thought {\"value\": 4}.", None, Extracted),
            ("{\"value\": 4}\nMetadata: {\"tokens\": 5}", None, Extracted),
            ("In the form {\"rationale\": ..., \"value\": ...}:\n{\"value\": 4}", None, Extracted),
            ("[{\"value\": 4}]", None, Tolerant),
            ("{'rationale': 'it's {fine}', 'value': 4,}", Some("it's {fine}"), Tolerant),
            ("{\"rationale\": \"raw\nline\", \"value\": 4}", Some("raw\nline"), Tolerant),
            ("Here: {rationale: \"r\", value: 4} // done", Some("r"), Tolerant),
            (r#""{\"rationale\": \"r\", \"value\": 4}""#, Some("r"), Tolerant),
            (r#"{"properties": {"rationale": "r", "value": 4}}"#, Some("r"), Tolerant),
            (r#"Here: {"verdict": {"reason": "r", "score": 4}}"#, Some("r"), Tolerant),
            ("4", None, Tolerant),
            ("**4**", None, Tolerant),
            ("\"4\"", None, Tolerant),
            ("```\n4.0\n```", None, Tolerant),
            ("4/5", None, Tolerant),
            ("<think>x</think>4 out of 5.", None, Tolerant),
            ("<think>x</think>\nFine.\nRating: [[4]] ", Some("Fine.\nRating: [[4]]"), Pattern),
            ("Data {\"a\": 1} seen.\nScore: 4", None, Pattern),
        ] {
            let rationale = if method == Pattern && rationale.is_none() { Some(text) } else { rationale };
            assert_reads(text, &scale(), json!(4), rationale, method);
        }
    }

    #[test]
    fn values_are_converted_by_the_declared_type_alone() {
        let (boolean, share) = (VerdictType::Boolean, VerdictType::Number { min: Some(0.0), max: Some(1.0) });
        for (verdict, value, expected) in [
            (&boolean, json!(true), json!(true)),
            (&boolean, json!("Yes"), json!(true)),
            (&boolean, json!("FAIL."), json!(false)),
            (&boolean, json!(" pass "), json!(true)),
            (&boolean, json!("False"), json!(false)),
            (&scale(), json!("4"), json!(4)),
            (&scale(), json!(4.0), json!(4)),
            (&scale(), json!("4.0"), json!(4)),
            (&scale(), json!("4/5"), json!(4)),
            (&scale(), json!("4 out of 5"), json!(4)),
            (&share, json!("0.85"), json!(0.85)),
            (&share, json!(1), json!(1)),
            (&labels(), json!("Good"), json!("good")),
            (&labels(), json!("\"not RELEVANT\"."), json!("Not relevant")),
            (&labels(), json!(4), json!("4")),
        ] {
            let text = json!({"value": value}).to_string();
            assert_reads(&text, verdict, expected, None, Strict);
        }
    }

    #[test]
    fn a_value_that_is_not_allowed_is_out_of_range() {
        let (boolean, share) = (VerdictType::Boolean, VerdictType::Number { min: Some(0.0), max: Some(1.0) });
        for (verdict, value) in [
            (&boolean, "1"),
            (&boolean, "0"),
            (&boolean, "\"1\""),
            (&boolean, "\"correct\""),
            (&boolean, "null"),
            (&scale(), "6"),
            (&scale(), "4.5"),
            (&scale(), "true"),
            (&scale(), "\"four\""),
            (&scale(), "\"Infinity\""),
            (&share, "85"),
            (&share, "NaN"),
            (&share, "-Infinity"),
            (&share, "1e999"),
            (&labels(), "\"relevant\""),
            (&labels(), "5"),
            (&labels(), "\"\""),
        ] {
            for text in
                [format!("{{\"value\": {value}}}"), format!("{{\"value\": 4}} no: {{\"score\": {value}}}\nScore: 4")]
            {
                let read = parse_verdict(&text, verdict);
                assert!(matches!(read, Err(ParseFailure::OutOfRange(_))), "{verdict}: {text}: {read:?}");
            }
        }
        for text in ["7", "4.5", "6/5", "NaN", "Rating: [[9]]"] {
            assert!(matches!(parse_verdict(text, &scale()), Err(ParseFailure::OutOfRange(_))), "{text}");
        }
    }

    #[test]
    fn what_is_in_doubt_is_unparseable() {
        for text in [
            "",
            " \n",
            "<think>4",
            "<think>Score: 4</think>",
            "null",
            "true",
            "{}",
            "[]",
            "[4]",
            r#"[{"value": 4}, {"value": 5}]"#,
            r#"Both: [{"value": 4}, {"value": 5}]"#,
            r#"{"rationale": "Score: 4"}"#,
            r#"{"value": "85%"}"#,
            r#"{"value": "4/10"}"#,
            r#"{"value": "3 or 4"}"#,
            r#"{"value": "1-5"}"#,
            r#"{"score": 3, "rating": 4}"#,
            // Cut off: what came before is no verdict either.
            r#"{"rationale": "good", "value": 4"#,
            r#"{"rationale": "good", "value":"#,
            r#"{"rationale": "Score: 4"#,
            r#"{"value": 1} was the example. {"rationale": "now I"#,
            r#"{"rationale": "x", "parts": {"score": 4}, "val"#,
            // Broken: what is inside is no answer of its own.
            r#"{"rationale": "x" "value": 4}"#,
            r#"{"rationale": x y, "parts": {"score": 4}}"#,
            r#"{"value": <4>}"#,
            "1-5",
            "3 or 4",
            "85%",
            "I'm sorry, but I cannot help with that.",
            "The answer is mostly right, with 4 errors.",
        ] {
            let read = parse_verdict(text, &scale());
            assert!(matches!(read, Err(ParseFailure::Unparseable(_))), "{text}: {read:?}");
        }
        let schema = scale().json_schema().to_string();
        assert!(matches!(parse_verdict(&schema, &scale()), Err(ParseFailure::Unparseable(_))));
    }

    #[test]
    fn the_rationale_of_a_text_is_capped() {
        let text = format!("Score: 4\n{}", "é".repeat(5000));
        let rationale = parse_verdict(&text, &scale()).unwrap().verdict.rationale.unwrap();
        assert_eq!(rationale.chars().count(), MAX_RATIONALE);
    }

    #[test]
    fn limits_are_kept_whatever_the_form() {
        let nested =
            |levels: usize| format!("{{\"value\": 4, \"x\": {}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
        for wrap in ["", "So: "] {
            let text = format!("{wrap}{}", nested(MAX_NESTING));
            assert_eq!(parse_verdict(&text, &scale()).unwrap().verdict.value, 4);
            let text = format!("{wrap}{}", nested(MAX_NESTING + 1));
            assert!(matches!(parse_verdict(&text, &scale()), Err(ParseFailure::Unparseable(_))));
        }
        let padded = |bytes: usize| format!("{}{{\"value\": 4}}", " ".repeat(bytes - 12));
        assert!(parse_verdict(&padded(MAX_BYTES), &scale()).is_ok());
        assert!(parse_verdict(&padded(MAX_BYTES + 1), &scale()).is_err());
    }
}
