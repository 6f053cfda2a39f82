//! The table: which status and which words mean which failure.
//!
//! The first rule that fits holds, and the body speaks before the status: a 429 may be a rate, a quota that is used
//! up for good, a request that can never pass, or too many requests at the same time. A bare number such as "429" is
//! never looked for in words: prompts echo numbers.

use std::ops::RangeInclusive;

use crate::endpoint::Rejected;
use crate::endpoint::failure::error_body::ErrorBody;
use crate::feedback::ErrorCode;
use crate::feedback::ErrorCode::*;
use crate::feedback::Pause;

/// One row of the table.
pub(crate) struct Rule {
    /// Its number; not its place.
    pub(crate) row: u8,
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
    /// The header `x-should-retry` has no say.
    pub(crate) deaf: bool,
    /// The part of the request that the endpoint does not take.
    pub(crate) rejected: fn(&ErrorBody) -> Option<Rejected>,
}

type Statuses = &'static [RangeInclusive<u16>];

/// What a rule looks for in the body.
enum Test {
    /// Nothing: the status is enough.
    Always,
    /// One of these, in lower case, anywhere; a `*` is a short gap.
    Says(&'static [&'static str]),
    /// Something that takes more than a look.
    Is(fn(&ErrorBody) -> bool),
}

use Test::{Always, Is, Says};

const ANY: Statuses = &[0..=u16::MAX];
const REDIRECT: Statuses = &[300..=399];
const CLIENT: Statuses = &[400..=499];
const ANY_ERROR: Statuses = &[400..=u16::MAX];
const BAD_REQUEST: Statuses = &[400..=400, 422..=422];

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
    // Before 12: OpenRouter's only 402 that passes by itself.
    rule(13, &[402..=402], Says(&["in_flight_budget_exhausted"]), RateLimitExceeded).deaf(),
    rule(12, ANY, Is(names_a_used_up_quota), InsufficientQuota).fatal().deaf(),
    rule(12, &[400..=403, 429..=429, 500..=599], Is(quota_is_used_up), InsufficientQuota).deaf(),
    rule(14, &[402..=402], Always, InsufficientQuota).deaf(),
    rule(15, &[429..=429], Is(limit_is_zero), PermissionDenied).fatal().deaf(),
    rule(16, &[429..=429, 413..=413], Is(can_never_pass), RequestTooLarge).deaf(),
    rule(17, ANY_ERROR, Is(context_is_too_long), ContextLengthExceeded),
    rule(18, CLIENT, Says(CONTENT_FILTER), ContentFiltered),
    rule(19, &[400..=400, 422..=422, 500..=500], Is(rejects_a_broken_answer), UnparseableVerdict),
    rule(19, &[400..=400, 422..=422, 500..=500], Says(RESPONSE_FORMAT), UnsupportedParameter).rejects(response_format),
    rule(20, &[400..=400, 422..=422, 500..=500], Says(SYSTEM_ROLE), UnsupportedParameter)
        .rejects(|_| Some(Rejected::SystemRole)),
    rule(20, BAD_REQUEST, Is(rejects_a_parameter), UnsupportedParameter).rejects(parameter),
    rule(21, &[401..=401], Always, AuthenticationError),
    rule(22, &[400..=400, 403..=403], Says(BAD_KEY), AuthenticationError),
    rule(23, &[403..=403], Says(&["input token count*max_tokens"]), ContextLengthExceeded),
    rule(24, &[403..=403], Says(&["\nreasons: ", "flagged", "requires moderation"]), ContentFiltered),
    rule(25, &[403..=403], Says(&["quota"]), InsufficientQuota),
    rule(26, &[403..=403], Always, PermissionDenied),
    rule(27, &[404..=404, 400..=400], Says(UNKNOWN_MODEL), ModelNotFound),
    // LM Studio answers a wrong path with 200 and these words.
    rule(28, ANY, Says(&["unexpected endpoint or method"]), NotFound),
    rule(28, &[404..=405], Always, NotFound),
    rule(29, &[408..=408], Always, Timeout),
    rule(30, &[409..=409], Always, ServerError),
    rule(31, &[413..=413], Always, RequestTooLarge),
    rule(32, &[429..=429], Says(&["parallel", "concurren"]), RateLimitExceeded).concurrency_limit(),
    rule(33, &[429..=429], Says(&["resource_unavailable", "capacity", "overloaded", "high demand"]), Overloaded),
    // It will not pass within this run, and every further request would be one more refusal.
    rule(34, &[429..=429], Says(DAILY), RateLimitExceeded).never().fatal().deaf(),
    rule(35, &[429..=429], Always, RateLimitExceeded),
    rule(36, &[498..=498, 503..=503, 529..=529], Always, Overloaded),
    rule(37, &[499..=499], Always, Timeout),
    rule(38, &[501..=501], Is(|body| body.is_json), UnsupportedParameter),
    // A file server that knows no POST ("Unsupported method").
    rule(38, &[501..=501], Always, NotFound),
    rule(39, &[504..=504, 524..=524], Always, Timeout),
    rule(40, &[500..=u16::MAX], Says(&["overloaded"]), Overloaded),
    rule(40, &[500..=u16::MAX], Says(&["rate limit", "rate_limit", "too many requests"]), RateLimitExceeded),
    rule(40, &[500..=u16::MAX], Always, ServerError),
    rule(41, BAD_REQUEST, Always, InvalidRequest),
    rule(42, REDIRECT, Always, NotFound),
    rule(43, CLIENT, Always, InvalidRequest),
];

/// For statuses below 300 that are no answer.
static OTHERWISE: Rule = rule(9, ANY, Always, MalformedResponse);

/// Chat templates such as Gemma's know no instructions of their own.
const SYSTEM_ROLE: &[&str] =
    &["system role not supported", "system role is not supported", "only user and assistant roles"];

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
];

const RESPONSE_FORMAT: &[&str] = &[
    "response_format",
    "json_schema",
    "json_object",
    "structured output",
    "output_config",
    "guided_json",
    "grammar",
    "invalid schema",
    "schema error",
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
    "is not a valid model id",
    "no endpoints found for",
    "model_decommissioned",
];

const DAILY: &[&str] = &["per day", "per-day", "per_day", "perday", "(rpd)", "(tpd)", "daily limit", "daily quota"];

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

/// As a code or a type: whatever the status. In words it counts only with a status that fits, because messages echo what was asked.
fn names_a_used_up_quota(body: &ErrorBody) -> bool {
    [&body.code, &body.kind, &body.status].into_iter().flatten().any(|name| {
        let name = name.to_ascii_lowercase();
        USED_UP.iter().any(|needle| name.contains(needle))
    })
}

fn quota_is_used_up(body: &ErrorBody) -> bool {
    // Google says "exceeded your current quota" of a minute's quota as well.
    body.says(USED_UP)
        || body.says(&["exceeded your current quota"])
            && !body.says(&["resource_exhausted", "quota exceeded for metric"])
}

/// Google's way to say that the account has no access to the model: a limit of nought.
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
        "max_tokens must be at least 1",
    ];
    // A single string or user name that is too long has nothing to do with tokens.
    body.says(OVERFLOW) && !body.says(&["string_above_max_length", "invalid 'user'"])
}

/// Groq checks the answer itself and refuses it: the model broke the format, not we.
fn rejects_a_broken_answer(body: &ErrorBody) -> bool {
    body.has_code("json_validate_failed")
}

fn rejects_a_parameter(body: &ErrorBody) -> bool {
    const OUTRIGHT: &[&str] = &[
        "unsupported_parameter",
        "unsupported_value",
        "unknown_parameter",
        "unsupported parameter",
        "unrecognized request argument",
        "extra inputs are not permitted",
    ];
    body.says(OUTRIGHT)
        || body.says(&["does not support", "not supported"])
            && own_parameter(body.message.as_deref().unwrap_or_default()).is_some()
}

fn response_format(_: &ErrorBody) -> Option<Rejected> {
    Some(Rejected::ResponseFormat)
}

fn parameter(body: &ErrorBody) -> Option<Rejected> {
    let blamed = body.param.as_deref().or_else(|| own_parameter(body.message.as_deref()?));
    blamed.map(|name| Rejected::Parameter(name.to_owned()))
}

/// The first parameter that a message names, among those that a chat request of ours may hold.
fn own_parameter(message: &str) -> Option<&str> {
    const OURS: &[&str] = &[
        "frequency_penalty",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "n",
        "presence_penalty",
        "prompt_cache_key",
        "reasoning_effort",
        "seed",
        "service_tier",
        "stop",
        "temperature",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
    ];
    message.split(|c: char| !c.is_alphanumeric() && c != '_').find(|word| OURS.contains(word))
}

/// The numbers that follow these words; `,` may group their digits.
fn numbers_after<'a>(text: &'a str, words: &'a str) -> impl Iterator<Item = f64> + 'a {
    text.match_indices(words).filter_map(move |(at, _)| {
        let rest = &text[at + words.len()..];
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ',').unwrap_or(rest.len());
        rest[..end].replace(',', "").trim_end_matches('.').parse().ok()
    })
}

const fn rule(row: u8, statuses: Statuses, test: Test, code: ErrorCode) -> Rule {
    Rule {
        row,
        statuses,
        test,
        code,
        retryable: None,
        pause: None,
        fatal: false,
        concurrency_limit: false,
        deaf: false,
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

    const fn deaf(mut self) -> Self {
        self.deaf = true;
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
