//! Reads the verdict from an answer, whether it came over a connection or in a file.

use crate::endpoint::Failure;
use crate::endpoint::wire::answer::Answer;
use crate::endpoint::wire::finish::Finish;
use crate::feedback::ErrorCode;
use crate::judge::parse::{Expected, ParseMethod, Parsed, has_periodic_tail, parse_verdict};
use crate::judge::verdict::Verdict;
use crate::judge::{AnswerForm, Judge, ProgramAnswer, Work, weighed};

/// A verdict and how it was read.
#[derive(Debug)]
pub(in crate::run) struct Scored {
    pub verdict: Verdict,
    pub method: ParseMethod,
    /// The answer reached the output limit after the verdict.
    pub truncated: bool,
    /// The rationale repeats itself, or fills all the room that the schema gives it: such a model's verdict deserves a second look.
    pub degenerate: bool,
}

impl Scored {
    /// A verdict that did not have to be read from prose.
    pub(in crate::run) fn exact(verdict: Verdict) -> Self {
        Self { verdict, method: ParseMethod::Strict, truncated: false, degenerate: false }
    }
}

/// Reads the answer to a judgment.
pub(in crate::run) fn read(work: &Work, answer: &Answer, judge: &Judge) -> Result<Scored, Box<Failure>> {
    match work {
        Work::Chat(request) => {
            let scored = scored(answer, judge.expected(&request.user), request.sampling.max_rationale_chars)?;
            if !request.sampling.logprobs {
                return Ok(scored);
            }
            let verdict = weighed(scored.verdict, &judge.verdict, &answer.content, answer.logprobs.as_deref());
            Ok(Scored { verdict, ..scored })
        }
        Work::Program(_) => of_program(&answer.content, judge),
        Work::Computed(verdict) => Ok(Scored::exact(verdict.clone())),
    }
}

/// Reads the line of a program. Asked again, it would say the same.
fn of_program(line: &str, judge: &Judge) -> Result<Scored, Box<Failure>> {
    let failure = |code, message: &str| Failure { retryable: Some(false), ..Failure::new(code, message) }.into();
    match ProgramAnswer::read(line) {
        Ok(ProgramAnswer::Verdict(verdict)) => match judge.verdict.check(&verdict.value) {
            Ok(value) => Ok(Scored::exact(Verdict { value, ..verdict })),
            Err(error) => Err(failure(ErrorCode::OutOfRange, &error.to_string())),
        },
        Ok(ProgramAnswer::Failure(words)) => Err(failure(ErrorCode::ProgramError, &words)),
        Err(reason) => Err(failure(ErrorCode::ProgramMalformed, &format!("the answer cannot be used: {reason}"))),
    }
}

/// Whether a failure concerns only one verdict: the same answer may have others.
pub(in crate::run) fn is_about_content(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::UnparseableVerdict | ErrorCode::OutOfRange)
}

/// Whether an answer breaks off inside its JSON object.
pub(in crate::run) fn breaks_off(text: &str) -> bool {
    let Some(start) = text.find('{') else { return false };
    let (mut depth, mut in_string, mut is_escaped) = (0_u32, false, false);
    for c in text[start..].chars() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if in_string => is_escaped = true,
            '"' => in_string = !in_string,
            '{' if !in_string => depth += 1,
            '}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    depth > 0
}

fn is_degenerate(rationale: &str, max_chars: u32) -> bool {
    // There are never more characters than bytes.
    let max_chars = max_chars as usize;
    (rationale.len() >= max_chars && rationale.chars().count() >= max_chars) || has_periodic_tail(rationale)
}

/// Reads the verdict out of an answer.
fn scored(answer: &Answer, expected: Expected<'_>, max_rationale_chars: u32) -> Result<Scored, Box<Failure>> {
    let truncated = answer.finish() == Finish::Cut;
    if let Some(failure) = answer.withheld().or_else(|| answer.without_text()) {
        return Err(failure.into());
    }
    match parse_verdict(&answer.content, expected) {
        Ok(Parsed { verdict, method }) => {
            // The rationale that code makes of a list of claims is as long as the list.
            let max_chars = if let AnswerForm::Claims(_) = expected.form { u32::MAX } else { max_rationale_chars };
            let degenerate = verdict.rationale.as_deref().is_some_and(|text| is_degenerate(text, max_chars));
            Ok(Scored { verdict, method, truncated, degenerate })
        }
        Err(error) if truncated => {
            let message = format!("the answer ended at the output limit without a verdict: {error}");
            Err(Failure::new(ErrorCode::TruncatedResponse, &message).into())
        }
        Err(error) => Err(Failure::new(error.code(), &error.to_string()).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::verdict::VerdictType;

    fn code(content: &str, finish: &str, refusal: Option<&str>) -> Result<serde_json::Value, ErrorCode> {
        let answer = Answer {
            content: content.into(),
            finish_reason: Some(finish.into()),
            refusal: refusal.map(Into::into),
            ..Answer::default()
        };
        let verdict = VerdictType::Number { min: Some(0.0), max: Some(1.0) };
        let scored = scored(&answer, (&verdict).into(), 1200);
        scored.map(|scored| scored.verdict.value).map_err(|failure| failure.code)
    }

    #[test]
    fn every_way_not_to_answer_has_its_code() {
        let good = r#"{"rationale":"r","value":0.5}"#;
        assert_eq!(code(good, "stop", None), Ok(0.5.into()));
        assert_eq!(code(good, "length", None), Ok(0.5.into()));
        assert_eq!(code(good, "stop", Some("I can't")), Err(ErrorCode::Refused));
        assert_eq!(code(good, "content_filter", None), Err(ErrorCode::ContentFiltered));
        assert_eq!(code(" \n", "stop", None), Err(ErrorCode::EmptyResponse));
        assert_eq!(code("", "length", None), Err(ErrorCode::TruncatedResponse));
        assert_eq!(code(r#"{"rationale":"so lon"#, "length", None), Err(ErrorCode::TruncatedResponse));
        assert_eq!(code("I would rather not say.", "stop", None), Err(ErrorCode::UnparseableVerdict));
        assert_eq!(code(r#"{"rationale":"r","value":7}"#, "stop", None), Err(ErrorCode::OutOfRange));
    }

    #[test]
    fn a_rationale_that_loops_or_fills_its_room_is_marked() {
        assert!(!is_degenerate("Two of three claims agree.", 30));
        assert!(is_degenerate(&"ä".repeat(30), 30) && !is_degenerate(&"ä".repeat(29), 30));
        let looping = "I am a judge, ".repeat(40);
        assert!(is_degenerate(&looping, 1200) && !is_degenerate(&looping[..200], 1200));
    }

    #[test]
    fn an_answer_that_breaks_off_is_known_by_its_braces() {
        for cut in [
            r#"{"rationale": "ok", "va"#,
            r#"Here it is: {"rationale": "a } in a string, and a quote \" in it"#,
            r#"{"rationale": "a backslash at its end \\", "value": "#,
            r#"```json
{"rationale": "so", "value": {"#,
        ] {
            assert!(breaks_off(cut), "{cut}");
        }
        for whole in
            ["", "I would rather not say.", r#"{"rationale": "a { in a string", "x": 1}"#, "}{}", r#"{"a":"\\"}"#]
        {
            assert!(!breaks_off(whole), "{whole}");
        }
    }
}
