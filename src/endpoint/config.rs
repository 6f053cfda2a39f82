//! One endpoint, with everything that was configured resolved.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::endpoint::pacing::quota::Limits;
use crate::endpoint::pacing::shared::QuotaServer;
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
    /// Other secrets: the parts of a header's value.
    pub secrets: Vec<SecretString>,
    /// A file of further certificate authorities, PEM.
    pub ca_cert: Option<PathBuf>,
    /// From sending a request to the last byte of its answer.
    pub timeout: Duration,
    /// The most requests in flight.
    pub concurrency: usize,
    /// The quota.
    pub limits: Limits,
    /// The server that keeps the quota, if several processes share it.
    pub quota_server: Option<QuotaServer>,
    /// Members to be merged into the body of every request.
    pub extra_body: Map<String, Value>,
    /// What is known of the provider.
    pub preset: Option<&'static Preset>,
}

impl EndpointConfig {
    /// An endpoint without a key, a quota or any other setting.
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
            quota_server: None,
            extra_body: Map::new(),
            preset: None,
        }
    }

    /// Reasoning models take minutes; the official clients wait as long.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);
    /// Enough to fill a common quota at common latencies, and not too much for a local server.
    pub const DEFAULT_CONCURRENCY: usize = 16;
}

/// The deployments or keys that share the work of one endpoint and model, each as its quota allows: at least one.
#[derive(Debug, Clone)]
pub struct Pool {
    first: EndpointConfig,
    others: Vec<EndpointConfig>,
}

impl Pool {
    /// These members; all have the endpoint's name.
    pub fn new(first: EndpointConfig, others: Vec<EndpointConfig>) -> Self {
        Self { first, others }
    }

    /// The first member, which represents the others where they are alike.
    pub fn first(&self) -> &EndpointConfig {
        &self.first
    }

    /// The endpoint's name in model URIs.
    pub fn name(&self) -> &str {
        &self.first.name
    }

    /// All members.
    pub fn iter(&self) -> impl Iterator<Item = &EndpointConfig> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// All members, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut EndpointConfig> {
        std::iter::once(&mut self.first).chain(&mut self.others)
    }
}

impl From<EndpointConfig> for Pool {
    fn from(only: EndpointConfig) -> Self {
        Self::new(only, Vec::new())
    }
}
