//! Any number of raters, who need not all have rated every item.

use super::coefficient::{Coefficient, Parts, varies};
use super::weights::{Matrix, dot};
use super::{Metric, Weights};
use crate::error::{Error, at_least};

/// How many raters put each item in each category.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Votes {
    categories: usize,
    items: Vec<Vec<f64>>,
}

impl Votes {
    /// Without items, for this many categories.
    pub fn new(categories: usize) -> Self {
        Self { categories, items: Vec::new() }
    }

    /// Adds an item with the categories that raters gave it; an unknown category is ignored, and so is an item without ratings.
    pub fn add(&mut self, ratings: impl IntoIterator<Item = usize>) {
        let mut item = vec![0.0; self.categories];
        for rating in ratings {
            if let Some(count) = item.get_mut(rating) {
                *count += 1.0;
            }
        }
        if item.iter().any(|count| *count > 0.0) {
            self.items.push(item);
        }
    }

    /// Items with at least one rating.
    pub fn items(&self) -> usize {
        self.items.len()
    }

    /// Fleiss' kappa, generalized to weights and missing ratings.
    ///
    /// With r_ik raters who put item i into category k, r_i of them in all and π_k the mean over items of r_ik / r_i:
    /// p_o is the mean over items with two ratings of Σ_k r_ik (Σ_l w_kl r_il - 1) / (r_i (r_i - 1)), and p_e = Σ w_kl π_k π_l. Without missing
    /// ratings and weights this is Fleiss (1971). The variance is Gwet's, over items; the interval Student's with n - 1 degrees of freedom.
    ///
    /// Source: Fleiss (1971), "Measuring nominal scale agreement among many raters", Psychological Bulletin 76, 378-382; Gwet (2014), "Handbook of
    /// inter-rater reliability", 4th ed., chapter 3, as irrCAC.
    ///
    /// # Errors
    ///
    /// [`Error::TooFew`] for fewer than two items with two ratings, [`Error::Constant`] when all ratings are of one category, [`Error::Domain`] for
    /// the level.
    pub fn fleiss(&self, weights: Weights, level: f64) -> Result<Coefficient, Error> {
        let matrix = weights.matrix(self.categories);
        self.corrected(&matrix, level, |shares| {
            let neighbours = matrix.times(shares);
            (dot(shares, &neighbours), neighbours)
        })
    }

    /// Gwet's AC1, or AC2 with weights: like kappa, but stable when nearly all items are of one category.
    ///
    /// As [`fleiss`](Self::fleiss), with p_e = Σ w / (K (K - 1)) · Σ π_k (1 - π_k).
    ///
    /// Source: Gwet (2008), "Computing inter-rater reliability and its variance in the presence of high agreement", British J. Mathematical and
    /// Statistical Psychology 61, 29-48.
    ///
    /// # Errors
    ///
    /// Those of [`fleiss`](Self::fleiss), but ratings of one category are perfect agreement.
    pub fn gwet(&self, weights: Weights, level: f64) -> Result<Coefficient, Error> {
        let matrix = weights.matrix(self.categories);
        let size = self.categories.max(2) as f64;
        let factor = matrix.sum() / (size * (size - 1.0));
        self.corrected(&matrix, level, |shares| {
            let others: Vec<f64> = shares.iter().map(|share| factor * (1.0 - share)).collect();
            (dot(shares, &others), others)
        })
    }

    /// A coefficient whose expected agreement is `chance(π)`: its value, and the contribution of a rating of each category.
    fn corrected(
        &self,
        weights: &Matrix,
        level: f64,
        chance: impl Fn(&[f64]) -> (f64, Vec<f64>),
    ) -> Result<Coefficient, Error> {
        let n = self.items.len() as f64;
        let raters: Vec<f64> = self.items.iter().map(|item| item.iter().sum()).collect();
        let rated = raters.iter().filter(|raters| **raters >= 2.0).count();
        at_least(2, "items with two ratings", rated)?;
        let mut shares = vec![0.0; self.categories];
        for (item, raters) in self.items.iter().zip(&raters) {
            shares.iter_mut().zip(item).for_each(|(share, count)| *share += count / raters / n);
        }
        let (expected, of_category) = chance(&shares);
        varies(expected)?;
        let observed: Vec<f64> = self
            .items
            .iter()
            .zip(&raters)
            .map(|(item, raters)| pairs(item, weights) / (raters * (raters - 1.0)).max(1.0))
            .collect();
        let paired = || observed.iter().zip(&raters).filter(|(_, raters)| **raters >= 2.0);
        let agreement = paired().map(|(observed, _)| observed).sum::<f64>() / rated as f64;
        let estimate = (agreement - expected) / (1.0 - expected);
        let each = self.items.iter().zip(&raters).zip(&observed).map(|((item, raters), observed)| {
            let own = if *raters >= 2.0 { n / rated as f64 * (observed - expected) / (1.0 - expected) } else { 0.0 };
            let by_chance = dot(item, &of_category) / raters;
            own - 2.0 * (1.0 - estimate) * (by_chance - expected) / (1.0 - expected)
        });
        let squares: f64 = each.map(|value| (value - estimate).powi(2)).sum();
        let variance = squares / (n * (n - 1.0));
        let items = rated as u64;
        Parts { agreement, expected, estimate, variance, items, degrees_of_freedom: Some(n - 1.0) }.coefficient(level)
    }

    /// Krippendorff's alpha, for any metric and with missing ratings. `values` are those of the categories, in ascending order; for
    /// [`Metric::Nominal`] they do not matter, and for [`Metric::Ordinal`] only their order does.
    ///
    /// With o_ck the coincidences Σ over items of the pairs (c, k) / (r_i - 1), n_c their sums and n the sum of these,
    /// α = 1 - (n - 1) Σ o_ck δ²_ck / Σ n_c n_k δ²_ck. Items with fewer than two ratings do not count. The variance is Gwet's, over
    /// items, for the distances as they are.
    ///
    /// Source: Krippendorff (2011), "Computing Krippendorff's alpha-reliability"; Gwet (2014), chapter 3, for the variance, as irrCAC.
    ///
    /// # Errors
    ///
    /// [`Error::TooFew`] for fewer than two items with two ratings, [`Error::Constant`] when all ratings are the same,
    /// [`Error::LengthMismatch`] when there is not one value for each category, [`Error::NotFinite`] for a value, [`Error::Domain`] for the level.
    pub fn krippendorff(&self, metric: Metric, values: &[f64], level: f64) -> Result<Coefficient, Error> {
        if values.len() != self.categories {
            return Err(Error::LengthMismatch { left: values.len(), right: self.categories });
        }
        let rated: Vec<(&Vec<f64>, f64)> =
            self.items.iter().map(|item| (item, item.iter().sum())).filter(|(_, raters)| *raters >= 2.0).collect();
        at_least(2, "items with two ratings", rated.len())?;
        let mut totals = vec![0.0; self.categories];
        rated.iter().for_each(|(item, _)| totals.iter_mut().zip(*item).for_each(|(total, count)| *total += count));
        let n: f64 = totals.iter().sum();
        let weights = metric.distances(values, &totals)?.into_weights();
        let items = rated.len() as f64;
        let mean_raters = n / items;
        let shares: Vec<f64> = totals.iter().map(|total| total / n).collect();
        let neighbours = weights.times(&shares);
        let expected = dot(&shares, &neighbours);
        varies(expected)?;
        let observed: Vec<f64> =
            rated.iter().map(|(item, raters)| pairs(item, &weights) / (mean_raters * (raters - 1.0))).collect();
        let uncorrected = observed.iter().sum::<f64>() / items;
        let agreement = uncorrected + (1.0 - uncorrected) / n;
        let of = |agreement: f64| (agreement - expected) / (1.0 - expected);
        let center = of(uncorrected);
        let each = rated.iter().zip(&observed).map(|((item, raters), observed)| {
            let more = (raters - mean_raters) / mean_raters;
            let own = of(observed - uncorrected * more);
            let by_chance = dot(item, &neighbours) / mean_raters - expected * more;
            own - 2.0 * (1.0 - center) * (by_chance - expected) / (1.0 - expected)
        });
        let squares: f64 = each.map(|value| (value - center).powi(2)).sum();
        let variance = squares / (items * (items - 1.0));
        let parts = Parts {
            agreement,
            expected,
            estimate: of(agreement),
            variance,
            items: rated.len() as u64,
            degrees_of_freedom: Some(items - 1.0),
        };
        parts.coefficient(level)
    }
}

/// How far the pairs of an item's ratings agree, in ordered pairs.
fn pairs(item: &[f64], weights: &Matrix) -> f64 {
    let near = weights.times(item);
    item.iter().zip(near).map(|(count, near)| count * (near - 1.0)).sum()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn votes(categories: usize, items: &[Vec<usize>]) -> Votes {
        let mut votes = Votes::new(categories);
        items.iter().for_each(|item| votes.add(item.iter().copied()));
        votes
    }

    #[test]
    fn too_little_is_an_error() {
        let one = votes(2, &[vec![0, 1], vec![1], vec![]]);
        assert_eq!(one.items(), 2);
        let error = Error::TooFew { what: "items with two ratings", required: 2, got: 1 };
        assert_eq!(one.fleiss(Weights::Identity, 0.95), Err(error));
        assert_eq!(one.krippendorff(Metric::Nominal, &[0.0, 1.0], 0.95), Err(error));
        let same = votes(2, &[vec![0, 0], vec![0, 0]]);
        assert_eq!(same.fleiss(Weights::Identity, 0.95), Err(Error::Constant { what: "ratings" }));
        assert_eq!(same.gwet(Weights::Identity, 0.95).unwrap().estimate, 1.0);
        assert!(same.krippendorff(Metric::Nominal, &[0.0], 0.95).is_err());
        let differ = votes(2, &[vec![0, 0], vec![1, 1]]);
        assert!(differ.krippendorff(Metric::Interval, &[0.0, f64::NAN], 0.95).is_err());
        assert!(differ.fleiss(Weights::Identity, 1.0).is_err());
    }

    #[test]
    fn perfect_agreement_over_few_items_is_not_certain() {
        let few = votes(2, &[vec![0, 0], vec![1, 1], vec![0, 0]]);
        for coefficient in [few.fleiss(Weights::Identity, 0.95).unwrap(), few.gwet(Weights::Identity, 0.95).unwrap()] {
            assert_eq!((coefficient.estimate, coefficient.interval.upper), (1.0, 1.0));
            assert!(coefficient.interval.lower < 0.2, "{coefficient:?}");
        }
    }

    proptest! {
        #[test]
        fn what_raters_and_categories_are_called_does_not_matter(items in vec(vec(0..3usize, 2..5), 4..40)) {
            let swapped: Vec<Vec<usize>> =
                items.iter().map(|item| item.iter().rev().map(|rating| 2 - rating).collect()).collect();
            let (one, other) = (votes(3, &items), votes(3, &swapped));
            let coefficients = |votes: &Votes, weights| [votes.fleiss(weights, 0.9), votes.gwet(weights, 0.9)];
            for weights in [Weights::Identity, Weights::Linear, Weights::Quadratic] {
                for (left, right) in coefficients(&one, weights).into_iter().zip(coefficients(&other, weights)) {
                    match (left, right) {
                        (Ok(left), Ok(right)) => {
                            prop_assert!((left.estimate - right.estimate).abs() < 1e-9);
                            prop_assert!(left.estimate <= 1.0 + 1e-12 && left.interval.contains(left.estimate.min(1.0)));
                        }
                        (left, right) => prop_assert_eq!(left.is_err(), right.is_err()),
                    }
                }
            }
        }

        #[test]
        fn alpha_with_the_interval_metric_follows_no_shift(items in vec(vec(0..4usize, 2..4), 5..30), shift in -9.0..9.0f64) {
            let votes = votes(4, &items);
            let at = |shift: f64| votes.krippendorff(Metric::Interval, &[0.0, 1.0, 2.0, 3.0].map(|v| v + shift), 0.95);
            if let (Ok(here), Ok(there)) = (at(0.0), at(shift)) {
                prop_assert!((here.estimate - there.estimate).abs() < 1e-9);
            }
        }

        #[test]
        fn two_raters_without_missing_ratings_have_kappas_close_to_each_other(pairs in vec((0..3usize, 0..3usize), 30..90)) {
            let mut table = super::super::Confusion::new(3);
            pairs.iter().for_each(|(a, b)| table.add(*a, *b));
            // Scott's pi differs from Cohen's kappa only through the difference of the marginals, and is never larger.
            if let (Ok(cohen), Ok(fleiss)) = (table.cohen(Weights::Identity, 0.9), table.votes().fleiss(Weights::Identity, 0.9)) {
                prop_assert!(fleiss.estimate <= cohen.estimate + 1e-12);
            }
        }
    }
}
