//! Means with their standard errors: independent scores, clustered scores, differences of pairs.
//!
//! A [`MeanEstimate`] holds the mean, its standard error and the degrees of freedom; [`interval`](MeanEstimate::interval)
//! and [`test`](MeanEstimate::test) do the rest. Get one from
//!
//! - [`mean`]: independent scores,
//! - [`paired_mean`]: two runs over the same items,
//! - [`clustered_mean`]: several items of one session, conversation or document,
//! - [`Moments`]: a stream, in constant memory; for clusters a `Moments` each, then [`ClusteredMean::from_moments`].

mod clustered;
mod estimate;
mod independent;
mod moments;

pub use clustered::{ClusteredMean, FEW_CLUSTERS, clustered_mean};
pub use estimate::{MeanEstimate, TTest};
pub use independent::{mean, paired_mean};
pub use moments::Moments;
