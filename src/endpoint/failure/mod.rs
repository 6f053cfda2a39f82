//! Why an attempt gave no answer: responses and transport errors, classified.

mod classify;
mod error_body;
#[expect(clippy::module_inception, reason = "the module's one subject")]
mod failure;
mod quotations;
pub(crate) mod wait;

pub(crate) use classify::request_id_header;
pub use classify::{classify_response, classify_transport};
pub use failure::{Failure, Rejected};
