//! What every provider's batch API can do, whatever it calls it.

use std::path::Path;
use std::pin::Pin;

use serde::{Deserialize, Serialize};

use super::dialects;
use super::error::BatchError;
use super::http::Http;
use super::ledger::Batch;
use super::spool::BatchLimits;
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

/// A step that is on its way.
pub(super) type Step<'a, T> = Pin<Box<dyn Future<Output = Result<T, BatchError>> + 'a>>;

/// A provider's batch API. Each step may be repeated, but for `submit`.
pub(super) trait Provider {
    /// What its requests go through.
    fn http(&self) -> &Http;

    /// How large a batch may be.
    fn limits(&self) -> BatchLimits;

    /// Hands over the file of requests; `None` where they go with the submission.
    fn upload<'a>(&'a self, requests: &'a Path, batch: &'a Batch) -> Step<'a, Option<String>>;

    /// Submits the batch, and returns its id. It is sent once.
    fn submit<'a>(&'a self, requests: &'a Path, batch: &'a Batch) -> Step<'a, String>;

    /// The id of a batch that may have been submitted before the process died. `known` are ids of others.
    fn find<'a>(&'a self, batch: &'a Batch, known: &'a [String]) -> Step<'a, Option<String>>;

    /// How it stands.
    fn poll<'a>(&'a self, id: &'a str) -> Step<'a, Standing>;

    /// Asks for its end, where the provider has a way to.
    fn cancel<'a>(&'a self, id: &'a str) -> Step<'a, ()>;

    /// Appends the results in one of its files to `into`, in OpenAI's form.
    fn results<'a>(&'a self, file: &'a str, into: &'a mut dyn std::io::Write) -> Step<'a, ()>;

    /// Deletes what the provider keeps of it.
    fn delete<'a>(&'a self, batch: &'a Batch) -> Step<'a, ()>;
}

/// How a batch stands at its provider.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Standing {
    /// In the provider's word, lower-cased.
    pub state: String,
    /// How it ended, if it did.
    pub end: Option<End>,
    /// Requests that are done, and all of them; 0 where it is not said.
    pub done: u64,
    pub total: u64,
    /// The files of its results.
    pub files: Vec<String>,
    /// Lines of the requests that were not accepted, counted from 1, and why.
    pub rejected: Vec<(usize, String)>,
    /// Why the batch as a whole was not accepted.
    pub message: Option<String>,
    /// It was not accepted because too much is waiting already.
    pub is_queue_full: bool,
}

/// How a batch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Completed,
    Expired,
    Cancelled,
    /// It was not accepted.
    Failed,
}

impl End {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }
}
