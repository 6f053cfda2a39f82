//! What happens to batches.

use super::super::error::BatchError;
use super::super::ledger::Batch;

/// Something that happened to a batch.
#[derive(Debug)]
pub enum BatchEvent<'a> {
    /// It was submitted.
    Submitted {
        /// As the ledger knows it.
        batch: &'a Batch,
    },
    /// It was found at the provider: an earlier process had submitted it.
    Found {
        /// As the ledger knows it.
        batch: &'a Batch,
    },
    /// Whether its submission arrived is not known: batches at the provider may be it, which shows once they have results.
    Unclear {
        /// As the ledger knows it.
        batch: &'a Batch,
        /// How many may be it.
        candidates: u64,
    },
    /// The provider says how far it is.
    Seen {
        /// As the ledger knows it.
        batch: &'a Batch,
        /// The provider's word.
        state: &'a str,
        /// Requests that are done.
        done: u64,
    },
    /// The provider has no room for it yet.
    Waits {
        /// As the ledger knows it.
        batch: &'a Batch,
    },
    /// It will be submitted in two halves.
    Split {
        /// As the ledger knows it.
        batch: &'a Batch,
    },
    /// Its results are not whole, however often they are fetched.
    Lacks {
        /// As the ledger knows it.
        batch: &'a Batch,
        /// What is not as the provider says it is.
        lack: &'a str,
    },
    /// The provider does not have it any more, and its cancellation was asked for: it is over.
    GivenUp {
        /// As the ledger knows it.
        batch: &'a Batch,
    },
    /// Its results are here.
    Downloaded {
        /// As the ledger knows it.
        batch: &'a Batch,
    },
    /// A step failed and is tried again.
    Trouble {
        /// As the ledger knows it.
        batch: &'a Batch,
        /// Why.
        error: &'a BatchError,
    },
}

/// Told of everything that happens.
pub(super) type Sink<'a> = &'a mut dyn FnMut(&BatchEvent<'_>);
