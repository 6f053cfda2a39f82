//! What every provider's batch API can do, whatever its terms.

use std::path::Path;
use std::pin::Pin;

use super::error::BatchError;
use super::http::Http;
use super::ledger::Batch;
use super::spool::BatchLimits;

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

/// Whether a provider's code says that too much of the account's is in its queue already: it would accept the batch at another time, or a smaller one.
pub(super) fn is_queue_full(code: &str) -> bool {
    ["token_limit_exceeded", "quota_exceeded_enqueued_tokens"].iter().any(|full| code.eq_ignore_ascii_case(full))
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
