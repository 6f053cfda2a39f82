//! What can go wrong with batches as a whole.

use std::io;
use std::path::PathBuf;

use crate::endpoint::Failure;
use crate::endpoint::client::ClientError;

/// Why batches cannot be dealt with. Nothing is lost: the ledger says how far it came, and the same command continues there.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum BatchError {
    #[error("cannot use `{}`", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("`{}` line {line} is not an entry of the ledger of batches: {reason}", path.display())]
    Entry { path: PathBuf, line: usize, reason: String },
    #[error("another process deals with the batches of `{}`", path.display())]
    Locked { path: PathBuf },
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("cannot {what}: {failure}")]
    Endpoint { what: String, failure: Box<Failure> },
    #[error("cannot {what}: {reason}")]
    Unexpected { what: String, reason: String },
    #[error("batch {id} was submitted to {then}, and this run asks {now}")]
    OtherAddress { id: String, then: String, now: String },
    #[error("the provider did not accept batch {id}: {message}")]
    Refused { id: String, message: String },
    #[error("{address} no longer has batch {id}: {message}")]
    Gone { address: String, id: String, message: String },
    #[error("{address} cannot cancel a batch; {id} continues")]
    CannotCancel { address: String, id: String },
    #[error("{endpoint} has no batch API that is supported; `batch export` writes the requests to files")]
    NoBatches { endpoint: String },
}

impl BatchError {
    pub(crate) fn file(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }

    /// Whether it says something about one batch alone. A refusal does not: it is often for a reason that all of them share.
    pub fn is_of_one_batch(&self) -> bool {
        matches!(self, Self::Unexpected { .. } | Self::Gone { .. })
    }

    /// Whether the same may succeed in a moment.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Endpoint { failure, .. } => failure.may_retry() && !failure.fatal,
            _ => false,
        }
    }
}
