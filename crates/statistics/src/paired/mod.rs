//! Two runs over the same items, compared pair by pair.
//!
//! For verdicts that pass or fail: [`PairedCounts`], with [`mcnemar_exact`] or [`mcnemar_mid_p`] for the p-value and
//! [`tango`] for the interval of the difference. For scores: [`sign_flip`] here, or the paired t test of
//! [`paired_mean`](crate::mean::paired_mean). For a new run against several earlier ones: [`block_permutation`].
//! [`analyse`] takes what fits. All differences are new minus base.

mod blocks;
mod counts;
mod permutation;
mod runs;
mod tango;

pub use blocks::{Block, BlockPermutation, MAX_EXACT_BLOCKS, block_permutation};
pub use counts::{PairedCounts, mcnemar_exact, mcnemar_mid_p};
pub use permutation::{MAX_EXACT_PAIRS, SignFlip, sign_flip};
pub use runs::{Analysis, Pair, PairedInterval, PairedTest, Scale, analyse, standard_error};
pub use tango::tango;
