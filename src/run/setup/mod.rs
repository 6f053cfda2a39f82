//! The input of a run: the plan, the manifest that stores it, and selections and limits.

pub(in crate::run) mod batching;
pub(in crate::run) mod budget;
pub(in crate::run) mod fingerprint;
pub mod manifest;
pub(in crate::run) mod millis;
pub(in crate::run) mod questions;
pub(in crate::run) mod run_plan;
pub(in crate::run) mod selection;
pub(in crate::run) mod settings;
pub(in crate::run) mod shard;
pub(in crate::run) mod sides;
