//! Requests to a provider's batch API. Requests that cannot be answered now are retried; only a submission is sent once.

mod download;

use std::borrow::Cow;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Response, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::BatchError;
use super::upload::FileBody;
use crate::endpoint::client::{ClientError, Connection, without_credentials};
use crate::endpoint::config::EndpointConfig;
use crate::endpoint::pacing::backoff;
use crate::endpoint::{Failure, classify_response};
use crate::feedback::ErrorCode;

/// Attempts at one request.
const TRIES: u32 = 8;
/// No provider's description of a batch is this long.
const MAX_BODY: usize = 16 << 20;
/// For a file of hundreds of megabytes.
const TRANSFER: Duration = Duration::from_secs(3600);
/// For everything else.
const TIMEOUT: Duration = Duration::from_secs(120);
/// A provider that asks for longer is asked again after this.
const MAX_WAIT: Duration = Duration::from_secs(300);

/// The longest page of a list.
pub(super) const PAGE: &str = "100";
/// Before the deployment in Azure's older addresses.
const DEPLOYMENTS: &str = "/deployments/";

/// An endpoint's API beside chat completions.
#[derive(Debug)]
pub(super) struct Http {
    connection: Connection,
    address: String,
    deployment: Option<String>,
}

/// A page of a list.
#[derive(Deserialize)]
struct Page<T> {
    data: Vec<T>,
    #[serde(default)]
    has_more: bool,
    #[serde(default)]
    last_id: Option<String>,
}

/// What is sent.
#[derive(Clone, Copy)]
pub(super) enum Sent<'a> {
    Nothing,
    Json(&'a Value),
    /// A file of JSON.
    File(&'a Path),
    /// A form with fields and a file of this name.
    Form(&'a [(&'a str, &'a str)], &'a str, &'a Path),
}

impl Http {
    pub(super) fn new(config: &EndpointConfig) -> Result<Self, ClientError> {
        let not_url = |reason: &str| ClientError::BaseUrl {
            endpoint: config.name.clone(),
            url: Some(without_credentials(&config.base_url)),
            reason: reason.to_owned(),
        };
        let url = Url::parse(config.base_url.trim()).map_err(|_| not_url("it must begin with http:// or https://"))?;
        let mut connection = Connection::new(config, &url, |builder| Ok::<_, ClientError>(builder.timeout(TRANSFER)))?;
        let path = connection.url.path().trim_end_matches('/');
        let path = path.strip_suffix("/chat/completions").unwrap_or(path).to_owned();
        // In Azure's older addresses a deployment has a place of its own, and files and batches stand beside it.
        let (path, deployment) = match path.split_once(DEPLOYMENTS) {
            Some((path, deployment)) => (path.to_owned(), Some(deployment.to_owned())),
            None => (path, None),
        };
        connection.url.set_path(&path);
        connection.url.set_fragment(None);
        let address = connection.address().trim_end_matches('/').to_owned();
        Ok(Self { connection, address, deployment })
    }

    /// The same with a header more.
    pub(super) fn with_header(mut self, name: &'static str, value: HeaderValue) -> Self {
        self.connection.headers.insert(name, value);
        self
    }

    /// The value of a header that is sent.
    pub(super) fn header(&self, name: &str) -> Option<&HeaderValue> {
        self.connection.headers.get(name)
    }

    /// The deployment that Azure's older addresses name.
    pub(super) fn deployment(&self) -> Option<&str> {
        self.deployment.as_deref()
    }

    /// As it may be shown.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Asks until there is an answer, and reads it as JSON.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        what: &str,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        sent: Sent<'_>,
    ) -> Result<T, BatchError> {
        self.patiently(async || self.once(what, method.clone(), path, query, sent).await).await
    }

    /// Asks until there is an answer, or no sense in asking again.
    async fn patiently<T>(&self, mut once: impl AsyncFnMut() -> Result<T, BatchError>) -> Result<T, BatchError> {
        let mut tries = 0;
        loop {
            match once().await {
                Err(error) if error.may_pass() && tries + 1 < TRIES => self.wait(&error, &mut tries).await,
                result => return result,
            }
        }
    }

    async fn wait(&self, error: &BatchError, tries: &mut u32) {
        tracing::debug!("{error}");
        let asked = match error {
            BatchError::Endpoint { failure, .. } => failure.retry_after,
            _ => None,
        };
        tokio::time::sleep(asked.unwrap_or_else(|| backoff::equal_jitter(*tries)).min(MAX_WAIT)).await;
        *tries += 1;
    }

    /// Asks once.
    pub(super) async fn once<T: DeserializeOwned>(
        &self,
        what: &str,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        sent: Sent<'_>,
    ) -> Result<T, BatchError> {
        let mut response = self.send(what, method, self.url(path, query), sent, TIMEOUT).await?;
        let body = self.body(what, &mut response).await?;
        serde_json::from_slice(&body)
            .map_err(|error| BatchError::Unexpected { what: what.to_owned(), reason: error.to_string() })
    }

    /// A list whose newest come first, up to the page that has an older one.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        path: &[&str],
        after: &str,
        is_old: impl Fn(&T) -> bool,
    ) -> Result<Vec<T>, BatchError> {
        let mut all = Vec::new();
        let mut last: Option<String> = None;
        loop {
            let mut query = vec![("limit", PAGE)];
            query.extend(last.as_deref().map(|last| (after, last)));
            let page: Page<T> = self.ask("list the batches", Method::GET, path, &query, Sent::Nothing).await?;
            let is_end =
                !page.has_more || page.last_id.is_none() || page.last_id == last || page.data.iter().any(&is_old);
            all.extend(page.data.into_iter().filter(|found| !is_old(found)));
            if is_end {
                return Ok(all);
            }
            last = page.last_id;
        }
    }

    /// What a provider sent, without what must not be shown.
    pub(super) fn without_secrets<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        self.connection.secrets.removed_from(bytes)
    }

    /// Deletes files of an API that has OpenAI's `files`. One that is gone is as it should be.
    pub(super) async fn delete_files(&self, files: impl Iterator<Item = &String>) -> Result<(), BatchError> {
        for file in files {
            let path = ["files", file.as_str()];
            match self.ask::<Value>("delete a file", Method::DELETE, &path, &[], Sent::Nothing).await {
                Err(BatchError::Endpoint { failure, .. }) if failure.http_status == Some(404) => {}
                result => drop(result?),
            }
        }
        Ok(())
    }

    async fn send(
        &self,
        what: &str,
        method: Method,
        url: Url,
        sent: Sent<'_>,
        timeout: Duration,
    ) -> Result<Response, BatchError> {
        let mut request = self.connection.request(method, url);
        let io_error = |error: io::Error| BatchError::Unexpected { what: what.to_owned(), reason: error.to_string() };
        let is_file = matches!(sent, Sent::File(_) | Sent::Form(..));
        *request.timeout_mut() = Some(if is_file { TRANSFER } else { timeout });
        match sent {
            Sent::Nothing => _ = request.headers_mut().remove(CONTENT_TYPE),
            Sent::Json(json) => *request.body_mut() = Some(json.to_string().into()),
            Sent::File(file) => {
                let body = FileBody::plain(file).map_err(BatchError::file(file))?;
                *request.body_mut() = Some(reqwest::Body::wrap(body));
            }
            Sent::Form(fields, name, file) => {
                let (body, content_type) = FileBody::form(fields, name, file).map_err(BatchError::file(file))?;
                let content_type =
                    HeaderValue::from_str(&content_type).map_err(|error| io_error(io::Error::other(error)))?;
                request.headers_mut().insert(CONTENT_TYPE, content_type);
                *request.body_mut() = Some(reqwest::Body::wrap(body));
            }
        }
        let response = self.connection.send(request).await.map_err(|failure| self.failed(what, failure))?;
        self.accepted(what, response).await
    }

    /// A response with what was asked for; any other is a failure.
    async fn accepted(&self, what: &str, mut response: Response) -> Result<Response, BatchError> {
        if response.status().is_success() {
            return Ok(response);
        }
        let (status, headers) =
            (response.status().as_u16(), self.connection.secrets.removed_from_headers(response.headers()));
        let body = self.body(what, &mut response).await?;
        let mut failure = classify_response(status, &headers, &body, SystemTime::now());
        if failure.code == ErrorCode::NotFound {
            failure.message = format!("{} (at {})", failure.message, self.address);
        }
        Err(self.failed(what, failure))
    }

    async fn body(&self, what: &str, response: &mut Response) -> Result<Vec<u8>, BatchError> {
        let body = self.connection.body(response, MAX_BODY).await;
        body.map_err(|failure| self.failed(what, *failure))
    }

    fn failed(&self, what: &str, failure: Failure) -> BatchError {
        BatchError::Endpoint {
            what: what.to_owned(),
            failure: self.connection.secrets.removed_from_failure(failure).into(),
        }
    }

    /// Below the address; a query such as Azure's `api-version` stays.
    pub(super) fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.connection.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }
}

/// What is wrong with a file without a name.
pub(super) fn temporary(error: io::Error) -> BatchError {
    BatchError::file(Path::new("a temporary file"))(error)
}
