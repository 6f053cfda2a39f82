//! What the functions return: intervals, and the direction of a test.

/// A confidence interval (or a credible one, for [`jeffreys`](crate::proportion::jeffreys)).
///
/// The ends are in the unit of the estimate: shares are in `0..=1`, differences of shares in `-1..=1`, means in the
/// unit of the scores. Both ends belong to the interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The lower end.
    pub lower: f64,
    /// The upper end; never below [`lower`](Self::lower).
    pub upper: f64,
    /// The nominal coverage, in `(0, 1)`: 0.95 for a 95 % interval.
    pub level: f64,
}

impl Interval {
    /// Whether `value` is between the ends, or on one of them.
    pub fn contains(&self, value: f64) -> bool {
        (self.lower..=self.upper).contains(&value)
    }

    /// The distance between the ends.
    pub fn width(&self) -> f64 {
        self.upper - self.lower
    }
}

/// The direction in which a test looks for evidence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Alternative {
    /// The parameter differs from the hypothesis.
    #[default]
    TwoSided,
    /// The parameter is smaller than the hypothesis.
    Less,
    /// The parameter is greater than the hypothesis.
    Greater,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_belong_to_the_interval() {
        let interval = Interval { lower: 0.25, upper: 0.75, level: 0.95 };
        assert!(interval.contains(0.25) && interval.contains(0.75));
        assert!(!interval.contains(0.76) && !interval.contains(f64::NAN));
        assert_eq!(interval.width(), 0.5);
    }
}
