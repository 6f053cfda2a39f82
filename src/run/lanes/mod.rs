//! One endpoint and model each: the judgments that wait for it, and the handling of its failures.

mod followers;
pub(in crate::run) mod health;
pub(in crate::run) mod job;
pub(in crate::run) mod lane;
pub(in crate::run) mod member;
pub(in crate::run) mod retry;
pub(in crate::run) mod variation;
pub(in crate::run) mod vary;
