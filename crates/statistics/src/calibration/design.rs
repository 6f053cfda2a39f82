//! Whom to label, and how many.

use super::stratified::{Stratum, Weights, post_stratified};
use crate::error::{Error, at_least, domain};

/// How many items of a stratum are labelled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Allocation {
    /// Labels.
    pub labels: u64,
    /// The probability of each of its items to be among them.
    pub probability: f64,
}

/// Divides `labels` among strata for the narrowest interval: in proportion to N_k s_k, with s_k the standard deviation of people's labels in it, and at
/// most the items that there are. Each stratum with items gets `least` labels first, so that a wrong guess costs little.
///
/// `strata` are the items N_k and a guess of the share that people would pass, whose s_k is √(μ(1 - μ)).
///
/// Source: Neyman (1934), "On the two different aspects of the representative method", J. Royal Statistical Society 97, 558-625.
///
/// # Errors
///
/// [`Error::TooFew`] without strata with items, [`Error::Domain`] for a share outside `0..=1`.
pub fn neyman(strata: &[(u64, f64)], labels: u64, least: u64) -> Result<Vec<Allocation>, Error> {
    at_least(1, "strata with items", strata.iter().filter(|(items, _)| *items > 0).count())?;
    for (_, share) in strata {
        domain("share", *share, "in [0, 1]", (0.0..=1.0).contains(share))?;
    }
    let all: u64 = strata.iter().map(|(items, _)| items).sum();
    let mut left = labels.min(all);
    let mut given: Vec<u64> = vec![0; strata.len()];
    // The minimum for each, in turn, so that few labels do not all go to the first.
    for _ in 0..least {
        for ((items, _), given) in strata.iter().zip(&mut given) {
            if left > 0 && *given < *items {
                *given += 1;
                left -= 1;
            }
        }
    }
    // Label by label to where the variance falls most, N² s² (1/m - 1/(m + 1)): the best whole numbers (Wright 2012).
    while left > 0 {
        let gain = |k: usize| {
            let ((items, share), given) = (strata[k], given[k] as f64);
            let variance = (items as f64).powi(2) * (share * (1.0 - share)).max(1e-6);
            if given >= items as f64 {
                -1.0
            } else if given == 0.0 {
                f64::INFINITY
            } else {
                variance / (given * (given + 1.0))
            }
        };
        let Some(best) = (0..strata.len()).max_by(|a, b| gain(*a).total_cmp(&gain(*b)).then(b.cmp(a))) else { break };
        given[best] += 1;
        left -= 1;
    }
    let allocation = |(given, (items, _)): (u64, &(u64, f64))| Allocation {
        labels: given,
        probability: if *items == 0 { 0.0 } else { given as f64 / *items as f64 },
    };
    Ok(given.into_iter().zip(strata).map(allocation).collect())
}

/// How many labels an interval of this width needs, if they turn out like those so far: each stratum's share of passes stays the same, and labels are divided by
/// [`neyman`]. `None` where not even labelling all items is enough.
///
/// # Errors
///
/// Those of [`post_stratified`] and [`neyman`], and [`Error::Domain`] for a width outside `(0, 1]`.
pub fn labels_for_width(
    strata: &[Stratum],
    weights: Weights,
    width: f64,
    design_effect: f64,
    level: f64,
) -> Result<Option<u64>, Error> {
    domain("width", width, "in (0, 1]", width > 0.0 && width <= 1.0)?;
    let guess = |stratum: &Stratum| (stratum.passed + 0.5) / (stratum.labelled as f64 + 1.0);
    let sizes: Vec<(u64, f64)> = strata.iter().map(|stratum| (stratum.items, guess(stratum))).collect();
    let width_of = |labels: u64| -> Result<f64, Error> {
        let planned: Vec<Stratum> = neyman(&sizes, labels, 1)?
            .iter()
            .zip(strata)
            .map(|(allocation, stratum)| Stratum {
                labelled: allocation.labels,
                passed: guess(stratum) * allocation.labels as f64,
                ..*stratum
            })
            .collect();
        Ok(post_stratified(&planned, weights, design_effect, level)?.interval.width())
    };
    let all: u64 = strata.iter().map(|stratum| stratum.items).sum();
    if width_of(all)? > width {
        return Ok(None);
    }
    let (mut low, mut high) = (0, all);
    while high - low > (high / 100).max(1) {
        let middle = u64::midpoint(low, high).max(1);
        if width_of(middle)? <= width { high = middle } else { low = middle }
    }
    Ok(Some(high))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn labels_go_where_people_are_divided() {
        // Equal standard deviations: in proportion. Otherwise N s: 700 × 0.3 to 300 × 0.4.
        let counts = |strata: &[(u64, f64)], labels| {
            neyman(strata, labels, 0).unwrap().iter().map(|given| given.labels).collect::<Vec<_>>()
        };
        assert_eq!(counts(&[(700, 0.5), (300, 0.5)], 100), [70, 30]);
        assert_eq!(counts(&[(700, 0.9), (300, 0.2)], 110), [70, 40]);
        assert_eq!(counts(&[(5, 0.5), (995, 0.01)], 1_000), [5, 995]);
        assert_eq!(neyman(&[(10, 0.5), (0, 0.5)], 4, 2).unwrap()[0].probability, 0.4);
        assert!(neyman(&[(0, 0.5)], 4, 2).is_err() && neyman(&[(4, 1.5)], 4, 2).is_err());
    }

    #[test]
    fn a_narrower_interval_needs_more_labels() {
        let strata =
            [Stratum { items: 7_000, labelled: 53, passed: 45.0 }, Stratum { items: 3_000, labelled: 27, passed: 5.0 }];
        let need = |width| labels_for_width(&strata, Weights::Population, width, 1.0, 0.95).unwrap();
        let (wide, narrow) = (need(0.2).unwrap(), need(0.1).unwrap());
        assert!((3 * wide..=5 * wide).contains(&narrow), "{wide} {narrow}");
        assert_eq!(need(0.005), None);
        assert!(labels_for_width(&strata, Weights::Population, 0.0, 1.0, 0.95).is_err());
    }

    proptest! {
        #[test]
        fn every_label_is_given_and_none_twice(strata in vec((0..200u64, 0.0..=1.0f64), 1..6), labels in 0..600u64, least in 0..5u64) {
            if let Ok(given) = neyman(&strata, labels, least) {
                let all: u64 = strata.iter().map(|(items, _)| items).sum();
                prop_assert_eq!(given.iter().map(|given| given.labels).sum::<u64>(), labels.min(all));
                prop_assert!(given.iter().zip(&strata).all(|(given, (items, _))| given.labels <= *items));
            }
        }
    }
}
