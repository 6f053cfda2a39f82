//! Shared by all end-to-end tests: a folder to run the binary in, and endpoints to ask.

pub(crate) mod answers;
mod fake;
pub(crate) mod http;
mod place;
mod simulator;

pub(crate) use fake::{Action, Fake, Latch, Request};
pub(crate) use place::{Finished, Invocation, Place, Running};
pub(crate) use simulator::SimulatorProcess;

use std::time::Duration;

/// How long a test waits for anything before it fails. No passing test depends on it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
