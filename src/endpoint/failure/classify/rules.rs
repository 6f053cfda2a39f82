//! The table: which status and which words mean which failure.
//!
//! The first matching rule applies, and the body takes precedence over the status: a 429 may be a rate, a quota that is used
//! up for good, a request that can never pass, or too many requests at the same time. A bare number such as "429" is
//! never looked for in words: prompts echo numbers.

use std::ops::RangeInclusive;

use crate::endpoint::Rejected;
use crate::endpoint::failure::classify::{rejected, room};
use crate::endpoint::failure::error_body::ErrorBody;
use crate::feedback::ErrorCode;
use crate::feedback::ErrorCode::*;
use crate::feedback::Pause;

/// One row of the table.
pub(crate) struct Rule {
    statuses: Statuses,
    test: Test,
    /// The failure's name.
    pub(crate) code: ErrorCode,
    /// Overrides the code's own policy, as in [`crate::endpoint::Failure`].
    pub(crate) retryable: Option<bool>,
    /// Overrides the code's own policy, as in [`crate::endpoint::Failure`].
    pub(crate) pause: Option<Pause>,
    /// Ends the run on this endpoint.
    pub(crate) fatal: bool,
    /// Fewer requests at the same time help.
    pub(crate) concurrency_limit: bool,
    /// The header `x-should-retry` does not count.
    pub(crate) ignores_header: bool,
    /// The part of the request that the endpoint does not accept.
    pub(crate) rejected: fn(&ErrorBody) -> Option<Rejected>,
}

type Statuses = &'static [RangeInclusive<u16>];

/// What a rule looks for in the body.
enum Test {
    /// Nothing: the status is enough.
    Always,
    /// One of these, in lower case, anywhere; a `*` is a short gap.
    Says(&'static [&'static str]),
    /// Something that needs more than a text search.
    Is(fn(&ErrorBody) -> bool),
}

use Test::{Always, Is, Says};

const ANY: Statuses = &[0..=u16::MAX];
const REDIRECT: Statuses = &[300..=399];
const CLIENT: Statuses = &[400..=499];
const ANY_ERROR: Statuses = &[400..=u16::MAX];
const BAD_REQUEST: Statuses = &[400..=400, 422..=422];
/// Some servers fail internally over a part of a request.
const REQUEST_AT_FAULT: Statuses = &[400..=400, 422..=422, 500..=500];

/// The first rule for this status and body.
pub(crate) fn find(status: u16, body: &ErrorBody) -> &'static Rule {
    let fits = |rule: &&Rule| {
        rule.statuses.iter().any(|range| range.contains(&status))
            && match rule.test {
                Always => true,
                Says(needles) => body.says(needles),
                Is(test) => test(body),
            }
    };
    RULES.iter().find(fits).unwrap_or(&OTHERWISE)
}

/// The table itself.
pub(crate) static RULES: &[Rule] = &[
    // OpenRouter's only 402 that is temporary.
    rule(&[402..=402], Says(&["in_flight_budget_exhausted"]), RateLimitExceeded).ignores_header(),
    rule(ANY, Is(names_a_used_up_quota), InsufficientQuota).fatal().ignores_header(),
    rule(&[401..=403, 429..=429, 500..=599], Is(quota_is_used_up), InsufficientQuota).ignores_header(),
    rule(BAD_REQUEST, Says(USED_UP_IN_WORDS), InsufficientQuota).ignores_header(),
    rule(&[402..=402], Always, InsufficientQuota).ignores_header(),
    rule(&[407..=407], Always, ConnectionError).never().fatal(),
    rule(&[429..=429], Is(limit_is_zero), PermissionDenied).fatal().ignores_header(),
    rule(&[429..=429, 413..=413], Is(can_never_pass), RequestTooLarge).ignores_header(),
    // The prompt fits; the room for the answer does not.
    rule(ANY_ERROR, Is(leaves_room), RequestTooLarge).rejects(|body| room::room_left(body).map(Rejected::Room)),
    rule(ANY_ERROR, Is(context_is_too_long), ContextLengthExceeded),
    rule(BAD_REQUEST, Says(&["could not finish the message because max_tokens"]), TruncatedResponse),
    rule(BAD_REQUEST, Is(room::output_limit_is_too_large), UnsupportedParameter)
        .rejects(|body| Some(rejected::output_limit(body))),
    rule(CLIENT, Says(CONTENT_FILTER), ContentFiltered),
    rule(REQUEST_AT_FAULT, Is(rejects_a_broken_answer), UnparseableVerdict),
    rule(REQUEST_AT_FAULT, Says(rejected::SCHEMA_BOUNDS), UnsupportedParameter)
        .rejects(|_| Some(Rejected::SchemaBounds)),
    rule(REQUEST_AT_FAULT, Says(rejected::RESPONSE_FORMAT), UnsupportedParameter)
        .rejects(|_| Some(Rejected::ResponseFormat)),
    rule(REQUEST_AT_FAULT, Is(rejected::rejects_the_system_role), UnsupportedParameter)
        .rejects(|_| Some(Rejected::SystemRole)),
    rule(REQUEST_AT_FAULT, Says(rejected::WHOLE_ANSWER), UnsupportedParameter).rejects(|_| Some(Rejected::WholeAnswer)),
    rule(BAD_REQUEST, Is(rejected::rejects_thinking), UnsupportedParameter)
        .rejects(|_| Some(Rejected::Parameter("reasoning_effort".to_owned()))),
    rule(BAD_REQUEST, Is(|body| rejected::switch(body).is_some()), UnsupportedParameter).rejects(rejected::switch),
    rule(BAD_REQUEST, Is(rejected::rejects_a_parameter), UnsupportedParameter)
        .rejects(|body| Some(rejected::blamed_parameter(body))),
    rule(&[401..=401], Always, AuthenticationError),
    rule(&[400..=400, 403..=403], Says(BAD_KEY), AuthenticationError),
    // Together's way to say that prompt and answer are too long.
    rule(&[403..=403], Says(&["input token count*max_tokens"]), ContextLengthExceeded),
    rule(&[403..=403], Says(&["\nreasons: ", "flagged", "requires moderation"]), ContentFiltered),
    rule(&[403..=403], Says(&["quota"]), InsufficientQuota),
    // A router found providers, but none that the account's settings allow.
    rule(&[400..=400, 403..=404], Says(NOT_ALLOWED), PermissionDenied),
    rule(&[403..=403], Always, PermissionDenied),
    rule(
        &[400..=400, 404..=404],
        Says(&["no endpoints found that", "no endpoints available that"]),
        UnsupportedParameter,
    )
    .rejects(|_| Some(Rejected::Unexplained)),
    rule(&[404..=404, 400..=400], Says(UNKNOWN_MODEL), ModelNotFound),
    // LM Studio answers a wrong path with status 200 and these words.
    rule(ANY, Says(&["unexpected endpoint or method"]), NotFound),
    rule(&[404..=405], Always, NotFound),
    rule(&[408..=408], Always, Timeout),
    rule(&[409..=409], Always, ServerError),
    rule(&[413..=413], Always, RequestTooLarge),
    rule(&[429..=429], Says(&["parallel", "concurren"]), RateLimitExceeded).concurrency_limit(),
    rule(&[429..=429], Says(&["resource_unavailable", "capacity", "overloaded", "high demand"]), Overloaded),
    // It will not pass within this run, and every further request would be one more refusal.
    rule(&[429..=429], Says(DAILY), RateLimitExceeded).never().fatal().ignores_header(),
    rule(&[429..=429], Always, RateLimitExceeded),
    // Asking again does not load a model that does not fit.
    rule(&[500..=u16::MAX], Says(DOES_NOT_FIT), ServerError).never().fatal(),
    rule(&[498..=498, 503..=503, 529..=529], Always, Overloaded),
    rule(&[499..=499], Always, Timeout),
    rule(&[501..=501], Is(|body| body.is_json), UnsupportedParameter),
    // A file server that does not support POST ("Unsupported method").
    rule(&[501..=501], Always, NotFound),
    rule(&[504..=504, 524..=524], Always, Timeout),
    rule(&[500..=u16::MAX], Says(&["overloaded"]), Overloaded),
    rule(&[500..=u16::MAX], Says(&["rate limit", "rate_limit", "too many requests"]), RateLimitExceeded),
    rule(&[500..=u16::MAX], Always, ServerError),
    rule(BAD_REQUEST, Always, InvalidRequest).rejects(|_| Some(Rejected::Unexplained)),
    rule(REDIRECT, Always, NotFound),
    rule(CLIENT, Always, InvalidRequest),
];

/// For statuses below 300 that are not answers.
static OTHERWISE: Rule = rule(ANY, Always, MalformedResponse);

/// A content network demands a browser. It admits requests again after a while.
pub(crate) static CHALLENGE: Rule = rule(ANY, Always, Overloaded);

const CONTENT_FILTER: &[&str] = &[
    "content_filter",
    "content_policy_violation",
    "responsibleaipolicyviolation",
    "contentpolicyviolationerror",
    "invalid_prompt",
    "cyber_policy",
    "bio_policy",
    "safety system",
    "content management policy",
    "usage policy",
    "violating our",
    "safety_check",
    "prohibited_content",
    "content policy",
    "data_inspection_failed",
    "inappropriate content",
    "guardrail_intervened",
    "guardrail intervened",
    "blocked by guardrail",
];

const BAD_KEY: &[&str] = &[
    "invalid_api_key",
    "authentication_error",
    "auth_error",
    "no_db_connection",
    "invalid api key",
    "api key not valid",
];

const UNKNOWN_MODEL: &[&str] = &[
    "model_not_found",
    "deploymentnotfound",
    "model*not found",
    "model*does not exist",
    "invalid model name",
    "try pulling it first",
    // Anthropic's whole message is the model's name.
    "not_found_error*message: model: ",
    // Mistral, DeepSeek, OpenRouter, Groq
    "invalid_model",
    "model not exist",
    "model*is not available",
    "model*isn't available",
    "model*not supported by any provider",
    "unknown model",
    "no such model",
    "is not a chat model",
    "model_not_supported",
    "is not a valid model id",
    "no endpoints found for",
    "model_decommissioned",
];

/// Of a router: settings for privacy and the like leave no provider.
const NOT_ALLOWED: &[&str] = &[
    "data policy",
    "privacy settings",
    "settings/privacy",
    "guardrail restrictions",
    "guardrail settings",
    "no allowed providers",
    "all providers have been ignored",
];

/// The server cannot load the model.
const DOES_NOT_FIT: &[&str] = &[
    "requires more system memory",
    "requires more memory",
    "requires more gpu memory",
    "requires more vram",
    "insufficient system resources",
    "not enough memory to load",
    "unable to load model",
    "failed to load model",
    "error loading model",
];

const DAILY: &[&str] = &[
    "per day",
    "per-day",
    "per_day",
    "perday",
    "byday",
    "per 86400",
    "per 24 h",
    "(rpd)",
    "(tpd)",
    "daily limit",
    "daily quota",
    "daily rate limit",
];

const USED_UP: &[&str] = &[
    "insufficient_quota",
    "credit_balance_exhausted",
    "_spend_limit_exceeded",
    "_usage_limit_exceeded",
    "billing_error",
    "billing_hard_limit_reached",
    "enforced_spend_limit_reached",
    "payment_required",
    "insufficient balance",
    "credit balance is too low",
    "budget has been exceeded",
    "budget_exceeded",
];

/// If requests are refused for their content, messages echo the request, so only whole sentences count.
const USED_UP_IN_WORDS: &[&str] =
    &["insufficient balance", "credit balance is too low", "budget has been exceeded", "exceeded your current quota"];

/// As a code or a type: whatever the status. In prose it counts only with a matching status, because messages echo the request.
fn names_a_used_up_quota(body: &ErrorBody) -> bool {
    [&body.code, &body.kind, &body.status].into_iter().flatten().any(|name| {
        let name = name.to_ascii_lowercase();
        USED_UP.iter().any(|needle| name.contains(needle))
    })
}

fn quota_is_used_up(body: &ErrorBody) -> bool {
    // Google says "exceeded your current quota" about a minute's quota as well.
    body.says(USED_UP)
        || body.says(&["exceeded your current quota"])
            && !body.says(&["resource_exhausted", "quota exceeded for metric"])
}

/// Google's way to say that the account has no access to the model: a limit of zero.
fn limit_is_zero(body: &ErrorBody) -> bool {
    numbers_after(&body.haystack, "limit: ").any(|limit| limit == 0.0)
}

/// The request alone is larger than the limit: "Limit 30000, Requested 44000".
fn can_never_pass(body: &ErrorBody) -> bool {
    let first = |words| numbers_after(&body.haystack, words).next();
    body.says(&["request too large"])
        || first("limit ")
            .or_else(|| first("limit: "))
            .zip(first("requested "))
            .is_some_and(|(limit, asked)| asked > limit)
}

fn leaves_room(body: &ErrorBody) -> bool {
    context_is_too_long(body) && room::room_left(body).is_some()
}

fn context_is_too_long(body: &ErrorBody) -> bool {
    const OVERFLOW: &[&str] = &[
        "context_length_exceeded",
        "exceed_context_size_error",
        "contextwindowexceedederror",
        "maximum context length",
        "exceeds the context window",
        "exceeds the available context size",
        "longer than the model's context length",
        "prompt is too long",
        "input is too long",
        "input too large",
        "input_too_large",
        "exceeds the maximum number of tokens allowed",
        "exceeded model token limit",
        "maximum input length is",
        "`inputs` tokens + `max_new_tokens`",
        "current length is*while limit is",
        "greater than the context length",
        "reduce the length",
        "exceed context limit",
        "too large for model with*context length",
        "max_tokens must be at least 1",
    ];
    // A single string or user name that is too long has nothing to do with tokens.
    body.says(OVERFLOW) && !body.says(&["string_above_max_length", "invalid 'user'"])
}

/// Groq checks the answer itself and refuses it: the model broke the format, not judge-run.
fn rejects_a_broken_answer(body: &ErrorBody) -> bool {
    body.has_code("json_validate_failed")
}

/// The numbers that follow these words; `,` may group their digits.
fn numbers_after<'a>(text: &'a str, words: &'a str) -> impl Iterator<Item = f64> + 'a {
    text.match_indices(words).filter_map(move |(at, _)| {
        let rest = &text[at + words.len()..];
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ',').unwrap_or(rest.len());
        rest[..end].replace(',', "").trim_end_matches('.').parse().ok()
    })
}

const fn rule(statuses: Statuses, test: Test, code: ErrorCode) -> Rule {
    Rule {
        statuses,
        test,
        code,
        retryable: None,
        pause: None,
        fatal: false,
        concurrency_limit: false,
        ignores_header: false,
        rejected: |_| None,
    }
}

impl Rule {
    const fn never(mut self) -> Self {
        self.retryable = Some(false);
        self
    }

    const fn fatal(mut self) -> Self {
        self.fatal = true;
        self
    }

    const fn ignores_header(mut self) -> Self {
        self.ignores_header = true;
        self
    }

    const fn concurrency_limit(mut self) -> Self {
        self.concurrency_limit = true;
        self
    }

    /// Only the request is at fault: no reason for others to wait.
    const fn rejects(mut self, rejected: fn(&ErrorBody) -> Option<Rejected>) -> Self {
        self.rejected = rejected;
        self.pause = Some(Pause::Request);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_behind_their_words_however_their_digits_are_grouped() {
        let numbers = |text| numbers_after(text, "limit: ").collect::<Vec<_>>();
        assert_eq!(numbers("limit: 30,000, requested 44,000; limit: 1.5."), [30_000.0, 1.5]);
        assert_eq!(numbers("limit: none, limit: 0"), [0.0]);
    }
}
