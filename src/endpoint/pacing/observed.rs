//! What an endpoint says about its own quota, in the headers of every answer.
//!
//! The dialects: OpenAI's `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`, which Groq, Azure, Together and LiteLLM share in parts;
//! Mistral's `x-ratelimit-{limit,remaining}-{req,tokens}-minute`; Anthropic's `anthropic-ratelimit-{requests,tokens}-{limit,remaining,reset}`.
//! `reset` is the time until the bucket is full, so `(limit - remaining) / reset` is the rate at which it fills: that distinguishes a limit a
//! minute from a limit a day (Groq's requests), which the names do not.
//! Source: the providers' pages on rate limits.

use std::time::SystemTime;

use reqwest::header::{HeaderMap, HeaderName};

use crate::endpoint::failure::wait::{self, Bare};

/// One bucket, as the endpoint reports it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ObservedBucket {
    /// What it holds when full.
    pub limit: u64,
    /// What it held after this request.
    pub remaining: u64,
    /// What flows in, per second.
    pub per_second: f64,
}

/// Both buckets, as far as the endpoint reports them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ObservedLimits {
    /// Requests.
    pub requests: Option<ObservedBucket>,
    /// Tokens, prompt and answer together.
    pub tokens: Option<ObservedBucket>,
}

/// The names of limit, remaining and reset.
type Names = (HeaderName, HeaderName, Option<HeaderName>);

/// Parsed once, since every answer is asked for all of them.
const fn names(limit: &'static str, remaining: &'static str, reset: Option<&'static str>) -> Names {
    let reset = match reset {
        Some(reset) => Some(HeaderName::from_static(reset)),
        None => None,
    };
    (HeaderName::from_static(limit), HeaderName::from_static(remaining), reset)
}

static REQUESTS: [Names; 3] = [
    names("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", Some("x-ratelimit-reset-requests")),
    names("x-ratelimit-limit-req-minute", "x-ratelimit-remaining-req-minute", None),
    names(
        "anthropic-ratelimit-requests-limit",
        "anthropic-ratelimit-requests-remaining",
        Some("anthropic-ratelimit-requests-reset"),
    ),
];

static TOKENS: [Names; 3] = [
    names("x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", Some("x-ratelimit-reset-tokens")),
    names("x-ratelimit-limit-tokens-minute", "x-ratelimit-remaining-tokens-minute", None),
    names(
        "anthropic-ratelimit-tokens-limit",
        "anthropic-ratelimit-tokens-remaining",
        Some("anthropic-ratelimit-tokens-reset"),
    ),
];

/// What all of these names begin with.
const PREFIXES: [&str; 2] = ["x-ratelimit-", "anthropic-ratelimit-"];

const SECONDS_A_MINUTE: f64 = 60.0;
const SECONDS_A_DAY: f64 = 86_400.0;

impl ObservedLimits {
    /// Reads the headers of an answer; `now` is the time with which a reset in RFC 3339 is compared.
    pub fn read(headers: &HeaderMap, now: SystemTime) -> Self {
        // Most answers say nothing, and a look at the few names costs less than a search for each of fifteen.
        let is_one = |name: &HeaderName| PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix));
        if !headers.keys().any(is_one) {
            return Self::default();
        }
        let bucket = |dialects: &[Names]| dialects.iter().find_map(|names| read_bucket(headers, names, now));
        Self { requests: bucket(&REQUESTS), tokens: bucket(&TOKENS) }
    }

    /// Whether the endpoint said nothing.
    pub fn is_empty(&self) -> bool {
        self.requests.is_none() && self.tokens.is_none()
    }
}

fn read_bucket(headers: &HeaderMap, (limit, remaining, reset): &Names, now: SystemTime) -> Option<ObservedBucket> {
    let text = |name| headers.get(name)?.to_str().ok();
    let number = |name| text(name)?.trim().parse::<u64>().ok();
    let limit = number(limit).filter(|limit| *limit > 0)?;
    let remaining = number(remaining)?.min(limit);
    let reset = reset.as_ref().and_then(|reset| wait::parse(text(reset)?, Bare::Seconds, now));
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let (full, used) = (limit as f64, (limit - remaining) as f64);
    let per_minute = full / SECONDS_A_MINUTE;
    let per_second = match reset.map(|reset| reset.as_secs_f64()) {
        Some(reset) if used >= 1.0 && reset > 0.0 && is_a_day(full, used / reset) => full / SECONDS_A_DAY,
        _ => per_minute,
    };
    Some(ObservedBucket { limit, remaining, per_second })
}

/// Whether a bucket that fills at this rate holds a day's worth rather than a minute's. Resets are rounded, so only the order of magnitude
/// counts.
fn is_a_day(full: f64, rate: f64) -> bool {
    rate < (full / SECONDS_A_MINUTE * full / SECONDS_A_DAY).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&'static str, &'static str)]) -> ObservedLimits {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let now = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
        ObservedLimits::read(&headers, now)
    }

    fn bucket(limit: u64, remaining: u64, per_second: f64) -> Option<ObservedBucket> {
        Some(ObservedBucket { limit, remaining, per_second })
    }

    #[test]
    fn a_rate_is_a_days_below_the_geometric_mean_of_a_minutes_and_a_days() {
        // sqrt(full / 60 * full / 86400) is full / 2276.84.
        for (full, mean) in [(1000.0, 0.439_205), (14_400.0, 6.324_555), (10.0, 0.004_392)] {
            assert!(is_a_day(full, mean * 0.99) && !is_a_day(full, mean * 1.01), "{full}");
        }
    }

    #[test]
    fn openais_headers_are_a_minute() {
        let limits = read(&[
            ("x-ratelimit-limit-requests", "60"),
            ("x-ratelimit-remaining-requests", "59"),
            ("x-ratelimit-reset-requests", "1s"),
            ("x-ratelimit-limit-tokens", "150000"),
            ("x-ratelimit-remaining-tokens", "149984"),
            ("x-ratelimit-reset-tokens", "6ms"),
        ]);
        assert_eq!(limits.requests, bucket(60, 59, 1.0));
        assert_eq!(limits.tokens, bucket(150_000, 149_984, 2500.0));
    }

    #[test]
    fn groqs_requests_are_a_day_by_the_same_name() {
        let limits = read(&[
            ("x-ratelimit-limit-requests", "14400"),
            ("x-ratelimit-remaining-requests", "14370"),
            ("x-ratelimit-reset-requests", "2m59.56s"),
            ("x-ratelimit-limit-tokens", "18000"),
            ("x-ratelimit-remaining-tokens", "17997"),
            ("x-ratelimit-reset-tokens", "7.66ms"),
        ]);
        assert_eq!(limits.requests, bucket(14_400, 14_370, 14_400.0 / 86_400.0));
        assert_eq!(limits.tokens, bucket(18_000, 17_997, 300.0));
    }

    #[test]
    fn mistrals_and_anthropics_names_are_known() {
        let limits = read(&[
            ("x-ratelimit-limit-req-minute", "120"),
            ("x-ratelimit-remaining-req-minute", "7"),
            ("x-ratelimit-limit-tokens-minute", "6000"),
            ("x-ratelimit-remaining-tokens-minute", "0"),
        ]);
        assert_eq!((limits.requests, limits.tokens), (bucket(120, 7, 2.0), bucket(6000, 0, 100.0)));
        let limits = read(&[
            ("anthropic-ratelimit-requests-limit", "50"),
            ("anthropic-ratelimit-requests-remaining", "49"),
            ("anthropic-ratelimit-requests-reset", "2023-11-14T22:13:21Z"),
        ]);
        assert_eq!((limits.requests, limits.tokens), (bucket(50, 49, 50.0 / 60.0), None));
    }

    #[test]
    fn what_makes_no_sense_is_not_believed() {
        assert!(read(&[("x-ratelimit-limit-requests", "0"), ("x-ratelimit-remaining-requests", "0")]).is_empty());
        assert!(read(&[("x-ratelimit-limit-requests", "60")]).is_empty());
        assert!(read(&[("x-ratelimit-limit-requests", "-1"), ("x-ratelimit-remaining-requests", "x")]).is_empty());
    }
}
