//! Which comparisons are corrected together, as one family of hypotheses.
//!
//! The figures of a ranking follow from verdicts on documents, a panel's verdict is its aggregate, and that of a rubric with an aggregate follows from those
//! on its criteria: tests of what was said already, in other words, would only make the tests of other judges less sensitive. So figures, votes and criteria
//! are secondary, and a family of their own. A figure or criterion that a gate names is not, since a decision depends on it.
//!
//! Source: U.S. Food and Drug Administration, *Multiple Endpoints in Clinical Trials: Guidance for Industry*, 2022, on families of primary and secondary
//! endpoints.

use super::compare_options::CompareOptions;
use super::side::{Key, Side};
use crate::feedback::ALL_CRITERIA;

/// Which of these are secondary.
pub(super) fn are_secondary(new: &Side, keys: &[(Key, Key)], options: &CompareOptions) -> Vec<bool> {
    let aggregated: Vec<&str> =
        keys.iter().filter(|(_, key)| new.is_aggregate(key)).map(|(_, key)| key.name.as_str()).collect();
    let comes_to_one = |rubric: &str| keys.iter().any(|(_, key)| key.name == rubric && key.source_id == ALL_CRITERIA);
    let is_criterion = |key: &Key| key.name.rsplit_once('.').is_some_and(|(rubric, _)| comes_to_one(rubric));
    let is_secondary = |(_, key): &(Key, Key)| {
        let is_vote = !new.is_aggregate(key) && aggregated.contains(&key.name.as_str());
        is_vote || ((new.is_ranking(key) || is_criterion(key)) && !options.is_gated(&key.name))
    };
    keys.iter().map(is_secondary).collect()
}
