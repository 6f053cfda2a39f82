//! Servers where traces live: where they come from, and where feedback about them goes.
//!
//! One folder or file per server. They share requests that are retried until answered, and errors.

mod error;
mod http;
pub mod langfuse;
pub mod mlflow;
pub mod phoenix;
mod receiving;
mod sending;

pub use error::ServerError;
pub use sending::Sent;
