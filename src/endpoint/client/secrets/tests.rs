use proptest::prelude::*;

use super::*;
use crate::feedback::ErrorCode;

const KEY: &str = "sk-CANARY-7f3a9b2c/4d5e+6f70";

fn secrets(texts: &[&str]) -> Secrets {
    Secrets::new(texts.iter().map(|text| (*text).to_owned()).collect())
}

/// The one secret, found once in all its forms.
fn key() -> &'static Secrets {
    static SECRETS: std::sync::OnceLock<Secrets> = std::sync::OnceLock::new();
    SECRETS.get_or_init(|| secrets(&[KEY]))
}

fn cleaned(text: &str) -> String {
    String::from_utf8(key().removed_from(text.as_bytes()).into_owned()).unwrap()
}

/// A secret in an encoding, as another program would write it.
fn base64(text: &[u8]) -> String {
    let mut encoded = String::new();
    for chunk in text.chunks(3) {
        let word = chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for i in 0..=chunk.len() {
            let number = usize::try_from(word >> (18 - 6 * i) & 63).unwrap();
            encoded.push(char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[number]));
        }
    }
    encoded + &"=".repeat(2 - (text.len() + 2) % 3)
}

fn joined(number: fn(u8) -> String, separator: &str) -> String {
    KEY.bytes().map(number).collect::<Vec<_>>().join(separator)
}

#[test]
fn a_key_is_removed_in_every_encoding() {
    let escaped: String = KEY.chars().map(|c| format!("\\u{:04X}", c as u32)).collect();
    let twice = escaped.replace('\\', "\\\\");
    for echo in [
        KEY.to_owned(),
        format!("Bearer {KEY}"),
        KEY.to_ascii_lowercase(),
        KEY.replace('/', "\\/"),
        KEY.replace('A', "\\u0041"),
        escaped.clone(),
        twice.clone(),
        twice.replace('\\', "\\\\"),
        joined(|byte| format!("%{byte:02X}"), ""),
        joined(|byte| format!("%25{byte:02x}"), ""),
        KEY.replace('/', "%2F").replace('+', "%2b"),
        joined(|byte| format!("&#{byte};"), ""),
        joined(|byte| format!("&#x{byte:x};"), ""),
        joined(|byte| format!("\\x{byte:02x}"), ""),
        joined(|byte| format!("{byte:02x}"), ""),
        joined(|byte| format!("{byte:02X}"), ""),
        joined(|byte| format!("{byte:02x}"), ":"),
        joined(|byte| format!("{byte:02x}"), " "),
        joined(|byte| byte.to_string(), ", "),
        joined(|byte| byte.to_string(), ","),
        KEY.chars().map(|c| format!("{c}\u{200b}")).collect(),
        KEY.chars().map(|c| format!("{c}\\u200b")).collect(),
    ] {
        let clean = cleaned(&format!("{{\"x\": \"you sent {echo}, thanks\"}}"));
        assert!(clean.starts_with("{\"x\": \"you sent ") && clean.ends_with(", thanks\"}"), "{echo}: {clean}");
        assert!(clean.contains("[redacted]") && clean.len() < 60, "{echo}: {clean}");
    }
}

#[test]
fn a_key_in_base64_is_removed_wherever_it_stands_in_a_longer_text() {
    for before in ["", "u", "us", "user:", "Bearer "] {
        for after in ["", "x", "xy", "xyz"] {
            let encoded = base64(format!("{before}{KEY}{after}").as_bytes());
            for encoded in [encoded.clone(), encoded.replace('+', "-").replace('/', "_"), encoded.replace('/', "\\/")] {
                let clean = cleaned(&encoded);
                let (head, tail) = clean.split_once("[redacted]").unwrap_or_else(|| panic!("{before}{after}: {clean}"));
                // What is left reveals something about the text around the key, and at most six bits of the key itself.
                assert!(head.len() <= before.len() * 4 / 3 + 1, "{head}");
                assert!(tail.len() <= 2 + after.len() * 4 / 3 + 2, "{tail}");
            }
        }
    }
    assert_eq!(base64(b"ab"), "YWI=");
}

#[test]
fn json_stays_json() {
    for text in [format!("\\n{KEY}"), format!("\\\\{KEY}"), format!("\\{}", KEY.replacen('s', "n", 1))] {
        let secret = if text.contains(KEY) { KEY.to_owned() } else { KEY.replacen('s', "n", 1) };
        let clean = secrets(&[&secret]).removed_from(format!("{{\"x\":\"a{text}b\"}}").as_bytes()).into_owned();
        let value: Value = serde_json::from_slice(&clean).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert!(value["x"].as_str().unwrap().ends_with("[redacted]b"), "{value}");
    }
}

#[test]
fn what_is_no_secret_stays() {
    for text in ["", "sk-CANARY-7f3a", "100 % of \\u0041 &amp; \u{200b}x \\/ %zz", "key sk-CA****6f70 is wrong"] {
        assert_eq!(cleaned(text), text);
    }
    let none = Secrets::default();
    assert!(matches!(none.removed_from(KEY.as_bytes()), Cow::Borrowed(_)));
}

#[test]
fn secrets_that_overlap_are_removed_as_one() {
    let both = secrets(&["abcdefghij", "fghijklmno"]);
    assert_eq!(
        &*both.removed_from(b"<abcdefghijklmno> <fghijklmno> abcdefghi"),
        b"<[redacted]> <[redacted]> abcdefghi"
    );
}

#[test]
fn a_short_key_is_removed_from_errors_alone_and_only_as_a_word() {
    let failure = |message: &str, secret: &str| {
        secrets(&[secret]).removed_from_failure(Failure::new(ErrorCode::AuthenticationError, message)).message
    };
    assert_eq!(failure("none: nonetheless (none) xnone", "none"), "[redacted]: nonetheless ([redacted]) xnone");
    assert_eq!(failure("the key é none", "é"), "the key [redacted] none");
    assert_eq!(failure("nothing", ""), "nothing");
    assert_eq!(&*secrets(&["none"]).removed_from(b"none of it"), b"none of it");
}

#[test]
fn every_part_of_a_configuration_that_is_secret_is_known() {
    let mut config = EndpointConfig::new("e", "");
    config.api_key = Some(SecretString::from("sk-key-1234"));
    config.headers = vec![("X-Auth".to_owned(), SecretString::from("Token header-1 x"))];
    config.secrets = vec![SecretString::from("variable-1")];
    config.extra_body = serde_json::from_str(
        r#"{"user_token":"token-of-a-user","deep":[{"api_key":"deep-key-1"}],"service_tier":"flexible-tier","top_k":7}"#,
    )
    .unwrap();
    let url =
        "https://user-name:p%40ssword1@h/v1?api-version=2024-05-01-preview&code=query-code-1&x=Zm9vYmFyMTIzNDU2Nzg5MA";
    let secrets = Secrets::of(&config, &Url::parse(url).unwrap(), [SecretString::from("of-a-proxy")]);
    let clean = |text: &str| String::from_utf8(secrets.removed_from(text.as_bytes()).into_owned()).unwrap();
    for secret in [
        "sk-key-1234",
        "header-1",
        "Token header-1 x",
        "variable-1",
        "p@ssword1",
        "p%40ssword1",
        "of-a-proxy",
        "query-code-1",
        "Zm9vYmFyMTIzNDU2Nzg5MA",
        "token-of-a-user",
        "deep-key-1",
    ] {
        assert_eq!(clean(secret), "[redacted]", "{secret}");
    }
    for known in ["user-name", "2024-05-01-preview", "flexible-tier", "service_tier"] {
        assert_eq!(clean(known), known);
    }
    let token = Secrets::of(&EndpointConfig::new("e", ""), &Url::parse("http://a-token-1@h/v1").unwrap(), []);
    assert_eq!(&*token.removed_from(b"a-token-1 is wrong"), b"[redacted] is wrong");
    assert_eq!(format!("{secrets:?}"), "Secrets(..)");
}

#[test]
fn headers_are_cleaned_one_by_one() {
    let headers = HeaderMap::from_iter([
        ("location".parse().unwrap(), HeaderValue::try_from(format!("https://h/?k={KEY}")).unwrap()),
        ("x-request-id".parse().unwrap(), HeaderValue::from_static("req-1")),
    ]);
    let clean = secrets(&[KEY]).removed_from_headers(&headers);
    assert_eq!(
        (clean["location"].as_bytes(), clean["x-request-id"].as_bytes()),
        (&b"https://h/?k=[redacted]"[..], &b"req-1"[..])
    );
}

#[test]
fn names_tell_what_is_secret() {
    for name in
        ["key", "api_key", "apiKey", "subscription-key", "X-Auth-Token", "password", "sig", "code", "client_secret"]
    {
        assert!(is_secret_name(name), "{name}");
    }
    for name in ["api-version", "model", "deployment", "design", "encoder", "service_tier", "prompt_cache_id"] {
        assert!(!is_secret_name(name), "{name}");
    }
}

proptest! {
    #[test]
    fn no_text_is_too_strange_and_nothing_is_left(mut text in prop::collection::vec(any::<u8>(), 0..200), noise in "[%&\\\\ux0-9a-f;/#\u{200b}]{0,60}", at in any::<prop::sample::Index>()) {
        text.extend(noise.bytes());
        let at = at.index(text.len() + 1);
        text.splice(at..at, KEY.bytes());
        let clean = key().removed_from(&text).into_owned();
        prop_assert!(memmem::find(&clean, KEY.as_bytes()).is_none());
        prop_assert!(memmem::find(&clean, REDACTED.as_bytes()).is_some());
        prop_assert_eq!(&*key().removed_from(&clean), &clean[..]);
    }
}
