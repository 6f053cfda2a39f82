//! One endpoint, with everything that was configured resolved.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::endpoint::pacing::quota::Limits;
use crate::endpoint::provider::{KeyHeader, Preset};

/// Where and how to ask; the model comes with the model URI.
#[derive(Debug, Clone)]
pub struct EndpointConfig {
    /// The endpoint's name in model URIs.
    pub name: String,
    /// The API's address up to and including `/v1`.
    pub base_url: String,
    /// The variable of the environment that the key comes from.
    pub api_key_env: Option<String>,
    /// The key; it never leaves the request's header.
    pub api_key: Option<SecretString>,
    /// How the key is sent.
    pub key_header: KeyHeader,
    /// Further headers, names and values; values may be secret.
    pub headers: Vec<(String, SecretString)>,
    /// What else must not be shown: the parts that a header's value was put together from.
    pub secrets: Vec<SecretString>,
    /// A file of further certificate authorities, PEM.
    pub ca_cert: Option<PathBuf>,
    /// From sending a request to the last byte of its answer.
    pub timeout: Duration,
    /// Requests in flight at most.
    pub concurrency: usize,
    /// The quota.
    pub limits: Limits,
    /// Members to be merged into the body of every request.
    pub extra_body: Map<String, Value>,
    /// Several deployments or keys of the same model, if there are: they share the work by what quota each has left, and only they are
    /// asked.
    pub pool: Vec<EndpointConfig>,
    /// What is known of the provider.
    pub preset: Option<&'static Preset>,
}

impl EndpointConfig {
    /// An endpoint without a key, a quota or anything else of its own.
    pub fn new(name: &str, base_url: &str) -> Self {
        Self {
            name: name.to_owned(),
            base_url: base_url.to_owned(),
            api_key_env: None,
            api_key: None,
            key_header: KeyHeader::Bearer,
            headers: Vec::new(),
            secrets: Vec::new(),
            ca_cert: None,
            timeout: Self::DEFAULT_TIMEOUT,
            concurrency: Self::DEFAULT_CONCURRENCY,
            limits: Limits::default(),
            extra_body: Map::new(),
            pool: Vec::new(),
            preset: None,
        }
    }

    /// Reasoning models take minutes; the official clients wait as long.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);
    /// Enough to fill a common quota at common latencies, and not enough to frighten a local server.
    pub const DEFAULT_CONCURRENCY: usize = 16;
}
