//! The HTTP library, set up for one endpoint.

use std::time::Duration;

use reqwest::Url;
use reqwest::header::HeaderValue;

use super::error::ClientError;
use crate::endpoint::config::EndpointConfig;

/// Connecting takes one to three round trips; a server that needs longer is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Each gateway adds some headers of its own.
const MAX_HEADERS: usize = 256;

/// A client builder. It speaks HTTP/1.1: one HTTP/2 connection would carry about 100 requests at a time, and the rest would wait unseen. It
/// follows no redirect, which could carry the key elsewhere, and retries nothing by itself, so that the count of attempts is true.
pub(super) fn builder(
    config: &EndpointConfig,
    url: &Url,
    uses_proxy: bool,
) -> Result<reqwest::ClientBuilder, ClientError> {
    let mut builder = reqwest::Client::builder()
        .http1_only()
        .http1_max_headers(MAX_HEADERS)
        .redirect(reqwest::redirect::Policy::none())
        // `never` alone would still copy every request, to be ready for a retry.
        .retry(reqwest::retry::never().max_retries_per_request(0))
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(config.timeout)
        .tcp_nodelay(true)
        .user_agent(HeaderValue::from_static(concat!("judge-run/", env!("CARGO_PKG_VERSION"))))
        .pool_max_idle_per_host(config.concurrency.max(1));
    if !uses_proxy {
        builder = builder.no_proxy();
    }
    // An error only says that another library installed a provider before us.
    let _ = rustls::crypto::ring::default_provider().install_default();
    if url.scheme() == "https" {
        if let Some(path) = &config.ca_cert {
            let ca_error = |reason: String| ClientError::CaCert { path: path.clone(), reason };
            let pem = std::fs::read(path).map_err(|error| ca_error(error.to_string()))?;
            let certificates =
                reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| ca_error(cause_of(&error)))?;
            if certificates.is_empty() {
                return Err(ca_error("no certificate found; expected PEM".to_owned()));
            }
            builder = builder.tls_certs_merge(certificates);
        }
    } else {
        // No certificates to load, and none missing on a machine without any.
        builder = builder.tls_certs_only([]);
    }
    Ok(builder)
}

/// The innermost cause: the HTTP library's actual error.
pub(crate) fn cause_of(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).last().map(ToString::to_string).unwrap_or_default()
}
