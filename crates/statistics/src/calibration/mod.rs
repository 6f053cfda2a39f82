//! What people would say about all items, from a judge's verdicts on all of them and people's labels on some.
//!
//! A judge that passes 70 % does not say that 70 % are good: it passes some bad ones and fails some good ones. People's labels on a part of the items
//! correct that, without labelling all of them.
//!
//! | where the labels are from | function |
//! | --- | --- |
//! | a random sample of these items, even one with other shares of passes and fails | [`post_stratified`] |
//! | a random sample, and verdicts are numbers | [`ppi_plus_plus`]; with other shares of verdicts [`stratified_mean`] |
//! | elsewhere: older, curated, balanced; the judge's error rates carry over | [`lee`], [`rogan_gladen`] |
//!
//! None of them helps if the judge is no better than a coin: see [`Labelled::informedness`], and [`Labelled::adds_information`].

mod corrected;
mod design;
mod labelled;
mod ppi;
mod stratified;
mod transferred;

pub use corrected::Corrected;
pub use design::{Allocation, labels_for_width, neyman};
pub use labelled::Labelled;
pub use ppi::{Ppi, ppi_plus_plus, stratified_mean};
pub use stratified::{Stratum, Weights, post_stratified};
pub use transferred::{calibration_split, lee, rogan_gladen};
