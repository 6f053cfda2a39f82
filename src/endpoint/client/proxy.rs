//! The proxy between us and an endpoint. The HTTP library finds it in the environment by itself; this knows which one it is, so that its
//! failures are not taken for the endpoint's.

use std::env;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Url;
use reqwest::header::HeaderValue;
use secrecy::SecretString;

use super::address::{percent_decode, without_credentials};
use super::error::ClientError;

/// The variables for each scheme and for all, in the order in which the library looks for them.
const HTTP: [&str; 2] = ["HTTP_PROXY", "http_proxy"];
const HTTPS: [&str; 2] = ["HTTPS_PROXY", "https_proxy"];
const ALL: [&str; 2] = ["ALL_PROXY", "all_proxy"];
const NO: [&str; 2] = ["NO_PROXY", "no_proxy"];
/// In a CGI script, `HTTP_PROXY` comes from a client's header, and the library ignores all of them.
const CGI: &str = "REQUEST_METHOD";

/// A proxy that requests go through.
#[derive(Debug, Clone)]
pub(crate) struct Proxy {
    /// Its host and port.
    pub(crate) address: String,
    /// Its credentials, which must not be shown.
    pub(crate) credentials: Vec<SecretString>,
}

/// The proxy for this address, if there is one.
///
/// # Errors
/// When a variable that names one is not an address: the library would ignore it and bypass the proxy.
pub(crate) fn proxy_for(url: &Url) -> Result<Option<Proxy>, ClientError> {
    let set = |names: [&'static str; 2]| names.into_iter().find_map(|name| Some((name, env::var(name).ok()?)));
    let own = if url.scheme() == "https" { HTTPS } else { HTTP };
    let no = set(NO).map(|(_, hosts)| hosts).unwrap_or_default();
    for (variable, value) in [set(own), set(ALL)].into_iter().flatten().filter(|_| env::var_os(CGI).is_none()) {
        if !value.is_empty()
            && is_proxied(url, &no)
            && through(&Matcher::builder().all(value.as_str()).build(), url).is_none()
        {
            return Err(ClientError::Proxy { variable, value: without_credentials(&value) });
        }
    }
    let mut proxy = through(&Matcher::from_system(), url);
    if let Some(proxy) = &mut proxy {
        let addresses = [set(own), set(ALL)].into_iter().flatten().filter_map(|(_, value)| Url::parse(&value).ok());
        let passwords = addresses.filter_map(|address| address.password().map(percent_decode));
        proxy.credentials.extend(passwords.map(SecretString::from));
    }
    Ok(proxy)
}

/// Whether this host is not among those that are reached without a proxy.
fn is_proxied(url: &Url, no: &str) -> bool {
    through(&Matcher::builder().all("http://proxy").no(no).build(), url).is_some()
}

fn through(matcher: &Matcher, url: &Url) -> Option<Proxy> {
    let proxy = matcher.intercept(&url.as_str().parse().ok()?)?;
    let basic =
        proxy.basic_auth().and_then(|value: &HeaderValue| value.to_str().ok()).and_then(|text| text.split(' ').nth(1));
    let raw = proxy.raw_auth().map(|(_, password)| password);
    Some(Proxy {
        address: proxy.uri().authority().map(ToString::to_string).unwrap_or_default(),
        credentials: basic.into_iter().chain(raw).map(SecretString::from).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn a_proxy_is_known_by_its_address_and_its_credentials_apart() {
        let through = |proxy: &str| through(&Matcher::builder().all(proxy).build(), &url("https://api.example/v1"));
        let proxy = through("http://user:p4ssword@proxy.example:3128/").unwrap();
        assert_eq!((proxy.address.as_str(), proxy.credentials.len()), ("proxy.example:3128", 1));
        assert_eq!(through("proxy.example:3128").unwrap().address, "proxy.example:3128");
        assert_eq!(through("socks5h://user:p4ssword@proxy.example:1080").unwrap().credentials.len(), 1);
        for bad in ["http://", "ftp://proxy", "http//proxy:3128", "not a proxy"] {
            assert!(through(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn some_hosts_are_reached_without_a_proxy() {
        let proxied = |no: &str| is_proxied(&url("https://api.example/v1"), no);
        assert!(proxied("") && proxied("localhost,other.example"));
        assert!(!proxied("localhost, .example") && !proxied("*"));
    }
}
