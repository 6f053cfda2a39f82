//! Whose batch API an endpoint has.

use reqwest::Method;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::dialects;
use super::error::BatchError;
use super::http::{Http, Sent};
use super::provider::Provider;
use crate::endpoint::client::ClientError;
use crate::endpoint::config::EndpointConfig;
use crate::endpoint::provider;

/// Whose batch API an endpoint has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BatchDialect {
    /// Files and batches: OpenAI, Azure, Groq, DeepInfra, Novita, a LiteLLM proxy, and most that are compatible.
    OpenAi,
    /// The same with differences.
    Together,
    /// Message Batches.
    Anthropic,
    /// Batch jobs.
    Mistral,
    /// Batches whose requests and results are inline.
    OpenRouter,
}

impl BatchDialect {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::OpenAi, Self::Together, Self::Anthropic, Self::Mistral, Self::OpenRouter];

    /// The name in plans and flags.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Together => "together",
            Self::Anthropic => "anthropic",
            Self::Mistral => "mistral",
            Self::OpenRouter => "openrouter",
        }
    }

    /// That of an endpoint, by its name or its host.
    pub fn of(endpoint: &EndpointConfig) -> Self {
        let host = provider::host(&endpoint.base_url);
        let is = |name: &str, domain: &str| {
            host == domain
                || host.ends_with(&format!(".{domain}"))
                || (endpoint.name == name && endpoint.preset.is_some())
        };
        match () {
            () if is("together", "together.xyz") || is("together", "together.ai") => Self::Together,
            () if is("anthropic", "anthropic.com") => Self::Anthropic,
            () if is("mistral", "mistral.ai") => Self::Mistral,
            () if is("openrouter", "openrouter.ai") => Self::OpenRouter,
            () => Self::OpenAi,
        }
    }

    /// Asks an endpoint for its list of batches, once. Returns whose API it is taken to have, and what is wrong if it does not answer as that.
    pub async fn try_out(endpoint: &EndpointConfig, model: &str) -> (Self, Result<(), BatchError>) {
        let dialect = Self::of(endpoint);
        let ask = async {
            let provider = dialect.open(endpoint, model)?;
            let (path, limit) = provider.list();
            let query = [(limit, "1")];
            let http = provider.http();
            http.once("list the batches", Method::GET, path, &query, Sent::Nothing).await.map(|IgnoredAny| ())
        };
        (dialect, ask.await)
    }

    /// The API at an endpoint.
    ///
    /// # Errors
    /// When its address, a header or a certificate file is unusable.
    pub(super) fn open(self, endpoint: &EndpointConfig, model: &str) -> Result<Box<dyn Provider>, ClientError> {
        let http = Http::new(endpoint)?;
        Ok(match self {
            Self::OpenAi => Box::new(dialects::OpenAi::new(http)),
            Self::Together => Box::new(dialects::OpenAi::together(http)),
            Self::Anthropic => Box::new(dialects::Anthropic::new(http)),
            Self::Mistral => Box::new(dialects::Mistral::new(http, model)),
            Self::OpenRouter => Box::new(dialects::OpenRouter::new(http, model)),
        })
    }
}
