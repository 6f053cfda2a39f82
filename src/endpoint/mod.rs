//! Who is asked: OpenAI-compatible endpoints, their quotas and their failures.
//!
//! A request goes out through [`client`], put into words by [`chat`]; what comes back is an [`answer`], or a [`Failure`], made by
//! `classify`. [`gate`] decides when the next request may go, with the [`quota`] and the pauses that endpoints ask for.

mod adapt;
pub mod answer;
pub mod backoff;
pub mod chat;
pub mod check;
mod classify;
pub mod client;
pub mod config;
mod error_body;
mod failure;
pub mod gate;
mod instructions;
mod learnt;
mod members;
mod model_uri;
pub mod observed;
mod pace;
pub mod prices;
pub mod provider;
pub mod quota;
pub mod simulator;
mod wait;

pub use classify::{classify_response, classify_transport};
pub use failure::{Failure, Rejected};
pub use instructions::Instructions;
pub use model_uri::{InvalidModelUri, ModelUri};
