//! The HTTP client of one endpoint and model: one attempt, one answer or one failure.

use std::time::{Duration, SystemTime};

use reqwest::Url;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use super::chat::{Answer, ChatRequest, NoAnswer, WireProfile};
use super::classify::request_id_header;
use super::config::EndpointConfig;
use super::observed::ObservedLimits;
use super::provider::KeyHeader;
use super::{Failure, classify_response, classify_transport};
use crate::feedback::ErrorCode;

/// Connecting takes a round trip or three; a server that needs longer is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Once an answer has begun, this long without a byte means that the rest will not come.
const IDLE_BODY_TIMEOUT: Duration = Duration::from_secs(60);
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
    timeout: Duration,
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
            url: config.base_url.clone(),
            reason,
        })?;
        let http_error = |error: reqwest::Error| ClientError::Http { endpoint: endpoint(), reason: cause_of(&error) };
        let mut builder = reqwest::Client::builder()
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .user_agent(concat!("judge-run/", env!("CARGO_PKG_VERSION")))
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
        Ok(Self {
            http: builder.build().map_err(http_error)?,
            url,
            extra_body: config.extra_body.clone(),
            headers: headers(config)?,
            model: model.to_owned(),
            timeout: config.timeout,
            secrets: secrets(config),
        })
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
        let redact = |failure: Box<Failure>| {
            Box::new(self.secrets.iter().fold(*failure, |failure, secret| failure.redact(secret.expose_secret())))
        };
        Exchange { result: result.map_err(redact), limits }
    }

    async fn exchange(&self, body: Vec<u8>, limits: &mut ObservedLimits) -> Result<Answer, Box<Failure>> {
        let transport = |error: reqwest::Error| Box::new(classify_transport(&error));
        let mut response = self
            .http
            .post(self.url.clone())
            .headers(self.headers.clone())
            .timeout(self.timeout)
            .body(body)
            .send()
            .await
            .map_err(transport)?;
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
                Ok(answer)
            }
            Err(NoAnswer::NotCompletion(_) | NoAnswer::Error | NoAnswer::NoChoices) => Err(refusal(&response, &bytes)),
        }
    }
}

/// All that must not be seen in a server's words. Of a header's value, such as `Bearer KEY`, a server may echo the key alone.
fn secrets(config: &EndpointConfig) -> Vec<SecretString> {
    /// Shorter words are schemes and the like.
    const SHORTEST_SECRET: usize = 8;
    let values = config.headers.iter().map(|(_, value)| value);
    let words = values.clone().flat_map(|value| value.expose_secret().split_whitespace());
    let words = words.filter(|word| word.len() >= SHORTEST_SECRET).map(SecretString::from);
    config.api_key.iter().chain(values).cloned().chain(words).collect()
}

fn headers(config: &EndpointConfig) -> Result<HeaderMap, ClientError> {
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
