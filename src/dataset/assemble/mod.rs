//! Whole traces and sessions from what a dataset has in pieces and in any order.

pub(super) mod complete;
mod gather;
pub(super) mod parts;
pub(super) mod seen;
mod sessions;
mod sides;

pub(crate) use sessions::Sessions;
pub(crate) use sides::Sides;
