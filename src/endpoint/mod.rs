//! Who is asked: OpenAI-compatible endpoints, their quotas and their failures.
//!
//! A request goes out through [`client`], put into words by [`wire::chat`]; what comes back is an [`wire::answer`], or a [`Failure`], made by
//! `classify`. [`pacing::gate`] decides when the next request may go, with the [`pacing::quota`] and the pauses that endpoints ask for.

pub mod check;
pub mod client;
pub mod config;
mod failure;
mod model_uri;
pub mod pacing;
pub mod prices;
pub mod program;
pub mod provider;
pub mod wire;

pub use failure::{Failure, Rejected, classify_response, classify_transport};
pub use model_uri::{InvalidModelUri, ModelUri};
pub use wire::Instructions;
