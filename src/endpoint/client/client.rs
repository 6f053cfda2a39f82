//! One attempt: a request, and its answer or failure.

use std::time::{Duration, Instant, SystemTime};

use reqwest::header::HeaderMap;
use reqwest::{Method, Response};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::address::{chat_url, looks_like_address, without_credentials};
use super::body;
use super::connection::Connection;
use super::error::ClientError;
use super::shown::shown;
use crate::endpoint::config::EndpointConfig;
use crate::endpoint::failure::request_id_header;
use crate::endpoint::pacing::observed::ObservedLimits;
use crate::endpoint::wire::answer::{Answer, NoAnswer};
use crate::endpoint::wire::chat::{ChatRequest, WireProfile};
use crate::endpoint::{Failure, classify_response};
use crate::feedback::ErrorCode;

/// For asking an endpoint what it is.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);
/// What the simulator adds to all of its answers.
const SIMULATOR_HEADER: &str = "x-judge-run-simulator";
/// A proxy wants to know who asks.
const PROXY_AUTHENTICATION_REQUIRED: u16 = 407;

/// Asks one model on one endpoint.
#[derive(Debug, Clone)]
pub struct Client {
    connection: Connection,
    address: String,
    model: String,
    extra_body: Map<String, Value>,
}

/// One request and what came of it.
#[derive(Debug)]
pub struct Exchange {
    /// The answer, or why there is none. Neither contains secrets.
    pub result: Result<Answer, Box<Failure>>,
    /// What the endpoint said of its quota.
    pub limits: ObservedLimits,
}

impl Client {
    /// A client with its own connections.
    ///
    /// # Errors
    /// When the address, a header, a proxy's address or a certificate file is unusable.
    pub fn new(config: &EndpointConfig, model: &str) -> Result<Self, ClientError> {
        let url = chat_url(&config.base_url).map_err(|reason| ClientError::BaseUrl {
            endpoint: config.name.clone(),
            url: looks_like_address(&config.base_url).then(|| without_credentials(&config.base_url)),
            reason,
        })?;
        let connection = Connection::new(config, &url, Ok::<_, ClientError>)?;
        Ok(Self {
            address: connection.address(),
            connection,
            extra_body: config.extra_body.clone(),
            model: model.to_owned(),
        })
    }

    /// The address of requests, as it may be shown.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Whether the endpoint is a simulator, which says so in every answer. No model is asked.
    pub async fn is_simulator(&self) -> bool {
        self.list().await.is_ok_and(|response| response.headers().contains_key(SIMULATOR_HEADER))
    }

    /// The ids of the models that the endpoint lists; `None` if it has no such list. Nothing is judged or paid for.
    ///
    /// # Errors
    /// When it does not answer, or refuses; the failure contains no secrets.
    pub async fn models(&self) -> Result<Option<Vec<String>>, Box<Failure>> {
        let result = self.listed().await;
        result.map_err(|failure| self.connection.secrets.removed_from_failure(*failure).into())
    }

    async fn listed(&self) -> Result<Option<Vec<String>>, Box<Failure>> {
        #[derive(Deserialize)]
        struct List {
            data: Vec<Model>,
        }
        #[derive(Deserialize)]
        struct Model {
            id: String,
        }
        let mut response = self.list().await.map_err(Box::new)?;
        let bytes = self.connection.body(&mut response, body::MAX_BYTES).await?;
        match response.status().as_u16() {
            200..300 => Ok(serde_json::from_slice::<List>(&bytes)
                .ok()
                .map(|list| list.data.into_iter().map(|model| model.id).collect())),
            // An API that only chats.
            400 | 404 | 405 | 501 => Ok(None),
            status => {
                let headers = self.connection.secrets.removed_from_headers(response.headers());
                Err(self.refusal(status, &headers, &bytes).into())
            }
        }
    }

    /// The response to a request for the list of models.
    async fn list(&self) -> Result<Response, Failure> {
        let mut url = self.connection.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop().pop().push("models");
        }
        let mut request = self.connection.request(Method::GET, url);
        *request.timeout_mut() = Some(PROBE_TIMEOUT);
        self.connection.send(request).await
    }

    /// The body of a request that is sent in another way.
    ///
    /// # Errors
    /// When a number of the sampling parameters is not finite.
    pub fn body(
        &self,
        request: &ChatRequest,
        profile: &WireProfile,
        max_output: u32,
    ) -> Result<Vec<u8>, serde_json::Error> {
        request.body(&self.model, profile, max_output, &self.extra_body)
    }

    /// Sends one request and reads its answer: one attempt.
    ///
    /// A failure is anything but a chat completion with at least one choice, classified.
    pub async fn ask(&self, request: &ChatRequest, profile: &WireProfile, max_output: u32) -> Exchange {
        let mut limits = ObservedLimits::default();
        let result = match self.body(request, profile, max_output) {
            Ok(body) => self.exchange(body, &mut limits).await,
            Err(error) => {
                let message = format!("cannot write the request: {error}");
                Err(Failure::new(ErrorCode::InvalidRequest, &message).into())
            }
        };
        Exchange {
            result: result.map_err(|failure| self.connection.secrets.removed_from_failure(*failure).into()),
            limits,
        }
    }

    async fn exchange(&self, body: Vec<u8>, limits: &mut ObservedLimits) -> Result<Answer, Box<Failure>> {
        let started = Instant::now();
        if tracing::enabled!(tracing::Level::DEBUG) {
            self.show("request", &format!("POST {}", self.address), &body);
        }
        let mut request = self.connection.request(Method::POST, self.connection.url.clone());
        *request.body_mut() = Some(body.into());
        let mut response = self.connection.send(request).await.map_err(|failure| self.logged(started, failure))?;
        *limits = ObservedLimits::read(response.headers(), SystemTime::now());
        let read = body::read(&mut response, self.connection.proxied(), body::MAX_BYTES).await;
        let bytes = read.map_err(|failure| self.logged(started, *failure))?;
        let bytes = body::unpacked(response.headers(), &bytes)?;
        let bytes = self.connection.secrets.removed_from(&bytes);
        let status = response.status();
        if tracing::enabled!(tracing::Level::DEBUG) {
            let what = format!("{} after {}", status.as_u16(), seconds(started.elapsed()));
            self.show("answer", &what, &bytes);
        }
        let is_simulated = response.headers().contains_key(SIMULATOR_HEADER);
        let read = if status.is_success() { Answer::from_body(&bytes) } else { Err(NoAnswer::Error) };
        match read {
            Ok(mut answer) => {
                answer.request_id = request_id_header(response.headers());
                answer.request_id.iter_mut().for_each(|id| self.connection.secrets.removed_from_text(id));
                answer.is_simulated |= is_simulated;
                Ok(answer)
            }
            Err(NoAnswer::NotCompletion(_) | NoAnswer::Error | NoAnswer::NoChoices | NoAnswer::CutStream) => {
                let headers = self.connection.secrets.removed_from_headers(response.headers());
                Err(Failure { is_simulated, ..self.refusal(status.as_u16(), &headers, &bytes) }.into())
            }
        }
    }

    /// Classifies a response that is not an answer.
    fn refusal(&self, status: u16, headers: &HeaderMap, body: &[u8]) -> Failure {
        let mut failure = classify_response(status, headers, body, SystemTime::now());
        if let Some(proxy) = self.connection.proxied() {
            let words = &failure.message;
            if status == PROXY_AUTHENTICATION_REQUIRED {
                failure.message = format!("the proxy {proxy} requires a login (HTTP {status}): {words}");
            } else if !body.trim_ascii_start().starts_with(b"{") {
                failure.message = format!("{words} (through the proxy {proxy})");
            }
        }
        failure
    }

    /// A line for `-vv`.
    fn show(&self, what: &str, about: &str, body: &[u8]) {
        let body = self.connection.secrets.removed_from(body);
        tracing::debug!("{what} {about}: {}", shown(&body));
    }

    fn logged(&self, started: Instant, failure: Failure) -> Box<Failure> {
        if tracing::enabled!(tracing::Level::DEBUG) {
            let words = self.connection.secrets.removed_from_failure(failure.clone()).to_string();
            self.show("no answer", &format!("after {}", seconds(started.elapsed())), words.as_bytes());
        }
        failure.into()
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.3} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use reqwest::header::AUTHORIZATION;
    use secrecy::SecretString;

    use super::super::proxy::Proxy;
    use super::*;

    fn config(base_url: &str, key: Option<&str>, headers: &[(&str, &str)]) -> EndpointConfig {
        EndpointConfig {
            api_key: key.map(SecretString::from),
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), SecretString::from(*value))).collect(),
            ..EndpointConfig::new("e", base_url)
        }
    }

    #[test]
    fn user_and_password_of_an_address_are_sent_as_basic_authentication() {
        let authorization = |config| {
            let client = Client::new(&config, "m").unwrap();
            assert_eq!(client.connection.url.as_str(), "http://127.0.0.1/v1/chat/completions");
            client.connection.headers.get(AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned())
        };
        let basic = Some("Basic dXNlcjpwQHNz".to_owned());
        let url = "http://user:p%40ss@127.0.0.1/v1";
        assert_eq!(authorization(config(url, None, &[])), basic);
        assert_eq!(authorization(config(url, Some("sk-key"), &[])), basic);
        let named = config(url, Some("sk-key"), &[("Authorization", "Token x")]);
        assert_eq!(authorization(named).as_deref(), Some("Token x"));
        let plain = config("http://127.0.0.1/v1", Some("sk-key"), &[]);
        assert_eq!(authorization(plain).as_deref(), Some("Bearer sk-key"));
    }

    #[test]
    fn a_client_shows_nothing_secret_of_itself() {
        let url = "http://user:p%40ssword1@127.0.0.1/v1?key=query-key-1";
        let client = Client::new(&config(url, Some("sk-key-1234"), &[("X-Auth", "Token header-1")]), "m").unwrap();
        assert_eq!(client.address(), "http://127.0.0.1/v1/chat/completions?...");
        let mut failure = Failure::new(
            ErrorCode::AuthenticationError,
            "sk-key-1234, header-1, p@ssword1, dXNlcjpwQHNzd29yZDE=, query-key-1, user",
        );
        failure = client.connection.secrets.removed_from_failure(failure);
        let r = "[redacted]";
        assert_eq!(failure.message, format!("{r}, {r}, {r}, {r}, {r}, user"));
        let debug = format!("{:?} {:?}", client.connection.secrets, client.connection.headers);
        assert!(!debug.contains("ssword1") && !debug.contains("key-1234") && !debug.contains("header-1"), "{debug}");
    }

    #[test]
    fn a_wrong_address_is_named_without_its_password() {
        let error = Client::new(&config("ftp://user:secret@h/v1?k=secret", None, &[]), "m").unwrap_err().to_string();
        assert!(error.contains("`ftp://...@h/v1?...`") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn an_answer_from_a_proxy_names_the_proxy() {
        let mut client = Client::new(&config("http://127.0.0.1/v1", None, &[]), "m").unwrap();
        let message =
            |client: &Client, status, body: &str| client.refusal(status, &HeaderMap::new(), body.as_bytes()).message;
        assert_eq!(message(&client, 502, "broken"), "broken");
        client.connection.proxy = Some(Proxy { address: "proxy:3128".to_owned(), credentials: Vec::new() });
        assert_eq!(message(&client, 407, "denied"), "the proxy proxy:3128 requires a login (HTTP 407): denied");
        assert_eq!(message(&client, 502, "broken"), "broken (through the proxy proxy:3128)");
        assert_eq!(message(&client, 502, r#"{"error":"broken"}"#), "broken");
        let failure = client.refusal(407, &HeaderMap::new(), b"denied");
        assert_eq!((failure.code, failure.fatal), (ErrorCode::ConnectionError, true));
    }
}
