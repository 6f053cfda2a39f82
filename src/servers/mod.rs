//! Servers that traces live on: where they come from, and where feedback about them goes.
//!
//! One folder or file per server. They share [`http`](self): requests that are repeated until they are answered, and their errors.

mod error;
mod http;
pub mod mlflow;

pub use error::ServerError;
