//! The HTTP client of one endpoint and model: one attempt, one answer or one failure.

mod address;
mod body;
#[expect(clippy::module_inception, reason = "the module's one subject")]
mod client;
mod error;
mod headers;
mod proxy;
mod secrets;
mod shown;
mod transport;

pub(crate) use address::is_loopback;
pub use address::without_credentials;
pub(crate) use body::{read as read_body, unpacked};
pub use client::{Client, Exchange};
pub use error::ClientError;
pub(crate) use headers::headers;
pub(crate) use proxy::{Proxy, proxy_for};
pub(crate) use secrets::Secrets;
pub(crate) use transport::{builder, cause_of};
