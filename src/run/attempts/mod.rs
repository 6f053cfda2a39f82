//! One attempt at a judgment, the verdict in its answer, and the record.

pub(in crate::run) mod ask;
pub(in crate::run) mod attempt;
pub(in crate::run) mod prompt_check;
pub(in crate::run) mod reading;
pub(in crate::run) mod record;
