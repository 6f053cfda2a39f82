//! What all end-to-end tests share: a folder to run the binary in, and endpoints for it to ask.

pub(crate) mod answers;
mod fake;
mod place;
mod simulator;

pub(crate) use fake::{Action, Fake, Latch, Request};
pub(crate) use place::{Finished, Place, Running};
pub(crate) use simulator::SimulatorProcess;

use std::time::Duration;

/// How long anything may take before a test gives up on it. No test depends on it, except in order to fail.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
