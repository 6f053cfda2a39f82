//! What all corrections give.

use crate::interval::Interval;

/// A corrected share or mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Corrected {
    /// The share of items that people would pass, or the mean of their scores.
    pub estimate: f64,
    /// Its standard error, where the method has one.
    pub standard_error: Option<f64>,
    /// Its interval.
    pub interval: Interval,
}
