//! Feedback from applications and their users: a server that accepts assessments through MLflow's API, and appends them to a log.
//!
//! Feedback answered with 200 is on disk. All requests go through one desk, a thread that knows which ids the log has; those that arrive together are
//! written together and synced once. The log is not locked: a run, and other processes, may write to it at the same time.

mod access;
mod api;
mod assessment;
mod counter;
mod desk;
mod error;

pub use access::{Access, Application, InvalidApplications, Rights};
pub use api::Intake;
pub use counter::{Counter, CounterClosed};

/// The member of `metadata` that says which application feedback came through. Clients do not see it.
pub const RECEIVED_METADATA: &str = "received_by";
