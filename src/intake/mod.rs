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
pub use assessment::RECEIVED_METADATA;
pub use counter::{Counter, CounterClosed};
