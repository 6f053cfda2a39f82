//! May a judge replace one of the human annotators?

use crate::error::{Error, at_least, open_unit};
use crate::interval::Alternative;
use crate::mean::Moments;

/// How close a rating is to those of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Closeness {
    /// The share of the others who gave the same rating: for categories.
    Same,
    /// The root mean square distance to the others, smaller is closer: for numbers.
    Distance,
}

/// Items that an annotator must share with the judge and another annotator: the t test needs this many.
pub(crate) const MIN_ITEMS: usize = 30;

/// What came of the test.
#[derive(Clone, Debug, PartialEq)]
pub struct AltTest {
    /// One for each annotator, in their order.
    pub annotators: Vec<AltTestAnnotator>,
    /// The share of annotators with enough items that the judge is not worse than.
    pub winning_rate: f64,
    /// The share of items on which the judge is at least as close to the others as an annotator is, over annotators.
    pub average_advantage: f64,
    /// Whether the winning rate is at least one half.
    pub passed: bool,
}

/// One annotator against the judge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AltTestAnnotator {
    /// Items that were compared.
    pub items: usize,
    /// The share of them on which the judge is at least as close to the others.
    pub advantage: f64,
    /// The share on which the annotator is.
    pub annotator_advantage: f64,
    /// The p-value of the hypothesis that the annotator is better by ε or more; `None` with too few items.
    pub p_value: Option<f64>,
    /// Whether it is rejected.
    pub is_matched: bool,
}

/// The alternative annotator test. `judge[i]` and `people[h][i]` rate item i; `None` means not rated.
///
/// For annotator h and each item that h, the judge and another person rated: W_j = 1 if the judge is at least as close to the other people as h
/// is, and W_h = 1 if h is at least as close as the judge. A one-sided t test checks whether the mean of W_h - W_j is below ε; over annotators with
/// at least 30 items the p-values are controlled at the false discovery rate q by Benjamini and Yekutieli. The judge passes if it beats half of them.
/// ε is how much more a person costs than a judge: 0.2 for experts, 0.15 for skilled annotators, 0.1 for crowds.
///
/// Source: Calderon, Reichart and Dror (2025), "The alternative annotator test for LLM-as-a-judge", ACL 2025, arXiv 2501.10970.
///
/// # Errors
///
/// [`Error::TooFew`] for fewer than two people, or when none has enough items; [`Error::LengthMismatch`] when someone has a different number of items
/// than the judge; [`Error::Domain`] for `q`, and for an `epsilon` outside `0..1`.
pub fn alt_test(
    judge: &[Option<f64>],
    people: &[Vec<Option<f64>>],
    closeness: Closeness,
    epsilon: f64,
    q: f64,
) -> Result<AltTest, Error> {
    open_unit("q", q)?;
    crate::error::domain("epsilon", epsilon, "in [0, 1)", (0.0..1.0).contains(&epsilon))?;
    at_least(2, "people", people.len())?;
    if let Some(other) = people.iter().find(|person| person.len() != judge.len()) {
        return Err(Error::LengthMismatch { left: judge.len(), right: other.len() });
    }
    let mut annotators = Vec::new();
    for (h, own) in people.iter().enumerate() {
        let mut wins = [Moments::default(), Moments::default(), Moments::default()];
        for (i, (judged, rated)) in judge.iter().zip(own).enumerate() {
            let (Some(judged), Some(rated)) = (judged, rated) else { continue };
            let others: Vec<f64> = people
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != h)
                .filter_map(|(_, person)| person[i])
                .collect();
            if others.is_empty() {
                continue;
            }
            let (of_judge, of_person) = (close(closeness, *judged, &others), close(closeness, *rated, &others));
            let (judge_wins, person_wins) = (f64::from(of_judge >= of_person), f64::from(of_person >= of_judge));
            wins[0].push(judge_wins);
            wins[1].push(person_wins);
            wins[2].push(person_wins - judge_wins);
        }
        let items = usize::try_from(wins[0].n()).unwrap_or(usize::MAX);
        let p_value = match items >= MIN_ITEMS {
            true => Some(wins[2].estimate()?.test(epsilon, Alternative::Less)?.p_value),
            false => None,
        };
        let mean = |moments: &Moments| moments.mean().unwrap_or(0.0);
        annotators.push(AltTestAnnotator {
            items,
            advantage: mean(&wins[0]),
            annotator_advantage: mean(&wins[1]),
            p_value,
            is_matched: false,
        });
    }
    let tested: Vec<usize> = (0..annotators.len()).filter(|h| annotators[*h].p_value.is_some()).collect();
    if tested.is_empty() {
        let most = annotators.iter().map(|annotator| annotator.items).max().unwrap_or(0);
        return Err(Error::TooFew {
            what: "items that the judge and two people rated",
            required: MIN_ITEMS,
            got: most,
        });
    }
    reject(&mut annotators, &tested, q);
    let of_tested = |value: fn(&AltTestAnnotator) -> f64| {
        tested.iter().map(|h| value(&annotators[*h])).sum::<f64>() / tested.len() as f64
    };
    let winning_rate = of_tested(|annotator| f64::from(annotator.is_matched));
    let average_advantage = of_tested(|annotator| annotator.advantage);
    Ok(AltTest { annotators, winning_rate, average_advantage, passed: winning_rate >= 0.5 })
}

/// Benjamini and Yekutieli (2001): the largest rank i with p₍ᵢ₎ ≤ i q / (m Σ 1/j) and all below are rejected, for any dependence.
fn reject(annotators: &mut [AltTestAnnotator], tested: &[usize], q: f64) {
    let p = |annotators: &[AltTestAnnotator], h: usize| annotators[h].p_value.unwrap_or(1.0);
    let mut order = tested.to_vec();
    order.sort_by(|left, right| p(annotators, *left).total_cmp(&p(annotators, *right)));
    let m = order.len() as f64;
    let harmonic: f64 = (1..=order.len()).map(|j| 1.0 / j as f64).sum();
    let last = (0..order.len()).rev().find(|i| p(annotators, order[*i]) <= (i + 1) as f64 * q / (m * harmonic));
    for h in order.into_iter().take(last.map_or(0, |last| last + 1)) {
        annotators[h].is_matched = true;
    }
}

fn close(closeness: Closeness, rating: f64, others: &[f64]) -> f64 {
    let n = others.len() as f64;
    match closeness {
        Closeness::Same => others.iter().filter(|other| **other == rating).count() as f64 / n,
        Closeness::Distance => -(others.iter().map(|other| (other - rating).powi(2)).sum::<f64>() / n).sqrt(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratings(n: usize, of: impl Fn(usize) -> f64) -> Vec<Option<f64>> {
        (0..n).map(|i| Some(of(i))).collect()
    }

    #[test]
    fn a_judge_that_says_what_all_say_passes_and_one_that_contradicts_does_not() {
        let truth = |i: usize| f64::from(i.is_multiple_of(3));
        let people: Vec<_> =
            (0..3).map(|h| ratings(60, |i| if i % 10 == h { 1.0 - truth(i) } else { truth(i) })).collect();
        let good = alt_test(&ratings(60, truth), &people, Closeness::Same, 0.1, 0.05).unwrap();
        assert!(good.passed && good.winning_rate == 1.0 && good.average_advantage > 0.9, "{good:?}");
        let bad = alt_test(&ratings(60, |i| 1.0 - truth(i)), &people, Closeness::Same, 0.1, 0.05).unwrap();
        assert!(!bad.passed && bad.winning_rate == 0.0, "{bad:?}");
        let near = alt_test(&ratings(60, |i| truth(i) + 0.01), &people, Closeness::Distance, 0.2, 0.05).unwrap();
        assert!(near.average_advantage < 1.0);
    }

    #[test]
    fn too_few_people_or_items_are_an_error() {
        let judge = ratings(29, |_| 1.0);
        let people = vec![judge.clone(), judge.clone()];
        let error = alt_test(&judge, &people, Closeness::Same, 0.1, 0.05).unwrap_err();
        assert!(matches!(error, Error::TooFew { required: 30, got: 29, .. }));
        assert!(alt_test(&judge, &people[..1], Closeness::Same, 0.1, 0.05).is_err());
        assert!(alt_test(&judge[1..], &people, Closeness::Same, 0.1, 0.05).is_err());
        assert!(alt_test(&judge, &people, Closeness::Same, 1.0, 0.05).is_err());
        assert!(alt_test(&judge, &people, Closeness::Same, 0.1, 0.0).is_err());
    }
}
