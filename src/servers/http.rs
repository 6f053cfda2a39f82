//! JSON over HTTP. Requests that a server does not answer, or cannot answer now, are retried; every request here may be sent twice.

use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{ClientBuilder, Method, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::ServerError;
use crate::endpoint::Failure;
use crate::endpoint::client::{Connection, without_credentials};
use crate::endpoint::config::EndpointConfig;
use crate::feedback::ErrorCode;

/// The waits between attempts: a server that restarts is back after some of them.
const WAITS: [Duration; 7] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(15),
    Duration::from_secs(15),
];
/// A server that has never answered probably does not exist.
const WAITS_BEFORE_FIRST_ANSWER: usize = 2;
/// The longest wait that a server may ask for; a longer one is a day's quota.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);
/// Servers close idle connections after five seconds (uvicorn's default).
const IDLE: Duration = Duration::from_secs(3);
/// A trace may contain documents and images, and several come together.
const MAX_BYTES: usize = 256 << 20;
/// Of a message in HTML or text.
const MAX_MESSAGE: usize = 300;

/// A server that speaks JSON.
#[derive(Debug)]
pub(crate) struct Http {
    connection: Connection,
    address: String,
    has_answered: AtomicBool,
}

/// An answer, of whatever status; without secrets.
#[derive(Debug)]
pub(crate) struct Reply {
    request: String,
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Http {
    /// `set_up` changes the transport further.
    pub(crate) fn new(
        config: &EndpointConfig,
        set_up: impl FnOnce(ClientBuilder) -> Result<ClientBuilder, ServerError>,
    ) -> Result<Self, ServerError> {
        let not_address = || ServerError::NotAddress { value: without_credentials(&config.base_url) };
        let url = Url::parse(config.base_url.trim()).map_err(|_| not_address())?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
            return Err(not_address());
        }
        let mut connection = Connection::new(config, &url, |builder| set_up(builder.pool_idle_timeout(IDLE)))?;
        connection.url.set_query(None);
        connection.url.set_fragment(None);
        let address = connection.address().trim_end_matches('/').to_owned();
        Ok(Self { connection, address, has_answered: AtomicBool::new(false) })
    }

    /// As it may be shown, without a slash at its end.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Asks, and reads the answer as JSON.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<T, ServerError> {
        self.send(Method::GET, path, query, None).await?.json()
    }

    /// Sends JSON, and reads the answer as JSON.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &(impl Serialize + Sync),
    ) -> Result<T, ServerError> {
        self.send_json(Method::POST, path, body).await?.json()
    }

    /// Sends JSON.
    pub(crate) async fn send_json(
        &self,
        method: Method,
        path: &[&str],
        body: &(impl Serialize + Sync),
    ) -> Result<Reply, ServerError> {
        let body = serde_json::to_vec(body).map_err(|error| ServerError::Unexpected {
            request: path.join("/"),
            reason: format!("it cannot be written: {error}"),
        })?;
        self.send(method, path, &[], Some(body)).await
    }

    /// Sends a request until it is answered. Each item of `path` is one segment, or several that are separated by slashes and need no escapes.
    ///
    /// # Errors
    /// When the server does not answer, refuses access, or cannot answer now or soon.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<Vec<u8>>,
    ) -> Result<Reply, ServerError> {
        let url = self.url(path, query);
        let request = format!("{method} {}", url.path());
        let mut attempt = 0;
        loop {
            let mut sent = self.connection.request(method.clone(), url.clone());
            *sent.body_mut() = body.clone().map(Into::into);
            let (problem, wait) = match self.exchange(sent).await {
                Ok((status @ (429 | 502 | 503 | 504), body, wait)) => {
                    let (code, message) = said(&body);
                    (ServerError::Status { request: request.clone(), status, code, message }, wait)
                }
                Ok((status @ (401 | 403), body, _)) => {
                    let message = said(&body).1;
                    return Err(ServerError::Refused { address: self.address.clone(), status, message });
                }
                Ok((status, body, _)) => {
                    self.has_answered.store(true, Ordering::Relaxed);
                    return Ok(Reply { request, status, body });
                }
                Err(failure) if failure.code == ErrorCode::MalformedResponse => {
                    return Err(ServerError::Unexpected { request, reason: failure.message });
                }
                Err(failure) => {
                    let reason = self.connection.secrets.removed_from_failure(*failure).message;
                    (ServerError::Unreachable { address: self.address.clone(), reason }, None)
                }
            };
            let last = if self.has_answered.load(Ordering::Relaxed) { WAITS.len() } else { WAITS_BEFORE_FIRST_ANSWER };
            let Some(usual) = WAITS[..last].get(attempt) else { return Err(problem) };
            tracing::debug!("{request}: {problem}");
            tokio::time::sleep(wait.unwrap_or(*usual).min(MAX_RETRY_AFTER)).await;
            attempt += 1;
        }
    }

    /// One attempt: the status, the body, and how long the server asks to wait.
    async fn exchange(&self, request: reqwest::Request) -> Result<(u16, Vec<u8>, Option<Duration>), Box<Failure>> {
        let mut response = self.connection.send(request).await?;
        let body = self.connection.body(&mut response, MAX_BYTES).await?;
        let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        Ok((response.status().as_u16(), body, seconds.map(Duration::from_secs)))
    }

    fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.connection.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty();
            match path {
                [first, rest @ ..] => segments.extend(first.split('/')).extend(rest),
                [] => &mut segments,
            };
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }
}

impl Reply {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body of an answer that is one.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, ServerError> {
        if !self.is_success() {
            return Err(self.error());
        }
        serde_json::from_slice(&self.body)
            .map_err(|error| ServerError::Unexpected { request: self.request.clone(), reason: error.to_string() })
    }

    /// What it says of what is wrong.
    pub(crate) fn error(&self) -> ServerError {
        let (code, message) = said(&self.body);
        ServerError::Status { request: self.request.clone(), status: self.status, code, message }
    }
}

/// A server's error code and message: JSON, or the first line of a text or of a page's text.
fn said(body: &[u8]) -> (Option<String>, String) {
    let text = |value: &Value, keys: &[&str]| {
        keys.iter().find_map(|key| value.get(key)?.as_str().map(ToOwned::to_owned)).filter(|text| !text.is_empty())
    };
    if let Ok(value) = serde_json::from_slice::<Value>(body) {
        let code = text(&value, &["error_code", "code"]);
        if let Some(message) = text(&value, &["message", "detail", "error"]) {
            return (code, shortened(&message));
        }
    }
    let body = String::from_utf8_lossy(body);
    let (mut plain, mut is_tag) = (String::new(), false);
    for c in body.chars().take(10 * MAX_MESSAGE) {
        match c {
            '<' => is_tag = true,
            '>' => {
                is_tag = false;
                plain.push(' ');
            }
            c if !is_tag => plain.push(c),
            _ => {}
        }
    }
    let words = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    (None, if words.is_empty() { "no explanation".to_owned() } else { shortened(&words) })
}

fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(MAX_MESSAGE).collect();
    if short.len() < text.len() {
        let _ = write!(short, "...");
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(base_url: &str) -> Http {
        Http::new(&EndpointConfig::new("mlflow", base_url), Ok).unwrap()
    }

    #[test]
    fn paths_are_put_below_the_address_and_escaped() {
        let url = |base: &str, path: &[&str]| http(base).url(path, &[]).to_string();
        assert_eq!(url("http://127.0.0.1:1", &["api/3.0/traces", "tr-1"]), "http://127.0.0.1:1/api/3.0/traces/tr-1");
        assert_eq!(url("http://127.0.0.1:1/ml/", &["api", "a/b?c"]), "http://127.0.0.1:1/ml/api/a%2Fb%3Fc");
        let queried = http("http://127.0.0.1:1").url(&["get"], &[("name", "a b&c")]);
        assert_eq!(queried.query(), Some("name=a+b%26c"));
        assert_eq!(http("http://user:secret-1@127.0.0.1:1/ml/?key=k").address(), "http://127.0.0.1:1/ml");
    }

    #[test]
    fn what_is_no_address_is_said_without_its_credentials() {
        for bad in ["databricks", "sqlite:///mlflow.db", "file:///mlruns", "http://"] {
            let error = Http::new(&EndpointConfig::new("mlflow", bad), Ok).unwrap_err();
            assert!(matches!(&error, ServerError::NotAddress { value } if value == bad), "{error}");
        }
        let error = Http::new(&EndpointConfig::new("mlflow", "ftp://u:secret@h"), Ok).unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }

    #[test]
    fn servers_say_what_is_wrong_in_json_text_or_a_page() {
        let json = br#"{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"Trace not found."}"#;
        assert_eq!(said(json), (Some("RESOURCE_DOES_NOT_EXIST".into()), "Trace not found.".into()));
        let page = b"<!doctype html>\n<html><title>405 Method Not Allowed</title>\n<p>No.</p>";
        assert_eq!(said(page), (None, "405 Method Not Allowed No.".into()));
        assert_eq!(said(b""), (None, "no explanation".into()));
        assert_eq!(said("x".repeat(1000).as_bytes()).1.len(), MAX_MESSAGE + 3);
    }
}
