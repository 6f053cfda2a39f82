//! Reads the verdict out of what a judge wrote: from exact JSON down to a conclusion in prose, and never by guessing.

mod answer;
mod coerce;
mod conclusion;
mod number;
mod outcome;
mod pattern;
mod periodic;
mod scan;
mod steps;
mod strip;
mod tolerant;

pub use outcome::{ParseFailure, ParseMethod, Parsed};
pub use periodic::has_periodic_tail;
pub use steps::{MAX_BYTES, MAX_NESTING, parse_verdict};
