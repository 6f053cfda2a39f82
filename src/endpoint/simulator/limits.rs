//! The quota that the simulator enforces: token buckets for requests and tokens, as OpenAI has them.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use tokio::time::Instant;

use super::error::ApiError;
use super::go_duration::GoDuration;

/// Requests and tokens per minute, either of them without a limit if `None`.
#[derive(Debug)]
pub(super) struct Limits {
    buckets: Mutex<[Option<Bucket>; 2]>,
}

/// Why a request was not admitted.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    kind: &'static Kind,
    limit: u64,
    requested: u64,
    /// What stands against the request, and how long until it fits; `None`: it never will.
    later: Option<(u64, Duration)>,
}

/// What a bucket counts, in OpenAI's words.
#[derive(Debug, PartialEq)]
struct Kind {
    /// In the error and at the end of the headers' names.
    name: &'static str,
    unit: &'static str,
    limit: HeaderName,
    remaining: HeaderName,
    reset: HeaderName,
}

static REQUESTS: Kind = Kind {
    name: "requests",
    unit: "requests per min (RPM)",
    limit: HeaderName::from_static("x-ratelimit-limit-requests"),
    remaining: HeaderName::from_static("x-ratelimit-remaining-requests"),
    reset: HeaderName::from_static("x-ratelimit-reset-requests"),
};
static TOKENS: Kind = Kind {
    name: "tokens",
    unit: "tokens per min (TPM)",
    limit: HeaderName::from_static("x-ratelimit-limit-tokens"),
    remaining: HeaderName::from_static("x-ratelimit-remaining-tokens"),
    reset: HeaderName::from_static("x-ratelimit-reset-tokens"),
};

impl Limits {
    pub(super) fn new(rpm: Option<u32>, tpm: Option<u64>) -> Self {
        let now = Instant::now();
        let requests = rpm.map(|rpm| Bucket::new(&REQUESTS, u64::from(rpm), now));
        let tokens = tpm.map(|tpm| Bucket::new(&TOKENS, tpm, now));
        Self { buckets: Mutex::new([requests, tokens]) }
    }

    /// Takes one request and `tokens` from the buckets, or nothing.
    ///
    /// # Errors
    /// The refusal with the longest wait, when either bucket holds too little.
    pub(super) fn admit(&self, tokens: u64) -> Result<(), Refusal> {
        let now = Instant::now();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let both = || [1, tokens].into_iter();
        let refusals = buckets.iter_mut().zip(both()).filter_map(|(bucket, n)| bucket.as_mut()?.check(n, now).err());
        match refusals.max_by_key(|refusal| refusal.later.map_or(Duration::MAX, |(_, wait)| wait)) {
            Some(refusal) => Err(refusal),
            None => {
                buckets.iter_mut().zip(both()).for_each(|(bucket, n)| {
                    if let Some(bucket) = bucket {
                        bucket.level -= n as f64;
                    }
                });
                Ok(())
            }
        }
    }

    /// Adds `x-ratelimit-{limit,remaining,reset}-*` for every limit there is.
    pub(super) fn write_headers(&self, headers: &mut HeaderMap) {
        let now = Instant::now();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        for bucket in buckets.iter_mut().flatten() {
            bucket.refill(now);
            // As OpenAI counts: (limit - remaining) / reset is the rate, and reset is the time until the bucket is full.
            let used = bucket.capacity() - bucket.level;
            let kind = bucket.kind;
            headers.insert(&kind.limit, bucket.limit.into());
            headers.insert(&kind.remaining, ((bucket.limit as f64 - used).max(0.0) as u64).into());
            headers.insert(&kind.reset, text(GoDuration(bucket.time_for(used)).to_string()));
        }
    }
}

/// A token bucket that is refilled continuously and holds one second's worth, but at least 1.
///
/// What costs more than the bucket holds is admitted when it is full and leaves a debt: so the average rate is exact, and no
/// burst is longer than a second or one request.
#[derive(Debug)]
struct Bucket {
    kind: &'static Kind,
    /// Per minute.
    limit: u64,
    level: f64,
    refilled: Instant,
}

impl Bucket {
    /// A full bucket. A limit of 0 would admit nothing ever and counts as 1.
    fn new(kind: &'static Kind, limit: u64, now: Instant) -> Self {
        let mut bucket = Self { kind, limit: limit.max(1), level: 0.0, refilled: now };
        bucket.level = bucket.capacity();
        bucket
    }

    fn per_second(&self) -> f64 {
        self.limit as f64 / 60.0
    }

    fn capacity(&self) -> f64 {
        self.per_second().max(1.0)
    }

    fn time_for(&self, n: f64) -> Duration {
        Duration::try_from_secs_f64(n.max(0.0) / self.per_second()).unwrap_or(Duration::MAX)
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.refilled).as_secs_f64();
        self.level = (self.level + passed * self.per_second()).min(self.capacity());
        self.refilled = now;
    }

    fn check(&mut self, n: u64, now: Instant) -> Result<(), Refusal> {
        /// Below a millionth of a request or token, a difference is rounding.
        const ROUNDING: f64 = 1e-6;
        self.refill(now);
        let missing = self.capacity().min(n as f64) - self.level;
        if n <= self.limit && missing <= ROUNDING {
            return Ok(());
        }
        // So that OpenAI's arithmetic holds: the wait is (used + requested - limit) / rate.
        let used = (self.limit as f64 + missing - n as f64).max(0.0).ceil() as u64;
        let later = (n <= self.limit).then(|| (used, self.time_for(missing)));
        Err(Refusal { kind: self.kind, limit: self.limit, requested: n, later })
    }
}

impl Refusal {
    /// The 429 as OpenAI gives it. What never fits has no `retry-after`.
    pub(super) fn response(&self, model: &str) -> Response<Body> {
        let Self { kind: Kind { name, unit, .. }, limit, requested, later } = self;
        let whom = format!("for {model} in organization org-simulated on {unit}: Limit {limit}");
        let error = ApiError::invalid(match later {
            Some((used, wait)) => format!(
                "Rate limit reached {whom}, Used {used}, Requested {requested}. Please try again in {}.",
                GoDuration(*wait)
            ),
            None => format!(
                "Request too large {whom}, Requested {requested}. \
                 The input or output tokens must be reduced in order to run successfully."
            ),
        });
        let error = error.status(StatusCode::TOO_MANY_REQUESTS).kind(name).code("rate_limit_exceeded");
        let mut response = error.response();
        if let Some((_, wait)) = later {
            write_retry_after(response.headers_mut(), *wait);
        }
        response
    }
}

/// Adds `retry-after` in whole seconds and `retry-after-ms`, both rounded up.
pub(super) fn write_retry_after(headers: &mut HeaderMap, wait: Duration) {
    let millis = GoDuration(wait).millis();
    headers.insert("retry-after", millis.div_ceil(1000).into());
    headers.insert("retry-after-ms", millis.into());
}

/// A header's value that is known to be visible ASCII.
pub(super) fn text(value: String) -> HeaderValue {
    HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(refused: Result<(), Refusal>) -> Option<Duration> {
        refused.unwrap_err().later.map(|(_, wait)| wait)
    }

    fn headers(limits: &Limits) -> Vec<(String, String)> {
        let mut headers = HeaderMap::new();
        limits.write_headers(&mut headers);
        let strip = |name: &HeaderName| name.as_str().trim_start_matches("x-ratelimit-").to_owned();
        headers.iter().map(|(name, value)| (strip(name), value.to_str().unwrap().to_owned())).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn requests_come_in_bursts_of_a_second_and_then_at_the_rate() {
        let limits = Limits::new(Some(600), None);
        assert!((0..10).all(|_| limits.admit(1_000_000) == Ok(())));
        assert_eq!(wait(limits.admit(0)), Some(Duration::from_millis(100)));
        tokio::time::advance(Duration::from_millis(99)).await;
        assert!(limits.admit(0).is_err());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(limits.admit(0), Ok(()));
        assert!(limits.admit(0).is_err());
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!((0..100).filter(|_| limits.admit(0).is_ok()).count(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn below_one_request_a_second_one_is_admitted_at_a_time() {
        let limits = Limits::new(Some(3), None);
        assert_eq!(limits.admit(0), Ok(()));
        assert_eq!(wait(limits.admit(0)), Some(Duration::from_secs(20)));
        assert_eq!(
            headers(&limits),
            pairs(&[("limit-requests", "3"), ("remaining-requests", "2"), ("reset-requests", "20s")])
        );
        tokio::time::advance(Duration::from_secs(20)).await;
        assert_eq!(limits.admit(0), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_request_waits_for_a_full_bucket_and_leaves_a_debt() {
        let limits = Limits::new(None, Some(6_000));
        assert_eq!(limits.admit(1_000), Ok(()), "ten times what the bucket holds");
        assert_eq!(wait(limits.admit(50)), Some(Duration::from_millis(9_500)));
        assert_eq!(wait(limits.admit(1_000)), Some(Duration::from_secs(10)));
        assert_eq!(
            headers(&limits),
            pairs(&[("limit-tokens", "6000"), ("remaining-tokens", "5000"), ("reset-tokens", "10s")])
        );
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(limits.admit(1_000), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_request_takes_from_neither_bucket() {
        let limits = Limits::new(Some(60), Some(6_000));
        assert_eq!(limits.admit(6_001).unwrap_err().later, None);
        assert_eq!(limits.admit(6_000), Ok(()));
        tokio::time::advance(Duration::from_secs(1)).await;
        let before = headers(&limits);
        assert_eq!(limits.admit(100).unwrap_err().kind.name, "tokens");
        assert_eq!(headers(&limits), before);
        assert_eq!(before[1], ("remaining-requests".to_owned(), "60".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn the_average_rate_is_the_limit() {
        let limits = Limits::new(Some(6_000), Some(60_000));
        let mut admitted = 0;
        for _ in 0..60_000 {
            admitted += u64::from(limits.admit(37).is_ok());
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        let tokens = admitted * 37;
        assert!((60_000..=61_037).contains(&tokens), "a minute's tokens and at most a second's more: {tokens}");
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_read_as_those_of_openai() {
        let message = |refusal: Refusal| {
            let response = refusal.response("gpt-4o");
            let waits = ["retry-after", "retry-after-ms"].map(|name| response.headers().get(name).cloned());
            (response.into_body(), waits)
        };
        let limits = Limits::new(Some(50), Some(30_000));
        assert_eq!(limits.admit(1), Ok(()));
        let (body, waits) = message(limits.admit(1).unwrap_err());
        let body = axum::body::to_bytes(body, 10_000).await.unwrap();
        assert_eq!(
            body,
            r#"{"error":{"message":"Rate limit reached for gpt-4o in organization org-simulated on requests per min (RPM): Limit 50, Used 50, Requested 1. Please try again in 1.2s.","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#
        );
        assert_eq!(waits, [Some(HeaderValue::from(2)), Some(HeaderValue::from(1200))]);
        let (body, waits) = message(limits.admit(44_000).unwrap_err());
        let body = axum::body::to_bytes(body, 10_000).await.unwrap();
        assert_eq!(
            body,
            r#"{"error":{"message":"Request too large for gpt-4o in organization org-simulated on tokens per min (TPM): Limit 30000, Requested 44000. The input or output tokens must be reduced in order to run successfully.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#
        );
        assert_eq!(waits, [None, None]);
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }
}
