//! Why a client for an endpoint cannot be made.

use std::path::PathBuf;

/// Why a client for an endpoint cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address of the endpoint.
    #[error("the base URL{} of endpoint `{endpoint}` is not an http(s) URL: {reason}", url.as_ref().map_or(String::new(), |url| format!(" `{url}`")))]
    BaseUrl {
        /// The endpoint's name.
        endpoint: String,
        /// As configured, without its credentials; `None` where it may be a key.
        url: Option<String>,
        /// What is wrong.
        reason: String,
    },
    /// A header or the key cannot be sent in a request.
    #[error(
        "{what} of endpoint `{endpoint}` has characters that an HTTP header cannot have (a stray newline or quote?)"
    )]
    Header {
        /// The endpoint's name.
        endpoint: String,
        /// Which header; never its value.
        what: String,
    },
    /// The file of certificate authorities.
    #[error("cannot use the CA certificates in {path}: {reason}", path = path.display())]
    CaCert {
        /// As configured.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The address of the proxy.
    #[error("the environment variable {variable} is not the address of a proxy: `{value}`")]
    Proxy {
        /// The variable.
        variable: &'static str,
        /// Its value, without its credentials.
        value: String,
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
