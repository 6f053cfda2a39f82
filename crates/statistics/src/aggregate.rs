//! Combines the labels of several raters.
//!
//! | raters | function |
//! | --- | --- |
//! | few labels each | [`majority`] |
//! | numbers | [`crate::mean::mean`], [`crate::quantile::Sorted::median`] |
//! | about 20 labels each or more, few categories | [`DawidSkene`]: weighs raters by how often they are right |

use crate::error::{Error, at_least, domain};

/// The category with the most votes; `None` for a tie, or without votes.
///
/// ```
/// # use judge_run_statistics::aggregate::majority;
/// assert_eq!(majority(&[1, 3, 0]), Some(1));
/// assert_eq!(majority(&[2, 2, 0]), None);
/// ```
pub fn majority(votes: &[u64]) -> Option<usize> {
    let most = *votes.iter().max().filter(|most| **most > 0)?;
    let mut winners = votes.iter().enumerate().filter(|(_, votes)| **votes == most).map(|(category, _)| category);
    winners.next().filter(|_| winners.next().is_none())
}

/// A rating: who said what about which item. A rater may rate an item more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// The item, from 0.
    pub item: usize,
    /// The rater, from 0.
    pub rater: usize,
    /// The category, from 0.
    pub category: usize,
}

/// How the estimation is done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DawidSkene {
    /// What is added to every count. Without smoothing, posteriors of 0 and 1 claim more than a few labels can show; by default 0.01.
    pub smoothing: f64,
    /// Iteration stops when the log-likelihood changes relatively by less than this; by default 1e-9.
    pub tolerance: f64,
    /// The maximum number of rounds; by default 1,000.
    pub max_rounds: usize,
}

impl Default for DawidSkene {
    fn default() -> Self {
        Self { smoothing: 0.01, tolerance: 1e-9, max_rounds: 1_000 }
    }
}

/// The items' categories, and the raters' accuracies.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimated {
    /// How frequent each category is.
    pub prior: Vec<f64>,
    /// For each item, the probability of each category.
    pub posteriors: Vec<Vec<f64>>,
    /// For each rater, the probability of the column's category when the row's is true.
    pub confusions: Vec<Vec<Vec<f64>>>,
    /// For each rater, the probability of being right.
    pub accuracies: Vec<f64>,
    /// Natural logarithm.
    pub log_likelihood: f64,
    /// Rounds of the algorithm.
    pub rounds: usize,
}

impl DawidSkene {
    /// The Dawid-Skene model: each rater has a confusion matrix, and items are independent.
    ///
    /// EM from the shares of votes, with smoothing s, K categories and n_ir_l the labels l by rater r on item i:
    ///
    /// ```text
    /// π_k = (Σ_i T_ik + s) / (N + K s),   E_rkl = (Σ_i T_ik n_irl + s) / Σ_l (...),   T_ik ∝ π_k Π_r Π_l E_rkl^n_irl
    /// ```
    ///
    /// A rater's accuracy is Σ_k π_k E_rkk.
    ///
    /// Source: Dawid and Skene (1979), "Maximum likelihood estimation of observer error-rates using the EM algorithm", Applied Statistics 28, 20-28.
    ///
    /// # Errors
    ///
    /// [`Error::TooFew`] without labels or with fewer than two categories, [`Error::Domain`] for a negative smoothing or tolerance.
    pub fn estimate(&self, labels: &[Label], categories: usize) -> Result<Estimated, Error> {
        let Self { smoothing, tolerance, max_rounds } = *self;
        domain("smoothing", smoothing, "finite and >= 0", smoothing >= 0.0 && smoothing.is_finite())?;
        domain("tolerance", tolerance, "finite and >= 0", tolerance >= 0.0 && tolerance.is_finite())?;
        let labels: Vec<Label> = labels.iter().copied().filter(|label| label.category < categories).collect();
        at_least(1, "labels", labels.len())?;
        at_least(2, "categories", categories)?;
        let items = labels.iter().map(|label| label.item + 1).max().unwrap_or(0);
        let raters = labels.iter().map(|label| label.rater + 1).max().unwrap_or(0);
        let mut posteriors = vec![vec![0.0; categories]; items];
        labels.iter().for_each(|label| posteriors[label.item][label.category] += 1.0);
        // An item without labels is anything.
        posteriors.iter_mut().for_each(|item| normalize(item));
        let mut found = Estimated {
            prior: Vec::new(),
            posteriors,
            confusions: Vec::new(),
            accuracies: Vec::new(),
            log_likelihood: f64::NEG_INFINITY,
            rounds: 0,
        };
        while found.rounds < max_rounds.max(1) {
            found.rounds += 1;
            found.maximize(&labels, raters, smoothing);
            let before = found.log_likelihood;
            found.expect(&labels);
            if (found.log_likelihood - before).abs() <= tolerance * found.log_likelihood.abs() {
                break;
            }
        }
        found.accuracies = found
            .confusions
            .iter()
            .map(|rows| rows.iter().zip(&found.prior).enumerate().map(|(k, (row, prior))| prior * row[k]).sum())
            .collect();
        Ok(found)
    }
}

impl Estimated {
    fn maximize(&mut self, labels: &[Label], raters: usize, smoothing: f64) {
        let categories = self.posteriors.first().map_or(0, Vec::len);
        self.prior = vec![smoothing; categories];
        for item in &self.posteriors {
            self.prior.iter_mut().zip(item).for_each(|(prior, share)| *prior += share);
        }
        normalize(&mut self.prior);
        self.confusions = vec![vec![vec![smoothing; categories]; categories]; raters];
        for label in labels {
            for (row, share) in self.confusions[label.rater].iter_mut().zip(&self.posteriors[label.item]) {
                row[label.category] += share;
            }
        }
        self.confusions.iter_mut().flatten().for_each(|row| normalize(row));
    }

    fn expect(&mut self, labels: &[Label]) {
        let mut logs: Vec<Vec<f64>> = vec![self.prior.iter().map(|prior| prior.ln()).collect(); self.posteriors.len()];
        for label in labels {
            for (log, row) in logs[label.item].iter_mut().zip(&self.confusions[label.rater]) {
                *log += row[label.category].ln();
            }
        }
        self.log_likelihood = 0.0;
        for (item, logs) in self.posteriors.iter_mut().zip(logs) {
            let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            item.iter_mut().zip(&logs).for_each(|(share, log)| *share = (log - largest).exp());
            self.log_likelihood += largest + item.iter().sum::<f64>().ln();
            normalize(item);
        }
    }
}

/// Divides by the sum; if it is 0, all are equal.
fn normalize(shares: &mut [f64]) {
    let sum: f64 = shares.iter().sum();
    let equal = 1.0 / shares.len() as f64;
    shares.iter_mut().for_each(|share| *share = if sum > 0.0 { *share / sum } else { equal });
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn label(item: usize, rater: usize, category: usize) -> Label {
        Label { item, rater, category }
    }

    #[test]
    fn a_tie_is_no_majority() {
        assert_eq!(
            (majority(&[0, 2, 1]), majority(&[1, 1]), majority(&[0, 0]), majority(&[])),
            (Some(1), None, None, None)
        );
    }

    #[test]
    fn a_rater_who_is_mostly_wrong_counts_for_the_opposite() {
        // Two agree on everything; the third always says the other thing.
        let labels: Vec<Label> = (0..40)
            .flat_map(|item| [label(item, 0, item % 2), label(item, 1, item % 2), label(item, 2, 1 - item % 2)])
            .collect();
        let found = DawidSkene::default().estimate(&labels, 2).unwrap();
        assert!(found.posteriors.iter().enumerate().all(|(item, shares)| shares[item % 2] > 0.99));
        assert!(found.accuracies[0] > 0.99 && found.accuracies[2] < 0.01, "{:?}", found.accuracies);
    }

    #[test]
    fn bad_arguments_are_errors() {
        let one = [label(0, 0, 0)];
        let with = |smoothing, tolerance| DawidSkene { smoothing, tolerance, max_rounds: 9 };
        assert!(with(-1.0, 0.1).estimate(&one, 2).is_err() && with(0.1, f64::NAN).estimate(&one, 2).is_err());
        assert!(with(0.1, 0.1).estimate(&[], 2).is_err() && with(0.1, 0.1).estimate(&one, 1).is_err());
    }

    proptest! {
        #[test]
        fn shares_sum_to_one_and_the_likelihood_rises(labels in vec((0..12usize, 0..4usize, 0..3usize), 5..80)) {
            let labels: Vec<_> = labels.into_iter().map(|(item, rater, category)| label(item, rater, category)).collect();
            let after = |max_rounds| DawidSkene { smoothing: 0.0, tolerance: 0.0, max_rounds }.estimate(&labels, 3).unwrap();
            let (short, long) = (after(3), after(30));
            prop_assert!(long.log_likelihood >= short.log_likelihood - 1e-9);
            for shares in long.posteriors.iter().chain([&long.prior]).chain(long.confusions.iter().flatten()) {
                prop_assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            }
        }
    }
}
