//! Reads the verdict out of an answer, however it came: over a connection or in a file.

use crate::endpoint::Failure;
use crate::endpoint::wire::answer::Answer;
use crate::endpoint::wire::chat::ChatRequest;
use crate::feedback::ErrorCode;
use crate::judge::parse::{Expected, ParseMethod, Parsed, parse_verdict};
use crate::judge::verdict::Verdict;
use crate::judge::{Judge, Work};

/// A verdict and how it was read.
#[derive(Debug)]
pub(super) struct Scored {
    pub verdict: Verdict,
    pub method: ParseMethod,
    /// The answer hit the output limit after the verdict.
    pub truncated: bool,
}

/// Reads the answer to a judgment.
pub(super) fn read(work: &Work, answer: &Answer, judge: &Judge) -> Result<Scored, Box<Failure>> {
    match work {
        Work::Chat(request) => {
            whole_prompt(request, answer)?;
            scored(answer, judge.expected(&request.user))
        }
    }
}

/// Prompts of fewer tokens fit every context that is in use.
const LONG_PROMPT: u64 = 1500;
/// No context is smaller; an endpoint that counts fewer tokens does not count at all.
const MIN_CONTEXT: u64 = 512;
/// No text takes fewer tokens than this share of a quarter of its bytes, unless it was cut.
const MIN_SHARE: f64 = 0.4;

/// Whether the endpoint read the whole prompt. Ollama silently cuts what exceeds its context; only the usage shows it.
fn whole_prompt(request: &ChatRequest, answer: &Answer) -> Result<(), Box<Failure>> {
    let estimate = request.estimated_text_tokens();
    let Some(usage) = answer.usage else { return Ok(()) };
    // Some endpoints count cached tokens apart.
    let read = usage.input_tokens.max(usage.cached_tokens);
    #[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
    let too_few = read >= MIN_CONTEXT && (read as f64) < MIN_SHARE * estimate as f64;
    if estimate < LONG_PROMPT || !too_few {
        return Ok(());
    }
    let message = format!("the endpoint read {read} tokens of a prompt of about {estimate}: it cut the rest");
    Err(Failure::new(ErrorCode::PromptTruncated, &message).into())
}

/// Reads the verdict out of an answer.
fn scored(answer: &Answer, expected: Expected<'_>) -> Result<Scored, Box<Failure>> {
    let finish = answer.finish_reason.as_deref().unwrap_or_default();
    // `length` is OpenAI's name; `max_tokens` Anthropic's and some gateways'; `model_length` Mistral's.
    let truncated = matches!(finish, "length" | "max_tokens" | "model_length");
    if let Some(refusal) = &answer.refusal {
        return Err(Failure::new(ErrorCode::Refused, refusal).into());
    }
    if finish == "content_filter" {
        let message = "the provider's content filter stopped the answer";
        return Err(Failure::new(ErrorCode::ContentFiltered, message).into());
    }
    if answer.content.trim().is_empty() {
        let failure = if truncated {
            let what = if answer.has_reasoning { "the reasoning" } else { "the answer" };
            Failure::new(ErrorCode::TruncatedResponse, &format!("{what} used up the output limit before any text came"))
        } else {
            Failure::new(ErrorCode::EmptyResponse, "the answer has no text")
        };
        return Err(failure.into());
    }
    match parse_verdict(&answer.content, expected) {
        Ok(Parsed { verdict, method }) => Ok(Scored { verdict, method, truncated }),
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
        scored(&answer, (&verdict).into()).map(|scored| scored.verdict.value).map_err(|failure| failure.code)
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
}
