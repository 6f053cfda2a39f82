//! Servers that traces live on: where they come from, and where feedback about them goes.
//!
//! One folder or file per server. They share requests that are repeated until they are answered, and their errors.

mod error;
mod http;
pub mod langfuse;
pub mod mlflow;
pub mod phoenix;
mod receiving;
mod sending;

pub use error::ServerError;
pub use sending::Sent;
