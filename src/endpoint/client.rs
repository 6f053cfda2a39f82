//! The HTTP client of one endpoint and model: one attempt, one answer or one failure.

use std::cmp::Reverse;
use std::time::{Duration, SystemTime};

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use crate::endpoint::config::EndpointConfig;
use crate::endpoint::failure::request_id_header;
use crate::endpoint::pacing::observed::ObservedLimits;
use crate::endpoint::provider::KeyHeader;
use crate::endpoint::wire::answer::{Answer, NoAnswer};
use crate::endpoint::wire::chat::{ChatRequest, WireProfile};
use crate::endpoint::{Failure, classify_response, classify_transport};
use crate::feedback::ErrorCode;

/// Connecting takes a round trip or three; a server that needs longer is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Once an answer has begun, this long without a byte means that the rest will not come.
const IDLE_BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// Shorter words before others in a header are schemes.
const SHORTEST_SECRET: usize = 8;
/// Shorter words of an address are names, not tokens.
const SHORTEST_TOKEN: usize = 16;
/// What the simulator adds to all of its answers.
const SIMULATOR_HEADER: &str = "x-judge-run-simulator";
/// No verdict is this long.
const MAX_BODY_BYTES: usize = 16 << 20;

/// Asks one model on one endpoint.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    url: Url,
    headers: HeaderMap,
    model: String,
    extra_body: Map<String, Value>,
    /// To be removed from anything that a server echoes.
    secrets: Vec<SecretString>,
}

/// One request and what came of it.
#[derive(Debug)]
pub struct Exchange {
    /// The answer, or why there is none.
    pub result: Result<Answer, Box<Failure>>,
    /// What the endpoint said of its quota.
    pub limits: ObservedLimits,
}

/// Why there can be no client for an endpoint.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address is none.
    #[error("the base URL `{url}` of endpoint `{endpoint}` is not an http(s) URL: {reason}")]
    BaseUrl {
        /// The endpoint's name.
        endpoint: String,
        /// As configured.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// A header or the key cannot stand in a request.
    #[error("{what} of endpoint `{endpoint}` has characters that no HTTP header can have (a stray newline or quote?)")]
    Header {
        /// The endpoint's name.
        endpoint: String,
        /// Which header; never its value.
        what: String,
    },
    /// The file of certificate authorities.
    #[error("cannot use the CA certificates in {path}: {reason}")]
    CaCert {
        /// As configured.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// The HTTP or TLS library cannot start.
    #[error("cannot set up HTTP for endpoint `{endpoint}`: {reason}")]
    Http {
        /// The endpoint's name.
        endpoint: String,
        /// The library's words.
        reason: String,
    },
}

impl Client {
    /// A client with connections of its own.
    ///
    /// It speaks HTTP/1.1: one HTTP/2 connection would carry about 100 requests at a time, and the rest would wait unseen. It
    /// follows no redirect, which could carry the key elsewhere, and retries nothing by itself, so that attempts are counted truly.
    ///
    /// # Errors
    /// When the address, a header or a certificate file is unusable.
    pub fn new(config: &EndpointConfig, model: &str) -> Result<Self, ClientError> {
        let endpoint = || config.name.clone();
        let url = chat_url(&config.base_url).map_err(|reason| ClientError::BaseUrl {
            endpoint: endpoint(),
            url: without_credentials(&config.base_url),
            reason,
        })?;
        let http_error = |error: reqwest::Error| ClientError::Http { endpoint: endpoint(), reason: cause_of(&error) };
        let mut builder = reqwest::Client::builder()
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(config.timeout)
            .tcp_nodelay(true)
            .user_agent(HeaderValue::from_static(concat!("judge-run/", env!("CARGO_PKG_VERSION"))))
            .pool_max_idle_per_host(config.concurrency.max(1));
        // A proxy variable is meant for the world outside.
        if is_loopback(&url) {
            builder = builder.no_proxy();
        }
        if url.scheme() == "https" {
            // An error only says that somebody installed a provider before us.
            let _ = rustls::crypto::ring::default_provider().install_default();
            if let Some(path) = &config.ca_cert {
                let ca_error = |reason: String| ClientError::CaCert { path: path.display().to_string(), reason };
                let pem = std::fs::read(path).map_err(|error| ca_error(error.to_string()))?;
                let certificates =
                    reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| ca_error(cause_of(&error)))?;
                if certificates.is_empty() {
                    return Err(ca_error("there is no certificate in it; PEM is expected".to_owned()));
                }
                builder = builder.tls_certs_merge(certificates);
            }
        } else {
            // No certificates to load, nor to miss on a machine that has none.
            let _ = rustls::crypto::ring::default_provider().install_default();
            builder = builder.tls_certs_only([]);
        }
        let http = builder.build().map_err(http_error)?;
        let mut secrets = secrets(config, &url);
        // reqwest takes user and password out of the address and makes a header of them.
        let request = http.post(url).build().map_err(http_error)?;
        let basic = request.headers().get(AUTHORIZATION);
        secrets.extend(basic.and_then(|basic| basic.to_str().ok()).and_then(last_word).map(SecretString::from));
        Ok(Self {
            http,
            url: request.url().clone(),
            extra_body: config.extra_body.clone(),
            headers: headers(config, basic)?,
            model: model.to_owned(),
            secrets,
        })
    }

    /// Where requests go.
    pub fn address(&self) -> &str {
        self.url.as_str()
    }

    /// Whether the endpoint is a simulator, which says so in every answer. No model is asked.
    pub async fn is_simulator(&self) -> bool {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop().pop().push("models");
        }
        let request = self.http.get(url).headers(self.headers.clone()).timeout(CONNECT_TIMEOUT);
        request.send().await.is_ok_and(|response| response.headers().contains_key(SIMULATOR_HEADER))
    }

    /// Sends one request and reads its answer: one attempt.
    ///
    /// A failure is anything but a chat completion with at least one choice, classified, with the key removed from its text.
    pub async fn ask(&self, request: &ChatRequest, profile: &WireProfile, max_output: u32) -> Exchange {
        let mut limits = ObservedLimits::default();
        let result = match request.body(&self.model, profile, max_output, &self.extra_body) {
            Ok(body) => self.exchange(body, &mut limits).await,
            Err(error) => {
                let message = format!("cannot write the request: {error}");
                Err(Failure::new(ErrorCode::InvalidRequest, &message).into())
            }
        };
        Exchange { result: result.map_err(|failure| self.redacted(*failure).into()), limits }
    }

    /// A failure without anything that the server should not have repeated.
    fn redacted(&self, failure: Failure) -> Failure {
        self.secrets.iter().fold(failure, |failure, secret| failure.redact(secret.expose_secret()))
    }

    async fn exchange(&self, body: Vec<u8>, limits: &mut ObservedLimits) -> Result<Answer, Box<Failure>> {
        let transport = |error: reqwest::Error| Box::new(classify_transport(&error));
        let mut request = reqwest::Request::new(Method::POST, self.url.clone());
        *request.headers_mut() = self.headers.clone();
        *request.body_mut() = Some(body.into());
        let mut response = self.http.execute(request).await.map_err(transport)?;
        *limits = ObservedLimits::read(response.headers(), SystemTime::now());
        let refusal = |response: &reqwest::Response, body: &[u8]| {
            let status = response.status().as_u16();
            Box::new(classify_response(status, response.headers(), body, SystemTime::now()))
        };
        let mut bytes = Vec::new();
        loop {
            match tokio::time::timeout(IDLE_BODY_TIMEOUT, response.chunk()).await {
                Ok(Ok(Some(chunk))) if bytes.len() + chunk.len() <= MAX_BODY_BYTES => bytes.extend_from_slice(&chunk),
                Ok(Ok(Some(_))) => {
                    let message = format!("the answer is longer than {} MiB", MAX_BODY_BYTES >> 20);
                    return Err(Failure::new(ErrorCode::MalformedResponse, &message).into());
                }
                Ok(Ok(None)) => break,
                Ok(Err(error)) => return Err(transport(error)),
                Err(_) => {
                    let message = format!("the answer stopped in the middle for {} s", IDLE_BODY_TIMEOUT.as_secs());
                    return Err(Failure::new(ErrorCode::Timeout, &message).into());
                }
            }
        }
        if !response.status().is_success() {
            return Err(refusal(&response, &bytes));
        }
        match Answer::from_body(&bytes) {
            Ok(mut answer) => {
                answer.request_id = request_id_header(response.headers());
                answer.is_simulated |= response.headers().contains_key(SIMULATOR_HEADER);
                Ok(answer)
            }
            Err(NoAnswer::NotCompletion(_) | NoAnswer::Error | NoAnswer::NoChoices) => Err(refusal(&response, &bytes)),
        }
    }
}

/// All that a server could echo and nobody should read.
fn secrets(config: &EndpointConfig, url: &Url) -> Vec<SecretString> {
    let values = || config.headers.iter().map(|(_, value)| value.expose_secret());
    // Of a value such as `Bearer KEY` a server may echo the key alone. Shorter words than a secret are schemes and the like.
    let long = values().flat_map(str::split_whitespace).filter(|word| word.len() >= SHORTEST_SECRET);
    let words = long.chain(values().filter_map(last_word));
    let decoded = |text: &str| percent_decode(text.as_bytes());
    let (user, password) = (url.username(), url.password().unwrap_or_default());
    // A token may stand in place of the user's name; a plain name is no secret.
    let user_is_token = !user.is_empty() && (password.is_empty() || user.len() >= SHORTEST_TOKEN);
    let in_url = [Some(password), user_is_token.then_some(user)].into_iter().flatten();
    let in_url: Vec<String> = in_url.flat_map(|text| [decoded(text), text.to_owned()]).collect();
    let plain = values().chain(words).map(ToOwned::to_owned).chain(in_url).filter(|text| !text.is_empty());
    let mut secrets: Vec<SecretString> = config.api_key.iter().chain(&config.secrets).cloned().collect();
    secrets.extend(plain.map(SecretString::from));
    // The longest first: a part that went before would spoil the whole.
    secrets.sort_by_key(|secret| Reverse(secret.expose_secret().len()));
    secrets
}

fn last_word(text: &str) -> Option<&str> {
    text.split_whitespace().next_back()
}

/// `%41` is `A`; what is no such triple stays.
fn percent_decode(text: &[u8]) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
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

/// An address as it may be shown: `...` for user and password, and for the query, which may hold a key.
pub fn without_credentials(address: &str) -> String {
    let (scheme, rest) = address.split_once("://").map_or(("", address), |(scheme, rest)| (scheme, rest));
    let separator = if rest.len() == address.len() { "" } else { "://" };
    // In an address that is none, an `@` may stand anywhere behind a password.
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

/// `basic` is what stands in the address, and wins over the key, as in other clients; a header that was named wins over both.
fn headers(config: &EndpointConfig, basic: Option<&HeaderValue>) -> Result<HeaderMap, ClientError> {
    let unusable = |what: String| ClientError::Header { endpoint: config.name.clone(), what };
    let secret = |text: &str, what: String| {
        let mut value = HeaderValue::from_str(text).map_err(|_| unusable(what))?;
        value.set_sensitive(true);
        Ok(value)
    };
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(key) = &config.api_key {
        let what = "the API key".to_owned();
        match config.key_header {
            KeyHeader::Bearer => {
                headers.insert(AUTHORIZATION, secret(&format!("Bearer {}", key.expose_secret()), what)?)
            }
            KeyHeader::ApiKey => headers.insert("api-key", secret(key.expose_secret(), what)?),
        };
    }
    if let Some(basic) = basic {
        headers.insert(AUTHORIZATION, basic.clone());
    }
    for (name, value) in &config.headers {
        let what = || format!("the header `{name}`");
        let name = HeaderName::try_from(name.as_str()).map_err(|_| unusable(what()))?;
        headers.insert(name, secret(value.expose_secret(), what())?);
    }
    Ok(headers)
}

/// `base_url` with `/chat/completions` at its end, exactly once; a query such as Azure's `api-version` stays.
fn chat_url(base_url: &str) -> Result<Url, String> {
    let mut url = Url::parse(base_url.trim()).map_err(|error| error.to_string())?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err("it must begin with http:// or https:// and name a host".to_owned());
    }
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix("/chat/completions").unwrap_or(path);
    let path = format!("{path}/chat/completions");
    url.set_path(&path);
    url.set_fragment(None);
    Ok(url)
}

/// Whether an address is on this machine.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

/// The innermost cause: what an HTTP library really has to say.
fn cause_of(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).last().map(ToString::to_string).unwrap_or_default()
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

    fn config(base_url: &str, key: Option<&str>, headers: &[(&str, &str)]) -> EndpointConfig {
        EndpointConfig {
            api_key: key.map(SecretString::from),
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), SecretString::from(*value))).collect(),
            secrets: vec![SecretString::from("variable-1")],
            ..EndpointConfig::new("e", base_url)
        }
    }

    #[test]
    fn user_and_password_of_an_address_are_sent_as_basic_authentication() {
        let authorization = |config| {
            let client = Client::new(&config, "m").unwrap();
            assert_eq!(client.url.as_str(), "http://h/v1/chat/completions");
            client.headers.get(AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned())
        };
        let basic = Some("Basic dXNlcjpwQHNz".to_owned());
        assert_eq!(authorization(config("http://user:p%40ss@h/v1", None, &[])), basic);
        assert_eq!(authorization(config("http://user:p%40ss@h/v1", Some("sk-key"), &[])), basic);
        let named = config("http://user:p%40ss@h/v1", Some("sk-key"), &[("Authorization", "Token x")]);
        assert_eq!(authorization(named).as_deref(), Some("Token x"));
        assert_eq!(authorization(config("http://h/v1", Some("sk-key"), &[])).as_deref(), Some("Bearer sk-key"));
    }

    #[test]
    fn whatever_part_of_a_secret_a_server_echoes_is_redacted() {
        let url = "http://user:p%40ssword1@h/v1";
        let client = Client::new(&config(url, Some("sk-key-1234"), &[("X-Auth", "Token header-1")]), "m").unwrap();
        let echoed =
            "sk-key-1234, Token header-1, header-1, variable-1, p@ssword1, p%40ssword1, dXNlcjpwQHNzd29yZDE=, user";
        let failure = Failure::new(ErrorCode::AuthenticationError, echoed);
        let r = "[redacted]";
        assert_eq!(client.redacted(failure).message, format!("{r}, {r}, {r}, {r}, {r}, {r}, {r}, user"));
        assert!(!format!("{client:?}").contains("ssword1"), "{client:?}");
        let client = Client::new(&config("http://a-token@h/v1", None, &[]), "m").unwrap();
        let failure = Failure::new(ErrorCode::AuthenticationError, "a-token is wrong");
        assert_eq!(client.redacted(failure).message, "[redacted] is wrong");
    }

    #[test]
    fn an_address_that_is_none_is_named_without_its_password() {
        let error = Client::new(&config("ftp://user:secret@h/v1?k=secret", None, &[]), "m").unwrap_err().to_string();
        assert!(error.contains("`ftp://...@h/v1?...`") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn loopback_is_known_by_name_and_number() {
        for (url, loopback) in [
            ("http://localhost/", true),
            ("http://127.0.0.2:1/", true),
            ("http://[::1]:8000/", true),
            ("http://192.168.1.2/", false),
            ("https://localhost.example.com/", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(url).unwrap()), loopback, "{url}");
        }
    }
}
