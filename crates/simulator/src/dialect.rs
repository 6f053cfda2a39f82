//! How providers report their quotas: the headers of every answer, and the 429.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use jiff::Timestamp;
use serde_json::json;

use super::error::{ApiError, json as json_answer};
use super::go_duration::GoDuration;
use super::limits::{Kind, Level, Refusal};

/// The provider whose headers and refusals to imitate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Dialect {
    /// `x-ratelimit-{limit,remaining,reset}-*`, with resets as Go prints durations; `retry-after` and `retry-after-ms`.
    #[default]
    OpenAi,
    /// OpenAI's names, but requests are counted per day; `retry-after`.
    Groq,
    /// `x-ratelimit-*-minute` and the cost of each request; no resets, no wait, a flat error.
    Mistral,
    /// `anthropic-ratelimit-*` with resets in RFC 3339; `retry-after`.
    Anthropic,
    /// OpenAI's names without resets; the wait is only in the message.
    Azure,
    /// OpenAI's names without resets; `llm_provider-retry-after: 60`, whatever the wait is.
    LiteLlm,
    /// No headers, and no wait anywhere.
    None,
}

const NAMED: &[(Dialect, &str)] = &[
    (Dialect::OpenAi, "openai"),
    (Dialect::Groq, "groq"),
    (Dialect::Mistral, "mistral"),
    (Dialect::Anthropic, "anthropic"),
    (Dialect::Azure, "azure"),
    (Dialect::LiteLlm, "litellm"),
    (Dialect::None, "none"),
];

/// The names of limit, remaining and reset; an empty one is not sent.
type Names = [&'static str; 3];

/// For requests and for tokens.
const OPENAI: [Names; 2] = [
    ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"],
    ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"],
];
const WITHOUT_RESET: [Names; 2] = [[OPENAI[0][0], OPENAI[0][1], ""], [OPENAI[1][0], OPENAI[1][1], ""]];
const MISTRAL: [Names; 2] = [
    ["x-ratelimit-limit-req-minute", "x-ratelimit-remaining-req-minute", ""],
    ["x-ratelimit-limit-tokens-minute", "x-ratelimit-remaining-tokens-minute", ""],
];
const ANTHROPIC: [Names; 2] = [
    [
        "anthropic-ratelimit-requests-limit",
        "anthropic-ratelimit-requests-remaining",
        "anthropic-ratelimit-requests-reset",
    ],
    ["anthropic-ratelimit-tokens-limit", "anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"],
];

const MINUTES_A_DAY: u64 = 1440;

impl Dialect {
    /// All names, as they are read.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMED.iter().map(|(_, name)| *name)
    }

    /// Adds what an answer says about the quotas of requests and of tokens, if there are any.
    pub(super) fn write_levels(self, headers: &mut HeaderMap, levels: [Option<Level>; 2]) {
        let names = match self {
            Self::OpenAi | Self::Groq => OPENAI,
            Self::Mistral => MISTRAL,
            Self::Anthropic => ANTHROPIC,
            Self::Azure | Self::LiteLlm => WITHOUT_RESET,
            Self::None => return,
        };
        for (kind, (level, [limit, remaining, reset])) in
            [Kind::Requests, Kind::Tokens].iter().zip(levels.iter().zip(names))
        {
            let Some(level) = level else { continue };
            // The rate is the same: what is used is restored as fast, but is little of a day's worth.
            let is_daily = self == Self::Groq && *kind == Kind::Requests;
            let full = level.limit.saturating_mul(if is_daily { MINUTES_A_DAY } else { 1 });
            headers.insert(limit, full.into());
            headers.insert(remaining, full.saturating_sub(level.used).into());
            if !reset.is_empty() {
                headers.insert(reset, text(self.reset(level.reset)));
            }
        }
    }

    /// Adds what a dialect says about the tokens that an answer used.
    pub(super) fn write_cost(self, headers: &mut HeaderMap, tokens: u64) {
        if self == Self::Mistral {
            headers.insert("x-ratelimit-tokens-query-cost", tokens.into());
        }
    }

    fn reset(self, reset: Duration) -> String {
        if self != Self::Anthropic {
            return GoDuration(reset).to_string();
        }
        let at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().saturating_add(reset);
        let seconds = i64::try_from(at.as_millis().div_ceil(1000)).unwrap_or(i64::MAX);
        Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX).to_string()
    }

    /// The refusal of a request that is over the quota. What never fits has no wait.
    pub(super) fn refuse(self, refusal: &Refusal, model: &str) -> Response<Body> {
        let (status, name, message) =
            (StatusCode::TOO_MANY_REQUESTS, refusal.kind.name(), self.message(refusal, model));
        let mut response = match self {
            Self::OpenAi => ApiError::invalid(message).status(status).kind(name).code("rate_limit_exceeded").response(),
            Self::None => ApiError::invalid(message).status(status).kind("rate_limit_error").response(),
            Self::Groq => {
                let status = if refusal.later.is_some() { status } else { StatusCode::PAYLOAD_TOO_LARGE };
                let error = json!({"message": message, "type": name, "code": "rate_limit_exceeded"});
                json_answer(status, &json!({"error": error}))
            }
            Self::Mistral => {
                let error = json!({
                    "object": "error", "message": message, "type": "rate_limited", "param": null, "code": "1300",
                    "raw_status_code": 429,
                });
                json_answer(status, &error)
            }
            Self::Anthropic => {
                let error = json!({"type": "rate_limit_error", "message": message});
                json_answer(status, &json!({"type": "error", "error": error, "request_id": "req_simulated"}))
            }
            Self::Azure => json_answer(status, &json!({"error": {"code": "429", "message": message}})),
            Self::LiteLlm => ApiError::invalid(message).status(status).kind("throttling_error").code("429").response(),
        };
        if let Some((_, wait)) = refusal.later {
            let (headers, millis) = (response.headers_mut(), GoDuration(wait).millis());
            match self {
                Self::OpenAi => {
                    headers.insert("retry-after", millis.div_ceil(1000).into());
                    headers.insert("retry-after-ms", millis.into());
                }
                Self::Groq | Self::Anthropic => _ = headers.insert("retry-after", millis.div_ceil(1000).into()),
                Self::LiteLlm => _ = headers.insert("llm_provider-retry-after", 60.into()),
                Self::Mistral | Self::Azure | Self::None => {}
            }
        }
        response
    }

    fn message(self, refusal: &Refusal, model: &str) -> String {
        let Refusal { kind, limit, requested, later } = refusal;
        let unit = match kind {
            Kind::Requests => "requests per min (RPM)",
            Kind::Tokens => "tokens per min (TPM)",
        };
        let whom = format!("for {model} in organization org-simulated on {unit}: Limit {limit}");
        let Some((used, wait)) = later else {
            return format!(
                "Request too large {whom}, Requested {requested}. \
                 The input or output tokens must be reduced in order to run successfully."
            );
        };
        match self {
            Self::OpenAi => {
                let wait = GoDuration(*wait);
                format!("Rate limit reached {whom}, Used {used}, Requested {requested}. Please try again in {wait}.")
            }
            Self::Groq => format!(
                "Rate limit reached for model `{model}` in organization `org_simulated` service tier `on_demand` on {unit}: \
                 Limit {limit}, Used {used}, Requested {requested}. Please try again in {}. Need more tokens? Upgrade to \
                 Dev Tier today at https://console.groq.com/settings/billing",
                GoDuration(*wait)
            ),
            Self::Anthropic => format!(
                "This request would exceed your organization's rate limit of {limit} {} per minute. Please reduce the \
                 prompt length or the maximum tokens requested, or try again later.",
                kind.name()
            ),
            Self::Azure => format!(
                "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-10-21 have exceeded \
                 {} rate limit of your current OpenAI S0 pricing tier. Please retry after {} seconds.",
                if *kind == Kind::Requests { "call" } else { "token" },
                GoDuration(*wait).millis().div_ceil(1000)
            ),
            Self::LiteLlm => format!(
                "litellm.RateLimitError: Deployment over defined {} limit={limit}. current usage={used}",
                if *kind == Kind::Requests { "rpm" } else { "tpm" }
            ),
            Self::Mistral | Self::None => "Rate limit exceeded".to_owned(),
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAMED.iter().find(|(dialect, _)| dialect == self).map_or("none", |(_, name)| name))
    }
}

/// A name not among [`Dialect::names`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown headers `{0}`; known: {names}", names = Dialect::names().collect::<Vec<_>>().join(", "))]
pub struct UnknownDialect(String);

impl FromStr for Dialect {
    type Err = UnknownDialect;

    fn from_str(name: &str) -> Result<Self, UnknownDialect> {
        let found = NAMED.iter().find(|(_, known)| *known == name).map(|(dialect, _)| *dialect);
        found.ok_or_else(|| UnknownDialect(name.to_owned()))
    }
}

/// A header's value that is known to be visible ASCII.
pub(super) fn text(value: String) -> HeaderValue {
    HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(headers: &HeaderMap) -> Vec<String> {
        let own = headers.iter().filter(|(name, _)| *name != "content-type");
        own.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect()
    }

    fn levels(dialect: Dialect) -> Vec<String> {
        let mut headers = HeaderMap::new();
        let requests = Level { limit: 10, used: 3, reset: Duration::from_secs(18) };
        let tokens = Level { limit: 6_000, used: 1_000, reset: Duration::from_millis(10_500) };
        dialect.write_levels(&mut headers, [Some(requests), Some(tokens)]);
        dialect.write_cost(&mut headers, 321);
        pairs(&headers)
    }

    #[test]
    fn every_name_is_a_dialect_and_prints_as_itself() {
        assert!(Dialect::names().all(|name| name.parse::<Dialect>().unwrap().to_string() == name));
        assert_eq!(
            "gemini".parse::<Dialect>().unwrap_err().to_string(),
            "unknown headers `gemini`; known: openai, groq, mistral, anthropic, azure, litellm, none"
        );
    }

    #[test]
    fn each_dialect_has_its_own_names_and_resets() {
        let openai = [
            "x-ratelimit-limit-requests: 10",
            "x-ratelimit-remaining-requests: 7",
            "x-ratelimit-reset-requests: 18s",
            "x-ratelimit-limit-tokens: 6000",
            "x-ratelimit-remaining-tokens: 5000",
            "x-ratelimit-reset-tokens: 10.5s",
        ];
        assert_eq!(levels(Dialect::OpenAi), openai);
        let without_reset = [openai[0], openai[1], openai[3], openai[4]];
        assert_eq!(levels(Dialect::Azure), without_reset);
        assert_eq!(levels(Dialect::LiteLlm), without_reset);
        let groq = levels(Dialect::Groq);
        assert_eq!(groq[..2], ["x-ratelimit-limit-requests: 14400", "x-ratelimit-remaining-requests: 14397"]);
        assert_eq!(groq[2..], openai[2..], "a day's worth fills at the rate of a minute's");
        assert_eq!(
            levels(Dialect::Mistral),
            [
                "x-ratelimit-limit-req-minute: 10",
                "x-ratelimit-remaining-req-minute: 7",
                "x-ratelimit-limit-tokens-minute: 6000",
                "x-ratelimit-remaining-tokens-minute: 5000",
                "x-ratelimit-tokens-query-cost: 321",
            ]
        );
        assert_eq!(levels(Dialect::None), [""; 0]);
    }

    #[test]
    fn anthropics_resets_are_points_in_time() {
        let before = Timestamp::now().as_second();
        let anthropic = levels(Dialect::Anthropic);
        let (name, reset) = anthropic[2].split_once(": ").unwrap();
        assert_eq!(name, "anthropic-ratelimit-requests-reset");
        assert!(reset.ends_with('Z') && !reset.contains('.'), "{reset}");
        let reset = reset.parse::<Timestamp>().unwrap().as_second();
        assert!((before + 18..=Timestamp::now().as_second() + 19).contains(&reset));
    }

    async fn refusal(dialect: Dialect, refusal: &Refusal) -> (u16, String, Vec<String>) {
        let (head, body) = dialect.refuse(refusal, "m").into_parts();
        let body = axum::body::to_bytes(body, 10_000).await.unwrap();
        (head.status.as_u16(), String::from_utf8(body.to_vec()).unwrap(), pairs(&head.headers))
    }

    #[tokio::test]
    async fn each_dialect_refuses_in_its_own_words() {
        let seconds = Duration::from_millis(5_200);
        let refused = Refusal { kind: Kind::Tokens, limit: 60, requested: 9, later: Some((56, seconds)) };
        for (dialect, words, waits) in [
            (
                Dialect::OpenAi,
                "Please try again in 5.2s.\",\"type\":\"tokens\"",
                &["retry-after: 6", "retry-after-ms: 5200"][..],
            ),
            (Dialect::Groq, "Limit 60, Used 56, Requested 9. Please try again in 5.2s. Need", &["retry-after: 6"]),
            (Dialect::Mistral, r#"{"object":"error","message":"Rate limit exceeded","type":"rate_limited""#, &[]),
            (Dialect::Anthropic, r#"{"type":"error","error":{"type":"rate_limit_error""#, &["retry-after: 6"]),
            (
                Dialect::Azure,
                "exceeded token rate limit of your current OpenAI S0 pricing tier. Please retry after 6 seconds.",
                &[],
            ),
            (
                Dialect::LiteLlm,
                r#""type":"throttling_error","param":null,"code":"429""#,
                &["llm_provider-retry-after: 60"],
            ),
            (
                Dialect::None,
                r#"{"error":{"message":"Rate limit exceeded","type":"rate_limit_error","param":null,"code":null}}"#,
                &[],
            ),
        ] {
            let (status, body, headers) = refusal(dialect, &refused).await;
            assert!(status == 429 && body.contains(words), "{dialect}: {status} {body}");
            assert_eq!(headers, waits, "{dialect}");
        }
    }

    #[tokio::test]
    async fn what_never_fits_has_no_wait_in_any_dialect() {
        let too_large = Refusal { kind: Kind::Tokens, limit: 60, requested: 61, later: None };
        for (dialect, name) in NAMED {
            let (status, body, headers) = refusal(*dialect, &too_large).await;
            assert_eq!(status, if *dialect == Dialect::Groq { 413 } else { 429 }, "{name}");
            assert!(body.contains("Request too large for m") && headers.is_empty(), "{name}: {body}");
        }
    }
}
