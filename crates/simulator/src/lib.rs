//! A simulated endpoint: an OpenAI-compatible server that asks no model, for trying a configuration without spending
//! money, for measuring, and for tests.
//!
//! Every answer is marked as made up: by the header `x-judge-run-simulator`, completions also by the `system_fingerprint`
//! `judge-run-simulator`.
//!
//! What a request gets is drawn from the BLAKE3 hash of its body: the same body gets the same verdict, the same fault and the
//! same latency, in every process and in any order.
//!
//! | path (also without `/v1`) | answer |
//! | --- | --- |
//! | `POST /v1/chat/completions` | a `chat.completion` that fits the request's JSON schema, or a fault |
//! | `POST /v1/files`, `GET` and `DELETE /v1/files/{id}`, `GET /v1/files/{id}/content` | uploaded files and results |
//! | `POST` and `GET /v1/batches`, `GET /v1/batches/{id}`, `POST /v1/batches/{id}/cancel` | batches, which end after a few polls |
//! | `GET /v1/models` | the configured model |
//! | `GET /health` | `{"status":"ok"}` |
//! | `GET /stats` | [`Stats`] as JSON |

mod background;
mod batch;
mod chat;
mod completion;
mod config;
mod connection;
mod dialect;
mod error;
mod failure;
mod fault;
mod go_duration;
mod limits;
mod logprobs;
mod lot;
mod paced;
mod request;
mod schema;
mod server;
mod stats;
#[cfg(test)]
mod tests;
mod unsupported;

pub use background::BackgroundSimulator;
pub use batch::{BatchFaults, InvalidBatchFaults};
pub use config::SimulatorConfig;
pub use dialect::{Dialect, UnknownDialect};
pub use fault::{FaultPlan, InvalidFaultPlan};
pub use server::Simulator;
pub use stats::Stats;
