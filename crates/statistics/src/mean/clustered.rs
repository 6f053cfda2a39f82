//! Means of clustered scores.

use std::collections::HashMap;
use std::hash::Hash;

use super::{MeanEstimate, Moments};
use crate::error::{Error, all_finite, at_least};

/// Below this number of clusters even CR1 with t(G - 1) undercovers: report that the interval is too optimistic.
pub const FEW_CLUSTERS: usize = 20;

/// The mean of clustered scores, with a standard error that allows any dependence within a cluster.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClusteredMean {
    /// The mean with its CR1 standard error and G - 1 degrees of freedom.
    pub estimate: MeanEstimate,
    /// The number of clusters, G.
    pub clusters: usize,
    /// How much the clusters inflate the variance: CR0² / (Σ(s - s̄)²/n²). The effective number of scores is n divided by it.
    /// 1 when all scores are equal.
    pub design_effect: f64,
}

impl ClusteredMean {
    /// Whether there are fewer than [`FEW_CLUSTERS`] clusters.
    pub fn has_few_clusters(&self) -> bool {
        self.clusters < FEW_CLUSTERS
    }

    /// The number of independent scores that would give the same standard error: n / design effect; infinite when the
    /// scores within clusters balance exactly.
    pub fn effective_n(&self) -> f64 {
        self.estimate.n as f64 / self.design_effect
    }

    /// The mean over clusters, given the moments of each. Clusters without scores are ignored.
    ///
    /// With s̄ the mean of all n scores and r = s - s̄,
    ///
    /// ```text
    /// CR0 = √(Σ_c (Σ_{i in c} r_i)²) / n,   CR1 = CR0 √(G / (G - 1))
    /// ```
    ///
    /// Clusters of one score each give the standard error of [`mean`](crate::mean::mean).
    ///
    /// Source: Liang and Zeger (1986), "Longitudinal data analysis using generalized linear models", Biometrika 73, 13-22;
    /// for evaluations Miller (2024), "Adding error bars to evals", arXiv 2411.00640 (CR0); CR1 and t(G - 1):
    /// Cameron and Miller (2015), "A practitioner's guide to cluster-robust inference", J. Human Resources 50, 317-372.
    ///
    /// # Errors
    ///
    /// [`Error::TooFew`] for fewer than two clusters with scores, [`Error::Overflow`] as [`Moments::estimate`].
    pub fn from_moments<'a>(clusters: impl Clone + IntoIterator<Item = &'a Moments>) -> Result<Self, Error> {
        let filled = || clusters.clone().into_iter().filter(|cluster| cluster.n > 0);
        let groups = filled().count();
        at_least(2, "clusters", groups)?;
        let mut whole = Moments::default();
        filled().for_each(|cluster| whole.merge(cluster));
        let simple = whole.estimate()?;
        let n = whole.n as f64;
        let squared_sums: f64 = filled().map(|cluster| (cluster.n as f64 * (cluster.mean - whole.mean)).powi(2)).sum();
        let (groups_f64, uncorrected) = (groups as f64, squared_sums / (n * n));
        let estimate = MeanEstimate {
            standard_error: (uncorrected * (groups_f64 / (groups_f64 - 1.0))).sqrt(),
            degrees_of_freedom: groups_f64 - 1.0,
            ..simple
        };
        if !estimate.standard_error.is_finite() {
            return Err(Error::Overflow { what: "standard error" });
        }
        let design_effect = if whole.squares == 0.0 { 1.0 } else { squared_sums / whole.squares };
        Ok(Self { estimate, clusters: groups, design_effect })
    }
}

/// The mean of scores that belong to clusters: `clusters[i]` is the session, conversation or document of `scores[i]`.
///
/// See [`ClusteredMean::from_moments`] for the formula. Two runs over clustered items: pass the differences.
///
/// # Errors
///
/// [`Error::LengthMismatch`], [`Error::NotFinite`], and [`Error::TooFew`] for fewer than two clusters.
///
/// ```
/// # use judge_run_statistics::mean::clustered_mean;
/// let scores = [1.0, 1.0, 0.0, 0.0, 1.0, 1.0];
/// let sessions = ["a", "a", "b", "b", "c", "c"];
/// let clustered = clustered_mean(&scores, &sessions)?;
/// assert_eq!(clustered.clusters, 3);
/// // The scores of a session are equal: six of them are worth three.
/// assert!((clustered.effective_n() - 3.0).abs() < 1e-9);
/// # Ok::<(), judge_run_statistics::Error>(())
/// ```
pub fn clustered_mean<K: Eq + Hash>(scores: &[f64], clusters: &[K]) -> Result<ClusteredMean, Error> {
    if scores.len() != clusters.len() {
        return Err(Error::LengthMismatch { left: scores.len(), right: clusters.len() });
    }
    all_finite(scores)?;
    // In order of appearance: a hash map's own order would change the last digits from run to run.
    let mut index = HashMap::new();
    let mut moments: Vec<Moments> = Vec::new();
    for (score, cluster) in scores.iter().zip(clusters) {
        let at = *index.entry(cluster).or_insert(moments.len());
        if at == moments.len() {
            moments.push(Moments::default());
        }
        moments[at].push(*score);
    }
    ClusteredMean::from_moments(&moments)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mean::mean;
    use proptest::collection::vec;
    use proptest::prelude::*;

    #[test]
    fn fewer_than_two_clusters_are_an_error() {
        let error = |got| Err(Error::TooFew { what: "clusters", required: 2, got });
        assert_eq!(clustered_mean::<u8>(&[], &[]), error(0));
        assert_eq!(clustered_mean(&[1.0, 0.0], &["a", "a"]), error(1));
        assert_eq!(ClusteredMean::from_moments(&[Moments::from_iter([1.0, 2.0]), Moments::default()]), error(1));
    }

    #[test]
    fn invalid_scores_are_errors() {
        assert_eq!(clustered_mean(&[1.0, f64::NAN], &[1, 2]), Err(Error::NotFinite { index: 1 }));
        assert_eq!(clustered_mean(&[1.0], &[1, 2]), Err(Error::LengthMismatch { left: 1, right: 2 }));
    }

    #[test]
    fn equal_scores_have_no_design_effect() {
        let clustered = clustered_mean(&[0.5; 6], &[1, 1, 2, 2, 3, 3]).unwrap();
        assert_eq!((clustered.estimate.standard_error, clustered.design_effect), (0.0, 1.0));
        assert_eq!(clustered.effective_n(), 6.0);
        assert!(clustered.has_few_clusters());
    }

    #[test]
    fn copies_within_a_cluster_add_nothing() {
        let scores = [0.1, 0.7, 0.4, 0.9];
        let once = mean(&scores).unwrap();
        let thrice: Vec<f64> = scores.iter().flat_map(|&score| [score; 3]).collect();
        let clusters: Vec<usize> = (0..4).flat_map(|cluster| [cluster; 3]).collect();
        let clustered = clustered_mean(&thrice, &clusters).unwrap();
        assert!((clustered.estimate.standard_error - once.standard_error).abs() < 1e-15);
        assert!((clustered.design_effect - 3.0).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn clusters_of_one_give_the_simple_standard_error(scores in vec(-5.0..5.0f64, 2..40)) {
            let labels: Vec<usize> = (0..scores.len()).collect();
            let (simple, clustered) = (mean(&scores).unwrap(), clustered_mean(&scores, &labels).unwrap());
            prop_assert!((simple.standard_error - clustered.estimate.standard_error).abs() < 1e-12);
            prop_assert_eq!(simple.degrees_of_freedom, clustered.estimate.degrees_of_freedom);
            prop_assert!((clustered.design_effect - 1.0).abs() < 1e-9);
        }

        #[test]
        fn order_and_names_of_clusters_do_not_matter(items in vec((-5.0..5.0f64, 0..6u8), 2..40)) {
            let (scores, labels): (Vec<f64>, Vec<u8>) = items.iter().copied().unzip();
            let (reversed, names): (Vec<f64>, Vec<String>) =
                items.iter().rev().map(|(score, label)| (*score, format!("session {label}"))).unzip();
            match (clustered_mean(&scores, &labels), clustered_mean(&reversed, &names)) {
                (Ok(left), Ok(right)) => {
                    prop_assert!((left.estimate.mean - right.estimate.mean).abs() < 1e-12);
                    prop_assert!((left.estimate.standard_error - right.estimate.standard_error).abs() < 1e-12);
                    prop_assert_eq!(left.clusters, right.clusters);
                }
                (left, right) => prop_assert_eq!(left, right),
            }
        }
    }
}
