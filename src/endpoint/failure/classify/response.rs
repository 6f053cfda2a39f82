//! Responses that are not answers.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::{AsHeaderName, HeaderMap, HeaderName, LOCATION};

use crate::endpoint::Failure;
use crate::endpoint::failure::classify::rules::{self, Rule};
use crate::endpoint::failure::error_body::ErrorBody;
use crate::endpoint::failure::failure::detail;
use crate::endpoint::failure::wait;
use crate::feedback::{ErrorCode, Pause};

/// Where providers put the request's id; Cloudflare's comes after the body's own.
static REQUEST_ID_HEADERS: [HeaderName; 4] = [
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("request-id"),
    HeaderName::from_static("x-ms-request-id"),
    HeaderName::from_static("apim-request-id"),
];

/// Why an answer has no choices, if the provider's filter is the reason.
const BLOCKED: &[&str] = &["prohibited_content", "blockreason", "block_reason", "blocklist"];

/// Bytes of a body to use as the message when it has none.
const EXCERPT: usize = 4096;

/// LiteLLM appends what it knows about its routing to the provider's message.
const LITELLM_SUFFIXES: &[&str] = &["\nmodel=", ". Received Model Group="];

/// What content networks answer instead of the endpoint to anything but a browser: headers with their values, and titles and words
/// of pages, lower-cased.
const CHALLENGE_HEADERS: &[(&str, &str)] = &[
    ("cf-mitigated", "challenge"),
    ("x-vercel-mitigated", "challenge"),
    ("x-amzn-waf-action", "challenge"),
    ("x-amzn-waf-action", "captcha"),
];
const CHALLENGE_WORDS: &[&str] =
    &["just a moment...", "checking your browser", "enable javascript and cookies to continue", "verify you are human"];

/// The meaning of a status that an error with status 200 gives as a word.
const STATUS_OF_WORD: &[(&str, u16)] = &[
    ("rate_limit", 429),
    ("resource_exhausted", 429),
    ("throttl", 429),
    ("overloaded", 529),
    ("unavailable", 503),
    ("timeout", 504),
    ("deadline_exceeded", 504),
    ("auth", 401),
    ("permission", 403),
    ("not_found", 404),
    ("invalid_argument", 400),
    ("invalid_request", 400),
    ("badrequest", 400),
];

/// Classifies a response that is not an answer: any status but 2xx, or a 2xx whose body is not a chat completion with
/// choices.
///
/// `now` is the time with which points in time are compared. The key may be echoed: body and headers come without it.
pub fn classify_response(status: u16, headers: &HeaderMap, body: &[u8], now: SystemTime) -> Failure {
    let bytes = body.trim_ascii();
    let excerpt = String::from_utf8_lossy(&bytes[..bytes.len().min(EXCERPT)]);
    let body = ErrorBody::read(bytes, now);
    let is_success = (200..300).contains(&status);
    let rule = if is_challenge(headers, &body) {
        Some(&rules::CHALLENGE)
    } else if is_success && !body.is_error {
        None
    } else {
        Some(rules::find(if is_success { claimed_status(&body) } else { status }, &body))
    };
    let mut failure = match rule {
        Some(rule) => from_rule(rule, &words(status, headers, &body, &excerpt), headers, &body),
        None => no_completion(&body, &excerpt),
    };
    failure.http_status = Some(status);
    failure.causes.extend(body.wrapper.as_deref().map(detail));
    failure.request_id = request_id(headers, &body);
    failure.retry_after = wait(&failure, headers, &body, now);
    failure.provider_code = body.code;
    failure.provider_type = body.kind.or(body.status);
    failure
}

/// The wait that a response asks for: headers before members of the body before words. When a window ends counts only for what is
/// refused for its load.
fn wait(failure: &Failure, headers: &HeaderMap, body: &ErrorBody, now: SystemTime) -> Option<Duration> {
    let until_reset = || {
        let for_load = failure.may_retry() && failure.pause_scope() == Pause::Endpoint;
        body.until_reset.or_else(|| wait::until_reset_in_headers(headers, now)).filter(|_| for_load)
    };
    wait::in_headers(headers, now)
        .or(body.retry_delay)
        .or_else(|| wait::in_words(&body.haystack, now))
        .or_else(until_reset)
}

fn is_challenge(headers: &HeaderMap, body: &ErrorBody) -> bool {
    let has = |(name, value): &(&str, &str)| headers.get(*name).is_some_and(|found| found == value);
    CHALLENGE_HEADERS.iter().any(has) || !body.is_json && body.says(CHALLENGE_WORDS)
}

fn from_rule(rule: &Rule, words: &str, headers: &HeaderMap, body: &ErrorBody) -> Failure {
    let mut failure = Failure::new(rule.code, words);
    failure.retryable = rule.retryable;
    failure.pause = rule.pause;
    failure.fatal = rule.fatal;
    failure.concurrency_limit = rule.concurrency_limit;
    failure.rejected = (rule.rejected)(body);
    if !rule.ignores_header {
        failure.retryable = should_retry(headers).or(failure.retryable);
    }
    failure
}

/// A 2xx that does not say that it is an error: an empty list of choices (OpenRouter, while a model warms up), or no
/// completion at all.
fn no_completion(body: &ErrorBody, excerpt: &str) -> Failure {
    if body.has_choices {
        return match BLOCKED.iter().find(|word| body.says(&[word])) {
            Some(word) => Failure::new(ErrorCode::ContentFiltered, &format!("the answer has no choices ({word})")),
            None => Failure::new(ErrorCode::EmptyResponse, "the answer has no choices"),
        };
    }
    let problem = match &body.message {
        _ if excerpt.is_empty() => "the answer is empty".to_owned(),
        _ if body.is_json => format!("the answer is JSON, but not a chat completion: {excerpt}"),
        words => format!("the answer is not JSON: {}", words.as_deref().unwrap_or(excerpt)),
    };
    Failure::new(ErrorCode::MalformedResponse, &problem)
}

/// The status that an error with status 200 would have had; 500 if it does not say.
fn claimed_status(body: &ErrorBody) -> u16 {
    let words = [&body.code, &body.status, &body.kind];
    let number = words.iter().find_map(|word| word.as_ref()?.parse().ok().filter(|status| (400..600).contains(status)));
    number.unwrap_or_else(|| {
        let words = words.map(|word| word.as_deref().unwrap_or_default().to_ascii_lowercase());
        let word = STATUS_OF_WORD.iter().find(|(part, _)| words.iter().any(|word| word.contains(part)));
        word.map_or(500, |&(_, status)| status)
    })
}

/// The provider's message; failing that, the body itself or the name of the status.
fn words<'a>(status: u16, headers: &HeaderMap, body: &'a ErrorBody, excerpt: &'a str) -> Cow<'a, str> {
    if (300..400).contains(&status)
        && let Some(target) = headers.get(LOCATION).and_then(|location| location.to_str().ok())
    {
        // What follows the path may be a secret.
        return format!("redirect to {}", target.split(['?', '#']).next().unwrap_or_default()).into();
    }
    let words = body.message.as_deref().unwrap_or(excerpt);
    let end = LITELLM_SUFFIXES.iter().filter_map(|suffix| words.find(suffix)).min().unwrap_or(words.len());
    match words[..end].trim() {
        "" => {
            let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
            format!("{}, without an explanation", reason.unwrap_or("unknown status")).into()
        }
        words => words.into(),
    }
}

fn should_retry(headers: &HeaderMap) -> Option<bool> {
    headers.get("x-should-retry")?.to_str().ok()?.trim().parse().ok()
}

fn request_id(headers: &HeaderMap, body: &ErrorBody) -> Option<String> {
    request_id_header(headers).or_else(|| body.request_id.clone()).or_else(|| header(headers, "cf-ray"))
}

/// The provider's id of the request, from whichever header it uses.
pub(crate) fn request_id_header(headers: &HeaderMap) -> Option<String> {
    REQUEST_ID_HEADERS.iter().find_map(|name| header(headers, name))
}

fn header(headers: &HeaderMap, name: impl AsHeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().filter(|id| !id.is_empty()).map(detail)
}

#[cfg(test)]
mod tests;
