//! Addresses: where requests go, which parts may be shown, whether it is this machine.

use reqwest::Url;

/// `base_url` with `/chat/completions` at its end, exactly once; a query such as Azure's `api-version` stays.
pub(crate) fn chat_url(base_url: &str) -> Result<Url, String> {
    let no_host = || "it must begin with http:// or https:// and name a host".to_owned();
    let mut url = Url::parse(base_url.trim()).map_err(|_| no_host())?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(no_host());
    }
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix("/chat/completions").unwrap_or(path);
    let path = format!("{path}/chat/completions");
    url.set_path(&path);
    url.set_fragment(None);
    Ok(url)
}

/// Whether an address is on this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

/// An address as it may be shown: `...` for user and password, and for the query, which may hold a key.
pub fn without_credentials(address: &str) -> String {
    let (scheme, rest) = address.split_once("://").map_or(("", address), |(scheme, rest)| (scheme, rest));
    let separator = if rest.len() == address.len() { "" } else { "://" };
    // In what is not an address, an `@` may be anywhere after a password.
    let end = match Url::parse(address.trim()) {
        Ok(url) if url.has_host() => rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len()),
        _ => rest.len(),
    };
    let (user, rest) = match rest[..end].rfind('@') {
        Some(at) => ("...@", &rest[at + 1..]),
        None => ("", rest),
    };
    let (rest, query) = match rest.find(['?', '#']) {
        Some(at) => (&rest[..at], "?..."),
        None => (rest, ""),
    };
    format!("{scheme}{separator}{user}{rest}{query}")
}

/// Whether a text may be shown as a faulty address: a key in its place has no scheme and no host.
pub(crate) fn looks_like_address(text: &str) -> bool {
    let text = text.trim();
    if let Some((scheme, _)) = text.split_once("://") {
        return scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
    }
    let (_, rest) = text.rsplit_once('@').unwrap_or(("", text));
    let (authority, _) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
    let is_label = |label: &str| {
        (1..=40).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    let has_port = port.is_some_and(|port| (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit()));
    host.split('.').all(is_label) && (has_port || (port.is_none() && (host.contains('.') || host == "localhost")))
}

/// `%41` is `A`; anything else stays.
pub(crate) fn percent_decode(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match hex.filter(|_| *first == b'%') {
            Some(byte) => {
                decoded.push(byte);
                rest = &after[2..];
            }
            None => {
                decoded.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_completed_once() {
        for (base, full) in [
            ("http://h/v1", "http://h/v1/chat/completions"),
            ("http://h/v1/", "http://h/v1/chat/completions"),
            ("http://h:1", "http://h:1/chat/completions"),
            ("https://h/v1/chat/completions", "https://h/v1/chat/completions"),
            ("https://h/openai/v1?api-version=preview", "https://h/openai/v1/chat/completions?api-version=preview"),
        ] {
            assert_eq!(chat_url(base).unwrap().as_str(), full);
        }
        for bad in ["", "localhost:8000/v1", "ftp://h/v1", "http://"] {
            assert!(chat_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_address_is_shown_without_user_password_and_query() {
        for (address, shown) in [
            ("http://h/v1", "http://h/v1"),
            ("https://user:pa@ss@h:1/v1/@x", "https://...@h:1/v1/@x"),
            ("https://h/v1?key=secret", "https://h/v1?..."),
            ("https://token@h/v1?a#b", "https://...@h/v1?..."),
            ("user:secret@h/v1", "...@h/v1"),
            ("http://user:sec/ret@h/v1", "http://...@h/v1"),
            ("http://user:sec?ret@h/v1", "http://...@h/v1"),
            ("localhost:8000/v1", "localhost:8000/v1"),
            ("", ""),
        ] {
            assert_eq!(without_credentials(address), shown, "{address}");
        }
    }

    #[test]
    fn a_key_is_not_an_address() {
        for text in
            ["localhost:8000/v1", "localhost", "api.example.com/v1", "ftp://h/v1", "10.0.0.1:80", "me:pw@h.org/v1"]
        {
            assert!(looks_like_address(text), "{text}");
        }
        for text in [
            "",
            "sk-proj-0123456789abcdef",
            "sk-ant-api03-x/y",
            "sk-or-v1-abc:def",
            "Bearer sk-x.y",
            "eyJhbGciOi.eyJzdWIi.c2ln",
            "0123456789abcdef0123456789abcdef01234567890.x",
            "AIzaSyA.b",
            "key sk-x://h",
        ] {
            assert!(!looks_like_address(text), "{text}");
        }
    }

    #[test]
    fn loopback_is_known_by_name_and_number() {
        for (url, loopback) in [
            ("http://localhost/", true),
            ("http://x.localhost/", true),
            ("http://127.0.0.2:1/", true),
            ("http://[::1]:8000/", true),
            ("http://192.168.1.2/", false),
            ("https://localhost.example.com/", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(url).unwrap()), loopback, "{url}");
        }
    }

    #[test]
    fn percent_triples_are_decoded_and_other_percents_stay() {
        assert_eq!(percent_decode("a%41%2f%zz%4"), "aA/%zz%4");
        assert_eq!(percent_decode("p%C3%A4%"), "pä%");
    }
}
