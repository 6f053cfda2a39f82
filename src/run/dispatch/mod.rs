//! The one task that owns a run: what comes in, what is sent, how it ends.

pub(in crate::run) mod batched;
pub(in crate::run) mod dispatcher;
pub(in crate::run) mod ending;
pub(in crate::run) mod in_batches;
pub(in crate::run) mod intake;
pub(in crate::run) mod patience;
pub(in crate::run) mod stop;
