//! The order in which an answer is read: the most certain way first.

use serde_json::Value;

use super::answer;
use super::echo::Echo;
use super::expected::Expected;
use super::limits::{MAX_BYTES, MAX_NESTING};
use super::outcome::{DIFFERING, Miss, ParseFailure, ParseMethod, Parsed};
use super::strict::Whole;
use super::{claims, collect, criterion, evidence, strip, turn};
use crate::judge::AnswerForm;
use crate::judge::control;

/// Reads the verdict from the text that a judge wrote. Pure, total, and in time linear in the text.
///
/// In this order: the whole as JSON; the same without reasoning (`<think>`, gpt-oss channels), control tokens and code fence; a bare
/// value. Everything else is prose: all claims in it are collected, JSON objects as well as phrases such as `Rating: [[5]]` or
/// `Therefore, A is better`, and hold only together. What is in the prompt word for word is a quotation. The value is converted
/// strictly by the declared type and spelled as declared.
///
/// # Errors
/// [`ParseFailure::OutOfRange`] when there is a verdict, but not an allowed one: it is never clamped, and no nicer one is
/// looked for. [`ParseFailure::Unparseable`] when there is no verdict, or several that differ, or the answer is cut off, or
/// larger than [`MAX_BYTES`] or [`MAX_NESTING`].
pub fn parse_verdict<'a>(text: &str, expected: impl Into<Expected<'a>>) -> Result<Parsed, ParseFailure> {
    if text.len() > MAX_BYTES {
        return Err(Miss::Unparseable("the answer is longer than 1 MB").in_answer(text));
    }
    let expected = expected.into();
    let parsed = match expected.form {
        AnswerForm::Claims(claims) => claims::read(text, claims, &expected),
        AnswerForm::Criterion { rubric, index } => criterion::read(text, &rubric.criteria[*index].name, &expected),
        AnswerForm::Value => read(text, &expected, Strings::AreOpened),
        AnswerForm::Quoting => read(text, &expected, Strings::AreOpened).map(|mut parsed| {
            if parsed.verdict.details.is_empty() {
                parsed.verdict.details = evidence::details(std::iter::empty(), &expected);
            }
            parsed
        }),
    };
    parsed.map_err(|miss| miss.in_answer(text))
}

/// Whether a text that is one JSON string is read again as what it encodes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Strings {
    AreOpened,
    AreText,
}

fn read(text: &str, expected: &Expected<'_>, strings: Strings) -> Result<Parsed, Miss> {
    if let Some(parsed) = json(text, expected, ParseMethod::Strict, strings) {
        return parsed;
    }
    // An answer that begins with a fence or an object has no reasoning before it, but its strings may speak of `</think>`.
    let fenced = strip::fence(text.trim_start_matches('\u{feff}'));
    let body = strip::fence(turn::own(strip::reasoning(text)));
    for whole in [fenced, before_token(text), body] {
        if whole.len() < text.len()
            && let Some(parsed) = json(whole, expected, ParseMethod::Extracted, strings)
        {
            return parsed;
        }
    }
    if body.is_empty() {
        return Err(Miss::Unparseable("the answer is empty, or only reasoning"));
    }
    let echo = Echo::new(expected);
    if let Some((end, speaker)) = turn::run_on(body)
        && !echo.is_in_prompt(speaker)
        && let Ok(parsed) = collect::read(&body[..end], expected, &echo)
    {
        return Ok(parsed);
    }
    collect::read(body, expected, &echo)
}

/// An object that the text begins with, where a control token follows it: what comes after is another turn.
fn before_token(text: &str) -> &str {
    if !text.trim_start().starts_with('{') {
        return "";
    }
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<serde::de::IgnoredAny>();
    let first = values.next();
    let end = values.byte_offset();
    match first {
        Some(Ok(_)) if control::end_of_turn(text[end..].trim_start()) == Some(0) => &text[..end],
        _ => "",
    }
}

/// Reads the text as one JSON value. None when it is none, or when it is a bare value, which is read as text.
fn json(text: &str, expected: &Expected<'_>, method: ParseMethod, strings: Strings) -> Option<Result<Parsed, Miss>> {
    let (object, method) = match Whole::read(text)? {
        Whole::Object { contradicts_itself: true, .. } => return Some(Err(Miss::Unparseable(DIFFERING))),
        Whole::Object { object, .. } => (object, method),
        Whole::Other(Value::Array(mut items)) => match items.pop() {
            Some(Value::Object(object)) if items.is_empty() => (object, ParseMethod::Tolerant),
            _ => return Some(Err(Miss::Unparseable("a list where one verdict belongs"))),
        },
        Whole::Other(Value::String(inner)) if strings == Strings::AreOpened => {
            let weaken = |parsed: Parsed| Parsed { method: parsed.method.max(ParseMethod::Tolerant), ..parsed };
            return Some(read(&inner, expected, Strings::AreText).map(weaken));
        }
        Whole::Other(_) => return None,
    };
    if object.values().any(|value| is_deeper_than(value, MAX_NESTING - 1)) {
        return Some(Err(Miss::Unparseable("the answer is nested too deeply")));
    }
    Some(match answer::read(object, expected) {
        Some(answer) => answer.map(|answer| answer.parsed(method)),
        None => Err(Miss::Unparseable("the answer is JSON without a verdict")),
    })
}

fn is_deeper_than(value: &Value, levels: usize) -> bool {
    match value {
        Value::Object(map) => levels == 0 || map.values().any(|value| is_deeper_than(value, levels - 1)),
        Value::Array(items) => levels == 0 || items.iter().any(|value| is_deeper_than(value, levels - 1)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::judge::parse::ParseMethod::{Extracted, Pattern, Strict, Tolerant};
    use crate::judge::parse::collect::MAX_RATIONALE;
    use crate::judge::verdict::VerdictType;

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
            for text in [format!("{{\"value\": {value}}}"), format!("So: {{\"score\": {value}}}.")] {
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
            // Cut off: what came before is not a verdict either.
            r#"{"rationale": "good", "value": 4"#,
            r#"{"rationale": "good", "value":"#,
            r#"{"rationale": "Score: 4"#,
            r#"{"value": 1} was the example. {"rationale": "now I"#,
            r#"{"rationale": "x", "parts": {"score": 4}, "val"#,
            // Broken: what is inside is not an answer of its own.
            r#"{"rationale": "x" "value": 4}"#,
            r#"{"rationale": x y, "parts": {"score": 4}}"#,
            r#"{"value": <4>}"#,
            // Two verdicts, whatever their form and order.
            r#"First {"value": 1}, on second thought {"value": 4}."#,
            r#"{"value": 4} no: {"score": 7}"#,
            r#"{"value": 4}
Score: 3"#,
            r#"{"value": 4, "value": 3}"#,
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
