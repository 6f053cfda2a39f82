//! Which comparisons are corrected together, as one family of hypotheses.
//!
//! The figures of a ranking follow from verdicts on documents, and a panel's verdict is its aggregate: tests of what was said already, in other words,
//! would only make the tests of other judges less sensitive. So they are secondary, and a family of their own. One that a gate names is not, since a
//! decision depends on it.
//!
//! Source: U.S. Food and Drug Administration, *Multiple Endpoints in Clinical Trials: Guidance for Industry*, 2022, on families of primary and secondary
//! endpoints.

use super::compare_options::CompareOptions;
use super::side::{Key, Side};

/// Which of these are secondary.
pub(super) fn are_secondary(new: &Side, keys: &[(Key, Key)], options: &CompareOptions) -> Vec<bool> {
    let aggregated: Vec<&str> =
        keys.iter().filter(|(_, key)| new.is_aggregate(key)).map(|(_, key)| key.name.as_str()).collect();
    let is_secondary = |(_, key): &(Key, Key)| {
        let is_vote = !new.is_aggregate(key) && aggregated.contains(&key.name.as_str());
        is_vote || (new.is_ranking(key) && !options.is_gated(&key.name))
    };
    keys.iter().map(is_secondary).collect()
}
