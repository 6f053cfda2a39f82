//! What every provider's batch API can do, whatever its terms.

use std::path::Path;
use std::pin::Pin;

use reqwest::Method;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::dialects;
use super::error::BatchError;
use super::http::{Http, Sent};
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

/// A step that is on its way.
pub(super) type Step<'a, T> = Pin<Box<dyn Future<Output = Result<T, BatchError>> + 'a>>;

/// A provider's batch API. Each step may be repeated, but for `submit`.
pub(super) trait Provider {
    /// What its requests go through.
    fn http(&self) -> &Http;

    /// How large a batch may be.
    fn limits(&self) -> BatchLimits;

    /// Where its list of batches is, and what says how long a page may be.
    fn list(&self) -> (&'static [&'static str], &'static str) {
        (&["batches"], "limit")
    }

    /// Hands over the file of requests; `None` where they go with the submission.
    fn upload<'a>(&'a self, requests: &'a Path, batch: &'a Batch) -> Step<'a, Option<String>>;

    /// Submits the batch, and returns its id. It is sent once.
    fn submit<'a>(&'a self, requests: &'a Path, batch: &'a Batch) -> Step<'a, String>;

    /// The batches that may be one that was submitted before the process died, or before its answer was lost. `others` are ids of those that are not.
    fn find<'a>(&'a self, batch: &'a Batch, others: &'a [String]) -> Step<'a, Vec<Candidate>>;

    /// How it stands.
    fn poll<'a>(&'a self, id: &'a str) -> Step<'a, Standing>;

    /// Asks for its end, where the provider has a way to.
    fn cancel<'a>(&'a self, id: &'a str) -> Step<'a, ()>;

    /// Appends the results in one of its files to `into`, in OpenAI's form.
    fn results<'a>(&'a self, file: &'a str, into: &'a mut dyn std::io::Write) -> Step<'a, ()>;

    /// Deletes what the provider keeps of it.
    fn delete<'a>(&'a self, batch: &'a Batch) -> Step<'a, ()>;
}

/// A batch at the provider that may be one that was submitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    /// The provider's id.
    pub id: String,
    /// What it is known by.
    pub sign: Sign,
}

/// What says whose a batch is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sign {
    /// The batch's own name, or its file of requests.
    Name,
    /// The `custom_id` of one of its results.
    Result(String),
    /// Its results, once there are some. Until then it has only the right time and number of requests.
    Later,
}

/// Where a batch has no name, it is looked for among all that are not older than its submission by more than this, which no two clocks differ by.
pub(super) const CLOCKS_MS: i64 = 3_600_000;

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
