//! What is asked: OpenAI-compatible endpoints, their quotas and their failures.
//!
//! A request is written by [`wire::chat`] and sent through [`client`]; the result is a [`wire::answer`], or a [`Failure`], made by
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
