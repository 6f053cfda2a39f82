//! Statistics for evaluations: how precise a pass rate or a mean score is, whether two runs over the same items differ, how
//! many items it takes to tell, and when enough have been judged.
//!
//! | question | answer |
//! | --- | --- |
//! | 85 of 100 items pass: what is the pass rate? | [`proportion::wilson`] |
//! | ... with a guarantee for every true rate? | [`proportion::clopper_pearson`] |
//! | ... as a Bayesian interval? | [`proportion::jeffreys`] |
//! | ... when several items belong to one session? | [`proportion::wilson_effective`] |
//! | What is the mean score? | [`mean::mean`], [`mean::Moments`] for streams |
//! | ... when several scores belong to one session? | [`mean::clustered_mean`] |
//! | What are the median and the 95th percentile, and how certain? | [`quantile::Sorted`] |
//! | What is the interval of any other statistic? | [`bootstrap::Bootstrap::bca`] |
//! | Two runs, pass or fail: do they differ? | [`paired::mcnemar_mid_p`], [`paired::mcnemar_exact`] |
//! | ... and by how much? | [`paired::tango`] |
//! | Two runs, scores: do they differ, and by how much? | [`mean::paired_mean`], [`paired::sign_flip`] |
//! | A new run against several earlier ones: did anything change? | [`paired::block_permutation`] |
//! | Night after night: is it worse, and does it stay worse? | [`nightly`] |
//! | ... when several items belong to one session? | [`mean::clustered_mean`] of the differences |
//! | Several metrics are tested: which differ? | [`multiple::holm`], [`multiple::benjamini_hochberg`] |
//! | "No difference": how large a difference could have been missed? | [`power::Design::minimum_detectable_difference`] |
//! | How many items are needed? | [`power::Design`], [`power::sample_size_for_margin`] |
//! | Candidates were compared in pairs: how strong is each? | [`ranking::bradley_terry`] |
//! | How well did a retriever rank what it found? | [`retrieval`] |
//! | May I look after each item, and stop early? | [`sequential`] |
//! | How well do raters agree? | [`agreement`] |
//! | ... and may a judge replace one of them? | [`agreement::alt_test`] |
//! | What do several raters say together? | [`aggregate`] |
//! | A judge passes 70 %: how many would people pass? | [`calibration`] |
//! | Which of its verdicts need no second opinion? | [`selective`] |
//!
//! # Conventions
//!
//! - Levels, error rates, power and shares are fractions: 0.95, not 95.
//! - Differences are new minus base.
//! - An interval has its level in it: [`Interval`]. A test has its direction as an argument: [`Alternative`].
//! - Invalid arguments, NaN among them, are an [`Error`]; nothing panics. Each function documents what it returns for no
//!   items, for equal values, and for shares of 0 and 1.
//! - Resampling takes a seed, and draws the same resamples on every platform and with every version.
//! - All results are checked against SciPy and statsmodels, mostly to 9 digits or more; `tests/reference` has the calls.
//!
//! Nothing is read, printed or sent, and nothing is `unsafe`.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod aggregate;
pub mod agreement;
pub mod bootstrap;
pub mod calibration;
pub mod mean;
pub mod multiple;
pub mod nightly;
pub mod paired;
pub mod power;
pub mod proportion;
pub mod quantile;
pub mod ranking;
pub mod retrieval;
pub mod selective;
pub mod sequential;

mod error;
mod interval;
mod rng;
mod special;

pub use error::Error;
pub use interval::{Alternative, Interval};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
