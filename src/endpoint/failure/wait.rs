//! How long an endpoint asks us to wait: in headers, in members of a body, in words.

use std::time::{Duration, SystemTime};

use memchr::memmem;
use reqwest::header::HeaderMap;

/// Longer waits (136 years) make no sense, and adding them to a clock could overflow.
const MAX_WAIT: Duration = Duration::from_secs(u32::MAX as u64);
/// Added to a point in time: the endpoint's clock is not ours, and a request that comes too early is refused again.
const CLOCK_SKEW: Duration = Duration::from_millis(50);
/// Numbers from here on are Unix times in seconds, and from `FIRST_UNIX_MS` on in milliseconds.
const FIRST_UNIX_SECOND: f64 = 1e9;
const FIRST_UNIX_MS: f64 = 1e11;

/// The unit of a number that has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bare {
    Seconds,
    Milliseconds,
}

/// In order of precedence. The last is LiteLLM's, which forwards its upstream's header under this name. The
/// `x-ratelimit-reset-*` headers have no part in this: they say when the bucket is full again, not when the next
/// request passes.
const HEADERS: &[(&str, Bare)] = &[
    ("retry-after-ms", Bare::Milliseconds),
    ("retry-after", Bare::Seconds),
    ("llm_provider-retry-after", Bare::Seconds),
];

/// When a used-up window ends; only a refusal turns that into a wait.
const RESET_HEADERS: &[&str] = &["x-ratelimit-reset", "ratelimit-reset"];

/// Members of a body that hold a wait, lower-cased, without separators: Google's `RetryInfo.retryDelay`, OpenRouter's
/// `metadata.retry_after_seconds`, and what gateways make of the header.
const MEMBERS: &[(&str, Bare)] = &[
    ("retrydelay", Bare::Seconds),
    ("retryafterseconds", Bare::Seconds),
    ("retryafterms", Bare::Milliseconds),
    ("retryafter", Bare::Seconds),
    ("retryat", Bare::Seconds),
    ("waitseconds", Bare::Seconds),
    ("waittime", Bare::Seconds),
];

/// Members that say when a window ends, lower-cased, without separators.
const RESET_MEMBERS: &[&str] = &[
    "xratelimitreset",
    "ratelimitreset",
    "reset",
    "resetat",
    "resetsat",
    "resettime",
    "resetafter",
    "resetin",
    "resetsin",
    "resetinseconds",
    "resetsinseconds",
];

/// What precedes a duration.
const PHRASES: &[&str] = &[
    "again in ",
    "again after ",
    "retry in ",
    "retry after ",
    "retrying in ",
    "retrying after ",
    "your request in ",
    "your request after ",
    "wait ",
    "reset in ",
    "resets in ",
    "reset after ",
    "resets after ",
];

/// What precedes a point in time.
const PHRASES_OF_TIMES: &[&str] =
    &["again at ", "again after ", "retry after ", "retry at ", "until ", "reset at ", "resets at "];

/// Words between a phrase and its duration.
const FILLERS: &[&str] = &["for ", "about ", "approximately ", "at least ", "another ", "up to ", "~"];

/// The wait that the headers ask for.
pub(crate) fn in_headers(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    HEADERS.iter().find_map(|&(name, bare)| parse(headers.get(name)?.to_str().ok()?, bare, now))
}

/// The time until the headers' window ends.
pub(crate) fn until_reset_in_headers(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    RESET_HEADERS.iter().find_map(|name| until(headers.get(*name)?.to_str().ok()?, now))
}

/// The wait in a member of a JSON body.
pub(crate) fn in_member(key: &str, value: &str, now: SystemTime) -> Option<Duration> {
    let key = without_separators(key);
    let &(_, bare) = MEMBERS.iter().find(|(member, _)| *member == key)?;
    parse(value, bare, now)
}

/// The time until a window ends, in a member of a JSON body.
pub(crate) fn until_reset_in_member(key: &str, value: &str, now: SystemTime) -> Option<Duration> {
    RESET_MEMBERS.contains(&without_separators(key).as_str()).then(|| until(value, now))?
}

fn without_separators(key: &str) -> String {
    key.chars().filter(|c| !matches!(c, '-' | '_' | ' ')).map(|c| c.to_ascii_lowercase()).collect()
}

/// The wait in a sentence such as "Please try again in 6m0s.", lower-cased; a number without a unit does not count.
pub(crate) fn in_words(text: &str, now: SystemTime) -> Option<Duration> {
    let after = |phrase: &'static str| {
        memmem::find_iter(text.as_bytes(), phrase).map(move |at| {
            let mut rest = &text[at + phrase.len()..];
            while let Some(shorter) = FILLERS.iter().find_map(|filler| rest.strip_prefix(filler)) {
                rest = shorter;
            }
            rest
        })
    };
    let spans = || PHRASES.iter().flat_map(|phrase| after(phrase)).find_map(|rest| from_seconds(durations(rest)?.0));
    let times = || {
        PHRASES_OF_TIMES.iter().flat_map(|phrase| after(phrase)).find_map(|rest| {
            let time = rest.split([' ', ',', ')', '"', '\'', '\n']).next()?.trim_end_matches('.');
            from_now(rfc3339(&time.to_ascii_uppercase())?, now)
        })
    };
    spans().or_else(times)
}

/// Any form of a wait: a number, Go's durations (`1h2m3.5s`, `700ms`), the same in words (`6 seconds`), an HTTP date
/// or an RFC 3339 time. A time in the past means no wait; what is negative, not finite or absurdly long is
/// `None`.
pub(crate) fn parse(text: &str, bare: Bare, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    span(text, bare).or_else(|| {
        let until = httpdate::parse_http_date(text).ok().or_else(|| rfc3339(text))?;
        Some(until.duration_since(now).unwrap_or_default()).filter(|wait| *wait <= MAX_WAIT)
    })
}

/// The time until a window ends: a point in time in any form, Unix times included, or the seconds that are left. What is
/// over is `None`: it says nothing about the next window.
fn until(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    let unix = match text.parse::<f64>() {
        Ok(ms) if ms >= FIRST_UNIX_MS => Some(ms / 1000.0),
        Ok(seconds) if seconds >= FIRST_UNIX_SECOND => Some(seconds),
        _ => None,
    };
    let wait = match unix {
        Some(seconds) => from_now(SystemTime::UNIX_EPOCH.checked_add(from_seconds(seconds)?)?, now),
        None => parse(text, Bare::Seconds, now),
    };
    wait.filter(|wait| !wait.is_zero())
}

/// `None` for the past.
fn from_now(time: SystemTime, now: SystemTime) -> Option<Duration> {
    time.duration_since(now).ok().map(|wait| wait + CLOCK_SKEW).filter(|wait| *wait <= MAX_WAIT)
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
    Duration::try_from_secs_f64(seconds).ok().filter(|wait| *wait <= MAX_WAIT)
}

/// One or more numbers with units at the beginning of the text: their sum in seconds, and what follows them.
fn durations(text: &str) -> Option<(f64, &str)> {
    let mut sum = None;
    let mut rest = text;
    while let Some((seconds, after)) = duration(rest.trim_start_matches(&[' ', ','][..]).trim_start_matches("and ")) {
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
            ("exceeded for userbymodelbyday. please wait 68423 seconds before retrying.", Some(68_423.0)),
            ("wait for about 2 minutes", Some(120.0)),
            ("your limit resets in 19 hours and 3 minutes", Some(68_580.0)),
            ("try again in 1 hour, 30 minutes", Some(5400.0)),
            ("please retry your request after 5s", Some(5.0)),
            ("quota is used up until 2026-10-25t12:01:00z", Some(60.05)),
            ("the limit resets at 2026-10-25t13:00:00+01:00.", Some(0.05)),
            ("resets at 2026-10-25t11:00:00z", None),
            ("resets at noon", None),
            ("retry after 5. later", None),
            ("try again in 5 steps", None),
            ("a wait of 5s", None),
            ("retry in ", None),
        ] {
            assert_eq!(in_words(text, noon()).map(|wait| wait.as_secs_f64()), seconds, "{text}");
        }
    }

    #[test]
    fn members_of_a_body_have_their_own_units() {
        let wait = |key, value| in_member(key, value, noon());
        assert_eq!(wait("retryDelay", "34s"), Some(Duration::from_secs(34)));
        assert_eq!(wait("retry_after_seconds", "2.5"), Some(Duration::from_millis(2500)));
        assert_eq!(wait("retry_after_ms", "250"), Some(Duration::from_millis(250)));
        assert_eq!(wait("Retry-After", "2026-10-25T12:00:07Z"), Some(Duration::from_secs(7)));
        assert_eq!(wait("retry_after", "never"), None);
        assert_eq!(wait("limit", "5"), None);
    }

    #[test]
    fn the_end_of_a_window_is_a_time_or_what_is_left() {
        let milliseconds =
            |value| until_reset_in_member("X-RateLimit-Reset", value, noon()).map(|wait| wait.as_millis());
        for (value, expected) in [
            ("1792929614000", Some(14_050)),
            ("1792929614", Some(14_050)),
            ("1792929614.25", Some(14_300)),
            ("14", Some(14_000)),
            ("1m2s", Some(62_000)),
            ("2026-10-25T12:00:30Z", Some(30_000)),
            ("1792929600000", Some(50)),
            ("1792929599000", None),
            ("0", None),
            ("2026-10-25T11:00:00Z", None),
            ("soon", None),
            ("-1", None),
        ] {
            assert_eq!(milliseconds(value), expected, "{value}");
        }
        assert!(until_reset_in_member("resets_at", "14", noon()).is_some());
        assert_eq!(until_reset_in_member("preset", "14", noon()), None);
        let headers = |name: &'static str| HeaderMap::from_iter([(name.parse().unwrap(), "14".parse().unwrap())]);
        assert!(until_reset_in_headers(&headers("x-ratelimit-reset"), noon()).is_some());
        assert_eq!(until_reset_in_headers(&headers("x-ratelimit-reset-requests"), noon()), None);
    }
}
