//! A way to a server: its address, the proxy in between, the headers of every request, and what must never be shown of them.

use reqwest::header::{AUTHORIZATION, HeaderMap};
use reqwest::{ClientBuilder, Method, Request, Response, Url};
use secrecy::SecretString;

use super::address::is_loopback;
use super::error::ClientError;
use super::headers::headers;
use super::proxy::{Proxy, proxy_for};
use super::secrets::Secrets;
use super::transport::{builder, cause_of};
use super::{body, without_credentials};
use crate::endpoint::config::EndpointConfig;
use crate::endpoint::{Failure, classify_transport};

/// Its own connections, to one server.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    pub(super) http: reqwest::Client,
    /// Without user and password, which are a header.
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) proxy: Option<Proxy>,
    /// To be removed from anything that a server echoes.
    pub(crate) secrets: Secrets,
}

impl Connection {
    /// A connection to this address, by an endpoint's settings; `set_up` changes the transport further.
    ///
    /// # Errors
    /// When a header, a proxy's address or a certificate file is unusable, and those of `set_up`.
    pub(crate) fn new<E: From<ClientError>>(
        config: &EndpointConfig,
        url: &Url,
        set_up: impl FnOnce(ClientBuilder) -> Result<ClientBuilder, E>,
    ) -> Result<Self, E> {
        // Proxy variables are for other hosts.
        let proxy = if is_loopback(url) { None } else { proxy_for(url)? };
        let http_error = |error| ClientError::Http { endpoint: config.name.clone(), reason: cause_of(&error) };
        let http = set_up(builder(config, url, proxy.is_some())?)?.build().map_err(http_error)?;
        // reqwest moves user and password from the address to a header.
        let request = http.get(url.clone()).build().map_err(http_error)?;
        let basic = request.headers().get(AUTHORIZATION);
        let base64 = basic.and_then(|basic| basic.to_str().ok()?.split_whitespace().next_back());
        let of_proxy = proxy.iter().flat_map(|proxy| proxy.credentials.iter().cloned());
        let secrets = Secrets::of(config, url, base64.map(SecretString::from).into_iter().chain(of_proxy));
        let headers = headers(config, basic)?;
        Ok(Self { http, url: request.url().clone(), headers, proxy, secrets })
    }

    /// The address as it may be shown.
    pub(crate) fn address(&self) -> String {
        without_credentials(self.url.as_str())
    }

    /// The address of the proxy in between.
    pub(crate) fn proxied(&self) -> Option<&str> {
        self.proxy.as_ref().map(|proxy| proxy.address.as_str())
    }

    /// A request with the headers of all.
    pub(crate) fn request(&self, method: Method, url: Url) -> Request {
        let mut request = Request::new(method, url);
        *request.headers_mut() = self.headers.clone();
        request
    }

    /// Sends a request.
    ///
    /// # Errors
    /// When nothing is answered. Secrets are still in it.
    pub(crate) async fn send(&self, request: Request) -> Result<Response, Failure> {
        self.http.execute(request).await.map_err(|error| classify_transport(&error, self.proxied()))
    }

    /// The body of a response, decompressed and without secrets, if it is not longer than `max`.
    ///
    /// # Errors
    /// When it is longer, breaks off, or cannot be decompressed. Secrets are still in it.
    pub(crate) async fn body(&self, response: &mut Response, max: usize) -> Result<Vec<u8>, Box<Failure>> {
        let bytes = body::read(response, self.proxied(), max).await?;
        let unpacked = body::unpacked(response.headers(), &bytes)?;
        Ok(self.secrets.removed_from(&unpacked).into_owned())
    }
}
