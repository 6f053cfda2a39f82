//! What a batch says of one request.

use crate::endpoint::Failure;
use crate::endpoint::wire::answer::Answer;

/// What a batch says of one request.
#[derive(Debug)]
pub enum Reply {
    /// The batch has not ended.
    Pending,
    /// The model answered.
    Answered(Box<Answer>),
    /// It did not.
    Failed(Box<Failure>),
    /// It was not asked.
    Undone(Undone),
}

/// Why a request in a batch was not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undone {
    /// The batch expired before.
    Expired,
    /// The batch was cancelled before.
    Cancelled,
    /// The results do not say; it may have been asked.
    Missing,
}
