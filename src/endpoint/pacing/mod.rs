//! When the next request may go: the quota, what endpoints report about it, and the pauses that they ask for.

pub mod backoff;
mod bucket;
pub mod gate;
mod learnt;
mod limits;
pub mod observed;
mod pace;
pub mod quota;
pub mod shared;
