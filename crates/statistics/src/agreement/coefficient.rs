//! A chance-corrected coefficient and its interval.

use crate::error::{Error, open_unit};
use crate::interval::Interval;
use crate::proportion::wilson_effective;
use crate::special::{student_upper_quantile, two_sided_z};

/// (observed - expected) / (1 - expected) agreement, with its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coefficient {
    /// 1 is perfect agreement, 0 what chance would give; it can be negative.
    pub estimate: f64,
    /// Over items; 0 where raters never disagree.
    pub standard_error: f64,
    /// See the [module](super).
    pub interval: Interval,
    /// The observed agreement, weighted if the coefficient is.
    pub agreement: f64,
    /// The agreement that chance would give.
    pub expected: f64,
    /// The items that count: those with at least two ratings.
    pub items: u64,
}

/// What an estimate is made of.
pub(super) struct Parts {
    pub agreement: f64,
    pub expected: f64,
    pub estimate: f64,
    pub variance: f64,
    pub items: u64,
    /// Of Student's distribution; the normal one without.
    pub degrees_of_freedom: Option<f64>,
}

impl Parts {
    pub(super) fn coefficient(self, level: f64) -> Result<Coefficient, Error> {
        open_unit("level", level)?;
        let Self { agreement, expected, estimate, variance, items, degrees_of_freedom } = self;
        let standard_error = variance.max(0.0).sqrt();
        if !(estimate.is_finite() && standard_error.is_finite()) {
            return Err(Error::Overflow { what: "agreement" });
        }
        let interval = if standard_error < 1e-12 {
            let observed = wilson_effective(agreement.clamp(0.0, 1.0), items as f64, level)?;
            let corrected = |end: f64| (end - expected) / (1.0 - expected);
            Interval {
                lower: corrected(observed.lower).min(estimate),
                upper: estimate.max(corrected(observed.upper)).min(1.0),
                level,
            }
        } else {
            let quantile = match degrees_of_freedom {
                Some(df) => student_upper_quantile((1.0 - level) / 2.0, df),
                None => two_sided_z(level),
            };
            let margin = quantile * standard_error;
            Interval { lower: estimate - margin, upper: (estimate + margin).min(1.0), level }
        };
        Ok(Coefficient { estimate, standard_error, interval, agreement, expected, items })
    }
}

/// Requires that chance does not already explain everything, as when all ratings are in one category.
pub(super) fn varies(expected: f64) -> Result<(), Error> {
    if 1.0 - expected < 1e-12 { Err(Error::Constant { what: "ratings" }) } else { Ok(()) }
}
