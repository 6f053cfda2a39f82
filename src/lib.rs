//! judge-run
#![deny(missing_docs)]

pub mod dataset;
pub mod endpoint;
pub mod feedback;
pub mod judge;
pub mod run;
pub mod trace;
