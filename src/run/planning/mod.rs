//! Planning: threads read the dataset and turn each trace into judgments.

pub(in crate::run) mod item;
pub(in crate::run) mod plan;
pub(in crate::run) mod readers;
pub(in crate::run) mod rejects;
pub(in crate::run) mod skipped;
pub(in crate::run) mod walk;
