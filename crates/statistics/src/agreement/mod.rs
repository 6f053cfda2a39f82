//! Agreement between raters: people, judges, or both.
//!
//! | raters | scale | function |
//! | --- | --- | --- |
//! | two, all items rated by both | categories | [`Confusion::cohen`] with [`Weights::Identity`] |
//! | two | ordered categories | [`Confusion::cohen`] with [`Weights::Linear`] or [`Weights::Quadratic`] |
//! | two or more, ratings may be missing | categories | [`Votes::krippendorff`], [`Votes::fleiss`], [`Votes::gwet`] |
//! | two or more, ratings may be missing | numbers | [`Votes::krippendorff`] with [`Metric::Ordinal`] or [`Metric::Interval`] |
//! | a judge next to people | any | [`alt_test`]: may it replace one of them? |
//!
//! Chance-corrected coefficients fall when nearly all items are in one category, however well raters agree (the paradox of Feinstein and Cicchetti 1990):
//! report [`Coefficient::agreement`] and Gwet's AC1 along with kappa.
//!
//! # Intervals
//!
//! Symmetric, from the standard error over items. If raters never disagree it is 0, which would claim certainty: the interval is then that of
//! the observed agreement ([Wilson](crate::proportion::wilson)), put through the same correction for chance.

mod alt_test;
mod coefficient;
mod confusion;
mod votes;
mod weights;

pub use alt_test::{AltTest, AltTestAnnotator, Closeness, alt_test};
pub use coefficient::Coefficient;
pub use confusion::Confusion;
pub use votes::Votes;
pub use weights::{Metric, Weights};
