//! Reads the verdict from what a judge wrote, from exact JSON to a conclusion in prose, without guessing.

mod answer;
mod apart;
mod claim;
mod claims;
mod coerce;
mod collect;
mod conclusion;
mod criterion;
mod cursor;
mod echo;
mod evidence;
mod expected;
mod keys;
mod label;
mod limits;
mod marked;
mod number;
mod outcome;
mod periodic;
mod prose;
mod scale;
mod scan;
mod steps;
mod strict;
mod string;
mod strip;
#[cfg(test)]
mod tests;
mod tolerant;
mod tone;
mod turn;
mod weigh;
mod whole_object;

pub use expected::Expected;
pub use limits::{MAX_BYTES, MAX_NESTING};
pub use outcome::{ParseFailure, ParseMethod, Parsed};
pub use periodic::has_periodic_tail;
pub use steps::parse_verdict;
