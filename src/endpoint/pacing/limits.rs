//! What an endpoint allows, as the user gives it.

use std::num::NonZeroU32;
use std::time::Duration;

/// What an endpoint allows (or what the user wants to use of it).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Requests a minute.
    pub rpm: Option<NonZeroU32>,
    /// Tokens per minute, prompt and answer together.
    pub tpm: Option<NonZeroU32>,
    /// How much of the quota may be spent at once, in seconds of its flow. By default it is [`Limits::DEFAULT_BURST`], and all that is
    /// left if the endpoint reports that.
    pub burst: Option<Duration>,
}

impl Limits {
    /// A little less than the second in which providers count.
    pub const DEFAULT_BURST: Duration = Duration::from_millis(900);
}
