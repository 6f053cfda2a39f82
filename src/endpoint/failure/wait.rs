//! How long an endpoint asks us to wait: its headers, its body, its words.

use std::time::{Duration, SystemTime};

use memchr::memmem;
use reqwest::header::HeaderMap;

use crate::endpoint::failure::error_body::ErrorBody;

/// Longer waits (136 years) are nonsense, and adding them to a clock could overflow.
const LONGEST: Duration = Duration::from_secs(u32::MAX as u64);

/// The unit of a number that has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bare {
    Seconds,
    Milliseconds,
}

/// In order of precedence. The last is LiteLLM's, which forwards its upstream's header under this name. The
/// `x-ratelimit-reset-*` headers have no part in this: they tell when the bucket is full again, not when the next
/// request passes.
const HEADERS: &[(&str, Bare)] = &[
    ("retry-after-ms", Bare::Milliseconds),
    ("retry-after", Bare::Seconds),
    ("llm_provider-retry-after", Bare::Seconds),
];

/// Members of a body that hold a wait, lower-cased: Google's `RetryInfo.retryDelay`, OpenRouter's
/// `metadata.retry_after_seconds`, and what gateways make of the header.
const MEMBERS: &[(&str, Bare)] = &[
    ("retrydelay", Bare::Seconds),
    ("retry_after_seconds", Bare::Seconds),
    ("retry_after_ms", Bare::Milliseconds),
    ("retry_after", Bare::Seconds),
];

const PHRASES: &[&str] = &["try again in ", "try again after ", "retry in ", "retry after "];

/// The wait that a response asks for: headers before body before words.
pub(crate) fn wait(headers: &HeaderMap, body: &ErrorBody, now: SystemTime) -> Option<Duration> {
    HEADERS
        .iter()
        .find_map(|&(name, bare)| parse(headers.get(name)?.to_str().ok()?, bare, now))
        .or(body.retry_delay)
        .or_else(|| in_words(&body.haystack))
}

/// The wait in a member of a JSON body; the key is lower-cased.
pub(crate) fn in_member(key: &str, value: &str) -> Option<Duration> {
    let &(_, bare) = MEMBERS.iter().find(|(member, _)| *member == key)?;
    span(value.trim(), bare)
}

/// The wait in a sentence such as "Please try again in 6m0s.", lower-cased; a number without a unit does not count.
fn in_words(text: &str) -> Option<Duration> {
    PHRASES.iter().find_map(|phrase| {
        memmem::find_iter(text.as_bytes(), phrase)
            .find_map(|at| Some(durations(&text[at + phrase.len()..])?.0))
            .and_then(from_seconds)
    })
}

/// Any form of a wait: a number, Go's durations (`1h2m3.5s`, `700ms`), the same in words (`6 seconds`), an HTTP date
/// or an RFC 3339 time. A time in the past is no wait at all; what is negative, not finite or absurdly long is
/// `None`.
pub(crate) fn parse(text: &str, bare: Bare, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    span(text, bare).or_else(|| {
        let until = httpdate::parse_http_date(text).ok().or_else(|| rfc3339(text))?;
        Some(until.duration_since(now).unwrap_or_default()).filter(|wait| *wait <= LONGEST)
    })
}

fn rfc3339(text: &str) -> Option<SystemTime> {
    let since_epoch = text.parse::<jiff::Timestamp>().ok()?.as_duration();
    SystemTime::UNIX_EPOCH.checked_add(since_epoch.try_into().ok()?)
}

/// Every form but the points in time.
fn span(text: &str, bare: Bare) -> Option<Duration> {
    // `f64` would also read `inf`, `nan` and signs.
    if !text.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    if let Ok(number) = text.parse::<f64>() {
        return from_seconds(if bare == Bare::Seconds { number } else { number / 1000.0 });
    }
    let (seconds, rest) = durations(text)?;
    rest.is_empty().then(|| from_seconds(seconds)).flatten()
}

fn from_seconds(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok().filter(|wait| *wait <= LONGEST)
}

/// One or more numbers with units at the beginning of the text: their sum in seconds, and what follows them.
fn durations(text: &str) -> Option<(f64, &str)> {
    let mut sum = None;
    let mut rest = text;
    while let Some((seconds, after)) = duration(rest.trim_start_matches(' ')) {
        sum = Some(sum.unwrap_or(0.0) + seconds);
        rest = after;
    }
    Some((sum?, rest))
}

fn duration(text: &str) -> Option<(f64, &str)> {
    let (number, rest) = text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len()));
    let number: f64 = number.parse().ok()?;
    let rest = rest.trim_start_matches(' ');
    let (unit, rest) = rest.split_at(rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len()));
    let seconds = match unit {
        "ns" => 1e-9,
        "us" | "µs" | "μs" => 1e-6,
        "ms" | "millisecond" | "milliseconds" => 1e-3,
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3600.0,
        "d" | "day" | "days" => 86_400.0,
        _ => return None,
    };
    Some((number * seconds, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-10-25T12:00:00Z
    fn noon() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_792_929_600)
    }

    #[test]
    fn every_form_of_a_wait_is_read() {
        for (text, milliseconds) in [
            ("20", 20_000),
            (" 1.5 ", 1_500),
            ("0", 0),
            (".5", 500),
            ("1e1", 10_000),
            ("12ms", 12),
            ("1s", 1_000),
            ("6m0s", 360_000),
            ("1h2m3s", 3_723_000),
            ("8.64s", 8_640),
            ("2m59.56s", 179_560),
            ("1d", 86_400_000),
            ("6 seconds", 6_000),
            ("1 minute 30 seconds", 90_000),
            ("34.074824224s", 34_074),
            ("850µs", 0),
            ("Sun, 25 Oct 2026 12:00:07 GMT", 7_000),
            ("Sun, 25 Oct 2026 11:00:00 GMT", 0),
            ("2026-10-25T12:00:30Z", 30_000),
            ("2026-10-25T14:00:30.5+02:00", 30_500),
            ("2026-10-25T11:59:59Z", 0),
        ] {
            let wait = parse(text, Bare::Seconds, noon()).map(|wait| wait.as_millis());
            assert_eq!(wait, Some(milliseconds), "{text}");
        }
        assert_eq!(parse("1500.5", Bare::Milliseconds, noon()), Some(Duration::from_micros(1_500_500)));
        assert_eq!(parse("2s", Bare::Milliseconds, noon()), Some(Duration::from_secs(2)));
    }

    #[test]
    fn nonsense_is_no_wait() {
        for text in [
            "",
            " ",
            "inf",
            "nan",
            "NaN",
            "Infinity",
            "-1",
            "-5s",
            "+5",
            "1e400",
            "1e300s",
            "99999999999999999999d",
            "5 apples",
            "5steps",
            "s",
            "1.2.3s",
            "6m0",
            "soon",
            "9999-12-31T23:59:59Z",
            "Sun, 31 Feb 2026 99:00:00 GMT",
        ] {
            assert_eq!(parse(text, Bare::Seconds, noon()), None, "{text}");
        }
    }

    #[test]
    fn a_wait_is_read_from_words() {
        for (text, seconds) in [
            ("please try again in 6m0s. contact us", Some(360.0)),
            ("please try again in 700ms.", Some(0.7)),
            ("please retry after 6 seconds.", Some(6.0)),
            ("please retry in 34.5s.", Some(34.5)),
            ("try again in a while, or try again in 1h2m3s", Some(3723.0)),
            ("token quota is exceeded. try again in 2592000 seconds.", Some(2_592_000.0)),
            ("retry after 5. later", None),
            ("try again in 5 steps", None),
            ("wait 5s", None),
            ("retry in ", None),
        ] {
            assert_eq!(in_words(text).map(|wait| wait.as_secs_f64()), seconds, "{text}");
        }
    }

    #[test]
    fn members_of_a_body_have_their_own_units() {
        assert_eq!(in_member("retrydelay", "34s"), Some(Duration::from_secs(34)));
        assert_eq!(in_member("retry_after_seconds", "2.5"), Some(Duration::from_millis(2500)));
        assert_eq!(in_member("retry_after_ms", "250"), Some(Duration::from_millis(250)));
        assert_eq!(in_member("retry_after", "never"), None);
        assert_eq!(in_member("retry_after", "2026-10-25T12:00:00Z"), None);
        assert_eq!(in_member("limit", "5"), None);
    }
}
