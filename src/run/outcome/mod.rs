//! What happened: events, the folds over them, and the exit code.

pub(in crate::run) mod counts;
pub(in crate::run) mod distribution;
pub(in crate::run) mod event;
pub(in crate::run) mod exit;
pub(in crate::run) mod summary;
