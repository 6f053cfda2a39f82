//! A new run against several earlier ones over the same items.

use crate::error::{Error, all_finite, at_least};
use crate::interval::Alternative;
use crate::rng::SplitMix64;

/// Up to this number of items whose verdicts vary, the test of verdicts that are 0 or 1 is exact.
pub const MAX_EXACT_BLOCKS: usize = 2_000;

/// An item: its scores in the earlier runs, and the one in the new run.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// At least one.
    pub earlier: Vec<f64>,
    /// One more.
    pub new: f64,
}

/// The result of [`block_permutation`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BlockPermutation {
    /// The mean over items of the new score minus the mean of the earlier ones.
    pub difference: f64,
    /// The probability of a sum of new scores at least as extreme, when each score of an item is as likely to be the new one.
    pub p_value: f64,
    /// The number of random choices, or `None` when the p-value is exact.
    pub resamples: Option<u64>,
}

/// The permutation test of a new run against several earlier ones over the same items: the hypothesis is that the runs are interchangeable, so
/// that of an item's scores each is as likely to be the new one. Items that never vary say nothing; one that was always the same and now differs
/// says much, and more with more earlier runs. So with several of them it finds changes that a paired t test, which knows
/// nothing about how steady an item was, does not.
///
/// For scores that are all 0 or 1, the number of new ones is a sum of independent tosses (a Poisson binomial distribution), one per item, with the
/// item's share of ones: the p-value is exact, and with one earlier run it is McNemar's. Otherwise it is (1 + k) / (1 + B) for the k extreme ones
/// of `resamples` = B random choices from `seed`. Two-sided, it is twice the smaller tail, at most 1. When nothing varies it is 1.
///
/// Source: the exact conditional test of stratified two-by-two tables, Birch (1964), "The detection of partial association, I", Journal of the Royal
/// Statistical Society B 26, 313-324, with each item as a stratum; for scores the randomization test of complete blocks, Edgington and
/// Onghena (2007), "Randomization tests", chapter 6.
///
/// # Errors
///
/// [`Error::TooFew`] without items, for an item without an earlier score, or with 0 resamples where they are needed; [`Error::NotFinite`] for a
/// score that is NaN or infinite.
///
/// ```
/// # use judge_run_statistics::{Alternative, paired::{Block, block_permutation}};
/// // Three of thirty items that passed five times fail now; the others are unchanged.
/// let block = |i: usize| Block { earlier: vec![1.0; 5], new: if i < 3 { 0.0 } else { 1.0 } };
/// let blocks: Vec<_> = (0..30).map(block).collect();
/// let test = block_permutation(&blocks, Alternative::Less, 0, 0)?;
/// assert!((test.p_value - 1.0 / 216.0).abs() < 1e-12 && test.resamples.is_none());
/// # Ok::<(), judge_run_statistics::Error>(())
/// ```
pub fn block_permutation(
    blocks: &[Block],
    alternative: Alternative,
    resamples: u64,
    seed: u64,
) -> Result<BlockPermutation, Error> {
    at_least(1, "items", blocks.len())?;
    for block in blocks {
        at_least(1, "earlier scores", block.earlier.len())?;
        all_finite(&block.earlier)?;
        all_finite(&[block.new])?;
    }
    let mean = |scores: &[f64]| scores.iter().sum::<f64>() / scores.len() as f64;
    let difference = blocks.iter().map(|block| block.new - mean(&block.earlier)).sum::<f64>() / blocks.len() as f64;
    let varying: Vec<&Block> =
        blocks.iter().filter(|block| block.earlier.iter().any(|score| *score != block.new)).collect();
    let is_whole = |score: &f64| *score == 0.0 || *score == 1.0;
    let are_binary = varying.iter().all(|block| is_whole(&block.new) && block.earlier.iter().all(is_whole));
    let (less, greater, resamples) = match (varying.is_empty(), are_binary && varying.len() <= MAX_EXACT_BLOCKS) {
        (true, _) => (1.0, 1.0, None),
        (false, true) => {
            let (less, greater) = exact_tails(&varying);
            (less, greater, None)
        }
        (false, false) => {
            at_least(1, "resamples", resamples as usize)?;
            let (less, greater) = random_tails(&varying, resamples, seed);
            (less, greater, Some(resamples))
        }
    };
    let p_value = match alternative {
        Alternative::Less => less,
        Alternative::Greater => greater,
        Alternative::TwoSided => (2.0 * less.min(greater)).min(1.0),
    };
    Ok(BlockPermutation { difference, p_value, resamples })
}

/// The probabilities of at most as many ones among the new scores, and of at least as many.
fn exact_tails(blocks: &[&Block]) -> (f64, f64) {
    // Of each number of ones, item by item.
    let mut mass = vec![1.0];
    for block in blocks {
        let ones = block.earlier.iter().sum::<f64>() + block.new;
        let share = ones / (block.earlier.len() + 1) as f64;
        mass.push(0.0);
        for n in (0..mass.len()).rev() {
            let before = if n > 0 { mass[n - 1] } else { 0.0 };
            mass[n] = mass[n] * (1.0 - share) + before * share;
        }
    }
    let observed = blocks.iter().filter(|block| block.new == 1.0).count();
    let less: f64 = mass[..=observed].iter().sum();
    let greater: f64 = mass[observed..].iter().rev().sum();
    (less.min(1.0), greater.min(1.0))
}

/// The same for sums, estimated; sums that differ only by rounding count as equal.
fn random_tails(blocks: &[&Block], resamples: u64, seed: u64) -> (f64, f64) {
    let observed: f64 = blocks.iter().map(|block| block.new).sum();
    let size: f64 = blocks.iter().flat_map(|block| block.earlier.iter().chain([&block.new])).map(|x| x.abs()).sum();
    let tolerance = size * f64::EPSILON * (blocks.len() + 8) as f64;
    let mut rng = SplitMix64::new(seed);
    let (mut less, mut greater) = (0u64, 0u64);
    for _ in 0..resamples {
        let drawn = |block: &&Block| {
            let chosen = rng.below(block.earlier.len() + 1);
            block.earlier.get(chosen).copied().unwrap_or(block.new)
        };
        let sum: f64 = blocks.iter().map(drawn).sum();
        less += u64::from(sum <= observed + tolerance);
        greater += u64::from(sum >= observed - tolerance);
    }
    let share = |extreme: u64| (1 + extreme) as f64 / (1 + resamples) as f64;
    (share(less), share(greater))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paired::{PairedCounts, mcnemar_exact};
    use proptest::collection::vec;
    use proptest::prelude::*;

    const CDF_6: f64 = 0.852_117_984_110_654_1;
    const SF_5: f64 = 0.397_345_583_752_476_64;
    const ALL: [Alternative; 3] = [Alternative::TwoSided, Alternative::Less, Alternative::Greater];

    fn block(earlier: &[f64], new: f64) -> Block {
        Block { earlier: earlier.to_vec(), new }
    }

    #[test]
    fn what_never_varies_rejects_nothing() {
        let same = vec![block(&[1.0, 1.0], 1.0); 40];
        for alternative in ALL {
            let test = block_permutation(&same, alternative, 0, 0).unwrap();
            assert_eq!(test, BlockPermutation { difference: 0.0, p_value: 1.0, resamples: None });
        }
    }

    #[test]
    fn invalid_arguments_are_errors() {
        let test = |blocks: &[Block]| block_permutation(blocks, Alternative::Less, 0, 0);
        assert!(matches!(test(&[]), Err(Error::TooFew { what: "items", .. })));
        assert!(matches!(test(&[block(&[], 1.0)]), Err(Error::TooFew { what: "earlier scores", .. })));
        assert!(matches!(test(&[block(&[1.0], f64::NAN)]), Err(Error::NotFinite { .. })));
        assert!(matches!(test(&[block(&[0.5], 1.0)]), Err(Error::TooFew { what: "resamples", .. })));
    }

    /// SciPy 1.17.1: `scipy.stats.poisson_binom([1/6]*3 + [5/6]*4 + [2/6, 3/6, 3/6])`, its `cdf(6)` and `sf(5)`.
    #[test]
    fn verdicts_have_the_tails_of_scipys_poisson_binomial() {
        let share = |ones: usize, new: f64| {
            let earlier: Vec<f64> = (0..5).map(|i| f64::from(u8::from(i + usize::from(new == 1.0) < ones))).collect();
            block(&earlier, new)
        };
        let blocks: Vec<_> = [share(1, 1.0), share(1, 0.0), share(1, 0.0)]
            .into_iter()
            .chain([share(5, 1.0), share(5, 1.0), share(5, 1.0), share(5, 0.0)])
            .chain([share(2, 1.0), share(3, 1.0), share(3, 0.0)])
            .collect();
        let p = |alternative| block_permutation(&blocks, alternative, 0, 0).unwrap().p_value;
        assert!((p(Alternative::Less) - CDF_6).abs() < 1e-12, "{}", p(Alternative::Less));
        assert!((p(Alternative::Greater) - SF_5).abs() < 1e-12, "{}", p(Alternative::Greater));
        assert!((p(Alternative::TwoSided) - (2.0 * SF_5.min(CDF_6)).min(1.0)).abs() < 1e-12);
    }

    #[test]
    fn random_choices_estimate_the_exact_p_value() {
        // As scores of 0 and 2, the same verdicts are no longer verdicts.
        let verdicts: Vec<_> =
            (0..40).map(|i| block(&[1.0, 1.0, f64::from(i % 4 / 3)], f64::from(i % 5 / 2 % 2))).collect();
        let scores: Vec<_> = verdicts
            .iter()
            .map(|of| Block { earlier: of.earlier.iter().map(|x| 2.0 * x).collect(), new: 2.0 * of.new })
            .collect();
        for alternative in ALL {
            let exact = block_permutation(&verdicts, alternative, 0, 0).unwrap();
            let estimate = block_permutation(&scores, alternative, 20_000, 7).unwrap();
            assert_eq!((exact.resamples, estimate.resamples), (None, Some(20_000)));
            assert!((exact.p_value - estimate.p_value).abs() < 0.02, "{exact:?} {estimate:?}");
            assert!((2.0 * exact.difference - estimate.difference).abs() < 1e-12);
        }
    }

    proptest! {
        #[test]
        fn with_one_earlier_run_it_is_mcnemars_test(pairs in vec((any::<bool>(), any::<bool>()), 1..60)) {
            let score = |verdict: bool| f64::from(u8::from(verdict));
            let blocks: Vec<_> = pairs.iter().map(|(base, new)| block(&[score(*base)], score(*new))).collect();
            let counts: PairedCounts = pairs.iter().copied().collect();
            for alternative in ALL {
                let test = block_permutation(&blocks, alternative, 0, 0).unwrap();
                prop_assert!((test.p_value - mcnemar_exact(&counts, alternative)).abs() < 1e-9);
            }
        }

        #[test]
        fn the_two_tails_overlap_in_what_was_observed(ones in vec((0usize..4, any::<bool>()), 1..30)) {
            let of = |(n, new): &(usize, bool)| {
                block(&(0..3).map(|i| f64::from(u8::from(i < *n))).collect::<Vec<_>>(), f64::from(u8::from(*new)))
            };
            let blocks: Vec<_> = ones.iter().map(of).collect();
            let p = |alternative| block_permutation(&blocks, alternative, 0, 0).unwrap().p_value;
            prop_assert!(p(Alternative::Less) + p(Alternative::Greater) >= 1.0 - 1e-12);
        }
    }
}
