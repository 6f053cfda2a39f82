//! A figure with its confidence interval.

use serde::{Deserialize, Serialize};

use super::caveat::Method;

/// An estimate with its confidence interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// A share in `0..=1`, or a mean in the unit of the scores.
    pub estimate: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// The interval's nominal coverage: 0.95.
    pub level: f64,
    /// How the interval was computed.
    pub method: Method,
    /// Over how many verdicts.
    pub n: u64,
}
