//! The HTTP client of one endpoint and model: one attempt, one answer or one failure.

mod address;
mod body;
#[expect(clippy::module_inception, reason = "the module's one subject")]
mod client;
mod connection;
mod error;
mod headers;
mod proxy;
mod secrets;
mod shown;
mod transport;

pub use address::without_credentials;
pub use client::{Client, Exchange};
pub(crate) use connection::Connection;
pub use error::ClientError;
pub(crate) use transport::cause_of;
