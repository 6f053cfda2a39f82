//! The ways an argument can be invalid.

use std::fmt;

/// An argument for which the result is not defined.
///
/// Every function of this crate that can fail returns this type; none panics.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// A number is outside its domain, or is NaN.
    Domain {
        /// The argument's name.
        name: &'static str,
        /// Its value.
        value: f64,
        /// The values that are valid, such as `(0, 1)` or `>= 0`.
        expected: &'static str,
    },
    /// A value of a sample is NaN or infinite.
    NotFinite {
        /// Its index in the sample.
        index: usize,
    },
    /// A sum or a statistic of finite values is NaN or infinite.
    Overflow {
        /// What was computed.
        what: &'static str,
    },
    /// A part is larger than the whole.
    CountExceedsTotal {
        /// The part.
        count: u64,
        /// The whole.
        total: u64,
    },
    /// Two samples that belong together differ in length.
    LengthMismatch {
        /// The first one's length.
        left: usize,
        /// The second one's length.
        right: usize,
    },
    /// The sample is too small.
    TooFew {
        /// What is counted.
        what: &'static str,
        /// The smallest number that is enough.
        required: usize,
        /// The number given.
        got: usize,
    },
    /// All values are the same, so the result is not defined.
    Constant {
        /// What does not vary.
        what: &'static str,
    },
    /// All resamples lie on one side of the estimate, so its bias cannot be estimated.
    OneSidedResamples,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain { name, value, expected } => write!(f, "`{name}` must be {expected}, got {value}"),
            Self::NotFinite { index } => write!(f, "the value at index {index} is not finite"),
            Self::Overflow { what } => write!(f, "the {what} is not finite"),
            Self::CountExceedsTotal { count, total } => write!(f, "the count {count} exceeds the total {total}"),
            Self::LengthMismatch { left, right } => write!(f, "the samples differ in length: {left} and {right}"),
            Self::TooFew { what, required, got } => write!(f, "at least {required} {what} required, got {got}"),
            Self::Constant { what } => write!(f, "the {what} are all the same"),
            Self::OneSidedResamples => write!(f, "all resamples lie on one side of the estimate"),
        }
    }
}

impl std::error::Error for Error {}

/// Requires `0 < value < 1`.
pub(crate) fn open_unit(name: &'static str, value: f64) -> Result<f64, Error> {
    domain(name, value, "in (0, 1)", value > 0.0 && value < 1.0)
}

/// Requires a finite `value > 0`.
pub(crate) fn positive(name: &'static str, value: f64) -> Result<f64, Error> {
    domain(name, value, "positive and finite", value > 0.0 && value.is_finite())
}

/// Requires `valid`.
pub(crate) fn domain(name: &'static str, value: f64, expected: &'static str, valid: bool) -> Result<f64, Error> {
    if valid { Ok(value) } else { Err(Error::Domain { name, value, expected }) }
}

/// Requires finite values.
pub(crate) fn all_finite(values: &[f64]) -> Result<(), Error> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(Error::NotFinite { index }),
        None => Ok(()),
    }
}

/// Requires at least `required` of `what`.
pub(crate) fn at_least(required: usize, what: &'static str, got: usize) -> Result<(), Error> {
    if got < required { Err(Error::TooFew { what, required, got }) } else { Ok(()) }
}

/// Requires that a part does not exceed its whole.
pub(crate) fn part_of(count: u64, total: u64) -> Result<(), Error> {
    if count > total { Err(Error::CountExceedsTotal { count, total }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_the_argument_and_its_value() {
        let error = open_unit("level", 95.0).unwrap_err();
        assert_eq!(error.to_string(), "`level` must be in (0, 1), got 95");
        assert!(matches!(open_unit("level", f64::NAN), Err(Error::Domain { name: "level", .. })));
    }

    #[test]
    fn the_ends_of_an_open_interval_are_invalid() {
        assert!(open_unit("level", 0.0).is_err() && open_unit("level", 1.0).is_err());
        assert!(positive("n", f64::INFINITY).is_err() && positive("n", 0.0).is_err());
    }
}
